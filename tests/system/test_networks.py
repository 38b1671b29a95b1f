"""VPCs are namespaces: addresses, translation between them, isolation, and namespaces that come and go.

Needs root. Every test makes namespaces under names of its own and takes them away again.
"""
import contextlib
import ctypes
import errno
import itertools
import os
import re
import socket
import subprocess
import threading
import time

from harness import SLOW, Client, Closed, Failed, Target, check, equal, limit, match, refused, until

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
PR_CAPBSET_DROP = 24
CAP_NET_ADMIN = 12
NUMBERS = itertools.count()


def ip(*words, rc=0):
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=20)
    if rc is not None:
        equal(done.returncode, rc, f"ip {' '.join(words)}: {done.stderr}")
    return done.stdout


@contextlib.contextmanager
def inside(name):
    """The calling thread is in the namespace: for making sockets."""
    with open("/proc/thread-self/ns/net") as own, open(f"/run/netns/{name}") as there:
        if LIBC.setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            if LIBC.setns(own.fileno(), CLONE_NEWNET) != 0:
                os._exit(70)


class Spaces:
    """Namespaces that end with the test."""

    def __init__(self):
        self.names = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in self.names:
            ip("netns", "del", name, rc=None)

    def name(self):
        name = f"lt{os.getpid()}-{next(NUMBERS)}"
        self.names.append(name)
        return name

    def make(self, *addresses, name=None):
        """A namespace with addresses on its loopback, and up."""
        name = name or self.name()
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")
        for address in addresses:
            ip("-n", name, "addr", "add", address, "dev", "lo", *(["nodad"] if ":" in address else []))
        return name


def vpc(w, name, netns, network=None, listen=None):
    w.mkdir(f"vpcs/{name}")
    if listen:
        w.write(f"vpcs/{name}/listen", listen + "\n")
    w.write(f"vpcs/{name}/netns", netns + "\n")
    if network:
        w.mkdir(f"networks/{network}/services")
        w.mkdir(f"networks/{network}/vpcs")
        w.link(f"../../../vpcs/{name}", f"networks/{network}/vpcs/{name}")


def target_in(w, netns, name, address, port, handler=None):
    with inside(netns):
        sock = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    target = Target(name, handler, sock=sock)
    w.targets.append(target)
    return target


def group_in(w, name, where, *targets):
    w.group(name, *targets, vpc=where)


def client_in(netns, host, port, source=None, seconds=5):
    with inside(netns):
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if source:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(source)
    return Client(port, seconds, host, sock)


def ask_in(netns, host, port, name="shop", source=None, path="/"):
    with client_in(netns, host, port, source) as client:
        return client.ask(path=path, host=name)


def unreachable(netns, host, port):
    try:
        client_in(netns, host, port, seconds=1).__exit__()
    except OSError:
        return
    raise Failed(f"{host}:{port} is reachable from {netns}")


def pair(w, service):
    """A service's IPv4 and IPv6 address, out of its status."""
    found = re.findall(r"^address \[?([0-9a-f:.]+?)\]?:\d+$", w.read(f"services/{service}/.status"), re.M)
    equal(len(found), 2, f"addresses of {service}")
    return found


# ---------------------------------------------------------------------- translation


def test_ipv4_clients_reach_ipv6_targets_and_back(w):
    with Spaces() as s:
        a, b = s.make("10.0.0.5/24", "fd11::5/64"), s.make("10.0.0.5/24", "fd22::5/64")
        vpc(w, "a", a, "net")
        vpc(w, "b", b)
        six = target_in(w, b, "six", "fd22::5", 8080)
        four = target_in(w, b, "four", "10.0.0.5", 8080)
        group_in(w, "six", "b", "[fd22::5]:8080")
        group_in(w, "four", "b", "10.0.0.5:8080")
        w.service("shop", 80, "forward = six")
        w.service("cart", 80, "forward = four")
        shop, cart = pair(w, "shop"), pair(w, "cart")
        answer = ask_in(a, shop[0], 80, source=("10.0.0.5", 0))
        equal(answer.body, b"six GET / 0", "IPv4 client, IPv6 target")
        equal(six.last().one("x-forwarded-for"), "10.0.0.5", "the client's address")
        equal(six.peers[-1], "fd22::5", "the target sees an address of its own VPC")
        answer = ask_in(a, cart[1], 80, "cart", source=("fd11::5", 0))
        equal(answer.body, b"four GET / 0", "IPv6 client, IPv4 target")
        equal(four.last().one("x-forwarded-for"), "fd11::5", "the client's address")
        equal(four.peers[-1], "10.0.0.5", "the target sees an address of its own VPC")


