"""test_lambda.py - Lambda functions as targets: AWS's runtime client runs the function, latticefs invokes it."""
import json
import os
import time

import h2kit
from grpckit import UNIMPLEMENTED
from harness import Client, check, equal, free_port, limit, until
from lambdakit import INVOKE, Function
from tlskit import metric

MIB = 1 << 20
GRPC = ("content-type", "application/grpc"), ("te", "trailers")


def lambda_site(w, version=None, conf=None):
    """A service `shop` whose target is a function."""
    w.function = Function(w)
    w.port = free_port()
    w.network()
    w.mkdir("target-groups/fn")
    w.write("target-groups/fn/type", "LAMBDA\n")
    if version:
        w.write("target-groups/fn/lambda-event-structure-version", version + "\n")
    w.mkdir("target-groups/fn/targets")
    w.write("target-groups/fn/targets/f.lambda", f"url = {w.function.url}\n")
    w.service("shop", w.port, "forward = fn")
    return w


def ask(w, path="/", method="GET", headers="", body=b""):
    with Client(w.port, seconds=30) as client:
        return client.ask(method, path, "shop.localhost", headers, body)


def event_of(answer):
    equal(answer.status, 200)
    return json.loads(answer.body)


@limit(90)
def test_an_event_of_version_1(w):
    lambda_site(w)
    answer = ask(w, "/a%20b?x=1&x=2&y=%26", "POST", "Content-Type: text/plain\r\nX-One: 1\r\nx-one: 2\r\n", b'say "hi"\n')
    equal((answer.one("content-type"), answer.one("x-by")), ("application/json", "function"))
    got = event_of(answer)
    headers = got.pop("headers")
    equal(got, {"raw_path": "/a%20b?x=1&x=2&y=%26", "method": "POST", "query_string_parameters": {"x": "2", "y": "&"},
                "body": 'say "hi"\n', "is_base64_encoded": False})
    equal(headers.pop("x-amzn-requestid"), answer.one("x-amzn-requestid"))
    equal(headers, {"host": "shop.localhost", "content-type": "text/plain", "x-one": "1, 2", "content-length": "9",
                    "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http", "x-forwarded-port": str(w.port)})


@limit(90)
def test_an_event_of_version_2(w):
    lambda_site(w, "V2")
    before = time.time()
    got = event_of(ask(w, "/p?x=1&x=2", "PUT", "X-One: 1\r\nx-one: 2\r\n", b"\x00\xff"))
    context = got.pop("requestContext")
    check(before - 1 < int(context["timeEpoch"]) / 1e6 < time.time() + 1, f"microseconds: {context}")
    check(isinstance(context["timeEpoch"], str) and isinstance(context["identity"], dict), context)
    equal((got["version"], got["path"], got["method"], got["headers"]["x-one"], got["queryStringParameters"]),
          ("2.0", "/p?x=1&x=2", "PUT", ["1", "2"], {"x": ["1", "2"]}))
    equal((got["body"], got["isBase64Encoded"]), ("AP8=", True))


@limit(90)
def test_what_a_function_answers(w):
    lambda_site(w)
    answer = ask(w, "/?want=cookies")
    equal((answer.status, answer.all("set-cookie"), answer.body), (201, ["a=1", "b=2"], "é".encode()))
    equal(ask(w, "/?want=bytes").body, b"\x00\xff\n")
    answer = ask(w, "/?want=hops")
    equal((answer.body, answer.all("content-length"), answer.all("transfer-encoding")), (b"1", ["1"], []))
    answer = ask(w, "/?want=large")
    equal((answer.status, len(answer.body)), (200, 6 * MIB - 64))
    for want in ("throw", "text", "too-large"):
        equal(ask(w, f"/?want={want}").status, 502, want)
    equal(ask(w, "/?want=none").status, 404)
    answer = ask(w, "/?want=cookies", "HEAD")
    equal((answer.status, answer.one("content-length"), answer.body), (201, "2", b""))


