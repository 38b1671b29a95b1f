"""test_targets_tls.py - TLS to targets: the name that is asked for, what is verified, what is used again."""
import errno
import ssl
import threading
import time

import h2kit
from harness import SLOW, Client, check, equal, limit, match, refused
from tlskit import CA, TlsTarget, add_target

BOTH = "shop.localhost", "shop.lattice.internal"


def tls_site(w, handler=None, script=None, alpn=("http/1.1",), pair=None, **attributes):
    """World.site with a TLS target; sets root and pair."""
    w.site()
    w.root = CA(w.base, "Targets")
    w.pair = pair or w.root.issue("shop", "shop.localhost")
    w.target = add_target(w, TlsTarget("tls", w.pair, handler, script, alpn))
    w.group("tls", w.target, protocol="HTTPS", **attributes)
    w.write(f"{w.place}/default-action", "forward = tls\n")
    return w


def swap(w, pair, **how):
    """Another target alone in a group of its own, which is forwarded to."""
    w.count = getattr(w, "count", 0) + 1
    target = add_target(w, TlsTarget(f"t{w.count}", pair, **how))
    w.group(f"t{w.count}", target, protocol="HTTPS")
    w.write(f"{w.place}/default-action", f"forward = t{w.count}\n")
    return target, f"target-groups/t{w.count}"


def status(w, host="shop.localhost"):
    return w.get(host=host).status


def test_the_name_asked_for_is_the_requests_host(w):
    tls_site(w)
    for host, sni in (("shop.localhost", "shop.localhost"), (f"SHOP.localhost:{w.port}", "shop.localhost"), ("shop", "shop"),
                      ("shop.lattice.internal", "shop.lattice.internal")):
        equal(status(w, host), 200, host)
        equal(w.target.handshakes[-1]["sni"].lower(), sni, host)
        equal(w.target.last().all("host"), [host])
    equal(w.target.last().all("x-forwarded-proto"), ["http"], "the client's side is told, not ours")
    equal({(each["version"], each["alpn"]) for each in w.target.handshakes}, {("TLSv1.3", "http/1.1")})


@limit(60)
def test_nothing_is_verified_by_default(w):
    """As Lattice: self-signed, expired, for another name."""
    tls_site(w)
    foreign = CA(w.base, "Foreign")
    for pair, note in ((foreign.issue("x", "x.example"), "another name"), (foreign.issue("x", "x.example", days=(-9, -2)), "expired"),
                       (foreign.issue("x", key="rsa"), "no names, RSA")):
        swap(w, pair)
        equal(status(w), 200, note)


@limit(60)
def test_a_ca_verifies(w):
    tls_site(w)
    foreign = CA(w.base, "Foreign")
    inner = w.root.inner("Inner")
    cases = ((w.root.issue("shop", "shop.localhost"), 200, "good"), (inner.issue("shop", "shop.localhost"), 200, "good, with a chain"),
             (w.root.issue("shop", "*.lattice.internal"), 200, "a wildcard"),
             (w.root.issue("t", "IP:127.0.0.1"), 200, "the target's address"),
             (w.root.issue("shop", "other.localhost"), 503, "wrong name"), (foreign.issue("shop", "shop.localhost"), 503, "foreign"),
             (w.root.issue("shop", "shop.localhost", days=(-10, -2)), 503, "expired"),
             (w.root.issue("shop", "shop.localhost", days=(2, 10)), 503, "not yet valid"))
    for pair, want, note in cases:
        target, group = swap(w, pair)
        w.write(f"{group}/ca", w.root.pem)
        equal(status(w, BOTH[note == "a wildcard"]), want, note)
        if want == 503:
            equal(target.count(), 0, f"{note}: no request was sent")
            w.write(f"{group}/ca", foreign.pem + w.root.pem)
            equal(status(w), 200 if note == "foreign" else 503, f"{note}, both CAs")


def test_a_verified_connection_is_no_other_names(w):
    """A kept connection was verified for one name: a request for another one does not ride on it."""
    tls_site(w)
    w.write("target-groups/tls/ca", w.root.pem)
    for turn in range(3):
        for host, want in zip(BOTH, (200, 503)):
            equal(status(w, host), want, f"{host}, turn {turn}")


def test_the_systems_cas(w):
    tls_site(w)
    equal(status(w), 200)
    w.write("target-groups/tls/verify", "system\n")
    w.target.drop()
    equal(status(w), 503, "a private CA is none of them")
    refused(errno.EINVAL, w.write, "target-groups/tls/verify", "always\n")
    refused(errno.EINVAL, w.write, "target-groups/tls/ca", "hello\n")
    match("target-groups/tls/ca", w.errors(), "the refusal is told")


