"""test_target_files.py - target groups of all types as files: errno, .errors, .table and .status of a mounted tree."""
import errno
import os
import re

from harness import check, equal, match, refused, until


def says(w, text):
    check(text in w.errors(), f"{text!r} in\n{w.errors()}")


def test_weight_and_admin_of_a_target(w):
    w.site()
    w.write("target-groups/blue/targets/10.0.0.9", "weight = 5\nadmin = drain\n")
    match(r"blue:100\{\S+,10\.0\.0\.9:80\*5!drain\}", w.read(".table"))
    refused(errno.EINVAL, w.write, "target-groups/blue/targets/10.0.0.9", "admin = off\n")
    says(w, "target-groups/blue/targets/10.0.0.9:1:8: admin must be up, drain or down, not 'off'")
    match(r"10\.0\.0\.9:80\*5!drain", w.read(".table"))
    equal(w.get().status, 200, "the other one serves")


def test_an_instance_moves_its_targets(w):
    w.site()
    w.mkdir("vpcs/host2/instances")
    w.write("vpcs/host2/netns", "host\n")
    w.write("vpcs/host2/instances/i-01234567", "10.0.0.7\n")
    w.mkdir("target-groups/m/targets")
    w.write("target-groups/m/type", "INSTANCE\n")
    w.write("target-groups/m/vpc", "host2\n")
    w.write(f"{w.place}/default-action", "forward = m\n")
    refused(errno.EINVAL, w.write, "target-groups/m/targets/i-01234568", "")
    says(w, "no instance 'i-01234568' in VPC 'host2' (did you mean 'i-01234567'?)")
    w.write("target-groups/m/targets/i-01234567:8080", "")
    match(r"m:100\{10\.0\.0\.7:8080\}\[INSTANCE\]", w.read(".table"))
    w.write("vpcs/host2/instances/i-01234567", "10.0.0.8\n10.0.0.9\n")
    match(r"m:100\{10\.0\.0\.8:8080,10\.0\.0\.9:8080\}\[INSTANCE\]", w.read(".table"))
    match(r"^instance i-01234567 10\.0\.0\.8 10\.0\.0\.9$", w.read("vpcs/host2/.status"))
    status = w.read("target-groups/m/.status")
    match(r"^type INSTANCE$", status)
    for host in ("10.0.0.8", "10.0.0.9"):
        match(rf"^target i-01234567:8080 [A-Z]+ \S+ requests 0 inflight 0 address {re.escape(host)}$", status, "each is told")
    w.write("vpcs/host2/instances/i-01234567", "")
    match(r"^target i-01234567:8080 UNAVAILABLE missing address requests 0 inflight 0$", w.read("target-groups/m/.status"))
    w.write("vpcs/host2/instances/i-01234567", "10.0.0.8\n")
    refused(errno.EBUSY, os.unlink, w.path("vpcs/host2/instances/i-01234567"))
    says(w, "instance 'i-01234567' is in use by target group 'm'")
    os.unlink(w.path("target-groups/m/targets/i-01234567:8080"))
    until(lambda: "m:100{}" in w.read(".table"), 5, "the target is gone")
    os.unlink(w.path("vpcs/host2/instances/i-01234567"))
    table = w.read(".table")
    w.restart()
    equal(w.read(".table"), table, "after a restart")


def test_types_and_their_targets(w):
    w.site()
    refused(errno.EINVAL, w.write, "target-groups/blue/targets/hook.lambda", "")
    says(w, "target group 'blue' is of type IP: it takes no target of type LAMBDA")
    w.mkdir("target-groups/f/targets")
    w.write("target-groups/f/type", "LAMBDA\n")
    w.write("target-groups/f/targets/hook.lambda", "")
    status = w.read("target-groups/f/.status")
    match(r"^target hook\.lambda UNAVAILABLE missing url requests 0 inflight 0$", status)
    match(r"^type LAMBDA\nlambda-event-structure-version V1\ntarget ", status, "no protocol")
    w.write("target-groups/f/targets/hook.lambda", "url = http://127.0.0.1:9001/2015-03-31/functions/hook/invocations\n")
    refused(errno.EINVAL, w.write, "target-groups/f/health-check", "path = /\n")
    says(w, "a target group of type LAMBDA has no health-check")
    w.mkdir("target-groups/e/targets")
    w.write("target-groups/e/type", "ALB\n")
    w.write("target-groups/e/targets/edge.alb", "")
    match(r"^target edge\.alb UNAVAILABLE missing host requests 0 inflight 0$", w.read("target-groups/e/.status"))
    w.write("target-groups/e/targets/edge.alb", "host = edge.example\nport = 8080\n")
    refused(errno.EINVAL, w.write, "target-groups/e/targets/other.alb", "host = other.example\n")
    check(not os.path.exists(w.path("target-groups/e/targets/other.alb")), "a refused file is gone")
    w.write(f"{w.place}/default-action", "forward = f e\n")
    match(r"f:100\{http://127\.0\.0\.1:9001/2015-03-31/functions/hook/invocations\}\[LAMBDA\] "
          r"e:100\{edge\.example:8080\}\[ALB\]$", w.read(".table"))


def test_an_action_is_judged_when_it_is_written(w):
    """An action has several lines, and the shell still sees what is wrong with one."""
    w.site()
    w.sh(f"echo 'forward = gren' > {w.mnt}/{w.place}/default-action", rc=1)
    says(w, "no target group 'gren'")
    refused(errno.EINVAL, w.write, f"{w.place}/default-action", "forward = blue\ntimeout = soon\n")
    w.write(f"{w.place}/default-action", "forward = blue\nsticky = header X-User\nretries = 2\n")
    match(r" \[sticky=header:x-user,retries=2,retry-on=connect\]$", w.read(".table"))
    equal(w.get().status, 200, "it serves")


def test_consistent_hash_waits_for_its_key(w):
    w.site()
    w.write("target-groups/blue/algorithm", "consistent-hash\n")
    match(r"^waiting hash-key$", w.read("target-groups/blue/.status"))
    w.write("target-groups/blue/hash-key", "source\n")
    match(r"^status ACTIVE$", w.read("target-groups/blue/.status"))
    match(r"\[consistent-hash=source,", w.read(".table"))


def test_limits_of_the_configuration(w):
    w.stop()
    w.start(conf=w.CONF + "[limits]\nservices = 1\ntargets-per-group = 1\n")
    w.site()
    refused(errno.EDQUOT, os.mkdir, w.path("services/more"))
    says(w, "services/more: there are at most 1 services (services in the configuration's [limits])")
    refused(errno.EDQUOT, w.write, "target-groups/blue/targets/10.0.0.9", "")
    check(not os.path.exists(w.path("target-groups/blue/targets/10.0.0.9")), "a refused file is gone")
    equal(w.get().status, 200, "it serves")
