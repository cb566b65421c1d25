"""The JSON form of events: a golden file holds every class to its envelope.

`python -m tests.unit.alloy_actors.test_events` prints it anew: check it by hand, and keep it in tests/data/events.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import pytest

from alloy_actors import events
from alloy_actors.content import Usage
from alloy_actors.errors import CrashError
from alloy_actors.plain_json import plain_json
from alloy_actors.result import Result, ToolCallRecord

GOLDEN = Path(__file__).parents[2] / "data/events/v1.jsonl"
COMMON = {"request_id": "r-1", "turn": 1, "time": 1_700_000_000.1234}
CALL: dict[str, Any] = {
    "id": "call_1",
    "name": "temperature",
    "input": {"city": "Zürich", "days": [1, 2.5, None]},
}
USAGE = Usage(input_tokens=10, output_tokens=5, cache_read_input_tokens=3)
RESULT = Result(
    request_id="r-1",
    status="error",
    text="22 °C",
    thinking="hm",
    usage=USAGE,
    cost_cents=0.25,
    tool_calls=(ToolCallRecord("call_1", "temperature", {"city": "Zürich"}, 0.5, None, {"celsius": 22}),),
    stop_reason="end_turn",
    turns=2,
    error=CrashError("a bug"),
)
SAMPLES: list[events.Event] = [
    events.RunStarted(seq=1, agent="clerk", **{**COMMON, "turn": 0}),
    events.TurnStarted(seq=2, model="m", **COMMON),
    events.TextDelta(seq=3, text="22 °", **COMMON),
    events.ThinkingDelta(seq=4, text="hm", **COMMON),
    events.ToolStarted(seq=5, **CALL, **COMMON),
    events.ToolEnded(seq=6, **CALL, duration=0.0125, error="it is night", start_seq=5, **COMMON),
    events.TurnRestarted(seq=7, attempt=2, **COMMON),
    events.TurnFinished(seq=8, stop_reason="tool_use", usage=USAGE, **COMMON),
    events.RunFinished(seq=9, result=RESULT, **COMMON),
    events.Compacted(
        seq=10,
        how="cleared",
        tokens_before=190_000,
        tokens_after=60_000,
        messages_before=80,
        messages_after=80,
        results_cleared=12,
        **COMMON,
    ),
    events.ApprovalRequested(seq=11, **CALL, reason="it is night", **COMMON),
]


def test_every_event_has_a_sample() -> None:
    assert {type(sample) for sample in SAMPLES} == set(get_args(events.Event)), "add one here, then see above"


@pytest.mark.parametrize("number", range(len(SAMPLES)))
def test_the_envelope_of_version_1_is_what_the_golden_file_says(number: int) -> None:
    line = GOLDEN.read_text(encoding="utf-8").splitlines()[number]
    assert SAMPLES[number].to_json().decode() == line


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.type)
def test_t91_the_envelope_has_the_same_members_for_every_event(sample: events.Event) -> None:
    document = json.loads(sample.to_json())
    assert list(document) == ["v", "seq", "correlation_id", "turn", "ts_ms", "event", "payload"]
    assert document["v"] == 1
    assert document["correlation_id"] == sample.request_id
    assert document["event"] == sample.type
    assert document["ts_ms"] == 1_700_000_000_123


def test_t91_an_event_that_has_no_payload_of_its_own_shows_its_fields() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Rested(events.EventBase):
        seconds: float
        type: str = "rested"

    document = json.loads(Rested(seq=1, seconds=2.0, **COMMON).to_json())
    assert (document["event"], document["payload"]) == ("rested", {"seconds": 2.0})


def test_an_event_has_the_time_at_which_it_was_made() -> None:
    before = time.time()
    event = events.TextDelta(request_id="r", seq=1, turn=1, text="hi")
    assert before <= event.time <= time.time()
    assert event == replace(event, time=0.0), "when is no part of what"


class Unfriendly:
    def __str__(self) -> str:
        raise RuntimeError("no")


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (float("nan"), None),
        ([float("inf"), "half \ud83d", b"\xff", float("-inf")], [None, "half �", "�", None]),
        ({"\udcff": {1: (2, {3})}}, {"�": {"1": [2, [3]]}}),
        (Path("/tmp/x"), "/tmp/x"),
        (Unfriendly(), "<Unfriendly>"),
        ({"a": Unfriendly(), "b": "\udcff"}, {"a": "<Unfriendly>", "b": "�"}),
        (USAGE, {**json.loads(plain_json(USAGE)), "input_tokens": 10}),
        ({"u": USAGE, "b": b"\xff"}, {"u": json.loads(plain_json(USAGE)), "b": "�"}),
        ({"set": {1}, "lock": type(threading.Lock()), "half": "\udcff"}, {"set": [1], "lock": "<class '_thread.lock'>", "half": "�"}),
    ],
)  # fmt: skip
def test_whatever_a_payload_holds_it_is_json(value: Any, read: Any) -> None:
    event = events.ToolStarted(seq=1, id="c", name="n", input={"x": value}, **COMMON)
    assert json.loads(event.to_json())["payload"]["input"] == {"x": read}


def test_a_circle_ends_somewhere() -> None:
    event = events.ToolStarted(seq=1, id="c", name="n", input={"x": CIRCLE}, **COMMON)
    assert b"<list>" in event.to_json()


if __name__ == "__main__":
    for each in SAMPLES:
        sys.stdout.write(each.to_json().decode() + "\n")
