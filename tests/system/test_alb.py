"""ALB targets: a load balancer by its DNS name; all of its addresses are used, and follow the name."""
import contextlib
import socket
import struct
import threading

import h2kit
import test_passthrough as passing
from harness import Target, check, equal, free_port, limit, match, until
from test_networks import Spaces, inside
from tlskit import TlsTarget, add_target

HOST = "lb.alb.test"
SERVFAIL, NXDOMAIN = 2, 3


def udp():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock


class Names:
    """A name server that knows one name: addresses by type, or a code instead."""

    def __init__(self, sock=None):
        self.addresses = {1: [], 28: []}
        self.code = {1: 0, 28: 0}
        self.ttl = 1
        self.asked = 0
        self.sock = sock or udp()
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                query, peer = self.sock.recvfrom(2048)
                if query:
                    self.sock.sendto(self.answer(query), peer)

    def answer(self, query):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
            at += 1 + query[at]
        kind = struct.unpack("!H", query[at + 1:at + 3])[0]
        known = ".".join(labels) == HOST
        code = self.code[kind] if known else NXDOMAIN
        records = b""
        count = 0
        for text in self.addresses[kind] if known and code == 0 else []:
            data = socket.inet_pton(socket.AF_INET if kind == 1 else socket.AF_INET6, text)
            records += struct.pack("!HHHIH", 0xC00C, kind, 1, self.ttl, len(data)) + data
            count += 1
        self.asked += known
        return query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, count, 0, 0) + query[12:at + 5] + records

    def close(self):
        self.sock.close()


@contextlib.contextmanager
def balancers(w, *addresses):
    """The service `shop` forwards to a group with one ALB target; a recording target at each address."""
    with contextlib.closing(Names()) as names:
        w.start(conf=f"[names]\nresolver = 127.0.0.1:{names.port}\n")
        w.site()
        port = w.target.port
        targets = {}
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            targets[address] = Target(address, sock=socket.create_server((address, port), family=family))
            w.targets.append(targets[address])
        w.group("lb", type="ALB")
        w.write("target-groups/lb/targets/front.alb", f"host = {HOST}\nport = {port}\n")
        w.write(f"{w.place}/default-action", "forward = lb\n")
        yield names, targets


def addresses(w):
    return match(r"^target front\.alb .* addresses (.*) \(\d+\)", w.read("target-groups/lb/.status"), ".status")[1]


def who(w, count=1):
    return {w.get().body.decode().split()[0] for _ in range(count)}


@limit(60)
def test_all_addresses_are_used_and_follow_the_name(w):
    with balancers(w, "127.0.0.2", "127.0.0.3", "::1") as (names, _):
        names.addresses = {1: ["127.0.0.2", "127.0.0.3"], 28: ["::1"]}
        until(lambda: addresses(w) == "127.0.0.2 127.0.0.3 ::1", 10, "it is found")
        match(r"^target front\.alb UNAVAILABLE HealthCheckNotSupported ", w.read("target-groups/lb/.status"))
        equal(who(w, 12), {"127.0.0.2", "127.0.0.3", "::1"})
        names.addresses = {1: ["127.0.0.3"], 28: []}
        until(lambda: addresses(w) == "127.0.0.3", 10, "the TTL is over")
        until(lambda: who(w, 4) == {"127.0.0.3"}, 5, "so do requests")


@limit(60)
def test_a_failed_lookup_takes_nothing_away(w):
    with balancers(w, "127.0.0.2") as (names, _):
        names.addresses[1] = ["127.0.0.2"]
        until(lambda: addresses(w) == "127.0.0.2", 10, "it is found")
        for code in (SERVFAIL, NXDOMAIN):
            names.code = {1: code, 28: code}
            asked = names.asked
            until(lambda: names.asked >= asked + 6, 20, "it is asked again")
            equal(addresses(w), "127.0.0.2")
            equal(who(w, 4), {"127.0.0.2"})
        match(r"addresses 127\.0\.0\.2 \(\d+\): no such name$", w.read("target-groups/lb/.status"))


@limit(60)
def test_a_name_that_is_not_there_yet_leaves_its_share_to_others(w):
    with balancers(w, "127.0.0.2") as (names, _):
        names.code = {1: NXDOMAIN, 28: NXDOMAIN}
        until(lambda: "addresses none" in w.read("target-groups/lb/.status"), 10, ".status says so")
        equal(w.get().status, 503)
        w.write(f"{w.place}/default-action", "forward = lb:50 blue:50\n")
        equal(who(w, 10), {"blue"})
        names.code, names.addresses[1] = {1: 0, 28: 0}, ["127.0.0.2"]
        until(lambda: who(w, 4) == {"blue", "127.0.0.2"}, 40, "it has its share when it is there")


def test_its_own_answers_pass_through(w):
    def handler(target, wire, request):
        target.reply(wire, 503, "busy", "Server: awselb/2.0\r\n")

    with balancers(w, "127.0.0.2") as (names, targets):
        targets["127.0.0.2"].handler = handler
        names.addresses[1] = ["127.0.0.2"]
        until(lambda: addresses(w) == "127.0.0.2", 10, "it is found")
        until(lambda: w.get().body == b"busy", 5, "the workers know it")
        got = w.get()
        equal((got.status, got.body, got.all("server")), (503, b"busy", ["awselb/2.0"]))


def test_an_address_needs_no_name_server(w):
    with balancers(w) as (names, _):
        w.write("target-groups/lb/targets/front.alb", f"host = 127.0.0.1\nport = {w.target.port}\n")
        equal(who(w, 4), {"blue"})


