"""A run with approvals that is taken up again at any point of its log: no call runs without a recorded decision."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import alloy_actors as alloy
from alloy_actors import journal as log
from alloy_actors.actors.restoring import fold
from alloy_actors.approvals import Approvals, Verdict
from alloy_actors.config import RunConfig, make_config
from alloy_actors.content import user
from alloy_actors.events import ApprovalRequested, Event
from alloy_actors.middleware import Hooks
from alloy_actors.run_spec import RunSpec
from alloy_actors.store.memory import MemoryStore
from alloy_actors.testing import ScriptedProvider, reply
from alloy_actors.tool_runner import ToolRunner
from alloy_actors.turn import Run
from tests.checks import check_consent, check_sendable
from tests.world.one_run import NoWorkers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CALLS = reply(*(alloy.ToolCall(f"c{n}", "add", {"n": n}) for n in (1, 2, 3)))


class Careful(alloy.Middleware):
    """Odd numbers want an approval; the third is shown with another input than the model's."""

    async def before_tool_call(self, run: alloy.RunView, call: alloy.ToolCall) -> Any:
        return alloy.RequireApproval("odd") if call.input["n"] % 2 else None


class Editing(alloy.Middleware):
    """Makes the arguments anew each time it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def before_tool_call(self, run: alloy.RunView, call: alloy.ToolCall) -> Any:
        self.asked += 1
        return alloy.Edit({"n": call.input["n"] + 100 * self.asked})


class Scene:
    """A run on a store that holds some records already; `decide` is asked as soon as something is requested."""

    def __init__(
        self,
        decide: Callable[[ApprovalRequested], Verdict],
        before: Sequence[log.Record] = (),
        middleware: Sequence[alloy.Middleware] | None = None,
        desk: Approvals | None = None,
    ) -> None:
        self.ran: list[int] = []
        self.requested: list[ApprovalRequested] = []
        self.desk = desk or Approvals()

        @alloy.tool(idempotent=True)
        async def add(n: int) -> str:
            """Add."""
            self.ran.append(n)
            return f"added {n}"

        def hear(events: Sequence[Event]) -> None:
            for event in events:
                if isinstance(event, ApprovalRequested):
                    self.requested.append(event)
                    assert self.desk.decide("r", event.id, decide(event))

        self.store = MemoryStore()
        token = self.store.take_token("a")
        self.store.append("a", token, before, lambda error: None)
        conversation, _ = fold(before, 60)
        answered = any(isinstance(record, log.Replied) for record in before)
        provider = ScriptedProvider(["done"] if answered else [CALLS, "done"])
        config = make_config(
            RunConfig,
            {
                "provider": provider,
                "tools": [add],
                "middleware": [Careful()] if middleware is None else middleware,
            },
            where="test",
        )
        spec = RunSpec(
            "r",
            "agent",
            user("hello"),
            config,
            provider,
            hear,
            hooks=Hooks(config.middleware, in_place),
            approvals=self.desk,
        )
        self.run = Run(spec, conversation, log.Journal("a", token, self.store), ToolRunner(NoWorkers()))

    def play(self) -> alloy.Result:
        result = asyncio.run(self.run.execute())
        check_sendable(result.messages)
        check_consent(self.records)
        return result

    @property
    def records(self) -> list[log.Record]:
        return list(self.store.load("a"))


async def in_place(function: Callable[[], object]) -> object:
    return function()


def yes_and_no(event: ApprovalRequested) -> Verdict:
    return Verdict(approved=event.id == "c1", reason="" if event.id == "c1" else "three is one too many")


def texts(result: alloy.Result) -> list[str]:
    return [block.text for block in result.messages[2].blocks]


EXPECTED = ["added 1", "added 2", "Blocked: not approved: three is one too many"]


def test_all_are_asked_about_before_any_runs() -> None:
    scene = Scene(yes_and_no)
    assert texts(scene.play()) == EXPECTED
    kinds = [type(record).__name__ for record in scene.records]
    assert kinds.index("ToolCallStarted") > max(
        n for n, kind in enumerate(kinds) if kind == "ApprovalDecided"
    )
    assert [event.id for event in scene.requested] == ["c1", "c3"]


RECORDS = 15
UP_TO_THE_NEXT_TURN = range(1, 13)  # after it there is nothing to approve


def test_the_log_has_as_many_records_as_are_tried() -> None:
    scene = Scene(yes_and_no)
    scene.play()
    assert len(scene.records) == RECORDS
    assert isinstance(scene.records[UP_TO_THE_NEXT_TURN.stop - 1], log.RequestSent)


@pytest.mark.parametrize("length", UP_TO_THE_NEXT_TURN)
def test_a_run_taken_up_at_any_record_comes_to_the_same_end_and_asks_only_what_is_not_decided(
    length: int,
) -> None:
    whole = Scene(yes_and_no)
    whole.play()
    before = whole.records[:length]
    again = Scene(yes_and_no, before)
    result = again.play()
    assert (result.status, texts(result)) == ("completed", EXPECTED)
    decided = {record.call_id for record in before if isinstance(record, log.ApprovalDecided)}
    assert {event.id for event in again.requested} == {"c1", "c3"} - decided


@pytest.mark.parametrize("length", UP_TO_THE_NEXT_TURN)
def test_a_call_that_was_asked_about_needs_its_decision_though_the_middleware_is_gone(length: int) -> None:
    whole = Scene(yes_and_no)
    whole.play()
    before = whole.records[:length]
    asked = {record.call_id for record in before if isinstance(record, log.ApprovalAsked)}
    answered = {record.result.tool_use_id for record in before if isinstance(record, log.ToolCallEnded)}
    again = Scene(lambda _: Verdict(approved=False, reason="no"), before, middleware=[])
    again.play()
    decided = {record.call_id for record in before if isinstance(record, log.ApprovalDecided)}
    assert {event.id for event in again.requested} == asked - decided - answered


def test_what_runs_is_what_was_shown_whatever_a_hook_makes_of_the_call_later() -> None:
    middleware = [Careful(), Editing()]
    whole = Scene(lambda _: Verdict(approved=True), middleware=middleware)
    whole.play()
    shown = {event.id: event.input["n"] for event in whole.requested}
    records = whole.records
    end = max(n for n, record in enumerate(records) if isinstance(record, log.ApprovalDecided))
    again = Scene(lambda _: Verdict(approved=True), records[: end + 1], middleware=middleware)
    again.play()
    assert again.requested == []
    assert set(shown.values()) <= set(again.ran)


def test_a_decision_left_on_the_desk_is_used_and_recorded_by_the_next_incarnation() -> None:
    whole = Scene(yes_and_no)
    whole.play()
    records = whole.records
    end = max(n for n, record in enumerate(records) if isinstance(record, log.ApprovalAsked))
    # The desk of `whole` has both decisions, the log has none.
    again = Scene(yes_and_no, records[: end + 1], desk=whole.desk)
    assert texts(again.play()) == EXPECTED
    assert again.requested == []
