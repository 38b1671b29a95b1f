"""test_drain.py - targets that leave: nothing new, what runs has its time, and no request fails by it."""
import re
import time

import h2kit
import test_passthrough as passing
from grpckit import OK, UNAVAILABLE, Caller, Server
from h2kit import add_h2_target, reply
from harness import SLOW, Client, Closed, check, equal, free_port, limit, match, until
from test_h2 import accepting, in_background, load, websocket
from tlskit import metric


def held(target, wire, request):
    """Answers /slow when the test says so, all else at once."""
    if request.target == "/slow":
        until(lambda: getattr(target, "go", False), 60, "the word to go on")
    target.plain(wire, request)


def draining_site(w, drain):
    """Service `shop` to `blue` with the targets stay and leave; sets stay, leave and the file of the one that leaves."""
    w.site(held)
    w.stay, w.leave = w.target, w.add_target("leave", held)
    w.file = f"target-groups/blue/targets/127.0.0.1:{w.leave.port}"
    w.write("target-groups/blue/drain", f"{drain}\n")
    w.write(w.file, "")
    return w


def slow_ones(w, count=4):
    """Requests under way, about half of them at the target that leaves."""
    clients = [Client(w.port, 30) for _ in range(count)]
    for client in clients:
        client.send(b"GET /slow HTTP/1.1\r\nHost: shop\r\n\r\n")
    until(lambda: w.stay.count() + w.leave.count() == count, 10 * SLOW, "all of them are at a target")
    check(w.leave.count() > 0, "the one that leaves has some")
    return clients


def line(w):
    """The line of .status that tells of the target that leaves; empty: there is none."""
    found = re.search(rf"^target 127\.0\.0\.1:{w.leave.port} .*$", w.read("target-groups/blue/.status"), re.M)
    return found[0] if found else ""


def test_removed_targets_end_what_runs(w):
    draining_site(w, 60)
    clients = slow_ones(w)
    running = w.leave.count()
    w.remove_file(w.file)
    until(lambda: "DRAINING" in line(w), 5, "it drains")
    seconds = match(rf" DRAINING Deregistered requests {running} inflight {running} ends-in (\d+)$", line(w))[1]
    check(50 <= int(seconds) <= 60, f"counted down from 60: {seconds}")
    for _ in range(4):
        equal(w.get("/now").body.split()[0], b"blue", "nothing new goes there")
    w.stay.go = w.leave.go = True
    for client in clients:
        equal(client.answer().status, 200, "what ran ends")
    until(lambda: line(w) == "", 5, "gone from .status")
    equal(metric(w, "latticefs_drain_cut_total"), 0, "nothing was cut")


@limit(90)
def test_the_time_to_drain_is_over(w):
    """By removal, by `admin = drain` and by `admin = down`: what still runs then is answered with 503."""
    draining_site(w, 1)
    for way in "drain", "down", "":
        w.stay.requests.clear()
        w.leave.requests.clear()
        w.stay.go = w.leave.go = False
        clients = slow_ones(w)
        running, cut = w.leave.count(), metric(w, "latticefs_drain_cut_total")
        start = time.monotonic()
        if way:
            w.write(w.file, f"admin = {way}\n")
        else:
            w.remove_file(w.file)
        until(lambda: metric(w, "latticefs_drain_cut_total") == cut + running, 10 * SLOW, "cut off")
        check(time.monotonic() - start >= 0.9, "not before its time")
        w.stay.go = True
        equal(sorted(client.answer().status for client in clients), [200] * (4 - running) + [503] * running, way)
        w.leave.go = True
        if way:
            w.write(w.file, "admin = up\n")


@limit(60)
def test_a_target_that_comes_again_starts_anew(w):
    draining_site(w, 60)
    clients = slow_ones(w)
    w.remove_file(w.file)
    until(lambda: "DRAINING" in line(w), 5, "it drains")
    w.write(w.file, "")
    text = w.read("target-groups/blue/.status")
    equal(len(re.findall(rf"^target 127\.0\.0\.1:{w.leave.port} ", text, re.M)), 2, f"the old one and the new\n{text}")
    match(rf"^target 127\.0\.0\.1:{w.leave.port} (?!DRAINING).* requests 0 ", text, "counts from 0")
    w.stay.go = w.leave.go = True
    for client in clients:
        equal(client.answer().status, 200)


# ---------------------------------------------------------------------- streams, tunnels, what is passed through

WAYS = "drain", "down", ""


