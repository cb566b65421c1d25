"""What pykka promises of every actor, on PooledActor; pykka's own suite is run by `make pykka-suite`."""

from __future__ import annotations

import gc
import threading
import uuid
import weakref

import pykka
import pytest

from supervisors.runtime import PooledActor, PooledFuture

WAIT = 5.0


class Counter(PooledActor):
    def __init__(self, first: int = 0) -> None:
        super().__init__()
        self.count = first
        self.log = []

    def add(self, number: int) -> int:
        self.count += number
        return self.count

    def fail(self) -> None:
        raise ValueError("failed")

    def on_receive(self, message):
        self.log.append(message)
        if callable(message):
            return message(self)
        return message


@pytest.fixture
def ref():
    ref = Counter.start()
    yield ref
    ref.stop()


def test_start_registers_the_actor_and_stop_takes_it_out() -> None:
    ref = Counter.start(1)
    registered = pykka.ActorRegistry.get_by_urn(ref.actor_urn)
    answers = (ref.is_alive(), ref.stop(), ref.is_alive(), ref.stop())

    assert registered is ref
    assert answers == (True, True, False, False)
    assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is None


def test_look_ups_by_class_and_name_find_it(ref) -> None:
    assert pykka.ActorRegistry.get_by_class(Counter) == [ref]
    assert pykka.ActorRegistry.get_by_class_name("Counter") == [ref]


def test_a_broadcast_reaches_it(ref) -> None:
    pykka.ActorRegistry.broadcast("news", target_class=Counter)

    assert ref.ask(lambda actor: actor.log[0]) == "news"


def test_the_urn_is_a_unique_uuid_of_version_4() -> None:
    urns = {PooledActor().actor_urn for _ in range(1000)}

    assert len(urns) == 1000
    assert all(uuid.UUID(urn).version == 4 and uuid.UUID(urn).urn == urn for urn in urns)
    assert {uuid.UUID(urn).variant for urn in urns} == {uuid.RFC_4122}


def test_start_does_not_wait_for_on_start() -> None:
    gate = threading.Event()

    class Slow(PooledActor):
        def on_start(self):
            gate.wait(WAIT)

    ref = Slow.start()
    alive = ref.is_alive()
    gate.set()

    assert alive
    assert ref.stop()


def test_messages_are_handled_in_order_one_at_a_time(ref) -> None:
    for number in range(100):
        ref.tell(number)

    assert ref.ask(lambda actor: actor.log[:-1]) == list(range(100))


def test_what_an_actor_tells_itself_in_init_is_its_first_message() -> None:
    class Eager(Counter):
        def __init__(self) -> None:
            super().__init__()
            self.actor_ref.tell("first")

    ref = Eager.start()

    assert ref.ask(lambda actor: actor.log[0]) == "first"
    ref.stop()


def test_proxies_call_methods_and_read_and_write_attributes(ref) -> None:
    proxy = ref.proxy()
    proxy.count = 5
    future = proxy.add(2)
    proxy.add.defer(3)

    assert isinstance(future, PooledFuture)
    assert (future.get(), proxy.count.get()) == (7, 10)


def test_an_exception_under_ask_goes_to_the_caller_and_the_actor_lives(ref) -> None:
    with pytest.raises(ValueError, match="failed"):
        ref.proxy().fail().get()

    assert ref.ask("still there") == "still there"


def test_stop_comes_after_what_was_sent_before_and_fails_what_comes_after() -> None:
    ref, gate = Counter.start(), threading.Event()
    ref.tell(lambda actor: gate.wait(WAIT))
    before = ref.ask("before", block=False)
    stopped = ref.stop(block=False)
    after = ref.ask("after", block=False)
    gate.set()

    assert before.get(timeout=WAIT) == "before"
    assert stopped.get(timeout=WAIT) is True
    with pytest.raises(pykka.ActorDeadError):
        after.get(timeout=WAIT)


def test_dead_actors_refuse_tell_and_ask_in_pykkas_words() -> None:
    ref = Counter.start()
    ref.stop()

    with pytest.raises(pykka.ActorDeadError, match="not found"):
        ref.tell("x")
    with pytest.raises(pykka.ActorDeadError, match="not found"):
        ref.ask("x")
    with pytest.raises(pykka.ActorDeadError, match="not found"):
        ref.ask("x", block=False).get()
    with pytest.raises(pykka.ActorDeadError):
        ref.proxy()


def test_refs_say_dead_while_on_stop_runs_as_in_pykka() -> None:
    seen = PooledFuture()

    class Last(Counter):
        def on_stop(self):
            seen.set((self.actor_ref.is_alive(), self.actor_ref in pykka.ActorRegistry.get_all()))

    Last.start().stop()

    assert seen.get(timeout=0) == (False, False)


def test_an_actor_may_stop_itself_more_than_once(ref) -> None:
    def stop_twice(actor):
        actor.stop()
        actor.stop()

    ref.ask(stop_twice)

    assert ref.actor_stopped.wait(WAIT)


def test_stop_all_stops_every_actor_the_latest_first() -> None:
    order = []

    class Noted(Counter):
        def on_stop(self):
            order.append(self.count)

    for number in range(3):
        Noted.start(number)

    assert pykka.ActorRegistry.stop_all() == [True, True, True]
    assert order == [2, 1, 0]


def test_a_stopped_actor_is_let_go_of_and_a_proxy_keeps_it() -> None:
    ref = Counter.start()
    proxy = ref.proxy()
    actor = weakref.ref(proxy._actor)
    ref.stop()
    gc.collect()
    kept = actor() is not None
    del proxy
    gc.collect()

    assert kept
    assert actor() is None


def test_a_crashed_actor_is_let_go_of() -> None:
    ref = Counter.start()
    actor = weakref.ref(ref.proxy()._actor)
    gone = threading.Event()
    weakref.finalize(actor(), gone.set)
    ref.tell(lambda actor: actor.fail())
    assert ref.actor_stopped.wait(WAIT)
    ref.stop()
    Counter.start().stop()  # its worker has moved on

    gc.collect()
    assert gone.wait(WAIT)


def test_context_variables_stay_with_the_actor_and_go_nowhere_else() -> None:
    from contextvars import ContextVar

    variable = ContextVar("variable", default="nobody")
    one, two = Counter.start(), Counter.start()
    one.ask(lambda actor: variable.set("one") and None)

    assert [ref.ask(lambda actor: variable.get()) for ref in (one, two, one)] == ["one", "nobody", "one"]
    one.stop()
    two.stop()


def test_classes_of_pykka_users_work_with_mixins_and_their_own_init() -> None:
    class Mixin(pykka.Actor):
        def __init__(self, word: str) -> None:
            super().__init__(word, extra=1)
            self.word = word

    class Mixed(Mixin, PooledActor):
        pass

    ref = Mixed.start("word")

    assert ref.proxy().word.get() == "word"
    ref.stop()
