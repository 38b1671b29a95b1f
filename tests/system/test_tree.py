"""test_tree.py - the rules of the tree: names, bytes, hidden entries, when a text is judged, what is refused."""
import errno
import os
import socket
import subprocess

from harness import Client, NOBODY, check, equal, free_port, limit, match, refused, until


def test_an_empty_store_is_an_empty_root(w):
    equal(os.listdir(w.mnt), [], "listing")
    w.sh("mkdir -p services/shop", quiet=True)
    equal(w.sh("find . | sort").out.split(), [".", "./services", "./services/shop"])
    equal(os.listdir(os.path.join(w.store, "services/shop")), [])
    w.sh("rm -r services", quiet=True)
    equal(os.listdir(w.mnt), [])


def test_object_names_follow_the_grammar(w):
    w.sh("mkdir -p services/s/listeners/l/rules target-groups networks vpcs")
    places = {"services": 40, "networks": 63, "target-groups": 128, "services/s/listeners": 63,
              "services/s/listeners/l/rules": 63}
    for place, most in places.items():
        for name in ("x", "a1", "a-b", "9", "a" * most):
            os.mkdir(w.path(f"{place}/{name}"))
        for name in ("Shop", "-x", "x-", "a--b", "a_b", "a.b", "é", "a b", "a" * (most + 1)):
            refused(errno.EINVAL, os.mkdir, w.path(f"{place}/{name}"))
        check("Shop" not in os.listdir(os.path.join(w.store, place)), "a refused directory is in the store")
    refused(errno.EINVAL, os.mkdir, w.path("vpcs/A"))
    match(r"Z vpcs/A:", w.errors(), "the refusal names its object")


def test_other_names_are_kept_and_never_compiled(w):
    w.site()
    before = w.read(".table")
    names = ["sedAbC123", "XXa1b2c3", "match.oXYZ", "4913", "port~", ".port.swp", "README", "#port#", "port.orig"]
    for name in names:
        w.write(f"{w.place}/{name}", "port = nonsense\n")
        equal(w.read(f"{w.place}/{name}"), "port = nonsense\n", name)
    w.sh("mkdir -p services/.draft/listeners/web .git/x services/shop/Notes && echo zzz > services/.draft/listeners/web/port")
    w.sh("mkdir -p odd && echo hello > odd/file && echo top > NOTES.md")
    equal(w.read(".table"), before, "the served table")
    for name in ("4913", "sedAbC123", "README"):
        match(rf"^ignored {name}\b", w.read(f"{w.place}/.status"), "status names what is ignored")
    equal(w.get().status, 200)


def test_a_likely_typo_is_refused_with_a_suggestion(w):
    w.site()
    for name, meant in (("default-acton", "default-action"), ("prot", "port"), ("prt", "port"),
                        ("protcol", "protocol"), ("defaultaction", "default-action"), ("Port", "port")):
        refused(errno.EPERM, w.write, f"{w.place}/{name}", "1\n")
        match(rf"Z {w.place}/{name}\b.*did you mean '{meant}'", w.errors(), name)
        check(name not in os.listdir(w.path(w.place)), f"{name} was not made")
    for name, meant in (("idle-timeuot", "idle-timeout"), ("domains", "domain")):
        refused(errno.EPERM, w.write, f"services/shop/{name}", "1\n")
        match(f"did you mean '{meant}'", w.errors("services/shop"), name)
    for name in ("port~", "idle-timeout~", "ptor2", "listen"):  # ends in ~, too far away, of another place
        w.write(f"{w.place}/{name}", "x")


def test_a_file_reads_back_byte_for_byte(w):
    w.site()
    text = "# which way\n\n  forward =   blue:3   \n; done\n\n"
    w.write(f"{w.place}/default-action", text)
    equal(w.read(f"{w.place}/default-action"), text)
    equal(open(os.path.join(w.store, w.place, "default-action")).read(), text, "in the store")
    spaced = f"\n   {w.port}  \n"
    w.write(f"{w.place}/port", spaced)
    equal(w.read(f"{w.place}/port"), spaced)
    equal(w.get().status, 200)
    blob = bytes(range(256)) * 4096
    w.write("blob.bin", blob)
    with open(w.path("blob.bin"), "rb") as back:
        equal(back.read() == blob, True, "a megabyte of a working file")


