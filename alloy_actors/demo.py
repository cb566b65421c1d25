"""The main job on one screen: supervised agents that answer over HTTP, fan out tools, and come back from crashes.

What happens is here, how it looks is a `Stage`: lines (`PlainStage`), or on a terminal the live tree of `alloy demo`.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from alloy_actors.actors.system import AgentSystem
from alloy_actors.errors import AgentDownError, AlloyError
from alloy_actors.events import RunStarted, ToolEnded, ToolStarted
from alloy_actors.tooldef import ToolContext, tool
from supervisors import ChildExited, ChildParked, ChildStarted, RestartScheduled, format_tree, subscribe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from alloy_actors.actors.ref import AgentRef
    from alloy_actors.events import Event
    from alloy_actors.provider import Provider
    from alloy_actors.result import Result
    from supervisors.events import Event as SupervisorEvent

PATIENCE = 60.0  # seconds for what a crash, or a model, is waited for
SKIES = {"Paris": "18 degrees and clear", "Oslo": "4 degrees and snow", "Lima": "22 degrees and mist"}


class DemoError(AlloyError):
    """Something did not happen as it should."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Who answers for whom.

    Args:
        usual: For most.
        slow: For the agent that works in the background.
        other: The guide is switched to it; None leaves that out.
    """

    usual: Provider
    slow: Provider
    other: Provider | None


class Tally:
    """Finished runs and their tokens, by agent."""

    def __init__(self) -> None:
        self.runs: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()

    def add(self, agent: AgentRef, result: Result) -> Result:
        """Count a result and hand it back."""
        self.runs[agent.name] += 1
        self.tokens[agent.name] += result.usage.total_tokens
        return result


class Stage(Protocol):
    """Where it is shown; everything but `watching` may be called on any thread."""

    def say(self, text: str) -> None:
        """Show a line."""

    def type(self, text: str) -> None:
        """Show a piece of an answer as it comes."""

    def breathe(self) -> None:
        """A scene is over: time to look, where a person does."""

    def watching(self, system: AgentSystem, tally: Tally) -> AbstractContextManager[None]:
        """Show the tree and the tally while the block lasts."""


class PlainStage:
    """Writes lines with the seconds since the start; one at a time, whatever thread they come from.

    Args:
        write: Puts text out; may raise an `OSError`, which the main thread gets.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._start = time.monotonic()
        self._put = write
        self._lock = threading.Lock()
        self._broken: OSError | None = None

    def say(self, text: str) -> None:
        self._write(f"[{time.monotonic() - self._start:5.2f}s] {text}\n")

    def type(self, text: str) -> None:
        self._write(text)

    def breathe(self) -> None:
        pass

    @contextmanager
    def watching(self, system: AgentSystem, tally: Tally) -> Iterator[None]:
        self._write(format_tree(system.supervisor) + "\n")
        yield
        self._write(format_tree(system.supervisor) + "\n")
        for agent in system.agents():
            counted = f"{tally.runs[agent.name]} runs, {tally.tokens[agent.name]} tokens"
            self.say(f"  {agent.name}: {counted}, {agent.health().restarts} restarts")

    def _write(self, text: str) -> None:
        """A callback must not fail because nobody reads any more; the main thread leaves then."""
        with self._lock:
            try:
                if self._broken is None:
                    self._put(text)
            except OSError as error:
                self._broken = error
            if self._broken is not None and threading.current_thread() is threading.main_thread():
                raise self._broken


@tool
def weather(city: str, ctx: ToolContext) -> str:
    """Look up the weather of a city."""
    ctx.cancelled.wait(0.5)  # a slow service; both calls of a reply wait at the same time
    return f"{city}: {SKIES.get(city, 'no report')}"


def perform(stage: Stage, cast: Cast) -> None:
    """Show it all.

    Raises:
        RunError: A run ended badly.
        DemoError: Something else did not happen.
    """
    with AgentSystem() as system:
        show = _Show(stage, cast, system)
        stage.say("a supervision tree of three agents:")
        with stage.watching(system, show.tally):
            for scene in (
                show.stream,
                show.fan_out,
                show.work_in_the_background,
                show.switch_the_model,
                show.crash_when_idle,
                show.crash_while_running,
                show.crash_too_often,
            ):
                stage.breathe()
                scene()
            stage.breathe()
    stage.say("all agents stopped; done")


