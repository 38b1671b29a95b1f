"""lambdakit.py - a Lambda function as others run it: AWS's runtime client, behind a small Invoke API."""
import itertools
import os
import queue
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness import ROOT, Failed

NODE = os.path.join(ROOT, "tests", "system", "node")
INVOKE = "/2015-03-31/functions/f/invocations"
RUNTIME = "/2018-06-01/runtime/invocation/"
WAIT = 30


class Function:
    """node/function.js; .events are the bytes of what it was invoked with. w.targets ends it with the World."""

    def __init__(self, w):
        client = os.path.join(NODE, "node_modules", "aws-lambda-ric")
        if not os.path.isdir(client):
            raise Failed("no tests/system/node/node_modules: .ci/deps.sh check")
        self.events = []
        self.waiting = queue.Queue()
        self.answers = {}
        self.ids = itertools.count(1)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Api", (Api,), {"function": self}))
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}{INVOKE}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.process = subprocess.Popen(
            ["node", "--require", "./runtime.js", os.path.join(client, "bin", "index.mjs"), "function.handler"], cwd=NODE,
            env=dict(os.environ, AWS_LAMBDA_RUNTIME_API=f"127.0.0.1:{self.port}", AWS_LAMBDA_NODEJS_USE_ALTERNATIVE_CLIENT_1="true",
                     AWS_LAMBDA_FUNCTION_NAME="f", AWS_LAMBDA_FUNCTION_MEMORY_SIZE="128"),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        w.targets.append(self)

    def invoke(self, event):
        """(what the function gave, whether it failed)."""
        ident, answer = str(next(self.ids)), queue.Queue()
        self.events.append(event)
        self.answers[ident] = answer
        self.waiting.put((ident, event))
        return answer.get(timeout=WAIT)

    def close(self):
        self.process.kill()
        self.process.wait(10)
        self.server.shutdown()
        self.server.server_close()


class Api(BaseHTTPRequestHandler):
    """The Invoke API to those who call, the runtime API to the runtime client."""
    protocol_version = "HTTP/1.1"
    function = None

    def log_message(self, *_):
        pass

    def reply(self, status, body=b"", **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path != RUNTIME + "next":
            self.reply(404)
            return
        ident, event = self.function.waiting.get()
        self.reply(200, event, Content_Type="application/json", Lambda_Runtime_Aws_Request_Id=ident,
                   Lambda_Runtime_Deadline_Ms="4102444800000",
                   Lambda_Runtime_Invoked_Function_Arn="arn:aws:lambda:mars-1:1:function:f")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == INVOKE:
            answer, failed = self.function.invoke(body)
            self.reply(200, answer, **({"X_Amz_Function_Error": "Unhandled"} if failed else {}))
        elif self.path.startswith(RUNTIME):
            ident, what = self.path[len(RUNTIME):].split("/")
            self.function.answers.pop(ident).put((body, what == "error"))
            self.reply(202)
        else:
            self.reply(404)