@limit(60)
def test_another_ca_holds_at_once(w):
    """Also for connections that are kept: they were verified by what no longer counts."""
    tls_site(w)
    foreign = CA(w.base, "Foreign")
    for turn in range(3):
        w.write("target-groups/tls/ca", w.root.pem)
        equal(status(w), 200, f"turn {turn}")
        w.write("target-groups/tls/ca", foreign.pem)
        equal(status(w), 503, f"turn {turn}")


def test_connections_are_used_again(w):
    tls_site(w)
    with Client(w.port) as client:
        for _ in range(20):
            equal(client.ask(host="shop.localhost").status, 200)
    equal(len(w.target.handshakes), 1, "one handshake for one after another")


@limit(60)
def test_sessions_are_used_again(w):
    """The target closes behind every answer: the handshakes that follow resume."""
    def closing(target, wire, request):
        target.reply(wire, 200, b"x", "Connection: close\r\n")
        return False
    for most in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        if most == ssl.TLSVersion.TLSv1_2:
            tls_site(w, closing)
        target, group = swap(w, w.pair, handler=closing)
        target.context.maximum_version = most
        w.write(f"{group}/ca", w.root.pem)
        with Client(w.port) as client:
            for _ in range(8):
                equal(client.ask(host="shop.localhost").status, 200)
        equal([each["reused"] for each in target.handshakes], [False] + [True] * 7, f"{most}")


def test_http2_by_alpn(w):
    tls_site(w, h2kit.plain, h2kit.target_script(), ("h2", "http/1.1"), protocol_version="HTTP2")
    with Client(w.port) as client, h2kit.connect(w.port) as peer:
        for _ in range(5):
            equal(client.ask(host="shop.localhost").body, b"tls GET / 0")
            equal(peer.ask(host="shop.localhost").body, b"tls GET / 0")
    equal({each["alpn"] for each in w.target.handshakes}, {"h2"})
    check(len(w.target.handshakes) <= 2, f"one connection a worker: {len(w.target.handshakes)}")
    target, group = swap(w, w.pair)
    w.write(f"{group}/protocol-version", "HTTP2\n")
    check(status(w) in (502, 503), "a target without h2")
    equal(target.count(), 0)


@limit(60)
def test_targets_that_speak_no_tls(w):
    w.stop()
    w.start("[engine]\nworkers = 1\nconnect-timeout-ms = 1000\nresponse-timeout-ms = 2000\n")
    tls_site(w)
    gate = threading.Event()
    talkers = {"plain": lambda target, wire: target.loop(wire), "closing": lambda target, wire: None,
               "garbage": lambda target, wire: wire.sock.sendall(b"\xff" * 5000), "silent": lambda target, wire: gate.wait(10),
               "banner": lambda target, wire: wire.sock.sendall(b"220 mail\r\n") or wire.rest()}
    for name, script in talkers.items():
        w.group(name, w.add_target(name, script=script), protocol="HTTPS")
        w.write(f"{w.place}/default-action", f"forward = {name}\n")
        began = time.monotonic()
        with Client(w.port) as client:
            got = client.ask("POST", host="shop.localhost")
            check(got.status in (502, 503, 504), f"{name}: {got.status}")
            check(time.monotonic() - began < 5 * SLOW, f"{name}: in time")
            equal(client.ask("POST", host="shop.localhost").status, got.status, f"{name}: the connection goes on")
        equal(w.targets[-1].count(), 0, f"{name}: nothing was sent in the clear")
    gate.set()


def test_a_bad_target_beside_a_good_one(w):
    """A handshake that fails is a connection that fails: another target is tried."""
    tls_site(w)
    w.write("target-groups/tls/ca", w.root.pem)
    bad = add_target(w, TlsTarget("bad", CA(w.base, "Foreign").issue("shop", "shop.localhost")))
    w.write(f"target-groups/tls/targets/127.0.0.1:{bad.port}", "")
    for _ in range(12):
        equal(status(w), 200)
    equal(bad.count(), 0)


def test_tls12_and_rsa_targets(w):
    tls_site(w)
    target, group = swap(w, w.root.issue("shop", "shop.localhost", key="rsa"))
    target.context.maximum_version = ssl.TLSVersion.TLSv1_2
    w.write(f"{group}/ca", w.root.pem)
    equal(status(w), 200)
    equal(target.handshakes[0]["version"], "TLSv1.2")


@limit(60)
def test_targets_that_close_inside_of_tls(w):
    """A cut is no end: only a close_notify makes an answer that ends by close whole."""
    def until_close(target, wire, request):
        wire.sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 50000)
        if request.target == "/polite":
            wire.sock.unwrap()
        return False
    tls_site(w, until_close)
    with Client(w.port) as client:
        answer = client.ask(path="/polite", host="shop.localhost")
        equal((answer.status, len(answer.body)), (200, 50000), "an end with close_notify")