def test_client_and_target_have_the_same_address(w):
    with Spaces() as s:
        a, b = s.make("10.0.0.5/24"), s.make("10.0.0.5/24")
        vpc(w, "a", a, "net")
        vpc(w, "b", b)
        near = target_in(w, a, "near", "10.0.0.5", 8080)
        far = target_in(w, b, "far", "10.0.0.5", 8080)
        group_in(w, "g", "b", "10.0.0.5:8080")
        w.service("shop", 80, "forward = g")
        for _ in range(4):
            equal(ask_in(a, pair(w, "shop")[0], 80, source=("10.0.0.5", 0)).body, b"far GET / 0")
        equal(far.last().one("x-forwarded-for"), "10.0.0.5")
        equal(near.count(), 0, "requests at the same address of the client's VPC")
        match(r"@" + a, w.read(".table"), "the table tells the namespace")


def test_equal_targets_in_two_vpcs_are_two(w):
    with Spaces() as s:
        a, b, c = s.make(), s.make("10.0.0.5/24"), s.make("10.0.0.5/24")
        vpc(w, "a", a, "net")
        vpc(w, "b", b)
        vpc(w, "c", c)
        blue = target_in(w, b, "blue", "10.0.0.5", 8080)
        green = target_in(w, c, "green", "10.0.0.5", 8080)
        group_in(w, "blue", "b", "10.0.0.5:8080")
        group_in(w, "green", "c", "10.0.0.5:8080")
        w.service("shop", 80, "forward = blue:1 green:1")
        address = pair(w, "shop")[0]
        with client_in(a, address, 80) as client:
            got = [client.ask(path=f"/{i}").body.split()[0] for i in range(40)]
        equal((got.count(b"blue"), got.count(b"green")), (20, 20), "shares over kept connections")
        equal((blue.count(), green.count()), (20, 20), "what arrived")
        equal((blue.connections, green.connections), (1, 1), "one kept connection each")
        # The group moves to the other VPC: its idle connections must not follow.
        w.write("target-groups/blue/vpc", "c\n")
        with client_in(a, address, 80) as client:
            for i in range(4):
                equal(client.ask().body.split()[0], b"green", "both groups are in c now")
        equal(blue.count(), 20, "requests at b after the group has left it")


def test_all_ports_differ(w):
    with Spaces() as s:
        a, b = s.make("10.0.0.5/24"), s.make("10.0.0.7/24")
        vpc(w, "a", a, "net")
        vpc(w, "b", b)
        target = target_in(w, b, "t", "10.0.0.7", 9090)
        group_in(w, "g", "b", "10.0.0.7:9090")
        w.service("shop", 81, "forward = g")
        with client_in(a, pair(w, "shop")[0], 81, source=("10.0.0.5", 4321)) as client:
            equal(client.sock.getsockname(), ("10.0.0.5", 4321))
            equal(client.ask(host="shop:81").body, b"t GET / 0")
        equal(target.last().one("x-forwarded-port"), "81")


# ---------------------------------------------------------------------- addresses


def test_pairs_stay(w):
    with Spaces() as s:
        vpc(w, "a", s.make(), "net")
        vpc(w, "b", s.make(), "net")
        w.service("shop", 80, "fixed-response = 204")
        before = pair(w, "shop")
        four, six = before
        match(r"^169\.254\.171\.\d+$", four)
        equal(socket.inet_pton(socket.AF_INET6, six),
              socket.inet_pton(socket.AF_INET6, "fd00:ec2:80::")[:12] + socket.inet_aton(four), "IPv6 holds the IPv4")
        for i in range(30):
            w.service(f"s{i}", 80, "fixed-response = 200")
        equal(pair(w, "shop"), before, "after other services came")
        w.restart()
        equal(pair(w, "shop"), before, "after a restart")
        for netns in s.names:
            for host in before:
                equal(ask_in(netns, host, 80).status, 204)


