"""test_changes.py - changes while serving: nothing unrelated is touched, nothing is lost, no table is pinned."""
import os
import random
import threading
import time

from harness import Client, SLOW, check, equal, free_port, limit, match, until
from test_http import UPGRADE


class Load:
    """Clients that go on until told to stop; whatever goes wrong is kept."""

    def __init__(self, w):
        self.w, self.wrong, self.threads, self.stopping = w, [], [], threading.Event()
        self.done = {"requests": 0, "echoes": 0, "downloads": 0}

    def add(self, function, *arguments):
        def run():
            try:
                function(*arguments)
            except Exception as problem:
                self.wrong.append(f"{function.__name__}: {type(problem).__name__} {problem}")
        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def keep_alive(self, path):
        """One connection for the whole time, every answer 200."""
        with Client(self.w.port, 20) as client:
            while not self.stopping.is_set():
                equal(client.ask(path=path).status, 200, path)
                self.done["requests"] += 1
                time.sleep(0.002)

    def socket(self):
        """An upgraded connection for the whole time, every word echoed."""
        with Client(self.w.port, 20) as client:
            equal(client.send(UPGRADE).answer().status, 101)
            while not self.stopping.is_set():
                client.send("ping")
                equal(client.take(4), b"ping")
                self.done["echoes"] += 1
                time.sleep(0.02)

    def download(self):
        """One answer that lasts the whole time."""
        with Client(self.w.port, 20) as client:
            client.send("GET /drip HTTP/1.1\r\nHost: shop\r\n\r\n")
            answer = client.answer()
            equal(answer.status, 200)
            equal(answer.body.count(b"."), len(answer.body))
            check(len(answer.body) > 5, "a real download")
            self.done["downloads"] += 1

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(20 * SLOW)
            check(not thread.is_alive(), "a client hangs")
        equal(self.wrong, [], "what went wrong under the changes")


