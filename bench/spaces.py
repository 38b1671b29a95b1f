"""Two network namespaces, clients in one and the backend in the other, and the proxies that reach across.

HAProxy does it with its keyword `namespace` on bind and server, latticefs with a VPC each. All addresses are
127.0.0.1, each namespace's own.
"""
import contextlib
import os
import subprocess

import proxies
import stores


def ip(*words):
    subprocess.run(["ip", *words], check=True, timeout=10)


def inside(space, argv):
    return ["ip", "netns", "exec", space, *map(str, argv)]


@contextlib.contextmanager
def pair():
    """Names of a clients' and a targets' namespace, gone at the end."""
    names = [f"lfsbench{os.getpid()}{side}" for side in ("c", "t")]
    made = []
    try:
        for name in names:
            ip("netns", "add", name)
            made.append(name)
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in made:
            ip("netns", "del", name)


class Across:
    """Mixed into a proxy that listens in self.spaces[0] and has its backend in self.spaces[1]."""

    spaces = None

    def is_listening(self):
        probe = ["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{self.port}"]
        return subprocess.run(inside(self.spaces[0], probe), stderr=subprocess.DEVNULL, timeout=10,
                              check=False).returncode == 0


class HAProxy(Across, proxies.HAProxy):
    def start(self):
        text = self.text().replace("backlog 16384", f"backlog 16384 namespace {self.spaces[0]}")
        text = text.replace(f"server backend 127.0.0.1:{self.backend}",
                            f"server backend 127.0.0.1:{self.backend} namespace {self.spaces[1]}")
        self.spawn([self.binary, "-db", "-f", self.write("haproxy.cfg", text)])
        self.wait(self.is_listening)


class Latticefs(Across, proxies.Latticefs):
    def start(self):
        stores.across(self.store, self.spaces)
        return super().start()


KINDS = [HAProxy, Latticefs]
