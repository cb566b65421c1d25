"""The work that both sides do, so that they cannot drift apart.

One run: the user's question -> a reply with two parallel tool calls -> both results -> an answer. That is two requests.
"""

from __future__ import annotations

QUESTION = "Compare the weather in Paris and Oslo."
MODEL = "scripted-fast"
"""Answers at once (W1)."""
SLOW_MODEL = "scripted-fast?delay=0.02"
"""Answers after 20 ms (W2)."""

W1_CONVERSATIONS, W1_RUNS = 40, 3
"""W1: conversations one after the other, runs in each; the history grows to 12 messages on both sides."""
W2_CONVERSATIONS, W2_RUNS = 500, 2
"""W2: conversations at once, runs in each one after the other."""


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
