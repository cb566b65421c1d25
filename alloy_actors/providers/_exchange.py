"""Reading one answer: whole or streamed, as announced or not, it ends in the same fold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alloy_actors.errors import ConnectionFailedError, MalformedReplyError, ProviderError
from alloy_actors.providers._errors import from_response, request_id
from alloy_actors.providers._sse import SSEParser

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alloy_actors.provider import Delta, OnDeltas
    from alloy_actors.providers._fold import ReplyFold
    from alloy_actors.providers._http import Reply
    from alloy_actors.providers._sse import SSEEvent

MAX_ERROR_BODY = 64 * 1024
LATE_USAGE = 5.0  # seconds that the usage, or [DONE], may come after the model was done
DRAIN = 0.25  # seconds to wait for the end of a body whose last event has come
DONE = b"[DONE]"


async def read(
    reply: Reply,
    fold: ReplyFold,
    on_deltas: OnDeltas | None,
    *,
    where: str,
    streaming: bool,
    secrets: Iterable[str],
) -> None:
    """Feed the answer to `fold` until it is complete.

    Args:
        reply: An answer of any status.
        fold: Ready for its `finish` when this returns.
        on_deltas: Called once per network chunk that holds any, also before an error that follows them.
        where: The server, for messages.
        streaming: What was asked for; the answer's content type decides.
        secrets: To be kept out of error messages.

    Raises:
        ProviderError: A status that is no success; what the fold raises; an end before the model was done.
    """
    if not 200 <= reply.status < 300:
        raise from_response(reply.status, reply.header, await _error_body(reply), secrets=secrets)
    try:
        await _success(reply, fold, on_deltas, where, streaming=streaming)
    except ProviderError as failure:  # what goes wrong inside an answer has the id of that answer
        failure.request_id = failure.request_id or request_id(reply.header)
        raise


async def _success(
    reply: Reply, fold: ReplyFold, on_deltas: OnDeltas | None, where: str, *, streaming: bool
) -> None:
    # Some servers stream unasked, others never do: the answer says which it is.
    kind = (reply.header("content-type") or "").lower()
    if "json" in kind or not (streaming or "event-stream" in kind):
        body = await reply.body()
        if not body.strip():
            raise MalformedReplyError(f"{where} answered with status {reply.status} and no body")
        _whole(body, fold, on_deltas)
    else:
        await _streamed(reply, fold, on_deltas, where, announced="event-stream" in kind)


async def _streamed(
    reply: Reply, fold: ReplyFold, on_deltas: OnDeltas | None, where: str, *, announced: bool
) -> None:
    parser = SSEParser()
    heard = False
    head = b""
    while chunk := await (reply.chunk_within(LATE_USAGE) if fold.complete else reply.chunk()):
        events = parser.feed(chunk)
        if events:
            heard = True
            if _events(events, fold, on_deltas):
                await reply.drain(DRAIN)
                return
        elif not heard and len(head) < MAX_ERROR_BODY:
            head += chunk
    if fold.complete:
        return
    last = parser.close()
    if last is not None:  # an event without its empty line
        heard = True
        try:
            if _events([last], fold, on_deltas) or fold.complete:
                return
        except MalformedReplyError:
            pass  # cut in the middle of an event
    if not heard and head.strip():
        if head.lstrip()[:1] in {b"{", b"["}:  # a plain reply, or an error, under a wrong content type
            _whole(head, fold, on_deltas)
            return
        if not announced:  # else it was comments alone
            shown = head[:200].decode("utf-8", "replace")
            raise MalformedReplyError(f"{where} answered with no event stream: {shown!r}")
    when = "in the middle of the answer" if heard else "before the answer began"
    raise ConnectionFailedError(f"the stream was cut off {when}")


def _whole(body: bytes, fold: ReplyFold, on_deltas: OnDeltas | None) -> None:
    deltas: list[Delta] = []
    fold.whole(body, deltas)
    if on_deltas is not None and deltas:
        on_deltas(deltas)


def _events(events: list[SSEEvent], fold: ReplyFold, on_deltas: OnDeltas | None) -> bool:
    """Fold the events of one network chunk and hand out their deltas at once; whether the last event was among them."""
    deltas: list[Delta] = []
    try:
        for _, data in events:
            if data.isspace() or not data:
                continue
            if data[:1] == b"[" and data.strip() == DONE:
                if fold.marker():
                    return True
            elif fold.feed(data, deltas):
                return True
        return False
    finally:
        if deltas and on_deltas is not None:
            on_deltas(deltas)


async def _error_body(reply: Reply) -> bytes:
    try:
        return await reply.body(MAX_ERROR_BODY)
    except ProviderError:
        return b""  # the status alone says enough
