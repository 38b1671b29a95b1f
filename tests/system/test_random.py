"""test_random.py - random changes of a small tree, right and wrong ones: a call that fails changed nothing, and what the
mount serves is what a fresh start would make of the store."""
import errno
import os
import random
import time

from harness import check, equal, free_port, limit
from test_cli import run

EXPECTED = {"EINVAL", "EEXIST", "EBUSY", "EBADMSG", "ENOENT", "ENOTEMPTY", "ENOTDIR", "EISDIR", "EPERM", "EADDRINUSE", "ELOOP"}


def public(picture):
    """Without what has a dot before its name: drafts and .git are no part of what a hold takes back."""
    return [row for row in picture[0] if "/." not in "/" + row[0]], picture[1]


class Walk:
    """One random call after the other."""

    def __init__(self, w, seed, held=False):
        self.w, self.rng, self.held = w, random.Random(seed), held
        self.ports = [free_port(), free_port()]
        self.done = {"ok": 0, "refused": 0}
        for name in ("g", "h"):
            w.group(name, "127.0.0.1:9001")
        w.network("n", "v")
        w.rule(w.service("a", self.ports[0], "forward = g:1 h:2", "l", "n"), "r", 1, "path-prefix = /r", "forward = g")

    def pick(self, *words):
        return self.rng.choice(words)

    # ------------------------------------------------------------------ places and texts

    def service(self):
        return f"services/{self.pick('a', 'a', 'b', '.draft')}"

    def listener(self):
        return f"{self.service()}/listeners/{self.pick('l', 'l', 'm')}"

    def rule(self):
        return f"{self.listener()}/rules/{self.pick('r', 's', 't')}"

    def group(self):
        return f"target-groups/{self.pick('g', 'h', '.draft')}"

    def vpc(self):
        return f"vpcs/{self.pick('v', 'w')}"

    def network(self):
        return f"networks/{self.pick('n', 'o')}"

    def directory(self):
        return self.pick(self.service(), self.listener(), self.rule(), self.group(), self.vpc(), self.network(),
                         self.group() + "/targets", self.network() + "/services", self.network() + "/vpcs",
                         self.service() + "/listeners", self.listener() + "/rules")

    def action(self):
        return self.pick("forward = g", "forward = g:3 h:1", "forward = h:0 g", "fixed-response = 404", "fixed-response = 503",
                         "forward = nowhere", "forward = g:1000", "nonsense")

    def attribute(self):
        """(path, text)"""
        return self.pick(
            (self.listener() + "/port", self.pick(*map(str, self.ports), str(self.ports[0]), "0", "x")),
            (self.listener() + "/default-action", self.action()), (self.rule() + "/action", self.action()),
            (self.rule() + "/priority", self.pick("1", "2", "3", "0")),
            (self.rule() + "/match", self.pick("method = GET", "path-prefix = /a", "path-exact = /b\nheader-exact = x: y", "path-prefx = /")),
            (self.service() + "/domain", self.pick("x.example", "y.example", "*.x.example", "bad_domain")),
            (self.service() + "/idle-timeout", self.pick("5", "70", "-1")), (self.vpc() + "/netns", "host"),
            (self.vpc() + "/listen", self.pick("127.0.0.21", "127.0.0.22\n127.0.0.23", "nowhere")),
            (self.group() + "/port", self.pick("9001", "80", "none")),
            (self.group() + "/ip-address-type", self.pick("IPV4", "IPV6", "IPV5")),
            (self.group() + "/vpc", self.pick("v", "w", "nowhere")), (self.group() + "/targets/127.0.0.1:9001", ""),
            (self.group() + "/targets/127.0.0.2", ""), (self.group() + "/targets/[::1]:9002", ""), ("README", "hello"))

    def association(self):
        """(where to, path)"""
        kind, thing = self.pick(("services", self.pick("a", "b", "a", "zz")), ("vpcs", self.pick("v", "w", "v", "zz")))
        return f"../../../{kind}/{thing}", f"{self.network()}/{kind}/{thing}"

    # ------------------------------------------------------------------ calls

    def write(self):
        path, text = self.attribute()
        if self.rng.random() < 0.25:
            draft = os.path.join(os.path.dirname(path), ".new~")
            self.w.write(draft, text + "\n")
            try:
                os.rename(self.w.path(draft), self.w.path(path))
            except OSError:
                os.unlink(self.w.path(draft))
                raise
        elif os.path.isdir(self.w.path(os.path.dirname(path))):
            self.w.write(path, text + "\n")

    def make(self):
        os.makedirs(self.w.path(self.directory()), exist_ok=True)

    def associate(self):
        to, path = self.association()
        os.symlink(to, self.w.path(path))

    def part(self):
        os.unlink(self.w.path(self.association()[1]))

    def remove_file(self):
        os.unlink(self.w.path(self.attribute()[0]))

    def remove_directory(self):
        os.rmdir(self.w.path(self.directory()))

    def move(self):
        kind = self.pick(self.service, self.listener, self.rule, self.group, self.vpc, self.network)
        os.rename(self.w.path(kind()), self.w.path(kind()))

    def move_file(self):
        path = self.attribute()[0]
        pair = [path, path + "~"]
        self.rng.shuffle(pair)
        os.rename(self.w.path(pair[0]), self.w.path(pair[1]))

    # ------------------------------------------------------------------ what must hold

    def picture(self):
        """All that a failed call must leave alone."""
        files = []
        for place in (self.w.mnt, self.w.store):
            for folder, folders, names in os.walk(place):
                folders[:] = [name for name in folders if not (self.held and name == ".hold")]
                for name in sorted(folders + names):
                    path = os.path.join(folder, name)
                    text = os.readlink(path) if os.path.islink(path) else "" if os.path.isdir(path) else open(path, "rb").read()
                    files.append((os.path.relpath(path, place), text))
        half = len(files) // 2
        equal(sorted(files[:half], key=str), sorted(files[half:], key=str), "mount and store are the same")
        return files, self.w.read(".table")

    def step(self, before):
        call = self.rng.choice([self.write] * 8 + [self.make] * 4 + [self.associate] * 4 +
                               [self.part, self.remove_file, self.remove_directory, self.move, self.move, self.move_file])
        try:
            call()
        except OSError as error:
            name = errno.errorcode[error.errno]
            self.w.note(f"{call.__name__} {error.filename} {error.filename2}: {name}")
            check(name in EXPECTED, f"{call.__name__}: {error}")
            self.done["refused"] += 1
            if call != self.make:  # makedirs may have made some
                equal(self.picture(), before, f"{call.__name__} failed with {name} and changed something")
        else:
            self.w.note(f"{call.__name__}")
            self.done["ok"] += 1
            if call in (self.remove_file, self.part, self.move_file, self.move):
                time.sleep(0.07)  # removals settle
        return self.picture()

    def go(self, steps):
        seen = self.picture()
        for _ in range(steps):
            seen = self.step(seen)
        check(self.done["ok"] > steps // 5 and self.done["refused"] > steps // 5, f"a mixed walk: {self.done}")
        return seen


def strict(w, seed):
    walk = Walk(w, seed)
    for _ in range(3):
        before = walk.go(80)
        done = run(w, "-t", w.store)
        equal((done.returncode, done.stderr), (0, ""), "every step was right, so the store is")
        w.restart(kill=walk.rng.random() < 0.5)
        equal(walk.picture(), before, "after a restart")


@limit(90)
def test_a_failed_call_changes_nothing(w):
    strict(w, 5)


@limit(90)
def test_another_walk(w):
    strict(w, 6)


@limit(90)
def test_a_hold_can_be_taken_back(w):
    """Whatever is done in a hold: not served, and gone after an abort."""
    walk = Walk(w, 7)
    for turn in range(2):
        walk.held = False
        before = walk.go(50)
        w.sh("touch .hold", quiet=True)
        walk.held = True
        held = walk.go(50)
        equal(held[1], before[1], "nothing of it is served")
        if turn == 1:
            w.restart(kill=True)
            equal(walk.picture(), held, "a crash in a hold")
        w.sh("echo abort > .hold", quiet=True)
        walk.held = False
        equal(public(walk.picture()), public(before), "taken back")
