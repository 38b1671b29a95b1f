"""test_passthrough.py - TLS_PASSTHROUGH: by the name in the ClientHello to targets that hold the certificates."""
import contextlib
import os
import re
import socket
import ssl
import subprocess
import time

import h2kit
import tlskit
from harness import SLOW, Client, Closed, Failed, check, equal, free_port, limit, match, until
from tlskit import Pair, TlsTarget, add_target, openssl

CLOSED = (b"", "reset")


def certificate(w, name):
    """A self-signed pair for the name."""
    cert, key = (os.path.join(w.base, f"{name}.{kind}.pem") for kind in ("cert", "key"))
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", cert)
    with open(cert) as cert_text, open(key) as key_text:
        return Pair(os.path.join(w.base, name), cert_text.read(), key_text.read())


def tls_target(w, name, host, script=None, alpn=("http/1.1",)):
    """A recording target that speaks TLS with a certificate of its own for `host`; script(target, wire) runs inside."""
    pair = certificate(w, host)
    target = add_target(w, TlsTarget(name, pair, script=script, alpn=alpn))
    target.cert = pair.cert_file
    return target


def passthrough(w, name, port, action):
    place = f"services/{name}/listeners/tls"
    w.mkdir(place)
    w.write(f"{place}/protocol", "TLS_PASSTHROUGH\n")
    w.write(f"{place}/default-action", action + "\n")
    w.write(f"{place}/port", f"{port}\n")
    w.link(f"../../../services/{name}", f"networks/net/services/{name}")
    return place


def site(w, script=None, alpn=("http/1.1",)):
    """Service `shop` with one TLS target in the TCP group `blue`."""
    w.port = free_port()
    w.network()
    w.target = tls_target(w, "blue", "shop.localhost", script, alpn)
    w.group("blue", w.target, protocol="TCP")
    w.place = passthrough(w, "shop", w.port, "forward = blue")


def wrap(host, target=None, version=None):
    """A TLS socket that is not connected yet; verified end to end when the target is told."""
    context = ssl.create_default_context()
    if target is not None:
        context.load_verify_locations(target.cert)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context.wrap_socket(socket.socket(), server_hostname=host, suppress_ragged_eofs=False)


def connect(w, host, target=None, seconds=10):
    """A TLS connection through the listener. Its end without one of TLS raises SSLEOFError."""
    tls = wrap(host, target)
    tls.settimeout(seconds * SLOW)
    tls.connect(("127.0.0.1", w.port))
    return tls


def client(w, host, target=None, version=None):
    return Client(w.port, sock=wrap(host, target, version))


def hello(host):
    """The bytes that a client begins with."""
    context = ssl.create_default_context()
    context.check_hostname = False
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=host)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise Failed("a handshake with nobody")


def what_comes(w, data, seconds=10):
    """All that the listener answers to these bytes until it closes."""
    with socket.create_connection(("127.0.0.1", w.port), seconds) as sock:
        sock.sendall(data)
        got = b""
        try:
            while more := sock.recv(65536):
                got += more
        except ConnectionResetError:
            return "reset"
        return got


def end_below(tls):
    """How the connection below TLS ends, which Python's TLS does not tell: "reset" or "closed"."""
    with socket.socket(fileno=os.dup(tls.fileno())) as raw:
        raw.settimeout(10 * SLOW)
        try:
            while raw.recv(65536):
                pass
            return "closed"
        except ConnectionResetError:
            return "reset"


def metric(w, name):
    return tlskit.metric(w, f"latticefs_{name}")


def echo(target, wire):
    while data := wire.sock.recv(65536):
        wire.sock.sendall(data)
    wire.sock.unwrap()


# ---------------------------------------------------------------------- who gets it


