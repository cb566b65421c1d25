"""An actor that does not end is declared dead: all is as after a real death, but for a counted thread."""

from __future__ import annotations

import threading
from queue import SimpleQueue

import pykka
import pytest

from supervisors.errors import CalleeExited, Fenced
from supervisors.links import monitor
from supervisors.reasons import Crash, Exit, Killed, Shutdown
from supervisors.registry import names, whereis
from supervisors.runtime import (
    Dispatcher,
    LaunchInfo,
    StartFailure,
    abandon,
    current,
    fence,
    on_zombie_exit,
    request_stop,
    sleep,
    start_actor,
    stop_requested,
    zombies,
)

WAIT = 5.0
ABANDONED = Killed(abandoned=True)


@pytest.fixture
def ended():
    """Zombies whose thread has ended."""
    queue = SimpleQueue()
    undo = on_zombie_exit(lambda zombie, seconds: queue.put(zombie))
    yield queue
    undo()


@pytest.fixture
def stuck(launched, script, gate):
    """A launched actor that hangs in a handler; `after` is what its handler does when it is let go."""

    def make(after=lambda actor: "late", **kwargs):
        one, entered = launched(script, **kwargs), threading.Event()

        def hang(actor):
            entered.set()
            gate.wait(WAIT)
            return after(actor)

        one.asked = one.ref.ask(hang, block=False)
        assert entered.wait(WAIT)
        return one

    return make


def test_everybody_is_told_as_after_a_real_death(stuck) -> None:
    one = stuck(info=LaunchInfo(child_id="c", path=("root", "c"), generation=2, names=("stuck",)))
    queued, stop = one.ref.ask("queued", block=False), one.ref.stop(block=False)
    down = monitor(one.ref)
    zombie = abandon(one.run)

    assert one.reason() == ABANDONED
    assert down.wait(WAIT).reason == ABANDONED
    assert (one.run.state, one.run.is_current(), one.ref.is_alive()) == ("abandoned", False, False)
    assert (whereis("stuck"), one.ref in pykka.ActorRegistry.get_all()) == (None, False)
    for future in (one.asked, queued):
        with pytest.raises(CalleeExited) as caught:
            future.get(timeout=WAIT)
        assert caught.value.reason == ABANDONED
    assert stop.get(timeout=WAIT) is True
    with pytest.raises(pykka.ActorDeadError):
        one.ref.tell("more")
    assert (zombie.id, zombie.path, zombie.generation) == ("c", ("root", "c"), 2)
    assert zombie.reason == ABANDONED
    assert "gate.wait" in zombie.stack
    assert zombie.thread_name in {thread.name for thread in threading.enumerate()}
    assert zombie.thread_ident in {thread.ident for thread in threading.enumerate()}


def test_a_zombie_is_listed_until_its_thread_ends(stuck, gate, ended) -> None:
    zombie = abandon(stuck().run)
    before = zombies()
    gate.set()

    assert before == [zombie]
    assert ended.get(timeout=WAIT) is zombie
    assert zombies() == []


def test_what_a_zombie_still_brings_about_is_discarded(stuck, gate, ended) -> None:
    ran = []
    one = stuck(after=lambda actor: "late", on_stop=lambda: ran.append("on_stop"))
    one.run.inbox.put(pykka._envelope.Envelope(lambda actor: ran.append("message")))
    abandon(one.run)
    gate.set()
    ended.get(timeout=WAIT)

    with pytest.raises(CalleeExited):
        one.asked.get()
    assert ran == []
    assert one.told.qsize() == 2  # started, exited


@pytest.mark.parametrize("error", [ValueError("late"), SystemExit(1), Exit(Shutdown())])
def test_what_a_zombie_raises_is_discarded(stuck, gate, ended, logs, error) -> None:
    def fail(_actor):
        raise error

    one = stuck(after=fail)
    abandon(one.run)
    gate.set()
    ended.get(timeout=WAIT)

    assert (one.run.exit_reason, one.run.cleanup_error) == (ABANDONED, None)
    assert logs == []


def test_a_zombie_can_find_out_and_may_not_act(stuck, gate, ended, script) -> None:
    found = []

    def look(_actor):
        found.extend((current().is_current(), stop_requested()))
        for act in (fence, lambda: sleep(0), lambda: names.register("z"), lambda: start_actor(script), watch):
            try:
                act()
            except (Exit, Fenced) as error:
                found.append(type(error))

    def watch():
        monitor(other)

    other = start_actor(script)
    one = stuck(after=look)
    abandon(one.run)
    gate.set()
    ended.get(timeout=WAIT)
    other.stop()

    assert found == [False, True, Exit, Exit, Fenced, Fenced, Fenced]


