"""test_http.py - the request path by RFC 9110 and 9112: framing, connections, headers, tunnels."""
import hashlib
import os
import re
import socket
import threading
import time

from harness import Client, Closed, check, equal, limit, until


def fields(message):
    return {name.lower() for name, _ in message.fields}


# ---------------------------------------------------------------------- connections


def test_keep_alive_and_the_pool(w):
    w.site()
    with Client(w.port) as client:
        for i in range(20):
            answer = client.ask(path=f"/{i}")
            equal((answer.status, answer.body), (200, f"blue GET /{i} 0".encode()))
    equal(w.target.connections, 1, "one connection to the target for one after another")
    with Client(w.port) as client:
        client.ask(headers="Connection: close\r\n")
        check(client.closed(), "closed when the client asks for it")
    equal(w.get().status, 200)
    check(w.target.connections <= 2, "the pool outlives the clients' connections")


def test_pipelined_requests_are_answered_in_order(w):
    w.site()
    with Client(w.port) as client:
        lines = [f"GET /{i} HTTP/1.1\r\nHost: shop\r\n\r\n" if i % 3 else
                 f"POST /{i} HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello" for i in range(50)]
        client.send("".join(lines))
        for i in range(50):
            want = f"blue GET /{i} 0" if i % 3 else f"blue POST /{i} 5"
            equal(client.answer().body.decode(), want)


def test_http_10_clients(w):
    w.site()
    with Client(w.port) as client:
        client.send("GET /a HTTP/1.0\r\nHost: shop\r\n\r\n")
        equal(client.answer().body, b"blue GET /a 0")
        check(client.closed(), "HTTP/1.0 closes")
    with Client(w.port) as client:
        for _ in range(2):
            client.send("GET /a HTTP/1.0\r\nHost: shop\r\nConnection: keep-alive\r\n\r\n")
            answer = client.answer()
            equal((answer.status, (answer.one("connection") or "").lower()), (200, "keep-alive"))
    with Client(w.port) as client:
        client.send("GET /a HTTP/1.0\r\n\r\n")
        check(client.answer().status in (400, 404), "no service is named")
    check(w.target.last().first.endswith("HTTP/1.1"), "HTTP/1.1 to the target")


def test_http_10_gets_no_chunks_and_no_interim(w):
    def chunked(target, wire, request):
        wire.sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n"
                          b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
    w.site(chunked)
    with Client(w.port) as client:
        client.send("GET / HTTP/1.0\r\nHost: shop\r\n\r\n")
        raw = client.rest()
        check(raw.startswith(b"HTTP/1.1 200"), f"no 103: {raw!r}")
        check(b"chunked" not in raw.lower() and raw.endswith(b"\r\n\r\nhello world"), f"no chunks: {raw!r}")


def test_the_idle_timeout_of_a_service(w):
    w.site()
    w.write("services/shop/idle-timeout", "1\n")
    with Client(w.port) as client:
        equal(client.ask().status, 200)
        began = time.monotonic()
        check(client.closed(4), "an idle connection is closed")
        check(0.7 < time.monotonic() - began < 3.5, f"after 1 s, was {time.monotonic() - began:.2f}")


def test_head_and_bodyless_answers(w):
    def answer(target, wire, request):
        code = int(request.target[1:4])
        length = "" if code == 204 else "Content-Length: 1000\r\n"
        wire.sock.sendall(f"HTTP/1.1 {code} X\r\n{length}Etag: x\r\n\r\n".encode())
    w.site(answer)
    with Client(w.port) as client:
        for method, path in (("HEAD", "/200"), ("GET", "/204"), ("GET", "/304"), ("HEAD", "/304"), ("DELETE", "/204")) * 2:
            got = client.ask(method, path)
            equal((got.status, got.body, got.one("etag")), (int(path[1:]), b"", "x"), f"{method} {path}")
            if path != "/204":
                equal(got.one("content-length"), "1000", "Content-Length describes what a GET would give")
            else:
                check("transfer-encoding" not in fields(got), "no coding in a 204")


# ---------------------------------------------------------------------- bodies


