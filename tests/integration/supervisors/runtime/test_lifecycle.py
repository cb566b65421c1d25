"""From a request to stop to the exit: what comes first, and the order in which everybody is told."""

from __future__ import annotations

import threading
from queue import SimpleQueue

import pykka
import pytest

from supervisors.errors import AlreadyRegistered, CalleeExited
from supervisors.links import monitor
from supervisors.reasons import Exit, Killed, Normal, Shutdown
from supervisors.registry import names, whereis
from supervisors.runtime import (
    LaunchInfo,
    PooledActor,
    PooledFuture,
    Up,
    ask_callback,
    current,
    incarnation_of,
    launch,
    request_stop,
    sleep,
    start_actor,
    stop_requested,
    stop_self,
)

WAIT = 5.0


# Stopping


def test_a_stop_request_comes_after_the_message_in_progress_and_before_the_backlog(
    launched, script, gate
) -> None:
    stopped = []
    one = launched(script, on_stop=lambda: stopped.append(1))
    entered = threading.Event()
    inside = one.ref.ask(lambda actor: entered.set() or gate.wait(WAIT), block=False)
    waiting = [one.ref.ask(number, block=False) for number in range(3)]
    one.ref.tell("dropped")
    stop = one.ref.stop(block=False)
    assert entered.wait(WAIT)
    assert request_stop(one.ref, Shutdown("now"))
    gate.set()

    assert one.reason() == Shutdown("now")
    assert inside.get(timeout=WAIT) is True
    for future in waiting:
        with pytest.raises(CalleeExited) as caught:
            future.get(timeout=WAIT)
        assert caught.value.reason == Shutdown("now")
    assert stop.get(timeout=WAIT) is True
    assert (stopped, one.run.dropped) == ([1], 1)
    assert not request_stop(one.ref)


def test_with_drain_the_backlog_comes_first(launched, script) -> None:
    one = launched(script)
    futures = [one.ref.ask(number, block=False) for number in range(100)]
    request_stop(one.ref, Shutdown(), drain=True)

    assert [future.get(timeout=WAIT) for future in futures] == list(range(100))
    assert one.reason() == Shutdown()
    assert not request_stop(one.ref, drain=True)


def test_the_first_request_gives_the_reason_and_killed_overrides_it(launched, script, gate) -> None:
    reasons = []
    for later in (Shutdown("second"), Killed()):
        one, entered = launched(script), threading.Event()
        one.ref.tell(lambda actor, entered=entered: entered.set() or gate.wait(WAIT))
        entered.wait(WAIT)
        request_stop(one.ref, Shutdown("first"))
        request_stop(one.ref, later)
        reasons.append(one)
    gate.set()

    assert [one.reason() for one in reasons] == [Shutdown("first"), Killed()]


def test_who_is_killed_without_being_asked_first_does_not_clean_up(launched, script) -> None:
    stopped = []
    one = launched(script, on_stop=lambda: stopped.append(1))
    request_stop(one.ref, Killed())

    assert one.reason() == Killed()
    assert stopped == []


def test_an_idle_actor_sees_a_stop_request_at_once(launched, script) -> None:
    one = launched(script)
    one.ref.ask("idle now")
    request_stop(one.ref)

    assert one.reason() == Shutdown()


def test_stop_self_delivers_the_reply_and_ends(launched, script) -> None:
    one = launched(script)
    reply = one.ref.ask(lambda actor: stop_self(Shutdown("done")) or "reply", block=False)
    behind = one.ref.ask("behind", block=False)

    assert reply.get(timeout=WAIT) == "reply"
    assert one.reason() == Shutdown("done")
    with pytest.raises(CalleeExited):
        behind.get(timeout=WAIT)


def test_stop_self_outside_of_actors_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="handler"):
        stop_self()


def test_stop_self_in_on_start_ends_it_after_it_was_up(launched, script) -> None:
    one = launched(script, on_start=lambda: stop_self(Shutdown("short")))

    assert (one.outcome(), one.reason()) == (Up(), Shutdown("short"))


def test_requests_to_uninstrumented_actors_are_refused() -> None:
    ref = pykka.ThreadingActor.start()
    with pytest.raises(TypeError, match=r"ref\.stop"):
        request_stop(ref)
    ref.stop()


def test_sleep_ends_with_the_reason_of_the_request_to_stop(launched, script) -> None:
    one, entered = launched(script), threading.Event()
    future = one.ref.ask(lambda actor: entered.set() or sleep(60), block=False)
    entered.wait(WAIT)
    request_stop(one.ref, Shutdown("wake up"))

    assert one.reason() == Shutdown("wake up")
    with pytest.raises(CalleeExited):
        future.get(timeout=WAIT)


def test_sleep_in_on_stop_is_not_disturbed(launched, script) -> None:
    slept = []
    one = launched(script, on_stop=lambda: sleep(0.01) or slept.append(1))  # the sleep is what is tested
    request_stop(one.ref)

    assert (one.reason(), slept) == (Shutdown(), [1])


def test_stop_requested_is_seen_by_a_handler_that_looks(launched, script) -> None:
    one, looked = launched(script), threading.Event()

    def work(actor):
        looked.set()
        while not stop_requested():
            sleep_a_little.wait(0.001)
        return "saw it"

    sleep_a_little = threading.Event()
    future = one.ref.ask(work, block=False)
    looked.wait(WAIT)
    request_stop(one.ref)

    assert future.get(timeout=WAIT) == "saw it"
    assert one.reason() == Shutdown()


class TakesOver(PooledActor):
    """Handles messages after a stop was requested, until told to finish."""

    def __init__(self, requests) -> None:
        super().__init__()
        self.requests = requests

    def on_stop_requested(self, reason):
        self.requests.append((reason, current() is incarnation_of(self.actor_ref)))
        return True

    def on_receive(self, message):
        if isinstance(message, Shutdown):
            stop_self(message)
        return message


