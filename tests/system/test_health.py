"""test_health.py - health checks of targets as they are mounted: states, events, who gets requests."""
import contextlib
import itertools
import os
import re
import select
import signal
import subprocess
import time

import h2kit
from h2kit import reply
from harness import SLOW, Target, check, equal, free_port, limit, match, until
from tlskit import CA, TlsTarget, add_target

FAST = "interval = 5\ntimeout = 1\nhealthy-threshold = 2\nunhealthy-threshold = 2\n"


def state(w, target, group="blue"):
    """`UNHEALTHY CodeMismatch`"""
    name = f"127.0.0.1:{target.port}"
    return match(rf"^target {re.escape(name)} (.*) requests ", w.read(f"target-groups/{group}/.status"))[1]


def checked(w, *targets, text=FAST, **attributes):
    """World.site with a group whose health is checked."""
    w.site()
    w.group("checked", *(targets or (w.target,)), **attributes)
    w.write("target-groups/checked/health-check", text)
    w.write(f"{w.place}/default-action", "forward = checked\n")


def waits(process, path):
    """Until the process has opened the file."""
    def holds():
        for fd in os.listdir(f"/proc/{process.pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{process.pid}/fd/{fd}") == path:
                    return True
        return False
    until(holds, 10 * SLOW, f"{process.args[0]} has opened it")


@contextlib.contextmanager
def quiet_events(w):
    """A descriptor of .events that does not block, and a poll of it: what the site's beginning had to tell is over."""
    fd = os.open(w.path(".events"), os.O_RDONLY | os.O_NONBLOCK)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        while poll.poll(200):
            os.read(fd, 4096)
        yield fd, poll
    finally:
        os.close(fd)


def event(name, change):
    return rf"^\d{{4}}-\d\d-\d\dT[\d:.]+Z target-groups/checked/targets/{re.escape(name)} {change}$"


@limit(60)
def test_states_follow_the_checks(w):
    checked(w)
    until(lambda: state(w, w.target, "checked") == "HEALTHY", 20, "one success makes it healthy")
    match(rf'^latticefs_target_healthy\{{group="checked",target="127.0.0.1:{w.target.port}"\}} 1$', w.read(".metrics"))
    w.write(f"{w.place}/default-action", "fixed-response = 404\n")
    equal(state(w, w.target, "checked"), "UNUSED TargetGroupNotInUse")
    w.write(f"{w.place}/default-action", "forward = checked\n")
    until(lambda: state(w, w.target, "checked") == "HEALTHY", 20, "again")
    w.write("target-groups/checked/health-check", "enabled = false\n")
    equal(state(w, w.target, "checked"), "UNAVAILABLE HealthCheckDisabled")


@limit(60)
def test_events_are_told_to_who_waits(w):
    w.site()
    with subprocess.Popen(["cat", w.path(".events")], stdout=subprocess.PIPE, text=True) as cat:
        waits(cat, w.path(".events"))
        check(cat.poll() is None, "it waits")
        checked_at = f"127.0.0.1:{w.target.port}"
        w.group("checked", w.target)
        w.write("target-groups/checked/health-check", FAST)
        w.write(f"{w.place}/default-action", "forward = checked\n")
        told = (line for line in cat.stdout if "/blue/" not in line)
        match(event(checked_at, "UNUSED -> INITIAL InitialHealthChecking"), next(told))
        match(event(checked_at, "INITIAL -> HEALTHY"), next(told))
        cat.send_signal(signal.SIGINT)
        equal(cat.wait(30), -signal.SIGINT, "a signal ends a read that waits")


@limit(60)
def test_each_address_of_an_instance_is_checked(w):
    w.site()
    w.mkdir("vpcs/host/instances")
    w.write("vpcs/host/instances/i-01234567", "127.0.0.1\n127.0.0.9\n")
    w.group("checked", type="INSTANCE", vpc="host", health_check="interval = 100ms\ntimeout = 1")
    with open(w.path(".events")) as told:
        w.write(f"target-groups/checked/targets/i-01234567:{w.target.port}", "")
        w.write(f"{w.place}/default-action", "forward = checked\n")
        name, lines = f"i-01234567:{w.target.port}", ""
        for change in "INITIAL -> HEALTHY address 127.0.0.1", "INITIAL -> UNHEALTHY ConnectionFailed address 127.0.0.9":
            while not re.search(event(name, re.escape(change)), lines, re.M):
                lines += told.readline()
    for words in "HEALTHY requests 0 inflight 0 address 127.0.0.1", "UNHEALTHY ConnectionFailed requests 0 .* address 127.0.0.9":
        match(rf"^target {name} {words}$", w.read("target-groups/checked/.status"))


@limit(60)
def test_events_with_poll_and_without_blocking(w):
    w.site()
    with quiet_events(w) as (fd, poll):
        try:
            os.read(fd, 100)
            check(False, "a read that would wait")
        except BlockingIOError:
            pass
        w.write(f"{w.place}/default-action", "fixed-response = 404\n")
        equal(poll.poll(5000), [(fd, select.POLLIN)], "woken")
        match(r"UNAVAILABLE -> UNUSED TargetGroupNotInUse$|HEALTHY -> UNUSED|INITIAL -> UNUSED", os.read(fd, 4096).decode())


