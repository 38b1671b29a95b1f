"""test_certificates.py - certificates, keys and the local CA as files: what is taken, refused, told and kept to itself."""
import errno
import os
import re
import stat
import subprocess

from harness import NOBODY, check, equal, free_port, limit, match, refused

PLACE = "services/shop"


def openssl(w, command, rc=0):
    done = subprocess.run(f"openssl {command}", shell=True, cwd=w.base, capture_output=True, text=True, timeout=30, check=False)
    equal(done.returncode, rc, f"openssl {command}\n{done.stderr}")
    return done.stdout


def pair(w, name, algorithm="ec -pkeyopt ec_paramgen_curve:P-256", more=""):
    """(certificate, private key) of a name, made by the openssl command."""
    openssl(w, f"req -x509 -newkey {algorithm} -nodes -keyout {name}.key -out {name}.pem -subj '/CN={name}' {more}")
    return open(os.path.join(w.base, f"{name}.pem")).read(), open(os.path.join(w.base, f"{name}.key")).read()


def site(w):
    """A service with an HTTPS listener."""
    w.network()
    place = w.service("shop", free_port(), "fixed-response = 404")
    w.write(f"{place}/protocol", "HTTPS\n")
    return place


def shown(w, place=PLACE):
    """(issuer of the first certificate, what is waited for)."""
    status = w.read(f"{place}/.status")
    waiting = re.search(r"^waiting (.*)$", status, re.M)
    return match(r"^issuer (.*)$", status)[1], waiting and waiting[1]


LOCAL = "CN=latticefs local CA"


def test_a_pair_is_taken_when_both_match(w):
    site(w)
    pairs = [pair(w, f"p{i}") for i in range(2)]
    names = ("certificate", "private-key")
    for first in (0, 1):
        second = 1 - first
        equal(shown(w), (LOCAL, None))
        w.write(f"{PLACE}/{names[first]}", pairs[0][first])
        equal(shown(w), (LOCAL, names[second]), "half a pair")
        w.write(f"{PLACE}/{names[second]}", pairs[0][second])
        equal(shown(w), ("CN=p0", None), "the pair")
        before = w.generation()
        w.write(f"{PLACE}/{names[first]}", pairs[1][first])
        equal(shown(w), ("CN=p0", f"{names[second]}: the one that is there does not match the {names[first]}"))
        equal(w.generation(), before, "nothing that is served has changed")
        w.write(f"{PLACE}/{names[second]}", pairs[1][second])
        equal(shown(w), ("CN=p1", None), "the new pair")
        w.sh(f"rm {PLACE}/{names[first]} {PLACE}/{names[second]}; sleep 0.1; cat .status > /dev/null", quiet=True)
    equal(shown(w), (LOCAL, None))
    equal(w.errors(), "", "nothing of this was wrong")


def test_a_pair_is_swapped_by_what_tools_do(w):
    site(w)
    for i, script in enumerate((
            "cp ../p0.pem {p}/certificate && cp ../p0.key {p}/private-key",
            "cat ../p1.key > {p}/private-key && cat ../p1.pem > {p}/certificate",
            "cp ../p2.key {p}/.new && mv {p}/.new {p}/private-key && cp ../p2.pem {p}/.new && mv {p}/.new {p}/certificate",
            "cp ../p3.pem {p}/.c && cp ../p3.key {p}/.k && ln -f {p}/.c {p}/certificate && ln -f {p}/.k {p}/private-key",
            "mkdir t && cp ../p4.pem t/certificate && cp ../p4.key t/private-key && rsync -ac t/ {p}/",
            "touch .hold && cp ../p5.pem {p}/certificate && cat .hold && cp ../p5.key {p}/private-key && rm .hold")):
        pair(w, f"p{i}")
        w.sh(script.format(p=PLACE), quiet=True)
        equal(shown(w), (f"CN=p{i}", None), script)
        equal(oct(os.stat(f"{w.store}/{PLACE}/private-key").st_mode & 0o7777), "0o600", script)
    w.sh(f"touch .hold && cp ../p0.pem {PLACE}/certificate && echo abort > .hold", quiet=True)
    equal(shown(w), ("CN=p5", None), "an abort of half a swap")
    w.sh(f"touch .hold && cp ../p0.pem {PLACE}/certificate && rm .hold", quiet=True)
    equal(shown(w), ("CN=p5", "private-key: the one that is there does not match the certificate"), "half a swap in a hold")
    w.sh("git init -q . && git add services && git -c user.name=x -c user.email=x@y commit -qm one && "
         f"cp ../p1.pem {PLACE}/certificate && cp ../p1.key {PLACE}/private-key && git checkout -q . && sleep 0.1")
    equal(shown(w)[0], "CN=p1", "git put p0's certificate and p5's key back: the last pair stays")


