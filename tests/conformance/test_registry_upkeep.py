"""A registry as a child of a supervisor, and what registries keep of those that are gone."""

import gc
import itertools
from queue import Empty, SimpleQueue

import pykka
import pytest

from supervisors import (
    AlreadyRegistered,
    ChildSpec,
    NoProcError,
    Registered,
    Registry,
    StartFailed,
    Unknown,
    Unregistered,
    call,
    cast,
    kill,
)
from supervisors.events import ChildStarted
from tests.conformance.waiting import NO_LIMIT, PATIENCE, eventually, in_thread, inside

numbers = itertools.count()


@pytest.fixture
def registry():
    return Registry(("unique", next(numbers)))


def test_S_185_when_a_registry_crashes_those_after_it_start_anew_and_register_again(
    start, spec, events, do, worker
) -> None:
    def on_start(actor):
        Registry.get("owned").register("users", actor.name)

    sup = start(
        [
            spec("before"),
            Registry.child_spec(name="owned", keys="duplicate"),
            spec("a", on_start=on_start),
            spec("b", on_start=on_start),
        ],
        strategy="rest_for_one",
    )
    registry, before = Registry.get("owned"), {child.id: child.ref for child in sup.which_children()}
    users = [(before["a"], "a"), (before["b"], "b")]
    assert registry.lookup("users") == users
    kill(before["owned"])
    events.wait(ChildStarted, id="b", generation=1)
    after = {child.id: child.ref for child in sup.which_children()}
    assert [child for child in before if before[child] is after[child]] == ["before"]
    assert registry.lookup("users") == [(after["a"], "a"), (after["b"], "b")]
    assert Registry.get("owned") is registry


def test_S_185_a_registry_under_a_supervisor_is_empty_and_refuses_while_it_is_down(
    start, spec, actor
) -> None:
    news = SimpleQueue()
    sup = start([Registry.child_spec(name="owned", listeners=[news]), spec("a")])
    registry, ref = Registry.get("owned"), actor()
    registry.register("key", 1, ref=ref)
    via = registry.via("key", wait=0)
    assert via.call("hello") == "hello"
    sup.terminate_child("owned")
    assert news.get(timeout=PATIENCE) == Registered("owned", "key", ref, 1)
    lost = news.get(timeout=PATIENCE)
    assert (lost.key, lost.reason.ok) == ("key", True)
    for operation in (
        lambda: registry.register("key", ref=ref),
        lambda: registry.unregister("key", ref=ref),
        lambda: registry.lookup("key"),
        lambda: registry.whereis("key"),
        lambda: registry.match("key", bool),
        lambda: registry.select(lambda *_: True),
        lambda: registry.keys(ref),
        lambda: registry.values("key", ref),
        registry.count,
        lambda: registry.dispatch("key", bool),
        lambda: registry.lock("key"),
        lambda: via.call("hello"),
    ):
        with pytest.raises(NoProcError):
            operation()
    assert cast(via, "hello") is False
    sup.restart_child("owned")
    assert Registry.get("owned") is registry
    assert registry.count() == 0
    registry.register("key", 2, ref=ref)
    assert via.call("hello") == "hello"
    assert call(ref, "alive") == "alive"


def test_S_185_a_handle_may_wait_for_the_registry_and_its_users_to_come_back(start, actor) -> None:
    sup, ref = start([Registry.child_spec(name="owned")]), actor()
    via = Registry.get("owned").via("key", wait=NO_LIMIT)
    sup.terminate_child("owned")
    asked = in_thread(lambda: via.call("hello", NO_LIMIT))
    eventually(lambda: Registry.get("owned").registrations.waiters() == 1)
    sup.restart_child("owned")
    Registry.get("owned").register("key", ref=ref)
    assert asked.get(timeout=PATIENCE) == "hello"


def test_S_185_a_registry_whose_supervisor_has_ended_is_gone(start, actor) -> None:
    sup, ref = start([Registry.child_spec(name="owned")]), actor()
    registry = Registry.get("owned")
    registry.register("key", ref=ref)
    sup.stop()
    with pytest.raises(NoProcError, match="owned"):
        registry.lookup("key")
    again = start([Registry.child_spec(name="owned")])
    assert Registry.get("owned") is registry
    assert registry.lookup("key") == []
    again.stop()
    del registry
    gc.collect()
    with pytest.raises(ValueError, match="no registry"):
        Registry.get("owned")


