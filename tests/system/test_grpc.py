"""test_grpc.py - gRPC as others speak it: client and server of @grpc/grpc-js, latticefs between them."""
import os
import time

from grpckit import CANCELLED, DEADLINE, INVALID, OK, UNAVAILABLE, UNIMPLEMENTED, Caller, Server
from h2kit import add_h2_target, connect
from harness import SLOW, check, equal, free_port, limit, until
from tlskit import https_service

MIB = 1 << 20


def grpc_site(w, version="GRPC", https=False):
    """A service `shop` with a gRPC target `blue`; sets server, client, port, place."""
    w.server = Server(w, "blue")
    w.port = free_port()
    w.network()
    w.group("blue", w.server, protocol_version=version)
    w.place = (https_service if https else w.service)(*([w] if https else []), "shop", w.port, "forward = blue")
    w.client = Caller(w, f"127.0.0.1:{w.port}", f"shop.localhost:{w.port}", w.path(".ca.pem") if https else "")
    return w


def every_kind(w, note):
    """One call of each kind, with messages, metadata and trailers."""
    for kind, count, messages, size in (("unary", 1, 1, 100), ("down", 50, 50, 1000), ("up", 50, 1, 1000), ("both", 50, 50, 1000)):
        got = w.client.call(kind, count=count, size=size, metadata={"x-mine": "a, b", "x-mine-bin-not": "1"})
        equal((got["code"], got["messages"], got["by"]), (OK, messages, "blue"), f"{kind}, {note}: {got}")
        equal((got["binary"], got["trailers"].get("x-trailer")), ([0, 255, 10], "blue"), f"{kind}, {note}")
        if kind == "up":
            equal((got["number"], got["text"]), (50, "50000"), note)
        else:
            equal(got["bytes"], messages * size, f"{kind}, {note}")
        seen = w.server.calls()[-1]
        equal((seen["kind"], seen["metadata"]["x-mine"], seen["host"]), (kind, "a, b", f"shop.localhost:{w.port}"), note)


@limit(90)
def test_the_kit_without_latticefs(w):
    """Client and server face to face: what fails here is the kit's."""
    w.server = Server(w, "blue")
    w.port = w.server.port
    w.client = Caller(w, f"127.0.0.1:{w.port}", f"shop.localhost:{w.port}")
    every_kind(w, "direct")


@limit(90)
def test_every_kind_of_call(w):
    grpc_site(w)
    every_kind(w, "GRPC")
    w.write("target-groups/blue/protocol-version", "HTTP2\n")
    every_kind(w, "HTTP2")


@limit(90)
def test_every_kind_of_call_over_tls(w):
    grpc_site(w, https=True)
    every_kind(w, "TLS with the local CA")


@limit(90)
def test_a_stream_answers_turn_by_turn(w):
    """Nothing is kept back: each message comes before the next is sent."""
    grpc_site(w)
    got = w.client.call("both", count=200, size=10, turns=True)
    equal((got["code"], got["messages"]), (OK, 200))


@limit(90)
def test_many_calls_at_once(w):
    grpc_site(w)
    kinds = [("unary", 1), ("down", 20), ("up", 20), ("both", 20)] * 25
    calls = [w.client.start(kind, count=count, size=2000) for kind, count in kinds]
    for ident, (kind, count) in zip(calls, kinds):
        got = w.client.end(ident)
        equal((got["code"], got["messages"]), (OK, 1 if kind in ("unary", "up") else count), f"{kind}: {got}")


@limit(90)
def test_large_messages(w):
    grpc_site(w)
    for kind in ("unary", "down", "up", "both"):
        got = w.client.call(kind, count=1 if kind == "unary" else 2, size=8 * MIB)
        equal(got["code"], OK, f"{kind}: {got}")
        if kind != "up":
            equal(got["bytes"], got["messages"] * 8 * MIB, kind)
        else:
            equal(got["text"], str(16 * MIB))