def test_services_share_an_address_by_host(w):
    with Spaces() as s:
        a = s.make()
        vpc(w, "a", a, "net")
        places = {}
        w.sh("touch .hold")
        for i in range(60):
            w.service(f"s{i}", 80, f"fixed-response = {200 + i}")
        w.sh("rm .hold")
        for i in range(60):
            places.setdefault(pair(w, f"s{i}")[0], []).append(i)
        shared = next(found for found in places.values() if len(found) > 1)
        alone = next(found for found in places.values() if len(found) == 1)[0]
        for i in shared:
            for host in pair(w, f"s{i}"):
                equal(ask_in(a, host, 80, f"s{i}").status, 200 + i, "by Host")
                equal(ask_in(a, host, 80, "other").status, 404, "no service by that name, and several share")
        for host in pair(w, f"s{alone}"):
            equal(ask_in(a, host, 80, "anything.example").status, 200 + alone, "alone on its address")
        # Two become one: the one that stays has the address for itself.
        for i in shared[1:]:
            w.remove_file(f"networks/net/services/s{i}")
        equal(ask_in(a, pair(w, f"s{shared[0]}")[0], 80, "other").status, 200 + shared[0])


def test_listen_overrides(w):
    with Spaces() as s:
        a = s.make("10.0.0.9/32")
        vpc(w, "a", a, "net", listen="10.0.0.9")
        w.service("shop", 80, "fixed-response = 204")
        equal(re.findall(r"^address (\S+)", w.read("services/shop/.status"), re.M), ["10.0.0.9:80"])
        equal(ask_in(a, "10.0.0.9", 80).status, 204)
        equal(ask_in(a, "10.0.0.9", 80, "other").status, 404, "not its own address")
        refused(errno.EADDRNOTAVAIL, w.write, "vpcs/a/listen", "10.0.0.10\n")
        equal(ask_in(a, "10.0.0.9", 80).status, 204, "a refusal changes nothing")


def test_neighbours_reach_the_services(w):
    with Spaces() as s:
        a, n = s.make(), s.make()
        ip("-n", a, "link", "add", "in", "type", "veth", "peer", "name", "out", "netns", n)
        for where, link, four, six in ((a, "in", "10.9.0.1/24", "fd33::1/64"), (n, "out", "10.9.0.2/24", "fd33::2/64")):
            ip("-n", where, "addr", "add", four, "dev", link)
            ip("-n", where, "addr", "add", six, "dev", link, "nodad")
            ip("-n", where, "link", "set", link, "up")
        ip("-n", n, "route", "add", "169.254.171.0/24", "via", "10.9.0.1")
        ip("-n", n, "route", "add", "fd00:ec2:80::/64", "via", "fd33::1")
        vpc(w, "a", a, "net")
        target = target_in(w, n, "t", "10.9.0.2", 8080)
        group_in(w, "g", "a", "10.9.0.2:8080")
        w.service("shop", 80, "forward = g")
        equal(ask_in(n, pair(w, "shop")[0], 80).body, b"t GET / 0")
        equal(target.last().one("x-forwarded-for"), "10.9.0.2")
        equal(target.peers[-1], "10.9.0.1", "an address of the target's VPC")
        until(lambda: "dadfailed" not in ip("-n", n, "addr") and "tentative" not in ip("-n", n, "addr"), 5, "addresses are up")
        equal(ask_in(n, pair(w, "shop")[1], 80).body, b"t GET / 0")
        equal(target.last().one("x-forwarded-for"), "fd33::2")


def routes(netns):
    return re.findall(r"^local (169\.254\.\S+|fd00:ec2\S+)",
                      ip("-n", netns, "route", "show", "table", "local") + ip("-n", netns, "-6", "route", "show", "table", "local"), re.M)


def test_routes_come_and_go(w):
    with Spaces() as s:
        a, b = s.make(), s.name()
        ip("netns", "add", b)  # its loopback is down
        equal(routes(a), [], "before")
        vpc(w, "a", a, "net")
        vpc(w, "b", b, "net")
        w.service("shop", 80, "fixed-response = 204")
        want = sorted(["169.254.171.0/24", "169.254.169.253", "fd00:ec2:80::/64", "fd00:ec2::253"])
        for netns in (a, b):
            equal(sorted(routes(netns)), want)
            equal(ask_in(netns, pair(w, "shop")[0], 80).status, 204)
        w.sh("rm networks/net/vpcs/a && rm -r vpcs/a")
        until(lambda: routes(a) == [], 2, "the routes of a VPC that is gone go")
        w.restart(kill=True)
        equal(ask_in(b, pair(w, "shop")[0], 80).status, 204, "after kill -9")
        w.stop()
        equal(routes(b), [], "after the end")
        w.start()