def test_status_and_metrics_tell_of_it(w):
    place = site(w)
    text, key = pair(w, "shop.example", more="-days 40 -addext subjectAltName=DNS:shop.example,DNS:*.shop.example,IP:10.0.0.1")
    w.write(f"{PLACE}/certificate", text)
    w.write(f"{PLACE}/private-key", key)
    w.write(f"{PLACE}/domain", "shop.example\n")
    status = w.read(f"{PLACE}/.status")
    match(r"^certificate own\nsubject CN=shop.example\nissuer CN=shop.example\nnames shop.example \*.shop.example 10.0.0.1\n"
          r"not-before \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\nnot-after \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\nexpires-in (40|39)\n"
          r"certificate local-ca\nsubject CN=shop\nissuer CN=latticefs local CA\n"
          r"names shop.example shop.lattice.internal shop.localhost shop\n", status)
    end = match(r'^latticefs_certificate_not_after_seconds\{service="shop",issuer="CN=shop.example"\} (\d+)$', w.read(".metrics"))
    date = openssl(w, "x509 -in shop.example.pem -noout -enddate -dateopt iso_8601").strip()
    equal(w.sh(f"date -u -d @{end[1]} '+notAfter=%Y-%m-%d %H:%M:%SZ'").out.strip(), date)
    match(r'\{service="shop",issuer="CN=latticefs local CA"\} \d+$', w.read(".metrics"))
    w.write(f"{place}/protocol", "HTTP\n")
    check("certificate" not in w.read(f"{PLACE}/.status"), "nothing is shown without HTTPS")
    check("not_after_seconds{" not in w.read(".metrics"), "nor told of")


