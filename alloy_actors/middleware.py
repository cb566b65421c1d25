"""Middleware: what a user's code may see and decide while a run is on.

    class Careful(alloy.Middleware):
        def before_tool_call(self, run, call):
            if call.name == "bash" and "rm " in call.input["command"]:
                return alloy.Block("deleting is not allowed here")

A hook is a method, plain or async; those that are not overridden cost nothing. `before_...` hooks are asked in the order
of the list, `after_...` and `on_...` ones in reverse. A hook that raises is a bug: it crashes the run, which is then
taken up again from its last record, once.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from alloy_actors.content import Message, ToolCall, ToolResult, Usage
from alloy_actors.errors import ConfigError

if TYPE_CHECKING:
    from alloy_actors.errors import AlloyError


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
        input: The arguments, all of them.
    """

    input: dict[str, Any]


Decision: TypeAlias = Halt | Block | Edit
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


class Middleware:
    """Override what you need; a hook returns None to let things go on, or its decision. See the module."""

    def before_completion(self, run: RunView) -> MaybeHalt:
        """Before each request to the provider (not before its retries)."""

    def after_tool_request(self, run: RunView, calls: Sequence[ToolCall]) -> MaybeHalt:
        """The model asks for tools; none of `calls` has run."""

    def before_tool_call(self, run: RunView, call: ToolCall) -> MaybeDecision:
        """Before a tool call, in the model's order and before any call of the reply runs.

        An `Edit` is what the next middleware sees; a `Block` or `Halt` is final.
        """

    def after_tool_execution(self, run: RunView, results: Sequence[ToolResult]) -> MaybeHalt:
        """The calls of a reply have their results, in call order; they are part of the conversation."""

    def after_completion(self, run: RunView, message: Message) -> MaybeHalt:
        """The model's final answer is there."""

    def on_error(self, run: RunView, error: AlloyError) -> MaybeHalt:
        """The run is about to end with status "error"; a `Halt` makes that "halted"."""


HookName: TypeAlias = Literal[
    "before_completion",
    "after_tool_request",
    "before_tool_call",
    "after_tool_execution",
    "after_completion",
    "on_error",
]

RunPlain: TypeAlias = Callable[[Callable[[], object]], Awaitable[object]]
"""Runs a plain function off the loop and returns what it returns; what it raises is raised."""

Hook: TypeAlias = Callable[..., object]


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
        for name in (name for name in vars(Middleware) if not name.startswith("_")):
            found = tuple(
                getattr(one, name)
                for one in middleware
                if getattr(type(one), name) is not getattr(Middleware, name)
            )
            if found:
                self._hooks[name] = found if name.startswith("before_") else found[::-1]

    def __contains__(self, name: HookName) -> bool:
        return name in self._hooks

    async def halt(self, name: HookName, run: RunView, *facts: object) -> Halt | None:
        """Ask every middleware; the first that halts ends the asking.

        Raises:
            ConfigError: A hook returned something else.
            Exception: A hook raised.
        """
        for hook in self._hooks.get(name, ()):
            decision = await self._call(hook, run, *facts)
            if isinstance(decision, Halt):
                return decision
            if decision is not None:
                raise _wrong(hook, decision, "None or Halt(reason)")
        return None

    async def decide(self, run: RunView, call: ToolCall) -> tuple[ToolCall, Block | Halt | None]:
        """What becomes of a tool call: the call as it is to be run, or why it is not.

        Raises:
            ConfigError: A hook returned something else, or an input that is no dict.
            Exception: A hook raised.
        """
        for hook in self._hooks.get("before_tool_call", ()):
            decision = await self._call(hook, run, call)
            match decision:
                case None:
                    pass
                case Halt() | Block():
                    return call, decision
                case Edit(dict() as arguments):
                    call = ToolCall(call.id, call.name, arguments)
                case _:
                    raise _wrong(hook, decision, "None, Block(reason), Edit({...}) or Halt(reason)")
        return call, None

    async def _call(self, hook: Hook, *facts: object) -> object:
        if not inspect.iscoroutinefunction(hook):
            return await self._run_plain(lambda: hook(*facts))
        if self._loop is None or self._loop is asyncio.get_running_loop():
            return await hook(*facts)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(hook(*facts), self._loop))


async def _nowhere(function: Callable[[], object]) -> object:
    return function()


NO_HOOKS = Hooks((), _nowhere)


def check_middleware(middleware: object, where: str) -> tuple[Middleware, ...]:
    """Refuse what is no list of middleware.

    Raises:
        ConfigError: Naming what is wrong.
    """
    if isinstance(middleware, str) or not isinstance(middleware, Sequence):
        msg = (
            f"{where}: middleware must be a list of alloy.Middleware objects, got {type(middleware).__name__}"
        )
        raise ConfigError(msg)
    for one in middleware:
        if not isinstance(one, Middleware):
            hint = ": make an object of it" if isinstance(one, type) and issubclass(one, Middleware) else ""
            msg = f"{where}: middleware holds {one!r}, which is no alloy.Middleware object{hint}"
            raise ConfigError(msg)
    return tuple(middleware)


def _wrong(hook: Hook, decision: object, valid: str) -> ConfigError:
    name = getattr(hook, "__qualname__", repr(hook))
    return ConfigError(f"middleware {name} returned {type(decision).__name__}: return {valid}")
