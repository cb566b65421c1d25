"""What a user may say about compaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, NamedTuple

from alloy_actors.compaction.prompts import SUMMARY_PROMPT, SUMMARY_SYSTEM_PROMPT
from alloy_actors.errors import ConfigError
from alloy_actors.option_errors import brief

MOST_RESERVED: Final = 16_384
MOST_KEPT: Final = 20_000


class Limits(NamedTuple):
    """What the settings come to for one model.

    Args:
        prompt: Tokens that a request may have.
        keep_recent: Tokens at the end of the conversation that a summary leaves alone.
    """

    prompt: int
    keep_recent: int

    @property
    def room(self) -> int:
        """Tokens that clearing has to leave free: with less, every few turns would break the prompt cache for little."""
        return self.prompt // 4


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Compaction:
    """How a conversation is kept within its model's window: `compaction=` of a run or an agent.

    Args:
        reserve_tokens: Kept free of the context budget, for the answer; None is a tenth of it, at most 16,384.
        keep_recent_tokens: About so many tokens of the newest messages are not summarised; None is an eighth of the
            budget, at most 20,000.
        clear_tool_results: Empty old tool results first; where that makes enough room, no summary is asked for.
        keep_recent_tool_results: The newest results, which are not emptied.
        summary_system_prompt: For the request that asks for a summary.
        summary_prompt: What it asks, below the conversation.
        fallback: Where no summary can be had: "truncate" shortens what is old, "none" leaves it.

    Raises:
        ConfigError: A value is of the wrong kind.
    """

    reserve_tokens: int | None = None
    keep_recent_tokens: int | None = None
    clear_tool_results: bool = True
    keep_recent_tool_results: int = 3
    summary_system_prompt: str = SUMMARY_SYSTEM_PROMPT
    summary_prompt: str = SUMMARY_PROMPT
    fallback: Literal["truncate", "none"] = "truncate"

    def __post_init__(self) -> None:
        _check_count("reserve_tokens", self.reserve_tokens, 0, optional=True)
        _check_count("keep_recent_tokens", self.keep_recent_tokens, 1, optional=True)
        _check_count("keep_recent_tool_results", self.keep_recent_tool_results, 0)
        if not isinstance(self.clear_tool_results, bool):
            raise _wrong("clear_tool_results", "True or False", self.clear_tool_results)
        for name in ("summary_system_prompt", "summary_prompt"):
            text: object = getattr(self, name)
            if not isinstance(text, str) or not text.strip():
                raise _wrong(name, "text, and not empty", text)
        if self.fallback not in ("truncate", "none"):
            raise _wrong("fallback", "'truncate' or 'none'", self.fallback)

    def __repr__(self) -> str:
        said = [(item, getattr(self, item.name)) for item in fields(self)]
        changed = [f"{item.name}={value!r}" for item, value in said if value != item.default]
        return f"Compaction({', '.join(changed)})"

    @property
    def wanted(self) -> int:
        """Tokens of the context budget that were asked for; what is derived from it always fits."""
        return (self.reserve_tokens or 0) + (self.keep_recent_tokens or 0)

    def within(self, budget: int) -> Limits:
        """The limits for a context budget, in tokens.

        Raises:
            ConfigError: What is to be kept free, or kept, does not fit into the budget.
        """
        reserve, keep = self.reserve_tokens, self.keep_recent_tokens
        reserve = min(MOST_RESERVED, max(1, budget // 10)) if reserve is None else reserve
        if reserve > budget:
            raise ConfigError(
                f"compaction: reserve_tokens={reserve:,} is more than the context budget of {budget:,} tokens "
                "(max_tokens): lower it, or give a larger max_tokens"
            )
        if keep is not None and keep > budget - reserve:
            raise ConfigError(
                f"compaction: keep_recent_tokens={keep:,} does not fit into the context budget of {budget:,} tokens "
                f"(max_tokens) less reserve_tokens={reserve:,}: lower it"
            )
        return Limits(budget - reserve, min(MOST_KEPT, max(1, budget // 8)) if keep is None else keep)


def read_compaction(given: object, max_tokens: object, where: str) -> Compaction | None:
    """The option `compaction`: True, False, a `Compaction` or a mapping of its fields; None for off.

    Args:
        given: As the user wrote it.
        max_tokens: The option of that name; where it is a number the settings must fit it.
        where: The call, for the message.

    Raises:
        ConfigError: Naming the field, what is wrong with it, and for an unknown one the valid names.
    """
    settings = _read(given, where)
    if settings is not None and isinstance(max_tokens, int) and max_tokens > 0:
        settings.within(max_tokens)
    return settings


def _read(given: object, where: str) -> Compaction | None:
    if given is False:
        return None
    if given is True:
        return _DEFAULT
    if isinstance(given, Compaction):
        return given
    if not isinstance(given, Mapping):
        msg = f"{where}: compaction must be True, False, a Compaction(...) or a dict, got {type(given).__name__}"
        raise ConfigError(msg)
    valid = [item.name for item in fields(Compaction)]
    for name in given:
        if name not in valid:
            msg = f"{where}: compaction: unknown key {name!r}; valid keys: {', '.join(valid)}"
            raise ConfigError(msg)
    return Compaction(**given)


def _check_count(name: str, value: Any, least: int, *, optional: bool = False) -> None:
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise _wrong(name, f"a whole number of at least {least}", value)


def _wrong(name: str, valid: str, value: object) -> ConfigError:
    return ConfigError(f"compaction: {name} must be {valid}, got {brief(value)}")


_DEFAULT = Compaction()  # one for all agents
