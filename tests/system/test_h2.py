"""test_h2.py - HTTP/2 towards clients and targets, and HTTP/1 to HTTP/2 and back: what RFC 9113 and 8441 say."""
import base64
import hashlib
import os
import re
import socket
import threading
import time

import h2kit
from h2kit import CANCEL, CONNECT_PROTOCOL, INITIAL_WINDOW, MAX_STREAMS, REFUSED, add_h2_target, connect, reply, setting
from harness import SLOW, Client, Closed, check, equal, free_port, limit, match, until
from test_http import fields, settle, tunnel
from tlskit import CA, TlsTarget, add_target, https_site, metric, trust

MIB = 1 << 20


def h2_site(w, handler=h2kit.plain, settings=b"", early=None, version="HTTP2"):
    """World.site with an HTTP/2 target in cleartext."""
    w.target = add_h2_target(w, "blue", handler, settings, early)
    w.port = free_port()
    w.network()
    w.group("blue", protocol_version=version)
    w.write(f"target-groups/blue/targets/127.0.0.1:{w.target.port}", "")
    w.place = w.service("shop", w.port, "forward = blue")
    return w


def digest(data):
    return hashlib.sha256(data).hexdigest()


def echo1(target, wire, request):
    target.reply(wire, 200, request.body, f"x-seen: {digest(request.body)}\r\nx-by: {target.name}\r\n", request.method)


def echo2(target, peer, request):
    reply(peer, request, request.body, headers=[("x-seen", digest(request.body)), ("x-by", target.name)])


def in_background(what, *arguments):
    """Runs it in a thread; calling what is returned waits, and raises what it raised."""
    outcome = []

    def run():
        try:
            outcome.append((what(*arguments), None))
        except Exception as problem:
            outcome.append((None, problem))
    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def finish(seconds=30):
        thread.join(seconds * SLOW)
        check(outcome, "still running")
        if outcome[0][1]:
            raise outcome[0][1]
        return outcome[0][0]
    return finish


# ---------------------------------------------------------------------- every combination


@limit(120)
def test_bodies_in_every_combination(w):
    """HTTP/1 and 2, cleartext and TLS, on either side: 16 ways, four sizes, both directions, by curl."""
    pair = CA(w.base, "Root").issue("target", "target.example")
    https_site(w)
    plain = free_port()
    w.mkdir("services/shop/listeners/plain")
    w.write("services/shop/listeners/plain/default-action", "forward = blue\n")
    w.write("services/shop/listeners/plain/port", f"{plain}\n")
    groups = {
        "h1": (w.add_target("h1", echo1), "HTTP", "HTTP1"),
        "h2": (add_h2_target(w, "h2", echo2), "HTTP", "HTTP2"),
        "h1s": (add_target(w, TlsTarget("h1s", pair, echo1)), "HTTPS", "HTTP1"),
        "h2s": (add_target(w, TlsTarget("h2s", pair, echo2, h2kit.target_script(), alpn=("h2",))), "HTTPS", "HTTP2"),
    }
    for name, (target, protocol, version) in groups.items():
        w.group(name, target, protocol=protocol, protocol_version=version)
    clients = {
        "h1": f"--http1.1 http://shop.localhost:{plain}/", "h2": f"--http2-prior-knowledge http://shop.localhost:{plain}/",
        "h1s": f"--http1.1 --cacert .ca.pem https://shop.localhost:{w.port}/",
        "h2s": f"--http2 --cacert .ca.pem https://shop.localhost:{w.port}/",
    }
    bodies = {}
    for size in (0, 1, 65536, 8 * MIB):
        bodies[size] = os.urandom(size)
        with open(os.path.join(w.base, f"body{size}"), "wb") as out:
            out.write(bodies[size])
    for group in groups:
        for place in ("web", "plain"):
            w.write(f"services/shop/listeners/{place}/default-action", f"forward = {group}\n")
        for client, how in clients.items():
            for size, body in bodies.items():
                said = w.sh(f"curl -sS -m 60 -o {w.base}/got -D - --data-binary @{w.base}/body{size} -H 'Expect:' {how}").out
                note = f"{client} to {group}, {size} bytes"
                match(rf"^HTTP/{'2' if '2' in client else '1.1'} 200", said, note)
                match(rf"^x-by: {group}\r?$", said.lower(), note)
                match(rf"^x-seen: {digest(body)}\r?$", said.lower(), note + " up")
                equal(digest(open(os.path.join(w.base, "got"), "rb").read()), digest(body), note + " down")


