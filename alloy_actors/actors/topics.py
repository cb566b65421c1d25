"""What one agent says on topics of its system, and what it hears there."""

from __future__ import annotations

import contextvars
import os
from typing import TYPE_CHECKING, Literal

from alloy_actors.actors.request import Request
from alloy_actors.content import user
from alloy_actors.errors import AgentDownError
from alloy_actors.logs import log
from alloy_actors.result import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alloy_actors.actors.book import RequestBook
    from alloy_actors.actors.pubsub import PubSub
    from alloy_actors.events import Event
    from alloy_actors.reporting import OnEvents


class AgentTopics:
    """See the module.

    Args:
        pubsub: The system's.
        agent_id: Whose.
        subscribed: Topics whose messages become requests.
    """

    __slots__ = ("_agent_id", "_book", "_pubsub", "_subscribed")

    def __init__(self, pubsub: PubSub, agent_id: str, subscribed: tuple[str, ...]) -> None:
        self._pubsub = pubsub
        self._agent_id = agent_id
        self._subscribed = subscribed
        self._book: RequestBook | None = None

    def name(self, what: Literal["responses", "events"]) -> str:
        """Where the agent's results, or its runs' events, are published."""
        return f"agent:{self._agent_id}:{what}"

    def listeners(self, on_events: OnEvents | None) -> OnEvents | None:
        """Who hears a run: the one who waits for it, and whoever subscribes to the agent's events when it begins."""
        topic = self.name("events")
        if not self._pubsub.is_heard(topic):
            return on_events

        def hear(events: Sequence[Event]) -> None:
            if on_events is not None:
                on_events(events)
            for event in events:
                self._pubsub.publish(topic, event)

        return hear

    def publish(self, result: Result) -> None:
        """Say a result."""
        self._pubsub.publish(self.name("responses"), result)

    def subscribe(self, book: RequestBook) -> None:
        """Hand what is published on the agent's topics to its book, until `unsubscribe`."""
        self._book = book
        for topic in self._subscribed:
            self._pubsub.attach(topic, self._hear)

    def unsubscribe(self) -> None:
        """The agent is gone."""
        for topic in self._subscribed:
            self._pubsub.detach(topic, self._hear)

    def _hear(self, message: object) -> None:
        """A message on a topic: text, or the text of another agent's result."""
        assert self._book is not None
        text = message.text if isinstance(message, Result) else message
        if not isinstance(text, str) or not text:
            log.debug("message_ignored", agent=self._agent_id, message=type(message).__name__)
            return
        request = Request(os.urandom(16).hex(), user(text), contextvars.copy_context(), (), None)
        try:
            self._book.accept(request, bounded=False)
        except AgentDownError as error:
            log.warning("message_lost", agent=self._agent_id, error=str(error))
            return
        self._book.when_recorded(request)
