"""The three proxies of the bench: how each is configured, started, measured and stopped.

One worker each, on the same core, keep-alive to the backend, no access log, and the same work on every request:
Host kept, x-forwarded-for, -proto and -port, and a request id. A `front` says what it is to clients and targets:

    http    HTTP/1.1 on both sides
    https   TLS 1.3 with HTTP/2 and HTTP/1.1, the latter to targets
    grpc    HTTP/2 in the clear on both sides
    pass    TLS passed through by its server name
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
HOST = "bench.localhost"

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
    listen 127.0.0.1:{port} backlog=16384{listen}; server_name bench.localhost;
    location / {{
      {forward}
      {to}_set_header Host $http_host; {to}_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      {to}_set_header X-Forwarded-Proto $scheme; {to}_set_header X-Forwarded-Port $server_port;
      {to}_set_header X-Amzn-RequestId $request_id;
    }}
  }}
}}
"""

# Of a front: the words of `listen` and what follows it, how it forwards, and the prefix of what it sets.
NGINX_PROXY = 'proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";'
NGINX_FRONTS = {
    "http": ("", NGINX_PROXY, "proxy"),
    "https": (" ssl http2; ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3; "
              "ssl_ecdh_curve X25519; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; ssl_session_tickets on",
              NGINX_PROXY, "proxy"),
    "grpc": (" http2", "grpc_pass grpc://backend;", "grpc"),
}

HAPROXY = """
global
  nbthread 1
  tune.pipesize 262144
  no strict-limits
  maxconn 20000
defaults
  mode {mode}
  timeout client 300s
  timeout server 300s
  timeout connect 5s
{frontend}
backend back
  server backend 127.0.0.1:{backend}{server}
"""

HAPROXY_HTTP = """
  timeout http-request 300s
  timeout http-keep-alive 300s
  option http-keep-alive
  http-reuse always
frontend front
  bind 127.0.0.1:{port} backlog 16384{bind}
  option forwardfor
  http-request set-header X-Forwarded-Proto {scheme}
  http-request set-header X-Forwarded-Port %[dst_port]
  unique-id-format %[uuid()]
  unique-id-header X-Amzn-RequestId
  default_backend back
"""

HAPROXY_PASS = """
frontend front
  bind 127.0.0.1:{port} backlog 16384
  option splice-request
  option splice-response
  tcp-request inspect-delay 5s
  tcp-request content accept if {{ req.ssl_hello_type 1 }}
  use_backend back if {{ req.ssl_sni -i bench.localhost }}
"""

# Of a front: mode, frontend, the words of `bind`, the scheme, the words of `server`.
HAPROXY_FRONTS = {
    "http": ("http", HAPROXY_HTTP, "", "http", ""),
    "https": ("http", HAPROXY_HTTP, " ssl crt {pair} alpn h2,http/1.1 ssl-min-ver TLSv1.3 curves X25519 "
              "ciphersuites TLS_AES_128_GCM_SHA256", "https", ""),
    "grpc": ("http", HAPROXY_HTTP, " proto h2", "http", " proto h2"),
    "pass": ("tcp", HAPROXY_PASS, "", "", ""),
}


def free_port():
    """Below the range from which the kernel takes ports for outgoing connections: it stays free until it is used."""
    while True:
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", random.randrange(20000, 32000)))
            return s.getsockname()[1]


def make_certificate(directory):
    """certificate.pem, key.pem and both in pair.pem: ECDSA P-256, for the bench's host."""
    certificate, key = (os.path.join(directory, name) for name in ("certificate.pem", "key.pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", certificate, "-days", "30", "-subj", f"/CN={HOST}",
                    "-addext", f"subjectAltName=DNS:{HOST}"], check=True, stderr=subprocess.DEVNULL)
    with open(os.path.join(directory, "pair.pem"), "w", encoding="ascii") as pair:
        for path in (certificate, key):
            with open(path, encoding="ascii") as f:
                pair.write(f.read())


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
    fronts = ()

    def __init__(self, directory, backend, port=None, front="http"):
        self.front = front
        self.pems = {name: os.path.join(directory, f"{name}.pem") for name in ("certificate", "key", "pair")}
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
                    text = f.read()
                self.stop()
                raise RuntimeError(f"{self.name} did not start:\n{text}")
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
    fronts = tuple(NGINX_FRONTS)

    @staticmethod
    def version():
        out = subprocess.run([Nginx.binary, "-v"], capture_output=True, text=True, check=True).stderr
        return out.strip().rpartition("/")[2].split()[0]

    def start(self):
        listen, forward, to = NGINX_FRONTS[self.front]
        text = NGINX.format(dir=self.dir, port=self.port, backend=self.backend, listen=listen.format(**self.pems),
                            forward=forward, to=to)
        self.spawn([self.binary, "-p", self.dir, "-e", "stderr", "-c", self.write("nginx.conf", text)])
        self.wait(lambda: self.is_listening() and len(self.pids()) > 1)  # the master listens before it has a worker


class HAProxy(Proxy):
    name = "haproxy"
    binary = "/usr/sbin/haproxy"
    fronts = tuple(HAPROXY_FRONTS)

    @staticmethod
    def version():
        out = subprocess.run([HAProxy.binary, "-v"], capture_output=True, text=True, check=True).stdout
        return re.search(r"version ([0-9.]+)", out).group(1)

    def text(self):
        """Its configuration."""
        mode, frontend, bind, scheme, server = HAPROXY_FRONTS[self.front]
        frontend = frontend.format(port=self.port, bind=bind.format(**self.pems), scheme=scheme)
        return HAPROXY.format(mode=mode, frontend=frontend.strip("\n"), backend=self.backend, server=server)

    def start(self):
        self.spawn([self.binary, "-db", "-f", self.write("haproxy.cfg", self.text())])
        self.wait(self.is_listening)


class Latticefs(Proxy):
    name = "latticefs"
    binary = "build/release/latticefs"
    fronts = ("http", "https", "grpc", "pass")

    def __init__(self, directory, backend, port=None, front="http", store=None):
        super().__init__(directory, backend, port, front)
        self.store = store or os.path.join(self.dir, "store")
        self.mountpoint = os.path.join(self.dir, "mnt")
        os.makedirs(self.mountpoint)
        if store is None:
            stores.bench(self.store, self.port, backend)
            stores.front(self.store, front, self.pems)

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
