"""test_mtls.py - client certificates: who must show one, what the target is told, and who does not get in."""
import errno
import os
import re
import ssl

import h2kit
from h2kit import connect
from harness import Client, check, equal, limit, match, refused, until
from tlskit import CA, alert, fingerprint, https_service, https_site, metric, presents, secure, trust

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
NAMES = ("DNS:app.example", "URI:spiffe://example/ns/shop/sa/app", "DNS:other.example")


def mutual_site(w):
    """A service that asks for certificates of `Clients`; sets ca, clients, pair."""
    https_site(w)
    w.clients = CA(w.base, "Clients")
    w.pair = w.clients.issue("app", *NAMES, subject="/O=Example/OU=Platform")
    w.write("services/shop/client-ca", w.clients.pem)
    return w


def identity(w):
    """The header of the last request, as a list of key and value; each key of Lattice's stands there once."""
    found = w.target.last().all("x-amzn-lattice-identity")
    equal(len(found), 1, "one header")
    return found[0], [tuple(part.strip().split("=", 1)) for part in found[0].split(";") if part.strip()]


def test_a_certificate_is_required_and_told(w):
    mutual_site(w)
    for most in VERSIONS:
        with secure(w.port, context=trust(w.ca, pair=w.pair, most=most)) as client:
            answer = client.ask(headers="X-Amzn-Lattice-Identity: Principal=root; X509Subject/CN=root\r\n"
                                "x-amzn-lattice-identity: again\r\n")
            equal(answer.status, 200, f"{most}")
        text, told = identity(w)
        for pair in (("X509Subject/CN", "app"), ("X509Issuer/OU", "Tests"), ("X509SAN/DNS", "app.example"),
                     ("X509SAN/URI", "spiffe://example/ns/shop/sa/app")):
            check(pair in told, f"{pair} in {text}")
        mark = fingerprint(ssl.PEM_cert_to_DER_cert(w.pair.cert))
        check(mark in text.replace(":", "").lower(), f"the SHA-256 fingerprint {mark} in {text}")
        check("root" not in text and "again" not in text, f"what the client said is stripped: {text}")
    with connect(w.port, context=trust(w.ca, pair=w.pair, alpn=["h2"])) as peer:
        equal(peer.ask(scheme="https", headers=[("x-amzn-lattice-identity", "Principal=root")]).status, 200)
    check("root" not in identity(w)[0] and ("X509Subject/CN", "app") in identity(w)[1], "over HTTP/2 too")


def test_the_identity_reaches_http2_targets(w):
    mutual_site(w)
    w.target = h2kit.add_h2_target(w, "h2")
    w.group("h2", w.target, protocol_version="HTTP2")
    w.write(f"{w.place}/default-action", "forward = h2\n")
    with secure(w.port, context=trust(w.ca, pair=w.pair)) as client:
        equal(client.ask(headers="X-Amzn-Lattice-Identity: Principal=root\r\n").status, 200)
    check(("X509SAN/URI", NAMES[1][4:]) in identity(w)[1], identity(w)[0])


def test_odd_names_cannot_forge_fields(w):
    """A subject with the separators of the header in it makes no field of its own, and no line."""
    mutual_site(w)
    pair = w.clients.issue("a;X509SAN\\/URI=spiffe:\\/\\/evil", "DNS:odd.example", subject="/OU=x; Principal=root")
    with secure(w.port, context=trust(w.ca, pair=pair)) as client:
        equal(client.ask().status, 200)
    text, told = identity(w)
    check(("X509SAN/URI", "spiffe://evil") not in told and ("Principal", "root") not in told, text)
    check(not re.search(r"[\r\n\0]", text), text)


