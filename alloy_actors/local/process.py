"""`LocalServer`: the stand-in in a child process, started, watched and ended from here. Standard library only."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import weakref
from typing import IO, TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode, urlsplit

from alloy_actors.errors import AlloyError
from alloy_actors.local.stats import ServerStats

if TYPE_CHECKING:
    from types import TracebackType

_STOP_TIMEOUT = 3.0  # seconds for a graceful end before it is killed
_CALL_TIMEOUT = 10.0  # seconds for an answer of the server to us


class LocalServerError(AlloyError):
    """The embedded server did not start, or is gone; the message ends with what it wrote to stderr."""


class LocalServer:
    """The embedded model server in its own process.

        with LocalServer() as server:
            provider = alloy.OpenAICompat(model="scripted-fast", api_url=server.url)

    The child ends with `stop()`, with the `with` block, when this object is collected, when this process exits, and also when this
    process is killed. A forked copy of this process leaves it alone. Ctrl-C in a terminal does not reach the child.

    Args:
        port: 0 takes a free one.
        host: Must be loopback unless there is a token.
        token: Bearer token that clients must send.
        start_timeout: Seconds to wait until it listens.
    """

    def __init__(
        self, *, port: int = 0, host: str = "127.0.0.1", token: str | None = None, start_timeout: float = 30.0
    ) -> None:
        self._port = port
        self._host = host
        self._token = token
        self._start_timeout = start_timeout
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._end: weakref.finalize[..., Any] | None = None
        self._url: str | None = None

    def start(self) -> Self:
        """Start the child and wait until it listens; harmless if it runs already.

        Raises:
            LocalServerError: It ended or was not ready in time.
        """
        with self._lock:
            if self._child is None:
                self._start()
        return self

    def stop(self, timeout: float = _STOP_TIMEOUT) -> None:
        """End the child: politely, after `timeout` seconds by force. Returns when it is gone; may be called again."""
        with self._lock:
            if self._child is not None:
                _end_child(self._child, os.getpid(), timeout)
            if self._end is not None:
                self._end.detach()
            self._child = self._end = self._url = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Base URL without a path: what a provider takes as `api_url`."""
        if self._url is None:
            raise LocalServerError(
                "The local server is not running: call start() or use it in a `with` statement."
            )
        return self._url

    @property
    def pid(self) -> int | None:
        """Process id of the child, None when it is not running."""
        child = self._child
        return None if child is None else child.pid

    def stats(self) -> ServerStats:
        """Return the server's counters."""
        _, body = self._call("GET", "/stats")
        return ServerStats(**body)

    def wait_stats(self, *, timeout: float = 5.0, **counters: int) -> ServerStats:
        """Wait until the named counters have these values, for example `wait_stats(active=0)`.

        Raises:
            TimeoutError: They had not after `timeout` seconds; the message holds all counters.
        """
        query = urlencode({**counters, "timeout": timeout})
        status, body = self._call("GET", f"/stats?{query}", timeout + _CALL_TIMEOUT)
        if status == http.client.REQUEST_TIMEOUT:
            raise TimeoutError(f"waited {timeout} s for {counters}, the local server counts {body}")
        return ServerStats(**body)

    def open_gate(self, name: str) -> None:
        """Let the requests go on whose model name says `gate=name`, those to come included."""
        self._call("POST", f"/gates/{quote(name, safe='')}")

    def _start(self) -> None:
        environment = os.environ.copy()
        environment.pop("ALLOY_LOCAL_TOKEN", None)
        if self._token is not None:
            environment["ALLOY_LOCAL_TOKEN"] = self._token  # not an argument: `ps` shows those to everybody
        command = [sys.executable, "-m", "alloy_actors.local", "--tied"]
        command += ["--host", self._host, "--port", str(self._port)]
        with tempfile.TemporaryFile() as stderr:
            child = subprocess.Popen(  # noqa: S603  (our own module under our own interpreter)
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment,
                start_new_session=True,  # Ctrl-C belongs to the parent, which may still need answers while it ends
            )
            try:
                self._url = self._read_url(child)
            except BaseException as error:
                _end_child(child, os.getpid(), 0.0)
                if isinstance(error, LocalServerError):
                    raise LocalServerError(f"{error}: {_text_of(stderr)}") from None
                raise
        self._child = child
        self._end = weakref.finalize(self, _end_child, child, os.getpid(), _STOP_TIMEOUT)

    def _read_url(self, child: subprocess.Popen[bytes]) -> str:
        """Return the URL from the child's first line. A thread reads it, since pipes cannot be waited for everywhere."""
        assert child.stdout is not None
        lines: list[bytes] = []
        reader = threading.Thread(
            target=lambda out: lines.append(out.readline()),
            args=(child.stdout,),
            name="local-server-start",
            daemon=True,
        )
        reader.start()
        reader.join(self._start_timeout)
        if reader.is_alive():
            child.kill()  # ends the thread too
            reader.join()
            raise LocalServerError(f"The local server was not ready after {self._start_timeout} s")
        try:
            url = json.loads(lines[0])["url"]
        except (ValueError, KeyError, IndexError):
            child.wait(_CALL_TIMEOUT)
            raise LocalServerError(f"The local server ended at once (exit code {child.returncode})") from None
        return str(url)

    def _call(self, method: str, path: str, timeout: float = _CALL_TIMEOUT) -> tuple[int, dict[str, Any]]:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
        headers = {"connection": "close"} | (
            {"authorization": f"Bearer {self._token}"} if self._token else {}
        )
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            status, body = response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException) as error:
            raise LocalServerError(f"The local server at {self.url} does not answer: {error}") from error
        finally:
            connection.close()
        if status >= 400 and status != http.client.REQUEST_TIMEOUT:
            raise ValueError(body["error"]["message"])
        return status, body


def _end_child(child: subprocess.Popen[bytes], owner: int, timeout: float) -> None:
    if os.getpid() != owner:  # a fork: the child is not ours
        return
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            child.kill()
    child.wait()


def _text_of(stderr: IO[bytes]) -> str:
    stderr.seek(0)
    return stderr.read().decode(errors="replace").strip() or "it wrote nothing to stderr"
