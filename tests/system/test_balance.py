"""test_balance.py - which target of a group, and which group for a caller: algorithms, weights, sticky splits."""
import collections
import threading

import h2kit
from h2kit import add_h2_target, plain, reply
from harness import Client, check, equal, free_port, until


def who(answer):
    return answer.body.split(b" ")[0].decode() if answer.status == 200 else answer.status


def counted(w, n, headers=""):
    with Client(w.port) as client:
        return collections.Counter(who(client.ask(headers=headers)) for _ in range(n))


def one_worker(w):
    """Shares are exact per worker."""
    w.stop()
    w.start("[engine]\nworkers = 1\n")


def two_groups(w, weights):
    w.site()
    w.green = w.add_target("green")
    w.group("green", w.green)
    split(w, weights)


def split(w, weights, more=""):
    w.write(f"{w.place}/default-action", f"forward = {weights}\n{more}")


def test_weights_of_targets(w):
    one_worker(w)
    w.site()
    other = w.add_target("other")
    w.group("blue", other)
    equal(counted(w, 20), {"blue": 10, "other": 10})
    w.write(f"target-groups/blue/targets/127.0.0.1:{other.port}", "weight = 3\n")
    equal(counted(w, 40), {"blue": 10, "other": 30})
    w.write(f"target-groups/blue/targets/127.0.0.1:{other.port}", "weight = 3\nadmin = down\n")
    equal(counted(w, 10), {"blue": 10})


def test_an_empty_group_gives_its_share_to_the_others(w):
    one_worker(w)
    two_groups(w, "blue:60 green:40")
    red = w.add_target("red")
    w.group("red", red)
    split(w, "blue:60 green:30 red:10")
    equal(counted(w, 100), {"blue": 60, "green": 30, "red": 10})
    w.write(f"target-groups/blue/targets/127.0.0.1:{w.target.port}", "admin = drain\n")
    equal(counted(w, 40), {"green": 30, "red": 10})
    split(w, "blue:60 green:30 red:10", "on-empty = fail\n")
    equal(counted(w, 100), {503: 60, "green": 30, "red": 10})
    w.write(f"target-groups/blue/targets/127.0.0.1:{w.target.port}", "admin = up\n")
    equal(counted(w, 100), {"blue": 60, "green": 30, "red": 10})


def test_a_sticky_split_keeps_its_callers(w):
    two_groups(w, "blue:95 green:5")
    users = [f"user-{i}" for i in range(400)]

    def groups(form):
        with Client(w.port) as client:
            return {u: who(client.ask(headers=form.format(u))) for u in users}

    for key, form in (("header X-User", "X-User: {}\r\n"), ("cookie sid", "Cookie: a=1; sid={}\r\n")):
        last = set()
        for share in (5, 10, 30, 70, 100):
            split(w, f"blue:{100 - share} green:{share}", f"sticky = {key}\n")
            now = groups(form)
            equal(groups(form), now, "the same again")
            green = {u for u in users if now[u] == "green"}
            check(last <= green, f"{key}, {share} %: {sorted(last - green)} went back")
            check(abs(len(green) - 4 * share) <= 50, f"{key}, {share} %: {len(green)} of 400")
            last = green
    split(w, "blue:50 green:50", "sticky = source\n")
    equal(len(counted(w, 20)), 1, "one address, one group")


def test_consistent_hash(w):
    w.site()
    others = [w.add_target(f"t{i}") for i in range(4)]
    w.group("blue", *others)
    w.sh("touch .hold", quiet=True)
    w.write("target-groups/blue/algorithm", "consistent-hash\n")
    w.write("target-groups/blue/hash-key", "path\n")
    w.remove_file(".hold")
    paths = [f"/item/{i}" for i in range(200)]

    def targets():
        with Client(w.port) as client:
            return {p: who(client.ask(path=p + "?x")) for p in paths}

    before = targets()
    equal(targets(), before)
    check(len(set(before.values())) == 5, f"all five: {set(before.values())}")
    w.write(f"target-groups/blue/targets/127.0.0.1:{others[1].port}", "admin = down\n")
    after = targets()
    check(all(after[p] == before[p] for p in paths if before[p] != "t1"), "only those of t1 move")
    check("t1" not in after.values(), "t1 is down")
    w.write(f"target-groups/blue/targets/127.0.0.1:{others[1].port}", "admin = up\n")
    equal(targets(), before, "and back")


