"""test_raw.py - raw requests of other projects' suites (tests/data/raw), judged by what reached the origin.

UNSAFE: what was forwarded could be framed in two ways. LAX: it breaks the grammar elsewhere. Both must be none.
OVERSTRICT: a valid request was refused; only for the reasons in ACCEPTED.
"""
import base64
import json
import os
import queue
import re
import socket
import threading
import time

from harness import DATA, SLOW, Failed, Wire, check, equal, free_port, limit

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
LANES = 8  # cases at a time, each lane with a network, an address, a service and an origin of its own

ACCEPTED = [
    (rb"(?i)transfer-encoding:(?![ \t]*chunked[ \t]*\r)", "a transfer coding other than chunked"),
    (rb"(?i)content-length:[ \t]*\d{18}", "a Content-Length too big to serve"),
    (rb"^[^\r\n]*[\x80-\xff]", "an 8-bit target"),
    (rb"^\S+  ?HTTP/", "an empty target"),
    (rb"^[^\r\n]*HTTP/2", "HTTP/2.0 as a request line"),
    (rb"^\S+ [a-z]+://", "absolute-form with another Host"),
]


def frame(data):
    """(end of the first request or None, complaint) by a strict reading of RFC 9112."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None, None
    lengths, codings = [], []
    for line in data[:end].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            lengths.append(value.strip())
        if name.strip().lower() == b"transfer-encoding":
            codings.append(value)
    at = end + 4
    if codings:
        while True:
            stop = data.find(b"\r\n", at)
            if stop < 0:
                return None, None
            try:
                size = int(data[at:stop].split(b";")[0], 16)
            except ValueError:
                return len(data), "bad chunk size"
            if size == 0:
                last = data.find(b"\r\n\r\n", stop)
                return (None, None) if last < 0 else (last + 4, None)
            at = stop + size + 4
            if len(data) < at:
                return None, None
    if lengths:
        if not re.fullmatch(rb"\d+", lengths[0]):
            return len(data), "bad Content-Length"
        at += int(lengths[0])
    return (at, None) if len(data) >= at else (None, None)


def strict_head(lines):
    """What is wrong with a forwarded head: (unsafe, lax)."""
    unsafe, lax, seen = [], [], {}
    first = lines[0]
    if not re.fullmatch(TOKEN + rb" [\x21-\x7e\x80-\xff]+ HTTP/1\.[01]", first):
        (lax if re.search(rb"HTTP/0\.|\x7f", first) else unsafe).append(f"request line {first[:80]!r}")
    for line in lines[1:]:
        found = re.fullmatch(rb"(" + TOKEN + rb"):(.*)", line, re.S)
        if line[:1] in (b" ", b"\t") or not found:
            unsafe.append(f"field {line[:60]!r}")
            continue
        name, value = found[1].lower(), found[2].strip(b" \t")
        if re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", value):
            (unsafe if b"\0" in value else lax).append(f"control byte in {name!r} {value[:40]!r}")
        seen.setdefault(name, []).append(value.lower())
    lengths, codings = seen.get(b"content-length", []), seen.get(b"transfer-encoding", [])
    for wrong, what in ((len(lengths) > 1 or len(codings) > 1, "two framing fields"),
                        (lengths and codings, "Content-Length and Transfer-Encoding"),
                        (lengths and not re.fullmatch(rb"\d+", lengths[0]), "Content-Length"),
                        (codings and codings[0] != b"chunked", "Transfer-Encoding"),
                        (codings and first.endswith(b"1.0"), "Transfer-Encoding in HTTP/1.0"),
                        (len(seen.get(b"host", [])) > 1, "two Hosts")):
        if wrong:
            unsafe.append(f"{what}: {lengths} {codings}")
    if not seen.get(b"host"):
        lax.append("no Host")
    return unsafe, lax, bool(codings)


def strict_chunks(body):
    """What is wrong with a forwarded chunked body."""
    unsafe, at = [], 0
    while (stop := body.find(b"\r\n", at)) >= 0:
        line = body[at:stop]
        digits = re.match(rb"[0-9a-fA-F]+", line)
        if not digits or len(digits[0]) > 16:
            return unsafe + [f"chunk size {line[:30]!r}"]
        rest = line[digits.end():]
        if rest and not re.fullmatch(rb"[ \t]*;[\t\x20-\x7e\x80-\xff]*", rest):
            unsafe.append(f"junk behind a chunk size {rest[:30]!r}")
        size = int(digits[0], 16)
        if size == 0:
            bad = [line for line in body[stop + 2:].split(b"\r\n")
                   if line and not re.fullmatch(TOKEN + rb":[\t\x20-\x7e\x80-\xff]*", line)]
            return unsafe + [f"trailer {line[:40]!r}" for line in bad]
        if body[stop + 2 + size:stop + 4 + size] not in (b"\r\n", b""):
            unsafe.append("a chunk that does not end in CRLF")
        at = stop + size + 4
    return unsafe


def strict(raw):
    end = raw.find(b"\r\n\r\n")
    if end < 0:
        return ["no end of the head"], []
    head = raw[:end]
    unsafe, lax, chunked = strict_head(head.split(b"\r\n"))
    if re.search(rb"(?<!\r)\n|\r(?!\n)", head):
        unsafe.append("bare CR or LF")
    return unsafe + (strict_chunks(raw[end + 4:]) if chunked else []), lax


class Origin:
    """Keeps every byte of every connection, and answers each request that it can frame."""

    def __init__(self):
        self.lock = threading.Lock()
        self.data = []

    def serve(self, target, wire):
        record, at = bytearray(), 0
        with self.lock:
            self.data.append(record)
        while True:
            wire.fill()
            with self.lock:
                if not any(record is kept for kept in self.data):  # the case it belonged to is over
                    record, at = bytearray(), 0
                    self.data.append(record)
                record += wire.buffer
            wire.buffer = b""
            while at < len(record):
                end, _ = frame(bytes(record[at:]))
                if end is None:
                    break
                target.reply(wire, 200, b"ok", method="HEAD" if record[at:at + 5] == b"HEAD " else "GET")
                at += end

    def take(self):
        """Everything since the last take."""
        with self.lock:
            data, self.data = self.data, []
            return [bytes(record) for record in data]


def judge(records):
    """(requests, unsafe, lax) of what an origin received for one case."""
    count, unsafe, lax = 0, [], []
    for data in records:
        while data:
            end, complaint = frame(data)
            one, data = (data, b"") if end is None else (data[:end], data[end:])
            if end is None and b"\r\n\r\n" not in one:
                continue
            count += 1
            bad, loose = strict(one)
            unsafe += bad + ([complaint] if complaint else [])
            lax += loose
    return count, unsafe, lax


def exchange(address, port, raw):
    """Sends the bytes; the statuses that came back, until close or silence."""
    sock = socket.create_connection((address, port), 5)
    wire = Wire(sock)
    try:
        sock.sendall(raw)
        sock.settimeout(0.3 * SLOW)
        while True:
            wire.fill()
            sock.settimeout(0.15 * SLOW)
    except Exception:  # closed, reset or silent: all the same here
        pass
    finally:
        sock.close()
    return [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d\d\d) ", wire.buffer)]


def hosts(cases):
    """Every name that a case may reach, so that it is routed and not answered 404."""
    found = {"a.test", "example.com", "localhost"}
    for case in cases:
        for name in re.findall(rb"(?i)\nhost:[ \t]*([a-z0-9.-]+\.[a-z0-9-]+)[ \t:\r]", base64.b64decode(case["raw"])):
            found.add(name.decode().lower().strip("."))
    return sorted(name for name in found if not re.search(r"^\d|\.\d+$|localhost", name))


def with_host(case, names):
    """The case, and when it names no host that is served, again with one: else it could only be answered 404."""
    raw = base64.b64decode(case["raw"])
    yield case["id"], raw, case["expect"]
    if not re.search(rb"(?i)\nhost:", raw) and b"\r\n" in raw:
        first, rest = raw.split(b"\r\n", 1)
        yield case["id"] + "+host", first + b"\r\nHost: " + names[0].encode() + b"\r\n" + rest, case["expect"]


def lane(w, number, names):
    origin = Origin()
    target = w.add_target(f"t{number}", script=origin.serve)
    w.mkdir(f"vpcs/v{number}")
    w.write(f"vpcs/v{number}/netns", "host\n")
    w.write(f"vpcs/v{number}/listen", f"127.0.0.{10 + number}\n")
    w.mkdir(f"networks/n{number}/vpcs")
    w.mkdir(f"networks/n{number}/services")
    w.link(f"../../../vpcs/v{number}", f"networks/n{number}/vpcs/v{number}")
    w.group(f"t{number}", target)
    w.service(f"s{number}", w.port, f"forward = t{number}", network=f"n{number}")
    w.write(f"services/s{number}/domain", "\n".join(names) + "\n")
    return origin


def run(w, suite):
    cases = [json.loads(line) for line in open(os.path.join(DATA, "raw", suite + ".jsonl"))]
    names, w.port = hosts(cases), free_port()
    origins = [lane(w, number, names) for number in range(LANES)]
    waiting = queue.SimpleQueue()
    for case in cases:
        for row in with_host(case, names):
            waiting.put(row)
    size, rows = waiting.qsize(), []

    def work(number):
        while True:
            try:
                name, raw, expect = waiting.get_nowait()
            except queue.Empty:
                return
            origins[number].take()
            statuses = exchange(f"127.0.0.{10 + number}", w.port, raw)
            time.sleep(0.03 * SLOW)
            count, unsafe, lax = judge(origins[number].take())
            good = sum(200 <= status < 300 for status in statuses)
            if count > max(1, good) and count > raw.count(b"HTTP/1"):
                unsafe.append(f"the origin saw {count} requests, the client {good} answers")
            rows.append((name, expect, raw, count, statuses, unsafe, lax))
    threads = [threading.Thread(target=work, args=(number,)) for number in range(LANES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(len(rows), size, "every case was judged")
    report(suite, rows, names)


def routed(raw, names):
    """Does it name a served host? Others are answered 404 and tell nothing about strictness."""
    found = re.search(rb"(?i)\r\nhost:[ \t]*([^\r\n:]*)", raw)
    return found and found[1].decode("latin-1").strip().lower() in names


def report(suite, rows, names):
    wrong = []
    for name, expect, raw, count, statuses, unsafe, lax in rows:
        verdict = "UNSAFE" if unsafe else "LAX" if lax else None
        if expect == "forward" and count == 0 and routed(raw, names) and not any(re.search(p, raw) for p, _ in ACCEPTED):
            verdict = verdict or "OVERSTRICT"
        if any(status >= 500 and status not in (501, 505) for status in statuses):
            verdict = verdict or "5xx"
        if verdict:
            wrong.append(f"{verdict} {name} {statuses} {count} {(unsafe + lax)[:3]} {raw[:160]!r}")
    forwarded = sum(count > 0 for _, _, _, count, _, _, _ in rows)
    check(forwarded >= 5, f"{suite}: only {forwarded} of {len(rows)} reached an origin: nothing was tested")
    if wrong:
        raise Failed(f"{suite}: {len(wrong)} of {len(rows)}\n" + "\n".join(wrong))


@limit(90)
def test_desync_guardian(w):
    run(w, "desync-guardian")


@limit(90)
def test_apache_http_strict(w):
    run(w, "apache-http-strict")


@limit(90)
def test_llhttp(w):
    run(w, "llhttp")


@limit(90)
def test_picohttpparser(w):
    run(w, "picohttpparser")
