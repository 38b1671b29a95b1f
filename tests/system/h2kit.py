"""h2kit.py - HTTP/2 by hand: a peer that sends any frame, and a recording target.

Frames are ours, so that a test can send what no library would. HPACK is read by libnghttp2 (ctypes); it is
written as plain literals, which every decoder must take.
"""
import ctypes
import ctypes.util
import socket
import struct

from harness import SLOW, Closed, Failed, Message, Target, Wire

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME, MAX_HEADERS, CONNECT_PROTOCOL = 3, 4, 5, 6, 8
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_ERROR, REFUSED, CANCEL, CALM = 0, 1, 2, 3, 7, 8, 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

LIB = ctypes.CDLL(ctypes.util.find_library("nghttp2") or "libnghttp2.so.14")


class Pair(ctypes.Structure):
    _fields_ = [("name", ctypes.POINTER(ctypes.c_ubyte)), ("value", ctypes.POINTER(ctypes.c_ubyte)),
                ("namelen", ctypes.c_size_t), ("valuelen", ctypes.c_size_t), ("flags", ctypes.c_uint8)]


LIB.nghttp2_hd_inflate_hd2.restype = ctypes.c_ssize_t
LIB.nghttp2_hd_inflate_hd2.argtypes = [ctypes.c_void_p, ctypes.POINTER(Pair), ctypes.POINTER(ctypes.c_int),
                                       ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
LIB.nghttp2_hd_inflate_end_headers.argtypes = [ctypes.c_void_p]
LIB.nghttp2_hd_inflate_del.argtypes = [ctypes.c_void_p]


class Inflater:
    """The HPACK state of what one side sends."""

    def __init__(self):
        self.state = ctypes.c_void_p()
        LIB.nghttp2_hd_inflate_new(ctypes.byref(self.state))

    def __del__(self):
        LIB.nghttp2_hd_inflate_del(self.state)

    def fields(self, block):
        out = []
        while True:
            pair, flags = Pair(), ctypes.c_int()
            used = LIB.nghttp2_hd_inflate_hd2(self.state, ctypes.byref(pair), ctypes.byref(flags), block, len(block), 1)
            if used < 0:
                raise Failed(f"a header block that HPACK does not allow: {used}")
            block = block[used:]
            if flags.value & 2:
                out.append(tuple(ctypes.string_at(p, n).decode("latin-1") for p, n in
                                 ((pair.name, pair.namelen), (pair.value, pair.valuelen))))
            if flags.value & 1:
                LIB.nghttp2_hd_inflate_end_headers(self.state)
                return out


def number(value, bits):
    """An integer of HPACK with its prefix."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([value])
    out, value = [most], value - most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + [value])


def block(fields):
    """A header block of literals without indexing."""
    out = []
    for name, value in fields:
        name, value = name.encode("latin-1"), value.encode("latin-1")
        out.append(b"\0" + number(len(name), 7) + name + number(len(value), 7) + value)
    return b"".join(out)


def setting(key, value):
    return struct.pack(">HI", key, value)


class Frame:
    def __init__(self, kind, flags, stream, payload):
        self.kind, self.flags, self.stream, self.payload = kind, flags, stream, payload

    @property
    def code(self):
        """The error code of RST_STREAM and GOAWAY."""
        return struct.unpack(">I", self.payload[4:8] if self.kind == GOAWAY else self.payload[:4])[0]

    @property
    def last(self):
        """The last stream of a GOAWAY."""
        return struct.unpack(">I", self.payload[:4])[0] & 0x7fffffff


class Stream:
    """One exchange as it came: heads in order, the body, trailers, how it ended."""

    def __init__(self, ident, window):
        self.id, self.window = ident, window
        self.heads = []
        self.parts = []
        self.size = 0
        self.trailers = None
        self.ended = False
        self.reset = None

    @property
    def body(self):
        return b"".join(self.parts)

    @property
    def head(self):
        """The final head (a request's only one)."""
        for fields in self.heads:
            if not dict(fields).get(":status", "2").startswith("1"):
                return fields
        return None

    @property
    def interim(self):
        return [dict(fields) for fields in self.heads if dict(fields).get(":status", "").startswith("1")]

    @property
    def status(self):
        """Of the final answer; None: there was no such head."""
        return int(dict(self.head)[":status"]) if self.head else None

    def all(self, name):
        return [value for key, value in self.head or [] if key == name]

    def one(self, name):
        found = self.all(name)
        return found[0] if found else None

    @property
    def over(self):
        return self.ended or self.reset is not None


class Peer(Wire):
    """One end of an HTTP/2 connection; pump() reads a frame and does what a peer must."""

    def __init__(self, sock, server=False, settings=b"", seconds=10):
        super().__init__(sock)
        sock.settimeout(seconds * SLOW)
        self.server = server
        self.inflater = Inflater()
        self.streams = {}
        self.next = 1
        self.window = 65535
        self.initial = 65535
        self.settings = {}
        self.goaway = None
        self.auto_window = True  # what came is acknowledged at once
        self.gathering = None
        self.pings = 0
        self.resets = 0  # of any stream
        if server:
            if self.take(len(PREFACE)) != PREFACE:
                raise Closed(b"no preface")
        else:
            sock.sendall(PREFACE)
        self.frame(SETTINGS, 0, 0, settings)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    # ------------------------------------------------------------------ frames

    def frame(self, kind, flags=0, stream=0, payload=b""):
        self.sock.sendall(raw(kind, flags, stream, payload))
        return self

    def read(self):
        head = self.take(9)
        size = int.from_bytes(head[:3], "big")
        return Frame(head[3], head[4], int.from_bytes(head[5:], "big") & 0x7fffffff, self.take(size))

    def pump(self):
        """Reads one frame and keeps what it says."""
        frame = self.read()
        if frame.kind == SETTINGS and not frame.flags & ACK:
            for at in range(0, len(frame.payload), 6):
                key, value = struct.unpack(">HI", frame.payload[at:at + 6])
                self.settings[key] = value
                if key == INITIAL_WINDOW:
                    for stream in self.streams.values():
                        stream.window += value - self.initial
                    self.initial = value
            self.frame(SETTINGS, ACK)
        elif frame.kind == PING:
            if frame.flags & ACK:
                self.pings += 1
            else:
                self.frame(PING, ACK, 0, frame.payload)
        elif frame.kind == WINDOW:
            more = int.from_bytes(frame.payload, "big")
            if frame.stream == 0:
                self.window += more
            elif frame.stream in self.streams:
                self.streams[frame.stream].window += more
        elif frame.kind == GOAWAY:
            self.goaway = frame
        elif frame.kind == RST:
            self.resets += 1
            if frame.stream in self.streams:
                self.streams[frame.stream].reset = frame.code
        elif frame.kind in (HEADERS, CONTINUATION):
            self.gather(frame)
        elif frame.kind == DATA:
            self.keep(frame)
        return frame

    def gather(self, frame):
        payload = frame.payload
        if frame.kind == HEADERS:
            if frame.flags & PADDED:
                payload = payload[1:len(payload) - payload[0]]
            if frame.flags & 0x20:
                payload = payload[5:]
            self.gathering = [payload, frame.flags & END_STREAM]
        else:
            self.gathering[0] += payload
        if not frame.flags & END_HEADERS:
            return
        fields, last = self.inflater.fields(self.gathering[0]), self.gathering[1]
        stream = self.streams.get(frame.stream)
        if stream is None:
            stream = self.streams[frame.stream] = Stream(frame.stream, self.initial)
        if stream.head is not None:
            stream.trailers = fields
        else:
            stream.heads.append(fields)
        stream.ended = stream.ended or bool(last)

    def keep(self, frame):
        stream = self.streams.get(frame.stream)
        payload = frame.payload
        if frame.flags & PADDED:
            payload = payload[1:len(payload) - payload[0]]
        if stream is not None:
            stream.parts.append(payload)
            stream.size += len(payload)
            stream.ended = stream.ended or bool(frame.flags & END_STREAM)
        if self.auto_window and frame.payload:
            self.open_window(0, len(frame.payload))
            if stream is not None and not stream.ended:
                self.open_window(frame.stream, len(frame.payload))

    def open_window(self, stream, size):
        self.frame(WINDOW, 0, stream, struct.pack(">I", size))

    def wait(self, holds, note="what was waited for"):
        """Pumps until it holds."""
        while not holds():
            try:
                self.pump()
            except socket.timeout:
                raise Failed(f"nothing more came: {note}")
        return self

    def drained(self):
        """Pumps until the peer closes; what it said last is in .goaway."""
        try:
            while True:
                self.pump()
        except (Closed, ConnectionError):
            return self

    # ------------------------------------------------------------------ messages

    def cancel(self, stream, code=CANCEL):
        self.frame(RST, 0, stream.id, struct.pack(">I", code))

    def leave(self, last=0, code=NO_ERROR):
        """GOAWAY."""
        self.frame(GOAWAY, 0, 0, struct.pack(">II", last, code))

    def headers(self, stream, fields, end=False):
        self.frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(fields))

    def begin(self, fields, end=False):
        """Opens a stream with these fields."""
        stream = self.streams[self.next] = Stream(self.next, self.initial)
        self.next += 2
        self.headers(stream.id, fields, end)
        return stream

    def ask(self, path="/", method="GET", host="shop", headers=(), body=None, trailers=None, scheme="http", wait=True):
        """A whole request; the stream when its answer is whole (or reset)."""
        fields = [(":method", method), (":scheme", scheme), (":authority", host), (":path", path), *headers]
        stream = self.begin(fields, body is None and trailers is None)
        if body is not None:
            self.send(stream, body, trailers is None)
        if trailers is not None:
            self.headers(stream.id, trailers, True)
        if wait:
            self.wait(lambda: stream.over, f"the answer to {method} {path}")
        return stream

    def send(self, stream, body, end=True, part=16384):
        """DATA within the windows, as long as somebody wants it."""
        at = 0

        def unwanted():
            return stream.reset is not None or stream.ended and not self.server
        while at < len(body):
            room = min(part, len(body) - at, stream.window, self.window)
            if room <= 0:
                self.wait(lambda: unwanted() or min(stream.window, self.window) > 0, "room in a window")
                if unwanted():
                    return
                continue
            stream.window -= room
            self.window -= room
            self.frame(DATA, END_STREAM if end and at + room == len(body) else 0, stream.id, body[at:at + room])
            at += room
        if end and not body:
            self.frame(DATA, END_STREAM, stream.id)


def raw(kind, flags=0, stream=0, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def connect(port, seconds=10, host="127.0.0.1", context=None, name="shop.localhost", settings=b""):
    """A client with prior knowledge, or over TLS with a context whose ALPN has h2."""
    sock = socket.create_connection((host, port), seconds * SLOW)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context:
        sock = context.wrap_socket(sock, server_hostname=name)
        if sock.selected_alpn_protocol() != "h2":
            raise Failed(f"ALPN: {sock.selected_alpn_protocol()}")
    return Peer(sock, False, settings, seconds)


class Request(Message):
    """A request of a stream in the form of harness.Message."""

    def __init__(self, stream):
        pseudo = dict(stream.head)
        self.stream = stream
        self.first = f"{pseudo.get(':method')} {pseudo.get(':path')} HTTP/2"
        self.fields = [("host" if name == ":authority" else name, value) for name, value in stream.head]
        self.body = stream.body
        self.trailers = [f"{name}: {value}" for name, value in stream.trailers or []]


def target_script(settings=b"", early=None):
    """A life of a connection for harness.Target: every whole request to target.handler(target, peer, request).

    early(target, peer, stream), if any, is told of heads before their bodies; True: it deals with the stream.
    """
    def script(target, wire):
        peer = Peer(wire.sock, True, settings, 60)
        target.resets = getattr(target, "resets", [])
        target.peers_h2 = getattr(target, "peers_h2", []) + [peer]
        told, done = set(), set()
        while True:
            frame = peer.pump()
            if frame.kind == RST:
                target.resets.append((frame.stream, frame.code))
            for stream in list(peer.streams.values()):
                if stream.id not in told:
                    told.add(stream.id)
                    if early and early(target, peer, stream):
                        done.add(stream.id)
                if stream.ended and stream.id not in done:
                    done.add(stream.id)
                    request = Request(stream)
                    with target.lock:
                        target.requests.append(request)
                    if target.handler(target, peer, request) is False:
                        return
                if stream.over and stream.id in done:
                    del peer.streams[stream.id]
    return script


def plain(target, peer, request):
    """200, `NAME METHOD TARGET LENGTH`, as harness.Target."""
    reply(peer, request, f"{target.name} {request.method} {request.target} {len(request.body)}".encode())


def reply(peer, request, body=b"", status=200, headers=(), trailers=None):
    """An answer."""
    stream = request.stream
    bare = request.method == "HEAD" or status in (204, 304)
    fields = [(":status", str(status)), *headers]
    peer.headers(stream.id, fields, (bare or not body) and trailers is None)
    if body and not bare:
        peer.send(stream, body, trailers is None)
    if trailers is not None:
        peer.headers(stream.id, trailers, True)


def add_h2_target(w, name, handler=plain, settings=b"", early=None, make=None):
    """A recording HTTP/2 target in a World; make: Target, or what makes it TLS."""
    target = (make or Target)(name, handler, target_script(settings, early))
    w.targets.append(target)
    return target
