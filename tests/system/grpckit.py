"""grpckit.py - the client and the server of @grpc/grpc-js as processes that a test talks to (node/grpc.js)."""
import json
import os
import subprocess
import threading

from harness import ROOT, SLOW, Failed, until

NODE = os.path.join(ROOT, "tests", "system", "node")
OK, CANCELLED, UNKNOWN, INVALID, DEADLINE, NOT_FOUND, EXISTS, DENIED, EXHAUSTED, PRECONDITION, ABORTED, RANGE, \
    UNIMPLEMENTED, INTERNAL, UNAVAILABLE, LOSS, UNAUTHENTICATED = range(17)


class Node:
    """A process of node/grpc.js whose lines are gathered; w.targets ends it with the World."""

    def __init__(self, w, *words):
        if not os.path.isdir(os.path.join(NODE, "node_modules")):
            raise Failed("no tests/system/node/node_modules: .ci/deps.sh check")
        self.lines = []
        self.process = subprocess.Popen(["node", os.path.join(NODE, "grpc.js"), *map(str, words)], cwd=NODE,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self.listen, daemon=True).start()
        w.targets.append(self)

    def listen(self):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def line(self, holds, note, seconds=15):
        """The first line for which it holds."""
        def found():
            hits = [line for line in list(self.lines) if holds(line)]
            if not hits and self.process.poll() is not None:
                raise Failed(f"node ended: {note}")
            return hits
        return until(found, seconds * SLOW, note)[0]

    def close(self):
        self.process.kill()
        self.process.wait(10)


class Server(Node):
    """A target; what its calls were stands in .calls()."""

    def __init__(self, w, name):
        super().__init__(w, "server", name)
        self.name = name
        self.port = self.line(lambda line: "port" in line, f"the port of {name}")["port"]

    def events(self, kind):
        return [line for line in list(self.lines) if line.get("event") == kind]

    def calls(self):
        return self.events("call")


class Caller(Node):
    """A client on one connection."""

    def __init__(self, w, address, authority="", ca=""):
        super().__init__(w, "client", address, authority, ca)
        self.count = 0

    def start(self, call="unary", **how):
        """Begins a call; its outcome is asked for with end()."""
        self.count += 1
        self.process.stdin.write(json.dumps(dict(how, id=self.count, call=call)) + "\n")
        self.process.stdin.flush()
        return self.count

    def end(self, ident, seconds=20):
        return self.line(lambda line: line.get("id") == ident, f"the end of call {ident}", seconds)

    def call(self, call="unary", **how):
        return self.end(self.start(call, **how))
