"""test_resilience.py - timeout, retries and max-requests of an action, as its file says them.

One worker, where a test counts: each has turns of its own.
"""
import errno
import time

import h2kit
from grpckit import DEADLINE, Caller, Server
from h2kit import add_h2_target, plain, reply
from harness import Client, check, equal, free_port, limit, refused, until
from tlskit import metric

ONE = "[engine]\nworkers = 1\n"


def fail(status):
    def handler(target, wire, request):
        target.reply(wire, status, b"no")
    return handler


def wait(target, wire, request):
    until(lambda: getattr(target, "go", False), 60, "the word to go on")
    target.plain(wire, request)


def two(w, first, second=None, extra=""):
    """`shop` to `blue` with two targets."""
    w.restart(conf=ONE)
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
    two(w, fail(500), extra="retries = 1\nretry-on = gateway-error\n")
    equal(sorted(w.get().status for _ in range(4)), [200, 200, 500, 500], "500 is no gateway's")
    w.write(f"{w.place}/default-action", "forward = blue\nretries = 1\nretry-on = 5xx gateway-error\n")
    equal([w.get().status for _ in range(4)], [200] * 4, "5xx")


def test_a_timeout_is_504(w):
    two(w, wait, wait, "timeout = 1\n")
    start = time.monotonic()
    equal(w.get().status, 504, "late")
    check(time.monotonic() - start >= 0.9, "not before its time")
    w.target.go = w.other.go = True
    equal(w.get().status, 200, "in time")


def test_a_try_that_is_late_goes_elsewhere(w):
    two(w, wait, extra="timeout = 4\nretries = 1\nretry-on = timeout\n")
    equal([w.get().body.split()[0] for _ in range(2)], [b"other"] * 2, "a try has its share of the time")
    check(w.target.count() >= 1, "the late one was asked")
    w.target.go = True


@limit(60)
def test_a_timeout_is_deadline_exceeded(w):
    server = Server(w, "blue")
    w.port = free_port()
    w.network()
    w.group("blue", server, protocol_version="GRPC")
    w.service("shop", w.port, "forward = blue\ntimeout = 1")
    caller = Caller(w, f"127.0.0.1:{w.port}", f"shop.localhost:{w.port}")
    equal(caller.call("unary", metadata={"x-hold": "1", "x-fail": "5"})["code"], DEADLINE, "by the rule, the client gave none")


