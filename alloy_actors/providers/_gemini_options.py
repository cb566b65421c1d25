"""The options that only Gemini has, checked and put as they are sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from alloy_actors.errors import ConfigError
from alloy_actors.providers import _options as check

LEVELS = ("minimal", "low", "medium", "high", "xhigh")
FORMS = ("responseMimeType", "responseJsonSchema", "responseSchema", "responseFormat")
"""What says how the answer is to look; one of them in the caller's configuration, and ours stays out."""


def generation_config(given: object, extra: object, max_tokens: object, thinking: object) -> dict[str, Any]:
    """`generationConfig`, the caller's own over what the other options make of it.

    Args:
        given: The option.
        extra: The member of `extra_body`.
        max_tokens: The option.
        thinking: The option.
    """
    config: dict[str, Any] = {}
    theirs = {
        **check.mapping("generation_config", given),
        **check.mapping("extra_body['generationConfig']", extra),
    }
    for name in theirs:
        if "_" in name:
            raise ConfigError(f"generation_config has {name!r}: write it as the API does, {_camel(name)!r}")
    if max_tokens is not None:
        check.number("max_tokens", max_tokens, kind=int)
        config["maxOutputTokens"] = max_tokens
    if thinking is not None:
        config["thinkingConfig"] = thinking_config(thinking)
    for option, name in (("max_tokens", "maxOutputTokens"), ("thinking", "thinkingConfig")):
        if name in config and name in theirs:
            raise ConfigError(f"{option} and {name!r} in generation_config say the same: give one of them")
    return config | theirs


def thinking_config(given: object) -> dict[str, Any]:
    """`thinkingConfig`: summaries are asked for where the model thinks."""
    if isinstance(given, Mapping):
        return check.mapping("thinking", given)
    if given is True:
        return {"includeThoughts": True}
    if given is False or (type(given) is int and given == 0):
        return {"thinkingBudget": 0}
    if isinstance(given, str):
        if given.lower() not in LEVELS:
            raise ConfigError(
                f"thinking must be one of {', '.join(LEVELS)} where it is a level, not {given!r}"
            )
        return {"thinkingLevel": given.upper(), "includeThoughts": True}
    if not isinstance(given, int) or given < -1:
        raise ConfigError(
            f"thinking must be True, False, a level ({', '.join(LEVELS)}), a budget of tokens (-1: as the model "
            f"likes) or a mapping, not {given!r}"
        )
    return {"thinkingBudget": given, "includeThoughts": True}


def safety_settings(given: object) -> list[dict[str, Any]]:
    """A list as the API takes it, also from a mapping of category to threshold."""
    if isinstance(given, Mapping):
        thresholds = check.mapping("safety_settings", given)
        return [{"category": category, "threshold": value} for category, value in thresholds.items()]
    settings = _mappings("safety_settings", given)
    for setting in settings:
        if not {"category", "threshold"} <= setting.keys():
            raise ConfigError(f"safety_settings: {setting!r} needs a category and a threshold")
    return settings


def server_tools(
    given: object, *, google_search: object, code_execution: object, url_context: object
) -> list[dict[str, Any]]:
    """The tools that run at Google, each as one element of `tools`."""
    asked = {"googleSearch": google_search, "codeExecution": code_execution, "urlContext": url_context}
    options = dict(zip(asked, ("google_search", "code_execution", "url_context"), strict=True))
    found: list[dict[str, Any]] = []
    for name, value in asked.items():
        if isinstance(value, Mapping):
            found.append({name: check.mapping(options[name], value)})
        elif value is True:
            found.append({name: {}})
        elif value is not False:
            raise ConfigError(f"{options[name]} must be True, False or a mapping, not {value!r}")
    for tool in _mappings("server_tools", given):
        if "functionDeclarations" in tool or not tool:
            raise ConfigError(
                f"server_tools: {tool!r} is no tool of Google's; a function of yours belongs into the agent's tools"
            )
        found.append(tool)
    return found


def _mappings(name: str, given: object) -> list[dict[str, Any]]:
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise ConfigError(f"{name} must be a list of mappings, not {type(given).__name__}")
    return [check.mapping(f"{name}[{at}]", item) for at, item in enumerate(given)]


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)
