"""`python -m alloy_actors`: what there is to run."""

from __future__ import annotations

import argparse
import sys


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m alloy_actors",
        description="OTP for LLM agents.",
        epilog="Example: python -m alloy_actors demo",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser(
        "demo",
        help="show supervised agents at work against the embedded model server (no key, no network)",
        description="Start the embedded model server, spawn agents, stream, fan out tools, crash one and see it back.",
    )
    chosen = parser.parse_args(arguments)
    if chosen.command == "demo":
        from alloy_actors.demo import main as demo

        return demo()
    raise AssertionError(chosen.command)


if __name__ == "__main__":
    sys.exit(main())
