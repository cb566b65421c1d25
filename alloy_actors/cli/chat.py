"""`alloy chat`: a conversation, line by line."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from alloy_actors.cli import output, session_file
from alloy_actors.cli.asking import ask
from alloy_actors.cli.chat_commands import COMMANDS, VALUES, Leave, carry_out
from alloy_actors.cli.exits import DONE, FAILED, code_of
from alloy_actors.cli.logs import route_logs
from alloy_actors.cli.setting import started
from alloy_actors.cli.words import end_text, money_text, short
from alloy_actors.errors import AlloyError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from alloy_actors.actors.ref import AgentRef
    from alloy_actors.cli.setting import Flags, Setting
    from alloy_actors.events import Event
    from alloy_actors.session import Session

MODEL_SHOWN = 40  # characters of its name, in the prompt
LEAVING = (signal.SIGTERM, signal.SIGHUP)


class Screen(Protocol):
    """Where a person, or a pipe, reads and writes."""

    interactive: bool

    async def read(self, status: str) -> str:
        """A line; EOFError at the end, KeyboardInterrupt for Ctrl-C."""

    def hear(self, event: Event) -> None:
        """Show an event of a run."""

    def stop(self) -> None:
        """Nothing more comes of the run."""

    def note(self, text: str) -> None:
        """Say something that is no part of an answer."""

    def complain(self, text: str) -> None:
        """Say what went wrong."""

    def table(self, rows: Iterable[tuple[str, ...]]) -> None:
        """Show rows of facts."""

    def quiet_keys(self) -> AbstractContextManager[None]:
        """Keep what is typed while nobody reads off the screen, and keep it for the next prompt."""


class Chat:
    """A conversation at the command line.

    Attributes:
        agent: Who is talked to.
        choice: Which model answers, and `provider` asks it.
        cents: What the runs of this chat have cost; None while no price is known.
    """

    def __init__(self, setting: Setting, flags: Flags, screen: Screen) -> None:
        self.setting = setting
        self.flags = flags
        self.screen = screen
        self.choice = setting.choice
        self.provider = setting.provider
        self.cents: float | None = None
        self.agent: AgentRef
        self._code = DONE

    async def converse(self) -> int:
        """Until the end of input, /quit, or a signal; returns the exit code."""
        self.agent = await self.begin(self.setting.session)
        screen = self.screen
        if screen.interactive:
            screen.note(
                f"{self._model()} by {self.choice.provider}. /help shows the commands; Ctrl-C cancels a run, Ctrl-D leaves."
            )
        if said := len(await self.agent.amessages()):
            screen.note(f"the conversation goes on after {said} messages")
        while True:
            try:
                line = (await screen.read(await self._status())).strip()
                await self._take(line)
            except Leave as leave:
                return leave.code if leave.code is not None else self._code
            except EOFError:
                return self._code
            except KeyboardInterrupt:  # at the prompt
                if not screen.interactive:
                    raise
            except AlloyError as error:
                self.complain(error)

    async def begin(self, session: Session | None) -> AgentRef:
        """Start an agent, with the options of the flags and the model of the moment."""
        options = {**self.setting.options, "provider": self.provider}
        return await self.setting.system.aspawn(self.flags.name, session=session, **options)

    def complain(self, error: AlloyError) -> None:
        """Say what went wrong; it is no reason to leave."""
        self._set_code(FAILED)
        self.screen.complain(
            str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
        )

    async def _take(self, line: str) -> None:
        if line.startswith("//"):
            await self._say(line[1:])
        elif line.startswith("/"):
            await carry_out(self, line)
        elif line:
            await self._say(line)

    async def _say(self, text: str) -> None:
        screen = self.screen
        try:
            result, signum = await ask(self.agent, text, screen.hear, patient=True)
        finally:
            screen.stop()
        if result.cost_cents is not None:
            self.cents = (self.cents or 0.0) + result.cost_cents
        if said := end_text(result, self.flags.max_turns):
            (screen.note if result.ok or result.status == "cancelled" else screen.complain)(said)
        self._set_code(code_of(result, signum))
        if self.flags.session is not None:
            session_file.save(self.flags.session, await self.agent.aexport_session())
        if signum in LEAVING:
            raise Leave(128 + signum)

    def _set_code(self, code: int) -> None:
        """A script wants to know how its last request went; a person has seen it."""
        self._code = DONE if self.screen.interactive else code

    async def _status(self) -> str:
        """For the prompt: model, tokens, and money where it is known."""
        tokens = (await self.agent.ausage()).total_tokens
        parts = [self._model(), f"{tokens} tokens"]
        if self.cents is not None:
            parts.append(money_text(self.cents))
        return " · ".join(parts)

    def _model(self) -> str:
        return short(self.choice.model or "", MODEL_SHOWN)


def chat(flags: Flags) -> int:
    """Talk until the end and return the exit code."""
    with started(flags) as setting:
        return asyncio.run(_chat(flags, setting))


async def _chat(flags: Flags, setting: Setting) -> int:
    screen = _screen(flags)
    loop = asyncio.get_running_loop()

    def tell(text: str) -> None:
        try:
            loop.call_soon_threadsafe(screen.note, text)
        except RuntimeError:  # the chat is over, and its agents are being stopped
            output.note(text)

    route_logs(tell, verbose=flags.verbose)
    with screen.quiet_keys(), _left_by_signals(interactive=screen.interactive) as signals:
        try:
            code = await Chat(setting, flags, screen).converse()
        except asyncio.CancelledError:
            if not signals:
                raise
            code = FAILED
        return 128 + signals[0] if signals else code


def _screen(flags: Flags) -> Screen:
    terminal = all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))
    if terminal and os.environ.get("TERM", "dumb") != "dumb":
        from alloy_actors.cli.terminal.screen import TerminalScreen

        helps = {f"/{name}": command.help for name, command in COMMANDS.items()}
        return TerminalScreen(helps, VALUES)
    from alloy_actors.cli.plain_screen import PlainScreen

    return PlainScreen(quiet=flags.quiet)


@contextmanager
def _left_by_signals(*, interactive: bool) -> Iterator[list[int]]:
    """SIGTERM and a closed terminal cancel this task: the terminal is put in order, agents are stopped.

    A person's Ctrl-C between a run and the prompt came too late for the run, and is not meant for the program.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    seen: list[int] = []

    def leave(signum: int, _frame: object) -> None:
        seen.append(signum)
        loop.call_soon_threadsafe(task.cancel)

    previous = {signum: signal.signal(signum, leave) for signum in LEAVING}
    if interactive:
        previous[signal.SIGINT] = signal.signal(signal.SIGINT, lambda _signum, _frame: None)
    try:
        yield seen
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
