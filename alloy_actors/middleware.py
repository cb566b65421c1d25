"""Middleware: what a user's code may see and decide while a run is on.

    class Careful(alloy.Middleware):
        def before_tool_call(self, run, call):
            if call.name == "bash" and "rm " in call.input["command"]:
                return alloy.Block("deleting is not allowed here")

A hook is a method, plain or async; those that are not overridden cost nothing. `before_...` hooks and `session_start` are
asked in the order of the list, all others in reverse. A hook that raises is a bug: it crashes the run, which is then
taken up again from its last record, once.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from alloy_actors.content import Message, ToolCall, ToolResult, Usage
from alloy_actors.errors import ConfigError, CrashError

if TYPE_CHECKING:
    from alloy_actors.errors import AlloyError, ContextOverflowError


@dataclass(frozen=True, slots=True)
class Halt:
    """End the run with status "halted"; open tool calls are answered with the reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Block:
    """Do not run this tool call; the model is told the reason and the run goes on."""

    reason: str


@dataclass(frozen=True, slots=True)
class Edit:
    """Run this tool call with another input; the model still sees the call it made.

    Args:
        input: The arguments, all of them, as plain JSON data. The call's id and name stay what they are.
    """

    input: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RequireApproval:
    """Run this tool call only after `agent.approve(request_id, call_id)`; until then the run's time stands still.

    It does not end the asking: later middleware may still block the call, edit it, or halt the run.

    Args:
        reason: Why, for the person who decides.
        timeout: Seconds after which the call counts as denied; None waits for ever.
    """

    reason: str
    timeout: float | None = None


Decision: TypeAlias = Halt | Block | Edit | RequireApproval
MaybeHalt: TypeAlias = Halt | Awaitable[Halt | None] | None
MaybeDecision: TypeAlias = Decision | Awaitable[Decision | None] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A run as a hook sees it; a moment of it, which does not change afterwards.

    Args:
        agent: The agent's name.
        request_id: The run's.
        turn: Replies so far.
        model: Who is asked.
        messages: The conversation so far, in order.
        usage: Tokens of this run so far.
        context: The option `context`, as it is.
    """

    agent: str
    request_id: str
    turn: int
    model: str
    messages: Sequence[Message]
    usage: Usage
    context: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionView:
    """An agent as the hooks of its session see it: before it comes up, and when it has ended for good.

    Args:
        agent: Its name.
        model: Who is asked.
        messages: The conversation, in order.
        usage: Tokens of all its runs.
        context: The option `context`, as it is.
    """

    agent: str
    model: str
    messages: Sequence[Message]
    usage: Usage
    context: Mapping[str, Any]


class Middleware:
    """Override what you need; a hook returns None to let things go on, or its decision. See the module."""

    def before_completion(self, run: RunView) -> MaybeHalt:
        """Before each request to the provider (not before its retries)."""

    def after_tool_request(self, run: RunView, calls: Sequence[ToolCall]) -> MaybeHalt:
        """The model asks for tools; none of `calls` has run."""

    def before_tool_call(self, run: RunView, call: ToolCall) -> MaybeDecision:
        """Before a tool call, in the model's order and before any call of the reply runs.

        An `Edit` is what the next middleware sees; a `Block` or `Halt` is final; a `RequireApproval` is what is left when
        all have been asked.
        """

    def after_tool_execution(self, run: RunView, results: Sequence[ToolResult]) -> MaybeHalt:
        """The calls of a reply have their results, in call order; they are part of the conversation."""

    def after_completion(self, run: RunView, message: Message) -> MaybeHalt:
        """The model's final answer is there."""

    def on_context_overflow(self, run: RunView, error: ContextOverflowError) -> MaybeHalt:
        """The provider found the conversation too long, for the first time in this turn; compaction comes next."""

    def after_compaction(self, run: RunView, messages: Sequence[Message]) -> MaybeHalt:
        """The conversation was made shorter; `messages` is what there is of it now."""

    def on_error(self, run: RunView, error: AlloyError) -> MaybeHalt:
        """The run is about to end with status "error"; a `Halt` makes that "halted"."""

    def session_start(self, session: SessionView) -> MaybeHalt:
        """Before an agent comes up for the first time in this process; a `Halt` makes `spawn` fail with its reason."""

    def session_end(self, session: SessionView) -> MaybeHalt:
        """An agent that came up has ended for good, before `on_shutdown`; a `Halt` is logged and ignored."""


HookName: TypeAlias = Literal[
    "before_completion",
    "after_tool_request",
    "before_tool_call",
    "after_tool_execution",
    "after_completion",
    "on_context_overflow",
    "after_compaction",
    "on_error",
    "session_start",
    "session_end",
]

HOOKS = tuple(name for name in vars(Middleware) if not name.startswith("_"))
"""The names of all hooks."""

RunPlain: TypeAlias = Callable[[Callable[[], object]], Awaitable[object]]
"""Runs a plain function off the loop and returns what it returns; what it raises is raised."""

Hook: TypeAlias = Callable[..., object]

_GOING_IN = ("before_", "session_start")


