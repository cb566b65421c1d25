"""One door: whatever ends a run, and wherever, the history can be sent again, and every caller is told once.

A whole agent (actor, book, run, tools, journal) is played step by step on one thread, with a clock that stands still, so
that what Hypothesis finds is found again and can be made smaller.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.world.world import World

REPLIES = [
    "text",
    "text",
    "call coro",
    "call coro plain again",
    "call plain alone coro",
    "call again unknown",
    "hand in",
    "hand in coro",
    "cut call",
    "cut",
    "refusal",
    "empty",
    "overloaded",
    "denied",
    "bug",
    "thought",
    "overflow",
    "ended call",
    "broken call",
]

ENDINGS: list[dict[str, Any]] = [
    {},
    {},
    {"until_tool": "coro"},
    {"halt_on_tool": ["plain", "coro"]},
    {"final_answer": True, "max_turns": 2},
    {"output": int, "until_tool": "again"},
    {"output": int, "final_answer": True, "max_turns": 1},
]

PRICES = {model: {"dollars_per_million": {"input": 1_000, "output": 1_000}} for model in ("puppet", "spare")}
LIMITS: list[dict[str, Any]] = [
    {},
    {},
    {"spare": True},
    {"spare": True, "window": 130},
    {"window": 95},
    {"window": 160},
    {"model_metadata_overrides": PRICES, "max_budget_cents": 5.0},
    {"model_metadata_overrides": PRICES, "lifetime_budget_cents": 30.0, "window": 130, "spare": True},
]


def step(name: str, *values: st.SearchStrategy[Any] | object, **options: object) -> st.SearchStrategy[Any]:
    drawn = [value if isinstance(value, st.SearchStrategy) else st.just(value) for value in values]
    return st.tuples(st.just(name), st.tuples(*drawn), st.just(options))


WEIGHTS = {
    step("send", st.sampled_from(["queue", "steer", "interrupt", "reject", "chat"])): 8,
    step("reply", st.sampled_from(REPLIES)): 24,
    step("end_tool", st.integers(0, 2), st.sampled_from(["ok", "raise", "exit", "cancelled"])): 8,
    step("stream"): 2,
    step("hook", st.sampled_from(["raise", "halt", "block", "edit", "approval", "wait"])): 3,
    step("end_hook"): 2,
    step("send_again", st.integers(0, 3)): 2,
    step("doze"): 4,
    step("decide", st.sampled_from(["approve", "deny"])): 2,
    step("cancel", st.integers(0, 3)): 2,
    step("ask", st.sampled_from(["messages", "reset", "reset when idle", "set_model"])): 2,
    step("progress", st.sampled_from(["handle", "write", "answer", "turn"]), st.integers(1, 3)): 6,
    step("advance", st.sampled_from([1.0, 25.0, 70.0])): 2,
    step("crash"): 2,
    step("drill"): 2,
    step("crash", park=True): 1,
    step("restart"): 4,
    step("fill", full=True): 3,
    step("fill", full=False): 3,
    step("kill"): 2,
    step("take_over"): 1,
    step("drain"): 1,
    step("stop", agent_only=False): 1,
    step("stop", agent_only=True): 1,
}
STEPS = st.sampled_from([each for each, weight in WEIGHTS.items() for _ in range(weight)]).flatmap(
    lambda each: each
)


# Lists of Hypothesis are five long on average, whatever their limit: hardly a run would come to a tool call.
LATER = st.integers(0, 60).flatmap(
    lambda length: st.lists(
        st.tuples(STEPS, st.sampled_from([False, True, True])), min_size=length, max_size=length
    )
)
OPENINGS = [
    [],
    [(("send", ("chat",), {}), True)],
    [(("send", ("queue",), {}), True), (("reply", ("call coro plain again",), {}), True)],
    [
        (("send", ("queue",), {}), True),
        (("hook", ("approval",), {}), False),
        (("reply", ("call coro",), {}), True),
    ],
    [(("send", ("queue",), {}), True), (("reply", ("denied",), {}), True)],
    [(("send", ("queue",), {}), True), (("reply", ("overflow",), {}), True)],
    [(("send", ("queue",), {}), True), (("send", ("steer",), {}), True)],
]
SCENARIOS = st.tuples(st.sampled_from(OPENINGS), LATER).map(lambda parts: [*parts[0], *parts[1]])
Scenario = list[tuple[tuple[str, tuple[Any, ...], dict[str, Any]], bool]]


def play(scenario: Scenario, *, listens: bool, hooks: bool, **of_agent: Any) -> set[str]:
    with World(listens=listens, hooks=hooks, **of_agent) as world:
        for (name, values, options), settle in scenario:
            getattr(world, name)(*values, **options)
            if settle:
                world.settle()
            world.check()
        world.finish()
        return world.seen()


@settings(max_examples=300, deadline=None)
@given(SCENARIOS, st.booleans(), st.booleans(), st.sampled_from(ENDINGS), st.sampled_from(LIMITS))
def test_whatever_happens_histories_can_be_sent_and_every_caller_is_told_once(
    scenario: Scenario, listens: bool, hooks: bool, endings: dict[str, Any], limits: dict[str, Any]
) -> None:
    for what in sorted(play(scenario, listens=listens, hooks=hooks, **endings, **limits)):
        event(what)


def no(name: str, *values: Any, **options: Any) -> tuple[tuple[str, tuple[Any, ...], dict[str, Any]], bool]:
    """A step after which nothing settles."""
    return (name, values, options), False


def settled(
    name: str, *values: Any, **options: Any
) -> tuple[tuple[str, tuple[Any, ...], dict[str, Any]], bool]:
    """A step, and what follows from it."""
    return (name, values, options), True


WAITS_FOR_A_PERSON = [
    settled("send", "queue"),
    settled("send", "queue"),
    no("hook", "approval"),
    settled("reply", "call coro again plain"),
]


@settings(max_examples=100, deadline=None)
@given(SCENARIOS, st.booleans())
def test_the_same_where_a_run_waits_for_a_person(scenario: Scenario, listens: bool) -> None:
    play([*WAITS_FOR_A_PERSON, *scenario], listens=listens, hooks=True)


FOUND = {
    "a run that crashes while its agent is being stopped for good is ended in the log": [
        settled("send", "queue"),
        no("reply", "call coro"),
        no("hook", "raise"),
        settled("stop", agent_only=True),
    ],
    "a chat whose run has not begun to write is kept for the next start": [
        no("send", "chat"),
        no("progress", "turn", 3),
        no("progress", "handle", 3),
        no("crash"),
        settled("stop", agent_only=False),
    ],
    "a chat that has not been taken too": [
        no("send", "chat"),
        no("progress", "turn", 3),
        no("crash"),
        settled("stop", agent_only=False),
    ],
    "a chat is not said to be kept where the store does not take it": [
        no("crash"),
        no("fill", full=True),
        settled("send", "chat"),
        no("stop", agent_only=False),
    ],
    "nor one that was taken": [
        no("send", "chat"),
        no("progress", "turn", 3),
        no("progress", "handle", 3),
        no("crash"),
        no("fill", full=True),
        no("stop", agent_only=False),
    ],
    "a chat whose run has not begun to write is begun again after a crash": [
        no("send", "chat"),
        no("progress", "turn", 3),
        no("progress", "handle", 3),
        no("crash"),
        settled("restart"),
    ],
    "a chat whose run wrote its beginning while it crashed is not begun twice": [
        no("send", "chat"),
        no("progress", "turn", 3),
        no("progress", "handle", 3),
        no("progress", "turn", 2),
        no("progress", "write"),
        no("crash"),
        settled("restart"),
        no("reply", "text"),
        no("crash"),
        settled("restart"),
    ],
    "a chat that is in the log is not refused any more, whatever the store says after a crash": [
        no("send", "chat"),
        no("progress", "turn", 3),
        no("progress", "handle", 3),
        no("progress", "turn", 2),
        no("progress", "write"),
        no("crash"),
        no("fill", full=True),
        settled("restart"),
        no("fill", full=False),
    ],
    "a chat that the store does not take has not happened, and takes nothing along": [
        settled("send", "queue"),
        no("fill", full=True),
        settled("reply", "text"),
        settled("send", "chat"),
        no("fill", full=False),
        settled("send", "queue"),
    ],
    "a chat that waits for its run during a reset is recorded once": [
        settled("ask", "messages"),
        no("ask", "reset"),
        no("send", "chat"),
        no("progress", "turn", 3),
    ],
    "a loser that has nothing to write finds out with the next request": [no("take_over")],
    "a loser whose actor is restarted finds out by itself": [
        settled("send", "queue"),
        no("crash"),
        no("take_over"),
    ],
    "a run that could not be ended in the log is not gone on with after an orderly stop": [
        settled("send", "queue"),
        no("fill", full=True),
        settled("cancel", 0),
    ],
    "a request that could not be withdrawn neither": [
        no("send", "queue"),
        settled("send", "queue"),
        no("fill", full=True),
        settled("cancel", 1),
    ],
    "a run of an earlier process is not withdrawn as if it had not begun": [
        settled("send", "queue"),
        no("kill"),
        no("crash", park=True),
    ],
    "a request that waits is withdrawn once, also before its agent is up": [
        no("crash"),
        settled("send", "queue"),
        no("kill"),
        no("crash", park=True),
    ],
    "a run is ended in the log when its agent is stopped before it was up": [
        settled("send", "queue"),
        no("kill"),
        no("stop", agent_only=True),
    ],
    "a request that is being recorded when its agent is stopped is over too": [
        no("send", "queue"),
        no("progress", "turn", 2),
        no("stop", agent_only=True),
    ],
    "an interrupted run that must not go on is ended in the log as soon as it takes it": [
        no("send", "queue"),
        settled("send", "queue"),
        settled("kill"),
        no("fill", full=True),
        settled("kill"),
    ],
    "a run is ended once, though the store would not take its end and the actor crashed": [
        settled("send", "queue"),
        no("fill", full=True),
        settled("kill"),
        no("crash"),
        no("fill", full=False),
        no("stop", agent_only=True),
    ],
    "a request that was taken, and whose run had not begun when the actor crashed, is begun": [
        no("send", "queue"),
        no("progress", "handle"),
        no("progress", "turn", 2),
        no("progress", "write"),
        no("progress", "answer"),
        no("progress", "turn", 2),
        no("progress", "handle"),
        no("crash"),
        no("restart"),
        no("progress", "handle"),
    ],
    "a request that was taken is over when its agent is stopped before its run has begun": [
        no("send", "queue"),
        no("progress", "handle"),
        no("progress", "turn", 2),
        no("progress", "write"),
        no("progress", "answer"),
        no("progress", "turn", 2),
        no("progress", "handle"),
        no("crash"),
        no("stop", agent_only=True),
    ],
    "an agent does not sleep before the log has what it knows": [
        settled("crash"),
        no("fill", full=True),
        settled("send", "chat"),
        settled("doze"),
        no("cancel", 1),
        settled("restart"),
        no("fill", full=False),
        settled("send", "interrupt"),
        settled("reply", "text"),
        settled("doze"),
        settled("send_again", 1),
    ],
    "what a failed reset leaves is not written behind a newer incarnation": [
        settled("send", "queue"),
        no("fill", full=True),
        settled("reply", "text"),
        no("ask", "reset"),
        no("progress", "turn", 2),
        no("progress", "handle", 3),
        no("crash"),
        no("restart"),
        no("progress", "handle"),
        no("fill", full=False),
        no("progress", "turn", 2),
        no("progress", "answer"),
        no("stop", agent_only=False),
    ],
    "nor is it forgotten for a chat that could not be written either": [
        settled("send", "queue"),
        no("fill", full=True),
        settled("reply", "text"),
        no("ask", "reset"),
        no("progress", "turn", 3),
        no("progress", "handle", 3),
        no("send", "chat"),
        no("progress", "turn", 3),
        no("progress", "handle"),
        no("progress", "turn", 3),
        no("progress", "write"),
        no("progress", "answer"),
        no("progress", "turn", 3),
        no("progress", "write"),
        no("progress", "answer"),
        no("progress", "turn", 3),
        no("fill", full=False),
        no("stop", agent_only=True),
    ],
    "a message that steers is not taken by the run of an actor that has crashed": [
        settled("send", "queue"),
        settled("send", "steer"),
        no("reply", "text"),
        no("crash"),
    ],
    "a request id is known to an agent that slept after a reset": [
        settled("send", "queue"),
        settled("reply", "text"),
        settled("ask", "reset"),
        settled("doze"),
        settled("send_again", 0),
    ],
    "what a run could not write is not forgotten by a reset that could not be written either": [
        no("send", "queue"),
        settled("crash"),
        no("fill", full=True),
        no("kill"),
        no("ask", "reset when idle"),
        settled("restart"),
        no("fill", full=False),
        no("stop", agent_only=True),
    ],
}
"""What was found by the test above, made small."""


@pytest.mark.parametrize("listens", [True, False])
@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_once_stays_found(name: str, listens: bool) -> None:
    play(FOUND[name], listens=listens, hooks=True)


@pytest.mark.heavy
@pytest.mark.timeout(1200)
@settings(max_examples=20_000, deadline=None)
@given(SCENARIOS, st.booleans(), st.booleans(), st.sampled_from(ENDINGS), st.sampled_from(LIMITS))
def test_the_same_for_as_long_as_it_takes_to_find_what_is_rare(
    scenario: Scenario, listens: bool, hooks: bool, endings: dict[str, Any], limits: dict[str, Any]
) -> None:
    play(scenario, listens=listens, hooks=hooks, **endings, **limits)
