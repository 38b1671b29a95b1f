"""test_cli.py - the command line: help, version, usage, check mode, configuration, and the ways to mount."""
import errno
import os
import pwd
import re
import shutil
import subprocess

from harness import BINARY, NOBODY, SLOW, World, check, equal, free_port, match, refused, until


def run(w, *arguments, before=None, **how):
    """The program, not as the World's daemon."""
    w.note("$ latticefs " + " ".join(arguments))
    done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=20 * SLOW, cwd=w.base,
                          env=w.environment(), stdin=subprocess.DEVNULL, check=False, **how)
    w.note(f"  {done.returncode} {done.stdout[-500:]} {done.stderr[-500:]}")
    return done


def test_help_and_version(w):
    done = run(w, "--help")
    equal((done.returncode, done.stderr), (0, ""))
    for word in ("STORE", "MOUNTPOINT", "-f", "-t", "-c", "-o"):
        check(word in done.stdout, f"{word} in the help")
    equal(run(w, "-h").stdout, done.stdout)
    done = run(w, "--version")
    equal(done.returncode, 0)
    match(r"^latticefs \d+\.\d+", done.stdout)


def test_usage_errors(w):
    for arguments in ((), (w.store,), ("--nonsense", w.store, w.mnt), ("a", "b", "c"), ("-c",), ("-t",), ("-t", "a", "b"),
                      ("-o",)):
        done = run(w, *arguments)
        equal(done.returncode, 2, f"usage error {arguments}")
        check(done.stderr and not done.stdout, "on stderr")


def test_checking_a_store(w):
    w.site()
    w.stop()
    done = run(w, "-t", w.store)
    equal((done.returncode, done.stderr), (0, ""))
    with open(os.path.join(w.store, w.place, "default-action"), "w") as out:
        out.write("forward = blu\n")
    with open(os.path.join(w.store, "services/shop/idle-timeout"), "w") as out:
        out.write("soon\n")
    done = run(w, "-t", w.store)
    equal(done.returncode, 1)
    match(rf"{w.place}/default-action:1:10: no target group 'blu' \(did you mean 'blue'\?\)", done.stderr)
    match(r"services/shop/idle-timeout:1:0: ", done.stderr)
    equal(run(w, "-t", os.path.join(w.base, "nowhere")).returncode, 1, "no such store")
    os.chmod(w.store, 0o755)
    check(not os.path.exists(os.path.join(w.base, "nowhere")), "checking makes nothing")


def test_what_is_wrong_before_the_mount(w):
    w.stop()
    for text, part in (("[engine]\nworkers = many\n", ":2"), ("[engine]\nwrokers = 1\n", "did you mean 'workers'"),
                       ("[engin]\nworkers = 1\n", "engine"), ("[engine\n", ":1"), ("[engine]\nworkers = 100000\n", ":2")):
        w.conf_text = text
        done = run(w, *w.command()[1:])
        equal(done.returncode, 1, f"{text!r}")
        check(part in done.stderr and "latticefs.conf" in done.stderr, f"{text!r}: {done.stderr!r}")
    equal(run(w, "-f", "-c", "/nonexistent", w.store, w.mnt).returncode, 1, "no such CONF")
    done = run(w, "-f", w.store, os.path.join(w.base, "nowhere"))
    equal(done.returncode, 1)
    check("nowhere" in done.stderr, "the missing mount point is named")
    with open(os.path.join(w.base, "file"), "w"):
        pass
    equal(run(w, "-f", os.path.join(w.base, "file"), w.mnt).returncode, 1, "the store is a file")
    check(not w.mounted(), "nothing was mounted")


def test_a_store_has_one_daemon(w):
    w.site()
    second = os.path.join(w.base, "second")
    os.mkdir(second)
    done = run(w, "-f", w.store, second)
    equal(done.returncode, 1)
    check(w.store in done.stderr, f"the store is named: {done.stderr}")
    equal(w.get().status, 200, "the first goes on")


def test_the_store_is_made(w):
    w.store = os.path.join(w.base, "new")
    w.start()
    check(os.path.isdir(w.store), "made when missing")


test_the_store_is_made.unmounted = True


def test_read_only(w):
    w.site()
    w.stop()
    w.start(options="ro")
    for call in (lambda: w.write(f"{w.place}/default-action", "fixed-response = 404\n"), lambda: os.mkdir(w.path("x")),
                 lambda: os.unlink(w.path(f"{w.place}/port")), lambda: w.write(".hold", "")):
        refused(errno.EROFS, call)
    equal(w.get().status, 200, "it serves")
    w.read(".status")


