"""Real exchanges, kept in a file without the keys, and played back from it.

What is kept is what goes over the wire, so the provider's own code is tested as well: its requests are compared with
those recorded, and its replies are read from the recorded bytes, streams and errors included.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from alloy_actors import errors
from alloy_actors.errors import ConfigError, InvalidRequestError
from alloy_actors.providers._http import Canned, canned_client
from alloy_actors.providers.trace import without_secrets
from alloy_actors.testing._cassette import Exchange, read, write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alloy_actors.providers.trace import HTTPExchange

RECORD: Final = "ALLOY_RECORD"
"""The environment variable that says what `record=None` means: "1" records."""

# What the HTTP library adds, which a trace is not shown, and the key that stands in for the real one.
_OF_THE_CLIENT = frozenset(
    [
        "host",
        "connection",
        "accept",
        "accept-encoding",
        "content-length",
        "user-agent",
        "authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
    ]
)
_MADE_UP = re.compile(r"(?<=_)[0-9a-f]{32}(?=_\d)")
"""In ids of tool calls that a provider made up since the server gave none."""


class Recording:
    """Plays a file of exchanges back, or records it anew.

        with Recording("tests/recorded/paris.json") as wire:
            provider = alloy.OpenAI("gpt-5-mini", **wire.options)
            result = alloy.run("How warm is it in Paris?", provider=provider, tools=[temperature])

    `ALLOY_RECORD=1 pytest tests/test_paris.py` asks the real server and writes the file; without it nothing leaves the
    process. A request that is none of those recorded ends its run with an InvalidRequestError, and the `with` block
    with an AssertionError that shows the difference. Of several like ones the first that is left is answered, so
    agents may race.

    Args:
        path: Of the file: JSON for people to read, and to edit. Written when the block ends well.
        record: Whether to record; None asks the environment variable.
        api_key: For recording; None is the provider's own variable. Headers and URL members that hold keys are not
            written, and wherever a body repeats one it reads "***".

    Raises:
        ConfigError: There is no such file, or it is no recording.
    """

    def __init__(self, path: str | Path, *, record: bool | None = None, api_key: str | None = None) -> None:
        self.path = Path(path)
        self.recording = os.environ.get(RECORD, "") == "1" if record is None else record
        self._api_key = api_key
        self._lock = threading.Lock()
        self._seen: list[Exchange] = []
        self._left: list[Exchange] = []
        self._problems: list[str] = []
        if not self.recording:
            if not self.path.is_file():
                raise ConfigError(f"there is no recording {self.path}: run once with {RECORD}=1 to make it")
            self._left = read(self.path)
        self.options = self._options()

    def _options(self) -> dict[str, Any]:
        """For every provider whose exchanges are to be kept; `Anthropic(model, **recording.options)`."""
        if self.recording:
            return {"trace": self._keep, "api_key": self._api_key}
        return {"http_client": canned_client(self._answer), "api_key": "played-back"}

    @property
    def left(self) -> int:
        """Recorded exchanges that nobody has asked for yet."""
        with self._lock:
            return len(self._left)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the recording.

        Raises:
            AssertionError: A request differed, or one that was recorded did not come.
        """
        with self._lock:
            if kind is None and self.recording:
                write(self.path, self._seen)
            if self._problems:
                raise AssertionError("\n\n".join(self._problems))
            if kind is None and self._left:
                missing = "\n".join(f"  {exchange.url}" for exchange in self._left)
                raise AssertionError(f"{self.path}: requests were recorded that did not come:\n{missing}")

    def _keep(self, exchange: HTTPExchange) -> None:
        with self._lock:
            self._seen.append(Exchange.of(exchange))

    def _answer(self, url: str, headers: Mapping[str, str], body: bytes) -> Canned:
        given = {name: value for name, value in headers.items() if name.lower() not in _OF_THE_CLIENT}
        asked = Exchange(*without_secrets(url, given, body))
        with self._lock:
            for number, exchange in enumerate(self._left):
                if _comparable(exchange) == _comparable(asked):
                    return _canned(self._left.pop(number))
            problem = self._difference(asked)
            self._problems.append(problem)
        raise InvalidRequestError(problem)

    def _difference(self, asked: Exchange) -> str:
        if not self._left:
            return f"{self.path}: one request more than were recorded, to {asked.url}"
        recorded = self._left[0]
        lines = difflib.unified_diff(
            _comparable(recorded).splitlines(),
            _comparable(asked).splitlines(),
            "recorded",
            "asked",
            lineterm="",
            n=2,
        )
        return f"{self.path}: a request is none of the recorded ones that are left; beside the first:\n" + (
            "\n".join(lines)
        )


def _comparable(exchange: Exchange) -> str:
    """What has to be the same: the URL and the body, whatever the order of its members."""
    try:
        body = json.dumps(json.loads(exchange.body), ensure_ascii=False, indent=2, sort_keys=True)
    except ValueError:
        body = exchange.body.decode("utf-8", "backslashreplace")
    return f"POST {exchange.url}\n{_MADE_UP.sub('*', body)}"


def _canned(exchange: Exchange) -> Canned:
    failure = None
    if exchange.status is None or (200 <= exchange.status < 300 and not exchange.complete):
        failure = _failure(exchange.error)  # of the connection; what the bytes say is read off them again
    return Canned(exchange.status, exchange.reply_headers, exchange.reply_body, failure)


def _failure(error: str | None) -> BaseException | None:
    if error is None:
        return None
    name, _, text = error.partition(": ")
    kind = getattr(errors, name, None)
    if name == "CancelledError" or not isinstance(kind, type) or not issubclass(kind, errors.ProviderError):
        return asyncio.CancelledError()
    return kind(text)
