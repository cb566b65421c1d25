"""The work that both sides do, so that they cannot drift apart.

One run: the user's question -> a reply with two parallel tool calls -> both results -> an answer. That is two requests.
"""

from __future__ import annotations

import time
from statistics import median

from alloy_actors.local import scripted_model

QUESTION = "Compare the weather in Paris and Oslo."
MODEL = "scripted-fast"
"""Answers at once (W1)."""
SLOW_MODEL = "scripted-fast?delay=0.02"
"""Answers after 20 ms (W2)."""

W1_CONVERSATIONS, W1_RUNS = 40, 3
"""W1: conversations one after the other, runs in each; the history grows to 12 messages on both sides."""
W2_CONVERSATIONS, W2_RUNS = 500, 2
"""W2: conversations at once, runs in each one after the other."""

DELTAS, STREAMS = 2000, 10
"""W3: deltas of a stream, streams a round, one after the other, each the first run of a new conversation."""

OLD_EXCHANGES = 100
"""W7: old exchanges, each of four messages: a question, two calls, their two results, an answer."""
W7_CONVERSATIONS, W7_RUNS = 5, 10
"""W7: conversations and the runs measured in each, after one that is not."""
OLD_ANSWER = "It is sunny in both, and it will stay so. " * 10


def streaming_model(*, burst: bool) -> str:
    """W3's model: each delta in a write of its own, as fast as it can, or all in one; the first is the time of it."""
    return scripted_model("scripted-fast", deltas=DELTAS, per_write=DELTAS if burst else 1, stamp=1)


async def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


def plain_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


def check_answer(text: str) -> None:
    """A benchmark of wrong answers measures nothing."""
    if not ("sunny in Paris" in text and "sunny in Oslo" in text):
        raise AssertionError(f"not an answer to {QUESTION!r}: {text!r}")


class Listened:
    """What the listener of one side of W3 heard; `hear` is the callable it gives."""

    def __init__(self) -> None:
        self._words = 0
        self._late: list[float] = []
        self._first = True

    def begin(self) -> None:
        """Expect another stream."""
        self._first = True

    def hear(self, text: str) -> None:
        """Take one delta, or several in one; the first word of a stream says when it was sent."""
        if self._first:
            self._first = False
            self._late.append(time.monotonic() - float(text.partition(" ")[0]))
        self._words += text.count(" ")

    def late(self) -> float:
        """Seconds from the first delta's write to its arrival here, the median of all streams."""
        if self._words != STREAMS * (DELTAS + 1) or len(self._late) != STREAMS:
            raise AssertionError(f"{self._words} words in {len(self._late)} streams")
        return median(self._late)
