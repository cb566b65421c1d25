"""Registries, and handles that outlive incarnations."""

from __future__ import annotations

import itertools
import threading

import pykka
import pytest

from supervisors.errors import AlreadyRegistered, AlreadyStarted, NoProcError
from supervisors.handles import Handle
from supervisors.registry import Registry, names, whereis
from supervisors.runtime import PooledActor, PooledFuture, start_actor

WAIT = 5.0
numbers = itertools.count()


class Echo(PooledActor):
    def on_receive(self, message):
        return message(self) if callable(message) else message


@pytest.fixture
def registry():
    return Registry(("test registry", next(numbers)))


@pytest.fixture
def actor():
    refs = []

    def start(**kwargs):
        refs.append(start_actor(Echo, **kwargs))
        return refs[-1]

    yield start
    for ref in refs:
        if ref.is_alive():
            ref.stop()


def test_an_actor_registers_itself_and_is_found(actor, registry) -> None:
    ref = actor()
    ref.ask(lambda actor: registry.register("key", "value"))

    assert registry.whereis("key") is ref
    assert registry.lookup("key") == [(ref, "value")]
    assert (registry.keys(ref), registry.count()) == (["key"], 1)


def test_what_is_not_registered_is_not_found(registry) -> None:
    assert (registry.whereis("nobody"), registry.lookup("nobody"), registry.count()) == (None, [], 0)


def test_a_live_key_is_taken_also_for_its_own_holder(actor, registry) -> None:
    ref = actor()
    registry.register("key", 1, ref=ref)
    with pytest.raises(AlreadyRegistered) as caught:
        registry.register("key", 2, ref=ref)

    assert caught.value.ref is ref
    assert registry.lookup("key") == [(ref, 1)]


def test_an_actor_may_have_many_keys_and_loses_all_with_its_end(actor, registry) -> None:
    ref = actor()
    for key in ("a", "b", ("c", 1)):
        registry.register(key, ref=ref)
    before = registry.keys(ref)
    ref.stop()

    assert before == ["a", "b", ("c", 1)]
    assert (registry.keys(ref), registry.count()) == ([], 0)


def test_unregister_removes_only_what_is_ones_own_and_always_succeeds(actor, registry) -> None:
    one, two = actor(), actor()
    registry.register("key", ref=one)
    registry.unregister("key", ref=two)
    kept = registry.whereis("key")
    one.ask(lambda actor: registry.unregister("key"))
    one.ask(lambda actor: registry.unregister("key"))

    assert (kept, registry.whereis("key")) == (one, None)


def test_outside_of_actors_an_owner_must_be_named(registry) -> None:
    with pytest.raises(ValueError, match="ref="):
        registry.register("key")
    with pytest.raises(ValueError, match="ref="):
        registry.unregister("key")


def test_none_is_no_name(actor, registry) -> None:
    with pytest.raises(ValueError, match="None"):
        registry.register(None, ref=actor())


def test_the_dead_cannot_be_registered(actor, registry) -> None:
    ref = actor()
    ref.stop()
    with pytest.raises(NoProcError):
        registry.register("key", ref=ref)


def test_a_dead_plain_actor_neither_blocks_nor_satisfies_a_look_up(actor, registry) -> None:
    plain, ref = pykka.ThreadingActor.start(), actor()
    registry.register("key", ref=plain)
    alive = registry.whereis("key")
    plain.stop()
    dead = (registry.whereis("key"), registry.lookup("key"), registry.count(), registry.keys(plain))
    registry.register("key", ref=ref)

    assert alive is plain
    assert dead == (None, [], 0, [])
    assert registry.whereis("key") is ref


def test_the_late_end_of_an_old_owner_leaves_the_new_one(actor, registry) -> None:
    old, new = actor(), actor()
    registry.register("key", ref=old)
    entered, gate = threading.Event(), threading.Event()
    old.tell(lambda actor: entered.set() or gate.wait(WAIT))
    entered.wait(WAIT)
    registry.unregister("key", ref=old)
    registry.register("key", ref=new)
    gate.set()
    old.stop()

    assert registry.whereis("key") is new


def test_keys_are_equal_as_python_says(actor, registry) -> None:
    registry.register(1, ref=actor())

    assert registry.whereis(1.0) is registry.whereis(True) is registry.whereis(1)
    with pytest.raises(AlreadyRegistered):
        registry.register(True, ref=actor())


def test_registries_are_found_by_name(registry) -> None:
    assert Registry.get(registry.name) is registry
    with pytest.raises(ValueError, match="Registry.get"):
        Registry(registry.name)
    with pytest.raises(ValueError, match="no registry"):
        Registry.get("unknown")
    with pytest.raises(ValueError, match="unique"):
        Registry("other", keys="triple")


def test_start_actor_registers_in_the_default_registry(actor) -> None:
    ref = actor(name="named")

    assert whereis("named") is names.whereis("named") is ref
    with pytest.raises(AlreadyStarted) as caught:
        actor(name="named")
    assert caught.value.ref is ref


# Handles


def test_a_handle_follows_the_name(actor) -> None:
    handle = names.via("followed")
    with pytest.raises(NoProcError, match="followed"):
        handle.tell("x")
    first = actor(name="followed")
    answers = [handle.ask("one")]
    first.stop()
    assert handle.whereis() is None
    second = actor(name="followed")
    answers.append(handle.ask("two", block=False).get(timeout=WAIT))

    assert answers == ["one", "two"]
    assert handle.whereis() is second


def test_a_handle_may_wait_for_a_restart(actor) -> None:
    handle, waits = names.via("late", wait=WAIT), threading.Event()
    asked = PooledFuture()

    def ask():
        waits.set()
        asked.set(handle.ask("here", timeout=WAIT))

    thread = threading.Thread(target=ask)
    thread.start()
    waits.wait(WAIT)
    actor(name="late")

    assert asked.get(timeout=WAIT) == "here"
    thread.join(WAIT)
    assert names.registrations.waiters() == 0


def test_a_handle_waits_no_longer_than_it_was_told() -> None:
    handle = names.via("never", wait=0.01)

    assert handle.whereis() is None
    with pytest.raises(NoProcError):
        handle.ask("x")
    assert names.registrations.waiters() == 0


def test_a_wait_in_a_handler_starves_nobody(actor) -> None:
    waiting = [actor() for _ in range(6)]
    answers = [
        ref.ask(lambda actor: names.via("late", wait=WAIT).ask("here"), block=False) for ref in waiting
    ]
    actor(name="late")

    assert [answer.get(timeout=WAIT) for answer in answers] == ["here"] * 6


def test_a_handle_of_ones_own_making_resolves_on_every_use(actor) -> None:
    current = []
    handle = Handle(lambda: current[-1] if current else None, label="latest", wait=WAIT)
    nobody = handle.whereis()
    current.append(actor())

    assert (nobody, handle.whereis(), repr(handle)) == (None, current[0], "<Handle 'latest'>")
