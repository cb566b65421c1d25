"""One shell command: its output kept within bounds while it runs, and nothing left of it afterwards.

The shell leads a session, and so a process group, of its own. However the call ends, the group is killed; a second
process, the guard, does so when ours dies without having come to it. A process that leaves the group (`setsid`) is
out of reach.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from alloy_actors.deadline import Deadline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from alloy_actors.tooldef import Cancelled
    from alloy_actors.tools._output import Capture

POLL = 0.05
"""Seconds between two looks at `cancelled`."""

LINGER = 0.2
"""Seconds for the last output of processes that outlive the shell."""

_DYING = (
    1.0  # seconds for the kernel to end what was killed; only a busy machine takes more than one millisecond
)
_CHUNK = 1 << 16
_READS = 64  # in a row, before the clock and `cancelled` are looked at again

LEFT_BEHIND = "[processes that the command left in the background were killed]"
ESCAPED = "[a process that the command started in a session of its own may still run]"


class Ended(NamedTuple):
    """How a command ended.

    `code` is the exit code, 128 + n for signal n as shells have it, and None if it did not end by itself or if somebody
    else took the code; `note` says, in a line for the model, what became of processes in the background.
    """

    by_itself: bool
    code: int | None
    note: str


def run(
    argv: Sequence[str],
    *,
    directory: str,
    environment: Mapping[str, str],
    output: Capture,
    deadline: Deadline,
    cancelled: Cancelled,
) -> Ended:
    """Run a command to its end, to the deadline, or until it is cancelled; blocks.

    Args:
        argv: The program and its arguments.
        directory: Its working directory.
        environment: All of it.
        output: Gets what the command writes to stdout and stderr, as it comes.
        deadline: When it is killed.
        cancelled: When it is killed, too, within `POLL`.

    Raises:
        OSError: It cannot be started.
        ValueError: A NUL byte, or half a character, in an argument or a variable.
    """
    command = _Command(argv, directory, environment)
    try:
        while not command.has_ended():
            if cancelled.is_set():
                return Ended(by_itself=False, code=None, note="")
            if deadline.expired:
                command.kill()
                at_end = command.drain(output, _DYING)
                return Ended(by_itself=False, code=None, note="" if at_end else ESCAPED)
            command.pump(output, min(POLL, deadline.remaining()))
        note = ""
        if not command.drain(output, LINGER):  # the shell is gone, and somebody still holds its output
            command.kill()
            note = LEFT_BEHIND if command.drain(output, _DYING) else ESCAPED
        return Ended(by_itself=True, code=command.close(), note=note)
    finally:
        command.close()


class _Command:
    """A running shell and what hangs on it."""

    def __init__(self, argv: Sequence[str], directory: str, environment: Mapping[str, str]) -> None:
        self._closed = False
        self._at_end = False
        self._code_lost = False
        self._guard: subprocess.Popen[bytes] | None = None
        self._exit: int | None = None
        self._selector = selectors.DefaultSelector()
        try:
            self._process = subprocess.Popen(  # noqa: S603  (running what a model says is this tool's purpose)
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=environment,
                bufsize=0,
                start_new_session=True,
            )
        except BaseException:
            self._selector.close()
            raise
        assert self._process.stdout is not None
        self._pipe = self._process.stdout.fileno()
        try:
            self._guard = _start_guard(self._process.pid)
            self._exit = _exit_descriptor(self._process.pid)
            os.set_blocking(self._pipe, False)
            self._selector.register(self._pipe, selectors.EVENT_READ)
            if self._exit is not None:
                self._selector.register(self._exit, selectors.EVENT_READ)
        except BaseException:
            self.close()
            raise

    def has_ended(self) -> bool:
        """Whether the shell has; it stays unreaped, so that its process group's number stays its own."""
        if not hasattr(os, "waitid"):  # macOS before Python 3.13
            return self._process.poll() is not None
        try:
            flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, self._process.pid, flags) is not None
        except ChildProcessError:  # a program that ignores SIGCHLD, or waits for everybody's children
            self._code_lost = True
            return True

    def pump(self, output: Capture, timeout: float) -> None:
        """Wait up to `timeout` seconds for output, or for the end, and take what is there."""
        if self._at_end and self._exit is None:
            timeout = min(timeout, 0.005)  # nothing will wake us, and most shells end with their output
        for key, _ in self._selector.select(timeout):
            if key.fd == self._pipe:
                self._take(output)

    def drain(self, output: Capture, seconds: float) -> bool:
        """Take what is left, for up to so many seconds; False when somebody still holds the pipe."""
        if self._exit is not None:
            self._selector.unregister(self._exit)
            os.close(self._exit)
            self._exit = None
        deadline = Deadline.after(seconds)
        while not self._at_end and not deadline.expired:
            if self._selector.select(deadline.remaining()):
                self._take(output)
        return self._at_end

    def kill(self) -> None:
        """Kill the group; harmless when nobody is left of it."""
        # EPERM: macOS, for a group of which only the unreaped shell is left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> int | None:
        """Kill what is left of the group, reap the shell, free everything; its exit code if it is known."""
        if not self._closed:
            self._closed = True
            self.kill()
            with contextlib.suppress(
                subprocess.TimeoutExpired
            ):  # the kernel holds it; reaped at another time
                self._process.wait(_DYING)
            if self._guard is not None:
                _end_guard(self._guard)
            self._selector.close()
            if self._exit is not None:
                os.close(self._exit)
            assert self._process.stdout is not None
            self._process.stdout.close()
        code = self._process.returncode
        if code is None or self._code_lost:
            return None
        return code if code >= 0 else 128 - code

    def _take(self, output: Capture) -> None:
        for _ in range(_READS):
            try:
                data = os.read(self._pipe, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                self._at_end = True
                self._selector.unregister(self._pipe)
                return
            output.add(data)


def _exit_descriptor(pid: int) -> int | None:
    """Readable when the process has ended, where there is such a thing (Linux)."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # an old kernel, or too many open files: looking now and then will do
        return None


# Ends when its stdin does, of which only we hold the other end; by then its group is dead, or we are.
_GUARD = 'read -r _; kill -s KILL -- "-$1"'


def _start_guard(group: int) -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(  # noqa: S603  (a constant)
            ["/bin/sh", "-c", _GUARD, "alloy-guard", str(group)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            bufsize=0,
            start_new_session=True,  # a Ctrl-C that ends us must not end it
        )
    except OSError:  # no shell, no process to spare: the command runs without
        return None


def _end_guard(guard: subprocess.Popen[bytes]) -> None:
    guard.kill()  # before its stdin closes: the group's number may be somebody else's now
    guard.wait()
    assert guard.stdin is not None
    guard.stdin.close()