def test_max_requests_is_503(w):
    w.restart(conf=ONE)
    w.site(wait)
    w.write(f"{w.place}/default-action", "forward = blue\nmax-requests = 1\n")
    with Client(w.port, 30) as first:
        first.send(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
        until(w.target.count, 10, "it is at the target")
        equal(w.get().status, 503, "one more is too many")
        equal(metric(w, "latticefs_target_full_total"), 1, "counted")
        w.target.go = True
        equal(first.answer().status, 200, "the first is well")
    equal(w.get().status, 200, "and there is room again")


def test_a_full_target_is_passed_over_when_nobody_is_healthy(w):
    """All targets are used then, and so is the one that has room."""
    w.restart(conf=ONE)
    two(w, wait)
    w.write("target-groups/blue/health-check", f"port = {free_port()}\ninterval = 100ms\n")
    until(lambda: w.read("target-groups/blue/.status").count("UNHEALTHY ConnectionFailed") == 2, 20, "nobody is")
    w.write(f"{w.place}/default-action", "forward = blue\nmax-requests = 1\n")
    with Client(w.port, 30) as first:
        first.send(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
        until(lambda: w.target.count() or w.other.count(), 10, "it is at a target")
        if w.other.count():
            equal(first.answer().status, 200)
            first.send(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
            until(w.target.count, 10, "it is at the one that waits")
        equal([w.get().body.split()[0] for _ in range(4)], [b"other"] * 4, "whose turn it may be")
        w.target.go = True
        equal(first.answer().status, 200)


def test_mistakes_are_refused(w):
    w.site()
    for text in ("retries = 11", "retries = -1", "retry-on = never", "timeout = 0", "timeout = 1m", "max-requests = many"):
        refused(errno.EINVAL, w.write, f"{w.place}/default-action", f"forward = blue\n{text}\n")


# ---------------------------------------------------------------------- HTTP/2, where requests share connections

GRPC = ("content-type", "application/grpc"), ("te", "trailers")


def two_h2(w, first, second=plain, extra="", early=None, version="HTTP2"):
    """As two(), with targets of HTTP/2."""
    w.restart(conf=ONE)
    w.target, w.other = add_h2_target(w, "blue", first, early=early), add_h2_target(w, "other", second)
    w.port = free_port()
    w.network()
    w.group("blue", w.target, w.other, protocol_version=version)
    w.place = w.service("shop", w.port, f"forward = blue\n{extra}")
    return w


def fail_h2(status):
    def handler(target, peer, request):
        reply(peer, request, b"no", status)
    return handler


def holder(w):
    """Targets that leave it to the test to answer."""
    w.held = []
    return lambda target, peer, request: w.held.append((peer, request))


def begin(peer, method="POST", headers=()):
    return peer.begin([(":method", method), (":scheme", "http"), (":authority", "shop"), (":path", "/"), *headers])


def test_retries_from_http2_to_http2(w):
    two_h2(w, fail_h2(503), extra="retries = 2\nretry-on = 5xx\n")
    cases = ("GET", b""), ("POST", b"a body"), ("PUT", b"x" * 60000)
    with h2kit.connect(w.port) as peer:
        for method, body in cases * 2:
            stream = peer.ask(method=method, body=body or None)
            equal((stream.status, stream.body), (200, f"other {method} / {len(body)}".encode()), method)
    for method, body in cases * 2:
        answer = w.get(method=method, body=body)
        equal((answer.status, answer.body), (200, f"other {method} / {len(body)}".encode()), f"{method} from HTTP/1")
    check(w.target.count() >= 6, "the one that fails was asked")


def test_retries_of_grpc_errors(w):
    """A call that is answered with nothing but UNAVAILABLE goes elsewhere, one that is NOT_FOUND does not."""
    def answer(target, peer, request):
        peer.headers(request.stream.id, [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", w.code)], True)

    two_h2(w, answer, extra="retries = 1\nretry-on = gateway-error\n", version="GRPC")
    with h2kit.connect(w.port) as peer:
        for w.code, elsewhere in (("14", True), ("5", False)):
            heads = [peer.ask(method="POST", headers=GRPC, body=b"\0" * 5).one("grpc-status") for _ in range(4)]
            equal(sorted(str(code) for code in heads), ["None"] * 4 if elsewhere else [w.code] * 2 + ["None"] * 2)
    w.code = "14"
    w.write("target-groups/blue/health-check", "[passive]\nenabled = true\nerrors = 2\n")
    w.write(f"{w.place}/default-action", "forward = blue\n")
    with h2kit.connect(w.port) as peer:
        until(lambda: peer.ask(method="POST", headers=GRPC, body=b"\0" * 5).status and "Ejected" in
              w.read("target-groups/blue/.status"), 10, "it counts for passive checks, too")


def test_retries_from_http2_to_http1(w):
    two(w, fail(503), extra="retries = 2\nretry-on = 5xx\n")
    with h2kit.connect(w.port) as peer:
        for method, body in (("GET", b""), ("POST", b"a body"), ("PUT", b"x" * 60000)) * 2:
            stream = peer.ask(method=method, body=body or None)
            equal((stream.status, stream.body), (200, f"other {method} / {len(body)}".encode()), method)


def refusing(w, extra="", version="HTTP2", late=True):
    """One target refuses streams: when they are whole, or by their heads. A client that sends a head, waits until a target
    has it, and sends the body then."""
    heads = []

    def early(target, peer, stream):
        heads.append(target.name)
        if target.name == "blue" and not late:
            peer.cancel(stream, h2kit.REFUSED)
            return True
        return False

    def refuse(target, peer, request):
        equal(len(request.body), 100, "all of it came")
        peer.cancel(request.stream, h2kit.REFUSED)

    two_h2(w, refuse, extra=extra, version=version, early=early)
    w.other.script = h2kit.target_script(early=early)
    with h2kit.connect(w.port) as peer:
        for i in range(6):
            before = len(heads)
            stream = begin(peer, headers=GRPC)
            until(lambda before=before: len(heads) > before, 10, "the head is at a target")
            peer.send(stream, b"z" * 100)
            peer.wait(lambda stream=stream: stream.over, "the answer")
            equal((stream.status, stream.body, stream.one("grpc-status")), (200, b"other POST / 100", None), f"request {i}")
    check(heads.count("blue") >= 3, "the one that refuses was asked")


def test_a_refused_stream_goes_elsewhere_with_its_body(w):
    refusing(w)


def test_a_refused_call_goes_elsewhere_with_its_message(w):
    refusing(w, version="GRPC")


def test_a_stream_refused_by_its_head_goes_elsewhere(w):
    refusing(w, late=False)


def test_a_refused_stream_is_whole_again_with_retries(w):
    """What is kept for retries is sent again by who refuses, too."""
    refusing(w, extra="retries = 1\n")


def test_more_of_a_body_comes_while_what_was_kept_waits(w):
    """The next target takes nothing yet of what the first one refused; the client goes on meanwhile."""
    def early(target, peer, stream):
        w.streams.append((target, peer, stream))
        return target is w.target

    w.restart(conf=ONE)
    w.streams = []
    w.target = add_h2_target(w, "blue", early=early)
    w.other = add_h2_target(w, "other", early=early, settings=h2kit.setting(h2kit.INITIAL_WINDOW, 0))
    w.port = free_port()
    w.network()
    w.group("blue", w.other, protocol_version="HTTP2")
    w.service("shop", w.port, "forward = blue")
    with h2kit.connect(w.port) as peer:
        equal(peer.ask().body, b"other GET / 0", "its window is known")
        w.write(f"target-groups/blue/targets/127.0.0.1:{w.target.port}", "weight = 100\n")
        stream = begin(peer)
        until(lambda: w.streams[-1][0] is w.target, 10, "it is at the target of most turns")
        far, refused_one = w.streams[-1][1:]
        peer.send(stream, b"z" * 100, False)
        until(lambda: refused_one.size == 100, 10, "a part is there")
        far.cancel(refused_one, h2kit.REFUSED)
        until(lambda: w.streams[-1][0] is w.other, 10, "its head is at the other one")
        peer.send(stream, b"z" * 100)
        peer.frame(h2kit.PING, 0, 0, b"12345678").wait(lambda: peer.pings, "what was sent has been looked at")
        far, last = w.streams[-1][1:]
        far.open_window(last.id, 1000)
        peer.wait(lambda: stream.over, "the answer")
        equal(stream.body, b"other POST / 200")


def test_a_long_refused_body_is_not_sent_in_part(w):
    """More than is kept: 502, and no target has a part for the whole."""
    def refuse(target, peer, request):
        peer.cancel(request.stream, h2kit.REFUSED)

    two_h2(w, refuse, refuse)
    with h2kit.connect(w.port) as peer:
        stream = begin(peer)
        until(lambda: getattr(w.target, "peers_h2", []) + getattr(w.other, "peers_h2", []), 10, "it goes to one")
        peer.send(stream, b"z" * 50000)
        peer.wait(lambda: stream.over, "the answer")
        equal(stream.status, 502)
    equal([len(r.body) for r in w.target.requests + w.other.requests], [50000])


def test_who_is_told_to_go_away_asks_elsewhere(w):
    def leave(target, peer, request):
        peer.leave(0)
        return False

    two_h2(w, leave)
    with h2kit.connect(w.port) as peer:
        equal([peer.ask(method="POST", body=b"x").status for _ in range(6)], [200] * 6)
    check(w.target.count() > 0, "the one that leaves was asked")


def test_posts_are_sent_once(w):
    """A stream that breaks may have been acted upon: only what is idempotent goes again."""
    def cut(target, peer, request):
        peer.cancel(request.stream, h2kit.INTERNAL_ERROR)

    two_h2(w, cut, extra="retries = 2\nretry-on = connect timeout\n")
    with h2kit.connect(w.port) as peer:
        equal(sorted(peer.ask(method="POST", body=b"x").status for _ in range(4)), [200, 200, 502, 502])
        equal([peer.ask(method="PUT", body=b"x").status for _ in range(4)], [200] * 4)


def test_what_was_answered_in_part_is_not_asked_again(w):
    """Neither behind an interim answer nor behind a head: the client has seen something of it."""
    two_h2(w, holder(w), holder(w), "retries = 5\nretry-on = 5xx connect timeout\n")
    cases = ([(":status", "103"), ("link", "<x>")], 502, False), ([(":status", "200")], 200, True)
    with h2kit.connect(w.port) as peer:
        for n, (fields, status, cut) in enumerate(cases, 1):
            stream = peer.ask(wait=False)
            until(lambda n=n: len(w.held) == n, 10, "it is at a target")
            far, request = w.held[-1]
            far.headers(request.stream.id, fields)
            peer.wait(lambda stream=stream: stream.heads, "what there is of an answer")
            far.cancel(request.stream, h2kit.INTERNAL_ERROR)
            peer.wait(lambda stream=stream: stream.over, "its end")
            equal((stream.status, stream.reset is not None, len(w.held)), (status, cut, n), "asked once")
    equal(metric(w, "latticefs_retries_total"), 0)


def test_a_timeout_ends_each_try_and_the_targets_hear_of_it(w):
    two_h2(w, holder(w), holder(w), "timeout = 1\nretries = 1\nretry-on = timeout\n")
    start = time.monotonic()
    with h2kit.connect(w.port) as peer:
        equal(peer.ask().status, 504)
        check(time.monotonic() - start >= 0.9, "not before its time")
        equal((w.target.count(), w.other.count()), (1, 1), "both were asked")
        until(lambda: [getattr(t, "resets", []) for t in (w.target, w.other)] == [[(1, h2kit.CANCEL)]] * 2, 10, "RST_STREAM")
        stream = begin(peer)
        peer.send(stream, b"a part", False)
        peer.wait(lambda: stream.over, "the answer to half a request")
        equal(stream.status, 504, "an upload that takes longer")


def test_an_answer_that_has_begun_has_no_timeout(w):
    two_h2(w, holder(w), holder(w), "timeout = 1\nretries = 1\nretry-on = timeout 5xx\n")
    with h2kit.connect(w.port) as peer:
        stream = peer.ask(wait=False)
        until(lambda: w.held, 10, "it is at a target")
        far, request = w.held[0]
        far.headers(request.stream.id, [(":status", "200")])
        peer.wait(lambda: stream.head, "the head")
        time.sleep(1.5)  # longer than its timeout
        far.send(request.stream, b"the rest")
        peer.wait(lambda: stream.over, "the end")
        equal((stream.body, stream.reset, len(w.held)), (b"the rest", None, 1))


def test_max_requests_counts_streams(w):
    two_h2(w, holder(w), holder(w), "max-requests = 2\n")
    with h2kit.connect(w.port) as peer:
        streams = [peer.ask(wait=False) for _ in range(4)]
        until(lambda: len(w.held) == 4, 10, "all are at a target")
        equal((w.target.count(), w.other.count()), (2, 2))
        equal([peer.ask().status for _ in range(3)], [503] * 3)
        equal([peer.ask(headers=GRPC, method="POST").one("grpc-status") for _ in range(2)], ["14"] * 2)
        equal(metric(w, "latticefs_target_full_total"), 5)
        for far, request in w.held:
            reply(far, request, b"ok")
        peer.wait(lambda: all(stream.over for stream in streams), "the answers")
        peer.ask(wait=False)
        until(lambda: len(w.held) == 5, 10, "there is room again")


def test_retries_have_a_budget(w):
    """Of 50 requests in flight ten may be sent once more at the same time."""
    two_h2(w, holder(w), holder(w), "retries = 1\nretry-on = 5xx\n")
    with h2kit.connect(w.port) as peer:
        streams = [peer.ask(wait=False) for _ in range(50)]
        until(lambda: len(w.held) == 50, 10, "all are at a target")
        for turn, status in (range(50), 503), (range(50, 60), 200):
            for i in turn:
                until(lambda i=i: len(w.held) > i, 10, "a retry is at a target")
                far, request = w.held[i]
                reply(far, request, b"", status)
            peer.wait(lambda turn=turn: sum(stream.over for stream in streams) >= 40 + 10 * (turn[0] > 0), "answers")
        equal(sorted(stream.status for stream in streams), [200] * 10 + [503] * 40)
    equal([metric(w, f"latticefs_retries_{name}total") for name in ("", "over_budget_")], [10, 40])
