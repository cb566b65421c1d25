"""Replies, incoming: the events of a stream, or one whole reply, folded into a ModelReply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alloy_actors.errors import MalformedReplyError
from alloy_actors.providers._errors import from_object
from alloy_actors.providers._json import from_json, loads, mend

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from alloy_actors.content import Usage
    from alloy_actors.errors import ProviderError
    from alloy_actors.provider import Delta, ModelReply

HIGH_SURROGATES = range(0xD800, 0xDC00)


class ReplyFold:
    """What a wire's fold has to say, and what all of them need. One per exchange; `finish` once, at the end.

    Args:
        secrets: To be kept out of error messages.

    Attributes:
        complete: The model has said that it is done: an end of the stream is no failure any more, though usage may
            still follow. Set by the subclass.
    """

    __slots__ = ("_halves", "_lenient", "_secrets", "complete")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.complete = False
        self._secrets = tuple(secrets)
        self._lenient = False
        self._halves: dict[Hashable, str] = {}

    def feed(self, data: bytes, deltas: list[Delta]) -> bool:
        """Fold one event's data and append what it adds to `deltas`; True when nothing comes after it.

        Raises:
            MalformedReplyError: It is not what the API promises.
            ProviderError: It is an error, in the provider's words.
        """
        raise NotImplementedError

    def whole(self, body: bytes, deltas: list[Delta]) -> None:
        """Fold a reply that came in one piece; raises as `feed` does."""
        self.feed(body, deltas)

    def marker(self) -> bool:
        """Whether the event `[DONE]` ends this reply; without `complete` it is an end too soon."""
        return self.complete

    def finish(self, *, model: str, origin: str) -> ModelReply:
        """The reply, its message stamped with both.

        Raises:
            ProviderError: What came is no reply.
        """
        raise NotImplementedError

    def usage(self) -> Usage:
        """What the reply has said of usage so far."""
        raise NotImplementedError

    def parse(self, data: bytes) -> dict[str, Any]:
        """A JSON object; see `decoded`.

        Raises:
            MalformedReplyError: It is something else.
        """
        value = self.decoded(data)
        if type(value) is not dict:
            shown = data[:200].decode("utf-8", "replace")
            raise MalformedReplyError(f"the reply is JSON, but no object: {shown!r}")
        return value

    def decoded(self, data: bytes) -> Any:
        """JSON; forgives half a surrogate pair, after which `mended` looks for the other one.

        Raises:
            MalformedReplyError: It is none.
        """
        try:
            return from_json(data)
        except ValueError:
            try:
                value = loads(data)
            except ValueError:
                shown = data[:200].decode("utf-8", "replace")
                raise MalformedReplyError(f"the reply is not JSON: {shown!r}") from None
            self._lenient = True
            return value

    def error(self, value: Any) -> ProviderError:
        """The error for an error object (or text) in the reply."""
        return from_object(value, secrets=self._secrets)

    def mended(self, place: Hashable, piece: str) -> str:
        """A piece of text that can be encoded; half a surrogate pair at its end waits for the next one of `place`."""
        if not self._lenient:
            return piece
        piece = self._halves.pop(place, "") + piece
        if piece and ord(piece[-1]) in HIGH_SURROGATES:
            self._halves[place] = piece[-1]
            piece = piece[:-1]
        return mend(piece)

    def lost_half(self, place: Hashable) -> str:
        """What stands, at the end, for a half whose other one never came: U+FFFD, else ""."""
        return "\ufffd" if self._halves.pop(place, "") else ""
