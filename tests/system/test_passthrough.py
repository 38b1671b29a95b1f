"""test_passthrough.py - TLS_PASSTHROUGH listeners: routed by SNI, the bytes untouched."""
import errno
import hashlib
import os
import socket
import ssl

from harness import Client, check, equal, free_port, limit, refused, until
from test_http import UPGRADE, tunnel
from test_tls import hello
from tlskit import CA, TlsTarget, add_target, metric, secure, shown, trust


def passthrough_site(w, *names, **how):
    """Services of these names on one address, each with a TLS target of its own: w.pairs, w.ends."""
    w.root = CA(w.base, "Targets")
    w.port = free_port()
    w.network()
    w.pairs, w.ends = {}, {}
    for name in names:
        w.pairs[name] = w.root.issue(name, f"{name}.example", f"{name}.localhost")
        w.ends[name] = add_target(w, TlsTarget(name, w.pairs[name], **how))
        w.group(name, w.ends[name], protocol="TCP")
        place = f"services/{name}/listeners/web"
        w.mkdir(place)
        w.write(f"services/{name}/domain", f"{name}.example\n")
        w.write(f"{place}/protocol", "TLS_PASSTHROUGH\n")
        w.service(name, w.port, f"forward = {name}")
    return w


def test_sni_picks_the_service_and_the_target_answers(w):
    passthrough_site(w, "shop", "cart")
    for most in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for name in ("shop", "cart"):
            for full in (f"{name}.example", f"{name}.localhost"):
                with secure(w.port, full, trust(w.root.pem_file, most=most)) as client:
                    equal(shown(client), w.pairs[name].mark, "the target's own certificate")
                    equal(client.ask(host="anything").body.decode(), f"{name} GET / 0", "Host is none of our business")
                equal(w.ends[name].handshakes[-1]["sni"], full)
    fields = {key.lower() for key, _ in w.ends["shop"].last().fields}
    equal(fields, {"host"}, "nothing is added")


