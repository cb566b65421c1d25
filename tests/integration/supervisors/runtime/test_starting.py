"""From launch to up: outcomes, names, start callables, and what an actor can be asked before it ran."""

from __future__ import annotations

import threading
from queue import SimpleQueue

import pykka
import pytest

from supervisors.errors import AlreadyRegistered, StartFailed
from supervisors.links import monitor
from supervisors.reasons import Killed, Normal, Shutdown
from supervisors.registry import names, whereis
from supervisors.runtime import (
    DEFER_START,
    Dispatcher,
    Ignored,
    LaunchInfo,
    PooledActor,
    PooledFuture,
    StartFailure,
    Up,
    abandon,
    current,
    incarnation_of,
    launch,
    release_idle_threads,
    request_stop,
    start_actor,
    stop_requested,
)
from supervisors.spec import IGNORE

WAIT = 5.0


def ignore(*_args):
    return IGNORE


def test_launch_does_not_wait_and_says_up_when_on_start_is_through(launched, script, gate) -> None:
    one = launched(script, on_start=lambda: gate.wait(WAIT) and None)
    state = one.run.state
    gate.set()

    assert state == "starting"
    assert one.outcome() == Up()
    assert one.run.state == "running"


class Plain(PooledActor):
    """Has no `on_start`; messages that are callable are called with the actor."""

    dispatcher = "plain"

    def __init__(self, first=None, on_start=None):
        super().__init__()
        if on_start is not None:
            self.on_start = on_start
        if first is not None:
            self.actor_ref.tell(first)

    def on_receive(self, message):
        return message(self) if callable(message) else message


@pytest.fixture
def submitted(monkeypatch):
    """Dispatchers that were given work, once for each time."""
    seen, submit = [], Dispatcher.submit
    monkeypatch.setattr(
        Dispatcher, "submit", lambda self, runnable: seen.append(self.name) or submit(self, runnable)
    )
    return seen


def test_a_pooled_actor_without_on_start_is_up_at_once_and_wakes_nobody(submitted) -> None:
    ref = start_actor(Plain)

    assert incarnation_of(ref).state == "running"
    assert submitted == []
    assert ref.ask("x", timeout=WAIT) == "x"
    assert submitted == ["plain"]
    assert ref.stop(timeout=WAIT)


def test_what_a_pooled_actor_without_on_start_told_itself_in_its_constructor_is_handled(submitted) -> None:
    handled = PooledFuture()
    ref = start_actor(Plain, first=lambda actor: handled.set(actor.actor_urn))

    assert handled.get(timeout=WAIT) == ref.actor_urn
    assert submitted == ["plain"]
    assert ref.stop(timeout=WAIT)


def test_an_on_start_that_an_actor_was_given_is_called_on_its_dispatcher() -> None:
    where = []
    ref = start_actor(Plain, on_start=lambda: where.append(threading.current_thread().name))

    assert where[0].startswith("supervisors-plain-")
    assert ref.stop(timeout=WAIT)


@pytest.mark.parametrize(
    "end", [lambda ref: request_stop(ref, Killed()), lambda ref: abandon(incarnation_of(ref))]
)
def test_a_pooled_actor_that_never_ran_ends_like_others(end) -> None:
    ref = start_actor(Plain)
    watch = monitor(ref)
    end(ref)

    assert watch.wait(WAIT).reason == Killed()
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("x", timeout=WAIT)


def test_an_actor_that_answers_ignore_ends_without_on_stop(launched, script) -> None:
    stopped = []
    one = launched(script, on_start=ignore, on_stop=lambda: stopped.append(1))

    assert one.outcome() == Ignored()
    assert one.run.exit_reason == Normal()
    assert (stopped, one.exited.done(), one.ref.is_alive()) == ([], False, False)


def test_the_incarnation_knows_who_it_is(launched, script) -> None:
    parent = start_actor(script)
    info = LaunchInfo(child_id="c", path=("root", "c"), generation=3, supervisor=parent)
    one = launched(script, info=info)

    seen = one.ref.ask(lambda actor: current())
    assert seen is one.run is incarnation_of(one.ref)
    assert (seen.id, seen.path, seen.generation, seen.supervisor) == ("c", ("root", "c"), 3, parent)
    assert seen.actor_class is script
    assert seen.is_current()
    parent.stop()


