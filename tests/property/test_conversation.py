"""Whatever ends a run, and wherever, the history can be sent again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alloy_actors import journal as log
from alloy_actors.content import Message, TextBlock, ToolCall, ToolResult, Usage, user
from alloy_actors.conversation import Conversation
from tests.checks import check_sendable

# One run: how many calls each turn makes, and the answer's text at the end ("" for an empty answer).
runs = st.tuples(st.lists(st.integers(1, 3), max_size=3), st.sampled_from(["", "done"]))


def records_of(number: int, calls_per_turn: list[int], text: str, order: st.DataObject) -> list[log.Record]:
    request_id = f"r{number}"
    records: list[log.Record] = [log.RunBegan(request_id, user(f"question {number}"))]
    for turn, count in enumerate(calls_per_turn):
        calls = [ToolCall(f"{number}.{turn}.{index}", "look", {}) for index in range(count)]
        records += [
            log.RequestSent(request_id, turn + 1, "m"),
            log.Replied(request_id, Message("assistant", calls), "tool_use", Usage()),
        ]
        records += [log.ToolCallStarted(request_id, call.id) for call in calls]
        ended = order.draw(st.permutations(calls))
        records += [log.ToolCallEnded(request_id, ToolResult(call.id, "seen")) for call in ended]
    blocks = [TextBlock(text)] if text else []
    records.append(log.Replied(request_id, Message("assistant", blocks), "end_turn", Usage()))
    return records


@given(st.lists(runs, min_size=1, max_size=3), st.data())
def test_a_run_cut_off_after_any_record_leaves_a_history_that_can_be_sent(
    shapes: list[tuple[list[int], str]], data: st.DataObject
) -> None:
    live = Conversation()
    written: list[log.Record] = []
    for number, (calls_per_turn, text) in enumerate(shapes):
        records = records_of(number, calls_per_turn, text, data)
        kept = records[: data.draw(st.integers(1, len(records)), label="records before the cut")]
        partial = data.draw(st.sampled_from(["", "half an ans"])) if len(kept) < len(records) else ""
        for record in kept:
            live.apply(record)
        open_calls = isinstance(kept[-1], log.ToolCallStarted | log.ToolCallEnded) or (
            isinstance(kept[-1], log.Replied) and kept[-1].message.tool_calls
        )
        closing = live.closing(f"r{number}", "it was cut", "" if open_calls else partial)
        end: list[log.Record] = [log.RunEnded(f"r{number}", "cancelled")]
        if closing is not None:
            end.insert(0, closing)
        for record in end:
            live.apply(record)
        written += [*kept, *end]
        check_sendable(live.messages)
    restored = Conversation()
    restored.replay(written)
    assert restored.messages == live.messages