def leave(w, way):
    """The target leaves, so or by removal."""
    if way:
        w.write(w.file, f"admin = {way}\n")
    else:
        w.remove_file(w.file)


def draining_h2(w, drain):
    """As draining_site() with one HTTP/2 target, whose requests the test answers: w.held."""
    w.held = []
    w.leave = add_h2_target(w, "leave", lambda target, peer, request: w.held.append((peer, request)))
    w.port = free_port()
    w.network()
    w.group("blue", w.leave, protocol_version="HTTP2", drain=drain)
    w.file = f"target-groups/blue/targets/127.0.0.1:{w.leave.port}"
    w.service("shop", w.port, "forward = blue")
    return w


def test_streams_of_a_removed_target_end_and_then_its_connection(w):
    draining_h2(w, 60)
    with h2kit.connect(w.port) as peer:
        streams = [peer.ask(wait=False) for _ in range(4)]
        until(lambda: len(w.held) == 4, 10, "all are at the target")
        w.remove_file(w.file)
        until(lambda: "DRAINING" in line(w), 5, "it drains")
        equal(peer.ask().status, 503, "nothing new")
        check(w.leave.open, "it is connected")
        for far, request in w.held:
            reply(far, request, b"ok")
        peer.wait(lambda: all(stream.over for stream in streams), "the answers")
        equal([(stream.status, stream.body, stream.reset) for stream in streams], [(200, b"ok", None)] * 4)
    until(lambda: not w.leave.open, 10, "its connection is closed when it is empty")
    until(lambda: line(w) == "", 10, "gone from .status")
    equal(metric(w, "latticefs_drain_cut_total"), 0)


@limit(90)
def test_streams_are_cut_when_the_time_is_over(w):
    """503 where no answer has begun, 14 to gRPC, else a reset; the target is told, its connection goes on."""
    draining_h2(w, 1)
    for turn, way in enumerate(WAYS, 1):
        w.held.clear()
        w.leave.resets = []
        with h2kit.connect(w.port) as peer:
            waits, begun = peer.ask(wait=False), peer.ask(wait=False)
            grpc = peer.ask(method="POST", headers=[("content-type", "application/grpc"), ("te", "trailers")], wait=False)
            until(lambda: len(w.held) == 3, 10, "all are at the target")
            far, request = next(each for each in w.held if each[1].stream.id == sorted(e[1].stream.id for e in w.held)[1])
            far.headers(request.stream.id, [(":status", "200")])
            peer.wait(lambda: begun.head, "an answer begins")
            start = time.monotonic()
            leave(w, way)
            peer.wait(lambda: waits.over and begun.over and grpc.over, "all are cut")
            check(time.monotonic() - start >= 0.9, "not before the time")
            equal((waits.status, begun.status, begun.reset is not None, grpc.one("grpc-status")),
                  (503, 200, True, str(UNAVAILABLE)), way)
        until(lambda: len(w.leave.resets) == 3, 10, "RST_STREAM for each")
        equal(metric(w, "latticefs_drain_cut_total"), 3 * turn)
        if way:
            w.write(w.file, "admin = up\n")
    until(lambda: not w.leave.open, 10, "the removed target's connection is closed")


