"""One run of the loop, without actors, threads or sockets, and what there is to see of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from alloy_actors.config import RunConfig, make_config
from alloy_actors.content import user
from alloy_actors.conversation import Conversation
from alloy_actors.journal import Journal
from alloy_actors.middleware import NO_HOOKS, Hooks
from alloy_actors.run_spec import RunSpec
from alloy_actors.store.memory import MemoryStore
from alloy_actors.testing import ScriptedProvider
from alloy_actors.tool_runner import ToolRunner
from alloy_actors.turn import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from alloy_actors import events
    from alloy_actors.content import Message
    from alloy_actors.result import Result


class NoWorkers:
    """There are only async tools here."""

    async def call(self, function: Callable[[], object], *, name: str) -> object:
        raise AssertionError(name)


class Scene:
    """A run of the message "hello" against a provider, a script, or a function of the request.

    Plain hooks are called in place.
    """

    def __init__(self, script: Any, *, listen: bool, history: Sequence[Message] = (), **options: Any) -> None:
        self.provider = script if hasattr(script, "complete") else ScriptedProvider(script)
        self.events: list[events.Event] = []
        self.store = MemoryStore()
        config = make_config(
            RunConfig, {"provider": self.provider, "retry_backoff": 1e-6, **options}, where="test"
        )
        conversation = Conversation()
        conversation.messages = list(history)
        journal = Journal("agent", self.store.take_token("agent"), self.store)
        spec = RunSpec(
            request_id="r",
            agent="agent",
            message=user("hello"),
            config=config,
            provider=config.provider,
            on_events=self.events.extend if listen else None,
            hooks=Hooks(config.middleware, _in_place) if config.middleware else NO_HOOKS,
        )
        self.run = Run(spec, conversation, journal, ToolRunner(NoWorkers()))

    def play(self) -> Result:
        return asyncio.run(self.run.execute())

    def types(self) -> list[str]:
        return [event.type for event in self.events]


def play_twice(script: Any, **options: Any) -> Result:
    """The result of a scene, which a listener does not change; options as for `Scene`."""
    plain, heard = Scene(script, listen=False, **options), Scene(script, listen=True, **options)
    first, second = plain.play(), heard.play()
    assert _comparable(first) == _comparable(second)
    assert repr(first.error) == repr(second.error)
    assert plain.events == []
    assert heard.types()[0] == "run_started"
    assert heard.types().count("run_finished") == 1
    assert heard.types()[-1] == "run_finished"
    return first


def _comparable(result: Result) -> Result:
    calls = tuple(replace(call, duration=0.0) for call in result.tool_calls)
    return replace(result, tool_calls=calls, error=None)


async def _in_place(function: Callable[[], object]) -> object:
    return function()
