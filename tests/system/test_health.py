"""test_health.py - health checks of targets as they are mounted: states, events, who gets requests."""
import os
import re
import select
import signal
import subprocess
import time

from harness import check, equal, limit, match, until

FAST = "interval = 5\ntimeout = 1\nhealthy-threshold = 2\nunhealthy-threshold = 2\n"


def state(w, target, group="blue"):
    """`UNHEALTHY CodeMismatch`"""
    name = f"127.0.0.1:{target.port}"
    return match(rf"^target {re.escape(name)} (.*) requests ", w.read(f"target-groups/{group}/.status"))[1]


def checked(w, *targets, text=FAST, **attributes):
    """World.site with a group whose health is checked."""
    w.site()
    w.group("checked", *(targets or (w.target,)), **attributes)
    w.write("target-groups/checked/health-check", text)
    w.write(f"{w.place}/default-action", "forward = checked\n")


def event(name, change):
    return rf"^\d{{4}}-\d\d-\d\dT[\d:.]+Z target-groups/checked/targets/{re.escape(name)} {change}$"


@limit(60)
def test_states_follow_the_checks(w):
    checked(w)
    until(lambda: state(w, w.target, "checked") == "HEALTHY", 5, "one success makes it healthy")
    match(rf'^latticefs_target_healthy\{{group="checked",target="127.0.0.1:{w.target.port}"\}} 1$', w.read(".metrics"))
    w.write(f"{w.place}/default-action", "fixed-response = 404\n")
    equal(state(w, w.target, "checked"), "UNUSED TargetGroupNotInUse")
    w.write(f"{w.place}/default-action", "forward = checked\n")
    until(lambda: state(w, w.target, "checked") == "HEALTHY", 5, "again")
    w.write("target-groups/checked/health-check", "enabled = false\n")
    equal(state(w, w.target, "checked"), "UNAVAILABLE HealthCheckDisabled")


@limit(60)
def test_events_are_told_to_who_waits(w):
    w.site()
    with subprocess.Popen(["cat", w.path(".events")], stdout=subprocess.PIPE, text=True) as cat:
        time.sleep(0.2)
        check(cat.poll() is None, "it waits")
        checked_at = f"127.0.0.1:{w.target.port}"
        w.group("checked", w.target)
        w.write("target-groups/checked/health-check", FAST)
        w.write(f"{w.place}/default-action", "forward = checked\n")
        told = (line for line in cat.stdout if "/blue/" not in line)
        match(event(checked_at, "UNUSED -> INITIAL InitialHealthChecking"), next(told))
        match(event(checked_at, "INITIAL -> HEALTHY"), next(told))
        cat.send_signal(signal.SIGINT)
        equal(cat.wait(5), -signal.SIGINT, "a signal ends a read that waits")


@limit(60)
def test_events_with_poll_and_without_blocking(w):
    w.site()
    fd = os.open(w.path(".events"), os.O_RDONLY | os.O_NONBLOCK)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        equal(poll.poll(100), [], "nothing yet")
        try:
            os.read(fd, 100)
            check(False, "a read that would wait")
        except BlockingIOError:
            pass
        w.write(f"{w.place}/default-action", "fixed-response = 404\n")
        equal(poll.poll(5000), [(fd, select.POLLIN)], "woken")
        match(r"UNAVAILABLE -> UNUSED TargetGroupNotInUse$|HEALTHY -> UNUSED|INITIAL -> UNUSED", os.read(fd, 4096).decode())
    finally:
        os.close(fd)


@limit(60)
def test_tail_and_a_shell_loop_follow(w):
    w.site()
    events = w.path(".events")
    with subprocess.Popen(["tail", "-f", events], stdout=subprocess.PIPE, text=True) as tail, \
         subprocess.Popen(["bash", "-c", 'while read -r line; do echo "got $line"; done < "$0"', events],
                          stdout=subprocess.PIPE, text=True) as shell:
        time.sleep(0.5)
        for action in "fixed-response = 404\n", "forward = blue\n", "fixed-response = 404\n":
            w.write(f"{w.place}/default-action", action)
        for _ in range(3):
            line = tail.stdout.readline()
            match(r"^\d{4}-.*Z target-groups/blue/targets/", line)
            equal(shell.stdout.readline(), f"got {line}")
        tail.kill()
        shell.kill()


@limit(60)
def test_the_end_of_the_mount_ends_a_read(w):
    w.site()
    with subprocess.Popen(["cat", w.path(".events")], stdout=subprocess.PIPE) as cat:
        time.sleep(0.2)
        w.stop()
        check(cat.wait(5) is not None, "cat has ended")


def test_events_cannot_be_written_and_are_not_listed(w):
    check(".events" not in os.listdir(w.path("")), "hidden")
    equal(w.sh("echo x > .events", rc=1).rc, 1)
    equal(oct(os.stat(w.path(".events")).st_mode & 0o7777), "0o444")
