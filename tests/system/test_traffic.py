"""test_traffic.py - random valid messages in random packets, many at a time: what arrives is what was sent."""
import hashlib
import os
import random
import socket
import threading
import time

from harness import Client, Closed, check, equal, limit, until
from test_http import UPGRADE

NOISE = os.urandom(1 << 20)


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def noise(rng, size):
    at = rng.randrange(len(NOISE))
    return (NOISE[at:] + NOISE * (size // len(NOISE) + 1))[:size]


def some_size(rng, most):
    """Small ones often, and the neighbours of powers of two."""
    return min(most, rng.choice([0, 1, rng.randrange(100), rng.randrange(5000), (1 << rng.randrange(8, 19)) + rng.randrange(-2, 3),
                                 rng.randrange(300000)]))


def chunked(rng, body):
    """The body in chunks of random sizes, some with extensions, sometimes with a trailer."""
    out, at = [], 0
    while at < len(body):
        part = body[at:at + max(1, some_size(rng, 70000))]
        at += len(part)
        out.append(b"%x%s\r\n%s\r\n" % (len(part), rng.choice([b"", b"", b";a=b", b' ;q="x"']), part))
    return b"".join(out) + b"0\r\n" + rng.choice([b"", b"X-Trailer: 1\r\n"]) + b"\r\n"


def framed(rng, head, body):
    if rng.random() < 0.5:
        return head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(rng, body)


def send_in_pieces(rng, sock, data):
    at = 0
    while at < len(data):
        size = rng.choice([1, 7, rng.randrange(1, 3000), 65536, len(data)])
        if len(data) > 20000:
            size = max(size, 4000)
        sock.sendall(data[at:at + size])
        at += size
        if rng.random() < 0.05:
            time.sleep(0.001)


def answering(target, wire):
    """Answers by the request's own seed: any framing, any size, now and then an interim answer or a close."""
    while True:
        request = target.next(wire)
        target.requests.clear()
        rng = random.Random(request.target)
        body = b"" if request.method == "HEAD" else noise(rng, some_size(rng, 400000))
        head = f"HTTP/1.1 200 OK\r\nX-Got: {digest(request.body)}\r\nX-Sent: {digest(body)}\r\n".encode()
        head += b"X-Pad: " + b"p" * some_size(rng, 9000) + b"\r\n"
        if rng.random() < 0.1:
            wire.sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
        closing = rng.random() < 0.1
        if closing and rng.random() < 0.5:
            data = head + b"Connection: close\r\n\r\n" + body
        else:
            data = framed(rng, head + (b"Connection: close\r\n" if closing else b""), body)
        if request.method == "HEAD":
            data = data.split(b"\r\n\r\n")[0] + b"\r\n\r\n"
        send_in_pieces(rng, wire.sock, data)
        if closing:
            return


def client(w, seed, requests, wrong):
    rng = random.Random(seed)
    try:
        with Client(w.port, 30) as one:
            left = requests
            while left > 0:
                batch = []
                for _ in range(min(left, rng.choice([1, 1, 1, 2, 5]))):
                    method = rng.choice(["GET", "POST", "PUT", "HEAD", "DELETE"])
                    body = noise(rng, some_size(rng, 250000)) if method in ("POST", "PUT") else b""
                    batch.append((method, f"/{seed}/{left}/{len(batch)}", body))
                left -= len(batch)
                data = b""
                for method, path, body in batch:
                    head = f"{method} {path} HTTP/1.1\r\nHost: shop\r\nX-Pad: {'q' * some_size(rng, 20000)}\r\n".encode()
                    data += framed(rng, head, body) if body or method in ("POST", "PUT") else head + b"\r\n"
                sender = threading.Thread(target=send_in_pieces, args=(rng, one.sock, data))
                sender.start()
                for method, path, body in batch:
                    answer = one.answer(method)
                    equal((answer.status, answer.one("x-got")), (200, digest(body)), f"{method} {path}")
                    equal(answer.one("x-sent"), digest(answer.body), f"the answer to {method} {path}")
                sender.join()
    except Exception as problem:
        wrong.append(f"{seed}: {type(problem).__name__} {str(problem)[:300]}")


@limit(90)
def test_random_messages(w):
    """Targets close announced, clients pipeline, packets break anywhere: no answer is lost, mixed up or changed."""
    w.site(script=answering)
    wrong = []
    threads = [threading.Thread(target=client, args=(w, seed, 60, wrong)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(wrong, [])
    check(w.number("requests", "services/shop/.status") == 8 * 60, "every request was counted once")
    until(lambda: w.number("connections") == 0, 5, "no connection is left")


@limit(60)
def test_a_tunnel_full_of_bytes(w):
    """Both ways at once, more than any buffer, in order."""
    size = 8 << 20

    def pump(target, wire):
        wire.line(b"\r\n\r\n")
        wire.sock.sendall(b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        writer = threading.Thread(target=wire.sock.sendall, args=(noise(random.Random(1), size),))
        writer.start()
        target.seen = digest(wire.take(size))
        writer.join()
    w.site(script=pump)
    with Client(w.port, 30) as one:
        equal(one.send(UPGRADE).answer().status, 101)
        writer = threading.Thread(target=one.sock.sendall, args=(noise(random.Random(2), size),))
        writer.start()
        equal(digest(one.take(size)), digest(noise(random.Random(1), size)), "down")
        writer.join()
        until(lambda: getattr(w.target, "seen", None), 20, "up")
        equal(w.target.seen, digest(noise(random.Random(2), size)), "up")


def test_an_aborted_download_frees_the_target(w):
    done = threading.Event()

    def endless(target, wire):
        target.next(wire)
        try:
            wire.sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                wire.sock.sendall(b"x" * 65536)
        except OSError:
            done.set()
    w.site(script=endless)
    for how in (socket.SHUT_RDWR, None):
        done.clear()
        one = Client(w.port)
        one.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
        one.take(200000)
        if how is None:
            one.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
        else:
            one.sock.shutdown(how)
        one.sock.close()
        check(done.wait(5), "the target's connection is closed")
    until(lambda: w.number("connections") == 0, 5, "no connection is left")


def test_an_aborted_upload_frees_the_target(w):
    ended = threading.Event()

    def patient(target, wire):
        try:
            target.next(wire)
        except (Closed, OSError):
            ended.set()
    w.site(script=patient)
    for head in ("Content-Length: 1000000", "Transfer-Encoding: chunked"):
        ended.clear()
        one = Client(w.port)
        one.send(f"POST / HTTP/1.1\r\nHost: shop\r\n{head}\r\n\r\n3e8\r\n" + "x" * 500)
        time.sleep(0.05)
        one.sock.close()
        check(ended.wait(5), f"the target sees the end, with {head}")


def test_answers_byte_by_byte(w):
    def drip(target, wire, request):
        for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
            wire.sock.sendall(bytes([byte]))
    w.site(drip)
    with Client(w.port) as one:
        for _ in range(5):
            equal(one.ask().body, b"abc")


@limit(60)
def test_many_connections_each_with_one_request(w):
    w.site()
    wrong = []

    def knock():
        try:
            for _ in range(100):
                equal(w.get(headers="Connection: close\r\n").status, 200)
        except Exception as problem:
            wrong.append(repr(problem))
    threads = [threading.Thread(target=knock) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(wrong, [])
    equal(w.number("requests"), 800)
