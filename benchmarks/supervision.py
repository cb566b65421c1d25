"""Start, crash and stop 1,000, 10,000 and 100,000 children of one dynamic supervisor: `python -m benchmarks.supervision [children ...]`.

Linear means that a child costs the same whatever their number. The collector's share is shown beside it: Python's looks at everything
that is alive each time that has grown by a quarter, and when it does not fit into a cache that takes longer. A program with a hundred
thousand actors freezes them (`gc.freeze()`).
"""

from __future__ import annotations

import gc
import itertools
import logging
import queue
import sys
import threading
import time
from dataclasses import dataclass
from typing import Self

from benchmarks.measure import Spread
from benchmarks.report import Report, Row
from supervisors import ChildSpec, DynamicSupervisor, PooledActor

SIZES = (1_000, 10_000, 100_000)
BATCHES, BATCH = 9, 200  # single operations, beside that many idle children
BAR_START = BAR_RESTART = 200.0  # CPU us
BAR_COUNT = 1_000.0  # us
ENOUGH = 10**9  # restarts
PATIENCE = 600.0  # seconds


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU us each, all threads, user and system; and what of it the collector took."""

    cpu: float
    collector: float

    def __str__(self) -> str:
        return f"{self.cpu:7.0f} ({self.collector:3.0f})"


class Meter:
    """Measures a block: `with Meter(n) as meter: ...; meter.cost`."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._collecting = self._collector = 0.0

    def _collects(self, phase: str, _info: object) -> None:
        if phase == "start":
            self._collecting = time.perf_counter()
        else:
            self._collector += time.perf_counter() - self._collecting

    def __enter__(self) -> Self:
        gc.callbacks.append(self._collects)
        self._began = time.process_time()
        return self

    def __exit__(self, *_exc: object) -> None:
        spent = time.process_time() - self._began
        gc.callbacks.remove(self._collects)
        self.cost = Cost(spent / self.count * 1e6, self._collector / self.count * 1e6)


class Plain(PooledActor):
    """A child that crashes when told so and has no `on_start`: nothing of it runs before the first message."""

    def on_receive(self, message: object) -> None:
        if message == "crash":
            raise ValueError("boom")


class Child(Plain):
    """One with an `on_start`, which runs on a thread of the pool."""

    def on_start(self) -> None:
        if next(Child.ups) == Child.wanted:
            Child.done.set()

    ups = itertools.count(1)
    wanted = 0
    done = threading.Event()

    @classmethod
    def expect(cls, count: int) -> None:
        cls.ups, cls.wanted = itertools.count(1), count
        cls.done.clear()


CHILD, PLAIN = ChildSpec(id=Child, start=Child), ChildSpec(id=Plain, start=Plain)


def scale(sizes: tuple[int, ...] = SIZES) -> Report:
    """Measure all sizes in this process, one after the other."""
    quiet()
    lines = [
        "Children of one dynamic supervisor; CPU us each (of it the collector's)",
        f"  {'children':>8} {'start':>13} {'crash, restart':>14} {'stop':>13}   count_children: median, max us",
    ]
    results = {size: one_size(size) for size in sizes}
    lines += [result.line for result in results.values()]
    lines.append("  one at a time, beside that many idle children; CPU us: min, median, max of batches")
    for result in results.values():
        lines += [single.line for single in result.singles]
    lines.append("  floor of the blocking ones: their hand-overs between threads alone, at the same moment")
    start, _, restart = results[sizes[-1]].singles
    row = Row(
        f"One child's start; crash and restart, beside {sizes[-1]:,} idle ones; CPU",
        f"{start.floor:.0f}; {restart.floor:.0f} µs",
        f"{start.cost:.0f}; {restart.cost:.0f} µs",
        f"{BAR_START:g}; {BAR_RESTART:g} µs",
    )
    return Report("\n".join(lines), row)


@dataclass(frozen=True, slots=True)
class Single:
    """An operation beside idle children: its line, and the medians of it and of its floor in CPU us."""

    line: str
    cost: float
    floor: float


