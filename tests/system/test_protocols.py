"""test_protocols.py - which protocols go together, and who may meet at one place: refusals, .status and .table."""
import errno
import os

from harness import check, equal, free_port, match, refused, until


def listener(w, service, name, port, protocol, action):
    place = f"services/{service}/listeners/{name}"
    w.mkdir(place)
    w.write(f"{place}/protocol", protocol + "\n")
    w.write(f"{place}/default-action", action + "\n")
    w.write(f"{place}/port", f"{port}\n")
    return place


def join(w, service):
    w.link(f"../../../services/{service}", f"networks/net/services/{service}")


def says(w, name, line, column, sentence):
    """The last refusal points there and says this."""
    entry = [text for text in w.errors().split("\n") if text[:2] == "20"][-1]
    equal(entry.split(" ", 1)[1].replace(" (touch .hold to change several things at once)", ""),
          f"{name}:{line}:{column}: {sentence}" if line else f"{name}: {sentence}")


def test_table_and_status_tell_protocols(w):
    w.network()
    w.group("secure", "10.0.0.5", protocol="https", protocol_version="HTTP2", verify="system")
    w.group("bytes", "10.0.0.6", protocol="TCP")
    web, raw = free_port(), free_port()
    listener(w, "shop", "web", web, "https", "forward = secure")
    listener(w, "shop", "raw", raw, "tls_passthrough", "forward = bytes")
    join(w, "shop")
    table = w.read(".table")
    match(rf"^net shop/web default default HTTPS 127\.0\.0\.1:{web},\S+ \S+ certificate=local-ca -> "
          r"forward secure:100\{10\.0\.0\.5:443\}/HTTPS/HTTP2/verified$", table)
    match(rf"^net shop/raw default default TLS_PASSTHROUGH 127\.0\.0\.1:{raw},\S+ \S+ -> "
          r"forward bytes:100\{10\.0\.0\.6:80\}/TCP$", table)
    match(r"^protocol HTTPS$", w.read("services/shop/listeners/web/.status"))
    match(r"^protocol TLS_PASSTHROUGH$", w.read("services/shop/listeners/raw/.status"))
    match(r"^protocol HTTPS\nprotocol-version HTTP2$", w.read("target-groups/secure/.status"))
    check("protocol-version" not in w.read("target-groups/bytes/.status"), "TCP has no version")
    w.restart()
    equal(w.read(".table"), table, "after a restart")


def test_a_passthrough_only_forwards_bytes(w):
    w.site()
    w.group("bytes", w.target, protocol="TCP")
    raw = listener(w, "shop", "raw", free_port(), "TLS_PASSTHROUGH", "forward = bytes")
    table = w.read(".table")
    refused(errno.EINVAL, w.write, f"{raw}/default-action", "fixed-response = 404\n")
    says(w, f"{raw}/default-action", 1, 0, "a TLS_PASSTHROUGH listener can only forward: it sees no requests to answer")
    refused(errno.EINVAL, w.write, f"{raw}/default-action", "forward = bytes blue\n")
    says(w, f"{raw}/default-action", 1, 16, "a TLS_PASSTHROUGH listener cannot forward to target group 'blue', which is HTTP")
    os.mkdir(w.path(f"{raw}/rules"))
    refused(errno.EINVAL, os.mkdir, w.path(f"{raw}/rules/r"))
    says(w, f"{raw}/rules/r", 0, 0, "a TLS_PASSTHROUGH listener has no rules")
    refused(errno.EINVAL, w.write, f"{w.place}/default-action", "forward = bytes\n")
    says(w, f"{w.place}/default-action", 1, 10, "an HTTP listener cannot forward to target group 'bytes', which is TCP")
    refused(errno.EINVAL, w.write, f"{w.place}/protocol", "TLS_PASSTHROUGH\n")
    says(w, f"{w.place}/protocol", 1, 0, "a TLS_PASSTHROUGH listener cannot forward to target group 'blue', which is HTTP")
    check(not os.path.exists(w.path(f"{w.place}/protocol")), "a refused new file is gone")
    refused(errno.EINVAL, w.write, "target-groups/blue/protocol", "TCP\n")
    says(w, "target-groups/blue/protocol", 1, 0, f"it cannot be TCP: {w.place} forwards to it, and is HTTP")
    refused(errno.EINVAL, w.write, "target-groups/bytes/protocol-version", "HTTP2\n")
    says(w, "target-groups/bytes/protocol-version", 1, 0, "protocol TCP has no protocol-version HTTP2")
    equal(w.read(".table"), table, "nothing has changed")
    equal(w.get().status, 200, "and serves")


def test_a_protocol_that_is_needed_comes_back(w):
    """A removal takes effect a moment later: what it would break keeps the file."""
    w.network()
    w.group("bytes", "127.0.0.1:9", protocol="TCP")
    raw = listener(w, "shop", "raw", free_port(), "TLS_PASSTHROUGH", "forward = bytes")
    for name in f"{raw}/protocol", "target-groups/bytes/protocol":
        text = w.read(name)
        os.unlink(w.path(name))
        until(lambda: os.path.exists(w.path(name)), 5, f"{name} is back")
        equal(w.read(name), text)
        check("cannot forward to target group 'bytes', which is" in w.errors(), "and why")


