"""A long task in a small window: old tool results are emptied, old messages become a summary, the work goes on.

Run it: python examples/compaction.py
"""

from __future__ import annotations

import alloy_actors as alloy
from alloy_actors.local import LocalServer, scripted_model


@alloy.tool
def read_page(number: int = 0) -> str:
    """Read a page of the log.

    Args:
        number: Which one.
    """
    return f"page {number}: " + "nothing unusual happened here. " * 30


def keep(messages: tuple[alloy.Message, ...], run: alloy.RunView) -> None:
    """Called with what is about to go: an archive would store it."""
    print(f"turn {run.turn + 1}: {len(messages)} messages are about to lose something")


def describe(event: alloy.Event) -> None:
    if isinstance(event, alloy.Compacted):
        print(
            f"turn {event.turn}: {event.how}, {event.messages_before} messages are now {event.messages_after}"
        )
        assert event.tokens_after < event.tokens_before


def main() -> None:
    with LocalServer() as server, alloy.AgentSystem() as system:
        # A scripted model that calls the tool again and again; any other provider does as well.
        model = scripted_model("scripted-fast", calls=1, rounds=9, text="The log is unremarkable.")
        reader = system.spawn(
            "reader",
            provider=alloy.OpenAICompat(model=model, api_url=server.url),
            tools=[read_page],
            max_tokens=2_000,  # by default the model's own window
            compaction=alloy.Compaction(keep_recent_tokens=500),
            on_compaction=keep,
        )
        result = reader.stream_chat("Read the whole log", lambda _text: None, on_event=describe)
        print(result.raise_for_status().text)
        reader.set_model(alloy.OpenAICompat(model="scripted-fast", api_url=server.url))
        for number in range(4):
            text = f"Note {number} on the log: " + "it is rather long. " * 100
            reader.stream_chat(text, lambda _text: None, on_event=describe).raise_for_status()
        print(reader.messages()[1].text.partition("\n")[0])
    alloy.shutdown()


if __name__ == "__main__":
    main()
