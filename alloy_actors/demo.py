"""The main job on one screen: supervised agents that answer over HTTP, fan out tools, and come back from a crash.

Runs against the embedded model server (`alloy_actors.local`), so it needs no key and no network.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import TYPE_CHECKING

import structlog

from alloy_actors.actors.default import shutdown
from alloy_actors.actors.system import AgentSystem
from alloy_actors.events import ToolEnded, ToolStarted
from alloy_actors.local import LocalServer, scripted_model
from alloy_actors.providers.openai_compat import OpenAICompat
from alloy_actors.tooldef import ToolContext, tool
from supervisors import ChildExited, ChildStarted, RestartScheduled, format_tree, subscribe

if TYPE_CHECKING:
    from alloy_actors.actors.ref import AgentRef
    from alloy_actors.events import Event
    from alloy_actors.result import Result
    from supervisors.events import Event as SupervisorEvent

SKIES = {"Paris": "18 degrees and clear", "Oslo": "4 degrees and snow", "Lima": "22 degrees and mist"}


@tool
def weather(city: str, ctx: ToolContext) -> str:
    """Look up the weather of a city."""
    ctx.cancelled.wait(0.5)  # a slow service; both calls of a reply wait at the same time
    return f"{city}: {SKIES.get(city, 'no report')}"


class Screen:
    """Prints lines with the seconds since the start; one at a time, whatever thread they come from."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        with self._lock:
            sys.stdout.write(f"[{time.monotonic() - self._start:5.2f}s] {text}\n")
            sys.stdout.flush()

    def type(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def main() -> int:
    """Run the demo; 0 when every step did what it should."""
    # The crash is part of the show: its log record, with a traceback, would hide the rest.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    screen = Screen()
    try:
        with LocalServer() as server:
            screen.say(f"model server on {server.url}: a scripted stand-in, not a model")
            with AgentSystem() as system:
                _show(screen, system, server.url)
        screen.say("all agents stopped; done")
    finally:
        shutdown()
    return 0


def _show(screen: Screen, system: AgentSystem, url: str) -> None:
    slow = OpenAICompat(model="scripted-demo", api_url=url)
    guide = system.spawn("guide", provider=slow, system_prompt="You are a travel guide.")
    desk = system.spawn("weather-desk", provider=slow, tools=[weather])
    thoughtful = OpenAICompat(model=scripted_model("scripted-demo", delay=0.5), api_url=url)
    clerk = system.spawn("clerk", provider=thoughtful)
    screen.say("a supervision tree of three agents:")
    screen.type(format_tree(system.supervisor) + "\n")

    screen.say("guide streams an answer, token by token:")
    guide.stream_chat("What should I see in Paris?", screen.type)
    screen.type("\n")
    _fan_out(screen, desk)
    _in_the_background(screen, clerk)

    guide.set_model(OpenAICompat(model="scripted-fast", api_url=url))
    screen.say(f"guide switches to {guide.health().model!r}, and keeps its conversation:")
    screen.say(guide.chat("And in the evening?").raise_for_status().text)
    _crash_and_return(screen, system, guide, desk)


def _fan_out(screen: Screen, desk: AgentRef) -> None:
    screen.say("weather-desk gets a question that takes two tool calls; they run side by side:")

    def on_event(event: Event) -> None:
        match event:
            case ToolStarted():
                screen.say(f"  {event.name}({event.input}) started")
            case ToolEnded():
                screen.say(f"  {event.name}({event.input}) ended after {event.duration:.2f} s")
            case _:
                pass

    result = desk.stream_chat("Compare the weather in Paris and Oslo", on_event=on_event)
    screen.say(result.raise_for_status().text)


def _in_the_background(screen: Screen, clerk: AgentRef) -> None:
    told = threading.Event()

    def on_result(result: Result) -> None:
        screen.say(f"  callback for {result.request_id}: {result.text}")
        told.set()

    request_id = clerk.send_message("Summarise the logs", on_result, request_id="summary-1")
    screen.say(f"clerk accepted {request_id!r} and works on it; meanwhile it answers at once:")
    health = clerk.health()
    screen.say(f"  health: {health.status}, {health.pending_count} pending, model {health.model}")
    if not told.wait(10):
        msg = "the callback was not called within 10 seconds"
        raise RuntimeError(msg)


def _crash_and_return(screen: Screen, system: AgentSystem, guide: AgentRef, desk: AgentRef) -> None:
    back = threading.Event()

    def on_event(event: SupervisorEvent) -> None:
        match event:
            case ChildExited():
                screen.say(f"  {event.id} ended: {event.reason}")
            case RestartScheduled():
                screen.say(f"  restart {event.attempt} in {event.delay:.3f} s")
            case ChildStarted():
                screen.say(f"  {event.id} is up again, generation {event.generation}")
                back.set()
            case _:
                pass

    unsubscribe = subscribe(on_event, root=system.supervisor)
    try:
        before = len(guide.messages())
        screen.say("guide is crashed on purpose; its supervisor sees it:")
        guide.crash("a drill")
        if not back.wait(10):
            msg = "the agent did not come back within 10 seconds"
            raise RuntimeError(msg)
    finally:
        unsubscribe()
    screen.say(f"guide is back with its {before} messages; the same handle goes on:")
    screen.say(guide.chat("Where were we?").raise_for_status().text)
    screen.say(f"restarts: guide {guide.health().restarts}, weather-desk {desk.health().restarts}")
    screen.type(format_tree(system.supervisor) + "\n")