class _Show:
    """The scenes, in the order in which they are shown."""

    def __init__(self, stage: Stage, cast: Cast, system: AgentSystem) -> None:
        self.tally = Tally()
        self._stage = stage
        self._cast = cast
        self._system = system
        spawn = system.spawn
        self._guide = spawn("guide", provider=cast.usual, system_prompt="You are a travel guide. Be brief.")
        self._desk = spawn("weather-desk", provider=cast.usual, tools=[weather])
        self._clerk = spawn("clerk", provider=cast.slow, system_prompt="Answer in one short sentence.")

    def stream(self) -> None:
        self._stage.say("guide streams an answer, token by token:")
        self._well(self._guide, self._guide.stream_chat("What should I see in Paris?", self._stage.type))
        self._stage.type("\n")

    def fan_out(self) -> None:
        say = self._stage.say
        say("weather-desk gets a question that takes two tool calls; they run side by side:")

        def on_event(event: Event) -> None:
            match event:
                case ToolStarted():
                    say(f"  {event.name}({event.input}) started")
                case ToolEnded():
                    say(f"  {event.name}({event.input}) ended after {event.duration:.2f} s")
                case _:
                    pass

        result = self._desk.stream_chat("Compare the weather in Paris and Oslo", on_event=on_event)
        say(self._well(self._desk, result))

    def work_in_the_background(self) -> None:
        say, clerk = self._stage.say, self._clerk
        told = threading.Event()

        def on_result(result: Result) -> None:
            self.tally.add(clerk, result)
            say(f"  callback for {result.request_id}: {result.text or result.error}")
            told.set()

        request_id = clerk.send_message("Summarise the logs: all is well.", on_result, request_id="summary-1")
        say(f"clerk accepted {request_id!r} and works on it; meanwhile it answers at once:")
        health = clerk.health()
        say(f"  health: {health.status}, {health.pending_count} pending, model {health.model}")
        _await(told, "the callback")

    def switch_the_model(self) -> None:
        guide = self._guide
        if self._cast.other is not None:
            guide.set_model(self._cast.other)
            self._stage.say(f"guide switches to {guide.health().model!r}, and keeps its conversation:")
            self._stage.say(self._well(guide, guide.chat("And in the evening?")))

    def crash_when_idle(self) -> None:
        guide = self._guide
        before = len(guide.messages())
        self._stage.say("drill 1: guide is crashed while it is idle; its supervisor sees it:")
        with self._reported(guide, ChildStarted) as back:
            guide.crash("a drill")
            _await(back, "the restart")
        self._stage.say(f"guide is back with its {before} messages; the same handle goes on:")
        self._stage.say(self._well(guide, guide.chat("Where were we?")))

    def crash_while_running(self) -> None:
        clerk = self._clerk
        self._stage.say("drill 2: clerk is crashed while a model is thinking for it:")
        thinking, ended = threading.Event(), threading.Event()

        def on_event(event: Event) -> None:
            if isinstance(event, RunStarted):
                thinking.set()

        def ask() -> None:
            result = self.tally.add(clerk, clerk.stream_chat("Are you still there?", on_event=on_event))
            self._stage.say(
                f"  whoever waited got one result: {result.status}, {result.text or result.error}"
            )
            ended.set()

        threading.Thread(target=ask, name="demo-caller", daemon=True).start()
        _await(thinking, "the run")
        with self._reported(clerk, ChildStarted) as back:
            clerk.crash("a drill")
            _await(back, "the restart")
            _await(ended, "the result")
        self._stage.say(self._well(clerk, clerk.chat("And now?")))

    def crash_too_often(self) -> None:
        say, desk, guide = self._stage.say, self._desk, self._guide
        say("drill 3: weather-desk crashes again and again, until its supervisor parks it:")
        with self._reported(desk, ChildParked) as parked:
            while not parked.is_set():
                try:
                    desk.crash("a drill")
                    desk.messages()  # waits until it is back
                except AgentDownError:
                    _await(parked, "the parking")
        try:
            desk.chat("Compare the weather in Lima and Oslo")
        except AgentDownError as error:
            say(f"  {error}")
        say(f"nobody else noticed: guide is {guide.health().status}, with {len(guide.messages())} messages")

    def _well(self, agent: AgentRef, result: Result) -> str:
        """The text of a run that went well; counts it."""
        return self.tally.add(agent, result).raise_for_status().text

    @contextmanager
    def _reported(self, agent: AgentRef, until: type[SupervisorEvent]) -> Iterator[threading.Event]:
        """Show what an agent's supervisor reports of it; the event yielded is set at the first `until`."""
        say, seen = self._stage.say, threading.Event()

        def on_event(event: SupervisorEvent) -> None:
            if getattr(event, "id", None) != agent.name:
                return
            match event:
                case ChildExited():
                    say(f"  {event.id} ended: {event.reason}")
                case RestartScheduled():
                    say(f"  restart {event.attempt} in {event.delay:.3f} s")
                case ChildStarted():
                    say(f"  {event.id} is up again, generation {event.generation}")
                case ChildParked():
                    say(f"  {event.id} is parked for {event.park_time:.0f} s")
                case _:
                    pass
            if isinstance(event, until):
                seen.set()

        unsubscribe = subscribe(on_event, root=self._system.supervisor)
        try:
            yield seen
        finally:
            unsubscribe()


def _await(event: threading.Event, what: str) -> None:
    if not event.wait(PATIENCE):
        raise DemoError(f"{what} did not come within {PATIENCE:.0f} seconds")