def test_there_is_no_current_incarnation_outside_of_handlers(script, start) -> None:
    start(script)

    assert current() is None
    assert not stop_requested()


def test_exceptions_of_the_constructor_go_to_the_caller(launched, script) -> None:
    class Broken(script):
        def __init__(self, **_hooks) -> None:
            raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        launched(Broken)


def test_a_class_that_forgets_to_call_super_is_told_so(launched) -> None:
    class Forgetful(PooledActor):
        def __init__(self) -> None:
            pass

    with pytest.raises(TypeError, match=r"super\(\).__init__"):
        launched(Forgetful)


def test_only_actor_classes_can_be_launched(launched) -> None:
    with pytest.raises(TypeError, match="neither a PooledActor nor"):
        launched(dict)


def test_names_are_held_before_on_start_and_a_taken_one_leaves_nothing_behind(launched, script) -> None:
    seen = []
    one = launched(script, info=LaunchInfo(names=("a", "b")), on_start=lambda: seen.append(whereis("a")))
    one.outcome()
    before = len(pykka.ActorRegistry.get_all())

    with pytest.raises(AlreadyRegistered) as caught:
        launched(script, info=LaunchInfo(names=("c", "b")))
    assert caught.value.ref is one.ref
    assert seen == [one.ref]
    assert (whereis("c"), len(pykka.ActorRegistry.get_all())) == (None, before)


def test_a_via_is_a_name_too(launched, script) -> None:
    one = launched(script, info=LaunchInfo(names=(names.via("via", value=7),)))

    assert names.lookup("via") == [(one.ref, 7)]


def test_a_failed_start_frees_the_name(script) -> None:
    def fail():
        raise ValueError

    with pytest.raises(StartFailed):
        start_actor(script, name="short-lived", on_start=fail)

    assert whereis("short-lived") is None


def test_start_actor_waits_for_on_start_and_raises_for_ignore(start, script) -> None:
    done = []
    start(script, on_start=lambda: done.append(1))
    with pytest.raises(StartFailed):
        start(script, on_start=ignore)

    assert done == [1]


def test_start_actor_inside_a_handler_does_not_starve_the_pool(start, script) -> None:
    outer = [start(script) for _ in range(8)]

    inner = [ref.ask(lambda actor: start_actor(script), block=False) for ref in outer]
    for future in inner:
        future.get(timeout=WAIT).stop()


# Start callables


def launch_callable(function, told: SimpleQueue | None = None):
    told = told or SimpleQueue()
    return launch(
        function,
        (),
        {},
        LaunchInfo(child_id="child", names=("from-spec",)),
        on_started=lambda run, outcome: told.put((run, outcome)),
        on_exit=lambda run, reason: told.put((run, reason)),
    )


def test_a_start_callable_does_not_wait_and_its_actor_is_the_child(script) -> None:
    told, gate = SimpleQueue(), threading.Event()
    run = launch_callable(
        lambda: start_actor(script, name="own", on_start=lambda: gate.wait(WAIT) and None), told
    )
    state = run.state
    gate.set()

    assert state == "starting"
    assert told.get(timeout=WAIT) == (run, Up())
    assert run.id == "child"
    assert whereis("own") is whereis("from-spec") is run.ref
    run.ref.stop()
    assert told.get(timeout=WAIT) == (run, Normal())


def test_a_start_callable_may_answer_ignore() -> None:
    assert launch_callable(lambda: IGNORE) == Ignored()


@pytest.mark.parametrize("result", [None, 7, "ref"])
def test_a_start_callable_that_returns_something_else_is_a_type_error(result) -> None:
    with pytest.raises(TypeError, match="start_actor"):
        launch_callable(lambda: result)


def test_a_start_callable_must_return_its_own_actor(start, script) -> None:
    other = start(script)
    with pytest.raises(TypeError, match="start_actor"):
        launch_callable(lambda: other)


