"""test_tls.py - HTTPS listeners: whose certificate, which versions, sessions, swaps, and what is no handshake."""
import errno
import hashlib
import os
import resource
import socket
import ssl
import stat
import threading
import time

from harness import SLOW, Client, Failed, check, equal, limit, match, refused, until
from test_http import tunnel, UPGRADE
from tlskit import (CA, Slow, alert, https_service, https_site, install, metric, openssl, presents, secure, shown, trust)

ASK = "GET / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n"


def s_client(w, *words, file=None, rc=0, name="shop.localhost"):
    """openssl s_client that asks for / and reads to the end; what it says."""
    return openssl("s_client", "-connect", f"127.0.0.1:{w.port}", "-servername", name, "-CAfile", file or w.ca,
                   "-verify_return_error", "-ign_eof", *words, data=ASK.encode(), rc=rc)


# ---------------------------------------------------------------------- certificates


def test_a_service_without_a_certificate_has_one_of_the_local_ca(w):
    https_site(w)
    check(".ca.pem" not in os.listdir(w.mnt), "the CA's certificate is hidden")
    equal(stat.S_IMODE(os.stat(w.ca).st_mode) & 0o444, 0o444, "and readable by all")
    for name in ("shop.localhost", "shop.lattice.internal", "shop"):
        for version in ("1.1", "2"):
            out = w.sh(f"curl -s --http{version} --cacert .ca.pem --resolve {name}:{w.port}:127.0.0.1 "
                       f"-w ' %{{http_version}} %{{ssl_verify_result}}' https://{name}:{w.port}/a").out
            equal(out, f"blue GET /a 0 {version} 0", name)
    w.mkdir("services/shop")
    w.write("services/shop/domain", "www.shop.example\n*.wild.example\n")
    for name in ("www.shop.example", "any.wild.example"):
        with secure(w.port, name, trust(w.ca)) as client:
            equal(client.ask(host=name).status, 200, f"a custom domain: {name}")


def test_the_local_ca_outlives_the_daemon(w):
    https_site(w)
    before = w.read(".ca.pem")
    w.restart()
    equal(w.read(".ca.pem"), before)
    with secure(w.port, context=trust(w.ca)) as client:
        equal(client.ask().status, 200)
    for folder, _, names in os.walk(w.store):
        for name in names:
            path = os.path.join(folder, name)
            if b"PRIVATE KEY" in open(path, "rb").read():
                equal(stat.S_IMODE(os.stat(path).st_mode) & 0o077, 0, f"{path} is its owner's alone")


@limit(60)
def test_own_certificates_rsa_and_ecdsa_with_a_chain(w):
    root = CA(w.base, "Root")
    inner = root.inner("Intermediate")
    https_site(w, inner.issue("shop.localhost", "shop.localhost", key="rsa"))
    for key in ("rsa", "ec"):
        pair = inner.issue("shop.localhost", "shop.localhost", key=key)
        w.write("services/shop/certificate", pair.chain)
        w.write("services/shop/private-key", pair.key, 0o600)
        with secure(w.port, context=trust(root.pem_file)) as client:
            equal(client.ask().status, 200, f"{key}: the root alone is trusted, the chain is sent")
            equal(shown(client), pair.mark, key)
        for flag, version in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
            said = s_client(w, flag, file=root.pem_file)
            match(rf"^New, {version}, Cipher is ", said, f"{key} {flag}")
            match(r"Verify return code: 0 \(ok\)", said)
            match("^blue GET / 0", said)
    said = w.read("services/shop/.status")
    match(r"not-after 20\d\d-", said, "its end is told")
    match("shop.localhost", said, "and its names")


def test_the_generated_name_has_the_local_ca_beside_an_own_certificate(w):
    root = CA(w.base, "Root")
    pair = root.issue("www.shop.example", "www.shop.example")
    https_site(w, pair)
    w.write("services/shop/domain", "www.shop.example\n")
    equal(presents(w.port, "www.shop.example", trust(root.pem_file)), pair.mark, "its own for its domain")
    with secure(w.port, "shop.localhost", trust(w.ca)) as client:
        equal(client.ask().status, 200, "the local CA's for the generated name")


def test_old_versions_are_refused(w):
    https_site(w)
    context = trust(least=ssl.TLSVersion.TLSv1, most=ssl.TLSVersion.TLSv1_1)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    equal(alert(w.port, context=context), "TLSV1_ALERT_PROTOCOL_VERSION")
    before = metric(w, "latticefs_tls_failures_total")
    alert(w.port, context=context)
    check(metric(w, "latticefs_tls_failures_total") > before, "counted")