def test_two_vpcs_of_one_namespace(w):
    with Spaces() as s:
        a = s.make()
        vpc(w, "a", a, "one")
        vpc(w, "again", f"/run/netns/{a}", "two")
        w.service("shop", 80, "fixed-response = 204", network="one")
        w.service("cart", 80, "fixed-response = 205", network="two")
        equal(ask_in(a, pair(w, "shop")[0], 80).status, 204)
        equal(ask_in(a, pair(w, "cart")[0], 80, "cart").status, 205)
        w.link("../../../services/shop", "networks/two/services/shop")
        equal(ask_in(a, pair(w, "shop")[0], 80).status, 204)
        w.remove_file("networks/one/vpcs/a")
        equal(ask_in(a, pair(w, "shop")[0], 80).status, 204, "by the other network")


def test_the_hosts_own_by_path(w):
    vpc(w, "h", "/proc/self/ns/net", "net")
    equal(re.findall(r"^listen (\S+)", w.read("vpcs/h/.status"), re.M), ["127.0.0.1", "::1"])


# ---------------------------------------------------------------------- isolation


def test_health_is_checked_in_the_vpc_of_the_group(w):
    """The same address in two VPCs is two targets: one answers, at the other nobody listens."""
    with Spaces() as s:
        a, b = s.make("10.0.0.9/24"), s.make("10.0.0.9/24")
        vpc(w, "a", a, "one")
        vpc(w, "b", b, "one")
        target_in(w, a, "here", "10.0.0.9", 8080)
        for name in "a", "b":
            w.group(f"in-{name}", "10.0.0.9:8080", vpc=name, health_check="interval = 100ms")
            w.service(name, 80, f"forward = in-{name}", network="one")
        until(lambda: "target 10.0.0.9:8080 HEALTHY " in w.read("target-groups/in-a/.status"), 5 * SLOW, "it answers")
        until(lambda: "UNHEALTHY ConnectionFailed " in w.read("target-groups/in-b/.status"), 5 * SLOW, "nobody there")


def test_other_networks_see_nothing(w):
    with Spaces() as s:
        a, b, lone = s.make("10.0.0.9/24"), s.make("10.0.0.9/24"), s.make()
        vpc(w, "a", a, "one", listen="10.0.0.9")
        vpc(w, "b", b, "two", listen="10.0.0.9")
        vpc(w, "lone", lone)
        secret = target_in(w, b, "secret", "10.0.0.9", 8080)
        group_in(w, "secret", "b", "10.0.0.9:8080")
        w.service("shop", 80, "fixed-response = 204", network="one")
        w.service("vault", 80, "forward = secret", network="two")
        w.write("services/vault/domain", "vault.example\n")
        for name in ("vault", "vault.lattice.internal", "vault.localhost", "vault.example"):
            equal(ask_in(a, "10.0.0.9", 80, name).status, 404, name)
            equal(ask_in(b, "10.0.0.9", 80, name).status, 200, name)
        equal(secret.count(), 4, "requests that reached the target")
        w.remove_file("vpcs/a/listen")
        w.remove_file("vpcs/b/listen")
        until(lambda: w.read("services/vault/.status").count("address 169") == 1, 2, "the removals are in force")
        mine, other = pair(w, "shop")[0], pair(w, "vault")[0]
        unreachable(a, other, 80)
        unreachable(b, mine, 80)
        for host in (mine, other):
            unreachable(lone, host, 80)
        equal(ask_in(a, mine, 80, "vault").status, 204, "any Host is the service that is alone there")
        equal(secret.count(), 4, "requests that reached the target")