def test_times_modes_owners_and_inodes_stay(w):
    w.site()
    name = f"{w.place}/port"
    os.utime(w.path(name), (1e9, 1.1e9))
    os.chmod(w.path(name), 0o640)
    os.chown(w.path(name), 12, 34)
    os.chmod(w.path(w.place), 0o750)
    before = os.stat(w.path(name))
    equal((int(before.st_mtime), before.st_mode & 0o7777, before.st_uid, before.st_gid), (1100000000, 0o640, 12, 34))
    kept = os.stat(os.path.join(w.store, name))
    equal((kept.st_mtime_ns, kept.st_mode, kept.st_uid), (before.st_mtime_ns, before.st_mode, 12), "in the store")
    inodes = {path: os.stat(w.path(path)).st_ino for path in (name, w.place, "services", "networks/net/vpcs/host")}
    w.restart()
    after = os.stat(w.path(name))
    equal((after.st_mtime_ns, after.st_mode, after.st_uid, after.st_size),
          (before.st_mtime_ns, before.st_mode, before.st_uid, before.st_size), "after a restart")
    equal({path: os.stat(w.path(path)).st_ino for path in inodes}, inodes, "inode numbers")
    check(os.stat(w.path(name)).st_ino != os.stat(w.path(w.place)).st_ino, "inodes differ")


def test_store_and_mount_are_the_same(w):
    w.site()
    w.sh("cp -a services/shop services/.copy; echo x > README; ln README services/hard; ln -s nowhere dangling;"
         "mkdir -p a/b/c; printf '\\0\\1' > a/b/c/bin; chmod 600 README", quiet=True)
    w.sh(f"diff -r --no-dereference {w.store} {w.mnt}", quiet=True)
    listing = "find . -printf '%P %y %m %s %T@ %l\\n' | sort"
    equal(w.sh(listing).out, w.sh(listing, cwd=w.store).out, "names, kinds, modes, sizes, times, links")


def test_virtual_entries_are_hidden_and_found(w):
    w.site()
    everywhere = ["", "services/shop", w.place, "target-groups/blue", "networks/net", "vpcs/host"]
    for folder in everywhere:
        check(not {".status", ".errors", ".table", ".metrics", ".hold"} & set(os.listdir(w.path(folder))),
              f"hidden in {folder}")
        for name in [".status", ".errors"] + ([".table", ".metrics"] if not folder else []):
            path = os.path.join(folder, name)
            text = w.read(path)
            equal(os.stat(w.path(path)).st_size, len(text), f"size of {path}")
            equal(w.sh(f"ls -d {path}").out.strip(), path)
            refused(errno.EROFS, w.write, path, "x")
            refused(errno.EROFS, os.unlink, w.path(path))
    refused(errno.EROFS, os.rename, w.path("services/shop/.status"), w.path("services/shop/x"))
    refused(errno.EROFS, os.rename, w.path(f"{w.place}/port"), w.path(f"{w.place}/.status"))
    os.mkdir(w.path("services/idle"))
    w.read("services/idle/.status")
    os.rmdir(w.path("services/idle"))
    once = os.stat(w.path(".table")).st_mtime
    equal(os.stat(w.path(".table")).st_mtime, once, "mtime is that of the last change, not now")


def test_mount_option_show_lists_them(w):
    w.start(options="show")
    check({".status", ".errors", ".table", ".metrics"} <= set(os.listdir(w.mnt)), "listed with -o show")


test_mount_option_show_lists_them.unmounted = True