def test_services_that_meet_speak_the_same(w):
    w.site()
    a = listener(w, "a", "tls", w.port, "HTTPS", "fixed-response = 200")
    table = w.read(".table")
    sentence = f"HTTPS cannot be offered on 127.0.0.1:{w.port}: service 'shop' offers HTTP there"
    refused(errno.EEXIST, join, w, "a")
    says(w, f"{a}/port", 1, 0, sentence)  # which was written last
    other = free_port()
    w.write(f"{a}/port", f"{other}\n")
    join(w, "a")
    refused(errno.EEXIST, w.write, f"{a}/port", f"{w.port}\n")
    says(w, f"{a}/port", 1, 0, sentence)
    w.mkdir("services/b")
    join(w, "b")
    b = "services/b/listeners/tls"
    # Copied file by file its port could come before its protocol: a draft moves in as a whole.
    w.sh(f"mkdir services/b/listeners; cp -r {a} services/b/.draft; mv services/b/.draft {b}")
    match(rf"^net b/tls default default HTTPS 127\.0\.0\.1:{other},", w.read(".table"), "two with HTTPS meet")
    refused(errno.EEXIST, w.write, f"{b}/protocol", "HTTP\n")
    says(w, f"{b}/protocol", 1, 0, f"HTTP cannot be offered on 127.0.0.1:{other}: service 'a' offers HTTPS there")
    w.group("bytes", "127.0.0.1:9", protocol="TCP")
    c = listener(w, ".c", "raw", other, "TLS_PASSTHROUGH", "forward = bytes")
    os.rename(w.path("services/.c"), w.path("services/c"))  # in no network yet
    refused(errno.EEXIST, join, w, "c")
    says(w, c.replace(".c", "c") + "/protocol", 1, 0,
         f"TLS_PASSTHROUGH cannot be offered on 127.0.0.1:{other}: service 'a' offers HTTPS there")
    w.sh(f"rm -r {b} {a}")
    until(lambda: "a/tls" not in w.read(".table") and "b/tls" not in w.read(".table"), 5, "both are gone")
    join(w, "c")
    equal(w.sh("grep -c TLS_PASSTHROUGH .table").out, "1\n", "then there is room")
    check(table in w.read(".table"), "the first was never touched")
    equal(w.get().status, 200)


def test_a_draft_that_moves_in_is_judged(w):
    w.site()
    draft = listener(w, ".draft", "tls", w.port, "HTTPS", "fixed-response = 200")
    w.mkdir("services/other/listeners")
    join(w, "other")
    refused(errno.EEXIST, os.rename, w.path(draft), w.path("services/other/listeners/tls"))
    says(w, "services/other/listeners/tls/protocol", 1, 0,
         f"HTTPS cannot be offered on 127.0.0.1:{w.port}: service 'shop' offers HTTP there")
    check(os.path.exists(w.path(draft)), "it is where it was")
    w.write(f"{draft}/protocol", "TLS_PASSTHROUGH\n")
    refused(errno.EBADMSG, os.rename, w.path(f"{draft}/protocol"), w.path(f"{w.place}/protocol"))
    says(w, f"{w.place}/protocol", 1, 0, "a TLS_PASSTHROUGH listener cannot forward to target group 'blue', which is HTTP")


def test_a_hold_turns_a_place(w):
    w.site()
    w.service("cart", w.port, "fixed-response = 200")
    w.sh("touch .hold", quiet=True)
    w.write(f"{w.place}/protocol", "HTTPS\n")
    text = w.read(".hold")
    match(r"^1 problems?$", text)
    match(rf"^{w.place}/protocol:1:0: HTTPS cannot be offered on 127\.0\.0\.1:{w.port}: service 'cart' offers HTTP there$", text)
    refused(errno.EBADMSG, os.unlink, w.path(".hold"))
    equal(w.get().status, 200, "what was served goes on")
    w.write("services/cart/listeners/web/protocol", "HTTPS\n")
    equal(w.read(".hold").splitlines()[0], "ok")
    os.unlink(w.path(".hold"))
    equal(w.sh("grep -c ' HTTPS 127' .table").out, "2\n", "both turned at once")


def test_what_is_at_odds_at_start_is_left_out(w):
    w.site()
    a = listener(w, "zoo", "tls", free_port(), "HTTPS", "fixed-response = 200")
    join(w, "zoo")
    w.stop()
    with open(f"{w.store}/{a}/port", "w") as port:
        port.write(f"{w.port}\n")
    w.start()
    equal(w.get().status, 200, "the rest serves")
    sentence = f"HTTPS cannot be offered on 127.0.0.1:{w.port}: service 'shop' offers HTTP there"
    match(rf"^reason {sentence}$", w.read(f"{a}/.status"))
    says(w, f"{a}/protocol", 1, 0, sentence)
    w.write(f"{w.place}/default-action", "fixed-response = 204\n")
    equal(w.get().status, 204, "and can be changed")
    w.write(f"{w.place}/port", f"{free_port()}\n")
    match(rf"^net zoo/tls default default HTTPS 127\.0\.0\.1:{w.port},", w.read(".table"), "then it has the place")
