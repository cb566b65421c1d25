"""A conversation as text for the model that is to summarise it."""

from __future__ import annotations

from alloy_actors.compaction.prompts import summary_request
from alloy_actors.compaction.serialising import RESULT_CHARS, serialise
from alloy_actors.content import (
    DocumentBlock,
    ImageBlock,
    Message,
    RawBlock,
    RedactedThinkingBlock,
    ServerToolCall,
    ServerToolResult,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
    VideoBlock,
    assistant,
    tool_results,
    user,
)


def test_every_kind_of_block_is_labelled() -> None:
    messages = [
        user("look at this", ImageBlock("image/png", data="aGk=", title="cat.png")),
        Message(
            "assistant",
            (
                ThinkingBlock("hmm", "signed"),
                RedactedThinkingBlock("opaque"),
                TextBlock("I look"),
                ToolCall("c", "read", {"path": "a.txt"}),
                ServerToolCall("s", "search", {"q": 1}),
                ServerToolResult("s", "found"),
                RawBlock('{"x":1}'),
            ),
        ),
        tool_results([ToolResult("c", "no such file", is_error=True)]),
        assistant(""),
    ]
    assert serialise(messages).split("\n\n") == [
        "[User]\nlook at this",
        "[User image]\ncat.png (image/png)",
        "[Assistant thinking]\nhmm",
        "[Assistant]\nI look",
        '[Assistant tool call]\nread({"path":"a.txt"})',
        '[Assistant tool call]\nsearch({"q":1})',
        "[Tool result]\nfound",
        '[Assistant raw]\n{"x":1}',
        "[Tool error]\nno such file",
    ]


def test_files_in_a_result_are_named_by_their_kind() -> None:
    files = (
        TextBlock("what I found"),
        ImageBlock("image/png", data="aGk="),
        VideoBlock("", uri="https://example.org/a"),
        DocumentBlock("application/pdf", data="aGk="),
    )
    text = serialise([tool_results([ToolResult("c", files)])])
    assert text == "[Tool result]\nwhat I found\n[image/png]\n[video]\n[application/pdf]"


def test_a_long_result_is_heard_from_both_ends() -> None:
    text = serialise([tool_results([ToolResult("c", "a" * 5_000 + "z" * 5_000)])])
    assert len(text) < RESULT_CHARS + 100
    assert "aaa\n[... 6,000 characters left out ...]\nzzz" in text


def test_a_previous_summary_goes_along() -> None:
    """T58."""
    assert summary_request("talk", None, "go") == "<conversation>\ntalk\n</conversation>\n\ngo"
    assert summary_request("talk", "old", "go") == (
        "<previous-summary>\nold\n</previous-summary>\n\n<conversation>\ntalk\n</conversation>\n\ngo"
    )