@limit(60)
def test_who_does_not_get_in(w):
    mutual_site(w)
    foreign = CA(w.base, "Foreign")
    expired = w.clients.issue("old", *NAMES, days=(-10, -2))
    forged = CA(w.base, "forged-below")
    forged.file("ca.pem", w.pair.cert)  # a leaf that signs
    forged.file("ca.key", w.pair.key)
    below = forged.issue("below", "DNS:below.example")
    for most in VERSIONS:
        for pair, note in ((None, "no certificate"), (foreign.issue("app", *NAMES), "a foreign one"), (expired, "an expired one"),
                           (below, "one that a leaf signed")):
            before, served = metric(w, "latticefs_tls_client_refused_total"), w.target.count()
            reason = alert(w.port, context=trust(w.ca, pair=pair, most=most))
            check("ALERT" in reason, f"{note} fails in the handshake: {reason}")
            equal(w.target.count(), served, f"{note} reached nobody")
            equal(metric(w, "latticefs_tls_client_refused_total") - before, 1, f"{note} is counted")
    with secure(w.port, context=trust(w.ca, pair=w.pair)) as client:
        equal(client.ask().status, 200, "the good one still does")


def test_the_alert_is_not_lost_in_a_reset(w):
    """A client that has sent its request already must still read why it was refused."""
    mutual_site(w)
    context = trust(w.ca)
    for i in range(10):
        with secure(w.port, context=context) as client:
            try:
                client.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 300000\r\n\r\n")
                for _ in range(20):
                    client.send(b"x" * 15000)
                reason = client.sock.recv(1)
            except ssl.SSLError as error:
                reason = error.reason
            check("CERTIFICATE_REQUIRED" in str(reason), f"{i}: {reason!r}")


@limit(60)
def test_revoked_certificates(w):
    mutual_site(w)
    with secure(w.port, context=trust(w.ca, pair=w.pair)) as running:
        equal(running.ask().status, 200)
        good = w.clients.issue("good", *NAMES)
        w.clients.revoke(w.pair)
        w.write("services/shop/client-ca", w.clients.pem + w.clients.crl())
        before = metric(w, "latticefs_tls_client_refused_total")
        for most in VERSIONS:
            check("REVOKED" in alert(w.port, context=trust(w.ca, pair=w.pair, most=most)), "the alert says it")
            with secure(w.port, context=trust(w.ca, pair=good, most=most)) as client:
                equal(client.ask().status, 200, "one that is not revoked")
        equal(metric(w, "latticefs_tls_client_refused_total") - before, 2, "counted")
        equal(running.ask().status, 200, "a running connection is untouched")
    match(r"^client-ca 1 certificate, 1 revocation list$", w.read("services/shop/.status"))


def test_lists_that_cannot_be_used_are_refused(w):
    """Each would let in nobody, or be of no use."""
    mutual_site(w)
    clients, text = w.clients.pem, w.read("services/shop/client-ca")
    line = clients.count("\n") + 1
    foreign = CA(w.base, "Foreign").crl()
    for wrong, sentence in (
            (clients + w.clients.crl((-9, -2)), r"the revocation list of CN=Clients,OU=Tests expired on \d{4}-\S+Z"),
            (clients + w.clients.crl((2, 9)), r"the revocation list of CN=Clients,OU=Tests is not valid before \d{4}-\S+Z"),
            (clients + foreign, "this revocation list is of CN=Foreign,OU=Tests, whose certificate is not in this file")):
        for place in ("services/shop/client-ca", "target-groups/blue/ca"):
            refused(errno.EINVAL, w.write, place, wrong)
            match(rf"{place}:{line}:[01]: {sentence}\n  -----BEGIN X509 CRL-----$", w.errors())
        with open(os.path.join(w.base, "wrong.pem"), "w") as out:
            out.write(wrong)
        w.sh("cat ../wrong.pem > services/shop/client-ca", rc=1)
    equal(w.read("services/shop/client-ca"), text)
    with secure(w.port, context=trust(w.ca, pair=w.pair)) as client:
        equal(client.ask().status, 200, "nothing has changed")
    w.write("target-groups/blue/ca", w.clients.crl() + clients)
    match(r"^ca 1 certificate, 1 revocation list$", w.read("target-groups/blue/.status"))


