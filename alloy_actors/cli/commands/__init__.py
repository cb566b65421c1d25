"""The command line: flags and help of every command (typer). What a command does is imported when it is called."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from alloy_actors.__about__ import __version__
from alloy_actors.cli import exits, output
from alloy_actors.cli.commands import conversations, showing, upkeep
from alloy_actors.errors import AlloyError, ConfigError

EXAMPLES = """\b
Examples:
  alloy chat --provider demo --tools read,bash
  alloy run "Which version is this?" --tools read
  alloy demo
  alloy doctor

`alloy COMMAND --help` has more examples, and the exit codes.
"""

app = typer.Typer(
    name="alloy",
    help="Agents at the command line: chat with a model that uses tools, ask it once, see supervised agents at work.",
    epilog=EXAMPLES,
    rich_markup_mode=None,  # plain help: quick, and the same on a pipe
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
conversations.add_to(app)
showing.add_to(app)
upkeep.add_to(app)


def _say_version(asked: bool) -> None:  # noqa: FBT001  (typer calls it so)
    if asked:
        output.answer(f"alloy-actors {__version__}\n")
        raise typer.Exit


@app.callback()
def _alloy(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_say_version, help="Show the version and leave."),
    ] = False,
) -> None:
    _ = version  # said already


def run_command(arguments: list[str]) -> int:
    """Carry out a command line and return its exit code; whatever is wrong is said in one line."""
    output.prepare()
    try:
        carry_out = _parsed(arguments)
        code = carry_out() if callable(carry_out) else exits.DONE  # help and version are said already
        with output.writing():
            sys.stdout.flush()
    except typer.TyperException as error:  # a mistake in the flags
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "alloy"
        output.complain(f"{error.format_message()} ({command} --help shows what there is)", command)
        return exits.USAGE
    except ConfigError as error:
        output.complain(str(error))
        return exits.USAGE
    except AlloyError as error:
        output.complain(f"{type(error).__name__}: {error}")
        return exits.FAILED
    except BrokenPipeError:
        output.abandon_stdout()
        return exits.CLOSED_PIPE
    except output.OutputError as error:
        output.complain(f"the output cannot be written: {error.strerror}")
        output.abandon_stdout()
        return exits.FAILED
    return code


def _parsed(arguments: list[str]) -> object:
    """What the command returned: what is to be done. Doing it is not typer's business, which has its own idea of failures."""
    stdout = sys.stdout
    try:
        with output.writing():  # help and version
            return app(arguments or ["--help"], prog_name="alloy", standalone_mode=False)
    except SystemExit:
        if sys.stdout is stdout:
            raise  # completion has said its words
        raise BrokenPipeError from None  # typer has put something else there, having met a closed pipe
