"""test_h2_abuse.py - floods of HTTP/2 frames: the flooder is told ENHANCE_YOUR_CALM, nobody else notices.

Each sends far more than a client ever would, and stops when it is closed. Beside it another client asks all the time.
"""
import socket
import struct
import threading
import time

import h2kit
from h2kit import CALM, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW, PING, RST, SETTINGS, WINDOW
from h2kit import connect, raw, setting
from harness import SLOW, Client, Closed, check, equal, limit, until
from tlskit import metric

MOST = 200000  # frames


def head(path="/", method="GET", more=()):
    return h2kit.block([(":method", method), (":scheme", "http"), (":authority", "shop"), (":path", path), *more])


def opening(stream, end=True, **how):
    return raw(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, head(**how))


class Bystander:
    """Another client, over HTTP/1 and HTTP/2 by turns, as long as the block runs."""

    def __init__(self, w):
        self.w = w
        self.over = threading.Event()
        self.slowest, self.count, self.problem = 0, 0, None

    def __enter__(self):
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def run(self):
        try:
            with connect(self.w.port) as peer, Client(self.w.port) as client:
                while not self.over.is_set() or self.count < 20:
                    began = time.monotonic()
                    equal((peer.ask("/by").status, client.ask(path="/by").status), (200, 200))
                    self.slowest = max(self.slowest, time.monotonic() - began)
                    self.count += 1
                    peer.streams.clear()
        except Exception as problem:
            self.problem = problem

    def __exit__(self, kind, *_):
        self.over.set()
        self.thread.join(20 * SLOW)
        if kind is None:
            check(self.problem is None, f"the bystander: {self.problem!r}")
            check(self.slowest < 1 * SLOW, f"the bystander waited {self.slowest:.2f} s")


def flood(peer, batches, patience=0):
    """Sends until the peer has enough; then its GOAWAY is in .goaway. patience: behind each batch so many resets
    are waited for."""
    told = threading.Event()

    def listen():
        try:
            while True:
                peer.pump()
        except (Closed, OSError):
            told.set()
    peer.frame = lambda *_: peer  # nothing is acknowledged: a flooder does not care
    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        wanted = 0
        for batch in batches:
            peer.sock.sendall(batch)
            wanted += patience
            end = time.monotonic() + 2 * SLOW
            while peer.resets < wanted and not told.is_set() and time.monotonic() < end:
                told.wait(0.001)
            if told.is_set() or peer.goaway:
                break
    except OSError:
        pass
    listener.join(20 * SLOW)
    return peer.goaway


def calm(w, batches, patience=0):
    """A flood ends with a GOAWAY that says so, is counted, costs no memory, and nobody else notices."""
    counted, before = metric(w, "latticefs_h2_abuse_total"), w.rss()
    with Bystander(w), connect(w.port, 20) as peer:
        peer.wait(lambda: peer.settings)
        goaway = flood(peer, batches, patience)
        check(goaway is not None, "a GOAWAY came before the end")
        equal(goaway.code, CALM, "ENHANCE_YOUR_CALM")
    check(metric(w, "latticefs_h2_abuse_total") > counted, "counted")
    check(w.rss() - before < 16 << 20, f"{(w.rss() - before) >> 10} KiB more")
    until(lambda: w.number("connections") == 0, 5, "no connection is left")


def streams(count, frames, each=50):
    """Batches of what frames(stream) gives for odd numbers."""
    for first in range(0, count, each):
        yield b"".join(frames(2 * (first + i) + 1) for i in range(each))


