"""test_posix.py - working files behave as on any filesystem: random calls here and on a plain directory, compared."""
import ctypes
import errno
import mmap
import os
import random
import stat
import threading

from harness import check, equal, limit, refused

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100


def renameat2(old, new, flags):
    if LIBC.renameat2(AT_FDCWD, old.encode(), AT_FDCWD, new.encode(), flags) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


class Pair:
    """The same calls in two places: the mount and a plain directory beside it."""

    def __init__(self, w, seed):
        self.w, self.rng = w, random.Random(seed)
        self.places = [w.mnt, os.path.join(w.base, "plain")]
        os.mkdir(self.places[1])
        self.open = []  # pairs of descriptors

    def both(self, what, call):
        """call(place number) in both: the same result or the same errno."""
        seen = []
        for number in (0, 1):
            try:
                seen.append(("ok", call(number)))
            except OSError as error:
                seen.append(("error", errno.errorcode[error.errno]))
        self.w.note(f"{what}: {str(seen[0])[:100]}")
        equal(seen[0], seen[1], what)
        return seen[0]

    def name(self):
        """A path of up to three parts out of few names, so that calls meet."""
        parts = [self.rng.choice(["d1", "d2", "d3"]) for _ in range(self.rng.choice([0, 0, 1, 1, 2]))]
        return "/".join(parts + [self.rng.choice(["d1", "d2", "f1", "f2", "f3", "l1"])])

    def at(self, number, name):
        return os.path.join(self.places[number], name)

    def step(self):
        getattr(self, self.rng.choice([key for key in dir(self) if key.startswith("do_")]))()

    def do_mkdir(self):
        name = self.name()
        self.both(f"mkdir {name}", lambda n: os.mkdir(self.at(n, name), 0o755))

    def do_rmdir(self):
        name = self.name()
        self.both(f"rmdir {name}", lambda n: os.rmdir(self.at(n, name)))

    def do_unlink(self):
        name = self.name()
        self.both(f"unlink {name}", lambda n: os.unlink(self.at(n, name)))

    def do_write(self):
        name, data = self.name(), os.urandom(self.rng.randrange(3000))
        flags = os.O_WRONLY | self.rng.choice([0, os.O_CREAT, os.O_CREAT, os.O_CREAT | os.O_EXCL, os.O_APPEND | os.O_CREAT])
        flags |= self.rng.choice([0, os.O_TRUNC])
        at = self.rng.choice([0, 0, 100, 5000])

        def write(n):
            fd = os.open(self.at(n, name), flags, 0o640)
            try:
                return os.pwrite(fd, data, at), os.fstat(fd).st_size
            finally:
                os.close(fd)
        self.both(f"write {name} {flags:o} {at} {len(data)}", write)

    def do_read(self):
        name = self.name()

        def read(n):
            with open(self.at(n, name), "rb") as text:
                return text.read()
        self.both(f"read {name}", read)

    def do_truncate(self):
        name, size = self.name(), self.rng.choice([0, 10, 4096, 10000])
        self.both(f"truncate {name} {size}", lambda n: os.truncate(self.at(n, name), size))

    def do_rename(self):
        old, new, flags = self.name(), self.name(), self.rng.choice([0, 0, 0, 1, 2])
        self.both(f"rename {old} {new} {flags}", lambda n: renameat2(self.at(n, old), self.at(n, new), flags))

    def do_link(self):
        old, new = self.name(), self.name()
        self.both(f"link {old} {new}", lambda n: os.link(self.at(n, old), self.at(n, new), follow_symlinks=False))

    def do_symlink(self):
        to, name = self.rng.choice(["f1", "../f2", "nowhere"]), self.name()
        self.both(f"symlink {to} {name}", lambda n: os.symlink(to, self.at(n, name)))

    def do_readlink(self):
        name = self.name()
        self.both(f"readlink {name}", lambda n: os.readlink(self.at(n, name)))

    def do_attributes(self):
        name, mode, time = self.name(), self.rng.choice([0o600, 0o644, 0o755]), self.rng.randrange(10 ** 9)

        def change(n):
            os.chmod(self.at(n, name), mode)
            os.utime(self.at(n, name), (time, time + 1))
        self.both(f"chmod, utime {name}", change)

    def do_stat(self):
        name = self.name()

        def look(n):
            st = os.lstat(self.at(n, name))
            size = st.st_size if not stat.S_ISDIR(st.st_mode) else 0
            return oct(st.st_mode), size, st.st_nlink if not stat.S_ISDIR(st.st_mode) else 0
        self.both(f"stat {name}", look)

    def do_list(self):
        name = self.rng.choice(["", "d1", "d2", "d1/d2"])
        self.both(f"list {name}", lambda n: sorted(os.listdir(self.at(n, name))))

    def do_open(self):
        name = self.name()
        fds = []
        if self.both(f"open {name}", lambda n: fds.append(os.open(self.at(n, name), os.O_RDWR)))[0] == "ok":
            self.open.append(fds)

    def do_use(self):
        if not self.open:
            return
        fds, data, at = self.rng.choice(self.open), os.urandom(50), self.rng.randrange(200)
        self.both("pwrite on an open one", lambda n: os.pwrite(fds[n], data, at))
        self.both("pread of an open one", lambda n: os.pread(fds[n], 1 << 20, 0))
        self.both("fstat of an open one", lambda n: (os.fstat(fds[n]).st_size, os.fstat(fds[n]).st_nlink))

    def do_close(self):
        if self.open:
            fds = self.open.pop(self.rng.randrange(len(self.open)))
            self.both("close", lambda n: os.close(fds[n]))

    def finish(self):
        while self.open:
            self.do_close()
        listing = "find . -printf '%P %y %m %l %n\\n' | sort | sed '/^ d/d; s/ d \\(.*\\) [0-9]*$/ d \\1/'"
        equal(self.w.sh(listing, cwd=self.places[0]).out, self.w.sh(listing, cwd=self.places[1]).out, "both trees")
        for place in (self.w.mnt, self.w.store):
            equal(self.w.sh(f"diff -r --no-dereference {place} {self.places[1]}", rc=None).out, "", "and their bytes")