def test_an_open_status_is_one_consistent_rendering(w):
    w.site()
    with open(w.path("services/shop/.status"), "rb", buffering=0) as status:
        first = status.read(10)
        for _ in range(5):
            w.get()
        rest = status.read(1 << 16)
    whole = (first + rest).decode()
    match(r"^requests 0$", whole, "as it was when opened")
    match(r"^requests 5$", w.read("services/shop/.status"))


REFUSED = [
    # attribute, text, errno, line, column, and a part of the sentence
    ("port", "abc\n", 1, 0, "abc"), ("port", "0\n", 1, 0, "1"), ("port", "65536\n", 1, 0, "65535"),
    ("port", "\n  80 81\n", 2, None, ""), ("protocol", "HTTTP\n", 1, 0, "HTTP"),
    ("protocol", "TLS_PASSTHROUGH\n", 1, 0, "has no rules, and rule 'r' is there"),
    ("../../auth-type", "AWS_IAM\n", 1, 0, "not supported yet"),
    ("default-action", "forward = blue:90 gren:10\n", 1, "gren", "no target group 'gren' (did you mean 'green'?)"),
    ("default-action", "forward = blue:1000\n", 1, "1000", "999"),
    ("default-action", "forward = blue:-1\n", 1, "-1", ""),
    ("default-action", "forward = \n", 1, None, ""),
    ("default-action", "foward = blue\n", 1, 0, "did you mean 'forward'"),
    ("default-action", "fixed-response = 199\n", 1, "199", "200"),
    ("default-action", "fixed-response = 600\n", 1, "600", "599"),
    ("default-action", "forward = blue\nfixed-response = 404\n", 2, None, ""),
    ("default-action", "forward = " + " ".join(f"g{i}" for i in range(11)) + "\n", 1, None, "10"),
    ("rules/r/match", "path-exact = /a\npath-prefix = /b\n", 2, None, ""),
    ("rules/r/match", "methd = GET\n", 1, 0, "did you mean 'method'"),
    ("rules/r/match", "method = G ET\n", 1, None, ""),
    ("rules/r/match", "path-exact = nowhere\n", 1, "nowhere", "/"),
    ("rules/r/match", "header-exact = x-canary\n", 1, None, ""),
    ("rules/r/match", "path-case-sensitive = maybe\n", 1, "maybe", "true"),
    ("rules/r/match", "path-exact = /" + "x" * 2048 + "\n", 1, None, "2048"),
    ("rules/r/priority", "0\n", 1, 0, "1"), ("rules/r/priority", "2001\n", 1, 0, "2000"),
    ("rules/r/action", "forward = nowhere\n", 1, "nowhere", "no target group 'nowhere'"),
    ("../../idle-timeout", "0\n", 1, 0, "1"), ("../../idle-timeout", "86401\n", 1, 0, "86400"),
    ("../../domain", "good.example\nbad_domain!\n", 2, 0, ""),
]