class Hooks:
    """The hooks of one agent's middleware, found once.

    Args:
        middleware: In order.
        run_plain: For plain hooks.
        loop: Where async hooks run; None is the loop of the run.
    """

    __slots__ = ("_hooks", "_loop", "_run_plain")

    def __init__(
        self,
        middleware: Sequence[Middleware],
        run_plain: RunPlain,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._run_plain = run_plain
        self._loop = loop
        self._hooks: dict[str, tuple[Hook, ...]] = {}
        for name in HOOKS:
            found = tuple(getattr(one, name) for one in middleware if overrides(one, name))
            if found:
                self._hooks[name] = found if name.startswith(_GOING_IN) else found[::-1]

    def __contains__(self, name: HookName) -> bool:
        return name in self._hooks

    def of(self, name: HookName) -> tuple[Hook, ...]:
        """The hooks of that name in the order in which they are asked, for who asks them by itself."""
        return self._hooks.get(name, ())

    async def halt(self, name: HookName, about: RunView | SessionView, *facts: object) -> Halt | None:
        """Ask every middleware; the first that halts ends the asking.

        Raises:
            ConfigError: A hook returned something else.
            Exception: A hook raised.
        """
        for hook in self._hooks.get(name, ()):
            halt = as_halt(hook, await self._call(hook, about, *facts))
            if halt is not None:
                return halt
        return None

    async def decide(
        self, run: RunView, call: ToolCall
    ) -> tuple[ToolCall, Block | Halt | RequireApproval | None]:
        """What becomes of a tool call: the call as it is to be run, and why it is not, or not yet.

        Raises:
            ConfigError: A hook returned something else, or an input that is no JSON object.
            Exception: A hook raised.
        """
        approval: RequireApproval | None = None
        for hook in self._hooks.get("before_tool_call", ()):
            decision = await self._call(hook, run, call)
            match decision:
                case None:
                    pass
                case Halt() | Block():
                    _check_reason(hook, type(decision).__name__, decision.reason)
                    return call, decision
                case Edit():
                    _check_input(hook, decision.input)
                    call = ToolCall(call.id, call.name, decision.input)
                case RequireApproval():
                    _check_approval(hook, decision)
                    approval = approval or decision
                case _:
                    valid = "None, Block(reason), Edit({...}), RequireApproval(reason) or Halt(reason)"
                    raise _wrong(hook, decision, valid)
        return call, approval

    async def call(self, function: Hook, *facts: object) -> object:
        """Call a function of the user's where hooks run.

        Raises:
            Exception: It raised.
        """
        return await self._call(function, *facts)

    async def _call(self, hook: Hook, *facts: object) -> object:
        if inspect.iscoroutinefunction(hook):
            answer: object = hook(*facts)
        else:
            answer = await self._run_plain(lambda: hook(*facts))
        if not inspect.isawaitable(answer):
            return answer
        if self._loop is None or self._loop is asyncio.get_running_loop():
            return await answer
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(awaited(answer), self._loop))


async def awaited(answer: Awaitable[object]) -> object:
    """What an awaitable of a user's comes to, as a coroutine that a loop takes from another thread.

    Raises:
        Exception: What it raises; anything worse than an `Exception` becomes a `CrashError`.
    """
    try:
        return await answer
    except (Exception, asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:  # SystemExit would end the loop for everyone
        msg = f"a hook raised {type(error).__name__}"
        raise CrashError(msg) from error


def overrides(one: Middleware, name: str) -> bool:
    """Whether a middleware has a hook of its own, from its class or its attributes."""
    return getattr(getattr(one, name), "__func__", None) is not getattr(Middleware, name)


def as_halt(hook: Hook, decision: object) -> Halt | None:
    """What a hook that may only halt has decided.

    Raises:
        ConfigError: It returned something else.
    """
    if isinstance(decision, Halt):
        _check_reason(hook, type(decision).__name__, decision.reason)
        return decision
    if decision is not None:
        raise _wrong(hook, decision, "None or Halt(reason)")
    return None


async def _nowhere(function: Callable[[], object]) -> object:
    return function()


NO_HOOKS = Hooks((), _nowhere)


def _check_reason(hook: Hook, what: str, reason: object) -> None:
    if not isinstance(reason, str) or not reason:
        msg = f"middleware {_name_of(hook)} returned {what}({reason!r}): {what}.reason must be a text"
        raise ConfigError(msg)


def _check_approval(hook: Hook, decision: RequireApproval) -> None:
    _check_reason(hook, "RequireApproval", decision.reason)
    seconds: object = decision.timeout
    if seconds is None:
        return
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        msg = (
            f"middleware {_name_of(hook)} returned RequireApproval(timeout={seconds!r}): "
            "RequireApproval.timeout must be a number of seconds above 0, or None"
        )
        raise ConfigError(msg)


def _check_input(hook: Hook, arguments: object) -> None:
    check_arguments(f"middleware {_name_of(hook)} returned an Edit whose input", "Edit.input", arguments)


def check_arguments(where: str, option: str, arguments: object) -> None:
    """Refuse what cannot be all arguments of a call.

    Raises:
        ConfigError: It is no dict of plain JSON data.
    """
    if not isinstance(arguments, dict):
        msg = (
            f"{where} is a {type(arguments).__name__}: {option} must be a dict, "
            "all arguments of the call; its id and name stay what they are"
        )
        raise ConfigError(msg)
    try:
        json.dumps(arguments, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"{where} is no plain JSON data: {option}: {error}"
        raise ConfigError(msg) from None


def _name_of(hook: Hook) -> str:
    return getattr(hook, "__qualname__", repr(hook))


def _wrong(hook: Hook, decision: object, valid: str) -> ConfigError:
    return ConfigError(f"middleware {_name_of(hook)} returned {type(decision).__name__}: return {valid}")
