"""tlskit.py - certificates by the openssl command, TLS clients and TLS targets for the system tests."""
import contextlib
import hashlib
import os
import re
import socket
import ssl
import subprocess

from harness import SLOW, Client, Failed, Target, Wire, check, equal, free_port

CA_CONF = """
[ca]
default_ca = own
[own]
database = {base}/index
serial = {base}/serial
crlnumber = {base}/crlnumber
new_certs_dir = {base}
certificate = {base}/ca.pem
private_key = {base}/ca.key
default_md = sha256
default_days = 30
policy = any
unique_subject = no
[any]
commonName = supplied
organizationName = optional
organizationalUnitName = optional
[leaf]
basicConstraints = critical,CA:false
subjectAltName = ${{ENV::SAN}}
[bare]
basicConstraints = critical,CA:false
[inner]
basicConstraints = critical,CA:true
"""


def openssl(*words, rc=0, data=b"", seconds=20, env=None):
    """Runs openssl; its output and error output as text."""
    done = subprocess.run(["openssl", *words], input=data, capture_output=True, timeout=seconds * SLOW,
                          env=dict(os.environ, **(env or {})))
    text = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    if rc is not None:
        equal(done.returncode, rc, f"openssl {' '.join(words)}:\n{text[-1500:]}")
    return text


def dates(days):
    """Days seen from now, as openssl takes them."""
    return [subprocess.run(["date", "-u", "-d", f"{day} days", "+%y%m%d%H%M%SZ"], capture_output=True,
                           text=True).stdout.strip() for day in days]


def fingerprint(der):
    return hashlib.sha256(der).hexdigest()


def shown(client):
    """The fingerprint of the certificate that a connection was shown."""
    return fingerprint(client.sock.getpeercert(True))


class Pair:
    """A certificate, its chain and its key, as PEM texts and as files."""

    def __init__(self, stem, cert, key, issuers=""):
        self.cert, self.key, self.chain = cert, key, cert + issuers
        self.cert_file, self.key_file = stem + ".chain.pem", stem + ".key"
        with open(self.cert_file, "w") as out:
            out.write(self.chain)
        with open(self.key_file, "w") as out:
            out.write(key)

    @property
    def mark(self):
        """The certificate's fingerprint."""
        return fingerprint(ssl.PEM_cert_to_DER_cert(self.cert))


class CA:
    """A certificate authority in a directory of its own; `inner` makes an intermediate one below it."""

    def __init__(self, base, name="Test CA", parent=None):
        self.base = os.path.join(base, re.sub(r"\W", "-", name))
        self.count = 0
        os.makedirs(self.base)
        self.conf = self.file("conf", CA_CONF.format(base=self.base))
        self.file("index")
        self.file("serial", "1000\n")
        self.file("crlnumber", "01\n")
        if parent:
            pair = parent.issue(name, kind="inner")
            self.file("ca.pem", pair.cert)
            self.file("ca.key", pair.key)
            self.issuers = pair.chain
        else:
            self.new_key("ca.key", "ec")
            openssl("req", "-x509", "-new", "-config", "/dev/null", "-key", self.at("ca.key"), "-subj", f"/OU=Tests/CN={name}",
                    "-days", "30", "-addext", "basicConstraints=critical,CA:true", "-out", self.at("ca.pem"))
            self.issuers = ""
        self.pem_file = self.at("ca.pem")
        self.pem = self.text("ca.pem")

    def at(self, name):
        return os.path.join(self.base, name)

    def file(self, name, text=""):
        with open(self.at(name), "w") as out:
            out.write(text)
        return self.at(name)

    def text(self, name):
        with open(self.at(name)) as text:
            return text.read()

    def new_key(self, name, key):
        how = ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if key == "rsa" else ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        openssl("genpkey", "-algorithm", *how, "-out", self.at(name))

    def inner(self, name):
        return CA(os.path.dirname(self.base), name, self)

    def issue(self, common, *names, key="ec", days=(0, 30), subject="", kind="leaf"):
        """A pair for these names (`DNS:`, unless they say `URI:` or `IP:`); days: from and to, seen from now."""
        self.count += 1
        stem = f"leaf{self.count}"
        self.new_key(stem + ".key", key)
        openssl("req", "-new", "-config", "/dev/null", "-key", self.at(stem + ".key"), "-subj", f"/CN={common}{subject}",
                "-out", self.at(stem + ".csr"))
        names = ",".join(name if re.match("(DNS|URI|IP):", name) else "DNS:" + name for name in names)
        start, end = dates(days)
        openssl("ca", "-batch", "-notext", "-config", self.conf, "-in", self.at(stem + ".csr"), "-startdate", start,
                "-enddate", end, "-extensions", kind if names or kind != "leaf" else "bare", "-out", self.at(stem + ".pem"),
                env={"SAN": names or "DNS:unused"})
        return Pair(self.at(stem), self.text(stem + ".pem"), self.text(stem + ".key"), self.issuers)

    def revoke(self, pair):
        openssl("ca", "-config", self.conf, "-revoke", pair.cert_file, env={"SAN": "DNS:unused"})

    def crl(self, days=(0, 30)):
        """The list of what was revoked; days: from and to, seen from now."""
        start, end = dates(days)
        openssl("ca", "-config", self.conf, "-gencrl", "-crl_lastupdate", start, "-crl_nextupdate", end,
                "-out", self.at("crl.pem"), env={"SAN": "DNS:unused"})
        return self.text("crl.pem")


