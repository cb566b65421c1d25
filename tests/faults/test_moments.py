"""The fault matrix where a run waits beside its turns: crashes, kills, a full disk and a takeover lose and repeat nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import alloy_actors as alloy
from alloy_actors.store.sqlite import SqliteStore
from tests.checks import check_consent, check_journal, check_sendable
from tests.faults.effects import check_effects
from tests.faults.moments import MOMENTS, Moment, Stage
from tests.faults.scene import WAIT

FAST = {
    ("raise in actor", "after overflow"),
    ("disk full", "summary"),
    ("fenced", "approval"),
    ("kill -9", "approval"),
}
"""Part of `make test`; all of them are run by `make faults`."""


def cells(fault: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "stage",
        [
            pytest.param(moment, marks=[] if (fault, moment) in FAST else [pytest.mark.heavy])
            for moment in MOMENTS
        ],
        indirect=True,
        ids=[moment.replace(" ", "-") for moment in MOMENTS],
    )


@pytest.fixture
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    moment: Moment = request.param
    stage = Stage(tmp_path, moment)
    yield stage
    stage.gate.release()
    if hasattr(stage, "system"):
        stage.system.stop()


def check(stage: Stage, agent: alloy.AgentRef, *done: str) -> None:
    """The next request works, and what the history, the effects and the journal say is the same."""
    assert agent.chat("N", request_id="N", timeout=WAIT).text == stage.answer
    live = agent.messages()
    check_sendable(live)
    effects = stage.effects.read()
    assert [effect.what for effect in effects] == [*done, "N"]
    if stage.moment not in ("summary", "after overflow"):  # else the history has lost the calls
        check_effects(effects, live)


def check_disk(stage: Stage) -> None:
    with SqliteStore(stage.path) as store:
        assert store.unfinished() == []
        records = store.load("ada")
    assert check_journal(records) >= {"before", "R", "Q", "N"}
    check_consent(records)


@cells("raise in actor")
def test_an_agent_that_crashes_goes_on_where_it_was(stage: Stage) -> None:
    stage.begin()
    stage.reach()
    stage.agent.crash("drill")
    if stage.moment not in ("approval", "cool-down"):
        stage.gate.arrived(
            2, WAIT
        )  # the next incarnation stands there too: the first has not gone on meanwhile
    stage.go_on(stage.agent)
    for request_id in ("R", "Q"):
        result = stage.told[request_id].get(timeout=WAIT)
        assert (result.status, result.text, result.error) == ("completed", stage.answer, None)
    check(stage, stage.agent, "R", "Q")
    stage.system.stop()
    assert all(told.empty() for told in stage.told.values()), "somebody was told twice"
    check_disk(stage)


@cells("disk full")
def test_a_full_disk_ends_the_run_and_its_caller_is_told(stage: Stage) -> None:
    stage.begin()
    stage.reach()
    stage.store.fill_up()
    with pytest.raises(alloy.StoreError):
        stage.agent.send_message("refused", request_id="refused")
    stage.go_on(stage.agent)
    for request_id in ("R", "Q"):
        result = stage.told[request_id].get(timeout=WAIT)
        assert result.status == "error"
        assert isinstance(result.error, alloy.StoreError), result.error
    stage.store.make_room()
    early = stage.moment in ("approval", "summary", "after overflow")  # R's tool has not run by then
    check(stage, stage.agent, *([] if early else ["R"]))
    stage.system.stop()
    assert all(told.empty() for told in stage.told.values()), "somebody was told twice"
    check_disk(stage)


def take_up(stage: Stage, *, takeover: bool) -> alloy.AgentSystem:
    return alloy.AgentSystem(
        store=f"sqlite:///{stage.path}", takeover=takeover, factory=lambda _name: stage.options()
    )


def finish(stage: Stage, winner: alloy.AgentSystem) -> None:
    """Everything that was accepted is done by the next writer."""
    agent = winner.agent("ada")
    stage.go_on(agent)
    results = [agent.chat(text, request_id=text, timeout=WAIT) for text in ("R", "Q")]
    assert [(result.status, result.text) for result in results] == [("completed", stage.answer)] * 2
    check(stage, agent, "R", "Q")


@cells("fenced")
def test_a_process_that_is_taken_over_tells_its_callers_and_the_other_goes_on(stage: Stage) -> None:
    stage.begin()
    stage.reach()
    with take_up(stage, takeover=True) as winner:
        if stage.moment == "approval":  # what somebody says to the loser counts for nothing
            (approval,) = stage.agent.approvals()
            stage.agent.approve("R", approval.call_id)
        finish(stage, winner)
        for request_id in ("R", "Q"):
            result = stage.told[request_id].get(timeout=WAIT)
            assert isinstance(result.error, alloy.FencedError), result.error
    stage.system.stop()
    assert all(told.empty() for told in stage.told.values()), "somebody was told twice"
    check_disk(stage)


@cells("kill -9")
def test_a_process_that_is_killed_is_followed_by_one_that_goes_on(stage: Stage) -> None:
    command = [sys.executable, "-m", "tests.faults.moments", stage.folder, stage.moment]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "READY\n"
        child.kill()
    with take_up(stage, takeover=False) as system:
        finish(stage, system)
    check_disk(stage)