def test_nghttp(w):
    w.site()
    said = w.sh(f"nghttp -v -H ':authority: shop' http://127.0.0.1:{w.port}/one http://127.0.0.1:{w.port}/two").out
    for path in ("one", "two"):
        match(f"blue GET /{path} 0", said)
    check("error_code=NO_ERROR" in said and "PROTOCOL_ERROR" not in said, "no complaint")


def load(w, url, requests, *words):
    said = w.sh(f"h2load -n {requests} -c 8 -m 16 {' '.join(words)} {url}", seconds=60).out
    match(rf"{requests} total, {requests} started, {requests} done, {requests} succeeded, 0 failed, 0 errored, 0 timeout", said)
    match(rf"status codes: {requests} 2xx, 0 3xx, 0 4xx, 0 5xx", said)


@limit(120)
def test_h2load_while_weights_change(w):
    """Thousands of requests, none fails: to HTTP/1 and HTTP/2 targets, in cleartext and TLS, during 200 changes."""
    https_site(w)
    plain = free_port()
    w.group("green", add_h2_target(w, "green"), protocol_version="HTTP2")
    w.mkdir("services/shop/listeners/plain")
    w.write("services/shop/listeners/plain/default-action", "forward = blue green\n")
    w.write("services/shop/listeners/plain/port", f"{plain}\n")
    for url, words, place in ((f"http://127.0.0.1:{plain}/", ["-H", "':authority: shop'"], "plain"),
                              (f"https://shop.localhost:{w.port}/", [f"--connect-to=127.0.0.1:{w.port}"], "web")):
        done = in_background(load, w, url, 4000, *words)
        for turn in range(200):
            w.write(f"services/shop/listeners/{place}/default-action", f"forward = blue:{turn % 7 + 1} green:{turn % 5 + 1}\n")
        done(60)
    check(w.target.count() > 400 and w.targets[-1].count() > 400, "both groups had a part")
    check(metric(w, "latticefs_h2_streams_total") >= 8000 and metric(w, "latticefs_h2_connections_total") >= 16, "counted")


def test_streams_side_by_side(w):
    """100 uploads of one connection, their frames mixed; the answers come as their targets please."""
    w.site(echo1)
    w.group("h2", add_h2_target(w, "h2", echo2), protocol_version="HTTP2")
    for group in ("blue", "h2"):
        w.write(f"{w.place}/default-action", f"forward = {group}\n")
        with connect(w.port, 20) as peer:
            peer.wait(lambda: peer.settings, "SETTINGS")
            count = min(100, peer.settings.get(MAX_STREAMS, 100))
            bodies = [os.urandom(50 * i) for i in range(count)]
            streams = [peer.begin([(":method", "POST"), (":scheme", "http"), (":authority", "shop"), (":path", f"/{i}")])
                       for i in range(count)]
            for half in (0, 1):
                for stream, body in zip(streams, bodies):
                    cut = len(body) // 2
                    peer.send(stream, body[cut:] if half else body[:cut], end=bool(half), part=700)
            peer.wait(lambda: all(stream.over for stream in streams), "all answers")
            for stream, body in zip(streams, bodies):
                equal((stream.status, stream.one("x-seen"), digest(stream.body)), (200, digest(body), digest(body)), group)


# ---------------------------------------------------------------------- messages


