"""Options: flat keywords for users, one frozen value inside; a mistake is a `ConfigError` before anything starts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, InstanceOf, ValidationError
from pydantic.dataclasses import dataclass

from alloy_actors.compaction.settings import Compaction, read_compaction
from alloy_actors.content import NO_USAGE, Message, ToolCall, ToolResult, Usage, user
from alloy_actors.endings import prepare_endings
from alloy_actors.errors import ConfigError
from alloy_actors.estimate import overhead
from alloy_actors.middleware import Middleware, RunView
from alloy_actors.middleware_check import check_middleware
from alloy_actors.option_errors import brief, unknown_option, wrong_options
from alloy_actors.output import Output
from alloy_actors.overrides import ModelOverride, parse_overrides
from alloy_actors.session import Session
from alloy_actors.tooldef import Tool, toolbox

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
Cents = Annotated[float, Field(gt=0, allow_inf_nan=False)]

# The checks are built at first use: that takes as long as everything else in this module.
_CHECKS = ConfigDict(strict=True, arbitrary_types_allowed=True, extra="forbid", defer_build=True)


@dataclass(frozen=True, slots=True, kw_only=True, config=_CHECKS)
class RunConfig:
    """What one run needs to know; all of `run` and `stream`, and the larger part of an agent's options.

    Args:
        provider: Who answers; see `alloy_actors.provider.Provider`. A model string such as "ollama:llama3.2" stands for
            one whose key is in the usual environment variable.
        tools: Offered to the model, in this order.
        system_prompt: Sent with every request.
        messages: The conversation so far.
        max_turns: Provider requests per run.
        timeout: Seconds for a whole run, tools included.
        tool_timeout: Seconds for one tool call.
        max_retries: Further attempts after a failed provider request.
        retry_backoff: Seconds; the base of the growing pause between attempts.
        max_tokens: Tokens that a request may have: the budget that compaction keeps to. None takes it from the model, again
            after `set_model`. (How long an answer may be is an option of the provider.)
        model_metadata_overrides: What you know better of models: {name: input tokens}, or {name: {"limit": ...,
            "suffix_patterns": [...], "dollars_per_million": {"input": ..., "output": ...}}}; see docs/budget.md.
        max_budget_cents: Cents for one run. No request is sent that would reach it with its input alone: the run then ends
            with status "budget_exceeded", and what it has so far is kept.
        fallback_providers: Whom to ask, in this order, where `provider` cannot answer; providers or model strings.
        compaction: How the conversation is kept within that: True, False for not at all, or settings as a `Compaction` or a
            dict of its fields; see docs/compaction.md.
        on_compaction: Called with the messages that are about to be summarised or shortened, and the `RunView`; may be async.
            What it raises is logged.
        until_tool: A tool that has to be called successfully before the run completes: at a final answer without it the
            model is reminded and goes on, up to `max_turns`.
        halt_on_tool: A tool, or several: the first successful call ends the run with its result as the answer, and
            without another request.
        final_answer: At `max_turns`, ask once more for an answer without calls instead of ending with what there is.
        output: The type of the answer: a pydantic model, dataclass, TypedDict, `list[...]`, Union, Literal, primitive.
            `Result.output` is a value of it.
        output_retries: How often the model may correct an answer that is not of that type.
        middleware: Hooks that see the run and may block, edit or halt; see `alloy_actors.middleware`.
        context: For tools and middleware, through `ToolContext.context` and `RunView.context`.
        working_directory: For tools, through `ToolContext.working_directory`.
        loop: Where async tools and hooks run; None is the runtime's own loop.
    """

    provider: Any
    tools: tuple[InstanceOf[Tool], ...] = ()
    system_prompt: str = ""
    messages: tuple[InstanceOf[Message], ...] = ()
    max_turns: Positive = 25
    timeout: Seconds = 120.0
    tool_timeout: Seconds = 60.0
    max_retries: Count = 3
    retry_backoff: Seconds = 1.0
    max_tokens: Positive | None = None
    model_metadata_overrides: tuple[InstanceOf[ModelOverride], ...] = ()
    max_budget_cents: Cents | None = None
    fallback_providers: tuple[Any, ...] = ()
    compaction: InstanceOf[Compaction] | None = Compaction()
    on_compaction: Callable[[tuple[Message, ...], RunView], object] | None = None
    until_tool: str | None = None
    halt_on_tool: tuple[str, ...] = ()
    final_answer: bool = False
    output: InstanceOf[Output] | None = None
    output_retries: Count = 1
    middleware: tuple[InstanceOf[Middleware], ...] = ()
    context: Mapping[str, Any] = Field(default_factory=dict)
    working_directory: Annotated[str, Field(min_length=1)] = "."
    loop: asyncio.AbstractEventLoop | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_CHECKS)
class AgentConfig(RunConfig):
    """The options of an agent.

    Args:
        usage: What the conversation has used so far (a session brings it along).
        cost_cents: What it has cost so far (a session brings it along).
        lifetime_budget_cents: Cents for all runs of the agent, those of earlier processes and of its session included;
            `reset()` does not begin it anew. Checked as `max_budget_cents` is.
        max_pending: Requests that may wait behind the running one.
        result_ttl: Seconds a finished result stays readable by its request id.
        idle_timeout: Seconds without anything to do after which the agent sleeps: its conversation leaves the memory,
            and is read from the store again when something needs it. Only with a store on disk. None: never.
        subscribe: Topics of the system; what is published on them becomes requests. `max_pending` does not hold for
            those.
        on_shutdown: Called once with the agent's `Session` when it has ended for good and its last run has left; may
            be async. `stop` waits for it within its timeout; what it raises is logged.
    """

    usage: InstanceOf[Usage] = NO_USAGE
    cost_cents: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    lifetime_budget_cents: Cents | None = None
    max_pending: Count = 64
    result_ttl: Seconds = 3600.0
    idle_timeout: Seconds | None = None
    subscribe: tuple[str, ...] = ()
    on_shutdown: Callable[[Session], object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_CHECKS)
class SystemConfig:
    """The options of an `AgentSystem`.

    Args:
        tool_workers: Plain (`def`) tools that run at the same time.
        max_stuck_tools: Plain tools that did not end in time and still hold their thread; beyond that number no
            further plain tool is started.
        stop_timeout: Seconds that stopping may take.
        drain_timeout: Seconds that runs get to finish when `run()` is told to stop.
        on_restart: What becomes of a run that was on when an earlier process ended: "resume" goes on with it from its
            last record; "report" ends its request with status "error". Requests that waited are kept either way.
        takeover: Open a store on disk although another process has it; that one can write nothing from then on.
        loop: Where the agents' async tools run, unless an agent says otherwise.
    """

    tool_workers: Positive = 32
    max_stuck_tools: Count = 64
    stop_timeout: Seconds = 5.0
    drain_timeout: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 20.0
    on_restart: Literal["resume", "report"] = "resume"
    takeover: bool = False
    loop: asyncio.AbstractEventLoop | None = None


C = TypeVar("C", RunConfig, AgentConfig, SystemConfig)


def make_config(cls: type[C], options: Mapping[str, Any], *, where: str, also: tuple[str, ...] = ()) -> C:
    """Check flat options.

    Args:
        cls: Which options there are.
        options: As the user wrote them.
        where: The call they were given to, for the message.
        also: Names that the call itself takes; only for the message.

    Raises:
        ConfigError: Naming the option, what is wrong with it, and for an unknown one the valid names.
    """
    valid: set[str] = {item.name for item in fields(cls)}
    for name in options:
        if name not in valid:
            raise ConfigError(unknown_option(where, name, {*valid, *also}, _elsewhere(cls)))
    given = dict(options)
    if cls is not SystemConfig:
        _prepare(given, where)
    try:
        return cls(**given)
    except ValidationError as error:
        raise ConfigError(wrong_options(where, error)) from None


def tokens_beside(config: RunConfig) -> int:
    """By estimate, the tokens of what goes with the messages of a request: system prompt, tools, the form of the answer."""
    if config.output is None:
        return overhead(config.system_prompt, config.tools)
    # A provider that is given the schema itself counts about the same.
    return overhead(config.system_prompt, (*config.tools, config.output.tool))


def check_provider(provider: object, where: str, option: str = "provider") -> None:
    """Refuse what is no provider.

    Raises:
        ConfigError: It has no `model` or no `complete`.
    """
    if isinstance(provider, type) or not callable(getattr(provider, "complete", None)):
        msg = (
            f"{where}: {option}={provider!r} is no provider: give an object such as "
            "OpenAICompat(model=..., api_url=...), a model string such as 'ollama:llama3.2', or an object with a `model` "
            "and an async `complete` method"
        )
        raise ConfigError(msg)
    if not isinstance(getattr(provider, "model", None), str):
        msg = f"{where}: {option}={provider!r} has no `model` (the model's name, a string)"
        raise ConfigError(msg)


def check_tools(provider: object, tools: Sequence[Tool]) -> None:
    """Let a provider that can (`check_tools`) refuse tools that it would not take.

    Raises:
        ConfigError: Naming the tool and the field.
    """
    check = getattr(provider, "check_tools", None)
    if check is not None:
        check(tools)


def user_message(said: object, where: str) -> Message:
    """What the user says as a message: text, or a user message of blocks.

    Raises:
        ConfigError: It is neither, is empty, or holds what a user cannot say.
    """
    if isinstance(said, Message):
        if said.role != "user" or any(isinstance(block, ToolCall | ToolResult) for block in said.blocks):
            msg = f"{where}: message must be the user's: alloy.Message('user', [...]) with text, images or files"
            raise ConfigError(msg)
        if not said.blocks:
            msg = f"{where}: message must not be empty"
            raise ConfigError(msg)
        return said
    if not isinstance(said, str):
        msg = (
            f"{where}: message must be a string or an alloy.Message('user', [...]), got {type(said).__name__}"
        )
        raise ConfigError(msg)
    if not said:
        msg = f"{where}: message must not be empty"
        raise ConfigError(msg)
    return user(said)


def check_name(where: str, option: str, name: object) -> None:
    """Refuse what cannot name anything.

    Raises:
        ConfigError: It is no string, empty, or half a character.
    """
    if not isinstance(name, str) or not name:
        msg = f"{where}: {option} must be a non-empty string, got {name!r}"
        raise ConfigError(msg)
    try:
        name.encode()
    except UnicodeEncodeError:
        msg = (
            f"{where}: {option} must be text that UTF-8 can carry, got {name!r}: "
            "it holds half a surrogate pair, as names of files may do"
        )
        raise ConfigError(msg) from None


def check_count(where: str, option: str, count: object) -> None:
    """Refuse what is no number of things above 0.

    Raises:
        ConfigError: Not an integer, or below 1.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        msg = f"{where}: {option} must be a whole number above 0, got {count!r}"
        raise ConfigError(msg)


