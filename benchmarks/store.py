"""The store on disk: durable appends a second, what it adds to a run, and W8: a long conversation.

`appends()` and `conversation(url)` are reports; `memory` and `sqlite` are sides for `measure.interleave`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import alloy_actors as alloy
from alloy_actors.content import user
from alloy_actors.journal import Accepted, Journal
from alloy_actors.store import upkeep
from alloy_actors.store._codec import encode
from alloy_actors.store.sqlite import SqliteStore
from benchmarks.measure import Round, Spread, stopwatch
from benchmarks.report import Bar, Report, Row
from benchmarks.work import (
    MODEL,
    QUESTION,
    SLOW_MODEL,
    W1_CONVERSATIONS,
    W1_RUNS,
    W2_CONVERSATIONS,
    W2_RUNS,
    check_answer,
    weather,
)

try:
    from uvloop import new_event_loop
except ImportError:  # Windows
    from asyncio import new_event_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alloy_actors.session import Session

AGENTS, APPENDS, ROUNDS = 1000, 20, 7
LONE_APPENDS = 300
LEAST = 5000  # appends a second
TEXT = "x" * 200  # of an appended message

CONVERSATIONS, RUNS, WINDOW = 8, 50, 10
"""W8: conversations measured, runs in each, and how many runs around the 10th and up to the 50th are looked at."""
FLAT, LINEAR = Bar(1.3, 1.3, "x"), Bar(3.0, 3.0, "x")

_tool = alloy.tool(weather)
_runner = asyncio.Runner(loop_factory=new_event_loop)


@contextmanager
def _file() -> Iterator[Path]:
    # Beside the code and not in /tmp, which may be memory: a durable append is one that reached a disk.
    with tempfile.TemporaryDirectory(dir=Path(__file__).resolve().parent, prefix=".store-") as folder:
        yield Path(folder) / "agents.db"


# -- appends a second ----------------------------------------------------------------------------------------------


def appends() -> Report:
    """1,000 agents append side by side, each waiting for each of its appends; the floor commits one by one."""
    with _file() as path, SqliteStore(path) as store:
        journals = [Journal(name, store.take_token(name), store) for name in map(str, range(AGENTS))]
        _runner.run(_all(journals))  # warms up
        grouped = [_rate(AGENTS * APPENDS, lambda: _runner.run(_all(journals))) for _ in range(ROUNDS)]
    with _file() as path, SqliteStore(path) as store:
        lone = Journal("lone", store.take_token("lone"), store)
        alone = [_rate(LONE_APPENDS, lambda: _runner.run(_one(lone, LONE_APPENDS))) for _ in range(ROUNDS)]
    with _file() as path:
        floor = [_rate(LONE_APPENDS, rows) for rows in [_ungrouped(path)] * ROUNDS]
    rate = Spread.of(grouped).median
    lines = (
        f"Durable appends a second, {len(TEXT)} bytes each, on this disk",
        f"  {'':26}      min   median      max",
        _line("floor, a commit an append", floor),
        _line("alloy, one agent alone", alone),
        f"{_line(f'alloy, {AGENTS} agents', grouped)}   bar {LEAST}: {'within' if rate >= LEAST else 'UNDER'}",
    )
    cells = (f"{Spread.of(floor).median:,.0f}/s", f"{rate:,.0f}/s", f"at least {LEAST:,}/s")
    return Report("\n".join(lines), Row(f"Durable appends of {AGENTS:,} agents, on this disk", *cells))


def _line(label: str, rates: list[float]) -> str:
    spread = Spread.of(rates)
    return f"  {label:26} {spread.low:8.0f} {spread.median:8.0f} {spread.high:8.0f}"


def _rate(count: int, work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


async def _all(journals: list[Journal]) -> None:
    await asyncio.gather(*(_one(journal, APPENDS) for journal in journals))


async def _one(journal: Journal, count: int) -> None:
    for number in range(count):
        await journal.append(Accepted(f"{number:032x}", user(TEXT)))


def _ungrouped(path: Path) -> Callable[[], None]:
    """SQLite as it comes, with the same promise: one thread, one commit an append."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE records (id INTEGER PRIMARY KEY, agent INTEGER, data TEXT)")
    data = f'["accepted","{0:032x}",["m","user","{TEXT}"]]'

    def rows() -> None:
        for number in range(LONE_APPENDS):
            connection.execute("INSERT INTO records (agent, data) VALUES (?, ?)", (number, data))

    return rows


# -- a run on either store -----------------------------------------------------------------------------------------


