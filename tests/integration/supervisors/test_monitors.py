"""Monitors: exactly one `Down` each, whatever happens to either side."""

from __future__ import annotations

import threading
from queue import SimpleQueue

import pykka
import pytest

from supervisors.errors import CallTimeout
from supervisors.links import Down, demonitor, monitor
from supervisors.reasons import Crash, NoProc, Normal, Shutdown
from supervisors.registry import names
from supervisors.runtime import PooledActor, request_stop, start_actor

WAIT = 5.0


class Watcher:
    """Monitors what it is told to and keeps what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.downs = []
        self.marks = []
        self.heard = SimpleQueue()

    def on_receive(self, message):
        if isinstance(message, Down):
            self.downs.append(message)
            self.heard.put(message)
            return None
        return message(self) if callable(message) else message


class PooledWatcher(Watcher, PooledActor):
    pass


class ThreadWatcher(Watcher, pykka.ThreadingActor):
    pass


@pytest.fixture(params=[PooledWatcher, ThreadWatcher], ids=["pooled", "threading"])
def cls(request):
    return request.param


@pytest.fixture
def actors():
    refs = []

    def start(cls, **kwargs):
        refs.append(start_actor(cls, **kwargs))
        return refs[-1]

    yield start
    for ref in refs:
        if ref.is_alive():
            ref.stop()


def watch(target):
    def handler(actor):
        actor.marks.append(monitor(target))
        return actor.marks[-1]

    return handler


def test_inside_an_actor_down_arrives_as_a_message(actors, cls) -> None:
    watcher, target = actors(cls), actors(cls)
    mark = watcher.ask(watch(target))
    heard = watcher.proxy().heard.get()
    request_stop(target, Shutdown("why"))

    assert heard.get(timeout=WAIT) == Down(mark, target, Shutdown("why"))


def test_each_monitor_is_its_own_and_brings_one_down(actors, cls) -> None:
    watcher, target = actors(cls), actors(cls)
    marks = [watcher.ask(watch(target)) for _ in range(3)]
    heard = watcher.proxy().heard.get()
    target.stop()

    assert [heard.get(timeout=WAIT).ref for _ in range(3)] == marks
    assert watcher.ask(lambda actor: len(actor.downs)) == 3


def test_a_dead_target_or_an_unknown_name_is_down_at_once(actors, cls) -> None:
    target = actors(cls)
    target.stop()
    plain = pykka.ThreadingActor.start()
    plain.stop()

    for what in (target, plain, "nobody of that name"):
        down = monitor(what).wait(timeout=0)
        assert (down.target, down.reason) == (what, NoProc())


def test_names_handles_and_vias_can_be_watched(actors, cls) -> None:
    target = actors(cls, name="watched")
    marks = [monitor("watched"), monitor(names.via("watched")), names.via("watched").monitor()]
    target.stop()

    assert [mark.wait(WAIT).target for mark in marks] == [target] * 3


def test_a_queue_or_a_function_can_be_notified(actors, cls) -> None:
    target, queue, called = actors(cls), SimpleQueue(), SimpleQueue()
    monitor(target, notify=queue)
    monitor(target, notify=called.put)
    target.tell(lambda actor: 1 / 0)

    for downs in (queue, called):
        reason = downs.get(timeout=WAIT).reason
        assert isinstance(reason, Crash)
        assert isinstance(reason.exception, ZeroDivisionError)


def test_a_function_that_raises_disturbs_no_other(actors, cls) -> None:
    target, queue = actors(cls), SimpleQueue()
    monitor(target, notify=lambda down: 1 / 0)
    monitor(target, notify=queue)
    target.stop()

    assert queue.get(timeout=WAIT).reason == Normal()


def test_wait_times_out_while_the_target_lives(actors, cls) -> None:
    mark = monitor(actors(cls))

    with pytest.raises(CallTimeout, match="still alive"):
        mark.wait(timeout=0)


def test_demonitor_is_idempotent_and_silent(actors, cls) -> None:
    watcher, target = actors(cls), actors(cls)
    mark = watcher.ask(watch(target))
    outside, queue = monitor(target), SimpleQueue()
    told = monitor(target, notify=queue)
    for one in (mark, outside, told, mark):
        demonitor(one)
    target.stop()
    demonitor(mark)

    assert watcher.ask(lambda actor: actor.downs) == []
    assert queue.empty()


def test_demonitor_drops_a_down_that_is_queued_already(actors, cls) -> None:
    watcher, target, gate = actors(cls), actors(cls), threading.Event()
    mark, kept = watcher.ask(watch(target)), watcher.ask(watch(target))
    entered = threading.Event()
    watcher.tell(lambda actor: entered.set() or gate.wait(WAIT))
    entered.wait(WAIT)
    target.stop()  # both Downs are in the inbox now
    demonitor(mark)
    demonitor(kept, flush=False)
    gate.set()

    assert watcher.ask(lambda actor: [down.ref for down in actor.downs]) == [kept]


def test_the_death_of_the_watcher_ends_its_monitors(actors, cls) -> None:
    watcher, target = actors(cls), actors(cls)
    watcher.ask(watch(target))
    before = len(target.actor_inbox.incarnation.watchers)
    watcher.stop()

    assert (before, len(target.actor_inbox.incarnation.watchers)) == (1, 0)


def test_a_monitor_that_has_fired_leaves_nothing_in_its_watcher(actors, cls) -> None:
    watcher = actors(cls)
    for _ in range(5):
        target = actors(cls)
        watcher.ask(watch(target))
        target.stop()

    assert not watcher.actor_inbox.incarnation.cleanups


def test_monitoring_affects_neither_side(actors, cls) -> None:
    watcher, target = actors(cls), actors(cls)
    watcher.ask(watch(target))
    target.tell(lambda actor: 1 / 0)
    target.actor_stopped.wait(WAIT)

    assert watcher.ask("alive") == "alive"


def test_an_actor_may_watch_itself_in_vain(actors, cls) -> None:
    ref = actors(cls)
    ref.ask(lambda actor: watch(actor.actor_ref)(actor) and None)

    assert ref.stop() is True


def test_a_live_actor_of_plain_pykka_cannot_be_watched() -> None:
    plain = pykka.ThreadingActor.start()
    with pytest.raises(TypeError, match="start_actor"):
        monitor(plain)
    plain.stop()


def test_every_monitor_made_while_the_target_ends_brings_one_down(cls) -> None:
    for _ in range(30):
        target, start, marks = start_actor(cls), threading.Barrier(3), []

        def watch_it(target=target, start=start, marks=marks):
            start.wait(WAIT)
            marks.extend(monitor(target) for _ in range(10))

        threads = [threading.Thread(target=watch_it) for _ in range(2)]
        for thread in threads:
            thread.start()
        start.wait(WAIT)
        target.stop()
        for thread in threads:
            thread.join(WAIT)
        assert {mark.wait(WAIT).reason for mark in marks} <= {Normal(), NoProc()}
        assert len(marks) == 20
