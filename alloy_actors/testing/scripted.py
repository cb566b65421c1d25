"""A model that says what the test wants: no network, no key, no time lost.

    provider = ScriptedProvider(["hello", tool_call("add", a=1, b=2), "3"])
    agent = Agent.start(provider=provider, tools=[add])
    ...
    assert provider.requests[-1].messages[-1].content[0].content == "3"

A script is a list of steps, one per request: a string (the answer), a `ToolCall` or several, a list of both, a
`ModelReply`, an exception (raised), or what `reply`, `error`, `hang`, `cut`, `held`, `delayed` and `paced` make. A
function of the request, sync or async, may decide instead. Everything here may be used from any thread.
"""

from __future__ import annotations

import asyncio
import math
import re
import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

from alloy_actors.blocks import BLOCKS
from alloy_actors.config import check_name
from alloy_actors.content import ContentBlock, Message, TextBlock, ThinkingBlock, ToolCall, Usage
from alloy_actors.errors import ConfigError, ConnectionFailedError, InvalidRequestError, ProviderError
from alloy_actors.option_errors import brief
from alloy_actors.pauses import pause
from alloy_actors.provider import Delta, ModelReply, OutputSchemas
from alloy_actors.testing.gate import Gate

if TYPE_CHECKING:
    from alloy_actors.content import StopReason
    from alloy_actors.provider import ModelRequest, OnDeltas

USAGE = Usage(input_tokens=10, output_tokens=5)
"""Of a scripted answer that brings none of its own."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answers; ends when the request is cancelled."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Says `text` word by word, waits for `gate` if there is one, then fails; without a listener nothing was said."""

    text: str
    error: ProviderError
    gate: Gate | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """Waits for `gate`, then does `step`."""

    gate: Gate
    step: Step


@dataclass(frozen=True, slots=True)
class Delayed:
    """Pauses for `seconds`, then does `step`."""

    seconds: float
    step: Step


@dataclass(frozen=True, slots=True)
class Paced:
    """Says `text` word by word and pauses for `every` seconds after each; without a listener it all comes at the end."""

    text: str
    every: float


Block: TypeAlias = str | ContentBlock
Step: TypeAlias = Block | Iterable[Block] | ModelReply | BaseException | Hang | Cut | Held | Delayed | Paced
_STEPS = (str, *BLOCKS, ModelReply, BaseException, Hang, Cut, Held, Delayed, Paced)
Answer: TypeAlias = "Callable[[ModelRequest], Step | Awaitable[Step]]"


def text(content: str) -> ModelReply:
    """An answer."""
    return reply(content)


def thinking(thought: str, answer: str = "") -> ModelReply:
    """A thought, and an answer after it."""
    return reply(ThinkingBlock(thought), *([answer] if answer else []))


def tool_call(name: str, /, **arguments: Any) -> ToolCall:
    """A call of the tool `name`; its id is given when it is played (`call_1`, `call_2` ... of a provider)."""
    return ToolCall("", name, arguments)


def tool_calls(*calls: ToolCall) -> ModelReply:
    """An answer of several calls at once."""
    return reply(*calls)


def reply(
    *blocks: Block,
    stop_reason: StopReason | None = None,
    usage: Usage = USAGE,
    metadata: dict[str, Any] | None = None,
) -> ModelReply:
    """An answer made of blocks (a string is text); the stop reason follows from them unless it is given."""
    content = tuple(TextBlock(block) if isinstance(block, str) else block for block in blocks)
    calls = any(isinstance(block, ToolCall) for block in content)
    reason = stop_reason or ("tool_use" if calls else "end_turn")
    return ModelReply(Message("assistant", content), reason, usage, metadata or {})


def error(
    kind: type[ProviderError] = ProviderError, message: str = "scripted", **facts: Any
) -> ProviderError:
    """A failure: `error(RateLimitError, retry_after=2.0)`.

    Raises:
        ConfigError: `kind` is no class of exceptions.
    """
    given: object = kind
    if not (isinstance(given, type) and issubclass(given, BaseException)):
        raise ConfigError(f"error: kind must be a class such as alloy.RateLimitError, got {brief(kind)}")
    return kind(message, **facts)


def hang() -> Hang:
    """No answer at all."""
    return Hang()


def cut(content: str, failure: ProviderError | None = None, *, gate: Gate | None = None) -> Cut:
    """An answer that breaks off after `content`, once `gate` is open: something may happen in the middle of a stream."""
    return Cut(content, failure or ConnectionFailedError("the scripted stream was cut off"), gate)


def held(gate: Gate, step: Step) -> Held:
    """`step`, once `gate` is open.

    Raises:
        ConfigError: `gate` is no `Gate`.
    """
    if not isinstance(gate, Gate):
        raise ConfigError(f"held: gate must be a Gate, got {brief(gate)}")
    return Held(gate, step)


def delayed(seconds: float, step: Step) -> Delayed:
    """`step`, after so many seconds; under a `FakeClock` none of them passes.

    Raises:
        ConfigError: That is no length of time.
    """
    _check_pause("delayed", "seconds", seconds)
    return Delayed(seconds, step)


def paced(content: str, every: float) -> Paced:
    """An answer that comes slowly, a word each `every` seconds; under a `FakeClock` none of them passes.

    Raises:
        ConfigError: It is no text, or that is no length of time.
    """
    if not isinstance(content, str):
        raise ConfigError(f"paced: content must be text, got {brief(content)}")
    _check_pause("paced", "every", every)
    return Paced(content, every)


