"""The fault matrix. In every cell: nothing accepted is lost, nothing has happened twice, every caller is told once,

the history can be sent again, live and as another process reads it from the disk, and the next request works.
"""

from __future__ import annotations

import queue
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import alloy_actors as alloy
from alloy_actors.actors.restoring import fold
from alloy_actors.local import LocalServer
from alloy_actors.store.sqlite import SqliteStore
from tests.checks import check_journal, check_sendable
from tests.faults.effects import check_effects
from tests.faults.scene import REQUESTS, WAIT, Point, Scene
from tests.faults.table import CELLS, DONE, Ending, Fault

NEXT = 'One more: quick(what="N1").'
FAST = {
    ("raise in actor", "mid tool fan-out"),
    ("raise in actor", "mid stream"),
    ("raise in actor", "between turns"),
    ("raise in middleware", "mid tool fan-out"),
    ("tool sys.exit", "mid tool fan-out"),
    ("provider reset", "mid stream"),
    ("provider crash", "first request"),
    ("SQLite busy", "while queued"),
    ("disk full", "mid tool fan-out"),
    ("kill -9", "mid tool fan-out"),
}
"""Part of `make test`; all of them are run by `make faults`."""


def cell(fault: Fault, point: Point) -> object:
    marks = [] if (fault.name, point) in FAST else [pytest.mark.heavy]
    return pytest.param(fault, point, id=f"{fault.name}, {point}".replace(" ", "-"), marks=marks)


@pytest.fixture
def scenes() -> Iterator[list[Scene]]:
    made: list[Scene] = []
    yield made
    for scene in made:
        scene.end()


def check(result: alloy.Result, ending: Ending) -> None:
    assert result.status == ending.status, result.error
    if ending.error is None:
        assert result.error is None
    else:
        assert isinstance(result.error, ending.error), result.error


@pytest.mark.parametrize(("fault", "point"), [cell(fault, point) for fault, point in CELLS if not fault.kill])
def test_a_fault(
    fault: Fault, point: Point, tmp_path: Path, server: LocalServer, scenes: list[Scene]
) -> None:
    if point in fault.impossible:
        pytest.skip(f"{fault.name}, {point}: {fault.impossible[point]}")
    scene = Scene(tmp_path, server.url, point, dict(fault.model.get(point, {})), **fault.options)
    scenes.append(scene)
    scene.begin()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(scene.agent.chat, REQUESTS["R"], request_id="R")  # the same request
        scene.reach(server)
        clear = fault.inject(scene)
        if fault.refuses:
            with pytest.raises(alloy.StoreError):
                scene.agent.send_message("refused", request_id="refused")
        scene.go_on(server)
        told = {request_id: scene.told[request_id].get(timeout=WAIT) for request_id in REQUESTS}
        assert waiting.result(WAIT) is told["R"]
    clear()
    for request_id, result in told.items():
        check(result, fault.ending(point) if request_id == "R" else fault.queued)
        assert result.request_id == request_id
        assert scene.agent.result(request_id) is result
    if fault.refuses:
        scene.send("refused", "refused")
        check(scene.told["refused"].get(timeout=WAIT), DONE)
    check(scene.agent.chat(NEXT, request_id="N", timeout=WAIT), DONE)
    live = scene.agent.messages()
    check_sendable(live)
    check_effects(scene.effects.read(), live)
    assert not scene.middleware.raises, "no hook was called"
    scene.end()
    assert all(told.empty() for told in scene.told.values()), "somebody was told twice"
    check_disk(scene, told, live)


def check_disk(scene: Scene, told: dict[str, alloy.Result], live: list[alloy.Message]) -> None:
    """Another process would find the same."""
    with SqliteStore(scene.path) as store:
        records = store.load("ada")
        assert store.unfinished() == []
    check_journal(records)
    conversation, finished = fold(records, 3600.0)
    assert conversation.messages == live
    results = {one.result.request_id: one.result for one in finished}
    assert {"R", "Q1", "Q2", "N"} <= results.keys()
    for request_id, result in told.items():
        assert results[request_id].status == result.status
        assert type(results[request_id].error) is type(result.error)


@pytest.mark.parametrize(("fault", "point"), [cell(fault, point) for fault, point in CELLS if fault.kill])
def test_a_killed_process(
    fault: Fault, point: Point, tmp_path: Path, server: LocalServer, scenes: list[Scene]
) -> None:
    command = [sys.executable, "-m", "tests.faults.child", tmp_path, server.url, point]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert "READY\n" in child.stdout  # behind what the child has to log
        if point in ("first request", "mid stream", "while queued"):
            server.wait_stats(active=1)
        child.kill()
    server.wait_stats(active=0)
    after = Scene(tmp_path, server.url, point, {})
    after._go_on.set()
    after._coro_goes_on.release()
    with alloy.AgentSystem(store=f"sqlite:///{after.path}", factory=lambda _name: after.options()) as system:
        agent = system.agent("ada")
        told: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
        results = {
            request_id: agent.chat(text, request_id=request_id, timeout=WAIT)
            for request_id, text in REQUESTS.items()
        }
        for request_id, result in results.items():
            check(result, fault.ending(point) if request_id == "R" else fault.queued)
            assert result.request_id == request_id
        agent.send_message(NEXT, told.put, request_id="N")
        check(told.get(timeout=WAIT), DONE)
        live = agent.messages()
    assert told.empty()
    check_sendable(live)
    check_effects(after.effects.read(), live)
    check_disk(after, results, live)
