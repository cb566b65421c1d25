"""What a chat has cost, where prices are known: in the prompt and under /usage."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import pytest

from alloy_actors.actors.system import AgentSystem
from alloy_actors.cli import chat as module
from alloy_actors.cli.asking import Answer, ask
from alloy_actors.cli.chat import Chat
from alloy_actors.cli.providers import Choice, Providers
from alloy_actors.cli.setting import Flags, Setting
from alloy_actors.events import Event
from alloy_actors.testing import ScriptedProvider

FLAGS = Flags(
    choice=Choice(),
    tools=(),
    allow=(".",),
    system="",
    max_turns=25,
    max_retries=0,
    timeout=5.0,
    session=None,
    store=None,
    name=None,
    quiet=False,
    verbose=False,
)


class Paper:
    """A screen that is written down."""

    interactive = True

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.prompts: list[str] = []
        self.notes: list[str] = []

    async def read(self, status: str) -> str:
        self.prompts.append(status)
        if not self.lines:
            raise EOFError
        return self.lines.pop(0)

    def note(self, text: str) -> None:
        self.notes.append(text)

    complain = note

    def hear(self, event: Event) -> None: ...
    def stop(self) -> None: ...
    def table(self, rows: Iterable[tuple[str, ...]]) -> None: ...
    def quiet_keys(self) -> AbstractContextManager[None]:
        return nullcontext()


def converse(lines: list[str], costs: list[float | None], monkeypatch: pytest.MonkeyPatch) -> Paper:
    async def priced(*args: object, **options: object) -> Answer:
        answer = await ask(*args, **options)
        return answer._replace(result=replace(answer.result, cost_cents=costs.pop(0)))

    monkeypatch.setattr(module, "ask", priced)
    paper = Paper(lines)
    provider = ScriptedProvider(["hi"] * 3)
    with AgentSystem() as system, Providers() as providers:
        choice = Choice(provider="demo", model="m")
        setting = Setting(system, providers, choice, provider, {}, None)
        assert asyncio.run(Chat(setting, FLAGS, paper).converse()) == 0
    return paper


def test_the_prompt_adds_up_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    paper = converse(["a", "b", "c", "/usage"], [0.25, None, 1.5], monkeypatch)
    assert paper.prompts == [
        "m · 0 tokens",
        "m · 15 tokens · 0.25 ct",
        "m · 30 tokens · 0.25 ct",
        "m · 45 tokens · 1.8 ct",
        "m · 45 tokens · 1.8 ct",
    ]
    assert paper.notes[1:] == ["45 tokens (30 in, 15 out)", "1.8 ct in this chat"]


def test_where_no_price_is_known_none_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    paper = converse(["a", "/usage"], [None], monkeypatch)
    assert paper.prompts == ["m · 0 tokens", "m · 15 tokens", "m · 15 tokens"]
    assert paper.notes[1:] == ["15 tokens (10 in, 5 out)"]
