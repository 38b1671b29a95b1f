"""Look-ups a second: the resolver of a VPC beside dnsmasq, which gets the same names as a hosts file.

Both answer on 169.254.169.253 in a namespace of their own, pinned to one core, the asker to another. Needs root.
"""
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time

import proxies
import stores

SERVER = "169.254.169.253"
TICK = os.sysconf("SC_CLK_TCK")


def is_possible():
    return os.geteuid() == 0 and shutil.which("ip") and shutil.which("dnsmasq")


@contextlib.contextmanager
def namespace(name):
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def look(binary, netns, pid, seconds, names):
    before = cpu_seconds(pid)
    argv = ["ip", "netns", "exec", netns, binary, SERVER, "53", str(seconds), str(names)]
    out = subprocess.run(proxies.pinned(proxies.LOAD_CPU, argv), stdout=subprocess.PIPE, text=True, check=True)
    report = json.loads(out.stdout)
    asked = report["right"] + report["wrong"]
    return {"per_second": asked / report["seconds"], "cpu_us": (cpu_seconds(pid) - before) * 1e6 / max(asked, 1),
            "wrong": report["wrong"] + (asked == 0)}


@contextlib.contextmanager
def dnsmasq(directory, netns, hosts):
    """In that namespace, until the end; it answers when this begins."""
    path = os.path.join(directory, "hosts")
    with open(path, "w", encoding="ascii") as f:
        f.write(hosts)
    subprocess.run(["ip", "-n", netns, "addr", "add", f"{SERVER}/32", "dev", "lo"], check=True)
    argv = ["ip", "netns", "exec", netns, "dnsmasq", "-k", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
            f"--addn-hosts={path}", f"--listen-address={SERVER}", "--bind-interfaces", "--user=root", "--pid-file",
            "--local=/lattice.internal/", "--local-ttl=60"]
    with subprocess.Popen(proxies.pinned(proxies.PROXY_CPU, argv), stderr=subprocess.DEVNULL) as daemon:
        try:
            time.sleep(0.5)
            yield daemon.pid
        finally:
            daemon.terminate()


def measure(directory, build, options):
    """{name: the medians} of the two, interleaved."""
    binary, services = os.path.join(build, "look"), min(1000, options.services)
    port = proxies.free_port()
    rounds = {"latticefs": [], "dnsmasq": []}
    with contextlib.ExitStack() as stack:
        ours, theirs = (stack.enter_context(namespace(f"bench{os.getpid()}-{n}")) for n in "ab")
        store = stack.enter_context(tempfile.TemporaryDirectory(dir=directory))
        stores.wide(store, port, proxies.free_port(), services, 2)
        stores.put(stores.make(store, "vpcs/ours"), "netns", text=ours + "\n")
        os.symlink("../../../vpcs/ours", os.path.join(store, "networks/net/vpcs/ours"))
        proxy = proxies.Latticefs(directory, 1, port, store=store)
        proxy.start()
        stack.callback(proxy.stop)
        with open(proxy.path("vpcs/ours/.hosts"), encoding="ascii") as f:
            hosts = f.read()
        other = stack.enter_context(dnsmasq(directory, theirs, hosts))
        for _ in range(options.rounds):
            rounds["latticefs"].append(look(binary, ours, proxy.pids()[0], options.seconds, services))
            rounds["dnsmasq"].append(look(binary, theirs, other, options.seconds, services))
    return services, {name: {"per_second": statistics.median(r["per_second"] for r in rows),
                             "cpu_us": statistics.median(r["cpu_us"] for r in rows),
                             "wrong": sum(r["wrong"] for r in rows)} for name, rows in rounds.items()}
