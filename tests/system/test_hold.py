"""test_hold.py - several changes as one: begin, look, commit, refuse, abort, and crashes in between."""
import errno
import os
import socket

from harness import check, equal, free_port, match, refused


def begin(w):
    w.sh("touch .hold", quiet=True)


def finish(w):
    os.unlink(w.path(".hold"))


def test_changes_are_stored_and_shown_but_not_served(w):
    w.site()
    generation = w.generation()
    begin(w)
    w.write(f"{w.place}/default-action", "fixed-response = 404\n")
    w.rule(w.place, "r", 1, "path-exact = /x", "forward = later")  # refers to what is not there yet
    equal(w.read(f"{w.place}/default-action"), "fixed-response = 404\n", "shown")
    equal(w.get().status, 200, "not served")
    equal(w.get("/x").status, 200, "not served")
    equal(w.generation(), generation)
    match(r"^held \S+", w.read(".status"))
    text = w.read(".hold").splitlines()
    match(r"^1 problems?$", text[0])
    check(any(line[:1] in "-~" and "shop" in line for line in text), f"the changed route: {text}")
    match(rf"{w.place}/rules/r/action:1:\d+: no target group 'later'", "\n".join(text))
    w.group("later", w.target)
    text = w.read(".hold").splitlines()
    equal(text[0], "ok")
    check(any(line.startswith("+ ") and "/x" in line and "later" in line for line in text), f"the new route: {text}")
    check(all(line[:2] in ("+ ", "- ", "~ ") for line in text[1:]), f"one line a route: {text}")
    finish(w)
    equal(w.get().status, 404)
    equal(w.get("/x").status, 200)
    equal(w.generation(), generation + 1, "all at once")
    check(not os.path.exists(w.path(".hold")) and "held" not in w.read(".status"), "the hold is over")
    equal(w.sh(f"diff -r --no-dereference {w.store} {w.mnt}").out, "")


def test_each_text_must_still_parse(w):
    w.site()
    begin(w)
    refused(errno.EINVAL, w.write, f"{w.place}/port", "abc\n")
    equal(w.read(f"{w.place}/port"), f"{w.port}\n")
    equal(w.read(".hold").splitlines()[0], "ok")
    finish(w)


def test_a_wrong_commit_changes_nothing(w):
    w.site()
    begin(w)
    w.write(f"{w.place}/default-action", "forward = nowhere\n")
    w.write("services/shop/idle-timeout", "7\n")
    refused(errno.EBADMSG, finish, w)
    equal(w.get().status, 200, "what was served goes on")
    match(r"^1 problems?$", w.read(".hold").splitlines()[0], "still held")
    match("no target group 'nowhere'", w.errors())
    w.write(f"{w.place}/default-action", "fixed-response = 400\n")
    finish(w)
    equal(w.get().status, 400)


def test_a_taken_port_refuses_the_commit(w):
    w.site()
    with socket.create_server(("127.0.0.1", free_port())) as other:
        begin(w)
        w.write(f"{w.place}/port", f"{other.getsockname()[1]}\n")
        refused(errno.EBADMSG, finish, w)
        equal(w.get().status, 200)
    finish(w)


def test_abort_goes_back_to_what_is_served(w):
    w.site()
    w.write("README", "one\n")
    w.sh(f"cp -a {w.store} {w.base}/before", quiet=True)
    begin(w)
    w.write(f"{w.place}/default-action", "fixed-response = 404\n")
    w.rule(w.place, "r", 1, "path-exact = /x", "forward = nowhere")
    w.sh("rm -r networks/net/services/shop target-groups/blue; mkdir -p services/new; mv vpcs/host vpcs/other", rc=None)
    w.sh("echo abort > .hold", quiet=True)
    check(not os.path.exists(w.path(".hold")), "the hold is over")
    equal(w.sh(f"diff -r --no-dereference {w.base}/before {w.mnt}", rc=None).out, "", "the tree is back")
    equal(w.sh(f"diff -r --no-dereference {w.base}/before {w.store}", rc=None).out, "", "and the store")
    equal(w.get().status, 200)
    w.write(f"{w.place}/default-action", "fixed-response = 404\n")
    equal(w.get().status, 404, "writes are in force again")
    w.restart()
    equal(w.get().status, 404)


def test_one_hold_at_a_time(w):
    w.site()
    begin(w)
    done = w.sh("touch .hold", rc=1)
    check("busy" in done.err, done.err)
    w.sh("echo nonsense > .hold", rc=1)
    check(os.path.exists(w.path(".hold")), "still held")
    finish(w)
    refused(errno.ENOENT, os.stat, w.path(".hold"))


def test_an_empty_hold_is_ok(w):
    w.site()
    generation = w.generation()
    begin(w)
    equal(w.read(".hold"), "ok\n")
    finish(w)
    equal(w.generation(), generation, "nothing changed")


def test_removals_in_a_hold(w):
    w.site()
    w.group("green", w.target)
    begin(w)
    w.sh("rm -r target-groups/blue", quiet=True)
    match(r"^1 problems?$", w.read(".hold").splitlines()[0])
    w.write(f"{w.place}/default-action", "forward = green\n")
    equal(w.read(".hold").splitlines()[0], "ok")
    finish(w)
    check("green" in w.get().body.decode() or w.get().status == 200, "green serves")
    check(not os.path.exists(os.path.join(w.store, "target-groups/blue")), "gone from the store")


def test_swapping_ports_and_priorities_in_a_hold(w):
    w.site()
    other = free_port()
    w.service("cart", other, "fixed-response = 410")
    w.rule(w.place, "a", 1, "path-prefix = /", "fixed-response = 401")
    w.rule(w.place, "b", 2, "path-prefix = /", "fixed-response = 402")
    begin(w)
    w.write(f"{w.place}/rules/a/priority", "2\n")
    w.write(f"{w.place}/rules/b/priority", "1\n")
    w.write(f"{w.place}/port", f"{other}\n")
    w.write("services/cart/listeners/web/port", f"{w.port}\n")
    finish(w)
    equal(w.get(port=other).status, 402)
    equal(w.get(host="cart", port=w.port).status, 410)


def test_a_crash_while_held_comes_back_held(w):
    w.site()
    w.write(f"{w.place}/default-action", "fixed-response = 201\n")
    begin(w)
    w.write(f"{w.place}/default-action", "fixed-response = 404\n")
    w.write("services/shop/idle-timeout", "9\n")
    for kill in (True, False):
        w.restart(kill=kill)
        equal(w.get().status, 201, "serving what was served")
        equal(w.read(f"{w.place}/default-action"), "fixed-response = 404\n", "and showing what was changed")
        equal(w.read(".hold").splitlines()[0], "ok", "still held")
        match(r"^held ", w.read(".status"))
    finish(w)
    equal(w.get().status, 404)
    w.restart(kill=True)
    equal(w.get().status, 404)
    check(not os.path.exists(w.path(".hold")), "not held any more")


def test_a_crash_while_held_can_be_aborted(w):
    w.site()
    begin(w)
    w.write(f"{w.place}/default-action", "forward = nowhere\n")
    w.restart(kill=True)
    w.sh("echo abort > .hold", quiet=True)
    equal(w.read(f"{w.place}/default-action"), "forward = blue\n")
    equal(w.get().status, 200)
    w.restart()
    equal(w.get().status, 200)
