"""The options of `Anthropic`, checked; each mistake names the option and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alloy_actors.errors import ConfigError
from alloy_actors.providers import _options as check
from alloy_actors.providers._json import dumps

if TYPE_CHECKING:
    from collections.abc import Iterable

MIN_BUDGET = 1024
INTERLEAVED = "interleaved-thinking-2025-05-14"
EFFORTS = ("low", "medium", "high", "xhigh", "max")
TTLS = ("5m", "1h")
CODE_EXECUTION = "code_execution_20260521"


def thinking(given: object, max_tokens: int, betas: Iterable[str]) -> dict[str, Any] | None:
    """True is adaptive, False disabled, a number a budget of tokens; a mapping goes out as it is."""
    if given is None:
        return None
    if isinstance(given, bool):
        return {"type": "adaptive" if given else "disabled"}
    if isinstance(given, int):
        asked: dict[str, Any] = {"type": "enabled", "budget_tokens": given}
    else:
        asked = check.mapping("thinking", given)
        check.text("thinking['type']", asked.get("type"))
    if "budget_tokens" in asked:
        budget = asked["budget_tokens"]
        check.number("thinking", budget, kind=int, least=MIN_BUDGET - 1)
        if budget >= max_tokens and INTERLEAVED not in betas:
            raise ConfigError(
                f"thinking: a budget of {budget} tokens must be less than max_tokens={max_tokens}; raise max_tokens"
            )
    return asked


def effort(given: object) -> str | None:
    """One of the API's words."""
    if given is not None and given not in EFFORTS:
        raise ConfigError(f"effort must be one of {', '.join(EFFORTS)}, not {given!r}")
    return str(given) if given is not None else None


def ttl(given: object) -> str | None:
    """How long the cache lives; None for no caching."""
    if given in (None, False):
        return None
    if given is True:
        return TTLS[0]
    if given not in TTLS:
        raise ConfigError(f"cache must be True, False or one of {', '.join(map(repr, TTLS))}, not {given!r}")
    return str(given)


def betas(given: object, in_header: str) -> list[str]:
    """The names for the one `anthropic-beta` header: those of `betas`, those of the caller's header, each once."""
    if isinstance(given, str):
        given = (given,)
    if not isinstance(given, list | tuple):
        raise ConfigError(f"betas must be a list of names, not {type(given).__name__}")
    names = [check.header_value("betas", name) for name in given]
    found = (name.strip() for name in ",".join((*names, in_header)).split(","))
    return [name for name in dict.fromkeys(found) if name]


def server_tools(given: object, code_execution: object) -> list[dict[str, Any]]:
    """Tools as they are on the wire, code execution first."""
    if not isinstance(given, list | tuple):
        raise ConfigError(f"server_tools must be a list of mappings, not {type(given).__name__}")
    tools = [check.mapping("server_tools", tool) for tool in given]
    for tool in tools:
        if not isinstance(tool.get("name"), str) and not isinstance(tool.get("type"), str):
            raise ConfigError(
                f"server_tools holds {tool!r}: give what the API takes, for example "
                "{'type': 'web_search_20250305', 'name': 'web_search'}"
            )
    _must_be_json("server_tools", tools)
    if code_execution is True:
        code_execution = CODE_EXECUTION
    if code_execution:
        kind = check.text("code_execution", code_execution)
        tools.insert(0, {"type": kind, "name": "code_execution"})
    elif code_execution not in (False, None):
        raise ConfigError(
            f"code_execution must be True, False or a version of the tool, not {code_execution!r}"
        )
    return tools


def tool_options(given: object) -> dict[str, dict[str, Any]]:
    """Members of a tool's definition, by the tool's name."""
    options = {
        name: check.mapping(f"tool_options[{name!r}]", item)
        for name, item in check.mapping("tool_options", given).items()
    }
    for name, item in options.items():
        if "name" in item:
            raise ConfigError(f"tool_options[{name!r}] may not hold 'name': it is the tool's own")
    _must_be_json("tool_options", options)
    return options


def _must_be_json(name: str, value: object) -> None:
    try:
        dumps(value)
    except (TypeError, ValueError) as exc:
        raise ConfigError(f"{name} must be JSON: {exc}") from exc
