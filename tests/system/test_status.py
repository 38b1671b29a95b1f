"""test_status.py - what .status, .table and .metrics say (contract 6)."""
import os
import re

from harness import check, equal, free_port, match


def test_root_status_counts_what_is_there(w):
    empty = w.read(".status")
    match(r"^generation \d+$", empty)
    match(r"^version \S+", empty)
    match(r"^uptime \d+", empty)
    match(r"^workers 2$", empty)
    w.site()
    text = w.read(".status")
    match(r"services 1\b", text)
    match(r"target-groups 1\b", text)
    match(r"listeners 1\b", text)
    match(r"^last-apply \S+: parse \d+ compile \d+ publish \d+", text)
    before = w.number("requests")
    for _ in range(7):
        w.get()
    equal(w.number("requests"), before + 7, "requests")
    check("held" not in text, "not held")


def test_service_status(w):
    w.site()
    w.write("services/shop/domain", "shop.example\n")
    for _ in range(3):
        w.get()
    text = w.read("services/shop/.status")
    match(r"^status ACTIVE$", text)
    match(r"^id svc-[0-9a-z]{17}$", text)
    match(r"^arn arn:aws:vpc-lattice:[a-z0-9-]+:\d{12}:service/svc-[0-9a-z]{17}$", text)
    match(r"^name shop\.lattice\.internal$", text)
    match(rf"^address 127\.0\.0\.1\b", text)
    match(r"^network net\b", text)
    match(r"^listener web ACTIVE$", text)
    match(r"^requests 3$", text)


def test_an_id_belongs_to_its_name(w):
    w.site()
    found = match(r"^id (\S+)$", w.read("services/shop/.status"))[1]
    group = match(r"^id (tg-[0-9a-z]{17})$", w.read("target-groups/blue/.status"))[1]
    network = match(r"^id (sn-[0-9a-z]{17})$", w.read("networks/net/.status"))[1]
    w.restart()
    match(rf"^id {found}$", w.read("services/shop/.status"), "after a restart")
    match(rf"^id {group}$", w.read("target-groups/blue/.status"))
    match(rf"^id {network}$", w.read("networks/net/.status"))
    os.mkdir(w.path("services/other"))
    check(found not in w.read("services/other/.status"), "another name, another id")
    w.sh("rmdir services/other && mkdir services/other")
    w.sh("cat services/other/.status")


def test_listener_rule_and_group_status(w):
    w.site()
    w.group("green", w.target)
    rule = w.rule(w.place, "api", 10, "path-prefix = /api", "forward = blue:3 green:1")
    for _ in range(8):
        w.get("/api")
    w.get("/else")
    listener = w.read(f"{w.place}/.status")
    match(r"^status ACTIVE$", listener)
    match(rf"^127\.0\.0\.1:{w.port}\b|address 127\.0\.0\.1:{w.port}\b", listener)
    match(r"^rule api 10 ACTIVE 8$", listener)
    match(r"^default 1$", listener)
    text = w.read(f"{rule}/.status")
    match(r"^status ACTIVE$", text)
    match(r"^requests 8$", text)
    split = {name: int(n) for name, n in re.findall(r"^forward (\w+) \d+ (\d+)$", text, re.M)}
    equal(sum(split.values()), 8, "the groups' counts add up")
    check(abs(split["blue"] - 6) <= 2, f"within 1 per worker of 6: {split}")
    match(r"^forward blue 3 ", text)
    group = w.read("target-groups/blue/.status")
    match(r"^status ACTIVE$", group)
    match(r"^used-by services/shop/listeners/web/default-action$", group)
    match(r"^used-by services/shop/listeners/web/rules/api/action$", group)
    match(rf"^target 127\.0\.0\.1:{w.target.port} \w+.* requests {split['blue'] + 1} inflight 0$", group)
    w.group("idle", w.target)
    match(rf"^target 127\.0\.0\.1:{w.target.port} UNUSED\b", w.read("target-groups/idle/.status"))


def test_networks_and_vpcs_name_their_associations(w):
    w.site()
    match(r"^service shop\b", w.read("networks/net/.status"))
    match(r"^vpc host\b", w.read("networks/net/.status"))
    match(r"^(network net|used-by networks/net/vpcs/host)\b", w.read("vpcs/host/.status"))


def test_the_table_is_canonical(w):
    w.site()
    w.group("green")
    w.rule(w.place, "b", 20, "path-exact = /b", "forward = blue")
    w.rule(w.place, "a", 10, "path-prefix = /a\nmethod = GET", "fixed-response = 404")
    first = w.read(".table")
    lines = [line for line in first.splitlines() if "shop" in line]
    check(len(lines) >= 3, f"a line for each route: {first}")
    check(first.index("/a") < first.index("/b"), "in match order")
    w.write(f"{w.place}/rules/a/match", "# the same, spelled differently\n\nmethod   = GET\npath-prefix = /a\n")
    equal(w.read(".table"), first, "spelling does not matter")
    w.write(f"{w.place}/rules/a/priority", "30\n")
    second = w.read(".table")
    check(second.index("/b") < second.index("/a"), "the order follows the priorities")


def test_counters_survive_changes_and_names_that_come_back(w):
    w.site()
    for _ in range(4):
        w.get()
    for weight in range(1, 20):
        w.write(f"{w.place}/default-action", f"forward = blue:{weight}\n")
    port = free_port()
    w.write(f"{w.place}/port", f"{port}\n")
    equal(w.get(port=port).status, 200)
    match(r"^requests 5$", w.read("services/shop/.status"))
    match(r"^default 5$", w.read(f"{w.place}/.status"))


def test_metrics_are_prometheus_text(w):
    """By the letter of the format: a family is told of once, its samples follow, and no sample is there twice."""
    w.site()
    w.mkdir("vpcs/host/instances")
    w.write("vpcs/host/instances/i-01234567", "127.0.0.1\n127.0.0.2\n")
    w.group("pair", type="INSTANCE", vpc="host")
    w.write(f"target-groups/pair/targets/i-01234567:{w.target.port}", "")
    for _ in range(3):
        w.get()
    families, samples, family = [], [], None
    for line in w.read(".metrics").splitlines():
        if line.startswith("# HELP "):
            family = match(r"^# HELP ([a-z0-9_]+) \S.*$", line, "help")[1]
            families.append(family)
        elif line.startswith("#"):
            equal(match(r"^# TYPE ([a-z0-9_]+) (counter|gauge)$", line, "type")[1], family, line)
        else:
            found = match(r'^([a-z0-9_]+)(\{([a-z]+="[^"]*",?)+\})? \d+(\.\d+)?$', line, "sample")
            equal(found[1], family, line)
            samples.append(found[1] + (found[2] or ""))
    equal(sorted(set(families)), sorted(families), "families")
    equal(sorted(set(samples)), sorted(samples), "samples")
    match(r'^latticefs_rule_requests_total\{.*service="shop".*\} 3$', w.read(".metrics"))
    match(r"^latticefs_requests_total 3$", w.read(".metrics"))
    match(rf'^latticefs_target_requests_total\{{group="pair",target="i-01234567:{w.target.port}",address="127.0.0.2"\}} 0$',
          w.read(".metrics"))


def test_status_of_what_is_ignored(w):
    w.site()
    w.write("services/shop/domains~", "x")
    w.write("services/shop/port", "x")
    text = w.read("services/shop/.status")
    match(r"^ignored port\b", text)