def in_flight(w, move):
    """A request that is half answered while the VPC's association moves to another network ends well."""
    with Spaces() as s:
        a = s.make("10.0.0.5/24")
        go, begun = threading.Event(), threading.Event()

        def slow(target, wire, request):
            if request.target == "/slow":
                wire.sock.sendall(b"HTTP/1.1 200 X\r\nContent-Length: 8\r\n\r\nhalf")
                begun.set()
                go.wait(20)
                wire.sock.sendall(b"full")
            else:
                target.reply(wire, 200, target.name)

        vpc(w, "a", a, "one")
        w.mkdir("networks/two/services")
        w.mkdir("networks/two/vpcs")
        target_in(w, a, "t", "10.0.0.5", 8080, slow)
        group_in(w, "g", "a", "10.0.0.5:8080")
        w.service("shop", 80, "forward = g", network="one")
        w.service("cart", 80, "fixed-response = 205", network="two")
        host = pair(w, "shop")[0]
        with client_in(a, host, 80) as client:
            client.send("GET /slow HTTP/1.1\r\nHost: shop\r\n\r\n")
            check(begun.wait(10), "the answer has begun")
            move()
            unreachable(a, host, 80)
            cart = re.search(r"^address (169\.254\.171\.\d+):80", w.read("services/cart/.status"), re.M)[1]
            equal(ask_in(a, cart, 80, "cart").status, 205, "the other network's service, at once")
            go.set()
            answer = client.answer()
            equal((answer.status, answer.body), (200, b"halffull"), "the request in flight")
            with contextlib.suppress(Closed, OSError):
                equal(client.ask().status, 404, "the next one on that connection")


def test_moving_an_association_by_rm_and_ln(w):
    in_flight(w, lambda: w.sh("rm networks/one/vpcs/a && ln -s ../../../vpcs/a networks/two/vpcs/a"))


def test_moving_an_association_by_mv(w):
    in_flight(w, lambda: w.sh("mv networks/one/vpcs/a networks/two/vpcs/a"))


def test_moving_an_association_by_hold(w):
    in_flight(w, lambda: w.sh("touch .hold; ln -s ../../../vpcs/a networks/two/vpcs/a; rm networks/one/vpcs/a; rm .hold"))


# ---------------------------------------------------------------------- coming and going


def waiting(w, name):
    return re.search(r"^waiting (.*)", w.read(f"vpcs/{name}/.status"), re.M)


def test_a_namespace_may_come_later(w):
    with Spaces() as s:
        a, late = s.make(), s.name()
        vpc(w, "a", a, "net")
        vpc(w, "late", late, "net")
        equal(waiting(w, "late")[1], f"netns {late}")
        w.mkdir("networks/later/vpcs")
        w.sh("mv networks/net/vpcs/late networks/later/vpcs/late")
        w.service("lone", 80, "fixed-response = 204", network=None)
        w.mkdir("networks/later/services")
        w.link("../../../services/lone", "networks/later/services/lone")
        match(r"^status CREATE_IN_PROGRESS\nwaiting vpc$", w.read("services/lone/.status"))
        w.sh("mv networks/later/vpcs/late networks/net/vpcs/late")
        group_in(w, "g", "late", "10.0.0.5:8080")
        w.service("shop", 80, "forward = g")
        host = pair(w, "shop")[0]
        equal(ask_in(a, host, 80).status, 503, "the others serve")
        match(r"^target 10\.0\.0\.5:8080 UNAVAILABLE waiting netns " + late, w.read("target-groups/g/.status"))
        s.make("10.0.0.5/24", name=late)
        target_in(w, late, "t", "10.0.0.5", 8080)
        until(lambda: not waiting(w, "late"), 2, "the namespace is seen")
        equal(ask_in(late, host, 80).body, b"t GET / 0")
        equal(ask_in(a, host, 80).body, b"t GET / 0")


def test_a_namespace_may_miss_at_start(w):
    with Spaces() as s:
        a, late = s.make(), s.make()
        vpc(w, "a", a, "net")
        vpc(w, "late", late, "net")
        w.service("shop", 80, "fixed-response = 204")
        host = pair(w, "shop")[0]
        w.stop()
        ip("netns", "del", late)
        w.start()
        equal(waiting(w, "late")[1], f"netns {late}")
        equal(ask_in(a, host, 80).status, 204)
        s.make(name=late)
        until(lambda: not waiting(w, "late"), 2, "the namespace is seen")
        equal(ask_in(late, host, 80).status, 204)


