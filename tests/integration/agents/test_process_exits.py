"""However a process ends, it ends soon, with the right exit code, and who waited is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading

import pytest

LIMIT = 20.0
"""Seconds after which a process that does not end by itself is killed, and its test fails."""

HEAD = r"""
import os, signal, sys, threading, time
import alloy_actors as alloy
from alloy_actors.testing import Gate, ScriptedProvider, hang, held

def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\n")  # in one piece: several threads speak
    sys.stdout.flush()

def on_result(result):
    say("callback", result.request_id, result.status)

gate = Gate()
"""


class Child:
    """A Python process that says READY when its scene is set."""

    def __init__(self, body: str) -> None:
        script = HEAD + textwrap.dedent(body)
        self._errors = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115  (end() closes it)
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error::ResourceWarning", "-c", script],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._watchdog = threading.Timer(LIMIT, self._process.kill)
        self._watchdog.start()

    def wait_until_ready(self) -> None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.strip() == "READY", (line, self.end())

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Exit code (that of SIGKILL when it did not end by itself), stdout and stderr."""
        assert self._process.stdout is not None
        # Not communicate(): it would not see what readline() has read ahead.
        with self._process.stdout as stdout:
            out = stdout.read()
        code = self._process.wait()
        self._watchdog.cancel()
        with self._errors:
            self._errors.seek(0)
            return code, out, self._errors.read()


BUSY = """
agent = alloy.Agent.start("a", provider=ScriptedProvider([held(gate, "never")] * 9))
agent.send_message("1", on_result, request_id="running")
agent.send_message("2", on_result, request_id="queued")
gate.arrived()
say("READY")
"""


def test_the_end_of_main_without_stop_tells_pending_callbacks() -> None:
    child = Child(BUSY)
    child.wait_until_ready()
    code, out, err = child.end()
    assert (code, err) == (0, "")
    assert "callback running cancelled" in out
    assert "callback queued cancelled" in out


def test_an_exception_in_main_keeps_its_exit_code() -> None:
    child = Child(BUSY + "raise RuntimeError('main is broken')")
    child.wait_until_ready()
    code, out, err = child.end()
    assert code == 1
    assert "main is broken" in err
    assert "callback running cancelled" in out


def test_sys_exit_keeps_its_code() -> None:
    child = Child(BUSY + "sys.exit(7)")
    child.wait_until_ready()
    code, out, _ = child.end()
    assert code == 7
    assert "callback queued cancelled" in out


def test_ctrl_c_inside_chat_ends_the_process_like_any_program() -> None:
    child = Child("""
        agent = alloy.Agent.start("a", provider=ScriptedProvider([held(gate, "never")]))
        def ready():
            gate.arrived()
            say("READY")
        threading.Thread(target=ready).start()
        agent.chat("go", request_id="r")
    """)
    child.wait_until_ready()
    child.signal(signal.SIGINT)
    code, _, err = child.end()
    assert code in (-signal.SIGINT, 130, 1)
    assert "KeyboardInterrupt" in err


def test_ctrl_c_inside_run_cancels_the_run() -> None:
    child = Child("""
        class Watched:
            model = "watched"
            async def complete(self, request, on_deltas=None):
                import asyncio
                say("READY")
                try:
                    await asyncio.get_running_loop().create_future()
                finally:
                    say("cancelled")
        try:
            alloy.run("go", provider=Watched())
        except KeyboardInterrupt:
            say("interrupted")
        alloy.shutdown()
    """)
    child.wait_until_ready()
    child.signal(signal.SIGINT)
    code, out, err = child.end()
    assert (code, err) == (0, "")
    assert "interrupted" in out
    assert "cancelled" in out


def test_sigterm_under_run_stops_everything_and_exits_with_0() -> None:
    child = Child("""
        system = alloy.AgentSystem()
        agent = system.spawn("a", provider=ScriptedProvider([held(gate, "never")] * 9))
        agent.send_message("1", on_result, request_id="running")
        agent.send_message("2", on_result, request_id="queued")
        def ready():
            gate.arrived()
            say("READY")
        threading.Thread(target=ready).start()
        code = system.run(grace=4, drain_timeout=0)
        say("alive:", [t.name for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon])
        sys.exit(code)
    """)
    child.wait_until_ready()
    child.signal(signal.SIGTERM)
    code, out, err = child.end()
    assert (code, err) == (0, "")
    assert "callback running cancelled" in out
    assert "callback queued cancelled" in out


def test_a_tool_that_never_returns_does_not_keep_the_process() -> None:
    child = Child("""
        from alloy_actors.testing import tool_call
        @alloy.tool
        def stuck() -> str:
            "Never return."
            say("READY")
            threading.Event().wait()
        agent = alloy.Agent.start("a", provider=ScriptedProvider([tool_call("stuck")]), tools=[stuck])
        agent.send_message("1", on_result, request_id="running")
        gate2 = threading.Event()
        gate2.wait(0.5)
    """)
    child.wait_until_ready()
    code, out, _ = child.end()
    assert code == 0
    assert "callback running cancelled" in out


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")
def test_a_forked_child_says_so_and_the_parent_goes_on() -> None:
    child = Child("""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of forking with threads: that is the test
        agent = alloy.Agent.start("a", provider=ScriptedProvider(lambda request: "hi"))
        assert agent.chat("before").text == "hi"
        pid = os.fork()
        if pid == 0:
            for name, call in (("chat", lambda: agent.chat("x")), ("send", lambda: agent.send_message("x")),
                               ("messages", agent.messages), ("cancel", agent.cancel_request)):
                try:
                    call()
                    say(name, "worked")
                except alloy.AgentDownError as error:
                    say(name, "refused:", error)
            fresh = alloy.Agent.start("b", provider=ScriptedProvider(["new"]))
            say("child", fresh.chat("hello").text)
            alloy.shutdown()
            sys.stdout.flush()
            os._exit(3)
        _, status = os.waitpid(pid, 0)
        say("child exit", os.waitstatus_to_exitcode(status))
        say("parent", agent.chat("after").text)
    """)
    code, out, err = child.end()
    assert (code, err) == (0, "")
    for call in ("chat", "send", "messages", "cancel"):
        assert f"{call} refused: agent 'a' lives in the process" in out
    assert "child new" in out
    assert "child exit 3" in out
    assert "parent hi" in out
