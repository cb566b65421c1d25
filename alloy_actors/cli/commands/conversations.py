"""`alloy run` and `alloy chat`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from alloy_actors.cli.commands import options as opt
from alloy_actors.cli.exits import HELP as EXIT_CODES
from alloy_actors.cli.providers import Choice
from alloy_actors.cli.setting import Flags

RUN_EXAMPLES = f"""\b
Examples:
  alloy run "Explain OTP in one sentence"
  alloy run "Which version is this?" --tools read,bash
  git diff | alloy run "Write a commit message for this:" -
  alloy run "And in Python?" --session otp.json --stream
  alloy run "Sum up" --model anthropic:claude-sonnet-4-6 --fallback openai:gpt-5.4 < notes.txt
  alloy run "Sum up" --tools mine.py --json < notes.txt | jq -r .text

PROMPT is what to ask; "-", or nothing at all, stands for standard input.

{EXIT_CODES}
"""
CHAT_EXAMPLES = """\b
Examples:
  alloy chat --provider demo                     # a scripted stand-in: no key, no network
  alloy chat --model openai:gpt-5.4 --tools read,write,edit,bash
  alloy chat --api-url http://localhost:11434 --model llama4 --session talk.json
  printf 'hello\\n/usage\\n' | alloy chat --provider demo

Enter sends, Esc Enter begins a new line, Ctrl-C cancels the run that is on, Ctrl-D leaves; /help shows the commands. On a pipe it
answers line by line, and its exit code is that of `alloy run` for the last one.
"""


def add_to(app: typer.Typer) -> None:
    """Make these commands known."""
    app.command(epilog=CHAT_EXAMPLES, context_settings=opt.HELP)(chat)
    app.command(epilog=RUN_EXAMPLES, context_settings=opt.HELP)(run)


def run(
    prompt: Annotated[list[str] | None, typer.Argument(metavar="[PROMPT]", hidden=True)] = None,
    *,
    provider: opt.Provider = None,
    model: opt.Model = None,
    api_url: opt.ApiUrl = None,
    api_key_env: opt.ApiKeyEnv = None,
    tools: opt.Tools = None,
    allow: opt.Allow = None,
    system: opt.System = "",
    max_turns: opt.MaxTurns = 25,
    max_retries: opt.MaxRetries = 3,
    fallback: opt.Fallback = None,
    timeout: opt.Timeout = 120.0,
    max_budget_cents: opt.MaxBudgetCents = None,
    price: opt.Price = None,
    session: opt.Session = None,
    store: opt.Store = None,
    name: opt.Name = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="The result as a JSON object on stdout; with --stream an event a line before it."
        ),
    ] = False,
    stream: Annotated[
        bool | None,
        typer.Option("--stream/--no-stream", help="Write the answer as it comes; the default on a terminal."),
    ] = None,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> Callable[[], int]:
    """Ask once. The answer goes to stdout, everything else to stderr; the exit code tells how it ended."""
    from alloy_actors.cli.running import run as carry_out

    flags = Flags(
        choice=Choice(provider=provider, model=model, api_url=api_url, api_key_env=api_key_env),
        tools=tuple(tools or ()),
        allow=tuple(allow or (".",)),
        system=system,
        max_turns=max_turns,
        max_retries=max_retries,
        fallback=tuple(fallback or ()),
        timeout=timeout,
        max_budget_cents=max_budget_cents,
        prices=tuple(price or ()),
        session=session,
        store=store,
        name=name,
        quiet=quiet,
        verbose=verbose,
    )
    if stream is None:
        stream = sys.stdout.isatty() and not as_json
    return partial(carry_out, prompt or (), flags, as_json=as_json, stream=stream)


def chat(
    *,
    provider: opt.Provider = None,
    model: opt.Model = None,
    api_url: opt.ApiUrl = None,
    api_key_env: opt.ApiKeyEnv = None,
    tools: opt.Tools = None,
    allow: opt.Allow = None,
    system: opt.System = "",
    max_turns: opt.MaxTurns = 25,
    max_retries: opt.MaxRetries = 3,
    fallback: opt.Fallback = None,
    timeout: opt.Timeout = 120.0,
    max_budget_cents: opt.MaxBudgetCents = None,
    price: opt.Price = None,
    session: opt.Session = None,
    store: opt.Store = None,
    name: opt.Name = None,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> Callable[[], int]:
    """Talk with a model that may use tools."""
    from alloy_actors.cli.chat import chat as carry_out

    flags = Flags(
        choice=Choice(provider=provider, model=model, api_url=api_url, api_key_env=api_key_env),
        tools=tuple(tools or ()),
        allow=tuple(allow or (".",)),
        system=system,
        max_turns=max_turns,
        max_retries=max_retries,
        fallback=tuple(fallback or ()),
        timeout=timeout,
        max_budget_cents=max_budget_cents,
        prices=tuple(price or ()),
        session=session,
        store=store,
        name=name,
        quiet=quiet,
        verbose=verbose,
    )
    return partial(carry_out, flags)