def test_missing_and_unknown_names_are_closed_and_counted(w):
    passthrough_site(w, "shop")
    before = metric(w, "latticefs_tls_unknown_name_total")
    for first in (hello("nobody.example"), hello(None)):
        with Client(w.port) as client:
            client.send(first)
            check(client.closed(5), "closed")
    equal(metric(w, "latticefs_tls_unknown_name_total") - before, 2, "counted")
    for raw in (b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n", b"\xff" * 3000, hello()[:40] + b"\xff" * 2000):
        with Client(w.port) as client:
            client.send(raw)
            check(client.closed(5), f"what is no ClientHello is closed: {raw[:20]!r}")
    equal(w.ends["shop"].connections, 0, "nobody was bothered")
    until(lambda: w.number("connections") == 0, 5, "no connection is left")


def test_a_hello_in_pieces(w):
    passthrough_site(w, "shop")
    first = hello("shop.example")
    w.ends["shop"].close()
    raw = w.add_target("raw", script=lambda target, wire: target.requests.append(wire.take(len(first))) or wire.sock.sendall(b"seen"))
    w.group("raw", raw, protocol="TCP")
    w.write("services/shop/listeners/web/default-action", "forward = raw\n")
    for part in (1, 7, 100, len(first)):
        with Client(w.port) as client:
            for at in range(0, len(first), part):
                client.send(first[at:at + part])
            equal(client.take(4), b"seen", f"pieces of {part}")
            equal(raw.last(), first, "byte for byte")
    records = b"".join(first[:3] + len(first[at:at + 50]).to_bytes(2, "big") + first[at:at + 50] for at in range(5, len(first), 50))
    raw.script = lambda target, wire: target.requests.append(wire.take(len(records))) or wire.sock.sendall(b"seen")
    with Client(w.port) as client:
        equal(client.send(records).take(4), b"seen", "a hello in several records")
        equal(raw.last(), records)


@limit(60)
def test_bodies_and_websockets_inside(w):
    blob = os.urandom(8 << 20)

    def echo(target, wire, request):
        target.reply(wire, 200, request.body, f"X-Seen: {hashlib.sha256(request.body).hexdigest()}\r\n")
    passthrough_site(w, "shop", handler=echo)
    with secure(w.port, "shop.example", trust(w.root.pem_file), seconds=40) as client:
        answer = client.ask("POST", body=blob)
        equal((answer.one("x-seen"), answer.body == blob), (hashlib.sha256(blob).hexdigest(), True))
    w.ends["shop"].script = tunnel
    with secure(w.port, "shop.example", trust(w.root.pem_file)) as client:
        equal(client.send(UPGRADE.replace("keep-alive, ", "")).answer().status, 101)
        equal(client.take(5), b"first")
        equal(client.send("hello").take(7), b"<hello>")


def test_ends_pass(w):
    """Half-closes both ways, a target that refuses, a target that leaves."""
    passthrough_site(w, "shop")
    first = hello("shop.example")

    def half(target, wire):
        wire.take(len(first))
        target.requests.append(wire.rest())
        wire.sock.sendall(b"late")
    w.group("half", w.add_target("half", script=half), protocol="TCP")
    w.group("gone", "127.0.0.1:1", protocol="TCP")
    w.group("empty", protocol="TCP")
    w.write("services/shop/listeners/web/default-action", "forward = half\n")
    with Client(w.port) as client:
        client.send(first + b"more")
        client.sock.shutdown(socket.SHUT_WR)
        equal(client.rest(), b"late", "the other half stays open")
    equal(w.targets[-1].last(), b"more")
    for group in ("gone", "empty"):
        w.write("services/shop/listeners/web/default-action", f"forward = {group}\n")
        with Client(w.port) as client:
            client.send(first)
            check(client.closed(5), f"closed: {group}")
    until(lambda: w.number("connections") == 0, 5, "no connection is left")


@limit(60)
def test_readers_that_stop_cost_no_memory(w):
    passthrough_site(w, "shop")
    first = hello("shop.example")
    size = 64 << 20

    def pour(target, wire):
        wire.take(len(first))
        for _ in range(size >> 20):
            wire.sock.sendall(b"z" * (1 << 20))
            target.sent += 1 << 20
    pouring = w.add_target("pour", script=pour)
    pouring.sent = 0
    w.group("pour", pouring, protocol="TCP")
    w.write("services/shop/listeners/web/default-action", "forward = pour\n")
    before = w.rss()
    clients = [Client(w.port, 40).send(first) for _ in range(4)]
    until(lambda: pouring.sent >= 4 << 20, 10, "it pours")
    equal(len(clients[0].take(size)), size, "the patient one gets all of it")
    check(pouring.sent < 4 * size, "the others wait")
    check(w.rss() - before < 16 << 20, f"{(w.rss() - before) >> 10} KiB more")
    for client in clients:
        client.sock.close()
    until(lambda: w.number("connections") == 0, 5, "no connection is left")


def test_weights_and_changes(w):
    passthrough_site(w, "shop")
    green = add_target(w, TlsTarget("green", w.pairs["shop"]))
    w.group("green", green, protocol="TCP")
    w.write("services/shop/listeners/web/default-action", "forward = shop:90 green:10\n")

    def ask():
        with secure(w.port, "shop.example", trust(w.root.pem_file)) as client:
            return client.ask().body.decode().split()[0]
    by = [ask() for _ in range(40)]
    check(abs(by.count("green") - 4) <= 2, f"by connection, within one a worker: {by.count('green')} of 40")
    with secure(w.port, "shop.example", trust(w.root.pem_file)) as running:
        was = running.ask().body
        w.write("services/shop/listeners/web/default-action", "forward = green\n")
        equal({ask() for _ in range(6)}, {"green"}, "new connections")
        equal(running.ask().body, was, "a running one stays where it is")


def test_what_does_not_go_together_is_refused(w):
    """TLS_PASSTHROUGH forwards to TCP groups, by one default action (reference 2.4)."""
    passthrough_site(w, "shop")
    w.group("web", "127.0.0.1:1")
    for action in ("forward = web", "fixed-response = 404", "forward = shop web"):
        refused(errno.EINVAL, w.write, "services/shop/listeners/web/default-action", action + "\n")
    w.mkdir("services/cart/listeners/web")
    w.write("services/cart/listeners/web/port", f"{free_port()}\n")
    refused(errno.EINVAL, w.write, "services/cart/listeners/web/default-action", "forward = shop\n")