def test_least_requests_goes_past_a_busy_target(w):
    one_worker(w)
    gate = threading.Event()

    def slow(target, wire, request):
        gate.wait(60)
        target.plain(wire, request)

    w.site(slow)
    other = w.add_target("other")
    w.group("blue", other)
    w.write("target-groups/blue/algorithm", "least-requests\n")
    held = []
    try:
        while w.target.count() == 0:
            check(len(held) < 64, "blue is asked")
            asked = w.target.count() + other.count()
            held.append(Client(w.port).send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n"))
            until(lambda asked=asked: w.target.count() + other.count() > asked, 5, "one is asked")
        equal(counted(w, 30), {"other": 30})
    finally:
        gate.set()
        for client in held:
            client.sock.close()


# ---------------------------------------------------------------------- HTTP/2: each stream on its own

GRPC = ("content-type", "application/grpc"), ("te", "trailers")


def h2_site(w, names, handler=plain, version="HTTP2", **attributes):
    """Service `shop` to a group of HTTP/2 targets by these names."""
    one_worker(w)
    w.h2 = {name: add_h2_target(w, name, handler) for name in names}
    w.port = free_port()
    w.network()
    w.group("blue", *w.h2.values(), protocol_version=version, **attributes)
    w.place = w.service("shop", w.port, "forward = blue")
    return w


def by(stream):
    """Who answered."""
    return stream.body.split(b" ")[0].decode() if stream.status == 200 else stream.status


def test_streams_of_one_connection_have_turns_of_their_own(w):
    h2_site(w, ("t0", "t1", "t2"))
    w.write(f"target-groups/blue/targets/127.0.0.1:{w.h2['t2'].port}", "weight = 2\n")
    with h2kit.connect(w.port) as peer:
        streams = [peer.ask(wait=False) for _ in range(80)]
        peer.wait(lambda: all(stream.over for stream in streams), "the answers")
        equal(collections.Counter(map(by, streams)), {"t0": 20, "t1": 20, "t2": 40})
    check(all(len(target.peers_h2) == 1 for target in w.h2.values()), "on one connection each")


def test_consistent_hash_of_streams(w):
    """By path, as HTTP/1 has it; a gRPC method's calls go to one target."""
    h2_site(w, [f"t{i}" for i in range(5)], version="GRPC", algorithm="consistent-hash", hash_key="path")
    paths = [f"/shop.Cart/Method{i}" for i in range(60)]
    with h2kit.connect(w.port) as peer, Client(w.port) as client:
        first = {path: by(peer.ask(path)) for path in paths}
        equal({path: by(peer.ask(path, "POST", headers=GRPC, body=bytes(5))) for path in reversed(paths)}, first, "gRPC")
        equal({path: who(client.ask(path=path)) for path in paths}, first, "HTTP/1")
        check(len(set(first.values())) == 5, "all five")
        gone = w.h2["t1"]
        w.write(f"target-groups/blue/targets/127.0.0.1:{gone.port}", "admin = down\n")
        after = {path: by(peer.ask(path)) for path in paths}
        check(all(after[path] == first[path] for path in paths if first[path] != "t1"), "only those of t1 move")
        check("t1" not in after.values(), "t1 is down")


def test_a_sticky_split_of_streams(w):
    """Callers behind one connection, as a proxy in front has them: each stays with its group, by HTTP/1 too."""
    h2_site(w, ("blue",))
    w.group("green", add_h2_target(w, "green"), protocol_version="HTTP2")
    for key, name, form in (("header X-User", "x-user", "{}"), ("cookie sid", "cookie", "a=1; sid={}")):
        split(w, "blue:50 green:50", f"sticky = {key}\n")
        users = [f"user-{i}" for i in range(40)]
        with h2kit.connect(w.port) as peer, Client(w.port) as client:
            first = {user: by(peer.ask(headers=[(name, form.format(user))])) for user in users}
            equal(set(first.values()), {"blue", "green"})
            equal({user: by(peer.ask(headers=[(name, form.format(user))])) for user in reversed(users)}, first, key)
            equal({user: who(client.ask(headers=f"{name}: {form.format(user)}\r\n")) for user in users}, first, f"{key}, HTTP/1")


def test_least_requests_counts_streams(w):
    """A target that keeps its streams gets no more than the others have."""
    held, dealt = [], []

    def keep_first(target, peer, request):
        if target.name == "t0":
            held.append((peer, request))
        else:
            plain(target, peer, request)
        dealt.append(target)

    h2_site(w, ("t0", "t1"), keep_first, "GRPC", algorithm="least-requests")
    with h2kit.connect(w.port) as peer:
        streams = []
        while not held:
            check(len(streams) < 64, "t0 is asked")
            streams.append(peer.ask("/a.B/C", "POST", headers=GRPC, body=bytes(5), wait=False))
            until(lambda: len(dealt) == len(streams), 10, "it is at a target")
            peer.wait(lambda: sum(stream.over for stream in streams) == len(streams) - len(held), "t1 answers")
        for _ in range(20):
            equal(by(peer.ask("/a.B/C", "POST", headers=GRPC, body=bytes(5))), "t1")
        equal(len(held), 1)
        reply(*held[0], b"late")
        peer.wait(lambda: all(stream.over for stream in streams), "the late one")