def compare(w, seed):
    pair = Pair(w, seed)
    for _ in range(2500):
        pair.step()
    pair.finish()
    w.restart()
    equal(w.sh(f"diff -r --no-dereference {w.mnt} {pair.places[1]}", rc=None).out, "", "after a restart")


@limit(60)
def test_random_calls_of_one_seed(w):
    compare(w, 1)


@limit(60)
def test_random_calls_of_another(w):
    compare(w, 2)


@limit(60)
def test_random_calls_in_a_hold(w):
    w.sh("touch .hold")
    pair = Pair(w, 3)
    for _ in range(1500):
        pair.step()
    while pair.open:
        pair.do_close()
    w.restart(kill=True)
    equal(w.sh(f"diff -r --no-dereference {w.mnt} {pair.places[1]}", rc=None).out, "", "after a crash in a hold")
    w.sh("echo abort > .hold", quiet=True)
    equal(os.listdir(w.mnt), [], "all of it is taken back")
    equal(os.listdir(w.store), [])


def test_unlinked_files_live_while_they_are_open(w):
    w.site()
    for name in ("scratch", f"{w.place}/default-action"):
        w.write(name, "forward = blue\n")
        fd = os.open(w.path(name), os.O_RDONLY)
        os.unlink(w.path(name))
        equal(os.read(fd, 100), b"forward = blue\n", name)
        os.close(fd)
        refused(errno.ENOENT, os.stat, w.path(name))


def test_memory_maps_read_files(w):
    w.site()
    with open(w.path(f"{w.place}/default-action"), "rb") as text:
        with mmap.mmap(text.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as view:
            equal(view[:], b"forward = blue\n")
    with open(w.path("blob"), "w+b") as blob:
        blob.write(b"x" * 100000)
        blob.flush()
        with mmap.mmap(blob.fileno(), 0, prot=mmap.PROT_READ) as view:
            equal(len(view[:]), 100000)


def test_a_disk_with_room_is_shown(w):
    room = os.statvfs(w.mnt)
    check(room.f_bavail > 0 and room.f_namemax == 255 and room.f_files > 0, f"{room}")


def test_a_directory_can_be_emptied_while_it_is_listed(w):
    w.sh("mkdir many && cd many && for i in $(seq 500); do : > f$i; done", quiet=True)
    with os.scandir(w.path("many")) as entries:
        seen = set()
        for entry in entries:
            os.unlink(entry.path)
            seen.add(entry.name)
    equal(len(seen), 500)
    os.rmdir(w.path("many"))


@limit(60)
def test_writers_at_the_same_time(w):
    """Every call is whole, whoever comes between."""
    w.site()
    wrong = []

    def write(number):
        try:
            for i in range(60):
                w.write(f"{w.place}/default-action", f"forward = blue:{number * 100 + i + 1}\n")
                text = w.read(f"{w.place}/default-action")
                check(text.startswith("forward = blue:") and text.endswith("\n"), f"torn: {text!r}")
                w.write(f"f{number}", f"{i}\n")
                equal(w.read(f"f{number}"), f"{i}\n")
                w.sh(f"mkdir -p t/{number} && rmdir t/{number}") if i % 20 == 0 else None
        except Exception as problem:
            wrong.append(repr(problem))
    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(wrong, [])
    equal(w.get().status, 200)
    equal(w.sh(f"diff -r --no-dereference {w.store} {w.mnt}").out, "")