def test_fence_lets_the_living_pass(start, script) -> None:
    fence()

    assert start(script).ask(lambda actor: fence() or "passed") == "passed"


def test_a_sleeping_actor_wakes_when_it_is_abandoned(launched, script, ended) -> None:
    one, entered = launched(script), threading.Event()
    one.ref.tell(lambda actor: entered.set() or sleep(60))
    entered.wait(WAIT)
    zombie = abandon(one.run)

    assert ended.get(timeout=WAIT) is zombie


def test_abandoning_what_has_ended_does_nothing(launched, script) -> None:
    one = launched(script)
    request_stop(one.ref)
    one.reason()

    assert abandon(one.run) is None
    assert one.run.exit_reason == Shutdown()


def test_an_abandoned_actor_ends_once_however_many_abandon_it(stuck) -> None:
    one, start, results = stuck(), threading.Barrier(4), SimpleQueue()

    def run():
        start.wait(WAIT)
        results.put(abandon(one.run))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)

    assert sum(results.get() is not None for _ in range(4)) == 1
    assert one.told.qsize() == 2


def test_an_idle_pooled_actor_leaves_no_zombie(launched, start) -> None:
    one = launched(type(start().ask(lambda actor: actor)))
    one.ref.ask("idle")
    while one.run.runner is not None:
        one.ref.ask("still on its worker")

    assert abandon(one.run) is None
    assert one.reason() == Killed()
    assert zombies() == []


def test_a_start_that_hangs_is_a_failed_start_and_never_comes_alive(launched, script, gate, ended) -> None:
    one, entered = launched, threading.Event()
    one = launched(script, on_start=lambda: entered.set() or (gate.wait(WAIT) and None))
    entered.wait(WAIT)
    message = one.ref.ask("first", block=False)
    abandon(one.run)
    gate.set()
    ended.get(timeout=WAIT)

    assert one.outcome() == StartFailure(ABANDONED)
    assert (one.run.state, one.exited.done()) == ("abandoned", False)
    with pytest.raises(CalleeExited):
        message.get(timeout=WAIT)


def test_an_on_stop_that_hangs_can_be_abandoned(launched, script, gate, ended) -> None:
    entered = threading.Event()
    one = launched(script, on_stop=lambda: entered.set() or gate.wait(WAIT))
    request_stop(one.ref)
    entered.wait(WAIT)
    zombie = abandon(one.run)
    gate.set()

    assert one.reason() == ABANDONED
    assert ended.get(timeout=WAIT) is zombie


def test_a_crash_after_abandonment_changes_no_reason(stuck, gate, ended) -> None:
    def fail(_actor):
        raise ValueError

    one = stuck(after=fail)
    abandon(one.run, Killed(abandoned=True))
    gate.set()
    ended.get(timeout=WAIT)

    assert not isinstance(one.run.exit_reason, Crash)
    assert one.reason() == ABANDONED


def test_the_pool_replaces_a_worker_lost_to_a_zombie_and_retires_one_when_it_ends(
    no_threads, start, ended
) -> None:
    gates = [threading.Event() for _ in range(4)]
    pool = Dispatcher.get("actors")
    stuck = []
    for gate in gates:
        ref, entered = start(), threading.Event()
        ref.tell(lambda actor, gate=gate, entered=entered: entered.set() or gate.wait(WAIT))
        assert entered.wait(WAIT)
        stuck.append(ref.actor_inbox.incarnation)
        abandon(stuck[-1])
    others = [start() for _ in range(4)]

    assert [ref.ask("served", timeout=WAIT) for ref in others] == ["served"] * 4
    assert pool.thread_count <= pool.core
    assert pool.blocked_count == 0
    names_before = {zombie.thread_name for zombie in zombies()}
    for gate in gates:
        gate.set()
    for _ in gates:
        ended.get(timeout=WAIT)
    for thread in threading.enumerate():
        if thread.name in names_before:
            thread.join(WAIT)
    assert not names_before & {thread.name for thread in threading.enumerate()}
    assert pool.thread_count <= pool.core


def test_a_zombie_that_blocked_with_notice_is_not_counted_twice(no_threads, start, ended) -> None:
    pool, entered = Dispatcher.get("actors"), threading.Event()
    ref = start()
    ref.tell(lambda actor: entered.set() or sleep(60))
    entered.wait(WAIT)
    abandon(ref.actor_inbox.incarnation)
    ended.get(timeout=WAIT)

    assert start().ask("served", timeout=WAIT) == "served"
    assert pool.blocked_count == 0
