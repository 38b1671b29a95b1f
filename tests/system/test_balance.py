"""test_balance.py - which target of a group, and which group for a caller: algorithms, weights, sticky splits."""
import collections
import threading

from harness import Client, check, equal, until


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
        gate.wait(8)
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
