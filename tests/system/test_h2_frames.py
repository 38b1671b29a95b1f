"""test_h2_frames.py - HTTP/2 at its edges: frames in pieces, malformed requests, bounds, prefaces."""
import h2kit
from h2kit import connect
from harness import Client, Closed, check, equal, until
from test_h2 import echo1
from test_http import fields


def test_frames_in_pieces_padding_and_unknown_ones(w):
    w.site(echo1)
    request = [(":method", "POST"), (":scheme", "http"), (":authority", "shop"), (":path", "/")]
    head = h2kit.block(request)
    wire = b"".join([
        h2kit.raw(0xbe, 0xff, 0, b"unknown"), h2kit.raw(h2kit.PRIORITY, 0, 1, b"\0\0\0\0\x10"),
        h2kit.raw(h2kit.HEADERS, h2kit.PADDED | 0x20, 1, b"\x04\0\0\0\0\x10" + head[:9] + b"\0" * 4),
        h2kit.raw(h2kit.CONTINUATION, 0, 1, head[9:20]), h2kit.raw(h2kit.CONTINUATION, h2kit.END_HEADERS, 1, head[20:]),
        h2kit.raw(0xbf, 0, 1, b"x" * 100), h2kit.raw(h2kit.DATA, h2kit.PADDED, 1, b"\x07hello" + b"\0" * 7),
        h2kit.raw(h2kit.DATA, h2kit.PADDED | h2kit.END_STREAM, 1, b"\x00 world")])
    for part in (len(wire), 1, 5):
        with connect(w.port) as peer:
            peer.streams[1] = stream = h2kit.Stream(1, 65535)
            for at in range(0, len(wire), part):
                peer.sock.sendall(wire[at:at + part])
            peer.wait(lambda: stream.over)
            equal((stream.status, stream.body), (200, b"hello world"), f"in pieces of {part}")
            peer.frame(h2kit.PING, 0, 0, b"12345678").wait(lambda: peer.pings == 1, "an answer to PING")


def request_with(*more, drop=(), **changed):
    base = {":method": "GET", ":scheme": "http", ":authority": "shop", ":path": "/"}
    base.update({":" + key: value for key, value in changed.items()})
    return [(name, value) for name, value in base.items() if name not in drop] + list(more)


MALFORMED = [
    request_with(("X-Upper", "1")), request_with(("connection", "close")), request_with(("transfer-encoding", "chunked")),
    request_with(("upgrade", "websocket")), request_with(("keep-alive", "1")), request_with(("te", "gzip")),
    request_with(drop=(":path",)), request_with(drop=(":method",)), request_with(drop=(":scheme",)), request_with(path=""),
    request_with((":method", "POST")), request_with(("x", "y"), (":late", "1")), request_with((":status", "200")),
    request_with(("x", "a\r\nsmuggled: 1")), request_with(("x", "a\0b")), request_with(("x", "a\nb")), request_with(("x y", "1")),
    request_with(("x:y", "1")), request_with(("", "1")), request_with(path="/a b"), request_with(path="/\r\n"),
    request_with(path="x"), request_with(method="GE T"), request_with(method=""), request_with(authority="a b"),
    request_with(authority="shop/x"), request_with(("host", "other")), request_with(("content-length", "x")),
    request_with(("content-length", "5"), ("content-length", "6")), request_with(drop=(":authority",)),
]


def test_malformed_requests_reach_nobody(w):
    """A reset or 400, and the connection goes on: nothing of it can be smuggled into HTTP/1."""
    w.site()
    for fields_ in MALFORMED:
        with connect(w.port) as peer:
            stream = peer.begin(fields_, True)
            try:
                peer.wait(lambda: stream.over or peer.goaway, f"an end of {fields_}")
            except Closed:
                pass
            check(stream.reset is not None or peer.goaway or stream.status == 400, f"{fields_}: {stream.heads}")
            if not peer.goaway:
                equal(peer.ask("/after").status, 200, f"after {fields_}")
    equal({request.target for request in w.target.requests}, {"/after"}, "what reached the target")
    before = w.target.count()
    for body, length in ((b"hello", "4"), (b"hello", "6"), (b"", "1")):
        with connect(w.port) as peer:
            stream = peer.begin(request_with(("content-length", length), method="POST"))
            peer.send(stream, body)
            peer.wait(lambda: stream.over or peer.goaway)
            check(stream.reset is not None or stream.status in (400, 502), f"content-length {length} with {len(body)} bytes")
    until(lambda: not w.target.open or w.number("connections") == 0, 5, "its connections end")
    check(w.target.count() == before, "no such request was whole for the target")


def test_heads_have_a_bound(w):
    w.site()
    with connect(w.port) as peer:
        for extra, status in (([(f"x-{i}", "y") for i in range(90)], 200), ([(f"x-{i}", "y") for i in range(120)], 431)):
            equal(peer.ask(headers=extra).status, status, f"{len(extra)} fields")
        for size, status in ((12000, 200), (62000, 431)):
            stream = peer.streams[peer.next] = h2kit.Stream(peer.next, 65535)
            peer.next += 2
            block = h2kit.block(request_with(("x-big", "y" * size)))
            parts = [block[at:at + 16384] for at in range(0, len(block), 16384)]
            for i, part in enumerate(parts):
                peer.frame(h2kit.CONTINUATION if i else h2kit.HEADERS,
                           (0 if i else h2kit.END_STREAM) | (h2kit.END_HEADERS if i == len(parts) - 1 else 0), stream.id, part)
            peer.wait(lambda: stream.over)
            equal(stream.status, status, f"a field of {size} bytes")
        equal(peer.ask().status, 200, "the connection goes on")


def test_bad_prefaces_and_upgrades(w):
    w.stop()
    w.start("[engine]\nworkers = 1\nhead-timeout-ms = 1000\n")
    w.site()
    for data in (h2kit.PREFACE[:10], h2kit.PREFACE[:18], h2kit.PREFACE, h2kit.PREFACE + b"\0\0\0"):
        with Client(w.port) as client:
            client.send(data)
            check(client.closed(5), f"a slow start is closed: {data!r}")
    for data in (h2kit.PREFACE[:18] + b"XX\r\n\r\n", h2kit.PREFACE + b"GET / HTTP/1.1\r\n\r\n" * 3,
                 h2kit.PREFACE + h2kit.raw(h2kit.PING, 0, 0, b"12345678")):
        with Client(w.port) as client:
            client.send(data)
            check(client.closed(5), f"closed: {data!r}")
    with Client(w.port) as client:
        answer = client.ask(headers="Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n")
        equal((answer.status, answer.body), (200, b"blue GET / 0"), "h2c by Upgrade is not taken (RFC 9113 3.1)")
    check("http2-settings" not in fields(w.target.last()) and "upgrade" not in fields(w.target.last()), "nor passed on")
