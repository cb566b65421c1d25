import pytest

from alloy_actors import session
from alloy_actors.content import (
    DocumentBlock,
    ImageBlock,
    Message,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
    Usage,
    assistant,
    user,
)
from alloy_actors.normalise import normalise, portable_id


def test_a_message_of_one_string_stays_a_string() -> None:
    assert user("hi") == Message("user", "hi")
    assert assistant("yes").content == "yes"


def test_a_message_of_strings_and_blocks_holds_blocks_in_their_order() -> None:
    image = ImageBlock("image/png", "aGk=")
    assert user("What is this?", image).blocks == (TextBlock("What is this?"), image)
    assert user(image) == Message("user", [image])


@pytest.mark.parametrize("cls", [ImageBlock, DocumentBlock])
def test_a_file_is_here_or_elsewhere(cls) -> None:
    with pytest.raises(ValueError, match=rf"{cls.__name__} takes data= .* or uri=, exactly one"):
        cls("image/png")
    with pytest.raises(ValueError, match="exactly one"):
        cls("image/png", "aGk=", "https://example.org")
    with pytest.raises(ValueError, match=rf"{cls.__name__} with data= needs its mime_type"):
        cls("", "aGk=")


def test_a_tool_result_is_text_or_text_and_images() -> None:
    image = ImageBlock("image/png", "aGk=")
    result = ToolResult("c", [TextBlock("a"), image, TextBlock("b")])
    assert (result.text, result.media) == ("a\nb", (image,))
    assert isinstance(result.content, tuple)
    assert (ToolResult("c", "x").text, ToolResult("c", "x").media) == ("x", ())
    for wrong in (None, 7, [ToolCall("c", "t", {})], ["text"]):
        with pytest.raises(TypeError, match="ToolResult content must be"):
            ToolResult("c", wrong)


def test_text_blocks_are_lines_but_a_cited_sentence_is_not_torn_apart() -> None:
    """T90."""
    source = ({"url": "https://example.org"},)
    torn = (TextBlock("They say "), TextBlock("let it crash", source), TextBlock(".\n\nSo be it."))
    assert assistant(TextBlock("a"), TextBlock("b")).text == "a\nb"
    assert assistant(*torn).text == "They say let it crash.\n\nSo be it."
    apart = (TextBlock("Let me see.", source), ToolCall("c", "t", {}), TextBlock("There."))
    assert assistant(*apart).text == "Let me see.\nThere."
    phases = (TextBlock("Let me see.", phase="commentary"), TextBlock("There.", source, phase="final_answer"))
    assert assistant(*phases).text == "Let me see.\nThere."
    assert assistant().text == ""


def test_a_text_that_a_signature_divides_stays_whole() -> None:
    """T90, T83."""
    assert (
        assistant(TextBlock("Hel", signature="s"), TextBlock("lo"), TextBlock("", signature="t")).text
        == "Hello"
    )
    apart = (TextBlock("I add.", signature="s"), ToolCall("c", "t", {}), TextBlock("Done."))
    assert assistant(*apart).text == "I add.\nDone."


def test_thinking_that_nobody_can_read_is_none() -> None:
    assert assistant(ThinkingBlock("", signature="s"), TextBlock("hi")).thinking is None
    assert assistant(ThinkingBlock("a"), ThinkingBlock("", "s"), ThinkingBlock("b")).thinking == "a\nb"


def test_an_id_becomes_portable_and_stays_its_own() -> None:
    assert portable_id("call_1-a") == "call_1-a"
    assert portable_id("functions.bash:0") == "functions_bash_0_8497fe9c"
    assert portable_id("") == "_e3b0c442"
    long = portable_id("x" * 65)
    assert len(long) == 64
    assert long.startswith("x" * 55 + "_")
    assert portable_id("a.b") != portable_id("a:b")


def test_a_message_of_which_nothing_can_be_said_elsewhere_is_left_out() -> None:
    alone = Message("assistant", (ThinkingBlock(" ", "sig"),), origin="there")
    assert normalise([user("a"), alone, user("b")], "here") == (user("a"), user("b"))


def test_a_session_of_the_first_format_is_read() -> None:
    old = """{"format":1,"id":"a","messages":[{"role":"user","content":[{"mime_type":"image/png","data":"aGk=",
        "type":"image"}]},{"role":"assistant","content":[{"thinking":"hm","signature":null,"type":"thinking"},
        {"text":"hi","annotations":[{"at":3}],"type":"text"},{"id":"c","name":"t","input":{"a":null},"invalid":null,
        "type":"tool_use"}],"model":"m","origin":"o"},{"role":"user","content":[{"tool_use_id":"c","content":"x",
        "is_error":true,"type":"tool_result"}]}],"usage":{"input_tokens":1,"output_tokens":2,
        "cache_read_input_tokens":3,"cache_creation_input_tokens":4},"metadata":{},
        "created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}"""
    read = session.Session.from_json(old)
    assert read.usage == Usage(1, 2, 3, 4)
    assert read.messages == (
        user(ImageBlock("image/png", "aGk=")),
        assistant(ThinkingBlock("hm"), TextBlock("hi", ({"at": 3},)), ToolCall("c", "t", {"a": None})),
        user(ToolResult("c", "x", is_error=True)),
    )
    assert (read.messages[1].model, read.messages[1].origin) == ("m", "o")
