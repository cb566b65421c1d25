"""A person between the model and its tools: some calls run, some are blocked, one is changed, one ends the run.

Run it: python examples/approval.py          a made-up person answers
        python examples/approval.py ask      you do: Enter for yes, `no REASON`, `to NAME`, or `stop`
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import alloy_actors as alloy
from alloy_actors.local import LocalServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HARMLESS = {"list_files"}
FILES = ["draft.txt", "notes.txt"]


@alloy.tool
def list_files() -> list[str]:
    """List the files."""
    return FILES


@alloy.tool
def remove(name: str) -> str:
    """Remove a file."""
    FILES.remove(name)
    return f"{name} is gone"


@alloy.tool
def send(to: str, text: str) -> str:
    """Send a message to somebody."""
    return f"{to} has got {text!r}"


class Approval(alloy.Middleware):
    """Asks before every call that is not harmless.

    Args:
        ask: Gets the call as text and returns the answer. It may take its time: a plain hook runs on a thread of its
            own, and the agent answers everything else meanwhile. The time counts as time of the run.
    """

    def __init__(self, ask: Callable[[str], str]) -> None:
        self._ask = ask

    def before_tool_call(
        self, run: alloy.RunView, call: alloy.ToolCall
    ) -> alloy.Block | alloy.Edit | alloy.Halt | None:
        if call.name in HARMLESS:
            return None
        answer = self._ask(f"{run.agent} wants {call.name}({call.input})").strip()
        word, _, rest = answer.partition(" ")
        match word:
            case "" | "yes":
                return None
            case "to":
                return alloy.Edit({**call.input, "to": rest})  # the model still sees the call as it made it
            case "stop":
                return alloy.Halt("the person in charge has had enough")
            case _:
                return alloy.Block(rest or "not allowed")  # an error that the model reads; the run goes on


def on_the_terminal(question: str) -> str:
    return input(f"{question}? ")


def made_up() -> Callable[[str], str]:
    answers: Iterator[str] = iter(["yes", "no the notes are still needed", "to bob", "stop"])

    def answer(question: str) -> str:
        said = next(answers)
        print(f"{question}? {said}")
        return said

    return answer


QUESTIONS = [
    'Please call list_files() and remove(name="draft.txt") and remove(name="notes.txt")',
    'Please call send(to="everyone", text="The draft is gone.")',
    'Please call remove(name="notes.txt")',
]


def main() -> None:
    ask = on_the_terminal if sys.argv[1:] == ["ask"] else made_up()
    with LocalServer() as server, alloy.AgentSystem() as system:
        agent = system.spawn(
            "clerk",
            provider=alloy.OpenAICompat(model="scripted-fast", api_url=server.url),
            tools=[list_files, remove, send],
            middleware=[Approval(ask)],
            timeout=600,
        )
        for question in QUESTIONS:
            result = agent.chat(question)
            for call in result.tool_calls:
                print(f"  {call.name}: {call.error or 'done'}")
            print(f"{result.status}: {result.text or result.error}")
    print(f"left: {FILES}")
    alloy.shutdown()


if __name__ == "__main__":
    main()
