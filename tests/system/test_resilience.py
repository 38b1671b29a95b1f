"""test_resilience.py - timeout, retries and max-requests of an action, as its file says them."""
import errno
import time

from grpckit import DEADLINE, Caller, Server
from harness import SLOW, Client, check, equal, free_port, limit, refused, until
from tlskit import metric


def fail(status):
    def handler(target, wire, request):
        target.reply(wire, status, b"no")
    return handler


def wait(target, wire, request):
    until(lambda: getattr(target, "go", False), 60, "the word to go on")
    target.plain(wire, request)


def two(w, first, second=None, extra=""):
    """`shop` to `blue` with two targets."""
    w.site(first)
    w.other = w.add_target("other", second)
    w.write(f"target-groups/blue/targets/127.0.0.1:{w.other.port}", "")
    w.write(f"{w.place}/default-action", f"forward = blue\n{extra}")
    return w


def test_retries_take_the_other_target(w):
    two(w, fail(503), extra="retries = 2\nretry-on = 5xx\n")
    for method, body in (("GET", b""), ("POST", b"a body"), ("PUT", b"x" * 60000)):
        for _ in range(4):
            answer = w.get(method=method, body=body)
            equal((answer.status, answer.body), (200, f"other {method} / {len(body)}".encode()), method)
    check(metric(w, "latticefs_retries_total") >= 4, "counted")
    w.write(f"{w.place}/default-action", "forward = blue\n")
    equal(sorted(w.get().status for _ in range(4)), [200, 200, 503, 503], "live, and off again")


def test_retry_on_says_what_for(w):
    two(w, fail(500), extra="retries = 1\nretry-on = gateway\n")
    equal(sorted(w.get().status for _ in range(4)), [200, 200, 500, 500], "500 is no gateway's")
    w.write(f"{w.place}/default-action", "forward = blue\nretries = 1\nretry-on = 5xx gateway\n")
    equal([w.get().status for _ in range(4)], [200] * 4, "5xx")


def test_a_timeout_is_504(w):
    two(w, wait, wait, "timeout = 1s\n")
    start = time.monotonic()
    equal(w.get().status, 504, "late")
    check(0.9 <= time.monotonic() - start < 5 * SLOW, "in its time")
    w.target.go = w.other.go = True
    equal(w.get().status, 200, "in time")


def test_a_try_that_is_late_goes_elsewhere(w):
    two(w, wait, extra="timeout = 4s\nretries = 1\nretry-on = timeout\n")
    start = time.monotonic()
    equal([w.get().body.split()[0] for _ in range(2)], [b"other"] * 2, "the quick one answers")
    check(time.monotonic() - start < 4 * SLOW, "a try has its share of the time")
    w.target.go = True


@limit(60)
def test_a_timeout_is_deadline_exceeded(w):
    server = Server(w, "blue")
    w.port = free_port()
    w.network()
    w.group("blue", server, protocol_version="GRPC")
    w.service("shop", w.port, "forward = blue\ntimeout = 1s")
    caller = Caller(w, f"127.0.0.1:{w.port}", f"shop.localhost:{w.port}")
    equal(caller.call("unary", metadata={"x-hold": "1"})["code"], DEADLINE, "by the rule, the client gave none")


def test_max_requests_is_503(w):
    w.site(wait)
    w.write(f"{w.place}/default-action", "forward = blue\nmax-requests = 1\n")
    w.restart(conf="[engine]\nworkers = 1\n")
    with Client(w.port, 30) as first:
        first.send(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
        until(w.target.count, 10, "it is at the target")
        equal(w.get().status, 503, "one more is too many")
        equal(metric(w, "latticefs_target_full_total"), 1, "counted")
        w.target.go = True
        equal(first.answer().status, 200, "the first is well")
    equal(w.get().status, 200, "and there is room again")


def test_mistakes_are_refused(w):
    w.site()
    for text in ("retries = 11", "retries = -1", "retry-on = never", "timeout = 0s", "max-requests = many"):
        refused(errno.EINVAL, w.write, f"{w.place}/default-action", f"forward = blue\n{text}\n")