def test_S_185_a_registry_that_comes_back_with_other_keys_is_another_one(start, actor) -> None:
    start([Registry.child_spec(name="owned")]).stop()
    sup = start([Registry.child_spec(name="owned")])
    old, ref = Registry.get("owned"), actor()
    sup.stop()
    start([Registry.child_spec(name="owned", keys="duplicate")])
    for _ in range(2):
        Registry.get("owned").register("key", ref=ref)
    assert Registry.get("owned").count() == 2
    with pytest.raises(NoProcError):
        old.count()


def test_S_185_a_registry_of_that_name_that_is_there_already_fails_the_start(start) -> None:
    held = Registry("owned")
    with pytest.raises(StartFailed, match="another registry"):
        start([Registry.child_spec(name="owned")])
    del held
    gc.collect()
    sup = start([Registry.child_spec(name="owned")])
    with pytest.raises(StartFailed, match="another registry"):
        start([Registry.child_spec(name="owned")])
    sup.stop()


# Growth, and actors of plain pykka


def test_S_186_failed_registrations_leave_no_growth(actor, registry) -> None:
    holder, other = actor(), actor()
    registry.register("key", ref=holder)
    for _ in range(1000):
        with pytest.raises(AlreadyRegistered):
            registry.register("key", ref=other)
    assert len(registry.registrations) == registry.count() == 1
    assert not other.actor_inbox.incarnation.cleanups
    assert registry.keys(other) == []


def test_S_186_what_was_given_back_leaves_nothing_in_its_owner(actor, either) -> None:
    ref = actor()

    def take_and_give_back():
        for number in range(100):
            either.register(number)
            either.unregister(number)
            with either.lock(number):
                pass

    inside(ref, take_and_give_back)
    assert len(either.registrations) == 0
    assert len(either.locks) == 0
    assert not ref.actor_inbox.incarnation.cleanups


def test_dead_actors_of_plain_pykka_do_not_pile_up(registry) -> None:
    for number in range(200):
        ref = pykka.ThreadingActor.start()
        registry.register(number, ref=ref)
        ref.stop()
    assert len(registry.registrations) <= 17
    assert registry.count() == 0


def test_of_a_dead_actor_of_plain_pykka_listeners_hear_when_somebody_looks(actor) -> None:
    news = SimpleQueue()
    registry = Registry(("heard", next(numbers)), listeners=[news])
    plain, ref = pykka.ThreadingActor.start(), actor()
    registry.register("key", ref=plain)
    plain.stop()
    assert registry.lookup("key") == []
    registry.register("key", ref=ref)
    heard = [news.get(timeout=PATIENCE) for _ in range(3)]
    assert heard[1] == Unregistered(registry.name, "key", plain, Unknown())
    with pytest.raises(Empty):
        news.get_nowait()


def test_keys_that_python_holds_equal_are_one_key(actor, registry) -> None:
    ref = actor()
    registry.register(1, ref=ref)
    assert registry.whereis(1.0) is registry.whereis(True) is ref
    with pytest.raises(AlreadyRegistered):
        registry.register(True, ref=ref)


def test_a_start_that_fails_frees_its_name_also_of_a_via(start, spec, registry) -> None:
    def on_start(_actor):
        raise ValueError("mine")

    sup = start([])
    with pytest.raises(StartFailed):
        sup.start_child(spec("a", name=registry.via("key"), on_start=on_start))
    assert registry.count() == 0
    assert sup.start_child(spec("b", name=registry.via("key"))) is registry.whereis("key")


def test_a_child_under_a_name_of_a_registry_that_is_down_fails_to_start(start, spec) -> None:
    sup = start([Registry.child_spec(name="owned")])
    via = Registry.get("owned").via("key")
    sup.terminate_child("owned")
    with pytest.raises(StartFailed, match="is down"):
        sup.start_child(ChildSpec(id="a", start=spec("a").start, name=via))
