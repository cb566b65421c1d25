"""Topics: what agents say to whoever listens, and what they take as requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

import alloy_actors as alloy
from alloy_actors.actors.pubsub import PubSub
from alloy_actors.testing import Gate, ScriptedProvider, held

WAIT = 5.0


def test_every_subscriber_hears_the_results_and_the_events_of_an_agent(system: alloy.AgentSystem) -> None:
    """T74, and the broadcast of T76."""
    agent = system.spawn("a", provider=ScriptedProvider(["one two", "three"]))
    with (
        agent.subscribe("responses") as responses,
        system.subscribe("agent:a:responses") as same,
        agent.subscribe("events") as events,
    ):
        agent.send_message("hi", request_id="r1")
        assert responses.get(WAIT).request_id == same.get(WAIT).request_id == "r1"
        heard = []
        for event in events:
            heard.append(event.type)
            if event.type == "run_finished":
                break
        assert heard[:4] == ["run_started", "turn_started", "text_delta", "text_delta"]
        assert heard[-1] == "run_finished"
        agent.chat("more")
        assert responses.get(WAIT).text == "three"
    assert not system._pubsub._topics


def test_an_async_consumer_hears_the_same(system: alloy.AgentSystem) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(["one", "two"]))

    async def listen() -> list[str]:
        texts = []
        async with agent.subscribe("responses") as responses:
            await agent.asend_message("hi")
            async for result in responses:
                texts.append(result.text)
                if len(texts) == 2:
                    break
                await agent.asend_message("more")
        return texts

    assert asyncio.run(asyncio.wait_for(listen(), WAIT)) == ["one", "two"]


def test_a_slow_subscriber_is_dropped_counted_and_told_and_the_others_hear_everything(
    system: alloy.AgentSystem,
) -> None:
    slow, quick = system.subscribe("t", maxsize=2), system.subscribe("t")
    for number in range(5):
        assert system.publish("t", number) == (2 if number <= 2 else 1)
    assert [slow.get(WAIT), slow.get(WAIT)] == [0, 1]
    with pytest.raises(alloy.QueueFullError, match="2 messages behind"):
        slow.get(WAIT)
    with pytest.raises(alloy.QueueFullError):
        next(iter(slow))
    assert system.dropped_subscribers == 1
    assert [quick.get(WAIT) for _ in range(5)] == [0, 1, 2, 3, 4]
    quick.close()
    assert list(quick) == []
    with pytest.raises(alloy.ConfigError, match="closed"):
        quick.get(WAIT)


def test_nothing_that_comes_after_what_was_lost_is_heard() -> None:
    heard: list[object] = []

    class Racing(PubSub):
        """Between the decision to drop and the drop, the consumer reads and another thread publishes."""

        __slots__ = ()

        def drop(self, topic: str, hear: Callable[[object], object]) -> None:
            heard.append(subscription.get(WAIT))
            hear("after the gap")
            super().drop(topic, hear)

    topics = Racing()
    subscription = topics.subscribe("t", maxsize=1)
    topics.publish("t", "first")
    topics.publish("t", "lost")
    with pytest.raises(alloy.QueueFullError):
        subscription.get(WAIT)
    assert (heard, topics.dropped) == (["first"], 1)


def test_closing_wakes_who_waits_in_another_thread_and_a_cancelled_wait_loses_nothing(
    system: alloy.AgentSystem,
) -> None:
    subscription = system.subscribe("t")

    async def first(within: float) -> object:
        async with asyncio.timeout(within):
            async for message in subscription:
                return message
        return None

    with pytest.raises(TimeoutError):
        asyncio.run(first(0.001))
    system.publish("t", "late")
    assert asyncio.run(first(WAIT)) == "late"
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(list, subscription)
        subscription.close()
        assert rest.result(WAIT) == []


def test_reading_times_out_and_goes_on(system: alloy.AgentSystem) -> None:
    with system.subscribe("t") as subscription:
        with pytest.raises(alloy.TimeoutError, match="nothing was published on 't'"):
            subscription.get(0.01)
        system.publish("t", "late")
        assert subscription.get(WAIT) == "late"


def test_a_message_on_a_topic_of_an_agent_is_a_request_and_none_is_dropped(system: alloy.AgentSystem) -> None:
    """T74: queued while busy, where the reference drops them."""
    gate = Gate()
    agent = system.spawn(
        "a",
        provider=ScriptedProvider([held(gate, "1"), *"2345"]),
        max_pending=1,
        subscribe=["orders", "others"],
    )
    with agent.subscribe("responses") as responses:
        for number in range(4):
            assert system.publish("orders", f"order {number}") == 1
        system.publish("others", "other")
        system.publish("others", {"not": "text"})
        gate.release()
        assert [responses.get(WAIT).text for _ in range(5)] == list("12345")
    assert [message.text for message in agent.messages()][::2] == [
        "order 0",
        "order 1",
        "order 2",
        "order 3",
        "other",
    ]


def test_agents_form_a_pipeline_over_topics(system: alloy.AgentSystem) -> None:
    writer = system.spawn("writer", provider=ScriptedProvider(["a draft"]))
    provider = ScriptedProvider(["a review"])
    reviewer = system.spawn("reviewer", provider=provider, subscribe=["agent:writer:responses"])
    with reviewer.subscribe("responses") as reviews:
        writer.send_message("write")
        assert reviews.get(WAIT).text == "a review"
    assert provider.requests[0].messages[-1].text == "a draft"


def test_a_stopped_agent_has_left_its_topics(system: alloy.AgentSystem) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(["x"]), subscribe=["t"])
    agent.stop()
    assert system.publish("t", "hello?") == 0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda system: system.subscribe(""), "topic must be a non-empty string"),
        (lambda system: system.subscribe("t", maxsize=0), "maxsize must be a whole number above 0"),
        (lambda system: system.publish(None, "x"), "topic must be a non-empty string"),
        (
            lambda system: system.spawn("b", provider=ScriptedProvider(["x"]), subscribe="t"),
            "subscribe must be a list",
        ),
        (
            lambda system: system.spawn("b", provider=ScriptedProvider(["x"])).subscribe("result"),
            "'responses' or 'events'",
        ),
    ],
)
def test_mistakes_are_refused_with_what_to_do(system: alloy.AgentSystem, call, said: str) -> None:
    with pytest.raises(alloy.ConfigError, match=said):
        call(system)
