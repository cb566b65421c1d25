import pytest

from alloy_actors.providers._json import dumps, loads, mend, object_from


def test_encoding_is_compact_and_keeps_text_as_it_is() -> None:
    assert dumps({"a": [1, 2.5, None, True], "b": "grüße"}) == '{"a":[1,2.5,null,true],"b":"grüße"}'.encode()


def test_undecodable_bytes_of_a_tool_do_not_break_a_request() -> None:
    text = b"name \xff.txt".decode("utf-8", "surrogateescape")
    assert (
        dumps({"k\udcff": [text, (text,)]}) == '{"k\ufffd":["name \ufffd.txt",["name \ufffd.txt"]]}'.encode()
    )


def test_what_json_cannot_say_raises() -> None:
    with pytest.raises(TypeError):
        dumps({"a": object()})


def test_half_a_surrogate_pair_decodes() -> None:
    assert loads(b'"\\ud83d"') == "\ud83d"
    with pytest.raises(ValueError, match="Expecting"):
        loads(b"{nope")


def test_surrogates_are_joined_or_replaced() -> None:
    assert mend("plain") == "plain"
    assert mend("\ud83d\ude00") == "😀"
    assert mend("a\ud83db") == "a\ufffdb"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        ("  ", {}),
        ("null", {}),
        ("{}", {}),
        ('{"a": 1}', {"a": 1}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ('""', {}),
        ("[1]", None),
        ("7", None),
        ('{"a":', None),
        ('"words"', None),
    ],
)
def test_arguments_are_an_object_or_none(arguments: str, expected: object) -> None:
    assert object_from(arguments) == expected
