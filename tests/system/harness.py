"""harness.py - a mounted tree, shell commands, raw HTTP clients and recording targets for the system tests.

Every test gets a World of its own: a store, a mount point and a running daemon. All waiting is for an event
(a mount, an exit, a byte) with a limit; all that was started is ended by its pid in World.close.
"""
import contextlib
import errno
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VARIANT = os.environ.get("V", "release")
BUILD = os.environ.get("BUILD") or os.path.join(ROOT, "build", VARIANT)
BINARY = os.path.join(BUILD, "latticefs")
DATA = os.path.join(ROOT, "tests", "data")
SLOW = 4 if VARIANT in ("asan", "tsan") else 1  # sanitizers take their time
NOBODY = 65534


class Failed(Exception):
    """What was seen is not what the contract says."""


def limit(seconds):
    """Decorates a test that may take longer than the runner's default."""
    def mark(function):
        function.limit = seconds
        return function
    return mark


def equal(got, want, note=""):
    if got != want:
        raise Failed(f"{note}\n  got:  {got!r}\n  want: {want!r}")


def check(holds, note):
    if not holds:
        raise Failed(note)


def match(pattern, text, note=""):
    found = re.search(pattern, text, re.M)
    if not found:
        raise Failed(f"{note}\n  got:  {text!r}\n  want: /{pattern}/")
    return found


def refused(number, function, *arguments):
    """The call fails with that errno."""
    what = getattr(function, "__name__", "call") + repr(arguments)[:200]
    try:
        function(*arguments)
    except OSError as error:
        equal(errno.errorcode.get(error.errno), errno.errorcode.get(number), what)
        return
    raise Failed(f"{what} succeeded, want {errno.errorcode[number]}")