def test_wrong_texts_are_refused_by_write_and_explained(w):
    """The error comes from write(2); .errors has time, path, line, column, sentence, the line and a caret."""
    w.site()
    w.group("green")
    w.mkdir(f"{w.place}/rules/r")
    for attribute, text, line, column, part in REFUSED:
        name = os.path.normpath(f"{w.place}/{attribute}")
        had = os.path.exists(w.path(name)) and w.read(name)
        handle = os.open(w.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        refused(errno.EINVAL, os.write, handle, text.encode())
        refused(errno.EINVAL, os.write, handle, b"more\n")  # poisoned
        try:
            os.close(handle)
        except OSError as error:
            equal(error.errno, errno.EINVAL, "close of a poisoned handle")
        equal(os.path.exists(w.path(name)) and w.read(name), had, f"{name} is as before {text!r}")
        last = w.errors(os.path.dirname(name)).split("\n")
        index = max(i for i, entry in enumerate(last) if entry[:2] == "20")
        entry = last[index:]
        found = match(rf"^\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z {name}:{line}:(\d+): (.*)$", entry[0], repr(text))
        check(part in found[2], f"{text!r}: {part!r} is not in {found[2]!r}")
        shown = text.split("\n")[line - 1]
        check(entry[1].startswith("  ") and entry[1][2:42] == shown[:40], f"quoted line: {entry[1]!r}, want {shown!r}")
        match(r"^ *\^$", entry[2], f"caret of {text!r}")
        equal(len(entry[2]) - 3, int(found[1]), f"caret under column {found[1]} of {text!r}")
        if column is not None:
            at = text.split("\n")[line - 1].index(column) if isinstance(column, str) else column
            equal(int(found[1]), at, f"column for {text!r}")
    equal(w.get().status, 200, "service goes on")


def test_the_errors_of_a_directory_are_those_of_its_subtree(w):
    w.site()
    refused(errno.EINVAL, w.write, f"{w.place}/port", "x\n")
    refused(errno.EINVAL, w.write, "target-groups/blue/port", "y\n")
    for folder, here, other in (("services/shop", "listeners/web/port:1", "target-groups"),
                                ("target-groups/blue", "target-groups/blue/port:1", "services/")):
        check(here in w.errors(folder) and other not in w.errors(folder), folder)
    check(w.errors().index("web/port") < w.errors().index("blue/port"), "newest last")
    for i in range(40):
        refused(errno.EINVAL, w.write, "target-groups/blue/port", f"n{i}\n")
    text = w.errors()
    equal(text.count("Z target-groups/blue/port:1:0:"), 32, "the last 32 refusals")
    check("n39" in text and "n7\n" not in text, "the newest are kept")


def test_the_xattr_holds_the_last_refusal(w):
    w.site()
    refused(errno.EINVAL, w.write, f"{w.place}/port", "abc\n")
    refused(errno.EINVAL, w.write, f"{w.place}/port", "65536\n")
    text = os.getxattr(w.path(f"{w.place}/port"), "user.lattice.error").decode()
    check("65535" in text and "abc" not in text, text)
    refused(errno.ENODATA, os.getxattr, w.path(f"{w.place}/default-action"), "user.lattice.error")
    refused(errno.EOPNOTSUPP, os.setxattr, w.path(f"{w.place}/port"), "system.posix_acl_access", b"x" * 8)
    for name in ("security.note", "user.note"):
        refused(errno.EOPNOTSUPP, os.setxattr, w.path(f"{w.place}/port"), name, b"x")


def test_what_is_taken_is_refused_with_EEXIST(w):
    w.site()
    w.rule(w.place, "one", 10, "path-prefix = /a", "forward = blue")
    w.mkdir(f"{w.place}/rules/two")
    refused(errno.EEXIST, w.write, f"{w.place}/rules/two/priority", "10\n")
    match(r"rules/two/priority:1:0: .*10.*'one'", w.errors(), "the message names who has it")
    match(r"\.hold", w.errors(), "and reminds of .hold")
    w.write(f"{w.place}/rules/two/priority", "11\n")
    refused(errno.EEXIST, w.write, f"{w.place}/rules/two/priority", "10\n")
    equal(w.read(f"{w.place}/rules/two/priority"), "11\n")
    w.service("other", free_port(), "forward = blue")
    w.write("services/shop/domain", "shop.example\n*.shop.example\n")
    refused(errno.EEXIST, w.write, "services/other/domain", "SHOP.example\n")
    refused(errno.EEXIST, w.write, "services/other/domain", "*.shop.example\n")
    w.mkdir("networks/second/vpcs")
    refused(errno.EEXIST, w.link, "../../../vpcs/host", "networks/second/vpcs/host")
    check(not os.path.lexists(os.path.join(w.store, "networks/second/vpcs/host")), "no link in the store")
    w.mkdir("services/shop/listeners/again")
    refused(errno.EEXIST, w.write, "services/shop/listeners/again/port", f"{w.port}\n")


def test_what_is_in_use_is_not_removed(w):
    w.site()
    w.mkdir("target-groups/idle/targets")
    w.mkdir("target-groups/drained/targets")
    w.write(f"target-groups/drained/targets/127.0.0.1:{w.target.port}", "")
    w.rule(w.place, "r", 5, "path-prefix = /x", "forward = drained:0 blue")
    os.rmdir(w.path("target-groups/idle/targets"))
    os.rmdir(w.path("target-groups/idle"))
    os.unlink(w.path(f"target-groups/drained/targets/127.0.0.1:{w.target.port}"))
    os.rmdir(w.path("target-groups/drained/targets"))
    refused(errno.EBUSY, os.rmdir, w.path("target-groups/drained"))
    match(r"Z target-groups/drained: .*rules/r/action", w.errors(), "the message says who uses it")
    refused(errno.EBUSY, os.rename, w.path("target-groups/drained"), w.path("target-groups/renamed"))
    w.write(f"{w.place}/rules/r/action", "forward = blue\n")
    w.sh("rm -r target-groups/drained", quiet=True)
    for folder in ("target-groups/blue", "vpcs/host", "services/shop"):
        done = w.sh(f"rm -r {folder}", rc=1)
        check("Device or resource busy" in done.err, done.err)
        check(os.path.isdir(w.path(folder)), f"{folder} is still there")


def test_what_sockets_refuse_is_answered(w):
    w.site()
    with socket.create_server(("127.0.0.1", free_port())) as other:
        taken = other.getsockname()[1]
        refused(errno.EADDRINUSE, w.write, f"{w.place}/port", f"{taken}\n")
    match(rf"{w.place}/port:1:0: ", w.errors(), "the refusal points at the port")
    equal(w.read(f"{w.place}/port"), f"{w.port}\n")
    equal(w.get().status, 200, "still served on the old port")
    refused(errno.EADDRNOTAVAIL, w.write, "vpcs/host/listen", "203.0.113.77\n")
    equal(w.get().status, 200, "still served at the old address")
    refused(errno.EINVAL, w.write, "vpcs/host/listen", "nonsense\n")
    w.write("vpcs/host/listen", "127.0.0.2\n127.0.0.3\n")
    for host in ("127.0.0.2", "127.0.0.3"):
        with Client(w.port, host=host) as client:
            equal(client.ask().status, 200, host)
    refused(errno.ECONNREFUSED, Client, w.port)
    w.remove_file("vpcs/host/listen")
    until(lambda: connects(w.port), 2, "the default address again")


def connects(port):
    try:
        Client(port).sock.close()
        return True
    except ConnectionRefusedError:
        return False


def test_names_and_files_have_limits(w):
    w.site()
    for call in (os.mkdir, lambda path: os.close(os.open(path, os.O_CREAT | os.O_WRONLY)), os.unlink, os.rmdir, os.stat,
                 lambda path: os.symlink("x", path), lambda path: os.rename(w.path(w.place + "/port"), path)):
        refused(errno.ENAMETOOLONG, call, w.path("x" * 256))
    w.write("x" * 255, "longest")
    handle = os.open(w.path(f"{w.place}/default-action"), os.O_WRONLY | os.O_TRUNC)
    os.write(handle, b"# " + b"x" * 65000 + b"\n")
    refused(errno.EFBIG, os.write, handle, b"# " + b"y" * 1000 + b"\n")
    try:
        os.close(handle)
    except OSError:
        pass
    equal(w.read(f"{w.place}/default-action"), "forward = blue\n")
    refused(errno.EFBIG, os.truncate, w.path(f"{w.place}/default-action"), 1 << 50)
    w.write(f"{w.place}/default-action", "# " + "x" * 65000 + "\nforward = blue\n")
    equal(w.get().status, 200)
    w.mkdir(f"{w.place}/rules/long")
    path = "/" + "p" * 2047
    w.rule(w.place, "long", 1, f"path-exact = {path}", "fixed-response = 418")
    equal(w.get(path).status, 418, "a path match of 2,048 characters")
    for i in range(9):
        w.group(f"g{i}")
    w.write(f"{w.place}/default-action", "forward = blue:999 " + " ".join(f"g{i}:0" for i in range(9)) + "\n")
    equal(w.get().status, 200, "ten groups")


def test_removals_take_effect_later_and_not_when_it_is_back(w):
    w.site()
    place = w.rule(w.place, "teapot", 1, "path-prefix = /", "fixed-response = 418")
    equal(w.get().status, 418)
    generation = w.generation()
    for name, text in (("match", "path-prefix = /\n"), ("action", "fixed-response = 418\n"), ("priority", "1\n")):
        os.unlink(w.path(f"{place}/{name}"))
        check(not os.path.exists(w.path(f"{place}/{name}")), f"{name} is gone from the tree at once")
        w.write(f"{place}/{name}", text)
    equal(w.get().status, 418)
    os.unlink(w.path(f"target-groups/blue/targets/127.0.0.1:{w.target.port}"))
    w.write(f"target-groups/blue/targets/127.0.0.1:{w.target.port}", "")
    check(w.generation() <= generation + 1, f"removed and back: generation {generation} -> {w.generation()}")
    os.unlink(w.path(f"{place}/action"))
    equal(w.get().status, 418, "not yet")
    until(lambda: w.get().status == 200, 1, "the rule goes after 50 ms")
    match("missing action", w.read(f"{place}/.status"))
    os.unlink(w.path(f"target-groups/blue/targets/127.0.0.1:{w.target.port}"))
    equal(w.get().status, 200, "not yet")
    until(lambda: w.get().status == 503, 1, "the target goes after 50 ms")


def test_a_truncation_alone_decides_at_the_last_close(w):
    w.site()
    w.write("services/shop/idle-timeout", "30\n")
    w.sh(": > services/shop/idle-timeout", quiet=True)
    equal(w.read("services/shop/idle-timeout"), "", "an empty optional attribute is unset")
    w.sh(f": > {w.place}/port", rc=None)
    until(lambda: w.read(f"{w.place}/port") == f"{w.port}\n", 2, "an empty required one is refused, the old value stays")
    equal(w.get().status, 200)
    match(rf"{w.place}/port", w.errors(), "and reported")


def test_an_unfinished_text_is_judged_at_close_and_fsync(w):
    w.site()
    w.group("green")
    name = w.path(f"{w.place}/default-action")
    handle = os.open(name, os.O_WRONLY | os.O_TRUNC)
    os.write(handle, b"forward = blue:1 gr")
    equal(w.read(f"{w.place}/default-action"), "forward = blue\n", "readers keep the old text")
    os.write(handle, b"een:1\n")
    os.close(handle)
    equal(w.read(f"{w.place}/default-action"), "forward = blue:1 green:1\n")
    handle = os.open(name, os.O_WRONLY | os.O_TRUNC)
    os.write(handle, b"forward = gre")
    refused(errno.EBADMSG, os.fsync, handle)
    try:
        os.close(handle)
    except OSError:
        pass
    handle = os.open(name, os.O_WRONLY | os.O_TRUNC)
    os.write(handle, b"forward = gre")
    refused(errno.EINVAL, os.close, handle)
    equal(w.read(f"{w.place}/default-action"), "forward = blue:1 green:1\n")
    handle = os.open(name, os.O_WRONLY | os.O_TRUNC)
    os.write(handle, b"forward = blue")
    os.close(handle)
    equal(w.read(f"{w.place}/default-action"), "forward = blue", "no newline is needed")


def test_a_write_of_whole_lines_is_in_force_before_the_close(w):
    w.site()
    w.group("green", w.add_target("green"))
    handle = os.open(w.path(f"{w.place}/default-action"), os.O_WRONLY | os.O_TRUNC)
    os.write(handle, b"timeout = 9s\n")
    equal(w.get().body.split()[0], b"blue", "nothing yet says where to")
    os.write(handle, b"forward = green\n")
    equal(w.get().body.split()[0], b"green", "served from the write on")
    os.write(handle, b"retries = 1\n")
    refused(errno.EINVAL, os.write, handle, b"retries = many\n")
    equal(w.get().body.split()[0], b"green", "what is wrong takes nothing back")
    os.close(handle)
    equal(w.read(f"{w.place}/default-action"), "timeout = 9s\nforward = green\nretries = 1\n")


def test_appends_and_writes_in_place_work(w):
    w.site()
    w.write(f"{w.place}/default-action", "# one\nforward = blue\n")
    w.sh(f"echo '# two' >> {w.place}/default-action", quiet=True)
    equal(w.read(f"{w.place}/default-action"), "# one\nforward = blue\n# two\n")
    w.sh(f"echo 'forward = blue' >> {w.place}/default-action", rc=1)
    equal(w.read(f"{w.place}/default-action"), "# one\nforward = blue\n# two\n")
    w.sh(f"printf '#' | dd of={w.place}/default-action conv=notrunc bs=1 seek=2 status=none", quiet=True)
    equal(w.read(f"{w.place}/default-action"), "# #ne\nforward = blue\n# two\n")


def test_content_refused_at_rename_or_link_is_EBADMSG(w):
    w.site()
    w.write(f"{w.place}/.port.tmp", "abc\n")
    for call in (os.rename, os.link):
        if call is os.link:
            os.unlink(w.path(f"{w.place}/port"))
        refused(errno.EBADMSG, call, w.path(f"{w.place}/.port.tmp"), w.path(f"{w.place}/port"))
    equal(w.read(f"{w.place}/.port.tmp"), "abc\n", "the source is as it was")
    equal(w.read(f"{w.place}/port"), f"{w.port}\n", "and so is the target, restored after its removal")
    equal(w.get().status, 200)
    w.write(f"{w.place}/.action.tmp", "forward = nowhere\n")
    refused(errno.EBADMSG, os.rename, w.path(f"{w.place}/.action.tmp"), w.path(f"{w.place}/default-action"))
    match("no target group 'nowhere'", w.errors())
    port = free_port()
    w.write(f"{w.place}/.port.tmp", f"{port}\n")
    os.rename(w.path(f"{w.place}/.port.tmp"), w.path(f"{w.place}/port"))
    equal(w.get(port=port).status, 200, "a good one is in force")


def test_a_refused_file_restores_what_was_just_removed(w):
    w.site()
    os.unlink(w.path(f"{w.place}/port"))
    refused(errno.EINVAL, w.write, f"{w.place}/port", "abc\n")
    equal(w.read(f"{w.place}/port"), f"{w.port}\n", "restored")
    equal(w.get().status, 200)
    refused(errno.EINVAL, w.write, "services/shop/idle-timeout", "never\n")
    check(not os.path.exists(w.path("services/shop/idle-timeout")), "a refused new file disappears")
    equal(w.sh(f"diff -r --no-dereference {w.store} {w.mnt}").out, "")


def test_symbolic_links_are_associations_where_they_belong(w):
    w.site()
    w.mkdir("services/other")
    w.mkdir("networks/second/services")
    for target, name in (("../../../services/nowhere", "networks/net/services/nowhere"),
                         ("../../../vpcs/host", "networks/net/services/host"),
                         ("/etc/passwd", "networks/net/services/passwd"),
                         ("../../../../../../etc", "networks/net/services/etc")):
        refused(errno.EINVAL, w.link, target, name)
        check(not os.path.lexists(w.path(name)), f"{name} was not made")
    match("no service 'nowhere'", w.errors("networks/net"))
    w.link(w.path("services/other"), "networks/second/services/other")
    os.unlink(w.path("networks/net/services/shop"))
    until(lambda: get_or_refused(w) != 200, 2, "out of the network, out of reach")
    match(r"^network none|not reachable|no network", w.read("services/shop/.status"), "status says so")
    w.link("../../../services/shop", "networks/net/services/shop")
    equal(w.get().status, 200, "reachable at once")
    w.sh("ln -s /etc/passwd services/shop/notes; ln -s ../x services/shop/later", quiet=True)
    equal(os.readlink(w.path("services/shop/notes")), "/etc/passwd", "an inert link is kept")
    w.restart()
    equal(w.get().status, 200)
    equal(os.readlink(w.path("networks/net/services/shop")), "../../../services/shop")


def get_or_refused(world):
    try:
        return world.get().status
    except OSError:
        return None


def test_a_draft_is_put_in_force_by_one_rename(w):
    w.site()
    port = free_port()
    w.sh("mkdir -p services/.new/listeners/web networks/net/services/.later")
    w.write("services/.new/listeners/web/port", f"{port}\n")
    w.write("services/.new/listeners/web/default-action", "forward = blue\n")
    generation = w.generation()
    w.sh("mv services/.new services/cart && ln -s ../../../services/cart networks/net/services/cart", quiet=True)
    equal(w.get(host="cart", port=port).status, 200)
    check(w.generation() <= generation + 2, "one step for the rename, one for the link")
    w.write("services/cart/listeners/web/.bad", "x")
    w.sh("mkdir -p services/.wrong/listeners/web && echo abc > services/.wrong/listeners/web/port", quiet=True)
    refused(errno.EBADMSG, os.rename, w.path("services/.wrong"), w.path("services/wrong"))
    match("services/wrong/listeners/web/port:1:0", w.errors(), "the wrong file of the draft is named")


def test_incomplete_is_no_error(w):
    w.network()
    w.mkdir("services/shop/listeners/web")
    w.link("../../../services/shop", "networks/net/services/shop")
    status = w.read("services/shop/listeners/web/.status")
    match(r"^status CREATE_IN_PROGRESS", status)
    match(r"missing.* port", status)
    match(r"missing.* default-action", status)
    equal(w.read(".errors"), "")


def test_callers_see_their_own_refusals(w):
    w.start(options="allow_other")
    w.site()
    w.sh("chmod -R a+rwX .")
    refused(errno.EINVAL, w.write, f"{w.place}/port", "by-root\n")
    done = w.sh(f"echo by-nobody > {w.place}/port", user=NOBODY, rc=1)
    check("Invalid argument" in done.err, done.err)
    own = w.sh("cat .errors services/shop/.errors", user=NOBODY).out
    check("by-nobody" in own and "by-root" not in own, f"nobody sees its own: {own}")
    other = w.sh("cat .errors", user=1).out
    check("by-" not in other, f"another sees nothing: {other}")
    check("by-nobody" in w.errors() and "by-root" in w.errors(), "root sees all")
    w.sh(f"chmod 600 {w.place}/port")
    done = w.sh(f"echo 1 > {w.place}/port", user=NOBODY, rc=1)
    check("Permission denied" in done.err, "default_permissions holds with allow_other")


test_callers_see_their_own_refusals.unmounted = True


def test_suid_and_devices_do_nothing(w):
    options = [line.split()[5] for line in open("/proc/self/mountinfo") if line.split()[4] == w.mnt][0]
    for word in ("nosuid", "nodev", "noexec"):
        check(word in options.split(","), f"{word} in {options}")
    done = subprocess.run(["mknod", w.path("null"), "c", "1", "3"], capture_output=True, timeout=10, check=False)
    check(done.returncode != 0, "no device can be made")


@limit(60)
def test_many_objects_survive_a_restart(w):
    w.site()
    for i in range(60):
        w.rule(w.place, f"r{i}", i + 1, f"path-exact = /{i}", f"fixed-response = {400 + i}")
    before = w.read(".table")
    w.restart()
    equal(w.read(".table"), before, "the table after a restart")
    equal(w.get("/17").status, 417)
    w.restart(kill=True)
    equal(w.read(".table"), before, "the table after kill -9")
    equal(w.get("/33").status, 433)