@limit(60)
def test_rapid_reset(w):
    """CVE-2023-44487: streams that are opened and cancelled at once."""
    w.site()
    cancel = struct.pack(">I", h2kit.CANCEL)
    calm(w, streams(MOST // 2, lambda stream: opening(stream) + raw(RST, 0, stream, cancel)))
    check(w.target.count() < 20000, "few of them were forwarded")


@limit(60)
def test_some_cancels_are_no_abuse(w):
    """A browser that leaves a page cancels a hundred streams: that is no flood."""
    w.site()
    with connect(w.port) as peer:
        for turn in range(3):
            asked = [peer.ask(f"/{turn}/{i}", wait=False) for i in range(40)]
            for stream in asked:
                peer.cancel(stream)
            equal(peer.ask("/last").status, 200)
        for _ in range(50):
            peer.frame(PING, 0, 0, b"12345678")
        peer.wait(lambda: peer.pings == 50)
        equal(peer.ask("/last").status, 200)
        equal(peer.goaway, None)


@limit(60)
def test_made_you_reset(w):
    """CVE-2025-8671: the server is made to reset, by frames that are wrong for a stream alone. The limit of streams is
    kept: behind each batch its resets are waited for."""
    w.site()
    wide, short = struct.pack(">I", 0x7fffffff), [("content-length", "5")]
    for frames in (lambda stream: opening(stream, False, method="POST") + raw(WINDOW, 0, stream, wide),
                   lambda stream: opening(stream, False, method="POST", more=short) + raw(DATA, END_STREAM, stream, b"x"),
                   lambda stream: opening(stream, more=[("connection", "close")])):
        calm(w, streams(20000, frames, 10), 10)


@limit(60)
def test_continuation_flood(w):
    """CVE-2024-27316: a header block without an end; small frames, empty ones and large ones."""
    w.site()
    large = h2kit.block([("x", "y" * 16000)])
    for part in (b"", h2kit.block([("x", "y")]), large):
        def batches():
            yield raw(HEADERS, END_STREAM, 1, head())
            for _ in range(2000):
                yield raw(CONTINUATION, 0, 1, part) * (100 if len(part) < 100 else 4)
        calm(w, batches())


@limit(60)
def test_settings_flood(w):
    w.site()
    for frame in (raw(SETTINGS), raw(SETTINGS, 0, 0, setting(INITIAL_WINDOW, 65535) * 100)):
        calm(w, (frame * 100 for _ in range(MOST // 100)))


@limit(60)
def test_ping_flood(w):
    w.site()
    calm(w, (raw(PING, 0, 0, b"12345678") * 100 for _ in range(MOST // 100)))


@limit(60)
def test_empty_data_flood(w):
    w.site()

    def batches():
        yield opening(1, False, method="POST")
        for _ in range(MOST // 100):
            yield raw(DATA, 0, 1) * 100
    calm(w, batches())


@limit(60)
def test_priority_and_window_floods_cost_nothing(w):
    """Frames that ask for no answer: either they are borne, or the flooder is told; nobody else notices."""
    w.site()
    before = w.rss()
    for frame in (raw(h2kit.PRIORITY, 0, 1, b"\0\0\0\0\x10"), raw(WINDOW, 0, 0, b"\0\0\0\1"), raw(0xbe, 0, 0, b"x" * 20)):
        with Bystander(w), connect(w.port, 20) as peer:
            peer.wait(lambda: peer.settings)
            peer.sock.sendall(opening(1))
            peer.wait(lambda: peer.streams.get(1) and peer.streams[1].over)
            try:
                for _ in range(500):
                    peer.sock.sendall(frame * 100)
            except OSError:
                pass
    check(w.rss() - before < 16 << 20, f"{(w.rss() - before) >> 10} KiB more")


@limit(60)
def test_a_header_list_out_of_a_few_bytes(w):
    """HPACK: one large field in the table, named 20,000 times, would be 80 MB."""
    w.site()
    before = w.rss()
    name, value = b"x", b"y" * 3900
    add = b"\x40" + h2kit.number(len(name), 7) + name + h2kit.number(len(value), 7) + value
    with Bystander(w), connect(w.port, 20) as peer:
        stream = peer.streams[1] = h2kit.Stream(1, 65535)
        peer.frame(HEADERS, END_STREAM, 1, head() + add)
        for _ in range(2):
            peer.frame(CONTINUATION, 0, 1, b"\xbe" * 10000)
        peer.frame(CONTINUATION, END_HEADERS, 1, b"")
        try:
            peer.wait(lambda: stream.over or peer.goaway)
        except Closed:
            check(peer.goaway, "closed without a word")
        check(peer.goaway or stream.reset is not None or stream.status == 431, f"{stream.heads}")
    check(w.rss() - before < 8 << 20, f"{(w.rss() - before) >> 10} KiB more")
    equal([request.target for request in w.target.requests if request.target != "/by"], [], "it reached nobody")


@limit(60)
def test_answers_that_nobody_reads_are_bounded(w):
    """PINGs and SETTINGS whose acknowledgements pile up in front of a socket that is not read."""
    w.site()
    before = w.rss()
    with Bystander(w):
        flooders = []
        for _ in range(4):
            sock = socket.create_connection(("127.0.0.1", w.port))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(2 * SLOW)
            sock.sendall(h2kit.PREFACE + raw(SETTINGS))
            flooders.append(sock)
        for sock in flooders:
            try:
                for _ in range(2000):
                    sock.sendall(raw(PING, 0, 0, b"12345678") * 100)
            except OSError:
                continue
        check(w.rss() - before < 16 << 20, f"{(w.rss() - before) >> 10} KiB more")
    for sock in flooders:
        sock.close()


@limit(60)
def test_frames_that_end_a_connection(w):
    """What is wrong for the whole connection: a GOAWAY with a reason, and the end."""
    w.site()
    for data, name in ((raw(DATA, 0, 0, b"x"), "DATA of stream 0"), (raw(HEADERS, END_HEADERS, 2, head()), "an even stream"),
                       (raw(PING, 0, 0, b"short"), "a short PING"), (raw(SETTINGS, 0, 0, b"x" * 5), "a SETTINGS of 5 bytes"),
                       (raw(DATA, 0, 1, b"x"), "DATA of an idle stream"), (raw(CONTINUATION, 0, 1, b"x"), "CONTINUATION alone"),
                       (raw(h2kit.PUSH, END_HEADERS, 1, b"\0\0\0\2" + head()), "PUSH_PROMISE of a client"),
                       (raw(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff\xff\xff\xff"), "a broken header block"),
                       (raw(SETTINGS, 0, 0, setting(INITIAL_WINDOW, 0xffffffff)), "a window beyond 2^31"),
                       ((20000).to_bytes(3, "big") + bytes([DATA, 0]) + (1).to_bytes(4, "big") + b"x" * 20000, "a frame too long"),
                       (raw(WINDOW, 0, 0, b"\x7f\xff\xff\xff") * 2, "a connection window beyond 2^31"),
                       (raw(HEADERS, 0, 1, head()) + raw(DATA, 0, 1, b"x"), "DATA inside of a header block")):
        with connect(w.port) as peer:
            peer.wait(lambda: peer.settings)
            peer.sock.sendall(data)
            peer.drained()
            check(peer.goaway and peer.goaway.code != 0, f"{name}: a GOAWAY with a reason")
    with connect(w.port) as peer:
        equal(peer.ask().status, 200)
