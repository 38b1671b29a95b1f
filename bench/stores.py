"""Stores for the bench, written as plain files before the daemon starts."""
import os
import shutil


def put(*parts, text=""):
    with open(os.path.join(*parts), "w", encoding="ascii") as f:
        f.write(text)


def make(*parts):
    path = os.path.join(*parts)
    os.makedirs(path, exist_ok=True)
    return path


def network(store):
    put(make(store, "vpcs/host"), "netns", text="host\n")
    make(store, "networks/net/services")
    os.symlink("../../../vpcs/host", os.path.join(make(store, "networks/net/vpcs"), "host"))


def group(store, name, backend):
    put(make(store, "target-groups", name, "targets"), f"127.0.0.1:{backend}")


def rule(listener, name, priority, match, action):
    directory = make(listener, "rules", name)
    put(directory, "priority", text=f"{priority}\n")
    put(directory, "match", text=match + "\n")
    put(directory, "action", text=action + "\n")


def service(store, name, port, action):
    """A service with one listener, in the network. Returns the listener's directory."""
    listener = make(store, "services", name, "listeners/web")
    put(listener, "port", text=f"{port}\n")
    put(listener, "default-action", text=f"forward = {action}\n")
    os.symlink(f"../../../services/{name}", os.path.join(store, "networks/net/services", name))
    return listener


def bench(store, port, backend):
    """One service `bench`, one target."""
    network(store)
    group(store, "backend", backend)
    service(store, "bench", port, "backend")


def front(store, name, pems):
    """Turns the store of `bench` from HTTP on both sides into another front of proxies.py."""
    listener, service_dir, group_dir = (os.path.join(store, *parts) for parts in (
        ("services", "bench", "listeners", "web"), ("services", "bench"), ("target-groups", "backend")))
    if name == "https":
        put(listener, "protocol", text="HTTPS\n")
        for attribute, pem in (("certificate", pems["certificate"]), ("private-key", pems["key"])):
            shutil.copyfile(pem, os.path.join(service_dir, attribute))
        os.chmod(os.path.join(service_dir, "private-key"), 0o600)
    elif name == "grpc":
        put(group_dir, "protocol-version", text="GRPC\n")
    elif name == "pass":
        put(listener, "protocol", text="TLS_PASSTHROUGH\n")
        put(group_dir, "protocol", text="TCP\n")


def wide(store, port, backend, services, groups=None):
    """Services s0 .. with two rules each, and a target group each unless they share so many."""
    groups = groups or services
    network(store)
    for i in range(groups):
        group(store, f"g{i}", backend)
    for i in range(services):
        mine, next_one = f"g{i % groups}", f"g{(i + 1) % groups}"
        listener = service(store, f"s{i}", port, mine)
        for r in range(2):
            rule(listener, f"r{r}", r + 1, f"path-prefix = /r{r}/", f"forward = {mine}:90 {next_one}:10")


def deep(store, port, backend, rules):
    """One service `bench` with many rules that differ by path."""
    network(store)
    group(store, "backend", backend)
    listener = service(store, "bench", port, "backend")
    for r in range(rules):
        rule(listener, f"r{r}", r + 1, f"path-prefix = /r{r}/", "forward = backend")


def across(store, spaces):
    """The store of `bench`, its clients in one namespace and its target in the other."""
    clients, targets = spaces
    put(make(store, "vpcs/host"), "netns", text=clients + "\n")
    put(os.path.join(store, "vpcs/host"), "listen", text="127.0.0.1\n")
    put(make(store, "vpcs/targets"), "netns", text=targets + "\n")
    put(os.path.join(store, "target-groups/backend"), "vpc", text="targets\n")