def check_seconds(where: str, timeout: object) -> None:
    """Refuse what is no length of time; None is no limit.

    Raises:
        ConfigError: Not a number of seconds above 0.
    """
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        msg = f"{where}: timeout must be a number of seconds above 0, or None, got {timeout!r}"
        raise ConfigError(msg)


def check_callback(where: str, **callbacks: object) -> None:
    """Refuse callbacks that cannot be called; None is no callback.

    Raises:
        ConfigError: Naming the parameter.
    """
    for name, callback in callbacks.items():
        if callback is not None and not callable(callback):
            msg = f"{where}: {name} must be callable, got {type(callback).__name__}"
            raise ConfigError(msg)


def _prepare(given: dict[str, Any], where: str) -> None:
    if "provider" not in given:
        msg = (
            f"{where}: provider is required, for example provider=alloy.OpenAICompat(model=..., api_url=...)"
        )
        raise ConfigError(msg)
    check_provider(given["provider"], where)
    fallbacks = given.get("fallback_providers", ())
    if not isinstance(fallbacks, list | tuple):
        msg = f"{where}: fallback_providers must be a list of providers or model strings, got {brief(fallbacks)}"
        raise ConfigError(msg)
    for index, fallback in enumerate(fallbacks):
        check_provider(fallback, where, f"fallback_providers[{index}]")
    given["fallback_providers"] = tuple(fallbacks)
    tools = given.get("tools", ())
    if isinstance(tools, str) or not isinstance(tools, Iterable):
        msg = f"{where}: tools={tools!r} must be a list of tools made with @alloy.tool"
        raise ConfigError(msg)
    given["tools"] = tuple(toolbox(tools).values())
    for asked in (*fallbacks, given["provider"]):  # this order: a tool keeps its last encoding
        check_tools(asked, given["tools"])
    messages = given.get("messages", ())
    if not isinstance(messages, list | tuple) or not all(isinstance(item, Message) for item in messages):
        msg = f"{where}: messages must be a list of alloy.Message(role, content)"
        raise ConfigError(msg)
    given["messages"] = tuple(messages)
    given["compaction"] = read_compaction(given.get("compaction", True), given.get("max_tokens"), where)
    prepare_endings(given, where)
    given["middleware"] = check_middleware(given.get("middleware", ()), where)
    given["model_metadata_overrides"] = parse_overrides(given.get("model_metadata_overrides", ()), where)
    if "subscribe" in given:
        topics = given["subscribe"]
        if not isinstance(topics, list | tuple) or not all(isinstance(topic, str) for topic in topics):
            msg = f"{where}: subscribe must be a list of topics (strings), got {brief(topics)}"
            raise ConfigError(msg)
        given["subscribe"] = tuple(topics)
    if isinstance(given.get("working_directory"), os.PathLike):
        given["working_directory"] = os.fspath(given["working_directory"])


def _elsewhere(cls: type) -> dict[str, set[str]]:
    """The options of other calls."""
    of_agents = {item.name for item in fields(AgentConfig)} | {"name", "session"}
    of_systems = {item.name for item in fields(SystemConfig)} | {"factory", "store"}
    others = {}
    if cls is not AgentConfig:
        others["agents: Agent.start, AgentSystem.spawn"] = of_agents
    if cls is not SystemConfig:
        others["AgentSystem"] = of_systems
    return others
