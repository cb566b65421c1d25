"""What the flags of `run` and `chat` come to: a system, a provider and the options of an agent."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alloy_actors.actors.default import shutdown
from alloy_actors.actors.system import AgentSystem
from alloy_actors.cli import price_flags, session_file
from alloy_actors.cli.providers import Choice, Providers, chosen
from alloy_actors.cli.toolsets import load_tools
from alloy_actors.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from alloy_actors.provider import Provider
    from alloy_actors.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What `run` and `chat` have in common; see their help."""

    choice: Choice
    tools: tuple[str, ...]
    allow: tuple[str, ...]
    system: str
    max_turns: int
    max_retries: int
    timeout: float
    session: Path | None
    store: str | None
    name: str | None
    quiet: bool
    verbose: bool
    max_budget_cents: float | None = None
    prices: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything a conversation needs, started; `options` are those of an agent, but for its provider."""

    system: AgentSystem
    providers: Providers
    choice: Choice
    provider: Provider
    options: dict[str, Any]
    session: Session | None


@contextmanager
def started(flags: Flags) -> Iterator[Setting]:
    """Check the flags, start what they ask for, and end it afterwards.

    Raises:
        ConfigError: A mistake in the flags, found before anything starts that they do not concern.
        AlloyError: The store is in use, or the embedded server did not start.
    """
    choice = chosen(flags.choice)
    if flags.session is not None and flags.store is not None:
        raise ConfigError("give --session or --store, not both: each of them keeps the conversation")
    session = None if flags.session is None else session_file.load_if_there(flags.session)
    tools = load_tools(flags.tools)
    try:
        with Providers() as providers:
            provider = providers.make(choice)
            fallbacks = [providers.make_fallback(model) for model in flags.fallback]
            options = {
                "tools": tools,
                "system_prompt": flags.system,
                "max_turns": flags.max_turns,
                "max_retries": flags.max_retries,
                "fallback_providers": fallbacks,
                "timeout": flags.timeout,
                "max_budget_cents": flags.max_budget_cents,
                "model_metadata_overrides": price_flags.overrides(flags.prices, provider.model),
                "context": {"allowed_paths": list(flags.allow)},
            }
            # What an earlier call was at when it was killed is over: nobody waits for it at a command line.
            with AgentSystem(store=_url(flags.store), on_restart="report") as system:
                yield Setting(system, providers, choice, provider, options, session)
    finally:
        shutdown()


def _url(store: str | None) -> str:
    if store is None:
        return "memory:"
    return store if ":" in store else f"sqlite:///{store}"
