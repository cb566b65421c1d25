"""What telemetry says of whole runs: names, order, facts."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

import pytest
import structlog

import alloy_actors as alloy
from alloy_actors import telemetry
from alloy_actors.testing import Gate, ScriptedProvider, cut, error, held, reply, tool_call, tool_calls

if TYPE_CHECKING:
    from collections.abc import Iterator

Told = list[tuple[str, dict[str, Any], dict[str, Any]]]


@alloy.tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.fixture
def told() -> Iterator[Told]:
    told: Told = []
    with telemetry.attach(lambda *said: told.append(said)):
        yield told


def names(told: Told) -> list[str]:
    return [name.removeprefix("alloy.") for name, _, _ in told if name != "alloy.event"]


def facts(told: Told, name: str) -> list[dict[str, Any]]:
    return [{**measured, **metadata} for said, measured, metadata in told if said == f"alloy.{name}"]


def test_t32_runs_turns_requests_and_tools_are_told_in_order(told: Told) -> None:
    alloy.run("add", provider=ScriptedProvider([tool_call("add", a=1, b=2), "3"]), tools=[add])
    assert names(told) == [
        "run.start",
        "turn.start",
        "provider.request",
        "tool.start",
        "tool.stop",
        "turn.stop",
        "turn.start",
        "provider.request",
        "turn.stop",
        "run.stop",
    ]
    assert [(turn["turn"], turn["status"]) for turn in facts(told, "turn.stop")] == [
        (1, "running"),
        (2, "completed"),
    ]
    (began,), (ended,) = facts(told, "run.start"), facts(told, "run.stop")
    assert began["model"] == ended["model"] == "scripted"
    assert (ended["status"], ended["turns"], ended["span_context"]) == ("completed", 2, began["span_context"])
    assert ended["duration_ms"] >= sum(turn["duration_ms"] for turn in facts(told, "turn.stop"))
    (asked, _) = facts(told, "provider.request")
    assert asked.pop("duration_ms") >= 0
    assert asked == {
        "provider": "ScriptedProvider",
        "model": "scripted",
        "streaming": False,
        "attempt": 1,
        "result": "ok",
        "error": None,
        "request_id": began["request_id"],
    }


def test_t32_a_run_that_crashes_ends_its_turn_and_itself_with_an_exception(told: Told) -> None:
    class Broken(alloy.Middleware):
        async def before_completion(self, run: alloy.RunView) -> None:
            raise LookupError("a bug")

    result = alloy.run("go", provider=ScriptedProvider(["never"]), middleware=[Broken()])
    assert isinstance(result.error, alloy.CrashError)
    assert names(told) == ["run.start", "turn.start", "turn.exception", "run.exception"]
    for said in (*facts(told, "turn.exception"), *facts(told, "run.exception")):
        assert (said["kind"], said["reason"]) == ("LookupError", "a bug")
        assert "LookupError: a bug" in said["stacktrace"]


@pytest.mark.parametrize(
    ("step", "options", "status"),
    [
        (error(alloy.AuthError), {}, "error"),
        (reply("no", stop_reason="refusal"), {}, "error"),
        (tool_call("add", a=1, b=2), {"max_turns": 1}, "max_turns"),
    ],
)
def test_what_is_no_crash_stops_with_its_status(
    step: Any, options: dict[str, Any], status: str, told: Told
) -> None:
    alloy.run("go", provider=ScriptedProvider([step]), tools=[add], **options)
    assert facts(told, "run.stop")[0]["status"] == status
    assert "exception" not in str(names(told))
    assert names(told).count("turn.start") == names(told).count("turn.stop") == 1


def test_every_attempt_is_told(told: Told) -> None:
    script = [error(alloy.OverloadedError), error(alloy.OverloadedError), "at last"]
    alloy.run("go", provider=ScriptedProvider(script), retry_backoff=1e-6)
    asked = facts(told, "provider.request")
    assert [(one["attempt"], one["result"], one["error"]) for one in asked] == [
        (1, "error", "OverloadedError"),
        (2, "error", "OverloadedError"),
        (3, "ok", None),
    ]


def test_a_fallback_provider_is_told_with_attempts_of_its_own(told: Told) -> None:
    first = ScriptedProvider([error(alloy.OverloadedError)] * 2, model="first")
    second = ScriptedProvider(["hi"], model="second")
    alloy.run("go", provider=first, fallback_providers=[second], max_retries=1, retry_backoff=1e-6)
    asked = facts(told, "provider.request")
    assert sorted((one["model"], one["attempt"], one["result"]) for one in asked) == [
        ("first", 1, "error"),
        ("first", 2, "error"),
        ("second", 1, "ok"),
    ]


def test_t44_calls_have_the_seq_of_their_events_also_blocked_and_unknown_ones(told: Told) -> None:
    class Guard(alloy.Middleware):
        async def before_tool_call(self, run: alloy.RunView, call: alloy.ToolCall) -> alloy.Block | None:
            return alloy.Block("not today") if call.input.get("a") == 9 else None

    calls = tool_calls(tool_call("add", a=1, b=2), tool_call("add", a=9, b=9), tool_call("nothing"))
    events: list[alloy.Event] = []
    alloy.stream(
        "go",
        lambda _: None,
        on_event=events.append,
        provider=ScriptedProvider([calls, "done"]),
        tools=[add],
        middleware=[Guard()],
        context={"correlation_id": "mine"},
    )
    starts = [event for event in events if isinstance(event, alloy.ToolStarted)]
    ends = [event for event in events if isinstance(event, alloy.ToolEnded)]
    assert [(s["tool_id"], s["event_seq"]) for s in facts(told, "tool.start")] == [
        (event.id, event.seq) for event in starts
    ]
    stops = facts(told, "tool.stop")
    assert [(s["tool_id"], s["event_seq"], s["start_event_seq"], s["error"]) for s in stops] == [
        (event.id, event.seq, event.start_seq, event.error) for event in ends
    ]
    assert len(stops) == 3
    assert {s["correlation_id"] for s in stops} == {"mine"}
    assert {s["turn"] for s in stops} == {1}
    assert "Blocked: not today" in {s["error"] for s in stops}


def test_each_event_is_told_whether_or_not_somebody_listens_and_the_wire_streams_only_if(told: Told) -> None:
    for listen in (False, True):
        told.clear()
        provider = ScriptedProvider([tool_call("add", a=1, b=2), "one two"])
        if listen:
            heard: list[alloy.Event] = []
            alloy.stream("go", print, on_event=heard.append, provider=provider, tools=[add])
            assert [said["event"] for said in facts(told, "event")] == [event.type for event in heard]
        else:
            alloy.run("go", provider=provider, tools=[add])
        said = facts(told, "event")
        assert [one["seq"] for one in said] == list(range(1, len(said) + 1))
        assert [one["event"] for one in said].count("text_delta") == (2 if listen else 1)
        assert {one["v"] for one in said} == {1}
        assert {one["streaming"] for one in facts(told, "provider.request")} == {listen}


def test_a_handler_that_raises_in_the_middle_harms_no_run() -> None:
    def broken(*_: object) -> None:
        raise SystemExit(1)

    with structlog.testing.capture_logs() as logs:
        telemetry.attach(broken)
        assert alloy.run("go", provider=ScriptedProvider(["hi"])).text == "hi"
    assert [line["event"] for line in logs].count("telemetry_handler_failed") == 1
    assert telemetry.wanted == frozenset()


def test_an_agents_runs_say_whose_they_are(system: alloy.AgentSystem, told: Told) -> None:
    agent = system.spawn("clerk", provider=ScriptedProvider(["hi", cut("so f")]), max_retries=0)
    agent.chat("go", request_id="r1")
    agent.chat("go", request_id="r2")
    assert [(run["agent"], run["request_id"], run["status"]) for run in facts(told, "run.stop")] == [
        ("clerk", "r1", "completed"),
        ("clerk", "r2", "error"),
    ]


def test_a_run_that_goes_on_after_a_crash_ends_once_in_each_incarnation_and_counts_on(
    system: alloy.AgentSystem, told: Told
) -> None:
    gate = Gate()
    agent = system.spawn("a", provider=ScriptedProvider([held(gate, "never"), "at last"]))
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent.send_message("go", results.put)
    gate.arrived()
    agent.crash()
    assert results.get(timeout=5).text == "at last"
    spans = {name: facts(told, name) for name in ("run.start", "run.stop", "run.exception")}
    assert {name: len(spans[name]) for name in spans} == {"run.start": 2, "run.stop": 1, "run.exception": 1}
    (first, second), (lost,), (ended,) = spans["run.start"], spans["run.exception"], spans["run.stop"]
    assert (lost["span_context"], lost["kind"]) == (first["span_context"], "CancelledError")
    assert (ended["span_context"], ended["status"]) == (second["span_context"], "completed")
    assert {one["error"] for one in facts(told, "provider.request")} == {"CancelledError", None}
    seqs = [one["seq"] for one in facts(told, "event")]
    assert seqs == list(range(1, len(seqs) + 1))
    assert [one["event"] for one in facts(told, "event")].count("turn_restarted") == 1


def test_t20_the_caller_chooses_the_id_that_events_carry() -> None:
    """T91: what is given for this counts before what is made up; what is no text counts for nothing."""

    def heard(**context: Any) -> set[str]:
        events: list[alloy.Event] = []
        provider = ScriptedProvider([tool_call("add", a=1, b=2), "3"])
        alloy.stream("go", print, on_event=events.append, provider=provider, tools=[add], context=context)
        return {event.request_id for event in events}

    assert heard(request_id="a", correlation_id="b") == {"a"}
    assert heard(request_id=7, correlation_id="b") == {"b"}
    (made,) = heard(correlation_id=None)
    assert len(made) == 32
    with pytest.raises(alloy.ConfigError, match=r"run: context\['request_id'\] must be a non-empty string"):
        alloy.run("go", provider=ScriptedProvider(["hi"]), context={"request_id": ""})


def test_t20_an_agents_events_carry_the_id_of_the_request(system: alloy.AgentSystem) -> None:
    agent = system.spawn(provider=ScriptedProvider(["hi"]), context={"request_id": "not this"})
    events: list[alloy.Event] = []
    agent.stream_chat("go", print, on_event=events.append, request_id="mine")
    assert {event.request_id for event in events} == {"mine"}


def test_log_lines_of_a_run_and_of_its_tools_name_agent_request_and_turn(system: alloy.AgentSystem) -> None:
    @alloy.tool
    def plain() -> str:
        """Log on a worker."""
        structlog.get_logger("mine").info("plain_said")
        raise LookupError("a bug")

    @alloy.tool
    async def other() -> str:
        """Log on the loop, and have another agent do so."""
        structlog.get_logger("mine").info("async_said")
        provider = ScriptedProvider([tool_call("plain"), "done"])
        inner = await system.aspawn("inner", provider=provider, tools=[plain])
        await inner.achat("go", request_id="r-inner")
        structlog.get_logger("mine").info("async_said_again")
        return "done"

    script = ["hi", tool_calls(tool_call("other")), "done"]
    agent = system.spawn("outer", provider=ScriptedProvider(script), tools=[other])
    agent.chat("first")
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        agent.chat("go", request_id="r-outer")
    outer = {"agent": "outer", "request_id": "r-outer", "turn": 1}
    inner = {"agent": "inner", "request_id": "r-inner", "turn": 1}
    said = [
        (line["event"], {key: line.get(key) for key in outer})
        for line in logs
        if not line["event"].startswith("child_")
    ]
    assert said == [
        ("async_said", outer),
        ("plain_said", inner),
        ("tool_crashed", inner),
        ("async_said_again", outer),
    ]


def test_a_request_id_that_the_caller_has_bound_for_his_own_lines_stays_his() -> None:
    @alloy.tool
    async def crash() -> str:
        """Log, then crash."""
        structlog.get_logger("mine").info("mine")
        raise LookupError("a bug")

    provider = ScriptedProvider([tool_call("crash"), "done"])
    with (
        structlog.contextvars.bound_contextvars(request_id="http-7"),
        structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs,
    ):
        result = alloy.run("go", provider=provider, tools=[crash])
        structlog.get_logger("mine").info("after")
    mine = [line for line in logs if not line["event"].startswith("child_")]
    assert [(line["event"], line["request_id"], line.get("turn")) for line in mine] == [
        ("mine", "http-7", 1),
        ("tool_crashed", result.request_id, 1),
        ("after", "http-7", None),
    ]