@limit(60)
def test_deadlines(w):
    grpc_site(w)
    for kind in ("unary", "down"):
        began = time.monotonic()
        got = w.client.call(kind, count=0, deadline=500, metadata={"x-hold": "1"})
        equal(got["code"], DEADLINE, f"{kind}: {got}")
        check(0.4 < time.monotonic() - began < 5 * SLOW, "in time")
    seen = w.server.calls()[0]["deadline"]
    check(seen is not None and seen <= 500, f"grpc-timeout reaches the server: {seen}")
    until(lambda: len(w.server.events("cancelled")) == 2, 5, "the server sees both ends")
    equal(w.client.call()["code"], OK, "and the connection goes on")


@limit(60)
def test_cancellation_reaches_the_server(w):
    grpc_site(w)
    for i, (kind, how) in enumerate((("down", dict(count=1000, cancelAfter=3, metadata={"x-slow": "5"})),
                                     ("both", dict(count=1, cancelAfter=1, turns=True)),
                                     ("down", dict(count=0, cancelAfter=0, metadata={"x-hold": "1"})))):
        got = w.client.call(kind, size=100, **how)
        equal(got["code"], CANCELLED, f"{kind}: {got}")
        until(lambda: len(w.server.events("cancelled")) == i + 1, 5, f"the server sees the cancel of {kind}")
    equal(w.client.call()["code"], OK)


@limit(60)
def test_errors_of_the_server(w):
    """Trailers-only, and behind messages; codes, details and trailers pass."""
    grpc_site(w)
    for kind in ("unary", "down", "up"):
        for code in (INVALID, UNAVAILABLE, 16):
            got = w.client.call(kind, metadata={"x-fail": str(code)})
            equal((got["code"], got["details"], got["messages"]), (code, "as asked", 0), f"{kind}: {got}")
            equal(got["trailers"].get("x-trailer"), "of-an-error", kind)
    for kind in ("down", "both"):
        got = w.client.call(kind, count=5, size=10, metadata={"x-late": str(INVALID)})
        equal((got["code"], got["messages"]), (INVALID, 5), f"{kind}: {got}")


@limit(60)
def test_rules_on_service_and_method(w):
    grpc_site(w)
    for name in ("other", "down"):
        w.group(name, Server(w, name), protocol_version="GRPC")
    w.rule(w.place, "other", 10, "path-prefix = /lattice.test.Other/", "forward = other")
    w.rule(w.place, "down", 20, "path-exact = /lattice.test.Echo/Down", "forward = down")
    for service, kind, want in (("Echo", "unary", "blue"), ("Other", "unary", "other"), ("Echo", "down", "down"),
                                ("Echo", "up", "blue"), ("Echo", "both", "blue")):
        got = w.client.call(kind, service=service, size=1)
        equal((got["code"], got["by"]), (OK, want), f"{service} {kind}")
    w.rule(w.place, "canary", 5, "header-exact = x-canary: yes", "forward = other")
    equal(w.client.call(metadata={"x-canary": "yes"})["by"], "other", "rules see metadata")


@limit(90)
def test_a_canary_by_count(w):
    """90 to 10 of the calls of one connection, exactly: shares are of requests, not of connections."""
    grpc_site(w)
    w.group("green", Server(w, "green"), protocol_version="GRPC")
    w.write(f"{w.place}/default-action", "forward = blue:90 green:10\n")
    calls = [w.client.start(size=10) for _ in range(200)]
    by = [w.client.end(ident)["by"] for ident in calls]
    equal((by.count("blue"), by.count("green")), (180, 20))
    w.write(f"{w.place}/default-action", "forward = blue:0 green:100\n")
    equal([w.client.call()["by"] for _ in range(5)], ["green"] * 5, "a change moves the next call, on the same connection")