@limit(60)
def test_wrong_texts_are_refused_with_the_reason(w):
    site(w)
    text, key = pair(w, "good")
    w.write(f"{PLACE}/certificate", text)
    w.write(f"{PLACE}/private-key", key)
    short, short_key = pair(w, "short", "rsa:1024")
    curve = openssl(w, "ecparam -name secp521r1 -genkey -noout")
    openssl(w, "pkcs8 -topk8 -in good.key -out secret.key -passout pass:x")
    secret = open(os.path.join(w.base, "secret.key")).read()
    openssl(w, "x509 -in good.pem -outform DER -out good.der")
    leaf, _ = pair(w, "leaf", more="-addext basicConstraints=critical,CA:FALSE")
    lines = text.splitlines(True)
    broken = "".join(lines[:2] + [lines[2][:5] + "!" + lines[2][6:]] + lines[3:])
    rows = [
        ("certificate", "hello\n", "", "no -----BEGIN CERTIFICATE-----"),
        ("certificate", broken, ":3:5", "the base64 is broken here"),
        ("certificate", "".join(lines[:-1]), ":1:0", "the block that begins here has no -----END"),
        ("certificate", "".join(lines[:3] + lines[-1:]), ":1:0", "the certificate that begins here is broken: "),
        ("certificate", open(os.path.join(w.base, "good.der"), "rb").read(), "",
         "this is DER, not PEM: openssl x509 -inform DER translates it"),
        ("certificate", key, ":1:0", "a private key must not stand here: it belongs in private-key"),
        ("certificate", short, ":1:0", "certificate 1: an RSA key of 1024 bits is too short: it needs 2048"),
        ("certificate", text + leaf, f":{len(lines) + 1}:0",
         "certificate 2: it signed none of those before it: the leaf stands first, then who signed it"),
        ("private-key", text, ":1:0", "only a private key stands here, not a CERTIFICATE"),
        ("private-key", secret, ":1:0", "the private key is encrypted, and nobody is there to ask for its passphrase"),
        ("private-key", short_key, ":1:0", "an RSA key of 1024 bits is too short: it needs 2048"),
        ("private-key", curve, ":1:0", "an EC key on secp521r1 is not supported: P-256 and P-384 are"),
        ("private-key", key.replace("\n", "*\n", 2), ":1:0", "a block begins with -----BEGIN LABEL-----, five hyphens each"),
        ("client-ca", leaf, ":1:0", "certificate 1: it is not a CA's"),
    ]
    for name, wrong, where, sentence in rows:
        refused(errno.EINVAL, w.write, f"{PLACE}/{name}", wrong)
        said = w.errors().split("Z ")[-1]
        check(said.startswith(f"{PLACE}/{name}{where}: {sentence}"), f"{sentence}:\n{said}")
        equal((w.read(f"{PLACE}/certificate"), w.read(f"{PLACE}/private-key")), (text, key), "and nothing has changed")
    equal(shown(w), ("CN=good", None))
    w.write(f"{PLACE}/client-ca", text + text)
    match(r"^client-ca 2 certificates$", w.read(f"{PLACE}/.status"))
    w.group("blue", ca=text)
    refused(errno.EINVAL, w.write, "target-groups/blue/ca", leaf)
    done = w.sh(f"cat ../short.pem > {PLACE}/certificate", rc=1)
    check("Invalid argument" in done.err, "a shell sees it, too")
    for name in ("certificate", "private-key", "client-ca"):
        done = w.sh(f"echo hello > {PLACE}/{name}", rc=1)
        check("echo: write error: Invalid argument" in done.err, f"{name}: {done.err}")
        match(rf"{PLACE}/{name}: no -----BEGIN (CERTIFICATE|PRIVATE KEY)-----$", w.errors())


def test_words_around_blocks_come_in_pieces(w):
    """What tools write: text before the block, and several writers of one file."""
    site(w)
    for i in range(5):
        pair(w, f"p{i}")
    for i, script in enumerate((
            "openssl x509 -in ../p0.pem -text > {p}/certificate && cat ../p0.key > {p}/private-key",
            "(echo '# the shop'; echo; cat ../p1.pem) > {p}/certificate && cat ../p1.key > {p}/private-key",
            "openssl x509 -in ../p2.pem -text | stdbuf -oL sed 's/^/ /; s/^ \\([^ ].*\\)/\\1/' > {p}/certificate && "
            "(echo; cat ../p2.key) > {p}/private-key",
            "openssl pkcs12 -export -in ../p3.pem -inkey ../p3.key -passout pass:x -out ../p3.p12 && "
            "openssl pkcs12 -in ../p3.p12 -passin pass:x -nokeys > {p}/certificate && "
            "openssl pkcs12 -in ../p3.p12 -passin pass:x -nocerts -noenc > {p}/private-key",
            "openssl x509 -in ../p4.pem -subject -issuer | while IFS= read -r line; do printf '%s\\n' \"$line\"; done "
            "> {p}/certificate && cat ../p4.key > {p}/private-key")):
        w.sh(script.format(p=PLACE), quiet=True)
        equal(shown(w), (f"CN=p{i}", None), script)