def trust(*files, pair=None, alpn=None, least=None, most=None):
    """A client's context: trusts the files' CAs, or, without one, anything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = bool(files)
    context.verify_mode = ssl.CERT_REQUIRED if files else ssl.CERT_NONE
    for file in files:
        context.load_verify_locations(file)
    if pair:
        context.load_cert_chain(pair.cert_file, pair.key_file)
    if alpn:
        context.set_alpn_protocols(alpn)
    context.minimum_version = least or ssl.TLSVersion.TLSv1_2
    context.maximum_version = most or ssl.TLSVersion.TLSv1_3
    return context


def secure(port, name="shop.localhost", context=None, session=None, seconds=10, host="127.0.0.1"):
    """A raw HTTP/1 client over TLS; its socket tells version(), getpeercert(True), selected_alpn_protocol()."""
    plain = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    return Client(port, seconds, host, (context or trust()).wrap_socket(plain, server_hostname=name, session=session))


def alert(port, name="shop.localhost", context=None):
    """The reason of a handshake that fails. In TLS 1.3 what the server thinks of our certificate comes behind
    our own Finished, so the first byte of an answer is asked for."""
    try:
        with secure(port, name, context) as client:
            client.ask(host=name or "shop")
    except ssl.SSLError as error:
        return error.reason or "EOF"
    except Exception as error:
        return type(error).__name__
    raise Failed("the handshake went through")


def presents(port, name="shop.localhost", context=None):
    """The fingerprint of the certificate that a new connection is shown."""
    with secure(port, name, context) as client:
        return shown(client)


def metric(w, name):
    """The sum over the labels of a counter of /.metrics."""
    found = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\d+)$", w.read(".metrics"), re.M)
    check(found, f"{name} is in .metrics")
    return sum(map(int, found))


class TlsTarget(Target):
    """A recording target behind TLS: what the handshakes had stands in .handshakes.

    Each is a dict of version, sni, alpn, reused; handshakes that failed are counted in .refused.
    """

    def __init__(self, name, pair, handler=None, script=None, alpn=("http/1.1",), client_ca=None, sock=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pair.cert_file, pair.key_file)
        self.context.set_alpn_protocols(list(alpn))
        self.context.sni_callback = self.named
        if client_ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(client_ca)
        self.names = {}
        self.handshakes = []
        self.refused = 0
        super().__init__(name, handler, script, sock=sock)

    def named(self, sock, name, _):
        self.names[id(sock)] = name

    def serve(self, sock):
        try:
            inner = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            inner.settimeout(60)
            inner.do_handshake()
        except (OSError, ValueError):
            with self.lock:
                self.refused += 1
                self.open.discard(sock)
            with contextlib.suppress(OSError):
                inner.close()
            return
        with self.lock:
            self.open.discard(sock)
            self.open.add(inner)
            self.handshakes.append(dict(version=inner.version(), sni=self.names.pop(id(inner), None),
                                        alpn=inner.selected_alpn_protocol(), reused=inner.session_reused))
        super().serve(inner)


def https_site(w, certificate=None, handler=None, script=None):
    """World.site with an HTTPS listener; certificate: the service's own pair."""
    w.target = w.add_target("blue", handler, script)
    w.port = free_port()
    w.network()
    w.group("blue", w.target)
    w.mkdir("services/shop")
    if certificate:
        install(w, "shop", certificate)
    w.place = https_service(w, "shop", w.port, "forward = blue")
    w.ca = w.path(".ca.pem")
    return w


def https_service(w, name, port, action):
    place = f"services/{name}/listeners/web"
    w.mkdir(place)
    w.write(f"{place}/protocol", "HTTPS\n")
    return w.service(name, port, action)


def install(w, service, pair):
    w.mkdir(f"services/{service}")
    w.write(f"services/{service}/certificate", pair.chain)
    w.write(f"services/{service}/private-key", pair.key, 0o600)


def add_target(w, target):
    w.targets.append(target)
    return target


class Slow(Wire):
    """A TCP connection that never gets to be more."""

    def __init__(self, port, data=b""):
        super().__init__(socket.create_connection(("127.0.0.1", port), 10 * SLOW))
        if data:
            self.sock.sendall(data)
