"""`alloy demo`: the demo against the embedded server or a real one, live on a terminal."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from alloy_actors.actors.default import shutdown
from alloy_actors.cli import output
from alloy_actors.cli.exits import DONE
from alloy_actors.cli.logs import route_logs
from alloy_actors.cli.providers import DEMO, Choice, Providers, chosen
from alloy_actors.demo import Cast, PlainStage, perform
from alloy_actors.local import scripted_model

if TYPE_CHECKING:
    from alloy_actors.demo import Stage


def demo(choice: Choice) -> int:
    """Show it and return the exit code; nothing chosen is the embedded server, whatever keys there are."""
    choice = chosen(choice if choice.said else Choice(provider=DEMO))
    stage = _stage()
    route_logs(stage.say, verbose=False)
    try:
        with Providers() as providers:
            usual = providers.make(choice)
            if choice.provider == DEMO:
                stage.say("the embedded model server answers: a scripted stand-in, not a model")
                slow = Choice(provider=DEMO, model=scripted_model("scripted-demo", delay=0.5))
                other = Choice(provider=DEMO, model="scripted-fast")
                cast = Cast(usual, providers.make(slow), providers.make(other))
            else:
                stage.say(f"{choice.model} by {choice.provider} answers")
                cast = Cast(usual, usual, None)
            perform(stage, cast)
    finally:
        shutdown()
    return DONE


def _stage() -> Stage:
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        from alloy_actors.cli.terminal.stage import LiveStage

        return LiveStage()
    return PlainStage(output.answer)
