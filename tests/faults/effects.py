"""What tools have done to the world, counted where no crash of ours can lose it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import alloy_actors as alloy
from alloy_actors.content import Message, ToolResult


class Effect(NamedTuple):
    """One thing that a tool did, and for which call."""

    agent: str
    request_id: str
    call_id: str
    what: str


class Effects:
    """A file that tools append to, a line for each effect; on the disk before the tool goes on."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, context: alloy.ToolContext, what: str) -> None:
        line = f"{context.agent}\t{context.request_id}\t{context.tool_call_id}\t{what}"
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, f"{line}\n".encode())
            os.fsync(file)
        finally:
            os.close(file)

    def read(self) -> list[Effect]:
        if not self._path.exists():
            return []
        return [Effect(*line.split("\t")) for line in self._path.read_text().splitlines()]


SUBMIT = "submit_result"
"""It has no effect."""


def check_effects(
    effects: Sequence[Effect], messages: Sequence[Message], *, again: frozenset[str] = frozenset()
) -> None:
    """What happened and what the history says of it are the same, and nothing has happened twice.

    Args:
        effects: Of one agent.
        messages: Its whole history.
        again: Names of idempotent tools, whose effects may be repeated.
    """
    happened = Counter(effect.call_id for effect in effects)
    calls = {call.id: call for message in messages for call in message.tool_calls}
    answers = {
        block.tool_use_id: block
        for message in messages
        for block in message.blocks
        if isinstance(block, ToolResult)
    }
    assert not happened.keys() - calls.keys(), "something happened that the history does not know of"
    for call_id, answer in answers.items():
        call, times = calls[call_id], happened[call_id]
        assert times <= 1 or call.name in again, f"{call} has happened {times} times"
        if not answer.is_error:
            assert times >= 1 or call.name == SUBMIT, (
                f"{call} is said to have succeeded, and has not happened"
            )
        elif answer.content.startswith("Not executed"):
            assert times == 0, f"{call} is said not to have been executed, and has happened"
