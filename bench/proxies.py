"""The three proxies of the bench: how each is configured, started, measured and stopped.

One worker each, on the same core, keep-alive to the backend, no access log, and the same work on every request:
Host kept, x-forwarded-for, -proto and -port, and a request id.
"""
import contextlib
import os
import random
import re
import resource
import socket
import subprocess
import time

import stores

PROXY_CPU = 1
LOAD_CPU = 0

NGINX = """
daemon off; worker_processes 1; pid {dir}/pid; error_log stderr crit;
events {{ worker_connections 30000; }}
http {{
  access_log off; server_tokens off; tcp_nodelay on;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  keepalive_timeout 300s; keepalive_requests 1000000000;
  client_max_body_size 0; client_body_buffer_size 128k; proxy_max_temp_file_size 0;
  proxy_buffer_size 16k; proxy_buffers 8 32k; proxy_busy_buffers_size 64k;
  upstream backend {{ server 127.0.0.1:{backend}; keepalive 1024; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=16384; server_name bench.localhost;
    location / {{
      proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Port $server_port;
      proxy_set_header X-Amzn-RequestId $request_id;
    }}
  }}
}}
"""

HAPROXY = """
global
  nbthread 1
  no strict-limits
  maxconn 20000
defaults
  mode http
  timeout client 300s
  timeout server 300s
  timeout connect 5s
  timeout http-request 300s
  timeout http-keep-alive 300s
  option http-keep-alive
  http-reuse always
frontend front
  bind 127.0.0.1:{port} backlog 16384
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Port %[dst_port]
  unique-id-format %[uuid()]
  unique-id-header X-Amzn-RequestId
  default_backend back
backend back
  server backend 127.0.0.1:{backend}
"""


def free_port():
    """Below the range from which the kernel takes ports for outgoing connections: it stays free until it is used."""
    while True:
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", random.randrange(20000, 32000)))
            return s.getsockname()[1]


def _raise_files():
    """As many descriptors as the system lets us have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def pinned(cpu, argv):
    return ["taskset", "-c", str(cpu), *map(str, argv)]


class Proxy:
    """A running proxy. Subclasses say how its configuration is written and what its version is."""

    name = ""
    cpus = PROXY_CPU

    def __init__(self, directory, backend, port=None):
        self.dir = os.path.join(directory, f"{self.name}-{free_port()}")
        self.backend = backend
        self.port = port or free_port()
        os.makedirs(self.dir)
        self.log = open(os.path.join(self.dir, "log"), "wb")
        self.process = None

    def spawn(self, argv):
        self.process = subprocess.Popen(pinned(self.cpus, argv), stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, preexec_fn=_raise_files)

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        return path

    def wait(self, ready, seconds=30):
        """Polls until ready() is true."""
        end = time.monotonic() + seconds
        while not ready():
            if self.process.poll() is not None or time.monotonic() > end:
                self.log.flush()
                with open(self.log.name, encoding="utf-8", errors="replace") as f:
                    raise RuntimeError(f"{self.name} did not start:\n{f.read()}")
            time.sleep(0.001)

    def is_listening(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def pids(self):
        """The process and its children: nginx's worker is one."""
        found = [self.process.pid]
        with contextlib.suppress(OSError):
            with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as f:
                found += [int(pid) for pid in f.read().split()]
        return found

    def memory_kib(self):
        """Anonymous memory in use, all processes."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/status", encoding="utf-8") as f:
                total += int(re.search(r"RssAnon:\s+(\d+)", f.read()).group(1))
        return total

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Nginx(Proxy):
    name = "nginx"
    binary = "/usr/sbin/nginx"

    @staticmethod
    def version():
        out = subprocess.run([Nginx.binary, "-v"], capture_output=True, text=True, check=True).stderr
        return out.strip().rpartition("/")[2].split()[0]

    def start(self):
        text = NGINX.format(dir=self.dir, port=self.port, backend=self.backend)
        self.spawn([self.binary, "-p", self.dir, "-e", "stderr", "-c", self.write("nginx.conf", text)])
        self.wait(self.is_listening)


class HAProxy(Proxy):
    name = "haproxy"
    binary = "/usr/sbin/haproxy"

    @staticmethod
    def version():
        out = subprocess.run([HAProxy.binary, "-v"], capture_output=True, text=True, check=True).stdout
        return re.search(r"version ([0-9.]+)", out).group(1)

    def start(self):
        text = HAPROXY.format(port=self.port, backend=self.backend)
        self.spawn([self.binary, "-db", "-f", self.write("haproxy.cfg", text)])
        self.wait(self.is_listening)


class Latticefs(Proxy):
    name = "latticefs"
    binary = "build/release/latticefs"

    def __init__(self, directory, backend, port=None, store=None):
        super().__init__(directory, backend, port)
        self.store = store or os.path.join(self.dir, "store")
        self.mountpoint = os.path.join(self.dir, "mnt")
        os.makedirs(self.mountpoint)
        if store is None:
            stores.bench(self.store, self.port, backend)

    @classmethod
    def version(cls):
        out = subprocess.run([cls.binary, "--version"], capture_output=True, text=True, check=True).stdout
        return re.search(r"[0-9]+\.[0-9.]+", out).group(0)

    def path(self, *parts):
        return os.path.join(self.mountpoint, *parts)

    def start(self):
        """Returns the seconds until the mount stands and its listener answers."""
        conf = self.write("latticefs.conf", "[engine]\nworkers = 1\nconnections = 60000\n")
        began = time.monotonic()
        self.spawn([os.path.abspath(self.binary), "-f", "-c", conf, self.store, self.mountpoint])
        self.wait(lambda: os.path.ismount(self.mountpoint) and self.is_listening())
        return time.monotonic() - began

    def stop(self):
        super().stop()
        if os.path.ismount(self.mountpoint):
            subprocess.run(["umount", "-l", self.mountpoint], check=False)


ALL = [Nginx, HAProxy, Latticefs]


def is_installed(proxy):
    return os.access(proxy.binary, os.X_OK)
