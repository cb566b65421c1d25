"""Programs of a supervised tree, run as processes of their own."""

import os
import select
import signal
import subprocess
import sys
import textwrap

PATIENCE = 20.0

HEAD = """
import os, signal, sys, threading, time
from supervisors import *
from supervisors import daemon

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # at once: several actors speak

class W(PooledActor):
    def __init__(self, name):
        super().__init__()
        self.name = name
    def on_start(self):
        say("up", self.name)
    def on_stop(self):
        say("stop", self.name)
    def on_receive(self, message):
        return message(self)

def spec(child_id, **more):
    return ChildSpec(id=child_id, start=W, args=(child_id,), **more)

def when_running(act):
    # once run() has its handlers in place and listens: nothing else tells
    def look():
        while not daemon._running:
            time.sleep(0.001)
        act()
    threading.Thread(target=look, daemon=True).start()

def say_when_handled():
    when_running(lambda: say("ready"))
"""


class Process:
    def __init__(self, code):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HEAD + textwrap.dedent(code)],
            bufsize=0,  # select knows nothing of lines that lie in a buffer
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        self.lines = []

    def wait_for(self, line):
        """Read lines until `line`."""
        while self.lines[-1:] != [line]:
            self.next_line()

    def next_line(self):
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        assert ready, (self.lines, "no more output")
        got = self.process.stdout.readline().decode()
        assert got, (self.lines, self.process.stderr.read().decode())
        self.lines.append(got.strip())

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def end(self):
        """Wait for the end; returns exit code, the rest of stdout, stderr."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out.decode(), err.decode()