def dated(w, name, start, end):
    """A certificate for good.key with these dates, as openssl ca gives them."""
    with open(os.path.join(w.base, "ca.conf"), "w") as conf:
        conf.write("[ca]\ndefault_ca=x\n[x]\ndatabase=index\nnew_certs_dir=.\nserial=serial\ndefault_md=sha256\npolicy=p\n"
                   "unique_subject=no\n[p]\ncommonName=supplied\n")
    for file, content in (("index", ""), ("serial", "01\n")):
        with open(os.path.join(w.base, file), "w") as out:
            out.write(content)
    openssl(w, f"req -new -key good.key -subj /CN={name} -out {name}.csr")
    openssl(w, f"ca -batch -config ca.conf -selfsign -keyfile good.key -in {name}.csr -out {name}.pem -notext "
               f"-startdate {start} -enddate {end}")
    return open(os.path.join(w.base, f"{name}.pem")).read()


def test_dates(w):
    site(w)
    text, key = pair(w, "good")
    w.write(f"{PLACE}/certificate", text)
    w.write(f"{PLACE}/private-key", key)
    old = dated(w, "old", "20200101000000Z", "20210101000000Z")
    refused(errno.EINVAL, w.write, f"{PLACE}/certificate", old)
    match(rf"{PLACE}/certificate: the certificate expired on 2021-01-01T00:00:00Z$", w.errors())
    refused(errno.EINVAL, w.write, f"{PLACE}/certificate", dated(w, "new", "21000101000000Z", "21010101000000Z"))
    match(rf"{PLACE}/certificate: the certificate is not valid before 2100-01-01T00:00:00Z$", w.errors())
    equal(shown(w), ("CN=good", None))
    w.stop()
    with open(f"{w.store}/{PLACE}/certificate", "w") as out:
        out.write(old)
    w.start()
    status = w.read(f"{PLACE}/.status")
    match(r"^certificate own\ncertificate expired 2021-01-01T00:00:00Z\nsubject CN=old\n", status)
    match(r"^status ACTIVE", status, "what has expired meanwhile goes on")
    match(r"^expires-in -\d+", status)


def test_a_key_is_its_owners_alone(w):
    w.start(options="allow_other")
    site(w)
    text, key = pair(w, "good")
    w.write(f"{PLACE}/certificate", text)
    w.write(f"{PLACE}/private-key", key, mode=0o666)
    stored = f"{w.store}/{PLACE}/private-key"

    def mode():
        return oct(os.stat(stored).st_mode & 0o7777), oct(os.stat(w.path(f"{PLACE}/private-key")).st_mode & 0o7777)
    equal(mode(), ("0o600", "0o600"), "of a file that was made with 666")
    for name, rc in (("certificate", 0), ("private-key", 1)):
        done = w.sh(f"cat {PLACE}/{name} > /dev/null", user=NOBODY, rc=rc)
        check(rc == 0 or "Permission denied" in done.err, done.err)
    refused(errno.EPERM, os.chmod, w.path(f"{PLACE}/private-key"), 0o640)
    match(rf"{PLACE}/private-key: a private key is for its owner alone: a mode of 640 is refused, 600 is not", w.errors())
    os.chmod(w.path(f"{PLACE}/private-key"), 0o400)
    equal(mode(), ("0o400", "0o400"))
    with open(os.open(w.path(f"{PLACE}/private-key"), os.O_WRONLY | os.O_TRUNC), "w") as out:
        refused(errno.EPERM, os.fchmod, out.fileno(), 0o644)
        out.write(key)
    equal(mode(), ("0o400", "0o400"))
    for script in ("cp ../good.key ./k && chmod 644 k && mv k {p}/private-key",
                   "cp ../good.key ./k && chmod 644 k && ln -f k {p}/private-key && test $(stat -c %a k) = 644",
                   "mkdir -m 755 {p}x && cp ../good.key {p}x/private-key && rm -r {p}x"):
        w.sh(script.format(p=PLACE), quiet=True)
        equal(mode(), ("0o600", "0o600"), script)
    w.sh(f"mkdir services/.draft && cp ../good.pem services/.draft/certificate && cp ../good.key services/.draft/private-key "
         "&& chmod 711 services/.draft && mv services/.draft services/drafted")
    equal(oct(os.stat(f"{w.store}/services/drafted/private-key").st_mode & 0o7777), "0o600", "what was a draft")
    w.stop()
    os.chmod(stored, 0o644)
    w.start(options="allow_other")
    w.sh(f"cat {PLACE}/private-key", user=NOBODY, rc=1)