def test_chunked_requests_with_trailers(w):
    w.site()
    with Client(w.port) as client:
        client.send("POST /c HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n"
                    "5;ext=1\r\nhello\r\n0006\r\n world\r\nA\r\n0123456789\r\n0\r\nX-Sum: 21\r\nContent-Length: 3\r\n\r\n")
        equal(client.answer().body, b"blue POST /c 21")
        equal(client.ask().status, 200, "the connection is in step")
    seen = w.target.requests[0]
    equal(seen.body, b"hello world0123456789")
    equal([line.lower() for line in seen.trailers], ["x-sum: 21"], "trailers, without framing fields")
    check("content-length" not in fields(seen), "one framing only")


def test_chunked_answers_with_trailers(w):
    def chunked(target, wire, request):
        wire.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n")
        time.sleep(0.02)
        wire.sock.sendall(b"1\r\nd\r\n0\r\nX-End: yes\r\n\r\n")
    w.site(chunked)
    with Client(w.port) as client:
        for _ in range(3):
            answer = client.ask()
            equal((answer.body, [line.lower() for line in answer.trailers]), (b"abcd", ["x-end: yes"]))
    equal(w.target.connections, 1, "the target's connection is used again")


def test_an_answer_that_ends_by_close(w):
    def until_close(target, wire, request):
        wire.sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100000)
        return False
    w.site(until_close)
    with Client(w.port) as client:
        equal(len(client.ask().body), 100000)
    with Client(w.port) as client:
        client.send("GET / HTTP/1.0\r\nHost: shop\r\n\r\n")
        equal(len(client.answer().body), 100000)