def until(holds, seconds, note):
    """For what the contract gives a time to (50 ms removals, drains): polls, and fails when time is up."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.005)
    raise Failed(f"not within {seconds} s: {note}")


def free_port():
    """A port below the ephemeral range that nobody has on either loopback."""
    while True:
        port = random.randrange(10000, 32000)
        try:
            for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
                with socket.socket(family) as probe:
                    probe.bind((host, port))
            return port
        except OSError:
            continue


class Result:
    def __init__(self, rc, out, err):
        self.rc, self.out, self.err = rc, out, err


class World:
    """A store, a mount and a daemon."""

    CONF = "[engine]\nworkers = 2\n"

    def __init__(self, base=None):
        self.base = base or tempfile.mkdtemp(prefix="latticefs-")
        os.chmod(self.base, 0o755)
        self.store = os.path.join(self.base, "store")
        self.mnt = os.path.join(self.base, "mnt")
        self.conf = os.path.join(self.base, "latticefs.conf")
        self.log = os.path.join(self.base, "daemon.log")
        os.makedirs(self.mnt)
        self.daemon = None
        self.targets = []
        self.transcript = []
        self.conf_text = self.CONF

    # ------------------------------------------------------------------ the daemon

    def note(self, line):
        self.transcript.append(line)

    def environment(self):
        env = dict(os.environ, LC_ALL="C", HOME=self.base)
        report = os.path.join(self.base, "sanitizer")
        common = f"log_path={report}:exitcode=99:abort_on_error=0"
        # What is freed waits in quarantine, 256 MiB by default: too much for tests that bound the daemon's memory.
        env["ASAN_OPTIONS"] = common + ":detect_leaks=1:quarantine_size_mb=4:thread_local_quarantine_size_kb=64"
        env["UBSAN_OPTIONS"] = common + ":print_stacktrace=1"
        env["TSAN_OPTIONS"] = common
        return env

    def command(self, options=""):
        with open(self.conf, "w") as out:
            out.write(self.conf_text)
        return [BINARY, "-f", "-c", self.conf] + (["-o", options] if options else []) + [self.store, self.mnt]

    def start(self, conf=None, options="", before=None, wait=True):
        if conf is not None:
            self.conf_text = conf
        argv = self.command(options)
        self.note("$ " + " ".join(argv))
        log = open(self.log, "ab")
        self.daemon = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                                       env=self.environment(), preexec_fn=before)
        log.close()
        with open(os.path.join(self.base, "pids"), "a") as pids:
            pids.write(f"{self.daemon.pid}\n")
        if wait:
            self.wait_mounted()
        return self

    def mounted(self):
        with open("/proc/self/mountinfo") as info:
            return any(line.split()[4] == self.mnt for line in info)

    def serving(self):
        """Mounted, and neither the bare directory nor the corpse of an earlier daemon (whose attributes are cached)."""
        try:
            return os.stat(self.mnt).st_dev != os.stat(self.base).st_dev and bool(os.statvfs(self.mnt))
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise
            return False

    def wait_mounted(self, seconds=10):
        """mountinfo raises POLLPRI when a mount comes or goes; the daemon's end is noticed by a short timeout."""
        end = time.monotonic() + seconds * SLOW
        with open("/proc/self/mountinfo") as info:
            events = select.poll()
            events.register(info, select.POLLPRI | select.POLLERR)
            while not self.serving():
                if self.daemon.poll() is not None:
                    raise Failed(f"the daemon ended with {self.daemon.returncode} before the mount stood")
                if time.monotonic() > end:
                    raise Failed("no mount")
                events.poll(20)

    def kill(self):
        """kill -9, and the corpse of the mount stays."""
        self.note("kill -9 daemon")
        self.daemon.kill()
        self.daemon.wait(10)
        self.daemon = None

    def stop(self, how=signal.SIGTERM, seconds=10):
        """Ends the daemon as an operator would: it must exit 0 and take its mount away."""
        self.note(f"{how.name} to the daemon")
        self.daemon.send_signal(how)
        try:
            rc = self.daemon.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"the daemon did not end within {seconds * SLOW} s of {how.name}")
        self.daemon = None
        equal(rc, 0, f"exit status after {how.name}")
        check(not self.mounted(), "the mount is still there after the daemon's end")

    def restart(self, kill=False, **how):
        if kill:
            self.kill()
        else:
            self.stop()
        self.start(**how)

    def close(self):
        """Ends everything. Raises when the daemon did not end well or a sanitizer spoke."""
        problem = None
        try:
            if self.daemon is not None:
                rc = self.daemon.poll()
                check(rc is None, f"the daemon died by itself: {rc}")
                self.stop()
        except Failed as failed:
            problem = failed
        finally:
            for target in self.targets:
                target.close()
            if self.daemon is not None:
                self.daemon.kill()
                self.daemon.wait(10)
            while self.mounted():
                subprocess.run(["umount", "-l", self.mnt], timeout=10, check=False)
        reports = [name for name in os.listdir(self.base) if name.startswith("sanitizer")]
        for name in reports:
            with open(os.path.join(self.base, name), errors="replace") as text:
                problem = Failed(f"sanitizer report {name}:\n{text.read()[:8000]}")
        if problem:
            raise problem

    def remove(self):
        shutil.rmtree(self.base, ignore_errors=True)

    def describe(self):
        """All that explains a failure: the configuration, what was done, what the daemon said."""
        lines = ["--- conf", self.conf_text.rstrip(), "--- store"]
        for folder, _, names in os.walk(self.store):
            if "/.git" in folder:
                continue
            for name in sorted(names):
                path = os.path.join(folder, name)
                text = os.readlink(path) if os.path.islink(path) else open(path, errors="replace").read(160)
                lines.append(f"{os.path.relpath(path, self.store)}: {text!r}")
            if len(lines) > 120:
                lines.append("...")
                break
        lines += ["--- transcript"] + self.transcript[-60:] + ["--- daemon"]
        with contextlib.suppress(OSError):
            lines.append(open(self.log, errors="replace").read()[-4000:])
        return "\n".join(lines)

    def rss(self):
        """Resident bytes of the daemon."""
        with open(f"/proc/{self.daemon.pid}/statm") as text:
            return int(text.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    # ------------------------------------------------------------------ the tree

    def path(self, name):
        return os.path.join(self.mnt, name)

    def sh(self, script, shell="bash", rc=0, quiet=False, user=None, seconds=30, cwd=None, env=None):
        """Runs a real shell in the mount. quiet: not one line on stderr. rc None: any."""
        self.note(f"[{shell}] {script}")
        who = dict(user=user, group=user, extra_groups=[]) if user is not None else {}
        plain = dict(os.environ, LC_ALL="C", HOME=self.base, GIT_CONFIG_NOSYSTEM="1")
        done = subprocess.run([shell, "-c", script], cwd=cwd or self.mnt, capture_output=True, text=True,
                              errors="replace", timeout=seconds * SLOW, stdin=subprocess.DEVNULL,
                              env=dict(plain, **(env or {})), **who)
        for line in (done.stdout[-1500:] + done.stderr[-1500:]).splitlines():
            self.note("    " + line)
        if rc is not None:
            equal(done.returncode, rc, f"exit status of: {script}\n{done.stdout[-500:]}{done.stderr[-1500:]}")
        if quiet:
            equal(done.stderr, "", f"error output of: {script}")
        return Result(done.returncode, done.stdout, done.stderr)

    def write(self, name, text, mode=0o644):
        """One open, one write, one close; an OSError is noted with the call that raised it."""
        data = text.encode() if isinstance(text, str) else text
        handle = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        call = "write"
        try:
            try:
                os.write(handle, data)
                call = "close"
            finally:
                os.close(handle)
        except OSError as error:
            self.note(f"write {name} {data[:80]!r}: {call}: {error.strerror}")
            raise
        self.note(f"write {name} {data[:80]!r}")

    def read(self, name):
        with open(self.path(name)) as text:
            return text.read()

    def mkdir(self, name):
        os.makedirs(self.path(name), exist_ok=True)
        self.note(f"mkdir -p {name}")

    def remove_file(self, name):
        self.note(f"rm {name}")
        os.unlink(self.path(name))

    def link(self, target, name):
        self.note(f"ln -s {target} {name}")
        os.symlink(target, self.path(name))

    def errors(self, folder=""):
        return self.read(os.path.join(folder, ".errors"))

    def number(self, key, name=".status"):
        """The first number behind a key of a status file."""
        return int(match(rf"^{re.escape(key)} (\d+)", self.read(name), f"{key} in {name}")[1])

    def generation(self):
        return self.number("generation")

    # ------------------------------------------------------------------ a small site

    def network(self, name="net", vpc="host"):
        self.mkdir(f"vpcs/{vpc}")
        self.write(f"vpcs/{vpc}/netns", "host\n")
        self.mkdir(f"networks/{name}/services")
        self.mkdir(f"networks/{name}/vpcs")
        self.link(f"../../../vpcs/{vpc}", f"networks/{name}/vpcs/{vpc}")

    def group(self, name, *targets, **attributes):
        """Without health checks, unless `health_check` says so: a recording target counts what tests ask it."""
        self.mkdir(f"target-groups/{name}/targets")
        if "type" not in attributes:
            attributes.setdefault("health_check", "enabled = false")
        for key, value in attributes.items():
            self.write(f"target-groups/{name}/{key.replace('_', '-')}", f"{value}\n")
        for target in targets:
            where = target if isinstance(target, str) else f"127.0.0.1:{target.port}"
            self.write(f"target-groups/{name}/targets/{where}", "")

    def service(self, name, port, action, listener="web", network="net"):
        place = f"services/{name}/listeners/{listener}"
        self.mkdir(place)
        self.write(f"{place}/default-action", action + "\n")
        self.write(f"{place}/port", f"{port}\n")
        if network:
            self.link(f"../../../services/{name}", f"networks/{network}/services/{name}")
        return place

    def rule(self, place, name, priority, matching, action):
        folder = f"{place}/rules/{name}"
        self.mkdir(folder)
        self.write(f"{folder}/match", matching + "\n")
        self.write(f"{folder}/action", action + "\n")
        self.write(f"{folder}/priority", f"{priority}\n")
        return folder

    def site(self, handler=None, script=None):
        """A network, a group `blue` with one recording target, service `shop`; sets port, target, place."""
        self.target = self.add_target("blue", handler, script)
        self.port = free_port()
        self.network()
        self.group("blue", self.target)
        self.place = self.service("shop", self.port, "forward = blue")
        return self

    def add_target(self, name, handler=None, script=None):
        target = Target(name, handler, script)
        self.targets.append(target)
        return target

    def get(self, path="/", host="shop", port=None, method="GET", headers="", body=b"", seconds=10):
        """One request on a connection of its own."""
        with Client(port or self.port, seconds) as client:
            return client.ask(method, path, host, headers, body)


# ---------------------------------------------------------------------- HTTP, by hand


class Closed(Exception):
    """The peer closed (or reset) before the message was whole."""


class Message:
    """A head and a body as they came by the wire."""

    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        self.first = lines[0]
        self.fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:] if line]
        self.raw = head
        self.body = b""
        self.trailers = []

    @property
    def status(self):
        return int(self.first.split(" ")[1])

    @property
    def method(self):
        return self.first.split(" ")[0]

    @property
    def target(self):
        return self.first.split(" ")[1]

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def one(self, name):
        found = self.all(name)
        return found[0] if found else None


