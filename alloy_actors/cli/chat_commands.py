"""The commands of `alloy chat`: lines that begin with a slash."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from alloy_actors.cli import session_file
from alloy_actors.cli.providers import chosen, is_provider, names
from alloy_actors.cli.words import call_text, money_text, short, usage_text
from alloy_actors.content import TextBlock, ToolCall, ToolResult
from alloy_actors.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from alloy_actors.cli.chat import Chat
    from alloy_actors.content import Message


class Leave(Exception):
    """The chat ends, with this exit code; None is that of its last request."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__()
        self.code = code


@dataclass(frozen=True, slots=True)
class Command:
    """A command; `argument` is what may follow its name, for the help."""

    run: Callable[[Chat, str], Awaitable[None]]
    argument: str
    help: str


async def carry_out(chat: Chat, line: str) -> None:
    """Run the command on a line.

    Raises:
        Leave: It was /quit.
        ConfigError: There is no such command, or its argument is wrong.
    """
    name, _, argument = line[1:].partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f" (did you mean /{near[0]}?)" if near else ""
        raise ConfigError(
            f"there is no command /{name}{hint}: /help shows them; a message that begins with a slash needs two"
        )
    await command.run(chat, argument.strip())


async def _help(chat: Chat, _argument: str) -> None:
    rows = [(f"/{name} {command.argument}".strip(), command.help) for name, command in COMMANDS.items()]
    rows += [
        ("Esc Enter", "a new line; so does a backslash at the end of one"),
        ("Ctrl-C", "cancel the run that is on"),
        ("Ctrl-D", "leave"),
    ]
    chat.screen.table(rows)


async def _model(chat: Chat, argument: str) -> None:
    if not argument:
        chat.screen.note(
            f"{chat.choice.model} by {chat.choice.provider}; /model NAME or /model PROVIDER:NAME changes it"
        )
        return
    prefix, colon, _ = argument.partition(":")
    if colon and is_provider(prefix):
        choice = chosen(replace(chat.choice, provider=None, model=argument, api_url=None, api_key_env=None))
    else:
        choice = replace(chat.choice, model=argument)
    provider = chat.setting.providers.make(choice)
    await chat.agent.aset_model(provider)
    chat.choice, chat.provider = choice, provider
    chat.screen.note(f"{choice.model} by {choice.provider} answers from now on; the conversation goes on")


async def _tools(chat: Chat, _argument: str) -> None:
    tools = chat.setting.options["tools"]
    if not tools:
        chat.screen.note("no tools: alloy chat --tools read,bash offers some")
    chat.screen.table((tool.name, short(tool.description)) for tool in tools)


async def _reset(chat: Chat, _argument: str) -> None:
    await chat.agent.areset()
    chat.screen.note("the conversation begins anew")


async def _usage(chat: Chat, _argument: str) -> None:
    chat.screen.note(usage_text(await chat.agent.ausage()))
    if chat.cents is not None:
        chat.screen.note(f"{money_text(chat.cents)} in this chat")


async def _history(chat: Chat, _argument: str) -> None:
    messages = await chat.agent.amessages()
    if not messages:
        chat.screen.note("nothing was said yet")
    chat.screen.table((message.role, _brief(message)) for message in messages)


async def _save(chat: Chat, argument: str) -> None:
    path = _path(chat, argument, "/save")
    session = await chat.agent.aexport_session()
    session_file.save(path, session)
    chat.screen.note(f"saved {len(session.messages)} messages to {path}")


async def _load(chat: Chat, argument: str) -> None:
    if chat.flags.store is not None:
        raise ConfigError("this conversation is kept in a store: /load needs a chat without --store")
    path = _path(chat, argument, "/load")
    session = session_file.load(path)
    await chat.agent.astop()  # its session may be this very one, and an agent has one life at a time
    chat.agent = await chat.begin(session)
    chat.screen.note(f"{len(session.messages)} messages from {path}")


async def _quit(_chat: Chat, _argument: str) -> None:
    raise Leave


def _path(chat: Chat, argument: str, command: str) -> Path:
    if argument:
        return Path(argument).expanduser()
    if chat.flags.session is None:
        raise ConfigError(f"which file? {command} FILE")
    return chat.flags.session


def _brief(message: Message) -> str:
    parts = []
    for block in message.blocks:
        match block:
            case TextBlock():
                parts.append(block.text)
            case ToolCall():
                parts.append(f"[{call_text(block.name, block.input)}]")
            case ToolResult():
                parts.append(f"[result: {short(block.text)}]")
            case _:
                parts.append(f"[{block.type}]")
    return short(" ".join(parts))


COMMANDS: dict[str, Command] = {
    "model": Command(_model, "[NAME]", "which model answers, or another one"),
    "tools": Command(_tools, "", "what the model may call"),
    "usage": Command(_usage, "", "tokens of this conversation"),
    "history": Command(_history, "", "what was said"),
    "reset": Command(_reset, "", "begin anew"),
    "save": Command(_save, "[FILE]", "write the conversation to a file"),
    "load": Command(_load, "[FILE]", "go on with the conversation in a file"),
    "help": Command(_help, "", "this"),
    "quit": Command(_quit, "", "leave"),
}
VALUES: dict[str, tuple[str, ...]] = {
    "/model": tuple(f"{name}:" for name in names()),
    "/save": ("path",),
    "/load": ("path",),
}