def test_a_name_is_looked_up_where_its_group_is(w):
    """The name server, and the target, can be reached from the namespace alone."""
    with Spaces() as s:
        netns = s.make()
        with inside(netns):
            sock, listener = udp(), socket.create_server(("127.0.0.2", 0))
        with contextlib.closing(Names(sock)) as names:
            names.addresses[1] = ["127.0.0.2"]
            w.start(conf=f"[names]\nresolver = 127.0.0.1:{names.port}\n")
            w.site()
            target = Target("inside", sock=listener)
            w.targets.append(target)
            w.mkdir("vpcs/far")
            w.write("vpcs/far/netns", f"{netns}\n")
            w.group("lb", type="ALB", vpc="far")
            w.write("target-groups/lb/targets/front.alb", f"host = {HOST}\nport = {target.port}\n")
            w.write(f"{w.place}/default-action", "forward = lb\n")
            until(lambda: addresses(w) == "127.0.0.2", 10, "it is found")
            until(lambda: w.get().status == 200, 5, "the workers know it")
            equal(who(w), {"inside"})


def h2_balancers(w, names):
    """Two HTTP/2 targets at 127.0.0.2 and .3 behind the name; the test answers /held: w.held."""
    w.start(conf=f"[engine]\nworkers = 1\n[names]\nresolver = 127.0.0.1:{names.port}\n")
    w.port, w.held = free_port(), []

    def handler(target, peer, request):
        if request.target == "/held":
            w.held.append((target, peer, request))
        else:
            h2kit.plain(target, peer, request)
    first = Target("127.0.0.2", handler, h2kit.target_script(), sock=socket.create_server(("127.0.0.2", 0)))
    port = first.port
    second = Target("127.0.0.3", handler, h2kit.target_script(), sock=socket.create_server(("127.0.0.3", port)))
    w.targets += [first, second]
    w.network()
    w.group("lb", type="ALB", protocol_version="HTTP2")
    w.write("target-groups/lb/targets/front.alb", f"host = {HOST}\nport = {port}\n")
    w.service("shop", w.port, "forward = lb")
    return first, second


@limit(60)
def test_http2_streams_use_all_addresses_and_end_where_they_are(w):
    with contextlib.closing(Names()) as names:
        names.addresses[1] = ["127.0.0.2", "127.0.0.3"]
        first, second = h2_balancers(w, names)
        until(lambda: addresses(w) == "127.0.0.2 127.0.0.3", 10, "it is found")
        with h2kit.connect(w.port) as peer:
            until(lambda: {peer.ask().body.split()[0] for _ in range(4)} == {b"127.0.0.2", b"127.0.0.3"}, 10, "each stream its own")
            streams = [peer.ask("/held", wait=False) for _ in range(4)]
            until(lambda: len(w.held) == 4, 10, "all are at a target")
            equal({target.name for target, _, _ in w.held}, {"127.0.0.2", "127.0.0.3"})
            names.addresses[1] = ["127.0.0.3"]
            until(lambda: addresses(w) == "127.0.0.3", 10, "the TTL is over")
            until(lambda: {peer.ask().body.split()[0] for _ in range(4)} == {b"127.0.0.3"}, 10, "so do requests")
            check(first.open, "what runs goes on")
            for _, far, request in w.held:
                h2kit.reply(far, request, b"late")
            peer.wait(lambda: all(stream.over for stream in streams), "the answers")
            equal([stream.body for stream in streams], [b"late"] * 4)
            until(lambda: not first.open, 10, "the address that left has no connection")
            check(second.open, "the other has")


@limit(60)
def test_passthrough_uses_all_addresses_and_leaves_what_stands(w):
    with contextlib.closing(Names()) as names:
        w.start(conf=f"[engine]\nworkers = 1\n[names]\nresolver = 127.0.0.1:{names.port}\n")
        w.port = free_port()
        w.network()
        pair = passing.certificate(w, "shop.localhost")

        def told(target, wire):
            wire.sock.sendall(target.name.encode())
            passing.echo(target, wire)

        first = add_target(w, TlsTarget("127.0.0.2", pair, script=told, sock=socket.create_server(("127.0.0.2", 0))))
        add_target(w, TlsTarget("127.0.0.3", pair, script=told, sock=socket.create_server(("127.0.0.3", first.port))))
        w.group("lb", type="ALB", protocol="TCP")
        w.write("target-groups/lb/targets/front.alb", f"host = {HOST}\nport = {first.port}\n")
        passing.passthrough(w, "shop", w.port, "forward = lb")

        def one():
            with passing.connect(w, "shop.localhost") as tls:
                return tls.recv(9)
        names.addresses[1] = ["127.0.0.2"]
        until(lambda: addresses(w) == "127.0.0.2", 15, "it is found")
        with passing.connect(w, "shop.localhost") as tls:
            equal(tls.recv(9), b"127.0.0.2")
            names.addresses[1] = ["127.0.0.2", "127.0.0.3"]
            until(lambda: addresses(w) == "127.0.0.2 127.0.0.3", 10, "one more")
            until(lambda: {one() for _ in range(4)} == {b"127.0.0.2", b"127.0.0.3"}, 10, "in turns")
            names.addresses[1] = ["127.0.0.3"]
            until(lambda: addresses(w) == "127.0.0.3", 10, "the TTL is over")
            until(lambda: {one() for _ in range(4)} == {b"127.0.0.3"}, 10, "so do connections")
            tls.sendall(b"word")
            equal(tls.recv(4), b"word", "what stood stands")


for each in list(globals().values()):
    if getattr(each, "__name__", "").startswith("test_") and callable(each):
        each.unmounted = True
