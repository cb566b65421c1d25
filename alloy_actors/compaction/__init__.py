"""Compaction: a conversation made shorter so that it fits its model's window.

Everything in here is a pure function of messages, without a model or a clock; `alloy_actors.compacting` applies it in
a run. Messages that need no change stay the same objects, so that what was encoded of them is not encoded again and
prompt caches find as long a beginning as there is.

Whatever comes out can be sent: roles alternate, each tool call has its result right after it, no message is empty.
"""