@dataclass(frozen=True, slots=True)
class Result:
    """What is printed of one size."""

    line: str
    singles: list[Single]


def one_size(size: int) -> Result:
    """Start that many children, crash and restart them all, look at single operations, stop."""
    supervisor = DynamicSupervisor.start(max_restarts=ENOUGH, max_seconds=3600.0)
    gc.collect()
    with Meter(size) as start:
        refs = [supervisor.start_child(CHILD) for _ in range(size)]
    Child.expect(size)
    with Meter(size) as restart:
        for ref in refs:
            ref.tell("crash")
        assert Child.done.wait(PATIENCE)
        supervisor.terminate_child(
            supervisor.start_child(PLAIN)
        )  # its answer comes after all that was before
    del refs
    assert supervisor.count_children().active == size
    counting = [_count(supervisor) for _ in range(1_000)]
    singles = [
        _single(size, "start_child", BAR_START, lambda: _starts(supervisor, CHILD), hand_overs=4),
        _single(
            size, "start_child, no on_start", BAR_START, lambda: _starts(supervisor, PLAIN), hand_overs=2
        ),
        _single(size, "crash, restart", BAR_RESTART, lambda: _restarts(supervisor), hand_overs=4),
    ]
    total = supervisor.count_children().specs
    gc.collect()
    with Meter(total) as stop:
        supervisor.stop()
    spread = Spread.of(counting)
    verdict = "within" if spread.median <= BAR_COUNT else "OVER"
    line = (
        f"  {size:8} {start.cost!s:>13} {restart.cost!s:>14} {stop.cost!s:>13}"
        f"   {spread.median:.1f}, {spread.high:.1f}; bar {BAR_COUNT:g}: {verdict}"
    )
    return Result(line, singles)


def _count(supervisor) -> float:
    began = time.perf_counter()
    supervisor.count_children()
    return (time.perf_counter() - began) * 1e6


def _starts(supervisor, spec) -> float:
    with Meter(BATCH) as meter:
        refs = [supervisor.start_child(spec) for _ in range(BATCH)]
    for ref in refs:
        supervisor.terminate_child(ref)
    return meter.cost.cpu


def _restarts(supervisor) -> float:
    refs = [supervisor.start_child(CHILD) for _ in range(BATCH)]
    with Meter(BATCH) as meter:
        for ref in refs:
            Child.expect(1)
            ref.tell("crash")
            assert Child.done.wait(PATIENCE)
    return meter.cost.cpu


def _single(size: int, what: str, bar: float, measure, *, hand_overs: int) -> Single:
    pairs = [(measure(), floor(hand_overs)) for _ in range(BATCHES)]
    spread, beside = Spread.of([mine for mine, _ in pairs]), Spread.of([other for _, other in pairs])
    verdict = "within" if spread.median <= bar else "OVER"
    line = f"  {size:8} {what:25} {spread}; bar {bar:g}: {verdict}; floor {beside.median:.0f}"
    return Single(line, spread.median, beside.median)


def floor(hand_overs: int) -> float:
    """CPU us for a word to go round that many threads and wake each of them."""
    queues: list[queue.SimpleQueue[object]] = [queue.SimpleQueue() for _ in range(hand_overs)]

    def pass_on(mine: queue.SimpleQueue[object], following: queue.SimpleQueue[object]) -> None:
        while (word := mine.get()) is not None:
            following.put(word)

    threads = [
        threading.Thread(target=pass_on, args=(queues[place], queues[place + 1]))
        for place in range(hand_overs - 1)
    ]
    for thread in threads:
        thread.start()
    with Meter(BATCH) as meter:
        for _ in range(BATCH):
            queues[0].put("word")
            queues[-1].get()
    for mine in queues[:-1]:
        mine.put(None)
    for thread in threads:
        thread.join()
    return meter.cost.cpu


def quiet() -> None:
    """Leave out the log of every crash: a sink's cost is the sink's."""
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


if __name__ == "__main__":
    print(scale(tuple(map(int, sys.argv[1:])) or SIZES).text)