def serve(load):
    def script(target, wire):
        while True:
            request = target.next(wire)
            if request.one("upgrade"):
                wire.sock.sendall(b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
                while data := wire.sock.recv(4096):
                    wire.sock.sendall(data)
                return
            if request.target == "/drip":
                wire.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                while not load[0].stopping.is_set():
                    wire.sock.sendall(b"1\r\n.\r\n")
                    time.sleep(0.05)
                wire.sock.sendall(b"0\r\n\r\n")
            else:
                target.reply(wire, 200, b"ok")
    return script


class Changer:
    """Random changes, each valid by itself; it keeps the little model that it needs for that."""

    def __init__(self, w, seed):
        self.w, self.rng = w, random.Random(seed)
        self.groups, self.services, self.rules = [], [], []
        self.used, self.taken = {}, set()

    def name(self, kind):
        while (name := f"{kind}{self.rng.randrange(500)}") in self.taken:
            pass
        self.taken.add(name)
        return name

    def forward(self):
        picked = self.rng.sample(self.groups, min(len(self.groups), self.rng.randrange(3)))
        words = [f"blue:{self.rng.randrange(1, 100)}", f"green:{self.rng.randrange(0, 100)}"]
        return picked, "forward = " + " ".join(words + [f"{group}:0" for group in picked])

    def default_action(self):
        self.used["default"], text = self.forward()
        self.w.write(f"{self.w.place}/default-action", text + "\n")

    def add_group(self):
        name = self.name("g")
        self.w.group(name, f"127.0.0.1:{self.rng.randrange(1, 9)}")
        self.groups.append(name)

    def remove_group(self):
        busy = {group for groups in self.used.values() for group in groups}
        idle = [group for group in self.groups if group not in busy]
        if idle:
            name = self.rng.choice(idle)
            self.groups.remove(name)
            self.w.sh(f"rm -r target-groups/{name}", quiet=True)
            self.taken.discard(name)

    def add_rule(self):
        name = self.name("r")
        self.used[name], text = self.forward()
        free = set(range(1, 2001)) - {priority for _, priority in self.rules}
        priority = self.rng.choice(sorted(free))
        self.rules.append((name, priority))
        self.w.rule(self.w.place, name, priority, f"path-prefix = /{self.rng.choice(['k', 'z'])}{self.rng.randrange(4)}", text)

    def change_rule(self):
        if self.rules:
            name = self.rng.choice(self.rules)[0]
            self.used[name], text = self.forward()
            self.w.write(f"{self.w.place}/rules/{name}/action", text + "\n")

    def remove_rule(self):
        if self.rules:
            name = self.rules.pop(self.rng.randrange(len(self.rules)))[0]
            self.w.sh(f"rm -r {self.w.place}/rules/{name}", quiet=True)
            del self.used[name]
            self.taken.discard(name)

    def add_service(self):
        name = self.name("s")
        self.w.service(name, self.rng.choice([self.w.port, free_port()]), "forward = blue")
        self.services.append(name)

    def remove_service(self):
        if self.services:
            name = self.services.pop(self.rng.randrange(len(self.services)))
            self.w.sh(f"rm networks/net/services/{name} && rm -r services/{name}", quiet=True)
            self.taken.discard(name)

    def name_service(self):
        for name in self.services[:1]:
            self.w.write(f"services/{name}/domain", f"{name}.x{self.rng.randrange(9)}.example\n")

    def timeout(self):
        self.w.write("services/shop/idle-timeout", f"{self.rng.randrange(30, 90)}\n")

    def target(self):
        self.w.sh("touch target-groups/green/targets/127.0.0.1:7 && rm target-groups/green/targets/127.0.0.1:7", quiet=True)

    def step(self):
        actions = [self.default_action] * 5 + [self.change_rule] * 3 + [
            self.add_group, self.remove_group, self.add_rule, self.remove_rule, self.add_service, self.remove_service,
            self.name_service, self.timeout]
        self.rng.choice(actions)()


def tables(w):
    return int(match(r"tables\D*(\d+)", w.read(".status") + w.read(".metrics"), "how many tables live")[1])


@limit(120)
def test_a_thousand_changes_under_load(w):
    load = [None]
    w.site(script=serve(load))
    w.group("green", w.target)
    load[0] = Load(w)
    for i in range(4):
        load[0].add(load[0].keep_alive, f"/k{i}")
    for _ in range(3):
        load[0].add(load[0].socket)
    for _ in range(3):
        load[0].add(load[0].download)
    changer = Changer(w, 7)
    for _ in range(1000):
        changer.step()
        if load[0].wrong:
            break
    check(tables(w) <= 2, f"{tables(w)} tables live: long connections pin none")
    load[0].stop()
    check(min(load[0].done.values()) >= 3 and load[0].done["requests"] > 200, f"the clients were busy: {load[0].done}")
    check(w.number("requests", "services/shop/.status") >= load[0].done["requests"], "counters survived")
    equal(w.sh(f"diff -r --no-dereference {w.store} {w.mnt}").out, "")
    table = w.read(".table")
    w.restart()
    equal(w.read(".table"), table, "a fresh start compiles the same table")


@limit(60)
def test_a_write_that_returned_is_in_force(w):
    """Whatever worker takes a request, it answers by what the last write said."""
    w.site()
    clients = [Client(w.port) for _ in range(12)]  # over both workers
    for client in clients:
        client.ask()
    for i in range(200):
        code = 400 + i % 100
        w.write(f"{w.place}/default-action", f"fixed-response = {code}\n")
        client = clients[i % len(clients)]
        equal(client.ask().status, code, f"change {i} on an old connection")
        if i % 5 == 0:
            equal(w.get().status, code, "on a new connection")
    for client in clients:
        client.sock.close()


def test_a_request_keeps_its_table(w):
    gate = threading.Event()

    def slow(target, wire, request):
        gate.wait(10)
        target.reply(wire, 200, b"old")
    w.site(slow)
    with Client(w.port, 20) as client:
        client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
        until(lambda: w.target.count() == 1, 5, "the request is at the target")
        w.write(f"{w.place}/default-action", "fixed-response = 404\n")
        w.sh("rm -r target-groups/blue", quiet=True)
        gate.set()
        equal(client.answer().body, b"old", "a request in flight ends as it began")
        equal(client.ask().status, 404, "the next one on the connection sees the change")


def test_a_connection_survives_the_end_of_its_place(w):
    """A removed listener takes no new connections; what is in flight ends well."""
    gate = threading.Event()

    def slow(target, wire, request):
        if request.target == "/slow":
            gate.wait(10)
        target.reply(wire, 200, b"done")
    w.site(slow)
    port = free_port()
    with Client(w.port, 20) as client:
        client.send("GET /slow HTTP/1.1\r\nHost: shop\r\n\r\n")
        until(lambda: w.target.count() == 1, 5, "in flight")
        w.write(f"{w.place}/port", f"{port}\n")
        try:
            Client(w.port).sock.close()
            check(False, "the old port still takes connections")
        except ConnectionRefusedError:
            pass
        equal(w.get(port=port).status, 200, "the new port serves")
        gate.set()
        equal(client.answer().body, b"done")
    w.write(f"{w.place}/port", f"{w.port}\n")
    equal(w.get().status, 200, "and back")


@limit(60)
def test_changes_leave_nothing_behind(w):
    """Neither memory nor descriptors grow with the number of changes."""
    w.site()
    w.group("green", w.target)

    def change(times):
        for i in range(times):
            w.write(f"{w.place}/default-action", f"forward = blue:{i % 50 + 1} green:3\n")
            if i % 10 == 0:
                w.write(f"{w.place}/port", f"{w.port if i % 20 else other}\n")
    other = free_port()
    change(200)
    rss, fds = w.rss(), len(os.listdir(f"/proc/{w.daemon.pid}/fd"))
    change(400)
    check(w.rss() - rss < (1 if SLOW == 1 else 64) << 20, f"{(w.rss() - rss) >> 10} KiB more after 400 changes")
    check(len(os.listdir(f"/proc/{w.daemon.pid}/fd")) <= fds + 2, "descriptors")
    check(tables(w) <= 2, "tables")