def test_alpn(w):
    https_site(w)
    for offer, want in ((["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"),
                        (None, None), (["http/1.1", "x"], "http/1.1")):
        with secure(w.port, context=trust(w.ca, alpn=offer)) as client:
            equal(client.sock.selected_alpn_protocol(), want, f"offered {offer}")
            if want != "h2":
                equal(client.ask().status, 200, f"HTTP/1.1 when offered {offer}")


# ---------------------------------------------------------------------- names


@limit(60)
def test_sni_picks_among_the_services_of_an_address(w):
    root = CA(w.base, "Root")
    https_site(w)
    pairs = {}
    for name in ("cart", "pay"):
        pairs[name] = root.issue(name, f"{name}.localhost", f"{name}.example")
        install(w, name, pairs[name])
        w.write(f"services/{name}/domain", f"{name}.example\n")
        w.group(name, w.add_target(name))
        https_service(w, name, w.port, f"forward = {name}")
    for name in ("cart", "pay"):
        for full in (f"{name}.localhost", f"{name}.example", f"{name.upper()}.localhost"):
            with secure(w.port, full, trust(root.pem_file)) as client:
                equal(shown(client), pairs[name].mark, full)
                equal(client.ask(host=full).body.decode(), f"{name} GET / 0")
    with secure(w.port, "shop.localhost", trust(w.ca)) as client:
        equal(client.ask(host="shop.localhost").body, b"blue GET / 0")
    before = metric(w, "latticefs_tls_unknown_name_total")
    for name in ("nobody.localhost", "cart.example.org", "x.cart.example"):
        equal(alert(w.port, name), "TLSV1_UNRECOGNIZED_NAME", name)
    equal(metric(w, "latticefs_tls_unknown_name_total") - before, 3, "counted")


def test_the_host_of_another_service_is_misdirected(w):
    https_site(w)
    w.group("cart", w.add_target("cart"))
    https_service(w, "cart", w.port, "forward = cart")
    with secure(w.port, "shop.localhost", trust(w.ca)) as client:
        for host, status in (("shop.localhost", 200), ("shop", 200), ("cart.localhost", 421), (f"CART.localhost:{w.port}", 421),
                             (f"shop.localhost:{w.port}", 200)):
            equal(client.ask(host=host).status, status, host)
    equal(w.targets[-1].count(), 0, "nothing reached the other one")
    out = w.sh(f"curl -sk --http2 --connect-to ::127.0.0.1:{w.port} -H 'Host: cart.localhost' -o /dev/null "
               f"-w '%{{http_code}} %{{http_version}}' https://shop.localhost:{w.port}/").out
    equal(out, "421 2", "over HTTP/2 too")


# ---------------------------------------------------------------------- changes


@limit(60)
def test_a_pair_is_swapped_under_load(w):
    """Both orders; between the two writes the old pair serves. No request fails, no connection is touched."""
    root = CA(w.base, "Root")
    pairs = [root.issue("shop.localhost", "shop.localhost", key=key) for key in ("ec", "rsa")]
    https_site(w, pairs[0])
    over, wrong, asked = threading.Event(), [], [0]

    def keep():
        with secure(w.port, context=trust(root.pem_file), seconds=30) as client:
            while not over.is_set():
                equal(client.ask().status, 200)
                asked[0] += 1

    def renew():
        while not over.is_set():
            with secure(w.port, context=trust(root.pem_file), seconds=30) as client:
                check(shown(client) in (pairs[0].mark, pairs[1].mark), "one of the two")
                equal(client.ask().status, 200)
                asked[0] += 1

    def run(what):
        try:
            what()
        except Exception as problem:
            wrong.append(repr(problem))
    threads = [threading.Thread(target=run, args=(what,)) for what in (keep, keep, renew, renew)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(1, 13):
            new, old = pairs[turn % 2], pairs[(turn - 1) % 2]
            with secure(w.port, context=trust(root.pem_file)) as running:
                equal(running.ask().status, 200)
                files = [("certificate", new.chain), ("private-key", new.key)]
                if turn % 4 < 2:
                    files.reverse()
                w.write(f"services/shop/{files[0][0]}", files[0][1])
                equal(presents(w.port), old.mark, f"turn {turn}: the old pair serves until both are there")
                match(rf"^waiting {files[1][0]}", w.read("services/shop/.status"), f"turn {turn}")
                w.write(f"services/shop/{files[1][0]}", files[1][1])
                equal(presents(w.port), new.mark, f"turn {turn}: the next connection has the new one")
                check("waiting" not in w.read("services/shop/.status"), f"turn {turn}: nothing is waited for")
                equal(running.ask().status, 200, "a running connection goes on")
                equal(shown(running), old.mark)
    finally:
        over.set()
        for thread in threads:
            thread.join(40)
    equal(wrong, [])
    check(asked[0] > 50, f"there was load: {asked[0]}")


def test_a_certificate_that_goes_leaves_the_local_ca(w):
    root = CA(w.base, "Root")
    pair = root.issue("shop.localhost", "shop.localhost")
    https_site(w, pair)
    equal(presents(w.port), pair.mark)
    equal(w.read("services/shop/certificate"), pair.chain, "reads back as written")
    w.sh("rm services/shop/certificate services/shop/private-key")
    until(lambda: presents(w.port) != pair.mark, 5, "the local CA's")
    with secure(w.port, context=trust(w.ca)) as client:
        equal(client.ask().status, 200)


@limit(60)
def test_wrong_pem_is_refused_and_the_old_pair_serves(w):
    root = CA(w.base, "Root")
    pair = root.issue("shop.localhost", "shop.localhost")
    https_site(w, pair)
    for name, text in (("certificate", "hello\n"), ("private-key", "hello\n"), ("client-ca", "hello\n"),
                       ("certificate", pair.chain[:200] + "\n"), ("private-key", pair.key.replace("A", "!", 3)),
                       ("certificate", pair.chain.replace("\nMII", "\nAAA")), ("certificate", pair.key),
                       ("private-key", pair.chain)):
        refused(errno.EINVAL, w.write, f"services/shop/{name}", text)
        match(rf"services/shop/{name}", w.errors(), "the refusal is told")
    equal(presents(w.port), pair.mark)
    equal(w.read("services/shop/certificate"), pair.chain, "the old text stays")


def test_a_private_key_is_its_owners(w):
    root = CA(w.base, "Root")
    pair = root.issue("shop.localhost", "shop.localhost")
    https_site(w)
    w.write("services/shop/certificate", pair.chain)
    w.write("services/shop/private-key", pair.key, 0o644)
    for path in (w.path("services/shop/private-key"), os.path.join(w.store, "services/shop/private-key")):
        equal(oct(stat.S_IMODE(os.stat(path).st_mode)), "0o600", path)
    equal(presents(w.port), pair.mark)


def test_an_expired_certificate_is_told(w):
    root = CA(w.base, "Root")
    for days, word in (((-10, -2), "expired on"), ((2, 10), "not valid before")):
        pair = root.issue("shop.localhost", "shop.localhost", days=days)
        if days[0] < 0:
            https_site(w)
        try:
            install(w, "shop", pair)
            said = w.read("services/shop/.status")
        except OSError as error:
            equal(error.errno, errno.EINVAL)
            said = w.errors()
        match(word, said, "why")


# ---------------------------------------------------------------------- what passes


def test_forwarded_proto_and_port(w):
    https_site(w)
    with secure(w.port) as client:
        client.ask(headers="X-Forwarded-Proto: http\r\nX-Forwarded-Port: 1\r\n")
    seen = w.target.last()
    equal((seen.all("x-forwarded-proto"), seen.all("x-forwarded-port")), (["https"], [str(w.port)]))


@limit(60)
def test_bodies_and_tunnels_over_tls(w):
    size = 8 << 20
    blob = os.urandom(size)
    digest = hashlib.sha256(blob).hexdigest()

    def echo(target, wire, request):
        target.reply(wire, 200, request.body, f"X-Seen: {hashlib.sha256(request.body).hexdigest()}\r\n")
    https_site(w, handler=echo)
    for most in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with secure(w.port, context=trust(most=most), seconds=30) as client:
            for body in (b"", b"x", blob[:65536], blob):
                client.send(f"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: {len(body)}\r\n\r\n")
                client.send(body)
                answer = client.answer("POST")
                equal(answer.one("x-seen"), hashlib.sha256(body).hexdigest(), f"{len(body)} up")
                equal(answer.body == body, True, f"{len(body)} down")
    equal(answer.one("x-seen"), digest)
    w.group("ws", w.add_target("ws", script=tunnel))
    w.write(f"{w.place}/default-action", "forward = ws\n")
    with secure(w.port) as client:
        equal(client.send(UPGRADE).answer().status, 101)
        equal(client.take(5), b"first")
        equal(client.send(b"hello").take(7), b"<hello>", "a tunnel inside of TLS")


def test_an_end_is_told_by_close_notify(w):
    """An HTTP/1.0 answer ends by close: only a close_notify tells it from a cut one."""
    def until_close(target, wire, request):
        wire.sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100000)
        return False
    https_site(w, handler=until_close)
    for most in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        sock = trust(most=most).wrap_socket(socket.create_connection(("127.0.0.1", w.port), 10),
                                            server_hostname="shop.localhost", suppress_ragged_eofs=False)
        sock.sendall(b"GET / HTTP/1.0\r\nHost: shop\r\n\r\n")
        parts = []
        while True:
            part = sock.recv(65536)  # a close without the notify raises
            if not part:
                break
            parts.append(part)
        check(b"".join(parts).endswith(b"\r\n\r\n" + b"x" * 100000), "all of it")
        sock.close()


@limit(60)
def test_slow_readers_over_tls_cost_no_memory(w):
    size = 32 << 20

    def big(target, wire, request):
        wire.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size >> 20):
            wire.sock.sendall(b"z" * (1 << 20))
            target.sent += 1 << 20
    https_site(w, handler=big)
    w.target.sent = 0
    before = w.rss()
    clients = [secure(w.port, seconds=30).send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n") for _ in range(6)]
    last, since = -1, time.monotonic()
    while time.monotonic() - since < 0.7:
        if w.target.sent != last:
            last, since = w.target.sent, time.monotonic()
        time.sleep(0.02)
    check(last < 6 * size, f"the targets wait: {last} bytes sent")
    # A sanitizer keeps what was freed for a while.
    check(w.rss() - before < (24 if SLOW == 1 else 64) << 20, f"{(w.rss() - before) >> 10} KiB more for 6 stuck downloads")
    for client in clients[1:]:
        client.sock.close()
    equal(len(clients[0].answer().body), size, "the patient one gets all of it")
    clients[0].sock.close()


# ---------------------------------------------------------------------- sessions


@limit(60)
def test_sessions_are_resumed_by_every_worker(w):
    https_site(w)
    saved = os.path.join(w.base, "session")
    for flag in ("-tls1_2", "-tls1_3"):
        match("^New, TLS", s_client(w, flag, "-sess_out", saved), "a first session")
        before = metric(w, "latticefs_tls_resumed_total")
        for i in range(16):
            match("^Reused, TLS", s_client(w, flag, "-sess_in", saved), f"{flag}, connection {i}: whichever worker has it")
        check(metric(w, "latticefs_tls_resumed_total") >= before + 16, "counted")
    for i in range(3):
        match("^Reused, TLS", s_client(w, "-tls1_3", "-sess_in", saved, "-sess_out", saved + "-next"), f"resumption {i}")
        os.rename(saved + "-next", saved)  # TLS 1.3 takes a ticket once: every connection gives the next one
    check(metric(w, "latticefs_tls_handshakes_total") >= 34, "handshakes are counted")


def test_a_session_is_its_services_alone(w):
    https_site(w)
    https_service(w, "cart", w.port, "forward = blue")
    context = trust(most=ssl.TLSVersion.TLSv1_2)
    with secure(w.port, "shop.localhost", context) as client:
        client.ask()
        session = client.sock.session
    with secure(w.port, "shop.localhost", context, session) as client:
        equal(client.sock.session_reused, True)
    with secure(w.port, "cart.localhost", context, session) as client:
        equal(client.sock.session_reused, False, "another service does not take it")
        equal(client.ask(host="cart").status, 200)


# ---------------------------------------------------------------------- bad input


def test_http_on_an_https_port_is_told_so(w):
    https_site(w)
    before = metric(w, "latticefs_tls_plain_http_total")
    for raw in ("GET / HTTP/1.1\r\nHost: shop\r\n\r\n", "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello",
                "DELETE /x HTTP/1.0\r\n\r\n"):
        with Client(w.port) as client:
            answer = client.send(raw).answer()
            equal(answer.status, 400, raw)
            check(b"HTTPS" in answer.body.upper(), f"it says why: {answer.body!r}")
            check(client.closed(), "and closes")
    equal(metric(w, "latticefs_tls_plain_http_total") - before, 3, "counted")
    equal(w.target.count(), 0)


def hello(name="shop.localhost"):
    """The first flight of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    inner = trust().wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        inner.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise Failed("a handshake without a peer")


def test_handshakes_byte_by_byte(w):
    https_site(w)
    for most in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        inner = trust(w.ca, most=most).wrap_bio(incoming, outgoing, server_hostname="shop.localhost")
        with Client(w.port) as wire:
            def turn(call):
                while True:
                    try:
                        result = call()
                    except ssl.SSLWantReadError:
                        result = None
                    for byte in outgoing.read():
                        wire.send(bytes([byte]))
                    if result is not None:
                        return result
                    wire.fill()
                    incoming.write(wire.buffer)
                    wire.buffer = b""
            turn(lambda: inner.do_handshake() or True)
            turn(lambda: inner.write(ASK.encode()))
            check(turn(lambda: inner.read(65536)).startswith(b"HTTP/1.1 200"), f"{most}")


GARBAGE = [b"\x16\x03\x01\xff\xff" + b"x" * 3000, b"\x16\x03\x01\x00\x05hello", b"\x80\x2e\x01\x03\x01" + b"\0" * 60,
           b"\x17\x03\x03\x00\x05hello", b"\x15\x03\x03\x00\x02\x02\x28", b"\x14\x03\x03\x00\x01\x01", b"\0" * 500,
           b"\x16\x03\x03\x00\x00" * 100, b"SSH-2.0-OpenSSH_9.2\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\xff" * 20000]


def test_garbage_is_no_handshake(w):
    https_site(w)
    first = hello()
    broken = [first[:60] + bytes([first[60] ^ 0xff]) + first[61:-40] + b"\xff" * 40, first + b"\x16\x03\x03\x40\x01" + b"q" * 16385,
              first[:9] + b"\xff\xff" + first[11:], first + first]
    for raw in GARBAGE + broken:
        with Client(w.port) as client:
            try:
                client.send(raw)
                client.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            check(client.closed(), f"closed after {raw[:40]!r}")
    with secure(w.port, context=trust(w.ca)) as client:
        equal(client.ask().status, 200)
    until(lambda: w.number("connections") == 0, 5, "no connection is left")
    equal(w.target.count(), 1, "nothing of it was a request")


@limit(60)
def test_cut_handshakes_leave_nothing(w):
    https_site(w)
    first = hello()
    for at in list(range(0, len(first), 7)) + [len(first)]:
        with Client(w.port) as client:
            client.send(first[:at])
    until(lambda: w.number("connections") == 0, 5, "no connection is left")
    with secure(w.port, context=trust(w.ca)) as client:
        equal(client.ask().status, 200)


def test_a_slow_handshake_is_closed(w):
    w.stop()
    w.start("[engine]\nworkers = 1\nhead-timeout-ms = 1000\n")
    https_site(w)
    first = hello()
    for data in (b"", first[:3], first[:100], first):
        with Client(w.port) as client:
            began = time.monotonic()
            client.send(data)
            check(client.closed(5), f"closed {len(data)} bytes into the handshake")
            check(time.monotonic() - began < 4 * SLOW, f"in time: {time.monotonic() - began:.1f} s")
    with Client(w.port) as client:
        began = time.monotonic()
        for byte in first:
            try:
                client.send(bytes([byte]))
            except OSError:
                break
            if client.closed(0.1 / SLOW):
                break
        check(time.monotonic() - began < 5 * SLOW, "a trickle does not keep it alive")
    with secure(w.port) as client:
        equal(client.ask().status, 200)


@limit(90)
def test_thousands_of_half_open_handshakes(w):
    """2,000 connections stay in the handshake: others are served as quickly, memory stays bounded, all end in time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    w.stop()
    w.start("[engine]\nworkers = 2\nhead-timeout-ms = 15000\n")
    https_site(w)
    with secure(w.port) as client:
        equal(client.ask().status, 200)
    before = w.rss()
    first = hello()
    cuts = (b"", first[:5], first[:200], first)
    open_ones = [Slow(w.port, cuts[i % 4]) for i in range(2000)]
    took = []
    for _ in range(50):
        began = time.monotonic()
        with secure(w.port, context=trust(w.ca)) as client:
            equal(client.ask().status, 200)
        took.append(time.monotonic() - began)
    took.sort()
    check(took[25] < 0.3 * SLOW and took[-1] < 5 * SLOW, f"50 others took {took[25]:.2f} s each, the slowest {took[-1]:.2f} s")
    grown = w.rss() - before
    check(grown < 2000 * (64 << 10) * SLOW, f"{grown >> 10} KiB for 2,000 half-open handshakes")
    for wire in open_ones:
        wire.sock.settimeout(25 * SLOW)
        try:
            wire.rest()
        except socket.timeout:
            raise Failed("a half-open handshake outlives the time for a head")
        wire.sock.close()
    until(lambda: w.number("connections") == 0, 5, "no connection is left")