def test_a_cut_answer_is_not_made_whole(w):
    cuts = [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n"]

    def cut(target, wire, request):
        wire.sock.sendall(cuts[int(request.target[1:])])
        return False
    w.site(cut)
    for i in range(len(cuts)):
        with Client(w.port) as client:
            try:
                answer = client.ask(path=f"/{i}")
                equal(answer.status, 502, "either cut, or 502 when nothing was sent yet")
            except Closed:
                pass


@limit(60)
def test_large_bodies_both_ways(w):
    size = 24 << 20
    blob = os.urandom(1 << 20) * (size >> 20)
    digest = hashlib.sha256(blob).hexdigest()

    def echo(target, wire, request):
        seen = hashlib.sha256(request.body).hexdigest()
        if request.target == "/chunked":
            wire.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Seen: %s\r\n\r\n" % seen.encode())
            for at in range(0, size, 77777):
                part = blob[at:at + 77777]
                wire.sock.sendall(b"%x\r\n%s\r\n" % (len(part), part))
            wire.sock.sendall(b"0\r\n\r\n")
        else:
            target.reply(wire, 200, blob, f"X-Seen: {seen}\r\n")
    w.site(echo)
    with Client(w.port, 30) as client:
        for path in ("/length", "/chunked"):
            answer = client.ask("POST", path, body=blob)
            equal((answer.status, answer.one("x-seen")), (200, digest), f"up, {path}")
            equal(hashlib.sha256(answer.body).hexdigest(), digest, f"down, {path}")
        client.send("PUT /length HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, size, 99991):
            part = blob[at:at + 99991]
            client.send(b"%x\r\n%s\r\n" % (len(part), part))
        answer = client.send("0\r\n\r\n").answer()
        equal((answer.one("x-seen"), hashlib.sha256(answer.body).hexdigest()), (digest, digest), "chunked up")


@limit(60)
def test_slow_readers_cost_no_memory(w):
    size = 64 << 20

    def big(target, wire, request):
        wire.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        part = b"z" * (1 << 20)
        for _ in range(size >> 20):
            wire.sock.sendall(part)
            target.sent = getattr(target, "sent", 0) + len(part)
    w.site(big)
    w.target.sent = 0
    before = w.rss()
    clients = [Client(w.port, 30).send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n") for _ in range(6)]
    stuck = settle(lambda: w.target.sent)
    check(stuck < 6 * size, f"the targets wait: {stuck} bytes sent")
    check(w.rss() - before < 24 << 20, f"{(w.rss() - before) >> 10} KiB more for 6 stuck downloads")
    for client in clients[1:]:
        client.sock.close()
    equal(len(clients[0].answer().body), size, "the patient one gets all of it")
    clients[0].sock.close()


@limit(60)
def test_slow_targets_cost_no_memory(w):
    gate = threading.Event()
    seen = []

    def sleepy(target, wire):
        wire.line(b"\r\n\r\n")
        gate.wait(30)
        left = size - len(wire.buffer)
        wire.buffer = b""
        while left > 0:
            left -= len(wire.sock.recv(1 << 20))
        seen.append(left)
        target.reply(wire, 200, b"done")
    size = 48 << 20
    w.site(script=sleepy)
    before = w.rss()
    sent = [0]

    def upload():
        client.send(f"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: {size}\r\n\r\n")
        for _ in range(size >> 20):
            client.send(b"q" * (1 << 20))
            sent[0] += 1 << 20
    client = Client(w.port, 40)
    thread = threading.Thread(target=upload, daemon=True)
    thread.start()
    stuck = settle(lambda: sent[0])
    check(stuck < size, "the client waits")
    check(w.rss() - before < 8 << 20, f"{(w.rss() - before) >> 10} KiB more for a stuck upload")
    gate.set()
    thread.join(30)
    equal(client.answer().body, b"done")
    client.sock.close()


def settle(value):
    """The value once it has not moved for a while."""
    last, since = value(), time.monotonic()
    while time.monotonic() - since < 0.7:
        time.sleep(0.05)
        if value() != last:
            last, since = value(), time.monotonic()
    return last


# ---------------------------------------------------------------------- 1xx, Upgrade


def test_expect_100_continue(w):
    def patient(target, wire):
        while True:
            head = wire.line(b"\r\n\r\n")
            check(b"expect: 100-continue" in head.lower(), head)
            if b"/no" in head:
                target.reply(wire, 417, b"no")
                return
            wire.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            target.reply(wire, 200, wire.take(5))
    w.site(script=patient)
    with Client(w.port) as client:
        head = "POST {} HTTP/1.1\r\nHost: shop\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        for _ in range(2):
            client.send(head.format("/yes"))
            equal(client.message("POST").status, 100, "100 before the body")
            client.send("hello")
            equal(client.answer("POST").body, b"hello")
        client.send(head.format("/no"))
        equal(client.answer("POST").status, 417, "a final answer without the body")


def test_interim_answers_pass(w):
    def hints(target, wire, request):
        wire.sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        time.sleep(0.02)
        wire.sock.sendall(b"HTTP/1.1 102 Processing\r\n\r\n")
        target.reply(wire, 200, b"ok")
    w.site(hints)
    with Client(w.port) as client:
        for _ in range(3):
            equal(client.ask().body, b"ok")
            equal([(m.status, m.one("link")) for m in client.interim], [(103, "</a>"), (102, None)])


def tunnel(target, wire, more=b""):
    """101, then echoes with a mark; on the client's half-close says good-bye and closes."""
    head = wire.line(b"\r\n\r\n")
    check(b"upgrade: websocket" in head.lower() and b"connection: upgrade" in head.lower(), head)
    wire.sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + more +
                      b"\r\nfirst")
    while True:
        data = wire.buffer or wire.sock.recv(65536)
        wire.buffer = b""
        if not data:
            break
        if data == b"you first":
            wire.sock.shutdown(socket.SHUT_WR)
            target.after = wire.rest()
            return
        wire.sock.sendall(b"<" + data + b">")
    wire.sock.sendall(b"bye")


UPGRADE = "GET /ws HTTP/1.1\r\nHost: shop\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"


def test_upgrade_tunnels_with_half_close(w):
    w.site(script=tunnel)
    with Client(w.port) as client:
        answer = client.send(UPGRADE).answer()
        equal((answer.status, answer.one("upgrade")), (101, "websocket"))
        equal(client.take(5), b"first", "bytes right behind the 101")
        for word in (b"\x00\xff\r\n\r\n", b"x" * 1000):
            equal(client.send(word).take(len(word) + 2), b"<" + word + b">")
        client.sock.shutdown(socket.SHUT_WR)
        equal(client.rest(), b"bye", "the other half stays open until the target is done")
    with Client(w.port) as client:
        client.send(UPGRADE + "early").answer()
        equal(client.take(12), b"first<early>", "bytes right behind the request")
        client.send("you first")
        equal(client.rest(), b"", "the target's half is closed")
        client.send("still here")
        client.sock.shutdown(socket.SHUT_WR)
    until(lambda: getattr(w.target, "after", None) == b"still here", 5, "the client's half stays open")
    with Client(w.port) as client:
        client.send(UPGRADE)
        client.sock.shutdown(socket.SHUT_WR)
        equal(client.answer().status, 101)
        equal(client.rest(), b"firstbye", "its end came before there was a tunnel")


def test_an_upgrade_may_be_declined(w):
    w.site()
    with Client(w.port) as client:
        equal(client.send(UPGRADE).answer().status, 200)
        equal(client.ask().status, 200, "and the connection goes on")


# ---------------------------------------------------------------------- headers


def test_hop_by_hop_headers_stay_on_their_hop(w):
    def answer(target, wire, request):
        target.reply(wire, 200, b"x", "Connection: x-hop, close\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
                     "Proxy-Connection: x\r\nX-End: 2\r\n")
        return False
    w.site(answer)
    with Client(w.port) as client:
        answer = client.ask(headers="Connection: x-mine, keep-alive\r\nX-Mine: 1\r\nKeep-Alive: 3\r\nTE: gzip\r\n"
                            "Proxy-Connection: x\r\nUpgrade: h2c\r\nX-Kept: 4\r\n")
        for name in ("x-hop", "keep-alive", "proxy-connection"):
            check(name not in fields(answer), f"{name} in the answer")
        equal((answer.one("x-end"), answer.one("connection")), ("2", None), "the target's close is its own affair")
        equal(client.ask().status, 200, "this connection stays")
    seen = fields(w.target.requests[0])
    for name in ("x-mine", "keep-alive", "te", "proxy-connection", "upgrade"):
        check(name not in seen, f"{name} reached the target")
    equal(w.target.requests[0].one("x-kept"), "4")


def test_forwarded_headers_and_request_id(w):
    def answer(target, wire, request):
        target.reply(wire, 200, b"x")
    w.site(answer)
    with Client(w.port) as client:
        got = client.ask(host=f"SHOP:{w.port}")
        seen = w.target.last()
        equal(seen.all("host"), [f"SHOP:{w.port}"], "Host as the client sent it")
        equal(seen.all("x-forwarded-for"), ["127.0.0.1"])
        equal(seen.all("x-forwarded-proto"), ["http"])
        equal(seen.all("x-forwarded-port"), [str(w.port)])
        mine = seen.all("x-amzn-requestid")
        equal(len(mine), 1, "a request id is made")
        equal(got.all("x-amzn-requestid"), mine, "and told to the client")
        client.ask()
        check(w.target.last().all("x-amzn-requestid") != mine, "another one each time")
        client.ask(headers="X-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 1\r\n"
                   "X-Amzn-RequestId: mine\r\nX-Amzn-Lattice-Identity: Principal=root\r\n"
                   "x-amzn-lattice-network: SourceVpcArn=x\r\n")
        seen = w.target.last()
        equal(", ".join(seen.all("x-forwarded-for")), "192.0.2.9, 127.0.0.1", "appended")
        equal(seen.all("x-forwarded-proto"), ["http"])
        equal(seen.all("x-forwarded-port"), [str(w.port)])
        equal(seen.all("x-amzn-requestid"), ["mine"])
        check(not [name for name in fields(seen) if name.startswith("x-amzn-lattice")], "identity is not the client's to say")
    with Client(w.port, host="::1") as client:
        client.ask()
        equal(w.target.last().all("x-forwarded-for"), ["::1"])


def test_other_headers_pass_unchanged(w):
    odd = ("X-Empty:\r\nX-Spaces:    a  b   \r\nX-Twice: 1\r\nX-Twice: 2\r\nCookie: a=b; c=d\r\n"
           "X-Latin: caf\xe9\r\nx_under: 1\r\nACCEPT: */*\r\n")

    def answer(target, wire, request):
        target.reply(wire, 299, b"x", "Set-Cookie: a\r\nSet-Cookie: b\r\nServer: t\r\nX-Latin: caf\xe9\r\n")
    w.site(answer)
    got = w.get(headers=odd)
    seen = w.target.last()
    equal([seen.all(name) for name in ("x-empty", "x-spaces", "x-twice", "cookie", "x-latin", "accept")],
          [[""], ["a  b"], ["1", "2"], ["a=b; c=d"], ["caf\xe9"], ["*/*"]])
    equal((got.status, got.all("set-cookie"), got.one("server"), got.one("x-latin")), (299, ["a", "b"], "t", "caf\xe9"))


def test_request_targets(w):
    w.site()
    with Client(w.port) as client:
        for target in ("/", "/a?b=c&d=%20", "/%2e%2e/x", "//double", "/a;b=c", "*"):
            method = "OPTIONS" if target == "*" else "GET"
            equal(client.ask(method, target).body.decode(), f"blue {method} {target} 0")
        equal(client.ask(path="http://shop/abs?x").body, b"blue GET /abs?x 0", "absolute-form becomes origin-form")
        equal(client.ask(path="http://shop").body, b"blue GET / 0")
        equal(client.ask("BREW", "/pot").body, b"blue BREW /pot 0", "any method")


# ---------------------------------------------------------------------- packets


def test_requests_split_at_every_offset(w):
    w.site()
    raw = (b"POST /one HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n4\r\nwiki\r\n5;e\r\npedia\r\n"
           b"0\r\nX-T: 1\r\n\r\nPUT /two HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: shop\r\n\r\n")
    want = [b"blue POST /one 9", b"blue PUT /two 3", b"blue GET /3 0"]
    with Client(w.port) as client:
        for at in range(1, len(raw)):
            client.send(raw[:at])
            time.sleep(0.002)
            client.send(raw[at:])
            equal([client.answer().body for _ in want], want, f"split at {at}")
        for i in range(len(raw)):
            client.send(raw[i:i + 1])
        equal([client.answer().body for _ in want], want, "byte by byte")


def test_answers_split_at_every_offset(w):
    raw = (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n"
           b"4\r\nwiki\r\n5;e\r\npedia\r\n0\r\nX-T: 1\r\n\r\n")

    def split(target, wire, request):
        at = int(request.target[1:])
        wire.sock.sendall(raw[:at])
        time.sleep(0.002)
        wire.sock.sendall(raw[at:])
    w.site(split)
    with Client(w.port) as client:
        for at in range(1, len(raw)):
            answer = client.ask(path=f"/{at}")
            equal((answer.status, answer.body, len(client.interim)), (200, b"wikipedia", 1), f"split at {at}")


# ---------------------------------------------------------------------- what is refused

LINE = "GET / HTTP/1.1\r\nHost: shop\r\n"
POST = "POST / HTTP/1.1\r\nHost: shop\r\n"
AMBIGUOUS = [
    POST + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", POST + "Content-Length: 5, 6\r\n\r\nhello!",
    POST + "Content-Length: +5\r\n\r\nhello", POST + "Content-Length: 0x5\r\n\r\nhello", POST + "Content-Length: -1\r\n\r\n",
    POST + "Content-Length: 5 5\r\n\r\nhello", POST + "Content-Length:\r\n\r\n",
    POST + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", POST + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    POST + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", POST + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.0\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    LINE + "X: a\nY: b\r\n\r\n", LINE + "X: a\rb\r\n\r\n", "GET / HTTP/1.1\nHost: shop\n\n", LINE + "X: a\r\n folded\r\n\r\n",
    LINE + "X : a\r\n\r\n", LINE + " X: a\r\n\r\n", LINE + "X\r\n\r\n", LINE + ": a\r\n\r\n", LINE + "X: a\0b\r\n\r\n",
    LINE + "X(y): a\r\n\r\n", LINE + "Host: shop\r\n\r\n", LINE + "Host: other\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "GET / HTTP/1.1\r\nHost: shop/x\r\n\r\n", "GET / HTTP/1.1\r\nHost: shop:x\r\n\r\n",
    "GET http://other/ HTTP/1.1\r\nHost: shop\r\n\r\n", "GET  / HTTP/1.1\r\nHost: shop\r\n\r\n",
    "GET / HTTP/1.1 \r\nHost: shop\r\n\r\n", "GET /a b HTTP/1.1\r\nHost: shop\r\n\r\n", "GET / HTTP/1.2x\r\nHost: shop\r\n\r\n",
    "GET / http/1.1\r\nHost: shop\r\n\r\n", "GE(T / HTTP/1.1\r\nHost: shop\r\n\r\n", "GET /\x01 HTTP/1.1\r\nHost: shop\r\n\r\n",
    "GET\t/ HTTP/1.1\r\nHost: shop\r\n\r\n", "GET x HTTP/1.1\r\nHost: shop\r\n\r\n", "\0\0\0\0\r\n\r\n", "\x16\x03\x01\x02\r\n\r\n",
]
BAD_CHUNKS = ["g\r\n", "-1\r\n", "+5\r\nhello\r\n", "0x5\r\nhello\r\n", "5 \r\nhello\r\n", " 5\r\nhello\r\n", "5\nhello\r\n",
              "5\r\nhelloX\r\n", "5\r\nhello\n", "fffffffffffffffff\r\n", "5;a\nb\r\nhello\r\n", "\r\n", "5;\x01\r\nhello\r\n",
              "0\r\nX y: z\r\n\r\n", "0\r\n folded\r\n\r\n", "0\r\nX: a\nY: b\r\n\r\n"]


def test_ambiguous_requests_are_refused_and_closed(w):
    w.site()
    for raw in AMBIGUOUS:
        with Client(w.port) as client:
            client.send(raw.encode("latin-1") + b"GET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n")
            try:
                status = client.answer().status
            except Closed:
                status = None
            want = (400, 501) if "ransfer-Encoding: x" in raw or "identity" in raw else (400, 505) if "1.2x" in raw else (400,)
            check(status in want, f"{raw!r}: {status}")
            check(client.closed(), f"closed after {raw!r}")
            equal(re.findall(rb"HTTP/1.1 (\d+)", client.left), [], f"nothing more after {raw!r}")
    equal([request.first for request in w.target.requests], [], "nothing reached the target")
    equal(w.get().status, 200)


def test_bad_chunks_end_the_connection(w):
    def answer(target, wire):
        target.next(wire)
        target.whole = True
        target.reply(wire, 200, b"x")
    w.site(script=answer)
    w.target.whole = False
    for raw in BAD_CHUNKS:
        with Client(w.port) as client:
            client.send(POST + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" + raw + "GET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n")
            try:
                equal(client.answer().status, 400, f"{raw!r}")
            except Closed:
                pass
            check(client.closed(), f"closed after {raw!r}")
    equal(w.target.whole, False, "no target saw a whole request")


def test_heads_have_a_bound(w):
    w.site()
    equal(w.get(headers="".join(f"X-{i}: y\r\n" for i in range(95))).status, 200, "95 more fields")
    equal(w.get(headers="X: " + "y" * 50000 + "\r\n").status, 200, "50 KiB")
    equal(w.get("/" + "p" * 40000).status, 200, "a long target")
    for headers in ("".join(f"X-{i}: y\r\n" for i in range(101)), "X: " + "y" * 62000 + "\r\n",
                    "".join(f"X-{i}: {'y' * 1500}\r\n" for i in range(50))):
        with Client(w.port) as client:
            equal(client.ask(headers=headers).status, 431)
            check(client.closed(), "closed after 431")


BAD_ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n", b"HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n", b"HTTP/1.1 2000 OK\r\n\r\n", b"HTTP/2.0 200 OK\r\n\r\n",
    b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000 + b"\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"HTTP/1.1 099 X\r\n\r\n", b"HTTP/1.1 200 OK\r\n: x\r\n\r\n",
    b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n",
]


def test_ambiguous_answers_give_502(w):
    def bad(target, wire, request):
        wire.sock.sendall(BAD_ANSWERS[int(request.target[1:])])
        return False
    w.site(bad)
    for i, raw in enumerate(BAD_ANSWERS):
        equal(w.get(f"/{i}", method="POST").status, 502, repr(raw[:80]))
    with Client(w.port) as client:
        for i in range(3):
            equal(client.ask("POST", f"/{i}").status, 502)
            equal(client.ask("POST", "/6").status, 502, "the client's connection goes on")


# ---------------------------------------------------------------------- targets that fail


def once(target, wire):
    """Answers one request and closes under the second."""
    target.reply(wire, 200, b"x", method=target.next(wire).method)
    target.next(wire)


def test_a_stale_connection_is_retried_when_that_is_safe(w):
    w.site(script=once)
    with Client(w.port) as client:
        for method in ("GET", "PUT", "HEAD", "DELETE", "OPTIONS"):
            equal(client.ask(method).status, 200, method)
            equal(client.ask(method).status, 200, f"{method} again on a stale connection")
    seen = [request.method for request in w.target.requests]
    with Client(w.port) as client:
        equal(client.ask("OPTIONS").status, 200)
        equal(client.ask("POST", body=b"pay").status, 502, "a POST is not sent twice")
    posts = [request for request in w.target.requests[len(seen):] if request.method == "POST"]
    equal(len(posts), 1)


def test_a_closed_idle_connection_is_not_used(w):
    w.site()
    for _ in range(10):
        equal(w.get(method="POST", body=b"x").status, 200)
        w.target.drop()
        time.sleep(0.03)


def test_502_503_and_504(w):
    def silent(target, wire):
        target.next(wire)
        time.sleep(8)
    w.stop()
    w.start("[engine]\nworkers = 2\nresponse-timeout-ms = 1000\nconnect-timeout-ms = 1000\n")
    w.site()
    w.group("silent", w.add_target("silent", script=silent))
    w.group("gone", "127.0.0.1:1")
    w.group("empty")
    w.group("closing", w.add_target("closing", script=lambda target, wire: target.next(wire)))
    for group, status in (("silent", 504), ("gone", 503), ("empty", 503), ("closing", 502), ("blue:0", 503)):
        w.write(f"{w.place}/default-action", f"forward = {group}\n")
        with Client(w.port) as client:
            answer = client.ask("POST")
            equal(answer.status, status, group)
            check(answer.one("content-length") is not None, "our own answers are framed")
            equal(client.ask("POST").status, status, "the connection goes on")


def test_a_dead_target_beside_a_good_one(w):
    w.site()
    w.write("target-groups/blue/targets/127.0.0.1:1", "")
    for _ in range(12):
        equal(w.get().status, 200, "a refused connect is tried on another target")


def test_a_slow_head_gets_408(w):
    w.stop()
    w.start("[engine]\nworkers = 1\nhead-timeout-ms = 1000\n")
    w.site()
    with Client(w.port) as client:
        client.send("GET / HTTP/1.1\r\nHost: sh")
        equal(client.answer().status, 408)
        check(client.closed(), "closed after 408")
    with Client(w.port) as client:
        equal(client.ask().status, 200)
        began = time.monotonic()
        client.send("G")
        while time.monotonic() - began < 5:
            try:
                client.send("E")
                time.sleep(0.2)
            except OSError:
                break
        check(time.monotonic() - began < 5, "a trickle does not keep it alive")


def test_an_answer_before_the_body_is_read(w):
    def early(target, wire):
        wire.line(b"\r\n\r\n")
        target.reply(wire, 413, b"too much")
        time.sleep(0.3)
    w.site(script=early)
    with Client(w.port) as client:
        client.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 100000000\r\n\r\n" + "x" * 1000)
        equal(client.answer("POST").status, 413)


def test_clients_that_leave(w):
    w.site()
    for raw in ("", "G", LINE, POST + "Content-Length: 10\r\n\r\nabc", POST + "Transfer-Encoding: chunked\r\n\r\n5\r\nhe",
                LINE + "\r\n", (LINE + "\r\n") * 30):
        for _ in range(5):
            with Client(w.port) as client:
                client.send(raw)
    until(lambda: w.number("connections") == 0, 5, "their connections are gone")
    equal(w.get().status, 200)


def test_a_client_that_half_closes_gets_its_answer(w):
    def slow(target, wire, request):
        time.sleep(0.1)
        target.reply(wire, 200, b"late")
    w.site(slow)
    with Client(w.port) as client:
        client.send(LINE + "\r\n")
        client.sock.shutdown(socket.SHUT_WR)
        equal(client.answer().body, b"late")


def test_fixed_responses(w):
    w.site()
    w.write(f"{w.place}/default-action", "fixed-response = 404\n")
    with Client(w.port) as client:
        for method, body in (("GET", b""), ("POST", b"hello"), ("HEAD", b""), ("GET", b"")):
            answer = client.ask(method, body=body)
            equal(answer.status, 404, method)
            check(method != "HEAD" or not answer.body, "no body for HEAD")
        client.send(POST + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + LINE + "\r\n")
        answer = client.answer()
        equal(answer.status, 404)
        check((answer.one("connection") or "") == "close" or client.answer().status == 404, "the body is skipped, or it closes")
    for status in (200, 204, 304, 500, 599):
        w.write(f"{w.place}/default-action", f"fixed-response = {status}\n")
        equal(w.get().status, status)