test_a_key_is_its_owners_alone.unmounted = True


def test_keys_are_nowhere_else(w):
    site(w)
    text, key = pair(w, "good")
    _, other = pair(w, "other")
    w.write(f"{PLACE}/certificate", text)
    w.write(f"{PLACE}/private-key", key)
    lines = key.splitlines(True)
    for wrong in (key + key, lines[0] + lines[1] + "!" + lines[2], lines[1] + lines[2], key[:100], "".join(lines[1:])):
        for name in ("private-key", "certificate", "client-ca"):
            refused(errno.EINVAL, w.write, f"{PLACE}/{name}", wrong)
    w.sh("touch .hold")
    w.write(f"{PLACE}/private-key", other)
    said = w.read(".hold") + w.read(".table") + w.errors() + w.read(".status") + w.read(f"{PLACE}/.status") + w.read(".metrics")
    w.sh("rm .hold")
    said += open(w.log).read()
    said += w.sh(f"getfattr -d -m - --absolute-names {PLACE}/private-key; getfattr -n user.lattice.error {PLACE}/private-key", rc=None).out
    for secret in (lines[1][:20], lines[2][:20], other.splitlines()[1][:20]):
        check(secret not in said, f"{secret} stands in:\n{said}")


def test_the_local_ca_is_there_for_all_and_its_key_for_none(w):
    w.start(options="allow_other")
    check(not os.path.exists(f"{w.store}/.ca.pem"), "not made before it is needed")
    text = w.sh("cat .ca.pem", user=NOBODY).out
    equal(open(f"{w.store}/.ca.pem").read(), text)
    equal(oct(os.stat(f"{w.store}/.ca.pem").st_mode), "0o100644")
    equal(oct(os.stat(f"{w.store}/.ca.key").st_mode), "0o100600")
    match(r"^subject=CN = latticefs local CA$", openssl(w, "x509 -in store/.ca.pem -noout -subject"))
    equal(openssl(w, "verify -x509_strict -CAfile store/.ca.pem store/.ca.pem"), "store/.ca.pem: OK\n")
    equal(os.listdir(w.mnt), [], "hidden")
    for name, number in ((".ca.pem", errno.EROFS), (".ca.key", errno.ENOENT)):
        refused(number, os.unlink, w.path(name))
        refused(number, os.rename, w.path(name), w.path("x"))
    refused(errno.EROFS, w.write, ".ca.pem", "x")
    for call in (os.stat, open):
        refused(errno.ENOENT, call, w.path(".ca.key"))
    check(not os.path.exists(w.path(".ca.key")), "the key is not there")
    w.write("a", "x")
    for name in (".ca.pem", ".ca.key"):
        w.sh(f"mv a {name}; ln a {name}; mkdir {name}; cp a {name}", rc=1)
    equal(open(f"{w.store}/.ca.pem").read(), text)
    equal(w.sh("git init -q . && git add -A && git ls-files").out, "a\n")


test_the_local_ca_is_there_for_all_and_its_key_for_none.unmounted = True


