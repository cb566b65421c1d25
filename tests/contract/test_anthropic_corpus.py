"""Recorded answers of Claude, sent back: the provider's own blocks unchanged (where `WIRE_CORPUS` names recordings)."""

import json

import pytest

from alloy_actors.content import user
from alloy_actors.errors import MalformedReplyError
from alloy_actors.providers._anthropic_reply import MessagesReply
from alloy_actors.providers._anthropic_request import MessagesFormat
from tests.contract.test_wire_corpus import CORPUS, recorded

pytestmark = pytest.mark.skipif(not CORPUS, reason="WIRE_CORPUS names no folder with recordings")

HERE = MessagesFormat.of("aaaaaaaaaaaaaaaa", False)


def answers() -> list[str]:
    found = [
        line["response"]
        for line in recorded("exchanges.jsonl.gz")
        if line["api"] == "anthropic" and line["status"] == 200 and not line["sse"]
    ]
    fixtures = [line for line in recorded("stream-fixtures.jsonl.gz") if line["api"] == "anthropic"]
    return found + [line["body"] for line in fixtures if line["kind"] == "json"]


def said(block: dict) -> dict:
    """Without what says nothing: null members, and no citations."""
    return {
        name: value for name, value in block.items() if value is not None and (name != "citations" or value)
    }


def test_recorded_answers_go_back_as_they_came(capsys) -> None:
    equal = 0
    for body in answers():
        fold = MessagesReply()
        try:
            fold.whole(body.encode(), [])
        except MalformedReplyError:  # a skill, no message
            continue
        message = fold.finish(model="m", origin=HERE.origin).message
        pieces = HERE.messages([user("hi"), message, user("and?")])
        content = json.loads(body)["content"]
        back = json.loads(pieces[1])["content"] if len(pieces) == 3 else []
        assert [said(block) for block in back] == [said(block) for block in content]
        equal += 1
    with capsys.disabled():
        print(f"\nanthropic: {equal} recorded answers go back as they came")
    assert equal > 200
