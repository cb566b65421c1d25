"""What a test or a benchmark may order, written into the model's name like a query.

    scripted-fast?delay=0.02&deltas=2000
    scripted-fast?status=429&retry_after=0&times=2
    scripted-demo?fault=cut

The name travels through every client unchanged, so any provider, fallback or `set_model` can choose a fault without an option
of its own. `scripted_model()` writes such a name and refuses unknown directives on the spot; the server refuses them with 400.

| directive | meaning |
| --- | --- |
| `delay` | seconds before the first byte |
| `pause` | seconds between two deltas of a stream |
| `deltas` | the answer is this many words, one word a delta, instead of what the script would say |
| `per_write` | deltas that go to the socket in one write (1) |
| `text` | the answer, word for word |
| `stamp` | 1: a stream's first word is this machine's monotonic clock in seconds, read as it is written |
| `reasoning` | `reasoning_content` sent before the answer |
| `calls` | tool calls to make in each round, whatever the user said; needs tools in the request |
| `rounds` | how many times in a row `calls` are made before it answers (1) |
| `tool` | the tool to call; default: the first one offered |
| `arguments` | the arguments of those calls as JSON text, sent as it is even if broken |
| `finish` | the finish reason instead of `stop` or `tool_calls` |
| `usage` | 0: leave usage out |
| `gate` | wait for `POST /gates/NAME` before the first byte; a gate that was opened stays open |
| `gate_after` | stream: send n deltas before that wait (0) |
| `status` | answer with this HTTP error status |
| `retry_after` | seconds (a number or any text) for the Retry-After header of that error |
| `fault` | one of `FAULTS` |
| `times` | only the first n requests with exactly this model name get `status` or `fault` |
| `after` | `status`, `fault` and `gate` only apply once the history holds n assistant messages |
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

FAULTS = {
    "hang": "accepts the request and never answers",
    "stall": "stream: half of the deltas, then silence for ever; plain: like hang",
    "disconnect": "closes the socket without a byte",
    "cut": "closes the socket in the middle of the stream or body",
    "empty": "200 and an end of the body, nothing in between",
    "not_json": "200 and something that is not JSON (stream: after half of the deltas)",
    "error": "200 and an error object (stream: after half of the deltas)",
    "no_done": "stream: everything but [DONE]; no fault for clients that know real servers",
    "unfinished": "stream: ends cleanly after half of the deltas, without finish reason or [DONE]",
}


@dataclass(frozen=True, slots=True)
class Directives:
    """The directives of one model name; see the table above."""

    delay: float = 0.0
    pause: float = 0.0
    deltas: int | None = None
    per_write: int = 1
    text: str | None = None
    stamp: int = 0
    reasoning: str = ""
    calls: int = 0
    rounds: int = 1
    tool: str | None = None
    arguments: str | None = None
    finish: str | None = None
    usage: int = 1
    gate: str | None = None
    gate_after: int = 0
    status: int | None = None
    retry_after: str | None = None
    fault: str | None = None
    times: int | None = None
    after: int = 0


MODELS = {
    "scripted-demo": Directives(pause=0.02),  # a pace at which a person can watch it type
    "scripted-fast": Directives(),
    "scripted-thinking": Directives(
        pause=0.02, reasoning="This is scripted reasoning: nobody thought here. "
    ),
}
"""The models the server offers; no name may let it pass for a real one."""

_NAMES = tuple(field.name for field in fields(Directives))
_NUMBERS = {"delay", "pause"}
_INTEGERS = {
    "deltas",
    "per_write",
    "stamp",
    "calls",
    "rounds",
    "usage",
    "gate_after",
    "status",
    "times",
    "after",
}


def parse_model(model: str) -> tuple[str, Directives]:
    """Split a model's name into the base name and its directives.

    Raises:
        KeyError: There is no such model; the argument is the base name.
        ValueError: A directive is unknown or has a wrong value; the text says which.
    """
    base, _, query = model.partition("?")
    preset = MODELS[base]
    if not query:
        return base, preset
    values: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True, strict_parsing=True):
        if name not in _NAMES:
            raise ValueError(f"unknown directive {name!r}; there are: {', '.join(_NAMES)}")
        values[name] = _value(name, text)
    return base, replace(preset, **values)


def scripted_model(model: str = "scripted-fast", /, **directives: object) -> str:
    """Write a model's name with directives, for example `scripted_model("scripted-fast", fault="hang")`.

    Raises:
        ValueError: No such model or directive, or a wrong value.
    """
    name = f"{model}?{urlencode(directives)}" if directives else model
    try:
        parse_model(name)
    except KeyError:
        raise ValueError(f"no scripted model {model!r}; there are: {', '.join(MODELS)}") from None
    return name


def _value(name: str, text: str) -> float | str:
    if name in _NUMBERS or name in _INTEGERS:
        try:
            number = float(text) if name in _NUMBERS else int(text)
        except ValueError:
            raise ValueError(f"directive {name!r} takes a number, not {text!r}") from None
        if not 0 <= number < float("inf"):
            raise ValueError(f"directive {name!r} takes a number of at least 0, not {text!r}")
        if name == "per_write" and number == 0:
            raise ValueError("directive 'per_write' takes at least 1")
        if name == "status" and not 400 <= number <= 599:
            raise ValueError(f"directive 'status' takes an HTTP error status (400 to 599), not {text!r}")
        return number
    if name == "fault" and text not in FAULTS:
        raise ValueError(f"unknown fault {text!r}; there are: {', '.join(FAULTS)}")
    return text
