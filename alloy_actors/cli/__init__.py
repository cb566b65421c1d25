"""The `alloy` command; needs the extra `cli`.

`main` is its door. `commands` declares flags and help (typer) and imports what a command needs when it is called;
`terminal` draws (rich) and reads lines (prompt-toolkit), for people at a terminal only: pipes and dumb terminals get `plain`.
"""

from __future__ import annotations

import importlib.util
import sys

NEEDED = ("typer", "rich", "prompt_toolkit")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code; `arguments` are `sys.argv[1:]` unless given."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.stderr.write("alloy: the command needs the extra `cli`: pip install 'alloy-actors[cli]'\n")
        return 2
    try:
        from alloy_actors.cli.commands import run_command

        return run_command(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:  # outside of a request, which knows how to end
        return 130