@limit(90)
def test_websockets_have_their_time_and_are_cut(w):
    w.site(script=accepting)
    w.leave = w.target
    w.file = f"target-groups/blue/targets/127.0.0.1:{w.leave.port}"
    w.write("target-groups/blue/drain", "4\n")
    for way in WAYS:
        with h2kit.connect(w.port) as peer, Client(w.port) as client:
            stream = peer.begin(websocket())
            peer.wait(lambda stream=stream: stream.body == b"first", "the tunnel stands")
            client.send("GET /ws HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
            equal((client.answer().status, client.take(5)), (101, b"first"))
            start = time.monotonic()
            leave(w, way)
            peer.send(stream, b"word", False)
            equal(client.send(b"word").take(6), b"<word>", "it goes on")
            peer.wait(lambda stream=stream: stream.body == b"first<word>", "over HTTP/2 too")
            peer.wait(lambda stream=stream: stream.over, "the end")
            check(stream.reset is not None, "cut, not ended")
            check(client.closed(10), "cut")
            check(time.monotonic() - start >= 3.9, "not before the time")
        until(lambda: not w.leave.open, 10, "the target's connections are closed")
        if way:
            w.write(w.file, "admin = up\n")
    equal(metric(w, "latticefs_drain_cut_total"), 6)


@limit(90)
def test_what_is_passed_through_has_its_time_and_is_cut(w):
    passing.site(w, passing.echo)
    w.leave = w.target
    w.file = f"target-groups/blue/targets/127.0.0.1:{w.leave.port}"
    w.write("target-groups/blue/drain", "4\n")
    for way in WAYS:
        with passing.connect(w, "shop.localhost", w.target) as tls:
            tls.sendall(b"before")
            equal(tls.recv(6), b"before")
            start = time.monotonic()
            leave(w, way)
            tls.sendall(b"after")
            equal(tls.recv(5), b"after", "it goes on")
            equal(passing.end_below(tls), "reset", "and is cut")
            check(time.monotonic() - start >= 3.9, "not before the time")
        until(lambda: not w.leave.open, 10, "the target's connection is closed")
        if way:
            w.write(w.file, "admin = up\n")
    equal(metric(w, "latticefs_drain_cut_total"), 3)


@limit(60)
def test_the_daemon_ends_in_its_time_while_targets_drain(w):
    """What its own stop gives is less than `drain`."""
    w.restart(conf="[engine]\nworkers = 2\ndrain-timeout-ms = 1000\n")
    draining_h2(w, 60)
    with h2kit.connect(w.port) as peer:
        stream = peer.ask(wait=False)
        until(lambda: w.held, 10, "it is at the target")
        w.remove_file(w.file)
        until(lambda: "DRAINING" in line(w), 5, "it drains")
        start = time.monotonic()
        w.stop(seconds=30)
        check(0.9 <= time.monotonic() - start < 30, "the stop's time counts")
        try:
            peer.wait(lambda: stream.over, "the end")
        except (Closed, ConnectionError):
            pass
        check(stream.status != 200, "cut off")


# ---------------------------------------------------------------------- under load


def come_and_go(w, group, make, cycles):
    """A target comes, is used and goes; it closes its connections when .status does not tell of it any more."""
    used = 0
    for _ in range(cycles):
        target = make()
        name = f"127.0.0.1:{target.port}"
        w.write(f"target-groups/{group}/targets/{name}", "")
        until(target.count, 10 * SLOW, "it gets requests")
        w.remove_file(f"target-groups/{group}/targets/{name}")
        until(lambda: name not in w.read(f"target-groups/{group}/.status"), 20 * SLOW, "it is empty")
        used += target.count()
        target.close()
        w.targets.remove(target)
    return used


def wrk(w):
    said = w.sh(f"wrk -t1 -c8 -d3s -H 'Host: shop' http://127.0.0.1:{w.port}/").out
    check(int(match(r"(\d+) requests in", said)[1]) > 0, "there was load")
    check("Socket errors" not in said and "Non-2xx" not in said, said)


def cycles_under(w, run, make):
    """200 cycles while one load after the other runs; the sanitizers' daemon has ten."""
    over = []

    def runs():
        while not over:
            run()
    done = in_background(runs)
    try:
        come_and_go(w, "blue", make, 200 if SLOW == 1 else 10)
    finally:
        over.append(True)
        done(60)


@limit(240)
def test_no_request_fails_in_200_cycles_with_http1(w):
    w.site()
    cycles_under(w, lambda: wrk(w), lambda: w.add_target("guest"))


@limit(240)
def test_no_request_fails_in_200_cycles_with_http2(w):
    w.target = add_h2_target(w, "blue")
    w.port = free_port()
    w.network()
    w.group("blue", protocol_version="HTTP2")
    w.write(f"target-groups/blue/targets/127.0.0.1:{w.target.port}", "")
    w.service("shop", w.port, "forward = blue")
    cycles_under(w, lambda: load(w, f"http://127.0.0.1:{w.port}/", 3000, "-H", "':authority: shop'"),
                 lambda: add_h2_target(w, "guest"))


@limit(150)
def test_grpc_calls_while_targets_come_and_go(w):
    """Calls begun before and after a removal."""
    stay, guest = Server(w, "blue"), Server(w, "green")
    w.port = free_port()
    w.network()
    w.group("blue", stay, protocol_version="GRPC")
    w.service("shop", w.port, "forward = blue")
    caller = Caller(w, f"127.0.0.1:{w.port}", f"shop.localhost:{w.port}")
    name = f"target-groups/blue/targets/127.0.0.1:{guest.port}"
    for _ in range(100):
        w.write(name, "")
        calls = [caller.start() for _ in range(4)]
        w.remove_file(name)
        calls += [caller.start() for _ in range(4)]
        equal([caller.end(call)["code"] for call in calls], [OK] * 8, "unary")
    check(guest.calls(), "the guest had a part")