@limit(60)
def test_tail_and_a_shell_loop_follow(w):
    w.site()
    events = w.path(".events")
    with quiet_events(w):
        pass
    with subprocess.Popen(["tail", "-f", events], stdout=subprocess.PIPE, text=True) as tail, \
         subprocess.Popen(["bash", "-c", 'while read -r line; do echo "got $line"; done < "$0"', events],
                          stdout=subprocess.PIPE, text=True) as shell:
        waits(tail, events)
        waits(shell, events)
        for action in "fixed-response = 404\n", "forward = blue\n", "fixed-response = 404\n":
            w.write(f"{w.place}/default-action", action)
        for _ in range(3):
            line = tail.stdout.readline()
            match(r"^\d{4}-.*Z target-groups/blue/targets/", line)
            equal(shell.stdout.readline(), f"got {line}")
        tail.kill()
        shell.kill()


@limit(60)
def test_the_end_of_the_mount_ends_a_read(w):
    w.site()
    with subprocess.Popen(["cat", w.path(".events")], stdout=subprocess.PIPE) as cat:
        waits(cat, w.path(".events"))
        w.stop()
        check(cat.wait(30) is not None, "cat has ended")


def test_events_cannot_be_written_and_are_not_listed(w):
    check(".events" not in os.listdir(w.path("")), "hidden")
    equal(w.sh("echo x > .events", rc=1).rc, 1)
    equal(oct(os.stat(w.path(".events")).st_mode & 0o7777), "0o444")


# ---------------------------------------------------------------------- over TLS, HTTP/2, gRPC; what is no answer

OFTEN = "enabled = true\ninterval = 100ms\ntimeout = 1\nhealthy-threshold = 2\nunhealthy-threshold = 2\n"
MIB = 1 << 20
SERVING = b"\0\0\0\0\2\x08\1"


def zoo(w, targets, health=OFTEN, **attributes):
    """A service whose group has targets that answer checks in many ways: {name: (target, wanted state)}; sees that each
    gets there, and that another service goes on meanwhile."""
    w.site()
    w.group("zoo", *(target for target, _ in targets.values()), health_check=health.rstrip(), **attributes)
    w.service("zoo", free_port(), "forward = zoo")
    for name, (target, want) in targets.items():
        until(lambda t=target, want=want: state(w, t, "zoo") == want, 20 * SLOW, f"{name}: {want}")
        equal(w.get().status, 200)


def sender(*parts, pause=0.0, question=True):
    """Sends these, whatever the request is; the last one again and again when it is an iterator."""
    def script(target, wire):
        if question:
            wire.line(b"\r\n\r\n")
        for part in itertools.chain.from_iterable(p if hasattr(p, "__next__") else [p] for p in parts):
            wire.sock.sendall(part)
            time.sleep(pause)
    return script


def silent(target, wire):
    wire.rest()


OK_HEAD = b"HTTP/1.1 200 OK\r\n"
TIMEOUT, FAILED, CODE, NOBODY = (f"UNHEALTHY {reason}" for reason in
                                 ("HealthCheckTimeout", "HealthCheckFailed", "CodeMismatch", "ConnectionFailed"))


def http1_scripts():
    forever = itertools.repeat
    return {
        "good": (sender(OK_HEAD + b"Content-Length: 2\r\n\r\nok"), "HEALTHY"),
        "another status": (sender(b"HTTP/1.1 204 No\r\n\r\n"), CODE),
        "silent": (silent, TIMEOUT),
        "garbage": (sender(b"\0\xff\r\n" * 100), FAILED),
        "closes": (sender(b""), FAILED),
        "closes in the head": (sender(OK_HEAD), FAILED),
        "a long header": (sender(OK_HEAD + b"x: " + b"x" * MIB + b"\r\n\r\n"), FAILED),
        "headers without end": (sender(OK_HEAD, forever(b"x: " + b"x" * 1000 + b"\r\n")), FAILED),
        "bytes one by one": (sender(OK_HEAD, b"x: ", forever(b"x"), pause=0.02), TIMEOUT),
        "interim answers without end": (sender(forever(b"HTTP/1.1 103 Early\r\nx: y\r\n\r\n"), pause=0.01), TIMEOUT),
        "a body without end": (sender(OK_HEAD + b"\r\n", forever(b"x" * 10000)), "HEALTHY"),
    }


@limit(120)
def test_what_http1_targets_may_answer(w):
    targets = {name: (w.add_target(name, script=script), want) for name, (script, want) in http1_scripts().items()}
    targets["nobody"] = (w.add_target("nobody"), NOBODY)
    targets["nobody"][0].close()
    before = w.rss()
    zoo(w, targets)
    check(w.rss() - before < 64 * MIB * SLOW, "memory is bounded")