def test_each_name_reaches_the_target_with_its_certificate(w):
    site(w)
    cart = tls_target(w, "green", "cart.localhost")
    w.group("green", cart, protocol="TCP")
    passthrough(w, "cart", w.port, "forward = green")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for host, target in (("shop.localhost", w.target), ("cart.localhost", cart), ("SHOP.localhost", w.target)):
            with client(w, host, target, version=version) as c:
                equal(c.ask(path="/x", host=host).body, f"{target.name} GET /x 0".encode(), host)
                equal(c.ask("POST", "/y", host, body=b"hello").body, f"{target.name} POST /y 5".encode(), "kept")
    for name in ("x-forwarded-for", "x-amzn-requestid", "via"):
        equal(w.target.last().all(name), [], "what is inside is not touched")


def test_domains_and_wildcards(w):
    site(w)
    w.write("services/shop/domain", "shop.example\n*.apps.example\n")
    for host in ("shop.example", "a.apps.example", "b.c.apps.example", "shop.lattice.internal", "shop"):
        with client(w, host) as c:
            equal(c.ask(host=host).status, 200, host)
    for host in ("apps.example", "x.shop.example"):
        equal(what_comes(w, hello(host)), b"", host)


def test_curl(w):
    site(w)
    out = w.sh(f"curl -sS --cacert {w.target.cert} --resolve shop.localhost:{w.port}:127.0.0.1 "
               f"https://shop.localhost:{w.port}/a https://shop.localhost:{w.port}/b", quiet=True).out
    equal(out, "blue GET /a 0blue GET /b 0")
    equal(w.target.connections, 1, "one connection, as curl kept it")


def test_openssl_on_both_ends(w):
    site(w)
    pair = certificate(w, "cart.localhost")
    port = free_port()
    server = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", pair.cert_file, "-key", pair.key_file, "-www", "-quiet"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        w.group("green", f"127.0.0.1:{port}", protocol="TCP")
        passthrough(w, "cart", w.port, "forward = green")
        until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, 10, "openssl s_server listens")
        for flag, version in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
            done = w.sh(f"openssl s_client -connect 127.0.0.1:{w.port} -servername cart.localhost -CAfile {pair.cert_file} "
                        f"-verify_return_error -brief {flag} </dev/null")
            match(rf"Protocol version: {version}$", done.err)
            match(r"^Verification: OK$", done.err)
        check("Secure Renegotiation" in w.sh(f"curl -sS --cacert {pair.cert_file} --resolve cart.localhost:{w.port}:127.0.0.1 "
                                             f"https://cart.localhost:{w.port}/").out, "the page of s_server -www")
    finally:
        server.kill()
        server.wait(10)


def test_a_hello_in_pieces_and_in_records(w):
    site(w)
    data = hello("shop.localhost")
    records = b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part
                       for part in (data[5 + at:5 + at + 50] for at in range(0, len(data) - 5, 50)))
    for sent, step in ((data, 1), (records, 7)):
        with socket.create_connection(("127.0.0.1", w.port), 10) as sock:
            for at in range(0, len(sent), step):
                sock.sendall(sent[at:at + step])
            equal(sock.recv(1), b"\x16", "the target's ServerHello")


# ---------------------------------------------------------------------- who gets nothing


