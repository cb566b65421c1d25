"""Where decisions are left, and the time of a run that waits for them."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from alloy_actors.approvals import Approval, Approvals, Verdict
from alloy_actors.deadline import NEVER, RunTime

YES, NO = Verdict(approved=True), Verdict(approved=False, reason="no")


def approval(call_id: str = "c1", request_id: str = "r1", turn: int = 1, **arguments: int) -> Approval:
    return Approval(
        request_id=request_id, call_id=call_id, turn=turn, name="add", input=arguments, reason="why"
    )


@pytest.fixture
def told() -> list[str]:
    return []


def test_the_first_decision_counts_and_tells_the_run_once(told: list[str]) -> None:
    desk = Approvals()
    assert not desk.ask(approval(a=1), told.append)
    assert desk.pending("r1") == (approval(a=1),)
    assert desk.decide("r1", "c1", YES) is True
    assert desk.decide("r1", "c1", NO) is False
    assert told == ["c1"]
    assert desk.pending("r1") == ()
    assert desk.verdict("c1") == Verdict(approved=True, input={"a": 1})
    assert desk.decide("r1", "c1", NO) is False


def test_what_nobody_has_asked_for_cannot_be_decided(told: list[str]) -> None:
    desk = Approvals()
    assert desk.decide("r1", "c1", YES) is None
    desk.ask(approval(), told.append)
    assert desk.decide("r1", "c2", YES) is None
    assert desk.decide("r2", "c1", YES) is None
    assert desk.decide("r1", "c1", YES, running=False) is False
    assert (told, desk.pending(None), desk.pending("r2")) == ([], (), ())


def test_a_decision_made_while_the_agent_was_away_waits_for_it_and_lets_run_what_was_shown(
    told: list[str],
) -> None:
    desk = Approvals()
    desk.ask(approval(a=1), lambda _: None)
    desk.decide("r1", "c1", YES)
    assert desk.ask(approval(a=2), told.append)
    assert told == ["c1"]
    assert desk.verdict("c1").input == {"a": 1}


def test_a_call_id_that_comes_again_in_a_later_turn_is_another_call(told: list[str]) -> None:
    desk = Approvals()
    desk.ask(approval(a=1), told.append)
    desk.decide("r1", "c1", YES)
    assert not desk.ask(approval(turn=2, a=2), told.append)
    assert desk.pending("r1") == (approval(turn=2, a=2),)
    assert desk.decide("r1", "c1", NO) is True
    assert desk.verdict("c1") == NO


def test_the_next_request_forgets_the_last_ones(told: list[str]) -> None:
    desk = Approvals()
    desk.ask(approval(), told.append)
    desk.ask(approval(request_id="r2"), told.append)
    assert desk.decide("r1", "c1", YES) is None
    assert [one.request_id for one in desk.pending("r2")] == ["r2"]


def test_no_time_passes_in_a_pause() -> None:
    async def main() -> None:
        time = RunTime(60.0)
        first = time.deadline
        async with time.limit() as limit:
            with time.paused():
                assert time.deadline is NEVER
                assert limit.when() is None
            assert time.deadline.at >= first.at
            assert limit.when() is not None
        assert not limit.expired()

    asyncio.run(main())


def test_a_limit_still_ends_the_block_after_a_pause_longer_than_all_of_it() -> None:
    outlived = []

    async def main() -> None:
        time = RunTime(0.01)
        long = asyncio.Event()
        async with time.limit():
            with time.paused():
                asyncio.get_running_loop().call_later(0.03, long.set)
                await long.wait()
            outlived.append(1)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert outlived == [1]


def test_a_pause_that_was_interrupted_ends_where_the_next_incarnation_begins() -> None:
    async def main() -> None:
        time = RunTime(60.0)
        with ExitStack() as old:
            old.enter_context(time.paused())
            async with time.limit() as limit:
                assert time.deadline is not NEVER
                with time.paused():
                    old.close()  # the old one's last gasp does not end the new one's pause
                    assert time.deadline is NEVER
                    assert limit.when() is None
                assert time.deadline is not NEVER

    asyncio.run(main())