class Wire:
    """A buffered socket that reads heads, lengths and chunks."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""

    def fill(self):
        try:
            more = self.sock.recv(1 << 16)
        except ConnectionError:
            more = b""
        if not more:
            raise Closed(self.buffer[:200])
        self.buffer += more

    def take(self, size):
        parts, left = [], size
        while left > len(self.buffer):
            parts.append(self.buffer)
            left -= len(self.buffer)
            self.buffer = b""
            self.fill()
        parts.append(self.buffer[:left])
        self.buffer = self.buffer[left:]
        return b"".join(parts)

    def line(self, end=b"\r\n"):
        while end not in self.buffer:
            self.fill()
        data, self.buffer = self.buffer.split(end, 1)
        return data

    def rest(self):
        """All up to the peer's close."""
        parts = []
        try:
            while True:
                parts.append(self.buffer)
                self.buffer = b""
                self.fill()
        except Closed:
            return b"".join(parts)

    def message(self, request=None):
        """The next message; request: the method it answers (None: this is a request)."""
        while self.buffer.startswith(b"\r\n"):
            self.buffer = self.buffer[2:]
        message = Message(self.line(b"\r\n\r\n"))
        coding = message.one("transfer-encoding")
        length = message.one("content-length")
        if request is not None:
            if message.status < 200 or message.status in (204, 304) or request == "HEAD":
                return message
        if coding and coding.lower() == "chunked":
            message.body = self.chunks(message)
        elif length is not None:
            message.body = self.take(int(length))
        elif request is not None:
            message.body = self.rest()
        return message

    def chunks(self, message):
        body = b""
        while True:
            size = int(self.line().split(b";")[0], 16)
            if size == 0:
                break
            body += self.take(size)
            equal(self.take(2), b"\r\n", "end of a chunk")
        while True:
            line = self.line()
            if not line:
                return body
            message.trailers.append(line.decode())