def test_restarts(w):
    place = site(w)
    ca = w.read(".ca.pem")
    text, key = pair(w, "first")
    w.write(f"{PLACE}/certificate", text)
    w.write(f"{PLACE}/private-key", key)
    for kill in (False, True):
        w.restart(kill=kill)
        equal((shown(w), w.read(".ca.pem")), (("CN=first", None), ca), "the same after a restart")
    w.write(f"{PLACE}/certificate", pair(w, "second")[0])
    equal(shown(w)[0], "CN=first")
    w.restart()
    equal(shown(w), (LOCAL, "private-key: the one that is there does not match the certificate"), "the old pair is gone with its files")
    w.stop()
    with open(f"{w.store}/.ca.key", "w") as out:
        out.write("nonsense\n")
    w.start()
    match(r"^latticefs: warning?: no local CA: .ca.key is not a private key$", open(w.log).read())
    why = "no local CA: .ca.key is not a private key"
    match(rf"^listener web CREATE_IN_PROGRESS waiting certificate: {why}$", w.read(f"{PLACE}/.status"))
    equal((w.read(".ca.pem"), w.read(".table")), (why + "\n", ""))
    w.write(f"{PLACE}/certificate", text)
    equal(shown(w), ("CN=first", None), "a pair of its own needs no CA")
    match(r"^listener web ACTIVE$", w.read(f"{PLACE}/.status"))
    check(place in w.sh("find services -name web").out and "HTTPS" in w.read(".table"), "and is served")


def test_a_hold_shows_what_would_be_shown(w):
    """One line a route, also when nothing but a certificate or a CA is another one."""
    place = site(w)
    w.group("blue", "10.0.0.5", protocol="HTTPS")
    w.write(f"{place}/default-action", "forward = blue\n")
    first, second = ((pair(w, f"p{i}"), openssl(w, f"x509 -in p{i}.pem -noout -fingerprint -sha256")
                      .split("=")[1].replace(":", "").lower()[:8]) for i in range(2))

    def held(**files):
        w.sh("touch .hold")
        for name, text in files.items():
            w.write("target-groups/blue/ca" if name == "ca" else f"{PLACE}/{name.replace('_', '-')}", text)
        said = w.read(".hold")
        w.sh("rm .hold")
        return said
    line = r"^ok\n~ net shop/web default default HTTPS \S+ \S+ {} -> forward blue:100\{{10\.0\.0\.5:443\}}/HTTPS{}\[check=off\]\n$"
    match(line.format(f"certificate=own:{first[1]}", ""), held(certificate=first[0][0], private_key=first[0][1]))
    match(line.format(f"certificate=own:{second[1]}", ""), held(certificate=second[0][0], private_key=second[0][1]))
    digits = [w.sh(f"sha256sum < ../p{i}.pem").out[:8] for i in range(2)]
    for i in range(2):
        text = (first, second)[i][0][0]
        match(line.format(f"certificate=own:{second[1]} client-ca={digits[i]}", f"/verified:{digits[i]}"),
              held(client_ca=text, ca=text))
    equal(held(client_ca="# another comment\n" + second[0][0]), "ok\n", "the same blocks")
    w.sh(f"rm {PLACE}/certificate {PLACE}/private-key && sleep 0.1")
    table = w.read(".table")
    match(r"certificate=local-ca client-ca", table)
    w.restart()
    equal(w.read(".table"), table, "the local CA's leaf is another one, and no change")


def test_a_tree_with_keys_is_copied(w):
    site(w)
    for name, text in zip(("certificate", "private-key"), pair(w, "good")):
        w.write(f"{PLACE}/{name}", text)
    w.sh("cp -a services ../copy && cp -a services/shop services/.twin && mv services/.twin services/twin")
    equal(stat.S_IMODE(os.stat(os.path.join(w.base, "copy/shop/private-key")).st_mode), 0o600)
    w.sh("rm -r services/twin && sleep 0.1 && mkdir services/twin && tar cf - -C services/shop certificate private-key | tar xpf - -C services/twin", quiet=True)
    equal(w.read("services/twin/private-key"), w.read(f"{PLACE}/private-key"))
    equal(w.sh(f"diff -r --no-dereference -x .ca.pem -x .ca.key {w.store} {w.mnt}").out, "")
