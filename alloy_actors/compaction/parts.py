"""The parts of a conversation: its first message, the summary after it, what is old, and what is recent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from alloy_actors.content import Message, ToolResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alloy_actors.content import Role

SUMMARY: Final = "[Summary of the earlier conversation, which was removed to save space.]"
"""How a summary begins."""
BRIDGE: Final = "[Go on from the summary.]"
"""What stands between a summary and a recent part that begins with the author of the summary: roles alternate."""

_ROLES: Final[tuple[Role, Role]] = ("assistant", "user")


class Parts(NamedTuple):
    """Positions in a list of messages.

    Args:
        head: Where the messages end that are kept as they are: the first one.
        body: Where the conversation begins after that and after a summary.
        cut: Where what is recent begins; `body` when nothing is old.
    """

    head: int
    body: int
    cut: int


def split(messages: Sequence[Message], keep_recent: float) -> Parts:
    """Find the parts.

    The recent part begins with what the user said, or else with an answer of the model, never with a tool result.

    Args:
        messages: In order; no call is open.
        keep_recent: How many estimated tokens are recent.
    """
    head = head_of(messages)
    body = body_of(messages, head)
    return Parts(head, body, _cut(messages, body, keep_recent))


def head_of(messages: Sequence[Message]) -> int:
    """The first message; an answer with tool calls keeps their results."""
    return min(2 if messages and messages[0].tool_calls else 1, len(messages))


def body_of(messages: Sequence[Message], head: int) -> int:
    """Where the conversation begins after the first message and a summary."""
    if summary_of(messages, head) is None:
        return head
    bridge = head + 1
    return bridge + 1 if bridge < len(messages) and messages[bridge].content == BRIDGE else bridge


def summary_of(messages: Sequence[Message], head: int) -> str | None:
    """The text of the summary after the first message, None where there is none."""
    if head >= len(messages):
        return None
    content = messages[head].content
    if not isinstance(content, str) or not content.startswith(SUMMARY):
        return None
    return content.removeprefix(SUMMARY).strip()


def summarised(messages: Sequence[Message], parts: Parts, summary: str) -> list[Message]:
    """The conversation with a summary in place of what is old, and of the summary before it.

    The summary is in the words of whoever did not speak first, which is the model: the user has not said that.
    """
    by_user = messages[parts.head - 1].role == "user"
    role, other = _ROLES if by_user else _ROLES[::-1]
    recent = messages[parts.cut :]
    new = [*messages[: parts.head], Message(role, f"{SUMMARY}\n\n{summary}")]
    if recent and recent[0].role == role:
        new.append(Message(other, BRIDGE))
    return [*new, *recent]


def estimated(messages: Iterable[Message]) -> int:
    """Tokens of messages, by estimate."""
    return sum(message.estimated_tokens for message in messages)


def is_said_by_user(message: Message) -> bool:
    """Whether the user has spoken there: not a tool, and not compaction."""
    if message.role != "user" or message.content == BRIDGE:
        return False
    if isinstance(message.content, str):
        return not message.content.startswith(SUMMARY)
    return not any(isinstance(block, ToolResult) for block in message.content)


def turn_in_progress(messages: Sequence[Message]) -> int:
    """Where it begins: after what the user has said last."""
    for position in range(len(messages) - 1, -1, -1):
        if is_said_by_user(messages[position]):
            return position + 1
    return 0


def _cut(messages: Sequence[Message], body: int, keep_recent: float) -> int:
    tokens, threshold = 0, body
    for position in range(len(messages) - 1, body - 1, -1):
        tokens += messages[position].estimated_tokens
        if tokens >= keep_recent:
            threshold = position
            break
    else:
        return body
    after = range(threshold, len(messages))
    for wanted in (is_said_by_user, _is_answer):
        for position in after:
            if wanted(messages[position]):
                return position
    for position in range(threshold, body - 1, -1):
        if is_said_by_user(messages[position]) or _is_answer(messages[position]):
            return position
    return body


def _is_answer(message: Message) -> bool:
    return message.role == "assistant"