class Client(Wire):
    """A raw HTTP/1 client."""

    def __init__(self, port, seconds=10, host="127.0.0.1", sock=None):
        sock = sock or socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        sock.settimeout(seconds * SLOW)
        sock.connect((host, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
        return self

    def ask(self, method="GET", path="/", host="shop", headers="", body=b""):
        """Sends a request and reads its final answer. headers: whole lines."""
        if isinstance(body, str):
            body = body.encode()
        size = f"Content-Length: {len(body)}\r\n" if body or method in ("POST", "PUT", "PATCH") else ""
        self.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{size}{headers}\r\n".encode("latin-1") + body)
        return self.answer(method)

    def answer(self, method="GET"):
        """The final answer; interim ones are kept in .interim."""
        self.interim = []
        while True:
            message = self.message(method)
            if message.status >= 200 or message.status == 101:
                return message
            self.interim.append(message)

    def closed(self, seconds=5):
        """Does the peer close? True, and what came before it is kept in .left."""
        self.sock.settimeout(seconds * SLOW)
        try:
            self.left = self.rest()
            return True
        except socket.timeout:
            return False


class Target:
    """A recording HTTP target: a thread a connection, every request kept.

    handler(target, wire, request) answers; it returns False to close the connection.
    script(target, wire), if any, is the whole life of a connection.
    """

    def __init__(self, name, handler=None, script=None, backlog=4096, sock=None):
        self.name = name
        self.handler = handler or Target.plain
        self.script = script or Target.loop
        self.requests = []
        self.connections = 0
        self.open = set()
        self.lock = threading.Lock()
        self.peers = []
        self.sock = sock or socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, peer = self.sock.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.peers.append(peer[0])  # getpeername fails when it was reset meanwhile
                self.connections += 1
                self.open.add(sock)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        wire = Wire(sock)
        try:
            self.script(self, wire)
        except (Closed, OSError, ValueError, IndexError):
            pass
        finally:
            with self.lock:
                self.open.discard(sock)
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def loop(self, wire):
        while self.handler(self, wire, self.next(wire)) is not False:
            pass

    def next(self, wire):
        """The next request, kept."""
        request = wire.message()
        with self.lock:
            self.requests.append(request)
        return request

    def reply(self, wire, status=200, body=b"", headers="", method="GET"):
        body = body if isinstance(body, bytes) else body.encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        wire.sock.sendall(head.encode("latin-1") + (b"" if method == "HEAD" else body))

    def plain(self, wire, request):
        """200, `NAME METHOD TARGET LENGTH`."""
        body = f"{self.name} {request.method} {request.target} {len(request.body)}"
        self.reply(wire, body=body, method=request.method)

    def last(self):
        with self.lock:
            return self.requests[-1]

    def count(self):
        with self.lock:
            return len(self.requests)

    def drop(self):
        """Closes the connections that stand, and goes on listening."""
        with self.lock:
            for sock in list(self.open):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self.drop()


if __name__ == "__main__":
    sys.exit("harness.py is a module: use tests/system/run")
