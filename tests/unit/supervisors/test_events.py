import threading

import pytest

from supervisors.events import EventBus, EventsDropped, SupervisorStopped
from supervisors.reasons import Normal


def stopped(name: str) -> SupervisorStopped:
    return SupervisorStopped(path=(name,), reason=Normal())


@pytest.fixture
def bus():
    bus = EventBus(capacity=3)
    yield bus
    bus.release()


def test_events_reach_subscribers_on_another_thread_until_they_unsubscribe(bus) -> None:
    seen = []
    unsubscribe = bus.subscribe(lambda event: seen.append((event, threading.current_thread().name)))
    bus.publish((), stopped("a"))
    assert bus.flush()
    unsubscribe()
    unsubscribe()
    bus.publish((), stopped("b"))
    assert bus.flush()
    assert seen == [(stopped("a"), "supervisors-events")]
    assert not bus.active


def test_a_subscriber_of_a_root_sees_only_its_tree(bus) -> None:
    class Ref:
        actor_urn = "urn:1"

    seen = []
    bus.subscribe(seen.append, Ref())
    bus.publish(("urn:2", "urn:3"), stopped("other"))
    bus.publish(("urn:1", "urn:4"), stopped("mine"))
    assert bus.flush()
    assert seen == [stopped("mine")]


def test_S_250_a_blocked_subscriber_costs_events_and_never_blocks_the_publisher(bus) -> None:
    seen, entered, gate = [], threading.Event(), threading.Event()

    def slow(event):
        seen.append(event)
        entered.set()
        gate.wait(10)

    bus.subscribe(slow)
    bus.publish((), stopped("0"))
    assert entered.wait(5)
    for index in range(1, 6):
        bus.publish((), stopped(str(index)))
    gate.set()
    assert bus.flush()
    assert EventsDropped(count=2) in seen
    assert [event.path for event in seen if isinstance(event, SupervisorStopped)] == [
        ("0",),
        ("1",),
        ("2",),
        ("3",),
    ]


def test_S_250_a_raising_subscriber_is_removed_and_the_others_go_on(bus) -> None:
    seen, calls = [], []

    def bad(event):
        calls.append(event)
        raise ValueError("mine")

    bus.subscribe(bad)
    bus.subscribe(seen.append)
    bus.publish((), stopped("a"))
    bus.publish((), stopped("b"))
    assert bus.flush()
    assert len(calls) == 1
    assert len(seen) == 2


def test_the_thread_ends_when_it_is_released(bus) -> None:
    bus.subscribe(lambda event: None)
    bus.publish((), stopped("a"))
    bus.release()
    assert bus._thread is None
