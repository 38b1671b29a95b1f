"""Names: the resolver of a VPC answers for its network's services, and for nobody else's.

Needs root. Asked with packets made here, so that every bit of an answer is seen, and with dig, getent and curl.
"""
import contextlib
import errno
import os
import select
import socket
import struct
import subprocess
import threading
import time

from harness import SLOW, Closed, Failed, check, equal, free_port, match, refused, until
from test_networks import Spaces, ask_in, group_in, inside, pair, target_in, vpc

FOUR, SIX = "169.254.169.253", "fd00:ec2::253"
A, NS, SOA, MX, TXT, AAAA, OPT, HTTPS, AXFR, ANY = 1, 2, 6, 15, 16, 28, 41, 65, 252, 255
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
SUFFIX = "lattice.internal"


# ---------------------------------------------------------------------- a resolver's other end


def encode(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"


def query(name, kind=A, number=0x1234, flags=0x0100, edns=None, count=1, extra=b""):
    more = b"" if edns is None else struct.pack(">BHHIH", 0, OPT, edns, 0, 0)
    head = struct.pack(">6H", number, flags, count, 0, 0, len(more) > 0)
    return head + encode(name) + struct.pack(">2H", kind, 1) + more + extra


class Answer:
    def __init__(self, wire):
        self.wire = wire
        self.number, flags, questions, answers, authorities, additional = struct.unpack(">6H", wire[:12])
        self.rcode, self.cut = flags & 15, bool(flags & 0x200)
        self.authoritative, self.available = bool(flags & 0x400), bool(flags & 0x80)
        check(flags & 0x8000, "QR is set")
        self.at = 12
        self.question = [(self.name(), *self.take(">2H")) for _ in range(questions)]
        self.answers = [self.record() for _ in range(answers)]
        self.authority = [self.record() for _ in range(authorities)]
        self.additional = [self.record() for _ in range(additional)]
        equal(self.at, len(wire), "nothing behind the last record")

    def take(self, form):
        found = struct.unpack_from(form, self.wire, self.at)
        self.at += struct.calcsize(form)
        return found

    def name(self):
        parts, back = [], None
        while True:
            size = self.wire[self.at]
            if size >= 0xc0:
                back = back or self.at + 2
                self.at = struct.unpack_from(">H", self.wire, self.at)[0] & 0x3fff
                continue
            self.at += 1
            if size == 0:
                break
            parts.append(self.wire[self.at:self.at + size].decode("latin1"))
            self.at += size
        self.at = back or self.at
        return ".".join(parts)

    def record(self):
        owner = self.name()
        kind, group, ttl, size = self.take(">HHIH")
        data = self.wire[self.at:self.at + size]
        self.at += size
        if kind == A:
            data = socket.inet_ntoa(data)
        elif kind == AAAA:
            data = socket.inet_ntop(socket.AF_INET6, data)
        return owner, kind, ttl, data

    def addresses(self):
        return [record[3] for record in self.answers]


class Asker:
    """A client in a namespace, over UDP or TCP."""

    def __init__(self, netns, server=FOUR, tcp=False, seconds=5):
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with inside(netns):
            self.sock = socket.socket(family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
        self.tcp = tcp
        self.sock.settimeout(seconds * SLOW)
        self.sock.connect((server, 53))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, wire):
        self.sock.sendall((struct.pack(">H", len(wire)) if self.tcp else b"") + wire)

    def exactly(self, size):
        data = b""
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            if not more:
                raise Closed("the resolver closed the connection")
            data += more
        return data

    def answer(self):
        return Answer(self.exactly(struct.unpack(">H", self.exactly(2))[0]) if self.tcp else self.sock.recv(65535))

    def ask(self, name, kind=A, **how):
        self.send(query(name, kind, **how))
        return self.answer()

    def silent(self, seconds=0.3):
        return not select.select([self.sock], [], [], seconds)[0]


def ask(netns, name, kind=A, server=FOUR, tcp=False, **how):
    with Asker(netns, server, tcp) as asker:
        return asker.ask(name, kind, **how)


def deaf(netns, server=FOUR):
    """Nobody answers there: an error, or nothing."""
    try:
        with Asker(netns, server, seconds=0.3) as asker:
            asker.ask(f"shop.{SUFFIX}")
    except OSError:
        return
    raise Failed(f"a resolver answers at {server} in {netns}")


def counter(w, name):
    return int(match(rf"^latticefs_name_{name}_total (\d+)$", w.read(".metrics"))[1])


def site(w, s, name="a", network="net", service="shop"):
    netns = s.make()
    vpc(w, name, netns, network)
    w.service(service, 80, "fixed-response = 200", network=network)
    return netns


# ---------------------------------------------------------------------- answers


def test_a_name_has_the_addresses_of_its_service(w):
    with Spaces() as s:
        a = site(w, s)
        four, six = pair(w, "shop")
        for server in (FOUR, SIX):
            for tcp in (False, True):
                got = ask(a, f"sHOp.{SUFFIX.upper()}", server=server, tcp=tcp)
                equal(got.answers, [(f"sHOp.{SUFFIX.upper()}", A, 60, four)], "A, in the case that was asked")
                equal(got.question, [(f"sHOp.{SUFFIX.upper()}", A, 1)])
                equal((got.rcode, got.authoritative, got.available, got.cut), (NOERROR, True, False, False))
                equal(got.additional, [], "no OPT unless asked")
                equal(ask(a, f"shop.{SUFFIX}", AAAA, server, tcp).answers, [(f"shop.{SUFFIX}", AAAA, 60, six)])
        equal(ask(a, f"shop.{SUFFIX}", ANY).addresses(), [four, six])
        opt = ask(a, f"shop.{SUFFIX}", edns=4096).additional
        equal([record[:2] for record in opt], [("", OPT)], "OPT for OPT")
        for kind in (MX, TXT, HTTPS, SOA, NS):
            none = ask(a, f"shop.{SUFFIX}", kind)
            equal((none.rcode, none.answers), (NOERROR, []), f"type {kind}")
            equal([record[:3] for record in none.authority], [(SUFFIX, SOA, 5)], "and how long to remember that")


def test_other_names_do_not_exist_or_are_refused(w):
    with Spaces() as s:
        a = site(w, s)
        for name in ("none", "x.shop", "shopp"):
            got = ask(a, f"{name}.{SUFFIX}")
            equal((got.rcode, got.answers), (NXDOMAIN, []), name)
            equal([record[:3] for record in got.authority], [(SUFFIX, SOA, 5)])
        for name in ("shop", "shop.localhost", "debian.org", "internal", "", f"not{SUFFIX}"):
            got = ask(a, name)
            equal((got.rcode, got.answers, got.authority), (REFUSED, [], []), name)
        equal(ask(a, SUFFIX, AXFR, tcp=True).rcode, REFUSED)
        equal([r[:2] for r in ask(a, SUFFIX, SOA).answers], [(SUFFIX, SOA)])
        equal([r[:2] for r in ask(a, SUFFIX, NS).answers], [(SUFFIX, NS)])
        equal(ask(a, SUFFIX, A).rcode, NOERROR)
        equal(counter(w, "nxdomain"), 3)
        equal(counter(w, "refused"), 7)


def test_custom_and_wildcard_domains_resolve(w):
    with Spaces() as s:
        a = site(w, s)
        four, six = pair(w, "shop")
        w.write("services/shop/domain", "shop.example.com\n*.wild.example.com\n")
        equal(ask(a, "shop.example.com").addresses(), [four], "as soon as the write has returned")
        equal(ask(a, "shop.example.com", AAAA).addresses(), [six])
        equal(ask(a, "x.wild.example.com").addresses(), [four])
        equal(ask(a, "x.y.wild.example.com").addresses(), [four])
        equal(ask(a, "wild.example.com").rcode, REFUSED, "the wildcard's own end")
        equal(ask(a, "example.com").rcode, REFUSED)
        none = ask(a, "shop.example.com", MX)
        equal((none.rcode, none.answers, none.authority), (NOERROR, [], []), "the zone is not ours to speak for")
        w.remove_file("services/shop/domain")
        until(lambda: ask(a, "shop.example.com").rcode == REFUSED, 2, "the name goes with its file")


def test_names_follow_every_change(w):
    with Spaces() as s:
        a = site(w, s)
        for i in range(20):
            equal(ask(a, f"s{i}.{SUFFIX}").rcode, NXDOMAIN)
            w.service(f"s{i}", 80, "fixed-response = 200")
            equal(len(ask(a, f"s{i}.{SUFFIX}").answers), 1, f"s{i} is there")
            w.remove_file(f"networks/net/services/s{i}")
            equal(ask(a, f"s{i}.{SUFFIX}").rcode, NXDOMAIN, f"s{i} has left the network")


def test_the_ttl_and_the_suffix_are_settings(w):
    with Spaces() as s:
        w.start("[names]\nsuffix = corp.test\nttl = 2\n")
        a = site(w, s)
        equal([r[2] for r in ask(a, "shop.corp.test").answers], [2])
        equal([r[2] for r in ask(a, "none.corp.test").authority], [2], "nothing is kept longer than a name")
        equal(ask(a, f"shop.{SUFFIX}").rcode, REFUSED)


test_the_ttl_and_the_suffix_are_settings.unmounted = True


# ---------------------------------------------------------------------- isolation


def test_networks_do_not_know_each_others_names(w):
    with Spaces() as s:
        a = site(w, s, "a", "one", "shop")
        b = site(w, s, "b", "two", "cart")
        c = s.make()
        vpc(w, "c", c)
        w.write("services/shop/domain", "shop.example.com\n")
        equal((ask(a, f"shop.{SUFFIX}").rcode, ask(a, f"cart.{SUFFIX}").rcode), (NOERROR, NXDOMAIN))
        equal((ask(b, f"shop.{SUFFIX}").rcode, ask(b, f"cart.{SUFFIX}").rcode), (NXDOMAIN, NOERROR))
        equal(ask(b, "shop.example.com").rcode, REFUSED)
        deaf(c)
        # c joins network one, and leaves it again by one mv to the other.
        w.link("../../../vpcs/c", "networks/one/vpcs/c")
        equal((ask(c, f"shop.{SUFFIX}").rcode, ask(c, f"cart.{SUFFIX}").rcode), (NOERROR, NXDOMAIN))
        w.sh("mv networks/one/vpcs/c networks/two/vpcs/c")
        equal((ask(c, f"shop.{SUFFIX}").rcode, ask(c, f"cart.{SUFFIX}").rcode), (NXDOMAIN, NOERROR))
        w.remove_file("networks/two/vpcs/c")
        until(lambda: deaf(c) is None, 2, "no network, no resolver")


def test_a_namespace_that_comes_back_has_its_resolver_again(w):
    with Spaces() as s:
        a = site(w, s)
        equal(ask(a, f"shop.{SUFFIX}").rcode, NOERROR)
        subprocess.run(["ip", "netns", "del", a], check=True, timeout=20)
        until(lambda: "waiting netns" in w.read("vpcs/a/.status"), 5, "it waits")
        s.make(name=a)
        until(lambda: "status ACTIVE" in w.read("vpcs/a/.status"), 5, "it heals")
        equal(ask(a, f"shop.{SUFFIX}").rcode, NOERROR)
        equal(ask(a, f"shop.{SUFFIX}", server=SIX, tcp=True).rcode, NOERROR)


def test_a_taken_port_is_told_and_waited_for(w):
    with Spaces() as s:
        a = s.make(f"{FOUR}/32")
        with inside(a):
            other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.bind((FOUR, 53))
        vpc(w, "a", a, "net")
        w.service("shop", 80, "fixed-response = 200")
        match(r"^resolver failed: port 53: Address already in use$", w.read("vpcs/a/.status"))
        equal(ask_in(a, pair(w, "shop")[0], 80, "shop").status, 200, "the services are there")
        other.close()
        until(lambda: f"resolver {FOUR}\nresolver {SIX}\n" in w.read("vpcs/a/.status"), 5, "it is had in the end")
        equal(ask(a, f"shop.{SUFFIX}").rcode, NOERROR)


def test_an_upstream_must_be_an_address(w):
    for text in ("dns.example", "10.0.0", "10.0.0.2:0", "10.0.0.2:70000"):
        w.conf_text = f"[names]\nupstream = {text}\n"
        done = subprocess.run(w.command(), capture_output=True, text=True, timeout=20 * SLOW, env=w.environment())
        equal(done.returncode, 1, text)
        match(r"latticefs.conf:2.*: upstream must be the address of a DNS server", done.stderr)


test_an_upstream_must_be_an_address.unmounted = True


def test_hosts_says_the_same(w):
    with Spaces() as s:
        a = site(w, s)
        four, six = pair(w, "shop")
        w.write("services/shop/domain", "shop.example.com\n*.wild.example.com\n")
        equal(w.read("vpcs/a/.hosts"),
              f"{four} shop.example.com shop.{SUFFIX}\n{six} shop.example.com shop.{SUFFIX}\n"
              "# *.wild.example.com is shop too, which no hosts file can say\n")
        check(".hosts" not in os.listdir(w.path("vpcs/a")), "hidden")
        refused(errno.EROFS, w.write, "vpcs/a/.hosts", "x\n")
        check(not os.path.exists(w.path("services/shop/.hosts")), "a VPC's alone")
        w.mkdir("vpcs/host")
        w.write("vpcs/host/netns", "host\n")
        equal(w.read("vpcs/host/.hosts"), "", "in no network")
        # Port 80 of the host's loopback may be somebody's.
        w.write("services/shop/listeners/web/port", "18427\n")
        w.link("../../../vpcs/host", "networks/net/vpcs/host")
        match(rf"^127\.0\.0\.1 shop\.example\.com shop\.{SUFFIX}\n::1 shop\.example\.com shop\.{SUFFIX}\n",
              w.read("vpcs/host/.hosts"))
        equal(len(w.read("vpcs/a/.hosts").splitlines()), 3)


# ---------------------------------------------------------------------- peers that misbehave


def test_malformed_questions_do_no_harm(w):
    with Spaces() as s:
        a = site(w, s)
        good = f"shop.{SUFFIX}"
        dropped = [b"", b"x", b"\0" * 11, query(good, flags=0x8100), b"\xff" * 4000, os.urandom(5000)]
        with Asker(a) as asker:
            for wire in dropped:
                asker.send(wire)
            check(asker.silent(), "no answer to what is no question")
            for wire, want in [(query(good, count=2), FORMERR), (query(good, count=0), FORMERR),
                               (query(good, extra=b"x"), FORMERR), (query(good)[:-1], FORMERR),
                               (query(good, OPT), FORMERR), (query(good, flags=0x2900), NOTIMP)]:
                asker.send(wire)
                got = asker.answer()
                equal((got.rcode, got.number, got.answers), (want, 0x1234, []), wire.hex())
            equal(asker.ask(good).rcode, NOERROR)
        check(counter(w, "malformed") >= 10, "they are counted")


def test_what_does_not_fit_comes_over_tcp(w):
    with Spaces() as s:
        addresses = [f"10.9.0.{i}" for i in range(1, 61)]
        a = s.make(*addresses)
        vpc(w, "a", a, "net", listen="\n".join(addresses))
        w.service("shop", 80, "fixed-response = 200")
        name = f"shop.{SUFFIX}"
        got = ask(a, name)
        check(got.cut and len(got.wire) <= 512 and 20 < len(got.answers) < 60, "cut at 512 bytes")
        got = ask(a, name, edns=900)
        check(got.cut and len(got.wire) <= 900, "cut at what the client takes")
        got = ask(a, name, edns=1232)
        check(not got.cut and sorted(got.addresses()) == sorted(addresses), "all of it")
        equal(sorted(ask(a, name, tcp=True).addresses()), sorted(addresses), "all over TCP")
        found = subprocess.run(["ip", "netns", "exec", a, "dig", "+noedns", "+short", f"@{FOUR}", name], text=True,
                               capture_output=True, timeout=20).stdout.split()
        equal(sorted(found[-60:]), sorted(addresses), "dig asks again by itself")
        equal(counter(w, "truncated"), 3)


def test_tcp_takes_many_questions_in_any_cut(w):
    with Spaces() as s:
        a = site(w, s)
        four = pair(w, "shop")[0]
        with Asker(a, tcp=True) as asker:
            wire = b"".join(struct.pack(">H", len(q)) + q
                            for q in (query(f"shop.{SUFFIX}", number=i) for i in range(200)))
            asker.sock.sendall(wire)
            equal([asker.answer().number for _ in range(200)], list(range(200)), "all of a pipeline, in order")
            for byte in struct.pack(">H", len(query(f"shop.{SUFFIX}"))) + query(f"shop.{SUFFIX}"):
                asker.sock.sendall(bytes([byte]))
            equal(asker.answer().addresses(), [four], "byte by byte")
            asker.sock.sendall(wire[:len(wire) // 200])
            asker.sock.shutdown(socket.SHUT_WR)
            equal(asker.answer().number, 0, "an answer after the client's end")
            equal(asker.sock.recv(1), b"", "and then ours")
        for junk in (b"\xff\xff" + b"x" * 5000, b"\0\x05hello", b"\0\0"):
            with Asker(a, tcp=True) as asker:
                asker.sock.sendall(junk)
                with contextlib.suppress(ConnectionResetError):
                    equal(asker.sock.recv(10), b"", "hung up on")


def test_answers_wait_for_a_slow_reader(w):
    with Spaces() as s:
        addresses = [f"10.9.0.{i}" for i in range(1, 33)] + [f"fd99::{i:x}" for i in range(1, 33)]
        a = s.make(*addresses)
        vpc(w, "a", a, "net", listen="\n".join(addresses))
        w.service("shop", 80, "fixed-response = 200")
        wire = b"".join(struct.pack(">H", len(q)) + q
                        for q in (query(f"shop.{SUFFIX}", ANY, number=i) for i in range(3000)))
        with Asker(a, tcp=True) as asker:
            sender = threading.Thread(target=asker.sock.sendall, args=(wire,), daemon=True)
            sender.start()
            time.sleep(0.5)
            with Asker(a) as another:
                equal(another.ask(f"shop.{SUFFIX}").rcode, NOERROR, "others do not wait")
            for i in range(3000):
                got = asker.answer()
                equal((got.number, len(got.answers)), (i, 64), "nothing is lost")
            sender.join(5)


def test_connections_are_bounded(w):
    with Spaces() as s:
        a = site(w, s)
        askers = [Asker(a, tcp=True) for _ in range(80)]
        for asker in askers[-10:]:
            equal(asker.ask(f"shop.{SUFFIX}").rcode, NOERROR, "a new one is served")
        gone = 0
        for asker in askers[:16]:
            with contextlib.suppress(ConnectionResetError):
                gone += asker.sock.recv(1) == b""
        equal(gone, 16, "the longest idle made room")
        for asker in askers:
            asker.sock.close()


def test_an_idle_connection_ends(w):
    with Spaces() as s:
        a = site(w, s)
        with Asker(a, tcp=True, seconds=20) as asker:
            asker.ask(f"shop.{SUFFIX}")
            begin = time.monotonic()
            asker.sock.sendall(b"\0")
            equal(asker.sock.recv(1), b"")
            check(8 < time.monotonic() - begin < 15, "after 10 s; a byte does not count")


# ---------------------------------------------------------------------- forwarding


class Upstream:
    """A server in our own namespace that answers 192.0.2.1, cuts big.test over UDP, and is silent for slow.test."""

    def __init__(self):
        self.port = free_port()  # below the kernel's own range: free for TCP and UDP alike
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.tcp = socket.create_server(("127.0.0.1", self.port))
        self.seen, self.open = [], []
        for function in (self.datagrams, self.streams):
            threading.Thread(target=function, daemon=True).start()

    def reply(self, wire, tcp):
        q = Answer(wire[:2] + b"\x81\x00" + wire[4:])
        self.seen.append((q.question[0][0], tcp, q.number))
        if q.question[0][0] == "slow.test":
            return None
        head = wire[12:12 + len(encode(q.question[0][0])) + 4]
        if q.question[0][0] == "big.test" and not tcp:
            return wire[:2] + b"\x83\x80\0\x01\0\0\0\0\0\0" + head
        n = 1000 if q.question[0][0] == "big.test" else 1
        record = b"\xc0\x0c\0\x01\0\x01\0\0\0\x09\0\x04\xc0\0\x02\x01"
        return wire[:2] + b"\x81\x80\0\x01" + struct.pack(">H", n) + b"\0\0\0\0" + head + record * n

    def datagrams(self):
        while True:
            wire, peer = self.udp.recvfrom(65535)
            answer = self.reply(wire, False)
            if answer:
                # A guess first: another id must not be believed.
                self.udp.sendto(bytes([answer[0] ^ 1]) + answer[1:-1] + b"\x66", peer)
                self.udp.sendto(answer, peer)

    def streams(self):
        while True:
            sock = self.tcp.accept()[0]
            self.open.append(sock)
            size = struct.unpack(">H", sock.recv(2, socket.MSG_WAITALL))[0]
            answer = self.reply(sock.recv(size, socket.MSG_WAITALL), True)
            if answer:
                wire = struct.pack(">H", len(answer)) + answer
                for at in range(0, len(wire), 5000):
                    sock.sendall(wire[at:at + 5000])


def test_other_names_are_asked_of_the_upstream(w):
    with Spaces() as s:
        up = Upstream()
        w.start(f"[names]\nupstream = 127.0.0.1:{up.port}\n")
        a = site(w, s)
        for tcp in (False, True):
            got = ask(a, "Other.Test", tcp=tcp, number=0x4321)
            equal((got.number, got.rcode, got.answers), (0x4321, NOERROR, [("Other.Test", A, 9, "192.0.2.1")]))
        check(ask(a, "big.test").cut, "a cut answer is passed on")
        equal(len(ask(a, "big.test", tcp=True).answers), 1000, "and the whole one over TCP")
        got = ask(a, f"shop.{SUFFIX}")
        equal((len(got.answers), got.available), (1, True))
        equal(ask(a, f"none.{SUFFIX}").rcode, NXDOMAIN, "ours to say")
        equal(ask(a, "other.test", flags=0).rcode, REFUSED, "no recursion was asked for")
        check(not any(SUFFIX in name for name, _, _ in up.seen), f"nothing of ours went out: {up.seen}")
        begin = time.monotonic()
        equal(ask(a, "slow.test").rcode, SERVFAIL)
        check(3 < time.monotonic() - begin < 5, "before resolvers ask again")
        with Asker(a, tcp=True) as asker:
            asker.send(query("slow.test", number=1))
            asker.send(query(f"shop.{SUFFIX}", number=2))
            equal(asker.answer().number, 2, "nobody waits for somebody else's question")
            # A client that leaves takes its question with it.
        equal((counter(w, "forwards"), counter(w, "forward_errors")), (6, 1))


test_other_names_are_asked_of_the_upstream.unmounted = True


def test_an_upstream_that_is_not_there_is_told_at_once(w):
    with Spaces() as s:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        w.start(f"[names]\nupstream = 127.0.0.1:{port}\n")
        a = site(w, s)
        begin = time.monotonic()
        for tcp in (False, True):
            equal(ask(a, "other.test", tcp=tcp).rcode, SERVFAIL)
        check(time.monotonic() - begin < 2, "at once")


test_an_upstream_that_is_not_there_is_told_at_once.unmounted = True


# ---------------------------------------------------------------------- real tools


@contextlib.contextmanager
def resolv_conf(netns, server):
    """What `ip netns exec` puts at /etc/resolv.conf; a nsswitch.conf that asks DNS alone."""
    folder = f"/etc/netns/{netns}"
    os.makedirs(folder)
    try:
        with open(f"{folder}/resolv.conf", "w") as out:
            out.write(f"nameserver {server}\noptions timeout:2 attempts:2\n")
        with open(f"{folder}/nsswitch.conf", "w") as out:
            out.write("hosts: files dns\n")
        yield
    finally:
        for name in os.listdir(folder):
            os.unlink(f"{folder}/{name}")
        os.rmdir(folder)
        with contextlib.suppress(OSError):
            os.rmdir("/etc/netns")


def run_in(netns, *words):
    done = subprocess.run(["ip", "netns", "exec", netns, *words], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout


def test_dig_getent_and_curl_agree(w):
    with Spaces() as s:
        # glibc asks for the families alone of which a machine has an address beside its loopback's own.
        a, b = s.make("10.0.0.9/24", "fd11::9/64"), s.make("10.0.0.5/24")
        vpc(w, "a", a, "net")
        vpc(w, "b", b)
        target_in(w, b, "t", "10.0.0.5", 8080)
        group_in(w, "g", "b", "10.0.0.5:8080")
        w.service("shop", 80, "forward = g")
        w.write("services/shop/domain", "shop.example.com\n*.wild.example.com\n")
        four, six = pair(w, "shop")
        name = f"shop.{SUFFIX}"
        for server in (FOUR, SIX):
            with resolv_conf(a, server):
                for host in (name, "shop.example.com", "x.wild.example.com"):
                    equal(run_in(a, "getent", "ahostsv4", host)[1].split()[:1], [four], f"getent {host}")
                    equal(run_in(a, "getent", "ahostsv6", host)[1].split()[:1], [six], f"getent {host}")
                    equal(run_in(a, "dig", "+short", host), (0, four + "\n"))
                    equal(run_in(a, "dig", "+short", "+tcp", host, "AAAA"), (0, six + "\n"))
                    for family in ("-4", "-6"):
                        equal(run_in(a, "curl", "-s", "-m", "10", family, f"http://{host}/x"), (0, "t GET /x 0"))
                equal(run_in(a, "getent", "hosts", f"none.{SUFFIX}")[0], 2)
                equal(run_in(a, "curl", "-s", "-m", "10", f"http://none.{SUFFIX}/")[0], 6)
        equal(ask_in(a, four, 80, name).status, 200)