@limit(90)
def test_bodies_up_to_six_megabytes(w):
    lambda_site(w)
    body = os.urandom(6 * MIB)
    got = w.sh(f"head -c {6 * MIB} /dev/urandom | curl -s -o /dev/null -w '%{{http_code}}' --data-binary @- "
               f"http://shop.localhost:{w.port}/?want=hops", seconds=60)
    equal(got.out.strip(), "200")
    equal(len(json.loads(w.function.events[-1])["body"]), len(body) // 3 * 4)
    got = w.sh(f"head -c {6 * MIB + 1} /dev/zero | curl -s -o /dev/null -w '%{{http_code}}' -H 'Transfer-Encoding: chunked' "
               f"--data-binary @- http://shop.localhost:{w.port}/", seconds=60)
    equal(got.out.strip(), "413")
    equal(len(w.function.events), 1)


@limit(90)
def test_http_2_and_grpc(w):
    lambda_site(w, "V2")
    curl = f"curl -s --max-time 20 --http2-prior-knowledge http://shop.localhost:{w.port}"
    got = json.loads(w.sh(f"{curl}/h2 -H 'content-type: text/plain' -d '{'x' * 1000}'").out)
    equal((got["path"], got["method"], got["headers"]["host"], got["body"]),
          ("/h2", "POST", [f"shop.localhost:{w.port}"], "x" * 1000))
    got = w.sh(f"head -c {2 * MIB} /dev/zero | {curl}/?want=hops --data-binary @- -w ' %{{http_version}}'", seconds=60)
    equal(got.out, "1 2")
    equal(w.sh(f"{curl}/?want=large | wc -c", seconds=60).out.strip(), str(6 * MIB - 64))
    got = w.sh(f"{curl}/?want=cookies -I -w '%{{http_code}}'")
    check("content-length: 2" in got.out and got.out.endswith("201"), got.out)
    with h2kit.connect(w.port) as peer:
        stream = peer.ask("/a.B/C", "POST", "shop.localhost", GRPC, bytes(5))
        equal(stream.one("grpc-status"), str(UNIMPLEMENTED))


@limit(90)
def test_a_function_among_others(w):
    """A split between a function and a server, and a function whose API is gone."""
    lambda_site(w)
    w.group("blue", w.add_target("blue"))
    w.write("services/shop/listeners/web/default-action", "forward = fn:50 blue:50\n")
    bodies = [ask(w, "/?want=hops").body for _ in range(10)]
    check(4 <= bodies.count(b"1") <= 6, bodies)
    w.write("services/shop/listeners/web/default-action", "forward = fn\n")
    w.write("target-groups/fn/targets/f.lambda", f"url = http://127.0.0.1:{free_port()}/2015-03-31/functions/f/invocations\n")
    equal(ask(w).status, 503)
    w.write("target-groups/fn/targets/f.lambda", f"url = http://127.0.0.1:{w.function.port}/2015-03-31/functions/none/invocations\n")
    equal(ask(w).status, 502)


# ---------------------------------------------------------------------- an Invoke API that does not do well


def scripted(w, handler, extra=""):
    """As lambda_site() with an Invoke API of our own: handler(target, wire, request)."""
    w.target = w.add_target("api", handler)
    w.port = free_port()
    w.network()
    w.group("fn", type="LAMBDA")
    w.write("target-groups/fn/targets/f.lambda", f"url = http://127.0.0.1:{w.target.port}{INVOKE}\n")
    w.service("shop", w.port, "forward = fn\n" + extra)
    return w


def test_an_api_that_breaks_off_is_502(w):
    """And is asked once: what a function has begun is not begun again."""
    whole = json.dumps({"statusCode": 200, "body": "x" * 1000}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(whole)
    ways = {
        "nothing": b"",
        "half a head": head,
        "a head alone": head + b"\r\n",
        "half a body": head + b"\r\n" + whole[:500],
        "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(whole) + whole[:500],
        "no last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(whole), whole),
        "half of the JSON": b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + whole[:500],
        "an error of the function": head + b"X-Amz-Function-Error: Unhandled\r\n\r\n" + whole,
        "an error that it told": head + b"x-amz-function-error: Handled\r\n\r\n" + whole,
        "another status": head.replace(b"200", b"429") + b"\r\n" + whole,
        "garbage": b"\0\xff\r\n\r\n",
    }

    def handler(target, wire, request):
        wire.sock.sendall(ways[w.way])
        return False

    scripted(w, handler)
    with h2kit.connect(w.port) as peer:
        for count, w.way in enumerate(ways, 1):
            equal(ask(w, body=b"x", method="POST").status, 502, w.way)
            stream = peer.ask(method="POST", host="shop.localhost", body=b"x")
            equal((stream.status, w.target.count()), (502, 2 * count), f"{w.way} over HTTP/2")
        ways["good"], w.way = head + b"\r\n" + whole, "good"
        stream = peer.ask(method="POST", host="shop.localhost", body=b"x")
        equal((stream.status, stream.body), (200, b"x" * 1000))


def test_a_slow_function_has_the_time_of_its_rule(w):
    def handler(target, wire, request):
        until(lambda: getattr(w, "go", False), 60, "the word to go on")
        target.reply(wire, 200, json.dumps({"statusCode": 200, "body": "late"}))

    scripted(w, handler, "timeout = 1\n")
    with h2kit.connect(w.port) as peer:
        start = time.monotonic()
        equal(peer.ask(host="shop.localhost").status, 504)
        check(time.monotonic() - start >= 0.9, "not before its time")
        w.go = True
        stream = peer.ask(host="shop.localhost")
        equal((stream.status, stream.body), (200, b"late"))
    equal(metric(w, "latticefs_retries_total"), 0)


def test_six_megabytes_over_http2(w):
    """As many there and back; one byte more is 413."""
    def handler(target, wire, request):
        body = json.loads(request.body)["body"]
        target.reply(wire, 200, json.dumps({"statusCode": 200, "body": "y" * (6 * MIB - 100), "headers": {"x-came": str(len(body))}}))

    scripted(w, handler)
    with h2kit.connect(w.port, 60) as peer:
        stream = peer.ask(method="POST", host="shop.localhost", headers=[("content-type", "text/plain")], body=b"x" * 6 * MIB)
        equal((stream.status, stream.one("x-came"), stream.size), (200, str(6 * MIB), 6 * MIB - 100))
        stream = peer.ask(method="POST", host="shop.localhost", body=b"x" * (6 * MIB + 1))
        equal(stream.status, 413)
    equal(w.target.count(), 1)


def test_a_call_of_grpc_is_for_no_function(w):
    """Nor is it invoked."""
    scripted(w, lambda *_: False)
    with h2kit.connect(w.port) as peer:
        for body in b"", bytes(5):
            equal(peer.ask("/a.B/C", "POST", "shop.localhost", GRPC, body).one("grpc-status"), str(UNIMPLEMENTED))
    equal(w.target.count(), 0)


def test_a_function_that_leaves_ends_what_runs(w):
    """Removed while it works: the answer comes, and nothing new begins."""
    def handler(target, wire, request):
        until(lambda: getattr(w, "go", False), 60, "the word to go on")
        target.reply(wire, 200, json.dumps({"statusCode": 200, "body": "late"}))

    scripted(w, handler)
    with h2kit.connect(w.port) as peer:
        stream = peer.ask(host="shop.localhost", wait=False)
        until(w.target.count, 10, "it works")
        w.remove_file("target-groups/fn/targets/f.lambda")
        until(lambda: "DRAINING" in w.read("target-groups/fn/.status"), 5, "it drains")
        equal(peer.ask(host="shop.localhost").status, 503)
        w.go = True
        peer.wait(lambda: stream.over, "the answer")
        equal((stream.status, stream.body), (200, b"late"))
