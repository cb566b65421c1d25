"""The command line over `upkeep`: `python -m alloy_actors.store check|list|export|backup|compact PATH`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from alloy_actors.errors import AlloyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alloy_actors.store import upkeep


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Give a parser the commands; `run` carries out what it parsed."""
    commands = parser.add_subparsers(dest="store_command", required=True, metavar="command")
    for name, text in (
        ("check", "read everything and say what is wrong; exit code 1 when something is"),
        ("list", "the agents: id, records, messages, waiting requests, the request that is on"),
        ("export", "an agent's conversation as a session in JSON"),
        ("backup", "copy the store as it is now, also while it is in use"),
        ("compact", "forget finished requests and give free space back; the store must not be in use"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("path", help="the store's file")
        if name == "export":
            command.add_argument("agent", help="its id, as `list` shows it")
        elif name == "backup":
            command.add_argument("target", help="the copy; must not be there yet")


def run(options: argparse.Namespace) -> int:
    """Carry out a command and return its exit code: 1 for what `check` found, 2 for a mistake or a failure."""
    from alloy_actors.store import upkeep  # which loads sqlite3

    try:
        match options.store_command:
            case "check":
                return _check(upkeep.check(options.path))
            case "list":
                for agent in upkeep.summaries(options.path):
                    _say(_line(agent))
            case "export":
                _say(upkeep.export(options.path, options.agent).to_json().decode())
            case "backup":
                upkeep.backup(options.path, options.target)
            case _:
                before = upkeep.size(options.path)
                upkeep.compact(options.path)
                _say(f"{before} bytes before, {upkeep.size(options.path)} after")
    except AlloyError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m alloy_actors.store", description="Look after a store.")
    add_commands(parser)
    return run(parser.parse_args(arguments))


def _check(report: upkeep.Report) -> int:
    for problem in report.problems:
        _say(problem)
    verdict = f"{len(report.problems)} problems" if report.problems else "ok"
    _say(f"{report.agents} agents, {report.records} records, {report.size} bytes: {verdict}")
    return 1 if report.problems else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _line(agent: upkeep.AgentSummary) -> str:
    if agent.problem is not None:
        return f"{agent.id}  {agent.problem}"
    state = f"running {agent.running}" if agent.running is not None else "idle"
    return f"{agent.id}  {agent.records} records  {agent.messages} messages  {agent.waiting} waiting  {state}"