@limit(60)
def test_a_list_that_runs_out_lets_nobody_in(w):
    mutual_site(w)
    w.stop()
    with open(f"{w.store}/services/shop/client-ca", "a") as out:
        out.write(w.clients.crl((-9, -2)))
    w.start()
    match(r"^status ACTIVE$", w.read("services/shop/.status"))
    match(r"^client-ca 1 certificate, 1 revocation list\n"
          r"client-ca expired \d{4}-\S+Z: the revocation list of CN=Clients,OU=Tests$", w.read("services/shop/.status"))
    check("ALERT" in alert(w.port, context=trust(w.ca, pair=w.pair)), "nobody knows who is on the next list")
    w.write("services/shop/client-ca", w.clients.pem + w.clients.crl())
    check("expired" not in w.read("services/shop/.status"), "the new list")
    with secure(w.port, context=trust(w.ca, pair=w.pair)) as client:
        equal(client.ask().status, 200)


def test_intermediates_of_clients(w):
    https_site(w)
    root = CA(w.base, "Clients")
    inner = root.inner("Team")
    pair = inner.issue("app", *NAMES)
    w.write("services/shop/client-ca", root.pem)
    with secure(w.port, context=trust(w.ca, pair=pair)) as client:
        equal(client.ask().status, 200, "the client sends the chain")
    check(("X509Subject/CN", "app") in identity(w)[1], "the leaf's subject")


@limit(60)
def test_another_client_ca_holds_at_once_also_for_tickets(w):
    """A session of before resumes nothing that the new CA would not let in."""
    mutual_site(w)
    others = CA(w.base, "Others")
    pair = others.issue("other", *NAMES)
    for most in VERSIONS:
        w.write("services/shop/client-ca", w.clients.pem)
        context = trust(w.ca, pair=w.pair, most=most)
        with secure(w.port, context=context) as client:
            equal(client.ask().status, 200)
            session = client.sock.session
        with secure(w.port, context=context, session=session) as client:
            equal((client.ask().status, client.sock.session_reused), (200, True), "it resumes while nothing changes")
            check(("X509Subject/CN", "app") in identity(w)[1], "a resumed session has its identity")
        w.write("services/shop/client-ca", others.pem)
        try:
            with secure(w.port, context=context, session=session) as client:
                client.ask()
            check(False, "a ticket of before got in")
        except ssl.SSLError as error:
            check("ALERT" in error.reason, error.reason)
        with secure(w.port, context=trust(w.ca, pair=pair, most=most)) as client:
            equal(client.ask().status, 200, "who the new one signed")


@limit(60)
def test_a_ticket_from_before_client_ca_is_no_way_in(w):
    https_site(w)
    clients = CA(w.base, "Clients")
    for most in VERSIONS:
        w.sh("rm -f services/shop/client-ca")
        context = trust(w.ca, most=most)
        until(lambda: open_to_all(w, context), 5, "nobody is asked")
        with secure(w.port, context=context) as client:
            equal(client.ask().status, 200)
            session = client.sock.session
        w.write("services/shop/client-ca", clients.pem)
        try:
            with secure(w.port, context=context, session=session) as client:
                client.ask()
            check(False, "a ticket of before got in")
        except ssl.SSLError as error:
            check("ALERT" in error.reason, error.reason)


def open_to_all(w, context):
    try:
        with secure(w.port, context=context) as client:
            return client.ask().status == 200
    except ssl.SSLError:
        return False


def test_a_neighbour_asks_for_none(w):
    """client-ca is a service's own: another one on the same address serves without."""
    mutual_site(w)
    https_service(w, "cart", w.port, "forward = blue")
    with secure(w.port, "cart.localhost", trust(w.ca)) as client:
        equal(client.ask(host="cart.localhost").status, 200)
        equal(w.target.last().all("x-amzn-lattice-identity"), [])
        equal(client.ask(host="shop.localhost").status, 421, "and is no way around")
    check("ALERT" in alert(w.port, "shop.localhost", trust(w.ca)), "the service itself asks")
    check(presents(w.port, "cart.localhost"), "served")
    with Client(w.port) as client:
        equal(client.ask().status, 400, "nor is cleartext")