def test_words_of_fstab(w):
    w.start(options="rw,defaults,noauto,user,nofail,_netdev,noatime,x-systemd.automount,exec,suid,dev")
    w.site()
    equal(w.get().status, 200)
    match(r" fuse\.latticefs ", [line for line in open("/proc/self/mounts") if w.mnt in line][0])


test_words_of_fstab.unmounted = True


def test_in_the_background(w):
    w.command()
    done = run(w, "-c", w.conf, w.store, w.mnt)
    equal(done.returncode, 0, "it returns when the mount stands")
    check(w.mounted(), "mounted")
    note_daemons(w)
    w.site()
    equal(w.get().status, 200)
    subprocess.run(["fusermount3", "-u", w.mnt], check=True, timeout=10)
    until(lambda: not daemons(w), 10, "it ends with the mount")


test_in_the_background.unmounted = True


def daemons(w):
    """Processes of this World by their command line."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = open(f"/proc/{pid}/cmdline").read()
        except OSError:
            continue
        if line.startswith(BINARY) and w.base in line or "latticefs\0" in line and w.base in line:
            found.append(int(pid))
    return found


def note_daemons(w):
    """The runner ends them by these pids if the test does not."""
    with open(os.path.join(w.base, "pids"), "a") as pids:
        pids.writelines(f"{pid}\n" for pid in daemons(w))


def test_mount_t_fuse(w):
    """mount(8) runs mount.fuse3, which runs `latticefs STORE MOUNTPOINT -o ...` from a fixed PATH."""
    script = f"""set -e
        mount -t tmpfs none /usr/local/bin; cp {BINARY} /usr/local/bin/latticefs
        mount -t fuse.latticefs -o rw,noatime {w.store} {w.mnt}
        mkdir {w.mnt}/services; cat {w.mnt}/.status; ls -d {w.store}/services
        umount {w.mnt}"""
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=20 * SLOW,
                          env=w.environment(), stdin=subprocess.DEVNULL, check=False)
    note_daemons(w)
    equal((done.returncode, done.stderr), (0, ""))
    match(r"^generation ", done.stdout)
    until(lambda: not daemons(w), 10, "the daemon ends")


test_mount_t_fuse.unmounted = True


def test_an_unprivileged_user(w):
    """fusermount3 mounts for a user, in a mount namespace of its own where /dev/fuse is open to all."""
    os.chown(w.base, NOBODY, NOBODY)
    os.chown(w.mnt, NOBODY, NOBODY)
    name = pwd.getpwuid(NOBODY).pw_name
    port = free_port()
    binary = os.path.join(w.base, "latticefs")  # the checkout may be closed to others
    shutil.copy(BINARY, binary)
    inner = f"""set -e
        {binary} -c {w.conf} {w.store} {w.mnt}
        cd {w.mnt}; mkdir -p vpcs/host networks/n/vpcs networks/n/services services/s/listeners/web
        echo host > vpcs/host/netns; ln -s ../../../vpcs/host networks/n/vpcs/host
        echo {port} > services/s/listeners/web/port; echo 'fixed-response = 418' > services/s/listeners/web/default-action
        ln -s ../../../services/s networks/n/services/s
        curl -s -o /dev/null -w '%{{http_code}}' http://s.localhost:{port}/
        cd /; fusermount3 -u {w.mnt}"""
    outer = (f"mount -t tmpfs none /mnt && mknod -m 666 /mnt/fuse c 10 229 && mount --bind /mnt/fuse /dev/fuse && "
             f"exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups env HOME={w.base} USER={name} sh -c '{quote(inner)}'")
    w.command()
    done = subprocess.run(["unshare", "-m", "sh", "-c", outer], capture_output=True, text=True, timeout=20 * SLOW,
                          env=w.environment(), stdin=subprocess.DEVNULL, check=False)
    note_daemons(w)
    equal((done.returncode, done.stdout, done.stderr), (0, "418", ""))
    until(lambda: not daemons(w), 10, "the daemon ends")


test_an_unprivileged_user.unmounted = True


def quote(text):
    return re.sub("'", "'\\\\''", text)


def test_a_world_is_private(w):
    """Two daemons on two stores do not know each other."""
    other = World()
    try:
        other.start()
        w.site()
        other.site()
        equal((w.get().status, other.get().status), (200, 200))
        check(w.target.count() == 1 and other.target.count() == 1, "each has its own target")
    finally:
        other.close()
        other.remove()