def test_who_names_no_service_is_closed_and_counted(w):
    site(w)
    w.group("empty", protocol="TCP")
    passthrough(w, "bare", w.port, "forward = empty")
    rows = ((hello(None), "passthrough_no_name_total"),
            (hello("other.localhost"), "passthrough_unknown_total"),
            (hello("bare.localhost"), "no_target_total"),
            (b"GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n", "passthrough_bad_hellos_total"),
            (b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10", "passthrough_bad_hellos_total"),
            (b"\x16\x03\x01\xff\xff" + b"\x01" * 2000, "passthrough_bad_hellos_total"),
            (os.urandom(1000).replace(b"\x16", b"\x17", 1), "passthrough_bad_hellos_total"))
    for data, counter in rows:
        before = metric(w, counter)
        check(what_comes(w, data) in CLOSED, f"{counter}: closed without a byte")
        equal(metric(w, counter), before + 1, counter)
    equal(w.target.connections, 0, "nothing of it came to the target")
    equal(metric(w, "passthrough_connections_total"), 0)


@limit(60)
def test_half_open_handshakes_hold_up_nobody(w):
    w.restart(conf="[engine]\nworkers = 1\nhead-timeout-ms = 2000\n")
    site(w)
    w.group("web", w.add_target("web"))
    http = free_port()
    w.service("page", http, "forward = web")
    half = hello("shop.localhost")[:100]
    socks = [socket.create_connection(("127.0.0.1", w.port), 10) for _ in range(400)]
    began = time.monotonic()
    for sock in socks:
        sock.sendall(half)
    equal(w.get(host="page", port=http).status, 200)
    with client(w, "shop.localhost", w.target) as c:
        equal(c.ask().status, 200)
    check(time.monotonic() - began < 1.9, "while all of them wait")
    for sock in socks:
        equal(sock.recv(1), b"", "closed at the deadline")
        sock.close()
    equal(metric(w, "passthrough_timeouts_total"), len(socks))


def test_a_group_of_another_kind_is_refused(w):
    site(w)
    w.group("web", "127.0.0.1:1")
    done = w.sh(f"echo 'forward = web' > {w.place}/default-action", rc=1)
    check("Invalid argument" in done.err, done.err)
    with client(w, "shop.localhost", w.target) as c:
        equal(c.ask().status, 200, "it is served as before")


# ---------------------------------------------------------------------- which target, and what is counted


def test_shares_are_exact_and_counted(w):
    w.restart(conf="[engine]\nworkers = 1\n")
    site(w)
    green = tls_target(w, "green", "shop.localhost")
    w.group("green", green, protocol="TCP")
    w.write(f"{w.place}/default-action", "forward = blue:30 green:10\n")
    for _ in range(40):
        with client(w, "shop.localhost") as c:
            equal(c.ask().status, 200)
    equal((w.target.connections, green.connections), (30, 10))
    equal(w.number("requests", "services/shop/.status"), 40, "connections, as requests are elsewhere")
    equal(metric(w, "passthrough_connections_total"), 40)
    match(rf"^target 127\.0\.0\.1:{green.port} .* requests 10 inflight \d+$", w.read("target-groups/green/.status"))
    check(metric(w, "passthrough_bytes_received_total") > 40 * 300, "bytes of the clients")
    check(metric(w, "passthrough_bytes_sent_total") > 40 * 500, "bytes of the targets")


def test_a_change_moves_no_connection(w):
    site(w)
    green = tls_target(w, "green", "shop.localhost")
    w.group("green", green, protocol="TCP")
    status = "target-groups/blue/.status"
    with client(w, "shop.localhost") as old:
        equal(old.ask().body, b"blue GET / 0")
        match(r" inflight 1$", w.read(status), "an open connection is in flight")
        w.write(f"{w.place}/default-action", "forward = green\n")
        equal(old.ask().body, b"blue GET / 0", "it stays where it is")
        with client(w, "shop.localhost") as new:
            equal(new.ask().body, b"green GET / 0")
        until(lambda: re.search(r"^latticefs_tables 1$", w.read(".metrics"), re.M), 5, "the old table is not held by it")
        # The target's file goes, the connection does not.
        w.write("services/shop/idle-timeout", "30\n")
        w.remove_file(f"target-groups/blue/targets/127.0.0.1:{w.target.port}")
        equal(old.ask().body, b"blue GET / 0", "and outlives its target's file")


def test_another_target_when_one_refuses(w):
    site(w)
    dead = free_port()
    w.write(f"target-groups/blue/targets/127.0.0.1:{dead}", "")
    for _ in range(6):
        with client(w, "shop.localhost", w.target) as c:
            equal(c.ask().status, 200)
    check(metric(w, "retries_total") >= 2, "the dead one had its turns")
    w.remove_file(f"target-groups/blue/targets/127.0.0.1:{w.target.port}")
    until(lambda: str(w.target.port) not in w.read("target-groups/blue/.status"), 5, "the removal is in force")
    equal(what_comes(w, hello("shop.localhost")), b"", "with no target that answers it is closed")


# ---------------------------------------------------------------------- what is inside


def test_bytes_of_a_long_conversation(w):
    site(w, echo)
    with connect(w, "shop.localhost", w.target, seconds=30) as tls:
        for i in range(300):
            message = b"%d " % i * (1 + i * 7 % 900)
            tls.sendall(message)
            got = b""
            while len(got) < len(message):
                got += tls.recv(65536)
            equal(got, message)
            if i % 100 == 0:
                time.sleep(0.3)
        tls.unwrap()
    until(lambda: metric(w, "connections") == 0, 5, "both have said goodbye")


@limit(60)
def test_megabytes_past_a_slow_reader(w):
    size = 24 << 20
    block = os.urandom(1 << 20)

    def pour(target, wire):
        equal(wire.sock.recv(3), b"go\n")
        for _ in range(size // len(block)):
            wire.sock.sendall(block)
        wire.sock.unwrap()

    site(w, pour)
    w.write("services/shop/idle-timeout", "1\n")
    with connect(w, "shop.localhost", w.target, seconds=30) as tls:
        tls.sendall(b"go\n")
        got = 0
        while more := tls.recv(1 << 16):
            equal(more, (block * 2)[got % len(block):][:len(more)], f"at {got}")
            if got // (8 << 20) != (got + len(more)) // (8 << 20):
                time.sleep(0.5)
            got += len(more)
        equal(got, size)


@limit(60)
def test_who_reads_nothing_holds_up_nobody(w):
    """Downloads that are stuck half-way, and somebody else on the same core; one that goes on then is whole."""
    size, block = 16 << 20, os.urandom(1 << 20)

    def pour(target, wire):
        if wire.sock.recv(3) == b"go\n":
            for _ in range(size // len(block)):
                wire.sock.sendall(block)
        else:
            wire.sock.sendall(b"short")
        wire.sock.unwrap()

    w.restart(conf="[engine]\nworkers = 1\n")
    site(w, pour)
    with contextlib.ExitStack() as stack:
        stuck = [stack.enter_context(connect(w, "shop.localhost", w.target, seconds=30)) for _ in range(4)]
        for tls in stuck:
            tls.sendall(b"go\n")
            equal(len(tls.recv(1000)), 1000, "it has begun")
        counts = []

        def at_rest():
            counts.append(metric(w, "passthrough_bytes_sent_total"))
            return counts[-10:] == counts[-1:] * 10
        until(at_rest, 20 * SLOW, "all are stuck")
        for _ in range(20):
            with connect(w, "shop.localhost", w.target) as tls:
                tls.sendall(b"no\n")
                equal(tls.recv(100), b"short")
        got = 1000
        while more := stuck[0].recv(1 << 16):
            equal(more, (block * 2)[got % len(block):][:len(more)], f"at {got}")
            got += len(more)
        equal(got, size)


def test_an_upgrade_inside(w):
    """As WebSocket does it: HTTP first, then frames of either side in any order, and the end of each apart."""
    def server(target, wire):
        request = target.next(wire)
        equal(request.one("upgrade"), "websocket")
        wire.sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello")
        while True:
            size = wire.take(2)[1]
            frame = wire.take(size)
            wire.sock.sendall(bytes([0x81, size]) + frame[::-1])
            if frame == b"bye":
                wire.sock.unwrap()
                return

    site(w, server)
    with client(w, "shop.localhost", w.target) as c:
        answer = c.ask(host="shop.localhost", headers="Connection: Upgrade\r\nUpgrade: websocket\r\n")
        equal(answer.status, 101)
        equal(c.take(7), b"\x81\x05hello", "the target speaks without being asked")
        for word in (b"abc", b"x" * 120, b"bye"):
            c.send(bytes([0x81, len(word)]) + word)
            equal(c.take(2 + len(word)), bytes([0x81, len(word)]) + word[::-1])
        check(c.closed(), "the target's end")
    equal(metric(w, "upgrades_total"), 0, "nobody has looked inside")


def test_http2_inside(w):
    """Client and target agree on h2, and no stream of it is ours."""
    site(w, h2kit.target_script(), alpn=("h2",))
    w.target.handler = h2kit.plain
    out = w.sh(f"curl -sS --http2 --cacert {w.target.cert} --resolve shop.localhost:{w.port}:127.0.0.1 -w ' %{{http_version}};' "
               f"--data-binary @/bin/bash https://shop.localhost:{w.port}/a -o - --next -sS --http2 --cacert {w.target.cert} "
               f"--resolve shop.localhost:{w.port}:127.0.0.1 -w ' %{{http_version}};' https://shop.localhost:{w.port}/b", quiet=True).out
    equal(out, f"blue POST /a {os.path.getsize('/bin/bash')} 2;blue GET /b 0 2;")
    equal(w.target.connections, 1)
    equal((metric(w, "h2_connections_total"), metric(w, "tls_handshakes_total")), (0, 0), "neither TLS nor HTTP/2 is ours")


def test_the_idle_timeout(w):
    site(w, echo)
    w.write("services/shop/idle-timeout", "1\n")
    with connect(w, "shop.localhost", w.target) as tls:
        for _ in range(4):
            time.sleep(0.6)
            tls.sendall(b"x")
            equal(tls.recv(1), b"x", "bytes keep it")
        began = time.monotonic()
        equal(end_below(tls), "closed")
        check(0.7 < time.monotonic() - began < 3.5, f"after 1 s, was {time.monotonic() - began:.2f}")


def test_a_target_that_breaks_off(w):
    def broken(target, wire):
        wire.sock.sendall(b"half")
        wire.sock.recv(4)
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        wire.sock.close()

    site(w, broken)
    with connect(w, "shop.localhost", w.target) as tls:
        equal(tls.recv(4), b"half")
        tls.sendall(b"more")
        equal(end_below(tls), "reset", "the client sees what the target did")


def test_the_stop_waits_and_then_cuts(w):
    w.restart(conf="[engine]\nworkers = 1\ndrain-timeout-ms = 1500\n")
    site(w, echo)
    with connect(w, "shop.localhost", w.target) as tls, \
            socket.create_connection(("127.0.0.1", w.port), 10) as silent:
        tls.sendall(b"x")
        equal(tls.recv(1), b"x")
        until(lambda: metric(w, "connections") == 2, 5, "both are accepted")
        began = time.monotonic()
        w.stop()
        took = time.monotonic() - began
        check(1.3 < took < 6, f"the open one was waited for: {took:.2f} s")
        equal(silent.recv(1), b"")
        equal(end_below(tls), "reset", "and then cut off")
    with socket.socket() as probe:
        check(probe.connect_ex(("127.0.0.1", w.port)) != 0, "nobody listens")


def test_http_inside_after_a_closed_connection(w):
    """A target that closes after its answer: the end comes over, and the next connection is a new one."""
    def once(target, wire):
        target.reply(wire, body="bye", headers="Connection: close\r\n")
        wire.sock.unwrap()

    site(w, lambda target, wire: once(target, wire) if target.next(wire) else None)
    for _ in range(3):
        with client(w, "shop.localhost", w.target) as c:
            equal(c.ask().body, b"bye")
            try:
                check(c.closed(), "the target's end is the client's")
            except Closed:
                pass
    equal(w.target.connections, 3)
