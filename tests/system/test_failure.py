"""test_failure.py - kill -9, a full disk, dead targets, too few descriptors, hand-made damage: service goes on after."""
import errno
import os
import random
import resource
import select
import signal
import socket
import subprocess
import threading
import time

from harness import Client, Closed, Wire, check, equal, limit, match, refused, until


class Storm:
    """Writers that note what was acknowledged before they go on."""

    def __init__(self, w, names):
        self.w, self.acknowledged, self.tried = w, {}, {}
        self.threads = [threading.Thread(target=self.write, args=(name, number), daemon=True)
                        for number, name in enumerate(names)]
        for thread in self.threads:
            thread.start()

    def text(self, number, turn):
        return f"# {'x' * (turn * 37 % 3000)}\nfixed-response = {400 + turn % 100}\n# {number} {turn}\n"

    def write(self, name, number):
        turn = 0
        while True:
            turn += 1
            self.tried[name] = self.text(number, turn)
            try:
                if turn % 3:
                    self.w.write(name, self.tried[name])
                else:
                    self.w.write(f"{name}.new~", self.tried[name])
                    os.rename(self.w.path(f"{name}.new~"), self.w.path(name))
            except OSError:
                return
            self.acknowledged[name] = self.tried[name]


@limit(90)
def test_kill_9_in_a_storm_of_writes(w):
    w.site()
    names = [f"{w.place}/default-action"]
    for i in range(3):
        names.append(w.rule(w.place, f"r{i}", i + 1, f"path-exact = /{i}", "fixed-response = 404") + "/action")
    rng = random.Random(3)
    for turn in range(8):
        storm = Storm(w, names)
        time.sleep(rng.uniform(0.05, 0.4))
        w.kill()
        for thread in storm.threads:
            thread.join(10)
        w.start()
        for name in names:
            text = w.read(name)
            allowed = {storm.acknowledged.get(name), storm.tried.get(name)}
            check(text in allowed or name not in storm.acknowledged, f"turn {turn}, {name}: {text[-40:]!r} was not the last acknowledged")
            equal(open(os.path.join(w.store, name)).read(), text, "in the store")
        want = int(match(r"^fixed-response = (\d+)$", w.read(names[0]))[1])
        equal(w.get().status, want, "what is stored is served")
        equal(w.errors(), "", "no damaged file was found")
        check(storm.acknowledged, "something was acknowledged")
        equal(w.sh(f"diff -r --no-dereference {w.store} {w.mnt}").out, "")
    leftovers = [name for folder, _, files in os.walk(w.store) for name in files if "~" not in name and "new" in name]
    equal(leftovers, [], "no temporary file of ours")


def test_kill_9_keeps_directories_links_and_renames(w):
    w.site()
    w.sh("mkdir -p services/.draft/listeners/web && mv services/.draft services/cart && mkdir a && mv a b && ln -s x y")
    w.link("../../../services/cart", "networks/net/services/cart")
    before = w.sh("find . -printf '%P %y %l\\n' | sort").out
    w.restart(kill=True)
    equal(w.sh("find . -printf '%P %y %l\\n' | sort").out, before)
    equal(w.get().status, 200)


def test_a_dead_mount_is_cleared(w):
    w.site()
    w.kill()
    refused(errno.ENOTCONN, os.listdir, w.mnt)
    w.start()
    equal(w.get().status, 200)


@limit(60)
def test_a_full_store_disk(w):
    small = os.path.join(w.base, "small")
    os.mkdir(small)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "none", small], check=True, timeout=10)
    try:
        w.store = os.path.join(small, "store")
        w.start()
        w.site()
        done = w.sh("head -c 1000000 /dev/zero > filler", rc=1)
        check("No space left" in done.err, done.err)
        with open(os.path.join(small, "rest"), "wb", buffering=0) as rest:
            try:
                while rest.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        long = "# " + "x" * 20000 + "\nfixed-response = 404\n"
        for _ in range(3):
            refused(errno.ENOSPC, w.write, f"{w.place}/default-action", long)
        refused(errno.ENOSPC, w.write, "services/shop/idle-timeout", "9\n")
        equal(w.read(f"{w.place}/default-action"), "forward = blue\n", "the old value stays")
        check(not os.path.exists(w.path("services/shop/idle-timeout")), "nothing half-made")
        equal(w.get().status, 200, "and is served")
        os.unlink(os.path.join(small, "rest"))
        os.unlink(w.path("filler"))
        w.write(f"{w.place}/default-action", long)
        equal(w.get().status, 404, "with room again it is taken")
        equal(w.sh(f"diff -r --no-dereference {w.store} {w.mnt}").out, "")
        w.stop()
    finally:
        if w.daemon:
            w.kill()
            subprocess.run(["umount", "-l", w.mnt], check=False, timeout=10)
        subprocess.run(["umount", "-l", small], check=False, timeout=10)


