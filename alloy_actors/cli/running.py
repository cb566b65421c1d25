"""`alloy run`: one request, its answer on stdout, its status as the exit code."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from alloy_actors.cli import output, session_file
from alloy_actors.cli.asking import ask
from alloy_actors.cli.exits import FAILED, code_of
from alloy_actors.cli.logs import route_logs
from alloy_actors.cli.plain import PlainView
from alloy_actors.cli.report import event_json, result_json
from alloy_actors.cli.setting import started
from alloy_actors.cli.words import end_text, money_text, usage_text
from alloy_actors.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alloy_actors.cli.setting import Flags, Setting
    from alloy_actors.events import Event

COMMAND = "alloy run"


def run(words: Sequence[str], flags: Flags, *, as_json: bool, stream: bool) -> int:
    """Ask once and return the exit code."""
    prompt = _prompt(words)
    route_logs(output.note, verbose=flags.verbose)
    with started(flags) as setting:
        return asyncio.run(_run(prompt, flags, setting, as_json=as_json, stream=stream))


async def _run(prompt: str, flags: Flags, setting: Setting, *, as_json: bool, stream: bool) -> int:
    agent = await setting.system.aspawn(
        flags.name, provider=setting.provider, session=setting.session, **setting.options
    )
    hear = PlainView(stream=stream, quiet=flags.quiet).hear if not as_json else _nothing
    if as_json and stream:
        hear = _write_event
    result, signum = await ask(agent, prompt, hear)
    if as_json and not stream:
        output.answer(result_json(result, setting.provider.model))
    if said := end_text(result, flags.max_turns):
        output.complain(said, COMMAND)
    if flags.verbose:
        cost = "" if result.cost_cents is None else f", {money_text(result.cost_cents)}"
        output.note(f"{result.turns} turns, {usage_text(result.usage)}{cost}")
    code = code_of(result, signum)
    if flags.session is not None:
        try:
            session_file.save(flags.session, await agent.aexport_session())
        except ConfigError as error:
            output.complain(str(error), COMMAND)
            code = code or FAILED
    return code


def _prompt(words: Sequence[str]) -> str:
    """What was said on the command line; "-", or nothing at all, stands for standard input.

    Raises:
        ConfigError: There is nothing in it, or nobody but a terminal to read it from.
    """
    parts = list(words) or ["-"]
    if parts == ["-"] and not words and sys.stdin is not None and sys.stdin.isatty():
        raise ConfigError('say what to ask: alloy run "...", or pipe it in')
    text = " ".join(f"\n{_stdin()}\n" if part == "-" else _mended(part) for part in parts).strip()
    if not text:
        raise ConfigError("the prompt is empty")
    return text


def _stdin() -> str:
    if sys.stdin is None:  # closed
        return ""
    return sys.stdin.buffer.read().decode("utf-8-sig", "replace").strip()


def _mended(argument: str) -> str:
    """An argument that is no UTF-8 has lone surrogates in it, which no server takes."""
    return argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _write_event(event: Event) -> None:
    output.answer(event_json(event))


def _nothing(_event: Event) -> None:
    """The result says it all."""
