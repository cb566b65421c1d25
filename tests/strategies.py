"""Hypothesis strategies for conversations."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from alloy_actors.content import (
    AudioBlock,
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
)

texts = st.text(max_size=8) | st.sampled_from(["", " ", "\n", "Hello", "naïve 😀"])
names = st.sampled_from(["add", "read", "web-search"])
ids = st.text("abc_-.:/é ", max_size=4) | st.sampled_from(["call_1", "functions.bash:0", "x" * 65])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
json_objects = st.dictionaries(texts, json_values, max_size=3)
opaque = st.none() | st.sampled_from(["sig==", "enc/rypted"])
raws = json_objects.map(lambda value: json.dumps(value, separators=(",", ":")))
no_or_raws = st.none() | raws


def media(cls: type, mime_type: str) -> st.SearchStrategy:
    title = st.none() | st.just("a title")
    return st.builds(
        cls, st.just(mime_type), st.just("aGk="), title=title, signature=opaque, raw=no_or_raws
    ) | (st.builds(cls, st.just(""), uri=st.just("https://example.org/x"), title=title))


images = media(ImageBlock, "image/png")
files = (
    images
    | media(AudioBlock, "audio/wav")
    | media(VideoBlock, "video/mp4")
    | (media(DocumentBlock, "application/pdf"))
)
text_blocks = st.builds(
    TextBlock,
    texts,
    st.none() | st.lists(json_objects, min_size=1, max_size=2).map(tuple),
    opaque,
    st.sampled_from([None, "commentary"]),
    no_or_raws,
)
said = st.one_of(
    text_blocks,
    st.builds(ThinkingBlock, texts, opaque, no_or_raws),
    st.builds(RedactedThinkingBlock, st.just("opaque"), no_or_raws),
    st.builds(ServerToolCall, ids, names, json_objects, no_or_raws),
    st.builds(ServerToolResult, ids, texts, st.booleans(), no_or_raws),
    st.builds(RawBlock, raws),
    files,
)
"""What stands in an assistant message beside its tool calls."""
results = texts | st.lists(st.builds(TextBlock, texts) | files, max_size=3).map(tuple)


@st.composite
def tool_calls(draw: st.DrawFn) -> list[ToolCall]:
    return [
        ToolCall(
            name,
            draw(names),
            draw(json_objects),
            draw(st.sampled_from([None, "{broken"])),
            draw(opaque),
            draw(st.none() | json_objects),
            draw(no_or_raws),
        )
        for name in draw(st.lists(ids, max_size=3, unique=True))
    ]


@st.composite
def histories(draw: st.DrawFn, origins: tuple[str | None, ...] = ("here", "there", None)) -> list[Message]:
    """Conversations as an agent keeps them: roles alternate, calls are answered right after they were made."""
    messages = [Message("user", draw(texts))]
    for _ in range(draw(st.integers(0, 4))):
        calls = draw(tool_calls())
        blocks = draw(st.permutations([*draw(st.lists(said, max_size=3)), *calls]))
        content = draw(texts) if not blocks else tuple(blocks)
        origin = draw(st.sampled_from(origins))
        messages.append(Message("assistant", content, model=None if origin is None else "m", origin=origin))
        asked = messages[-1].tool_calls
        if asked:
            answer = [ToolResult(call.id, draw(results), draw(st.booleans())) for call in asked]
            messages.append(Message("user", tuple(answer)))
        else:
            messages.append(
                Message("user", draw(texts | st.lists(text_blocks | files, max_size=2).map(tuple)))
            )
    return messages