test_a_full_store_disk.unmounted = True


def test_targets_that_come_and_go(w):
    w.site()
    equal(w.get().status, 200)
    w.target.close()
    until(lambda: w.get().status == 503, 5, "503 without a target")
    w.target.sock = socket.create_server(("127.0.0.1", w.target.port))
    threading.Thread(target=w.target.accept, daemon=True).start()
    until(lambda: w.get().status == 200, 5, "200 when it is back")


def crowd(w, size):
    """So many clients ask at once; how many are answered within 2 s. All of them leave, then one more is served."""
    clients = []
    for _ in range(size):
        try:
            clients.append(Client(w.port, 2).send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n"))
        except OSError:
            break
    end = time.monotonic() + 2
    waiting, served = {client.sock: client for client in clients}, 0
    while waiting and time.monotonic() < end:
        for sock in select.select(list(waiting), [], [], 0.2)[0]:
            try:
                served += waiting.pop(sock).answer().status == 200
            except (OSError, Closed):
                pass
    for client in clients:
        client.sock.close()
    until(lambda: get_quietly(w) == 200, 10, "service goes on when they are gone")
    return served


def get_quietly(world):
    try:
        return world.get(seconds=2).status
    except (OSError, Closed):
        return None


def test_few_descriptors(w):
    w.stop()
    w.start(before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96)))
    w.site()
    served = crowd(w, 150)
    check(10 <= served, f"{served} of 150 clients served")
    until(lambda: changed(w), 10, "and so do changes")


def changed(w):
    try:
        w.write(f"{w.place}/default-action", "fixed-response = 404\n")
    except OSError as error:
        equal(error.errno, errno.EMFILE)
        return False
    return w.get().status == 404


def test_more_connections_than_allowed(w):
    w.stop()
    w.start("[engine]\nworkers = 1\nconnections = 32\n")
    w.site()
    served = crowd(w, 64)
    check(20 <= served <= 64, f"{served} of 64 served with room for 32")


@limit(60)
def test_a_thousand_connections(w):
    w.site()
    clients = [Client(w.port, 20) for _ in range(1000)]
    for client in clients:
        client.send("GET /a HTTP/1.1\r\nHost: sh")
    for client in clients:
        client.send("op\r\n\r\n")
    for client in clients:
        equal(client.answer().status, 200)
    equal(w.number("connections"), 1000)
    for client in clients:
        client.sock.close()
    until(lambda: w.number("connections") == 0, 10, "all gone")


@limit(90)
def test_half_heads_starve_nobody(w):
    """More of them than a worker has buffers for receives: each keeps memory, and none what others receive into."""
    number = 16384 + 500
    check(resource.getrlimit(resource.RLIMIT_NOFILE)[1] > number + 1000, "room for so many descriptors")
    w.stop()
    w.start("[engine]\nworkers = 1\nhead-timeout-ms = 60000\n")
    w.site()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    socks = []
    for _ in range(number):
        socks.append(socket.create_connection(("127.0.0.1", w.port), 30))
        socks[-1].sendall(b"GET /late HTTP/1.1\r\nHost: sh")
    until(lambda: w.number("connections") == number, 20, "all are there")
    equal(w.get(seconds=5).status, 200, "another client, while they wait")
    for sock in (socks[0], socks[-1]):
        late = Client.__new__(Client)
        Wire.__init__(late, sock)
        late.send("op\r\n\r\n")
        equal(late.answer().body, b"blue GET /late 0", "and they, once they go on")
    for sock in socks:
        sock.close()


