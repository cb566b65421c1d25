"""llmock, a server that others wrote: it speaks the providers' formats, fails on demand and grades its client."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alloy_actors import Anthropic, Gemini, OpenAI, OpenAICompat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alloy_actors.providers._base import HTTPProvider

MODELS: dict[str, Callable[..., HTTPProvider]] = {
    "responses": lambda url, **options: OpenAI("gpt-4o", "sk-anything", url, **options),
    "chat": lambda url, **options: OpenAICompat("gpt-4o", "sk-anything", url, **options),
    "anthropic": lambda url, **options: Anthropic(
        "claude-sonnet-4-6", "sk-ant-any", f"{url}/anthropic", **options
    ),
    "gemini": lambda url, **options: Gemini("gemini-2.5-flash", "any-key", f"{url}/gemini", **options),
}
"""A provider of each wire format; `url` is the server's."""


class LLMock:
    """The running server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/_llmock/{path}", data, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def expect(self, *behaviors: dict) -> None:
        self.call("scenario", {"behaviors": list(behaviors)})

    def model(self, api: str, **options: Any) -> HTTPProvider:
        return MODELS[api](self.url, **{"idle_timeout": 1.0, "first_byte_timeout": 5.0, **options})

    def check(self) -> None:
        """The verdict holds no FAIL."""
        verdict = self.call("verdict")
        assert verdict["passed"], verdict["findings"]


@contextmanager
def llmock_server() -> Iterator[LLMock]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = str(Path(sys.executable).with_name("llmock"))
    command = [program, "serve", "--port", str(port), "--log-level", "error"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    mock = LLMock(f"http://127.0.0.1:{port}")
    try:
        until = time.monotonic() + 30
        while True:
            try:
                mock.call("verdict")
                break
            except OSError:
                assert process.poll() is None, "llmock has ended"
                assert time.monotonic() < until, "llmock did not start"
                time.sleep(0.05)  # the process of others tells nobody when it listens
        yield mock
    finally:
        process.terminate()
        process.wait(10)
