"""Topics inside one process: what agents say, and what is said to them.

Publishing never waits. A subscriber that lags too far behind is dropped and told so, so that it slows nobody down; an
agent that subscribes takes what it hears as requests, of which none is dropped.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Self

import pykka

from alloy_actors.actors.blocking import blocking_region
from alloy_actors.actors.guard import check_blocking
from alloy_actors.errors import ConfigError, QueueFullError, TimeoutError  # noqa: A004  (the public one)
from alloy_actors.logs import log, traced
from supervisors.runtime import PooledFuture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import TracebackType

    Hear = Callable[[Any], object]

BUFFERED = 1000
"""Messages that a subscriber may lag behind."""


class PubSub:
    """The topics of one system; a topic is there while somebody subscribes to it.

    Attributes:
        dropped: How many subscribers were dropped because they were too slow.
    """

    __slots__ = ("_lock", "_topics", "dropped")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._topics: dict[
            str, tuple[Hear, ...]
        ] = {}  # replaced, never changed: publishers read it without the lock
        self.dropped = 0

    def subscribe(self, topic: str, maxsize: int = BUFFERED) -> Subscription:
        """What is published on the topic from now on."""
        subscription = Subscription(self, topic, maxsize)
        self.attach(topic, subscription.hear)
        return subscription

    def attach(self, topic: str, hear: Hear) -> None:
        """Call `hear(message)` for each message, on the publisher's thread; it must not block."""
        with self._lock:
            self._topics[topic] = (*self._topics.get(topic, ()), hear)

    def detach(self, topic: str, hear: Hear) -> None:
        """Undo `attach`; harmless when it is undone already."""
        with self._lock:
            left = tuple(other for other in self._topics.get(topic, ()) if other != hear)
            if left:
                self._topics[topic] = left
            else:
                self._topics.pop(topic, None)

    def is_heard(self, topic: str) -> bool:
        """Whether anybody subscribes."""
        return topic in self._topics

    def publish(self, topic: str, message: object) -> int:
        """Hand a message to everyone who subscribes, in the order of publishing per publisher; how many heard it."""
        hearers = self._topics.get(topic, ())
        for hear in hearers:
            try:
                hear(message)
            except Exception as error:
                log.error("subscriber_failed", topic=topic, **traced(error))
        return len(hearers)

    def drop(self, topic: str, hear: Hear) -> None:
        """A subscriber is too slow."""
        self.detach(topic, hear)
        with self._lock:
            self.dropped += 1
        log.warning("subscriber_dropped", topic=topic)


class _EndedError(Exception):
    """There will be no more messages."""


class Subscription:
    """Messages of one topic, in order: `for message in subscription`, or `async for`. Leaving `with` ends it.

    One consumer at a time. Iterating ends when the subscription is closed.
    """

    def __init__(self, pubsub: PubSub, topic: str, maxsize: int) -> None:
        self.topic = topic
        self._pubsub = pubsub
        self._maxsize = maxsize
        self._lock = threading.Lock()
        self._messages: deque[Any] = deque()
        self._waiter: PooledFuture[None] | None = None
        self._closed = False
        self._dropped = False

    def __repr__(self) -> str:
        return f"<Subscription to {self.topic!r}, {len(self._messages)} messages>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        check_blocking("for message in subscription", "async for")
        while True:
            try:
                yield self._next(None)
            except _EndedError:
                return

    async def __aiter__(self) -> AsyncIterator[Any]:
        while True:
            try:
                waiter, message = self._take()
            except _EndedError:
                return
            if waiter is None:
                yield message
            else:
                await waiter

    def get(self, timeout: float | None = None) -> Any:
        """The next message.

        Raises:
            TimeoutError: None within `timeout` seconds.
            QueueFullError: The subscription was dropped: its consumer was too slow.
            ConfigError: It is closed.
        """
        check_blocking("get", "async for")
        try:
            return self._next(timeout)
        except _EndedError:
            msg = f"the subscription to {self.topic!r} is closed: subscribe again"
            raise ConfigError(msg) from None

    def close(self) -> None:
        """Hear no more; what has arrived can still be read. Harmless when closed."""
        self._pubsub.detach(self.topic, self.hear)
        self._end()

    def hear(self, message: object) -> None:
        """For the publisher."""
        with self._lock:
            if self._closed:
                return
            full = len(self._messages) >= self._maxsize
            if full:  # here and now, so that nothing that comes after what is lost is heard
                self._closed = self._dropped = True
            else:
                self._messages.append(message)
            waiter, self._waiter = self._waiter, None
        if full:
            self._pubsub.drop(self.topic, self.hear)
        if waiter is not None:
            waiter.set(None)

    def _end(self) -> None:
        with self._lock:
            self._closed = True
            waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.set(None)

    def _next(self, timeout: float | None) -> Any:
        while True:
            waiter, message = self._take()
            if waiter is None:
                return message
            try:
                with blocking_region():
                    waiter.get(timeout=timeout)
            except pykka.Timeout:
                msg = f"nothing was published on {self.topic!r} within {timeout:g} seconds"
                raise TimeoutError(msg) from None

    def _take(self) -> tuple[PooledFuture[None] | None, Any]:
        """The next message, or what to wait for.

        Raises:
            _EndedError: There will be none.
            QueueFullError: There will be none, since the consumer was too slow.
        """
        with self._lock:
            if self._messages:
                return None, self._messages.popleft()
            if not self._closed:
                self._waiter = PooledFuture()
                return self._waiter, None
        if self._dropped:
            msg = f"the subscription to {self.topic!r} was dropped: it was {self._maxsize} messages behind"
            raise QueueFullError(msg)
        raise _EndedError