def w1_memory(url: str) -> Round:
    """W1, as `subject.w1`."""
    return _w1(url, "memory:")


def w1_sqlite(url: str) -> Round:
    """The same on disk."""
    with _file() as path:
        return _w1(url, f"sqlite:///{path}")


def w2_memory(url: str) -> Round:
    """W2, as `subject.w2`."""
    return _runner.run(_w2(url, "memory:"))


def w2_sqlite(url: str) -> Round:
    """The same on disk."""
    with _file() as path:
        return _runner.run(_w2(url, f"sqlite:///{path}"))


def close() -> None:
    """End everything."""
    alloy.shutdown()
    _runner.close()


def _w1(url: str, store: str) -> Round:
    provider = alloy.OpenAICompat(model=MODEL, api_url=url)
    with alloy.AgentSystem(store=store) as system:
        agents = [system.spawn(provider=provider, tools=[_tool]) for _ in range(W1_CONVERSATIONS)]
        with stopwatch(W1_CONVERSATIONS * W1_RUNS) as watch:
            results = [agent.chat(QUESTION) for agent in agents for _ in range(W1_RUNS)]
    for result in results:
        check_answer(result.raise_for_status().text)
    return watch.round


async def _w2(url: str, store: str) -> Round:
    provider = alloy.OpenAICompat(model=SLOW_MODEL, api_url=url)
    system = await asyncio.to_thread(alloy.AgentSystem, store=store)
    try:
        agents = [await system.aspawn(provider=provider, tools=[_tool]) for _ in range(W2_CONVERSATIONS)]

        async def talk(agent: alloy.AgentRef) -> list[alloy.Result]:
            return [await agent.achat(QUESTION) for _ in range(W2_RUNS)]

        with stopwatch(W2_CONVERSATIONS * W2_RUNS) as watch:
            results = await asyncio.gather(*map(talk, agents))
    finally:
        await system.astop()
    for result in (result for pair in results for result in pair):
        check_answer(result.raise_for_status().text)
    return watch.round


# -- W8 ------------------------------------------------------------------------------------------------------------


def conversation(url: str) -> Report:
    """Conversations of 50 runs of W1 on disk: what the 50th costs beside the 10th, and the bytes."""
    provider = alloy.OpenAICompat(model=MODEL, api_url=url)
    early: list[float] = []
    late: list[float] = []
    with _file() as path:
        with alloy.AgentSystem(store=f"sqlite:///{path}") as system:
            system.spawn(provider=provider, tools=[_tool]).chat(QUESTION).raise_for_status()  # warms up
            for _ in range(CONVERSATIONS):
                agent = system.spawn(provider=provider, tools=[_tool])
                costs = [_chat(agent) for _ in range(RUNS)]
                early.append(sum(costs[WINDOW // 2 : WINDOW // 2 + WINDOW]) / WINDOW)
                late.append(sum(costs[-WINDOW:]) / WINDOW)
        written = path.stat().st_size
        agents = [agent.id for agent in upkeep.summaries(path)]
        messages = sum(_size(upkeep.export(path, agent)) for agent in agents)
    alloy.shutdown()
    ratio = Spread.of([after / before for before, after in zip(early, late, strict=True)]).median
    share = written / messages
    lines = (
        f"W8 {CONVERSATIONS} conversations of {RUNS} runs on disk, 4 messages a run, {messages // len(agents)} bytes of messages each",
        f"  {'CPU ms a run, user + sys':26}      min   median      max",
        f"  {f'around the {WINDOW}th':26} {Spread.of(early)}",
        f"  {f'up to the {RUNS}th':26} {Spread.of(late)}   {ratio:.2f}x; {FLAT.verdict(ratio)}",
        f"  bytes on disk: {share:.2f}x the bytes of the messages as JSON; {LINEAR.verdict(share)}",
    )
    cells = (
        f"{Spread.of(early).median:.2f} ms around the {WINDOW}th",
        f"{Spread.of(late).median:.2f} ms, {ratio:.2f}x; {share:.1f}x the bytes said",
        f"{FLAT.goal:g}x; {LINEAR.goal:g}x",
    )
    return Report(
        "\n".join(lines), Row(f"W8 the {RUNS}th run of a conversation on disk; CPU a run, bytes", *cells)
    )


def _chat(agent: alloy.AgentRef) -> float:
    start = time.process_time()
    check_answer(agent.chat(QUESTION).raise_for_status().text)
    return (time.process_time() - start) * 1000


def _size(session: Session) -> int:
    return len(encode([Accepted("", message) for message in session.messages]))