@limit(120)
def test_what_https_targets_may_answer(w):
    pair = CA(w.base, "Foreign").issue("other", "other.example", days=(-9, -2))
    targets = {name: (add_target(w, TlsTarget(name, pair, script=script)), want)
               for name, (script, want) in http1_scripts().items()}
    targets["no TLS"] = (w.add_target("clear", script=sender(b"HTTP/1.1 200 OK\r\n\r\n", question=False)), NOBODY)
    targets["says nothing"] = (w.add_target("silent", script=silent), TIMEOUT)
    zoo(w, targets, protocol="HTTPS")


def h2_handlers(grpc):
    """By the target's name: what it does with a check."""
    def answer(status=200, body=b"", trailers=None, headers=()):
        return lambda target, peer, request: reply(peer, request, body, status, headers, trailers)

    def message(body, trailers=(("grpc-status", "0"),)):
        return answer(200, body, trailers, [("content-type", "application/grpc")])

    def interim(target, peer, request):
        with contextlib.suppress(OSError):
            while True:
                peer.headers(request.stream.id, [(":status", "103"), ("x", "y")])
                time.sleep(0.01)

    handlers = {
        "silent": (lambda *_: None, TIMEOUT),
        "closes": (lambda *_: False, FAILED),
        "resets": (lambda target, peer, request: peer.cancel(request.stream), FAILED),
        "goes away": (lambda target, peer, request: peer.leave(0), FAILED),
        "garbage": (lambda target, peer, request: peer.sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n" * 1000), FAILED),
        "a long header": (answer(headers=[("x", "x" * 15000)]), "HEALTHY"),
        "a header too long": (lambda target, peer, request: [
            peer.frame(h2kit.HEADERS, 0, request.stream.id, h2kit.block([(":status", "200"), ("x", "x" * 15000)]))] + [
            peer.frame(h2kit.CONTINUATION, 0, request.stream.id, h2kit.block([(f"x{i}", "x" * 15000)])) for i in range(40)],
            FAILED),
        "interim answers without end": (interim, TIMEOUT),
    }
    if not grpc:
        handlers.update({"good": (answer(), "HEALTHY"), "another status": (answer(404), CODE),
                         "a body without end": (lambda target, peer, request: [
                             peer.headers(request.stream.id, [(":status", "200")]), peer.send(request.stream, b"x" * MIB)], "HEALTHY")})
        return handlers
    del handlers["a long header"]
    handlers.update({
        "good": (message(SERVING), "HEALTHY"),
        "byte by byte": (lambda target, peer, request: [
            peer.headers(request.stream.id, [(":status", "200"), ("content-type", "application/grpc")]),
            peer.send(request.stream, SERVING, False, part=1),
            peer.headers(request.stream.id, [("grpc-status", "0")], True)], "HEALTHY"),
        "not serving": (message(b"\0\0\0\0\2\x08\2"), FAILED),
        "an error": (message(SERVING, [("grpc-status", "13")]), FAILED),
        "an error at once": (answer(200, headers=[("content-type", "application/grpc"), ("grpc-status", "12")]), FAILED),
        "HTTP's error": (answer(503), FAILED),
        "no trailers": (message(SERVING, None), FAILED),
        "no message": (message(b""), FAILED),
        "cut in the prefix": (message(b"\0\0\0"), FAILED),
        "a message cut": (message(b"\0\0\0\0\7\x08\1"), FAILED),
        "more than the message": (message(SERVING + b"\x08\1"), FAILED),
        "two messages": (message(SERVING * 2), FAILED),
        "compressed": (message(b"\1" + SERVING[1:]), FAILED),
        "a field cut": (message(b"\0\0\0\0\3\x12\x7f\1"), FAILED),
        "a number without end": (message(b"\0\0\0\0\x0c\x08" + b"\xff" * 11), FAILED),
        "a message too long": (message(b"\0\0\x10\0\0" + b"\x08\1" * 500000), FAILED),
    })
    return handlers


def h2_zoo(w, tls, grpc):
    pair = CA(w.base, "Foreign").issue("other", "other.example") if tls else None

    def make(name, handler, script):
        return TlsTarget(name, pair, handler, script, ("h2",)) if tls else Target(name, handler, script)
    targets = {name: (h2kit.add_h2_target(w, name, handler, make=make), want)
               for name, (handler, want) in h2_handlers(grpc).items()}
    how = dict(protocol="HTTPS") if tls else {}
    if tls:
        targets["no h2"] = (add_target(w, TlsTarget("old", pair)), NOBODY)
    zoo(w, targets, OFTEN + ("protocol = GRPC\n" if grpc else ""), protocol_version="GRPC" if grpc else "HTTP2", **how)


@limit(120)
def test_what_http2_targets_may_answer(w):
    h2_zoo(w, False, False)


@limit(120)
def test_what_http2_targets_may_answer_over_tls(w):
    h2_zoo(w, True, False)


@limit(120)
def test_what_grpc_targets_may_answer(w):
    h2_zoo(w, False, True)


@limit(120)
def test_what_grpc_targets_may_answer_over_tls(w):
    h2_zoo(w, True, True)