def test_an_actor_whose_start_callable_fails_is_stopped_and_nobody_hears_of_its_end(script) -> None:
    made, told = [], SimpleQueue()

    def start_and_fail():
        made.append(start_actor(script))
        raise LookupError

    with pytest.raises(LookupError):
        launch_callable(start_and_fail, told)

    monitor(made[0]).wait(WAIT)
    outcomes = [told.get_nowait()[1] for _ in range(told.qsize())]
    assert (outcomes in ([], [Up()]), whereis("from-spec")) == (True, None)


def test_constructors_within_a_start_callable_start_actors_of_their_own(script) -> None:
    class Parent(script):
        def __init__(self, **hooks) -> None:
            super().__init__(**hooks)
            self.other = start_actor(script)

    run = launch_callable(lambda: start_actor(Parent))
    other = run.ref.proxy().other.get()

    assert incarnation_of(other).id is None
    other.stop()
    run.ref.stop()


def test_without_a_thread_nothing_is_left_behind(launched, script, monkeypatch, no_threads) -> None:
    def no_thread(_thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError, match="can't start"):
            launched(script, info=LaunchInfo(names=("a",)))
        if issubclass(script, PooledActor):
            with pytest.raises(RuntimeError, match="can't start"):
                script.start()

    assert (pykka.ActorRegistry.get_all(), whereis("a")) == ([], None)
    one = launched(script, info=LaunchInfo(names=("a",)))
    assert one.outcome() == Up()
    one.ref.stop()
    release_idle_threads()  # a pool that counted an actor too many would keep its threads
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("supervisors-actors-")]


# Deferred starts


def test_a_deferred_start_is_up_when_it_says_so_and_handles_messages_before(launched, script) -> None:
    one = launched(script, on_start=lambda: DEFER_START)

    assert one.ref.ask("before") == "before"
    assert (one.started.done(), one.run.state) == (False, "starting")
    one.ref.tell(lambda actor: current().up())
    assert one.outcome() == Up()
    one.ref.stop()
    assert one.reason() == Normal()


def test_a_deferred_start_may_fail(launched, script) -> None:
    stopped = []
    one = launched(script, on_start=lambda: DEFER_START, on_stop=lambda: stopped.append(1))
    one.ref.tell(lambda actor: current().fail_start(Shutdown("no")))

    assert one.outcome() == StartFailure(Shutdown("no"))
    assert (stopped, one.exited.done()) == ([], False)


@pytest.mark.parametrize(
    "ending", [lambda ref: request_stop(ref, Shutdown()), lambda ref: ref.stop(), lambda ref: ref.tell(bad)]
)
def test_what_ends_before_it_is_up_has_failed_to_start(launched, script, ending) -> None:
    one = launched(script, on_start=lambda: DEFER_START)
    ending(one.ref)

    assert isinstance(one.outcome(), StartFailure)
    assert not one.exited.done()


def bad(_actor):
    raise ValueError("bad")


# Being found before it runs


class Found:
    """A name that does something with the actor the moment it is given to it."""

    def __init__(self, act):
        self.act = act

    def claim(self, incarnation):
        self.act(incarnation)


class Watched(Plain):
    def on_start(self):
        started.append(self.actor_urn)


class WatchedThread(pykka.ThreadingActor):
    def on_start(self):
        started.append(self.actor_urn)


started = []


@pytest.mark.parametrize("cls", [Plain, Watched, WatchedThread])
def test_an_actor_can_be_watched_and_stopped_as_soon_as_it_has_a_name(cls) -> None:
    seen = []
    start_actor(
        cls, name=Found(lambda run: seen.append((monitor(run.ref), request_stop(run.ref, Shutdown("seen")))))
    )
    ((watch, accepted),) = seen

    assert accepted
    assert watch.wait(WAIT).reason == Shutdown("seen")


@pytest.mark.parametrize("cls", [Plain, Watched, WatchedThread])
def test_an_actor_that_was_given_up_before_it_ran_never_does(cls) -> None:
    started.clear()
    before = Dispatcher.get("plain").live_count
    with pytest.raises(StartFailed) as failed:
        start_actor(cls, name=Found(abandon))

    assert failed.value.reason == Killed()
    assert Dispatcher.get("plain").live_count == before
    assert pykka.ActorRegistry.get_by_class(cls) == []
    assert started == []
