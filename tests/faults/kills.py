"""Kill a busy system at random, again and again, and look at what is left: `python -m tests.faults.kills`.

Now and then it is frozen instead, and thaws when the next one has taken its store over. After every kill the store is read as another process would read it: each message that was acknowledged is there, nothing
has happened twice, and every history can be sent. At the end everything that was accepted has its end.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from alloy_actors.conversation import Conversation
from alloy_actors.journal import Record, RunEnded, RunResumed, ToolCallEnded
from alloy_actors.local import LocalServer
from alloy_actors.store.sqlite import SqliteStore
from tests.checks import check_journal, check_sendable
from tests.faults.busy import IDEMPOTENT
from tests.faults.effects import Effect, Effects, check_effects

AT_START = 0.2
"""The share of kills that hit a system that is just coming up."""

FREEZE = 0.1
"""The share of rounds in which the system is frozen, taken over, and killed with the one that took it over."""


@dataclass
class Tally:
    """What there was to see, for the closing line."""

    kills: int = 0
    takeovers: int = 0
    accepted: int = 0
    lost: int = 0
    effects: int = 0
    repeated: int = 0
    resumed: int = 0
    unknown: int = 0
    endings: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {status}" for status, count in self.endings.most_common())
        return (
            f"{self.kills} kills, {self.takeovers} takeovers from a frozen process: {self.accepted} messages accepted, {self.lost} lost; {self.effects} effects, "
            f"{self.repeated} repeated; runs: {ends}; {self.resumed} resumed; {self.unknown} calls of unknown outcome"
        )


def run(url: str, folder: Path, *, agents: int, kills: int, seed: int, most: float) -> Tally:
    """Kill `kills` times, then let the system finish.

    Args:
        url: Of a model server.
        folder: For the store and what is noted beside it.
        agents: How many.
        kills: How often.
        seed: Decides everything but what the machine does.
        most: Seconds that a system lives at most.

    Raises:
        AssertionError: Something was lost, repeated or broken.
    """
    chance = random.Random(seed)
    takeovers = 0
    frozen: subprocess.Popen[str] | None = None
    child: subprocess.Popen[str] | None = None
    try:
        for number in range(1, kills + 1):
            child = _start(folder, url, agents, seed * 1000 + number)
            if frozen is not None:
                _wait_for(child, "STARTING")
                time.sleep(chance.uniform(0, most / 2))
                frozen.send_signal(signal.SIGCONT)  # it may have held the database locked until now
            early = frozen is None and chance.random() < AT_START and number > 1
            _wait_for(child, "STARTING" if early else "READY")
            if number == 1:
                _wait_until_busy(folder)  # there shall be something to lose
            time.sleep(chance.uniform(0, most / 2 if early else most))  # what is being tried is any moment
            if frozen is not None:
                _end(frozen)
                frozen = None
            if number < kills and chance.random() < FREEZE:
                child.send_signal(signal.SIGSTOP)
                frozen = child
                takeovers += 1
                continue
            _end(child)
            look(folder, idle=False)
    finally:
        for left in (child, frozen):
            if left is not None and left.returncode is None:
                _end(left)
    with _start(folder, url, agents, 0) as child:
        _wait_for(child, "DONE")
    tally = look(folder, idle=True)
    tally.kills, tally.takeovers = kills, takeovers
    return tally


def look(folder: Path, *, idle: bool) -> Tally:
    """Read what is left.

    Raises:
        AssertionError: Something was lost, repeated or broken.
    """
    tally = Tally()
    accepted = [line.split("\t") for line in _lines(folder / "accepted")]
    effects = Effects(folder / "effects").read()
    tally.accepted, tally.effects = len(accepted), len(effects)
    with (
        tempfile.TemporaryDirectory() as copies
    ):  # of the files as they are: the next process has them to itself
        for file in folder.glob("agents.db*"):
            if not file.name.endswith("-lock"):
                shutil.copy(file, copies)
        with SqliteStore(Path(copies) / "agents.db") as store:
            logs = {name: store.load(name) for name in store.agents()}
    for name, records in logs.items():
        _look_at(records, [effect for effect in effects if effect.agent == name], tally, idle=idle)
    known = {(name, _id(record)) for name, records in logs.items() for record in records}
    tally.lost = sum((name, request_id) not in known for name, request_id in accepted)
    assert tally.lost == 0, "accepted messages are not on the disk"
    return tally


def _look_at(records: Sequence[Record], effects: Sequence[Effect], tally: Tally, *, idle: bool) -> None:
    check_journal(records, idle=idle)
    conversation = Conversation()
    conversation.replay(records)
    if conversation.run is not None:
        closing = conversation.closing(conversation.run.request_id, "the process was killed")
        if closing is not None:
            conversation.apply(closing)
    check_sendable(conversation.messages)
    check_effects(effects, conversation.messages, again=frozenset({IDEMPOTENT}))
    names = {call.id: call.name for message in conversation.messages for call in message.tool_calls}
    times = Counter(effect.call_id for effect in effects if names[effect.call_id] != IDEMPOTENT)
    tally.repeated += sum(count - 1 for count in times.values())
    tally.resumed += sum(isinstance(record, RunResumed) for record in records)
    tally.endings.update(record.status for record in records if isinstance(record, RunEnded))
    tally.unknown += sum(
        isinstance(record, ToolCallEnded) and "outcome of this call is unknown" in record.result.text
        for record in records
    )


def _id(record: Record) -> str:
    return getattr(record, "request_id", "")


def _lines(path: Path) -> list[str]:
    """The whole ones: a kill may tear the last."""
    return path.read_text().split("\n")[:-1] if path.exists() else []


def _start(folder: Path, url: str, agents: int, seed: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.faults.busy", str(folder), url, str(agents), str(seed)]
    with (folder / "log").open("a") as log:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)


def _wait_until_busy(folder: Path) -> None:
    for _ in range(6000):
        if _lines(folder / "accepted"):
            return
        time.sleep(0.005)  # another process's file tells nobody
    raise AssertionError("the system has accepted nothing for half a minute")


def _end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.communicate()


def _wait_for(child: subprocess.Popen[str], word: str) -> None:
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip() == word:
            return
    raise AssertionError(f"the system ended (code {child.wait()}) before it said {word}: see its log")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--most", type=float, default=0.6, help="seconds that a system lives at most")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 1_000_000))
    options = parser.parse_args()
    print(f"seed {options.seed}: repeat it with --seed {options.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="alloy-kills-"))
    began = time.monotonic()
    try:
        with LocalServer() as server:
            tally = run(
                server.url,
                folder,
                agents=options.agents,
                kills=options.kills,
                seed=options.seed,
                most=options.most,
            )
    except BaseException:
        print(f"left for you to look at: {folder}", flush=True)
        raise
    shutil.rmtree(folder)
    print(f"{tally} ({options.agents} agents, {time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
