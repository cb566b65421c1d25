"""`alloy store`: what `python -m alloy_actors.store` does."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from alloy_actors.cli import output
from alloy_actors.cli.commands import options as opt

EXAMPLES = """\b
Examples:
  alloy store check agents.db
  alloy store list agents.db
  alloy store export agents.db 4f1c09 > session.json     # for --session, /load and session=
  alloy store backup agents.db copy.db

Exit codes: 0 well, 1 `check` found something, 2 a mistake or a failure.
"""
Path = Annotated[str, typer.Argument(metavar="PATH", help="The store's file.")]

store = typer.Typer(
    help="Look after a store on disk.",
    epilog=EXAMPLES,
    rich_markup_mode=None,
    context_settings=opt.HELP,
)


def add_to(app: typer.Typer) -> None:
    """Make these commands known."""
    app.add_typer(store, name="store")


@store.command()
def check(path: Path) -> Callable[[], int]:
    """Read everything and say what is wrong; exit code 1 when something is."""
    return _run("check", path)


@store.command("list")
def list_(path: Path) -> Callable[[], int]:
    """Show the agents: id, records, messages, waiting requests, the request that is on."""
    return _run("list", path)


@store.command()
def export(
    path: Path, agent: Annotated[str, typer.Argument(metavar="AGENT", help="Its id, as `list` shows it.")]
) -> Callable[[], int]:
    """Write an agent's conversation to stdout, as a session in JSON."""
    return _run("export", path, agent=agent)


@store.command()
def backup(
    path: Path,
    target: Annotated[str, typer.Argument(metavar="COPY", help="The copy; must not be there yet.")],
) -> Callable[[], int]:
    """Copy the store as it is now, also while it is in use."""
    return _run("backup", path, target=target)


@store.command()
def compact(path: Path) -> Callable[[], int]:
    """Forget finished requests and give free space back; the store must not be in use."""
    return _run("compact", path)


def _run(command: str, path: str, **more: str) -> Callable[[], int]:
    return partial(_carry_out, argparse.Namespace(store_command=command, path=path, **more))


def _carry_out(options: argparse.Namespace) -> int:
    from alloy_actors.store.command import run

    with output.writing():
        return run(options)