def slow_site(w):
    gate = threading.Event()

    def slow(target, wire, request):
        gate.wait(10)
        target.reply(wire, 200, b"drained")
    w.site(slow)
    client = Client(w.port, 20)
    client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
    until(lambda: w.target.count() == 1, 5, "in flight")
    return gate, client


def test_SIGTERM_drains(w):
    gate, client = slow_site(w)
    w.daemon.send_signal(signal.SIGTERM)
    until(lambda: not accepts(w.port), 5, "no new connections")
    check(w.daemon.poll() is None, "it waits for the request")
    gate.set()
    equal(client.answer().body, b"drained")
    equal(w.daemon.wait(10), 0, "exit status")
    w.daemon = None
    check(not w.mounted(), "unmounted")


def accepts(port):
    try:
        Client(port, 1).sock.close()
        return True
    except OSError:
        return False


def test_unmounting_drains(w):
    gate, client = slow_site(w)
    subprocess.run(["umount", w.mnt], check=True, timeout=10)
    gate.set()
    equal(client.answer().body, b"drained")
    equal(w.daemon.wait(10), 0, "exit status")
    w.daemon = None


def test_an_idle_client_does_not_delay_the_end(w):
    w.site()
    with Client(w.port) as client:
        client.ask()
        began = time.monotonic()
        w.stop()
        check(time.monotonic() - began < 4, "an idle connection is not waited for")


def test_a_store_damaged_by_hand(w):
    w.site()
    w.service("cart", w.port, "fixed-response = 410")
    w.service("broken", w.port, "fixed-response = 411")
    w.stop()
    damage = {"services/broken/listeners/web/default-action": "forward = nowhere\n", "services/shop/idle-timeout": "soon\n",
              "target-groups/odd/type": "PLANE\n", "services/broken/listeners/web/rules/r/match": "\0\1\2" * 100}
    for name, text in damage.items():
        path = os.path.join(w.store, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as out:
            out.write(text)
    os.makedirs(os.path.join(w.store, "services/Bad_Name/listeners"))
    os.symlink("/etc", os.path.join(w.store, "target-groups/link"))
    w.start()
    equal(w.get(host="cart").status, 410, "the rest serves")
    check(w.get(host="broken").status != 411, "what is wrong is left out")
    text = w.errors()
    for name in ("services/broken/listeners/web/default-action:1:", "services/shop/idle-timeout:1:0", "target-groups/odd/type:1:0"):
        check(name in text, f"{name} is reported: {text}")
    equal(w.read("services/shop/idle-timeout"), "soon\n", "its bytes are kept")
    w.write("services/shop/idle-timeout", "9\n")
    w.write("services/broken/listeners/web/default-action", "fixed-response = 412\n")
    equal((w.get().status, w.get(host="broken").status), (200, 412), "mended one by one")


def test_a_store_link_is_never_followed(w):
    secret = os.path.join(w.base, "secret")
    with open(secret, "w") as out:
        out.write("7\n")
    w.site()
    w.stop()
    os.symlink(secret, os.path.join(w.store, "services/shop/idle-timeout"))
    os.symlink(w.base, os.path.join(w.store, "services/outside"))
    w.start()
    equal(w.get().status, 200)
    equal(open(secret).read(), "7\n")
    match(r"services 1\b", w.read(".status"))


def test_a_full_queue_of_a_target(w):
    """A target that accepts nothing: others are served, and its clients get 5xx."""
    w.stop()
    w.start("[engine]\nworkers = 2\nconnect-timeout-ms = 1000\nresponse-timeout-ms = 1000\n")
    w.site()
    deaf = socket.create_server(("127.0.0.1", 0), backlog=0)
    w.group("deaf", f"127.0.0.1:{deaf.getsockname()[1]}")
    w.rule(w.place, "r", 1, "path-prefix = /deaf", "forward = deaf")
    clients = [Client(w.port, 15).send("GET /deaf HTTP/1.1\r\nHost: shop\r\n\r\n") for _ in range(20)]
    for _ in range(20):
        equal(w.get().status, 200, "the others are served")
    for client in clients:
        check(client.answer().status in (503, 504), "an error for those that wait")
    deaf.close()

