"""`alloy demo`, `alloy doctor` and `alloy models`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from alloy_actors.cli.commands import options as opt
from alloy_actors.cli.providers import Choice

DEMO_EXAMPLES = """\b
Examples:
  alloy demo                                    # the embedded server: no key, no network
  alloy demo --model openai:gpt-5.4
  alloy demo --api-url http://localhost:11434 --model llama4
  alloy demo | cat                              # plain lines

Exit codes: 0 everything happened as it should, 1 something did not, 2 a mistake in the command line, 130 Ctrl-C.
"""
DOCTOR_EXAMPLES = """\b
Examples:
  alloy doctor
  alloy doctor --provider openai --ask          # also asks for one word
  alloy doctor --json | jq '.checks[] | select(.state == "failed")'

Exit codes: 0 all is well, 1 something failed, 2 a mistake in the command line.
"""
MODELS_EXAMPLES = """\b
Examples:
  alloy models --provider mistral               # its models, as model strings
  alloy models | grep sonnet
  alloy models --json | jq '.[] | select(.context_window >= 1000000) | .model'
  alloy models --providers                      # what may stand before the colon

Exit codes: 0 listed, 2 a mistake in the command line.
"""


def add_to(app: typer.Typer) -> None:
    """Make these commands known."""
    app.command(epilog=DEMO_EXAMPLES, context_settings=opt.HELP)(demo)
    app.command(epilog=DOCTOR_EXAMPLES, context_settings=opt.HELP)(doctor)
    app.command(epilog=MODELS_EXAMPLES, context_settings=opt.HELP)(models)


def demo(
    *,
    provider: opt.Provider = None,
    model: opt.Model = None,
    api_url: opt.ApiUrl = None,
    api_key_env: opt.ApiKeyEnv = None,
) -> Callable[[], int]:
    """Show supervised agents at work: streaming, tools side by side, crashes and restarts."""
    from alloy_actors.cli.demo import demo as carry_out

    return partial(
        carry_out, Choice(provider=provider, model=model, api_url=api_url, api_key_env=api_key_env)
    )


def doctor(
    *,
    provider: opt.Provider = None,
    model: opt.Model = None,
    api_url: opt.ApiUrl = None,
    api_key_env: opt.ApiKeyEnv = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask the model for one word; costs a few tokens.")
    ] = False,
    as_json: opt.AsJson = False,
) -> Callable[[], int]:
    """Check Python, packages, keys (never shown), folders, the embedded server and your model server."""
    from alloy_actors.cli.doctor import doctor as carry_out

    choice = Choice(provider=provider, model=model, api_url=api_url, api_key_env=api_key_env)
    return partial(carry_out, choice, ask=ask, as_json=as_json)


def models(
    *,
    provider: Annotated[
        str | None,
        typer.Option(
            "--provider", "-p", metavar="NAME", autocompletion=opt.providers, help="Only this one's models."
        ),
    ] = None,
    providers: Annotated[
        bool, typer.Option("--providers", help="List the providers of model strings instead, and their keys.")
    ] = False,
    as_json: opt.AsJson = False,
) -> Callable[[], int]:
    """List the models that are known, their windows and their prices in dollars per million tokens.

    Nothing is fetched: they are those of the installed genai-prices. `name:model` is a model string; `vendor / model`
    has no name there. A `+` marks a price that is higher for long prompts; --json says from when.
    """
    from alloy_actors.cli import models as listing

    if providers:
        if provider is not None:
            raise typer.BadParameter("--provider and --providers ask for two different lists")
        return partial(listing.providers, as_json=as_json)
    return partial(listing.models, provider, as_json=as_json)