class ScriptedProvider:
    """A provider that plays a script; may be shared by agents, which then take its steps in the order they ask.

    Args:
        script: Steps (see the module), or one string as the only answer, or a function of the request.
        model: What it calls itself.
        usage: Of each answer that brings none of its own.
        output_schemas: How a run with `output=` asks: "always" for JSON in words, as providers with structured output
            give it; "never" by the tool `submit_result`; "alone" for JSON where there are no tools.

    Raises:
        ConfigError: There is a step that nothing can be made of.
    """

    local = True
    """It costs nothing, so nobody is warned that it has no price."""

    def __init__(
        self,
        script: Iterable[Step] | str | Answer = (),
        *,
        model: str = "scripted",
        usage: Usage = USAGE,
        output_schemas: OutputSchemas = "never",
    ) -> None:
        if output_schemas not in get_args(OutputSchemas):
            names = ", ".join(map(repr, get_args(OutputSchemas)))
            raise ConfigError(
                f"ScriptedProvider: output_schemas must be one of {names}, got {output_schemas!r}"
            )
        check_name("ScriptedProvider", "model", model)
        self.output_schemas = output_schemas
        self._answer = script if callable(script) else None
        self._steps: list[Step] = [] if callable(script) else _checked(script)
        self._model = model
        self._usage = usage
        self._lock = threading.Lock()
        self._requests: list[ModelRequest] = []
        self._calls = 0  # ids given so far

    @property
    def model(self) -> str:
        """The name it was given."""
        return self._model

    @property
    def requests(self) -> tuple[ModelRequest, ...]:
        """What it was asked so far, in order."""
        with self._lock:
            return tuple(self._requests)

    @property
    def remaining(self) -> int:
        """Steps not played yet."""
        with self._lock:
            return max(len(self._steps) - len(self._requests), 0)

    def __repr__(self) -> str:
        return f"ScriptedProvider(model={self._model!r}, remaining={self.remaining})"

    async def complete(self, request: ModelRequest, on_deltas: OnDeltas | None = None) -> ModelReply:
        """Play the next step; text is streamed word by word when somebody listens.

        Raises:
            InvalidRequestError: The script has run out.
        """
        with self._lock:
            self._requests.append(request)
            number = len(self._requests)
        if self._answer is not None:
            made = self._answer(request)
            step: Step = await made if isawaitable(made) else made
        elif number <= len(self._steps):
            step = self._steps[number - 1]
        else:
            raise InvalidRequestError(
                f"the script has run out: it has {len(self._steps)} steps, and this is request {number}"
            )
        return await self._play(step, on_deltas)

    async def _play(self, step: Step, on_deltas: OnDeltas | None) -> ModelReply:
        while isinstance(step, Held | Delayed):
            await (step.gate.wait() if isinstance(step, Held) else pause(step.seconds))
            step = step.step
        if isinstance(step, BaseException):
            raise step
        if isinstance(step, Hang):
            await asyncio.get_running_loop().create_future()
        if isinstance(step, Cut):
            await _stream([Delta("text", word) for word in _words(step.text)], on_deltas)
            if step.gate is not None:
                await step.gate.wait()
            raise step.error
        if isinstance(step, Paced):
            for word in _words(step.text):
                await _stream([Delta("text", word)], on_deltas)
                await pause(step.every)
            return self._reply(step.text)
        answer = self._reply(step)
        deltas: list[Delta] = []
        for block in answer.message.blocks:
            if isinstance(block, TextBlock):
                deltas += (Delta("text", word) for word in _words(block.text))
            elif isinstance(block, ThinkingBlock):
                deltas += (Delta("thinking", word) for word in _words(block.thinking))
        await _stream(deltas, on_deltas)
        return answer

    def _reply(self, step: Any) -> ModelReply:
        if isinstance(step, (str, *BLOCKS)):
            step = (step,)
        if not isinstance(step, ModelReply):
            step = reply(*step, usage=self._usage)
        blocks = tuple(self._numbered(block) for block in step.message.blocks)
        message = Message("assistant", blocks, model=self._model, origin=step.message.origin)
        answer: ModelReply = replace(step, message=message)
        return answer

    def _numbered(self, block: Any) -> Any:
        if not isinstance(block, ToolCall) or block.id:
            return block
        with self._lock:
            self._calls += 1
            return replace(block, id=f"call_{self._calls}")


def _checked(script: Any) -> list[Step]:
    if isinstance(script, str):
        return [script]
    if isinstance(script, ModelReply | ToolCall) or not isinstance(script, Iterable):
        raise ConfigError(
            f"ScriptedProvider: the script must be a list of steps, or a function, got {brief(script)}"
        )
    steps = list(script)
    for number, step in enumerate(steps, start=1):
        _check_step(step, f"ScriptedProvider: step {number}")
    return steps


def _check_step(step: object, where: str) -> None:
    while isinstance(step, Held | Delayed):
        step = step.step
    if isinstance(step, type):
        raise ConfigError(
            f"{where} is the class {step.__name__}: give an object, such as error({step.__name__})"
        )
    if callable(step):
        raise ConfigError(
            f"{where} is a function: a function decides about all requests, so it is given without a list"
        )
    blocks = step if isinstance(step, list | tuple) else (step,)
    for block in blocks:
        if not isinstance(block, _STEPS) and not (block is step and isinstance(block, Iterable)):
            raise ConfigError(
                f"{where} holds {brief(block)}: give text, tool_call(...), reply(...), error(...), or a list"
            )


def _check_pause(where: str, name: str, seconds: object) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise ConfigError(f"{where}: {name} must be a number of seconds, 0 or more, got {brief(seconds)}")


async def _stream(deltas: list[Delta], on_deltas: OnDeltas | None) -> None:
    for delta in deltas if on_deltas is not None else ():
        assert on_deltas is not None
        on_deltas([delta])
        await asyncio.sleep(0)


def _words(content: str) -> list[str]:
    return re.findall(r"\s*\S+\s*|\s+", content)