def test_framing_is_translated(w):
    """A body without a length is chunked for HTTP/1 and nothing but DATA for HTTP/2; a length is kept."""
    w.site(echo1)
    h2 = add_h2_target(w, "h2", echo2)
    w.group("h2", h2, protocol_version="HTTP2")
    with connect(w.port) as peer:
        peer.ask("/", "POST", body=b"hello")
        seen = w.target.last()
        equal((seen.body, seen.all("transfer-encoding"), seen.all("content-length")), (b"hello", ["chunked"], []))
        peer.ask("/", "POST", body=b"hello", headers=[("content-length", "5")])
        seen = w.target.last()
        equal((seen.body, seen.all("transfer-encoding"), seen.all("content-length")), (b"hello", [], ["5"]))
        peer.ask("/", "GET")
        seen = w.target.last()
        equal((seen.all("transfer-encoding"), seen.all("content-length")), ([], []), "no body, no framing")
        equal(seen.all("host"), ["shop"], ":authority is Host")
        answer = peer.ask("/", "POST", body=b"hello")
        equal((answer.one("content-length"), answer.all("connection"), answer.all("transfer-encoding")), ("5", [], []))
    w.write(f"{w.place}/default-action", "forward = h2\n")
    with Client(w.port) as client:
        client.send("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        answer = client.answer("POST")
        equal((answer.status, answer.body), (200, b"hello"))
        check(answer.all("transfer-encoding") == ["chunked"] or answer.all("content-length") == ["5"], "it is framed")
        seen = h2.last()
        equal((seen.body, seen.all("transfer-encoding"), seen.all("content-length")), (b"hello", [], []))
        equal(dict(seen.fields)["host"], "shop")
        client.ask("POST", body=b"hello", headers="Connection: x-mine\r\nX-Mine: 1\r\nKeep-Alive: 3\r\nTE: trailers\r\nX-KEPT: 1\r\n")
        seen = h2.last()
        names = [name for name, _ in seen.stream.head]
        equal(seen.all("content-length"), ["5"])
        for name in ("connection", "x-mine", "keep-alive", "transfer-encoding", "upgrade"):
            check(name not in names, f"{name} reached the target")
        check("x-kept" in names and not [name for name in names if name != name.lower()], f"names in lower case: {names}")
        equal(names[:4] == [name for name in names if name.startswith(":")], True, f"pseudo-header fields first: {names}")


def test_trailers_both_ways_in_every_combination(w):
    def one(target, wire, request):
        wire.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-end\r\n\r\n3\r\nabc\r\n0\r\nX-End: yes\r\n\r\n")

    def two(target, peer, request):
        reply(peer, request, b"abc", trailers=[("x-end", "yes")])
    w.site(one)
    h2 = add_h2_target(w, "h2", two)
    w.group("h2", h2, protocol_version="HTTP2")
    for group, target in (("blue", w.target), ("h2", h2)):
        w.write(f"{w.place}/default-action", f"forward = {group}\n")
        with connect(w.port) as peer:
            for body in (b"hello", b""):
                answer = peer.ask("/", "POST", body=body, trailers=[("x-sum", "5")], headers=[("te", "trailers")])
                equal((answer.status, answer.body, answer.trailers), (200, b"abc", [("x-end", "yes")]), f"h2 to {group}")
                equal([line.lower() for line in target.last().trailers], ["x-sum: 5"], f"h2 to {group}, up")
                equal(target.last().body, body)
        with Client(w.port) as client:
            for _ in range(2):
                client.send("POST / HTTP/1.1\r\nHost: shop\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n"
                            "5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n")
                answer = client.answer("POST")
                equal((answer.body, [line.lower() for line in answer.trailers]), (b"abc", ["x-end: yes"]), f"h1 to {group}")
                equal([line.lower() for line in target.last().trailers], ["x-sum: 5"], f"h1 to {group}, up")


def test_head_and_bodyless_answers(w):
    def one(target, wire, request):
        code = int(request.target[1:4])
        length = "" if code == 204 else "Content-Length: 1000\r\n"
        wire.sock.sendall(f"HTTP/1.1 {code} X\r\n{length}Etag: x\r\n\r\n".encode())

    def two(target, peer, request):
        code = int(request.target[1:4])
        length = [] if code == 204 else [("content-length", "1000")]
        reply(peer, request, status=code, headers=length + [("etag", "x")])
    w.site(one)
    w.group("h2", add_h2_target(w, "h2", two), protocol_version="HTTP2")
    cases = (("HEAD", "/200"), ("GET", "/204"), ("GET", "/304"), ("HEAD", "/304"), ("DELETE", "/204"))
    for group in ("blue", "h2"):
        w.write(f"{w.place}/default-action", f"forward = {group}\n")
        with connect(w.port) as peer, Client(w.port) as client:
            for method, path in cases:
                answer = peer.ask(path, method)
                equal((answer.status, answer.body, answer.reset), (int(path[1:]), b"", None), f"h2 {method} {path} to {group}")
                equal(answer.one("content-length"), None if path == "/204" else "1000")
                got = client.ask(method, path)
                equal((got.status, got.body, got.one("etag")), (int(path[1:]), b"", "x"), f"h1 {method} {path} to {group}")
                check("transfer-encoding" not in fields(got), "no coding")


def test_empty_bodies(w):
    """An answer that is a head with END_STREAM alone has a length for HTTP/1; a request that ends by trailers alone ends."""
    h2_site(w, lambda target, peer, request: reply(peer, request, b"", headers=[("x-seen", str(len(request.trailers)))]))
    with Client(w.port) as client:
        for method in ("GET", "POST", "GET"):
            answer = client.ask(method)
            equal((answer.status, answer.body), (200, b""), method)
    for _ in range(20):
        with connect(w.port) as peer:
            equal(peer.ask("/", "POST", body=b"", trailers=[("x-sum", "0")]).one("x-seen"), "1", "trailers without a body")
            equal(peer.ask("/", "POST", body=b"").one("x-seen"), "0", "an empty DATA")


def test_interim_answers_and_100_continue(w):
    def one(target, wire):
        while True:
            head = wire.line(b"\r\n\r\n")
            wire.sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            if b"expect: 100-continue" in head.lower():
                wire.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                wire.take(5)
            target.reply(wire, 200, b"ok")

    def early(target, peer, stream):
        peer.headers(stream.id, [(":status", "103"), ("link", "</a>")])
        if stream.one("expect"):
            peer.headers(stream.id, [(":status", "100")])
    w.site(script=one)
    w.group("h2", add_h2_target(w, "h2", lambda t, p, r: reply(p, r, b"ok"), early=early), protocol_version="HTTP2")
    for group in ("blue", "h2"):
        w.write(f"{w.place}/default-action", f"forward = {group}\n")
        with connect(w.port) as peer, Client(w.port) as client:
            for _ in range(2):
                answer = peer.ask("/")
                equal((answer.body, [(m[":status"], m.get("link")) for m in answer.interim]), (b"ok", [("103", "</a>")]), group)
                stream = peer.begin([(":method", "POST"), (":scheme", "http"), (":authority", "shop"), (":path", "/"),
                                     ("expect", "100-continue"), ("content-length", "5")])
                peer.wait(lambda: [m for m in stream.interim if m[":status"] == "100"], f"100 before the body, {group}")
                peer.send(stream, b"hello")
                peer.wait(lambda: stream.over)
                equal((stream.status, stream.body), (200, b"ok"))
                equal(client.ask().body, b"ok")
                equal([(m.status, m.one("link")) for m in client.interim], [(103, "</a>")], f"h1 to {group}")


def test_forwarded_headers_cookies_and_request_id(w):
    https_site(w)
    h2 = add_h2_target(w, "h2")
    w.group("h2", h2, protocol_version="HTTP2")
    for group, target in (("blue", w.target), ("h2", h2)):
        w.write(f"{w.place}/default-action", f"forward = {group}\n")
        with connect(w.port, context=trust(w.ca, alpn=["h2"])) as peer:
            answer = peer.ask(scheme="https", headers=[
                ("x-forwarded-for", "192.0.2.9"), ("x-forwarded-proto", "http"), ("x-amzn-lattice-identity", "Principal=root"),
                ("cookie", "a=b"), ("cookie", "c=d"), ("x-twice", "1"), ("x-twice", "2")])
            seen = target.last()
            equal(", ".join(seen.all("x-forwarded-for")), "192.0.2.9, 127.0.0.1", group)
            equal((seen.all("x-forwarded-proto"), seen.all("x-forwarded-port")), (["https"], [str(w.port)]), group)
            equal(seen.all("x-amzn-lattice-identity"), [], "not the client's to say")
            equal("; ".join(seen.all("cookie")), "a=b; c=d", group)
            equal(seen.all("x-twice"), ["1", "2"])
            equal(len(seen.all("x-amzn-requestid")), 1, "a request id is made")
            equal(answer.all("x-amzn-requestid"), seen.all("x-amzn-requestid"), "and told to the client")
    equal(len(w.target.last().all("cookie")), 1, "crumbs are one line in HTTP/1 (RFC 9113 8.2.3)")


def test_rules_match_the_same(w):
    w.site()
    for name in ("canary", "api", "post"):
        w.group(name, w.add_target(name))
    w.rule(w.place, "canary", 10, "header-exact = x-canary: yes", "forward = canary")
    w.rule(w.place, "api", 20, "path-prefix = /api", "forward = api")
    w.rule(w.place, "post", 30, "method = POST", "forward = post")
    w.rule(w.place, "gone", 40, "path-exact = /gone", "fixed-response = 410")
    with connect(w.port) as peer:
        for path, method, headers, want in (("/", "GET", [], "blue"), ("/", "GET", [("x-canary", "yes")], "canary"),
                                            ("/", "GET", [("x-canary", "no")], "blue"), ("/API/x", "GET", [], "api"),
                                            ("/x", "POST", [], "post"), ("/apix", "POST", [("x-canary", "YES")], "canary")):
            equal(peer.ask(path, method, headers=headers).body.decode().split()[0], want, f"{method} {path} {headers}")
        equal(peer.ask("/gone").status, 410)
        equal(peer.ask(host="nobody").status, 404, "no service by that name")
        w.group("empty")
        w.write(f"{w.place}/default-action", "forward = empty\n")
        equal(peer.ask().status, 503, "no target")


# ---------------------------------------------------------------------- back-pressure


@limit(60)
def test_slow_readers_cost_no_memory(w):
    """Neither with windows that stay shut nor with windows as wide as they go over a socket that nobody reads."""
    size = 64 * MIB

    def big(target, wire, request):
        wire.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // MIB):
            wire.sock.sendall(b"z" * MIB)
            target.sent += MIB
    w.site(big)
    w.target.sent = 0
    before = w.rss()
    peers = []
    for wide in (False, True):
        for _ in range(3):
            peer = connect(w.port, 40, settings=setting(INITIAL_WINDOW, 0x7fffffff) if wide else b"")
            if wide:
                peer.open_window(0, 0x7fffffff - 65535)
            peer.auto_window = False
            peer.ask(wait=False)
            peers.append(peer)
    stuck = settle(lambda: w.target.sent)
    check(stuck < 6 * size, f"the targets wait: {stuck} bytes sent")
    check(w.rss() - before < 24 * MIB, f"{(w.rss() - before) >> 10} KiB more for 6 stuck downloads")
    last = peers[-1]
    last.wait(lambda: last.streams[1].over)
    equal(last.streams[1].size, size, "the patient one gets all of it")
    for peer in peers:
        peer.sock.close()


@limit(60)
def test_slow_targets_cost_no_memory(w):
    """HTTP/1 and HTTP/2 targets that do not read, HTTP/2 and HTTP/1 clients that send."""
    gate = threading.Event()
    size = 48 * MIB

    def sleepy(target, wire):
        head = wire.line(b"\r\n\r\n")
        gate.wait(40)
        if b"chunked" in head.lower():
            left = size
            while True:
                chunk = int(wire.line(), 16)
                wire.take(chunk + 2)
                left -= chunk
                if chunk == 0:
                    break
            equal(left, 0)
        target.reply(wire, 200, b"done")

    def early(target, peer, stream):
        peer.auto_window = False
        gate.wait(40)
        peer.auto_window = True
        peer.open_window(0, stream.size + 65535)
        peer.open_window(stream.id, stream.size + 65535)
    w.site(script=sleepy)
    w.group("h2", add_h2_target(w, "h2", early=early), protocol_version="HTTP2")
    w.rule(w.place, "h2", 10, "path-prefix = /h2", "forward = h2")
    before = w.rss()
    sent = [0, 0]

    def upload_h2(at, path):
        with connect(w.port, 40) as peer:
            stream = peer.begin([(":method", "POST"), (":scheme", "http"), (":authority", "shop"), (":path", path)])
            for _ in range(size // MIB):
                peer.send(stream, b"q" * MIB, end=False)
                sent[at] += MIB
            peer.send(stream, b"")
            peer.wait(lambda: stream.over)
            return stream.status
    both = [in_background(upload_h2, 0, "/h1"), in_background(upload_h2, 1, "/h2")]
    stuck = settle(lambda: sum(sent))
    check(stuck < size, f"the clients wait: {stuck} sent")
    check(w.rss() - before < 12 * MIB, f"{(w.rss() - before) >> 10} KiB more for two stuck uploads")
    gate.set()
    equal([finish(40) for finish in both], [200, 200])


def test_a_stuck_stream_holds_no_other(w):
    """A download whose window is shut, and others beside it on the same connection."""
    def big(target, wire, request):
        target.reply(wire, 200, b"z" * (8 * MIB if request.target == "/big" else 30000))
    w.site(big)
    with connect(w.port) as peer:
        stuck = peer.ask("/big", wait=False)
        peer.wait(lambda: stuck.size > 0)
        peer.auto_window = False
        peer.open_window(0, 4 * MIB)
        for i in range(20):
            equal(len(peer.ask(f"/{i}").body), 30000, "another stream of the connection")
        check(stuck.size < 1 * MIB and not stuck.over, "it is stuck")
        peer.auto_window = True
        peer.open_window(0, 8 * MIB)
        peer.open_window(stuck.id, 8 * MIB)
        peer.wait(lambda: stuck.over)
        equal(stuck.size, 8 * MIB)


# ---------------------------------------------------------------------- ends


def test_a_cancelled_stream_reaches_the_target(w):
    gone = threading.Event()
    w.restart(conf="[engine]\nworkers = 1\n")  # both clients' streams meet on one connection

    def endless(target, wire, request):
        try:
            wire.sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                wire.sock.sendall(b"x" * 65536)
        except OSError:
            gone.set()
            return False

    def early(target, peer, stream):
        peer.headers(stream.id, [(":status", "200")])
        while stream.reset is None:
            peer.send(stream, b"x" * 1000, end=False)
        target.resets.append((stream.id, stream.reset))
        return True
    w.site(endless)
    h2 = add_h2_target(w, "h2", early=early)
    w.group("h2", h2, protocol_version="HTTP2")
    w.rule(w.place, "h2", 10, "path-prefix = /h2", "forward = h2")
    with connect(w.port) as peer:
        stream = peer.ask("/h1", wait=False)
        peer.wait(lambda: stream.size > 0)
        peer.cancel(stream)
        check(gone.wait(5 * SLOW), "an HTTP/1 target's connection is closed")
        stream = peer.ask("/h2", wait=False)
        peer.wait(lambda: stream.size > 0)
        peer.cancel(stream)
        until(lambda: getattr(h2, "resets", []), 5, "an HTTP/2 target sees the reset")
        equal(h2.resets[0][1], CANCEL)
    h2.resets.clear()
    with Client(w.port) as client:
        client.send("GET /h2 HTTP/1.1\r\nHost: shop\r\n\r\n")
        client.fill()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a FIN may be a half-close
    until(lambda: h2.resets, 5, "an HTTP/1 client that leaves resets the stream")
    equal(h2.connections, 1, "the connection to the target stays")
    until(lambda: w.number("connections") == 0, 5, "no connection is left")


def test_a_refused_upload_is_sent_again_whole_or_not(w):
    """What went with the head, and was not looked at, goes with it again, or nothing does."""
    posts = []

    def early(target, peer, stream):
        if stream.one(":method") == "POST":
            posts.append(stream.id)
        if len(posts) % 2 == 0:
            return False
        peer.cancel(stream, REFUSED)
        return True
    w.restart(conf="[engine]\nworkers = 1\n")
    h2_site(w, lambda target, peer, request: reply(peer, request, digest(request.body).encode()), early=early)
    body = os.urandom(700000)
    small = body[:1000]
    with Client(w.port) as client:
        for turn in range(4):
            equal(client.ask("POST", "/", body=small).body, digest(small).encode(), f"a small one, at {turn}")
            equal(len(posts), 2 * turn + 2, "each was refused once")
    for turn in range(8):
        with Client(w.port) as client:
            answer = client.ask("POST", "/", body=body)
        # Once more of it went than is kept, it cannot go again: then the answer is 502, and never to a part of it.
        check(answer.status == 502 or answer.body == digest(body).encode(), f"at {turn}: {answer.status} {answer.body[:80]}")


def test_an_early_answer_waits_for_the_request(w):
    """Debian's curl takes an answer with a reset behind it for an error: what still comes is read, for a while."""
    w.site()
    w.write(w.place + "/default-action", "fixed-response = 404\n")
    said = w.sh(f"(printf a; sleep 0.2; printf b) | curl -sS -m 10 -X POST -T - -o /dev/null -w '%{{http_code}}' "
                f"--http2-prior-knowledge http://shop.localhost:{w.port}/")
    equal((said.out, said.err), ("404", ""))
    with connect(w.port) as peer:
        stream = peer.begin([(":method", "POST"), (":scheme", "http"), (":authority", "shop"), (":path", "/")])
        peer.wait(lambda: stream.over)
        equal(stream.status, 404)
        peer.wait(lambda: stream.reset is not None)
        equal(stream.reset, 0, "a client that goes on is told at last")


def test_targets_that_reset_leave_or_close(w):
    """Before the head: 502 or 503. Inside of the body: a reset for HTTP/2, a cut answer for HTTP/1."""
    def early(target, peer, stream):
        path = stream.one(":path")
        if path.startswith("/mid"):
            peer.headers(stream.id, [(":status", "200")])
            peer.frame(h2kit.DATA, 0, stream.id, b"half")
        if path.endswith("/reset"):
            peer.cancel(stream, h2kit.INTERNAL_ERROR)
        elif path.endswith("/goaway"):
            peer.leave(stream.id, h2kit.INTERNAL_ERROR)
            raise Closed(b"left")
        elif path.endswith("/close"):
            raise Closed(b"closed")
        elif path.endswith("/garbage"):
            peer.sock.sendall(b"\xff" * 2000)
        elif path.endswith("/short"):
            peer.headers(stream.id, [(":status", "200"), ("content-length", "10")])
            peer.frame(h2kit.DATA, h2kit.END_STREAM, stream.id, b"half")
        return True
    h2_site(w, early=early)
    for how in ("reset", "goaway", "close", "garbage"):
        with connect(w.port) as peer, Client(w.port) as client:
            stream = peer.ask(f"/first/{how}", "POST")
            check(stream.status in (502, 503), f"{how} before the head, h2: {stream.status} {stream.reset}")
            status = client.ask("POST", f"/first/{how}").status
            check(status in (502, 503), f"{how} before the head, h1: {status}")
            stream = peer.ask(f"/mid/{how}", "POST")
            check(stream.reset or stream.status == 502, f"{how} inside of the body: {stream.status} {stream.reset}")
            equal(peer.goaway, None, "the client's connection goes on")
            client.send(f"POST /mid/{how} HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n")
            try:
                equal(client.answer("POST").status, 502, "nothing was sent yet")
            except Closed:
                pass
    with connect(w.port) as peer:
        stream = peer.ask("/x/short", "POST")
        check(stream.reset is not None or stream.status == 502, "less than its content-length")
    until(lambda: w.number("connections") == 0, 5, "no connection is left")


def test_what_a_target_did_not_look_at_is_asked_again(w):
    """REFUSED_STREAM, and streams behind a GOAWAY: safe for any method."""
    seen = []

    def early(target, peer, stream):
        path = stream.one(":path")
        seen.append(path)
        if path.startswith("/refused") and seen.count(path) == 1:
            peer.cancel(stream, REFUSED)
            return True
        if path.startswith("/goaway") and seen.count(path) == 1:
            peer.leave(stream.id - 2 if stream.id > 1 else 0)
            raise Closed(b"left")
    h2_site(w, early=early)
    with connect(w.port) as peer:
        for how in ("refused", "goaway"):
            for method in ("GET", "POST"):
                path = f"/{how}/{method}"
                answer = peer.ask(path, method)
                equal((answer.status, answer.body.decode()), (200, f"blue {method} {path} 0"))
                equal(seen.count(path), 2, path)


def test_a_target_that_leaves_politely_costs_nothing(w):
    """GOAWAY behind every third answer: each request is answered, on connections that come after it."""
    def polite(target, peer, request):
        h2kit.plain(target, peer, request)
        if request.stream.id >= 5:
            peer.leave(request.stream.id)
    h2_site(w, polite)
    with connect(w.port) as peer:
        for i in range(40):
            equal(peer.ask(f"/{i}", "POST").status, 200, f"request {i}")  # whole with its head: it can go again
    check(w.target.connections >= 10, f"{w.target.connections} connections")


def test_limits_of_streams(w):
    gate = threading.Event()

    def held(target, wire, request):
        gate.wait(20)
        target.plain(wire, request)
    w.site(held)
    with connect(w.port, 20) as peer:
        peer.wait(lambda: MAX_STREAMS in peer.settings, "a limit is told")
        most = peer.settings[MAX_STREAMS]
        check(10 <= most <= 1000, f"{most} streams")
        streams = [peer.ask(f"/{i}", wait=False) for i in range(most)]
        until(lambda: w.target.count() == most, 10, "all of them are forwarded")
        gate.set()
        peer.wait(lambda: all(stream.over for stream in streams))
        equal([stream.status for stream in streams], [200] * most, "as many as are allowed are served")
        equal(peer.ask().status, 200, "and there is room again")
    gate.clear()
    with connect(w.port) as peer:
        peer.wait(lambda: MAX_STREAMS in peer.settings)
        streams = [peer.ask(f"/{i}", wait=False) for i in range(most + 5)]
        try:
            peer.wait(lambda: peer.goaway or all(stream.reset == REFUSED for stream in streams[most:]))
        except Closed:
            pass
        check(peer.goaway or streams[-1].reset == REFUSED, "one more is refused, or the connection is over")
    gate.set()


@limit(60)
def test_the_limit_of_a_target_is_kept(w):
    """Two streams at a time are allowed on a connection to the target: 40 requests at once come all through."""
    most = [0]
    gate = threading.Event()

    def early(target, peer, stream):
        now = sum(not other.over for other in peer.streams.values())
        most[0] = max(most[0], now)

    def slow(target, peer, request):
        gate.wait(0.01)
        h2kit.plain(target, peer, request)
    h2_site(w, slow, setting(MAX_STREAMS, 2), early)
    with connect(w.port, 30) as peer:
        equal(peer.ask().status, 200)
        streams = [peer.ask(f"/{i}", wait=False) for i in range(40)]
        peer.wait(lambda: all(stream.over for stream in streams))
        equal([stream.status for stream in streams], [200] * 40)
    check(most[0] <= 2, f"{most[0]} at the same time")


def test_connections_to_targets_are_shared(w):
    h2_site(w)
    with connect(w.port) as peer, connect(w.port) as other, Client(w.port) as client:
        for _ in range(20):
            equal((peer.ask().status, other.ask().status, client.ask().status), (200, 200, 200))
    check(w.target.connections <= 2, f"one a worker: {w.target.connections}")


def test_a_drain_says_goaway_and_waits(w):
    asked, gate = threading.Event(), threading.Event()

    def held(target, wire, request):
        asked.set()
        gate.wait(20)
        target.reply(wire, 200, b"late")
    w.site(held)
    with connect(w.port) as peer, connect(w.port) as idle:
        idle.wait(lambda: idle.settings)
        stream = peer.ask(wait=False)
        check(asked.wait(5 * SLOW), "in flight")
        stopped = in_background(w.stop)
        peer.wait(lambda: peer.goaway, "GOAWAY")
        equal(peer.goaway.code, 0, "NO_ERROR")
        check(peer.goaway.last >= stream.id, "the request in flight is among those that are served")
        idle.drained()
        equal(idle.goaway.code, 0, "an idle connection is told, and closed")
        gate.set()
        peer.wait(lambda: stream.over)
        equal((stream.status, stream.body), (200, b"late"), "the request in flight is answered")
        peer.drained()
        stopped()


def test_an_idle_connection_is_closed_with_goaway(w):
    w.site()
    w.write("services/shop/idle-timeout", "1\n")
    with connect(w.port) as peer:
        equal(peer.ask().status, 200)
        began = time.monotonic()
        peer.drained()
        check(0.7 < time.monotonic() - began < 3.5 * SLOW, f"after 1 s, was {time.monotonic() - began:.2f}")
        equal(peer.goaway.code, 0)


# ---------------------------------------------------------------------- CONNECT, WebSocket


def test_connect_is_refused(w):
    w.site()
    with connect(w.port) as peer:
        stream = peer.begin([(":method", "CONNECT"), (":authority", "shop:80")])
        peer.wait(lambda: stream.over or stream.head)
        check(stream.reset is not None or 400 <= stream.status < 600, "no tunnel by CONNECT")
        equal(peer.ask().status, 200, "the connection goes on")
    equal(w.target.count(), 1)


def accepting(target, wire):
    """test_http.tunnel with the answer to the key, which some intermediaries check."""
    head = wire.line(b"\r\n\r\n")
    wire.buffer = head + b"\r\n\r\n" + wire.buffer
    key = re.search(rb"(?i)\nsec-websocket-key: *(\S+)", head)[1]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    tunnel(target, wire, b"Sec-WebSocket-Accept: " + accept + b"\r\n")


def websocket(path="/ws", extra=()):
    return [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "shop"), (":path", path),
            ("sec-websocket-version", "13"), *extra]


def test_websocket_over_http2(w):
    """RFC 8441: an extended CONNECT is an upgrade for the HTTP/1 target; half-closes pass."""
    w.site(script=accepting)
    with connect(w.port) as peer:
        peer.wait(lambda: peer.settings)
        equal(peer.settings.get(CONNECT_PROTOCOL), 1, "it is offered")
        stream = peer.begin(websocket())
        peer.wait(lambda: stream.body == b"first", "bytes right behind the 101")
        equal(stream.status, 200)
        for word in (b"\x00\xff\r\n\r\n", b"x" * 1000):
            was = stream.size
            peer.send(stream, word, end=False)
            peer.wait(lambda: stream.size >= was + len(word) + 2)
            equal(stream.body[was:], b"<" + word + b">")
        peer.send(stream, b"")
        peer.wait(lambda: stream.over)
        check(stream.body.endswith(b"bye") and stream.reset is None, "the other half stays open until the target is done")
        stream = peer.begin(websocket())
        peer.wait(lambda: stream.size)
        peer.cancel(stream)
    until(lambda: not w.target.open, 5, "a cancelled tunnel closes the target's connection")


def test_a_websocket_may_be_declined(w):
    w.site(lambda target, wire, request: target.reply(wire, 403, b"no"))
    with connect(w.port) as peer:
        stream = peer.begin(websocket())
        peer.wait(lambda: stream.over)
        equal((stream.status, stream.body), (403, b"no"))
    seen = w.target.last()
    equal((seen.method, seen.one("upgrade"), seen.one("sec-websocket-version")), ("GET", "websocket", "13"))
    check(seen.one("sec-websocket-key"), "HTTP/1 wants a key")


def test_a_websocket_goes_to_http1_targets_only(w):
    w.site()
    w.group("h2", add_h2_target(w, "h2"), protocol_version="HTTP2")
    w.rule(w.place, "h2", 10, "path-prefix = /", "forward = h2")
    with connect(w.port) as peer:
        stream = peer.begin(websocket())
        peer.wait(lambda: stream.over)
        equal(stream.status, 501)
        equal(peer.ask().status, 200)


def test_other_protocols_of_connect_are_refused(w):
    w.site()
    with connect(w.port) as peer:
        stream = peer.begin([(name, "webtransport" if name == ":protocol" else value) for name, value in websocket()])
        peer.wait(lambda: stream.over or stream.head)
        check(stream.reset is not None or 400 <= stream.status < 600, "refused")
        equal(peer.ask().status, 200)
