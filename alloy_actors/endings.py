"""The options that say what ends a run, checked together: `until_tool`, `halt_on_tool`, `output`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from alloy_actors.content import user
from alloy_actors.errors import ConfigError, InvalidRequestError
from alloy_actors.output import SUBMIT, Output, output_of
from alloy_actors.provider import ModelRequest

if TYPE_CHECKING:
    from alloy_actors.provider import Provider
    from alloy_actors.tooldef import Tool


def prepare_endings(given: dict[str, Any], where: str) -> None:
    """Check the options against each other, and put what the loop works with in their place.

    Args:
        given: Options by name; provider and tools are checked already.
        where: The call they were given to, for messages.

    Raises:
        ConfigError: Naming the option.
    """
    tools: tuple[Tool, ...] = given["tools"]
    if given.get("until_tool") is not None:
        _check_tool(where, "until_tool", given["until_tool"], tools)
    halting = given.get("halt_on_tool")
    if isinstance(halting, str):
        halting = (halting,)
    if halting is not None and not isinstance(halting, list | tuple):
        raise ConfigError(f"{where}: halt_on_tool must be the name of a tool, or a list of names")
    for name in halting or ():
        _check_tool(where, "halt_on_tool", name, tools)
    given["halt_on_tool"] = tuple(halting or ())
    if given.get("output") is None:
        return
    output = given["output"] = output_of(given["output"], where)
    if halting:
        raise ConfigError(
            f"{where}: halt_on_tool ends a run with a tool's result, output= with the model's answer: give one of them"
        )
    if any(tool.name == SUBMIT for tool in tools):
        raise ConfigError(
            f"{where}: with output= the name {SUBMIT!r} is taken: give your tool another, @tool(name=...)"
        )
    check_output(output, given["provider"], tools, where)
    for provider in given.get("fallback_providers", ()):
        check_output(output, provider, tools, where)


def check_output(output: Output | None, provider: Provider, tools: tuple[Tool, ...], where: str) -> None:
    """Refuse a type whose schema this provider would refuse, as far as it can tell without being asked.

    Raises:
        ConfigError: Naming the place in the schema.
    """
    check = getattr(provider, "check_request", None)
    if output is None or check is None:
        return
    request = output.asked_of(provider, ModelRequest((user("?"),), tools))
    try:
        check(replace(request, tools=tuple(tool for tool in request.tools if tool is output.tool)))
    except (ConfigError, InvalidRequestError) as error:
        raise ConfigError(f"{where}: output={output.name}: {error}") from error


def _check_tool(where: str, option: str, name: object, tools: tuple[Tool, ...]) -> None:
    names = [tool.name for tool in tools]
    if name not in names:
        there = f"one of tools: {', '.join(sorted(names))}" if names else "one of tools, and there are none"
        raise ConfigError(f"{where}: {option}={name!r} must be the name of {there}")