def test_a_namespace_is_made_again(w):
    with Spaces() as s:
        a, b = s.make(), s.make("10.0.0.5/24")
        vpc(w, "a", a, "net")
        vpc(w, "b", b, "net")
        group_in(w, "g", "b", "10.0.0.5:8080")
        w.service("shop", 80, "forward = g")
        host = pair(w, "shop")[0]
        first = target_in(w, b, "first", "10.0.0.5", 8080)
        equal(ask_in(a, host, 80).body, b"first GET / 0")
        ip("netns", "del", b)
        until(lambda: waiting(w, "b"), 2, "it is gone")
        equal(ask_in(a, host, 80).status, 503)
        check(f"@{b}" not in w.read(".table"), "its places are closed")
        for round_ in range(5):
            s.make("10.0.0.5/24", name=b)
            again = target_in(w, b, f"again{round_}", "10.0.0.5", 8080)
            until(lambda: ask_in(a, host, 80).body == f"again{round_} GET / 0".encode(), 2, "the new one is used")
            equal(ask_in(b, host, 80).status, 200, "and offered in")
            ip("netns", "del", b)
        equal(first.count(), 1, "requests in the old one")


def test_a_namespace_that_cannot_be_served_hurts_nobody(w):
    with Spaces() as s:
        a, b = s.make(), s.make("10.0.0.9/24")
        vpc(w, "a", a, "net")
        vpc(w, "b", b, "net", listen="10.0.0.9")
        w.service("shop", 80, "fixed-response = 204")
        host = re.search(r"^address (169\S+):80", w.read("services/shop/.status"), re.M)[1]
        ip("netns", "del", b)
        until(lambda: waiting(w, "b"), 2, "it is gone")
        s.make(name=b)  # without the address that services are offered on
        until(lambda: waiting(w, "b") and "10.0.0.9" in waiting(w, "b")[1], 3, "the status says what is wrong")
        equal(ask_in(a, host, 80).status, 204)
        w.write("services/shop/idle-timeout", "30\n")
        w.restart()
        equal(ask_in(a, host, 80).status, 204, "after a restart, too")
        ip("-n", b, "addr", "add", "10.0.0.9/24", "dev", "lo")
        until(lambda: not waiting(w, "b"), 6 * SLOW, "it heals by itself")
        equal(ask_in(b, "10.0.0.9", 80).status, 204)


def namespaces_open(w):
    """How many namespaces the daemon has open."""
    folder = f"/proc/{w.daemon.pid}/fd"
    count = 0
    for fd in os.listdir(folder):
        with contextlib.suppress(OSError):
            count += os.stat(f"{folder}/{fd}").st_dev == os.stat("/proc/self/ns/net").st_dev
    return count