@limit(60)
def test_errors_made_here_have_a_grpc_status(w):
    grpc_site(w)
    w.group("empty", protocol_version="GRPC")
    w.group("gone", "127.0.0.1:1", protocol_version="GRPC")
    for action, code in (("forward = empty", UNAVAILABLE), ("forward = gone", UNAVAILABLE), ("forward = blue:0", UNAVAILABLE),
                         ("fixed-response = 404", UNIMPLEMENTED), ("fixed-response = 403", 7), ("fixed-response = 401", 16),
                         ("fixed-response = 429", UNAVAILABLE), ("fixed-response = 503", UNAVAILABLE)):
        w.write(f"{w.place}/default-action", action + "\n")
        for kind in ("unary", "both"):
            got = w.client.call(kind)
            equal((got["code"], got["messages"]), (code, 0), f"{action}, {kind}: {got}")
    w.write(f"{w.place}/default-action", "forward = blue\n")
    equal(w.client.call()["code"], OK, "the connection goes on")
    lost = Caller(w, f"127.0.0.1:{w.port}", "nobody.localhost")
    equal(lost.call()["code"], UNIMPLEMENTED, "no service by that name, as Envoy maps 404")


@limit(60)
def test_such_errors_are_trailers_only(w):
    """One HEADERS frame with END_STREAM: 200, application/grpc, grpc-status; only gRPC gets it so."""
    grpc_site(w)
    w.group("empty", protocol_version="GRPC")
    w.write(f"{w.place}/default-action", "forward = empty\n")
    with connect(w.port) as peer:
        for kind in ("application/grpc", "application/grpc+proto", "application/grpc;charset=x"):
            got = peer.ask("/a.B/C", "POST", headers=[("content-type", kind), ("te", "trailers")], body=b"\0\0\0\0\0")
            equal((got.status, got.one("grpc-status"), got.body, got.trailers), (200, "14", b"", None), kind)
            check(got.one("content-type").startswith("application/grpc"), "content-type")
            check(got.one("grpc-message"), "it says why")
        for kind in ("application/json", "application/grpcx", "application/grpc-web"):
            got = peer.ask("/a.B/C", "POST", headers=[("content-type", kind)], body=b"x")
            equal((got.status, got.one("grpc-status")), (503, None), kind)


@limit(90)
def test_a_server_that_ends_in_the_middle(w):
    grpc_site(w)
    ident = w.client.start("down", count=100000, size=10, metadata={"x-slow": "5"})
    until(lambda: w.server.calls(), 10, "the call has begun")
    w.server.close()
    got = w.client.end(ident)
    check(got["code"] in (UNAVAILABLE, 13, 1, 2), f"an error, no end: {got}")
    equal(w.client.call()["code"], UNAVAILABLE, "refused")
    again = Server(w, "again")
    w.write(f"target-groups/blue/targets/127.0.0.1:{again.port}", "")
    os.unlink(w.path(f"target-groups/blue/targets/127.0.0.1:{w.server.port}"))
    until(lambda: w.client.call()["by"] == "again", 10, "a new target")


@limit(90)
def test_a_drain_ends_a_stream_in_order(w):
    """SIGTERM while a call runs: it is answered, then the daemon ends."""
    grpc_site(w)
    ident = w.client.start("down", count=60, size=10, metadata={"x-slow": "10"})
    until(lambda: w.server.calls(), 10, "the call has begun")
    w.stop()
    got = w.client.end(ident)
    equal((got["code"], got["messages"]), (OK, 60), f"{got}")


@limit(60)
def test_status_of_a_target_that_is_no_grpc(w):
    """Plain HTTP/2 answers pass as they are: what a client makes of them is its own affair."""
    grpc_site(w)
    w.group("plain", add_h2_target(w, "plain"), protocol_version="GRPC")
    w.write(f"{w.place}/default-action", "forward = plain\n")
    with connect(w.port) as peer:
        got = peer.ask("/a.B/C", "POST", headers=[("content-type", "application/grpc")], body=b"\0\0\0\0\0")
        equal((got.status, got.one("grpc-status")), (200, None))
