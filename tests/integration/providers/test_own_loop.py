"""A provider on an event loop of the user's own: nothing is left behind when that ends."""

import subprocess
import sys

PROGRAM = """
import asyncio, gc, json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from alloy_actors import Anthropic


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"input_tokens": 14}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
provider = Anthropic("m", "sk-ant-none", f"http://127.0.0.1:{server.server_port}")
for _ in range(2):
    print(asyncio.run(provider.count_tokens("hi")))
del provider
gc.collect()
"""


def test_asyncio_run_closes_the_connections_that_were_made_in_it() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"PATH": "", "no_proxy": "*"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "14\n14\n", "")