def test_others_are_not_disturbed(w):
    """Requests from one VPC to another, new connections and kept ones, while a third comes and goes."""
    with Spaces() as s:
        a, b, c = s.make(), s.make("10.0.0.5/24"), s.make("10.0.0.5/24")
        for name, netns in (("a", a), ("b", b), ("c", c)):
            vpc(w, name, netns, "net")
        target_in(w, b, "t", "10.0.0.5", 8080)
        group_in(w, "g", "b", "10.0.0.5:8080")
        group_in(w, "other", "c", "10.0.0.5:8080")
        w.service("shop", 80, "forward = g")
        w.service("odd", 80, "forward = other")
        hosts, over, wrong, count = pair(w, "shop"), threading.Event(), [], [0, 0]

        def load(i):
            try:
                with client_in(a, hosts[i], 80) as kept:
                    while not over.is_set():
                        equal(kept.ask().body, b"t GET / 0", "on a kept connection")
                        equal(ask_in(a, hosts[1 - i], 80).body, b"t GET / 0", "on a new one")
                        count[i] += 1
            except Exception as problem:
                wrong.append(repr(problem))

        threads = [threading.Thread(target=load, args=(i,)) for i in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(15):
            ip("netns", "del", c)
            until(lambda: waiting(w, "c"), 2, "it is gone")
            s.make("10.0.0.5/24", name=c)
            until(lambda: not waiting(w, "c"), 2, "it is back")
        over.set()
        for thread in threads:
            thread.join()
        equal(wrong, [])
        check(min(count) > 10, f"requests were made: {count}")
        until(lambda: namespaces_open(w) == 4, 2, "three namespaces and its own are open, the others let go")


def test_a_namespace_that_goes_in_a_hold_is_dropped_after_it(w):
    with Spaces() as s:
        a, b = s.make(), s.make()
        vpc(w, "a", a, "net")
        vpc(w, "b", b, "net")
        w.service("shop", 80, "fixed-response = 204")
        host = pair(w, "shop")[0]
        w.sh("touch .hold; echo 'fixed-response = 205' > services/shop/listeners/web/default-action")
        ip("netns", "del", b)
        until(lambda: waiting(w, "b"), 2, "it is gone")
        equal(ask_in(a, host, 80).status, 204, "what was served")
        w.sh("rm .hold")
        equal(ask_in(a, host, 80).status, 205)
        check(f"@{b}" not in w.read(".table"), "its places are closed")


def test_it_sleeps_when_nothing_happens(w):
    def cpu():
        return sum(map(int, open(f"/proc/{w.daemon.pid}/stat").read().rsplit(")", 1)[1].split()[11:13]))

    with Spaces() as s:
        vpc(w, "a", s.make(), "net")
        vpc(w, "b", s.name(), "net")
        w.service("shop", 80, "fixed-response = 204")
        time.sleep(0.3)
        before = cpu()
        time.sleep(1)
        check(cpu() - before <= 5 * SLOW, f"{cpu() - before} ticks of 10 ms in a second")


def test_a_plain_file_is_no_namespace(w):
    path = os.path.join(w.base, "file")
    open(path, "w").close()
    vpc(w, "a", path, "net")
    equal(waiting(w, "a")[1], f"netns {path}: it is no network namespace")
    os.unlink(path)
    with Spaces() as s:
        os.symlink(f"/run/netns/{s.make()}", path)
        until(lambda: not waiting(w, "a"), 4, "a path is watched, too")


@limit(120)
def test_many_vpcs_and_services(w):
    vpcs, services = 200 if SLOW == 1 else 100, 50
    with Spaces() as s:
        for _ in range(vpcs):
            s.make()
        w.sh("touch .hold")
        for i, netns in enumerate(s.names):
            vpc(w, f"v{i}", netns, "net")
        for i in range(services):
            w.service(f"s{i}", 80, f"fixed-response = {200 + i}")
        w.sh("rm .hold", seconds=60)
        for i in (0, vpcs // 2, vpcs - 1):
            for k in (0, services - 1):
                equal(ask_in(s.names[i], pair(w, f"s{k}")[1], 80, f"s{k}").status, 200 + k)
        w.write("services/s0/idle-timeout", "5\n")
        w.sh("rm networks/net/vpcs/*", seconds=60)


# ---------------------------------------------------------------------- capabilities


def test_only_the_needed_capabilities_are_kept(w):
    status = open(f"/proc/{w.daemon.pid}/status").read()
    for key in ("CapPrm", "CapEff", "CapBnd"):
        caps = int(match(rf"^{key}:\s+(\w+)", status)[1], 16)
        # chown dac_override dac_read_search fowner fsetid, net_bind_service net_admin ipc_lock, sys_admin
        check(caps & ~(0x1f | 1 << 10 | 1 << 12 | 1 << 14 | 1 << 21) == 0, f"{key} is {caps:x}")
    for thread in os.listdir(f"/proc/{w.daemon.pid}/task"):
        text = open(f"/proc/{w.daemon.pid}/task/{thread}/status").read()
        equal(re.findall(r"^Cap.*", text, re.M), re.findall(r"^Cap.*", status, re.M), "every thread")


def drop_net_admin():
    LIBC.prctl(PR_CAPBSET_DROP, CAP_NET_ADMIN, 0, 0, 0)


def test_a_missing_capability_is_named(w):
    with Spaces() as s:
        a = s.make()
        w.start(before=drop_net_admin)
        w.mkdir("vpcs/a")
        refused(errno.EPERM, w.write, "vpcs/a/netns", a + "\n")
        match(rf"vpcs/a/netns:1:0: netns '{a}' needs CAP_SYS_ADMIN and CAP_NET_ADMIN: latticefs runs without "
              "CAP_NET_ADMIN", w.errors())
        w.write("vpcs/a/netns", "host\n")
        w.restart()
        w.write("vpcs/a/netns", a + "\n")
        w.restart(before=drop_net_admin)
        match(r"^status CREATE_FAILED\nreason netns .* needs CAP_SYS_ADMIN", w.read("vpcs/a/.status"))


test_a_missing_capability_is_named.unmounted = True