def test_an_actor_may_see_to_its_stop_itself(launched) -> None:
    requests = []
    one = launched(TakesOver, requests=requests)
    stop = one.ref.stop(block=False)
    request_stop(one.ref, Shutdown("second"))

    assert one.ref.ask("alive") == "alive"
    assert all(inside for _, inside in requests)
    assert requests[0][0] in {Normal(), Shutdown("second")}
    assert not one.exited.done()
    assert one.ref.ask(Shutdown("through")) == Shutdown("through")
    assert one.reason() == Shutdown("through")
    assert stop.get(timeout=WAIT) is True


def test_an_error_while_it_sees_to_its_stop_is_a_crash(launched) -> None:
    class Bad(PooledActor):
        def on_stop_requested(self, reason):
            raise ValueError("bad")

    one = launched(Bad)
    request_stop(one.ref)

    assert "bad" in repr(one.reason())


# The order in which everybody is told


def test_asks_fail_then_names_go_then_monitors_hear_then_the_supervisor_then_the_stopper(
    script, gate
) -> None:
    order, told, looked = [], SimpleQueue(), []

    def note(what):
        order.append((what, whereis("ordered"), threading.current_thread() is not threading.main_thread()))

    names.register("other", ref=(other := start_actor(script)))
    run = launch(
        script,
        (),
        {},
        LaunchInfo(names=("ordered",)),
        on_started=lambda run, outcome: None,
        on_exit=lambda run, reason: note("exit") or told.put(reason),
    )
    entered = threading.Event()
    run.ref.tell(lambda actor: entered.set() or gate.wait(WAIT))
    assert entered.wait(WAIT)
    run.add_cleanup("looks", lambda reason: looked.append(whereis("ordered")))
    ask_callback(run.ref, "queued", lambda future: note("ask"))
    monitor(run.ref, notify=lambda down: note("down"))
    ask_callback(run.ref, pykka.messages._ActorStop(), lambda future: note("stopper"))
    request_stop(run.ref)
    gate.set()
    told.get(timeout=WAIT)
    run.ref.stop()
    other.stop()

    assert [what for what, _, _ in order] == ["ask", "down", "exit", "stopper"]
    assert [holder for _, holder, _ in order] == [None, None, None, None]
    assert all(elsewhere for _, _, elsewhere in order)


def test_who_sees_down_can_take_the_name_at_once(launched, script) -> None:
    successor = PooledFuture()
    one = launched(script, info=LaunchInfo(names=("heir",)))
    monitor(one.ref, notify=lambda down: names.register("heir", ref=other) or successor.set(whereis("heir")))
    other = start_actor(script)
    request_stop(one.ref)

    assert successor.get(timeout=WAIT) is other
    other.stop()


def test_an_actor_in_on_stop_still_owns_its_name(launched, script, gate) -> None:
    entered = threading.Event()
    one = launched(
        script, info=LaunchInfo(names=("owned",)), on_stop=lambda: entered.set() or gate.wait(WAIT)
    )
    request_stop(one.ref)
    assert entered.wait(WAIT)

    with pytest.raises(AlreadyRegistered):
        launched(script, info=LaunchInfo(names=("owned",)))
    assert one.run.state == "stopping"
    gate.set()
    one.reason()
    assert whereis("owned") is None


def test_callbacks_that_raise_are_logged_and_the_others_are_still_told(script, logs) -> None:
    exited = PooledFuture()

    def bad_callback(*_args):
        raise Exit(Normal())

    run = launch(
        script, (), {}, LaunchInfo(), on_started=bad_callback, on_exit=lambda run, reason: exited.set(reason)
    )
    run.add_watcher("bad", bad_callback)
    run.ref.stop()

    assert exited.get(timeout=WAIT) == Normal()
    assert [entry["event"] for entry in logs] == ["callback_failed"] * 2


# Threads of ThreadingActors


def test_threads_of_launched_actors_are_daemon_and_named_after_child_and_supervisor(launched) -> None:
    class Worker(pykka.ThreadingActor):
        def on_receive(self, message):
            return threading.current_thread()

    info = LaunchInfo(child_id="w1", path=("root", "workers", "w1"), generation=2)
    thread = launched(Worker, info=info).ref.ask("thread")

    assert thread.daemon
    assert thread.name == "Worker root/workers/w1#2"


@pytest.mark.parametrize("explicit", [True, False])
def test_a_class_that_says_whether_its_thread_is_daemon_is_heard(launched, logs, explicit) -> None:
    class Worker(pykka.ThreadingActor):
        use_daemon_thread = explicit

        def on_receive(self, message):
            return threading.current_thread().daemon

    assert launched(Worker).ref.ask("thread") is explicit
    assert [entry["event"] for entry in logs] == ([] if explicit else ["non_daemon_thread"])


def test_what_a_threading_actor_told_itself_in_init_is_not_lost(launched) -> None:
    class Eager(pykka.ThreadingActor):
        def __init__(self) -> None:
            super().__init__()
            self.got = []
            self.actor_ref.tell("first")

        def on_receive(self, message):
            self.got.append(message)
            return self.got

    assert launched(Eager).ref.ask("second") == ["first", "second"]


def test_a_callback_ask_costs_no_thread_and_answers_for_the_dead_too(start, script) -> None:
    ref, answers = start(script), SimpleQueue()
    plain = pykka.ThreadingActor.start()
    plain.stop()
    ask_callback(ref, "hello", lambda future: answers.put(future.get()))
    ask_callback(plain, "hello", lambda future: answers.put(future.done()))

    assert {answers.get(timeout=WAIT), answers.get(timeout=WAIT)} == {"hello", True}
