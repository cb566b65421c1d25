"""Flags that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alloy_actors.cli.providers import names
from alloy_actors.cli.toolsets import BUILT_IN

HELP = {"help_option_names": ["--help", "-h"]}


def providers() -> list[str]:
    """For completion."""
    return names()


def _tools() -> list[str]:
    return list(BUILT_IN)


Provider = Annotated[
    str | None,
    typer.Option(
        "--provider",
        "-p",
        metavar="NAME",
        envvar="ALLOY_PROVIDER",
        autocompletion=providers,
        help=f"Who answers: {', '.join(names())}. Unless given, openai-compat with --api-url, else the one whose key is set.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        envvar="ALLOY_MODEL",
        help="As the provider spells it; also PROVIDER:NAME.",
    ),
]
ApiUrl = Annotated[
    str | None, typer.Option("--api-url", metavar="URL", envvar="ALLOY_API_URL", help="The server's address.")
]
ApiKeyEnv = Annotated[
    str | None,
    typer.Option(
        "--api-key-env",
        metavar="VARIABLE",
        help="The environment variable that holds the key, instead of the provider's usual one.",
    ),
]
Tools = Annotated[
    list[str] | None,
    typer.Option(
        "--tools",
        "-t",
        metavar="TOOLS",
        autocompletion=_tools,
        help=f"Separated by commas: {', '.join(BUILT_IN)}, your own by file.py, file.py:name or package.module:name.",
    ),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="DIRECTORY",
        help="Where read, write and edit may go; the working directory unless given.",
    ),
]
System = Annotated[str, typer.Option("--system", "-s", metavar="TEXT", help="The system prompt.")]
MaxTurns = Annotated[
    int, typer.Option("--max-turns", min=1, metavar="N", help="Requests to the model per run.")
]
MaxRetries = Annotated[
    int, typer.Option("--max-retries", min=0, metavar="N", help="Further attempts after a failed request.")
]
Fallback = Annotated[
    list[str] | None,
    typer.Option(
        "--fallback",
        metavar="PROVIDER:NAME",
        help="Whom to ask where the first cannot answer; may be given several times.",
    ),
]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0.001, metavar="SECONDS", help="For a whole run, tools included.")
]
MaxBudgetCents = Annotated[
    float | None,
    typer.Option(
        "--max-budget-cents",
        min=0.0001,
        metavar="CENTS",
        help="What a run may cost; the model's price has to be known, or given by --price.",
    ),
]
Price = Annotated[
    list[str] | None,
    typer.Option(
        "--price",
        metavar="[MODEL=]INPUT/OUTPUT",
        help="Dollars per million tokens, of this model or of the one named; may be given several times.",
    ),
]
Session = Annotated[
    Path | None,
    typer.Option(
        "--session", metavar="FILE", help="Go on with the conversation in this file, and save it there."
    ),
]
Store = Annotated[
    str | None,
    typer.Option("--store", metavar="FILE", help="Keep the conversation in a store on disk, under --name."),
]
Name = Annotated[
    str | None,
    typer.Option(
        "--name", metavar="NAME", help="The agent's name; one that the store knows goes on where it was."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Do not show tool calls.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the log on stderr.")]
AsJson = Annotated[bool, typer.Option("--json", help="Say it as JSON on stdout.")]
