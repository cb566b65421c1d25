"""Registries: entries, values, listeners, locks, ownership."""

import gc
import itertools
import threading
import weakref
from queue import SimpleQueue

import pytest

from supervisors import (
    AlreadyRegistered,
    AlreadyStarted,
    Fenced,
    InvalidOption,
    Normal,
    NotFound,
    Registered,
    Registry,
    Unregistered,
    call,
    monitor,
    names,
    start_actor,
)
from supervisors.events import ChildStarted
from tests.conformance.waiting import PATIENCE, in_thread, inside

numbers = itertools.count()


@pytest.fixture
def registry():
    return Registry(("unique", next(numbers)))


@pytest.fixture
def many():
    return Registry(("duplicate", next(numbers)), keys="duplicate")


def is_positive(value):
    return value > 0


# Entries


def test_S_170_an_actor_may_have_several_keys(actor, either) -> None:
    ref = actor()
    assert either.count() == 0
    inside(ref, lambda: either.register("a", 1))
    inside(ref, lambda: either.register("b", 2))
    assert either.count() == 2
    assert either.keys(ref) == ["a", "b"]
    assert either.lookup("a") == [(ref, 1)]


def test_S_171_a_live_unique_key_is_taken_and_the_second_attempt_leaves_no_trace(actor, registry) -> None:
    holder, other = actor(), actor()
    registry.register("key", "old", ref=holder)
    for ref in (holder, other):
        with pytest.raises(AlreadyRegistered) as caught:
            inside(ref, lambda: registry.register("key", "new"))
        assert caught.value.ref is holder
    assert (registry.keys(holder), registry.keys(other)) == (["key"], [])
    assert (registry.values("key", holder), registry.values("key", other)) == (["old"], [])
    assert registry.whereis("key") is holder


def test_S_172_each_registration_of_a_duplicate_key_is_an_entry_of_its_own(actor, many) -> None:
    one, two = actor(), actor()
    for value in (1, 2):
        many.register("key", value, ref=one)
    many.register("key", 3, ref=two)
    assert many.keys(one) == ["key", "key"]
    assert (many.values("key", one), many.values("key", two)) == ([1, 2], [3])
    assert many.lookup("key") == [(one, 1), (one, 2), (two, 3)]
    assert many.count() == 3


def test_S_173_with_its_end_an_actor_loses_all_its_entries(actor, either) -> None:
    ref, other = actor(), actor()
    for key in ("a", "b"):
        either.register(key, ref=ref)
    either.register("c", ref=other)
    ref.stop()
    assert (either.lookup("a"), either.keys(ref), either.values("a", ref)) == ([], [], [])
    assert len(either.registrations) == either.count() == 1  # the first counts what is there, dead or alive


def test_S_173_who_hears_of_the_end_can_take_the_key_at_once(actor, registry, do) -> None:
    ref, successor = actor(), actor()
    registry.register("key", ref=ref)
    taken = SimpleQueue()
    monitor(ref, notify=lambda _down: taken.put(registry.register("key", ref=successor)))
    ref.tell(do.crash)
    assert taken.get(timeout=PATIENCE) is None
    assert registry.whereis("key") is successor


def test_S_173_an_entry_does_not_outlive_an_abandoned_owner(start, spec, hang, registry) -> None:
    sup, gate, refused = start([spec("a", shutdown=0)]), hang(), SimpleQueue()

    def work(actor):
        registry.register("key")
        gate(actor)
        try:
            registry.register("other")
        except Fenced as error:
            refused.put(error)

    sup.child("a").tell(work)
    assert gate.entered.wait(PATIENCE)
    assert registry.count() == 1
    sup.terminate_child("a")
    assert registry.count() == 0
    gate.release.set()
    assert isinstance(refused.get(timeout=PATIENCE), Fenced)


def test_S_174_unregister_takes_all_of_ones_own_under_that_key_and_no_more(actor, many) -> None:
    one, two = actor(), actor()
    for ref in (one, two):
        for key in ("a", "a", "b"):
            many.register(key, ref=ref)
    inside(one, lambda: many.unregister("a"))
    assert (many.keys(one), many.keys(two)) == (["b"], ["a", "a", "b"])
    inside(one, lambda: many.unregister("a"))
    inside(one, lambda: many.unregister("never there"))
    assert many.count() == 4


def test_S_174_a_unique_key_that_was_given_back_is_free(actor, registry) -> None:
    one, two = actor(), actor()
    inside(one, lambda: registry.register("key"))
    inside(two, lambda: registry.unregister("key"))
    assert registry.whereis("key") is one
    inside(one, lambda: registry.unregister("key"))
    inside(two, lambda: registry.register("key"))
    assert registry.whereis("key") is two


def test_outside_of_actors_an_owner_has_to_be_named(either) -> None:
    for operation in (
        lambda: either.register("key"),
        lambda: either.unregister("key"),
        lambda: either.unregister_match("key", bool),
    ):
        with pytest.raises(ValueError, match="ref="):
            operation()


# Predicates


def test_S_175_match_and_count_match_go_by_value(actor, many) -> None:
    ref = actor()
    for value in (-1, 1, 2):
        many.register("key", value, ref=ref)
    many.register("other", 3, ref=ref)
    assert many.match("key", is_positive) == [(ref, 1), (ref, 2)]
    assert many.count_match("key", is_positive) == 2
    assert many.match("key", lambda value: value > 5) == []
    assert many.count_match("nobody", is_positive) == 0


def test_S_175_on_a_unique_key_too(actor, registry) -> None:
    ref = actor()
    registry.register("key", 1, ref=ref)
    assert registry.match("key", is_positive) == [(ref, 1)]
    assert registry.count_match("key", lambda value: not is_positive(value)) == 0


def test_S_176_unregister_match_takes_matching_ones_of_the_caller_only(actor, many) -> None:
    one, two = actor(), actor()
    for ref in (one, two):
        for value in (-1, 1, 2):
            many.register("key", value, ref=ref)
    inside(one, lambda: many.unregister_match("key", is_positive))
    assert many.values("key", one) == [-1]
    assert many.values("key", two) == [-1, 1, 2]


def test_S_176_on_a_unique_key_too(actor, registry) -> None:
    ref = actor()
    registry.register("key", 1, ref=ref)
    registry.unregister_match("key", lambda value: value > 5, ref=ref)
    assert registry.whereis("key") is ref
    registry.unregister_match("key", is_positive, ref=ref)
    assert registry.whereis("key") is None


def test_S_177_select_looks_at_key_ref_and_value(actor, either) -> None:
    one, two = actor(), actor()
    assert either.select(lambda _key, _ref, _value: True) == []
    either.register("a", 1, ref=one)
    either.register("b", 2, ref=two)
    either.register("c", 3, ref=one)
    assert either.select(lambda key, _ref, _value: key < "c") == [("a", one, 1), ("b", two, 2)]
    assert either.select(lambda _key, ref, _value: ref is one) == [("a", one, 1), ("c", one, 3)]
    assert either.select(lambda _key, _ref, value: value == 2) == [("b", two, 2)]


def test_S_178_dispatch_calls_once_in_this_thread_with_all_entries_of_the_key(actor, many) -> None:
    one, two, calls = actor(), actor(), []

    def note(entries):
        calls.append((threading.current_thread(), entries))

    many.dispatch("key", note)
    assert calls == []
    many.register("key", 1, ref=one)
    many.dispatch("key", note)
    many.register("key", 2, ref=two)
    many.register("other", 3, ref=two)
    many.dispatch("key", note)
    here = threading.current_thread()
    assert calls == [(here, [(one, 1)]), (here, [(one, 1), (two, 2)])]
    with pytest.raises(ZeroDivisionError):
        many.dispatch("key", lambda _entries: 1 / 0)


def test_S_178_on_a_unique_registry_too(actor, registry) -> None:
    ref, calls = actor(), []
    registry.register("key", 1, ref=ref)
    registry.dispatch("key", calls.append)
    registry.dispatch("other", calls.append)
    assert calls == [[(ref, 1)]]


# Listeners


@pytest.mark.parametrize("keys", ["unique", "duplicate"])
def test_S_179_a_listener_is_told_what_comes_and_goes(actor, keys, do) -> None:
    news = SimpleQueue()
    name = ("heard", next(numbers))
    registry = Registry(name, keys=keys, listeners=[news])
    ref = actor()
    registry.register("key", 1, ref=ref)
    registry.unregister("key", ref=ref)
    registry.register("key", 2, ref=ref)
    ref.tell(do.finish(Normal()))
    heard = [news.get(timeout=PATIENCE) for _ in range(4)]
    assert heard == [
        Registered(name, "key", ref, 1),
        Unregistered(name, "key", ref),
        Registered(name, "key", ref, 2),
        Unregistered(name, "key", ref, Normal()),
    ]


def test_S_179_refs_handles_and_functions_listen_as_well(actor, worker) -> None:
    heard = SimpleQueue()

    class Listener(worker):
        def on_receive(self, message):
            if isinstance(message, Registered | Unregistered):
                heard.put((self.name, message.key))
                return None
            return super().on_receive(message)

    refs = [start_actor(Listener, name) for name in ("by ref", "by name")]
    dead = actor()
    dead.stop()
    names.register("listener", ref=refs[1])
    registry = Registry(
        ("heard", next(numbers)),
        listeners=[dead, refs[0], names.via("listener"), lambda event: heard.put(("function", event.key))],
    )
    registry.register("key", ref=actor())
    assert {heard.get(timeout=PATIENCE) for _ in range(3)} == {
        ("by ref", "key"),
        ("by name", "key"),
        ("function", "key"),
    }
    for ref in refs:
        ref.stop()


def test_S_179_a_listener_that_raises_or_registers_disturbs_nobody(actor) -> None:
    news, ref = SimpleQueue(), actor()

    def register_more(event):
        if event.key < 5:
            registry.register(event.key + 1, ref=ref)

    registry = Registry(("heard", next(numbers)), listeners=[lambda _event: 1 / 0, register_more, news])
    registry.register(1, ref=ref)
    assert [news.get(timeout=PATIENCE).key for _ in range(5)] == [1, 2, 3, 4, 5]


def test_S_179_listeners_hear_of_changes_by_many_threads_in_their_order(actor) -> None:
    news = SimpleQueue()
    registry = Registry(("heard", next(numbers)), listeners=[news])
    refs, together = [actor() for _ in range(4)], threading.Barrier(4)

    def take_turns(ref):
        together.wait(PATIENCE)
        done = 0
        while done < 50:
            try:
                registry.register("key", ref=ref)
            except AlreadyRegistered:
                continue
            registry.unregister("key", ref=ref)
            done += 1

    for future in [in_thread(lambda ref=ref: take_turns(ref)) for ref in refs]:
        future.get(timeout=PATIENCE * 3)
    heard = [news.get(timeout=PATIENCE) for _ in range(400)]
    for taken, given in zip(heard[::2], heard[1::2], strict=True):
        assert isinstance(taken, Registered)
        assert isinstance(given, Unregistered)
        assert taken.ref is given.ref


@pytest.mark.parametrize("listeners", [3, "listener", [3], ["a name"], [None]])
def test_what_cannot_be_told_is_no_listener(listeners) -> None:
    with pytest.raises(InvalidOption, match="listeners"):
        Registry(("heard", next(numbers)), listeners=listeners)


# Via


def test_S_180_a_via_is_a_name_to_start_under_and_to_call(worker, actor, registry) -> None:
    via = registry.via("key", "value")
    ref = actor(name=via)
    assert registry.lookup("key") == [(ref, "value")]
    assert via.whereis() is ref
    assert call(via, "hello") == via.call("hello") == "hello"
    assert monitor(via) is not None
    with pytest.raises(AlreadyStarted) as caught:
        start_actor(worker, name=via)
    assert caught.value.ref is ref


def test_S_180_a_via_names_children_too(start, spec, registry, events, do) -> None:
    via = registry.via("key")
    sup = start([spec("a", name=via)])
    with pytest.raises(AlreadyStarted) as caught:
        sup.start_child(spec("b", name=via))
    assert caught.value.ref is via.whereis()
    via.cast(do.crash)
    events.wait(ChildStarted, id="a", generation=1)
    assert via.whereis() is sup.which_child("a").ref


def test_S_181_duplicate_keys_have_no_via(many) -> None:
    with pytest.raises(ValueError, match="unique"):
        many.via("key")
    with pytest.raises(ValueError, match="unique"):
        many.whereis("key")


def test_S_182_an_unknown_registry_is_an_error() -> None:
    with pytest.raises(ValueError, match="no registry"):
        Registry.get("never made")


def test_S_182_a_registry_is_found_by_its_name_as_long_as_somebody_holds_it() -> None:
    registry = Registry("held")
    assert Registry.get("held") is registry
    with pytest.raises(ValueError, match=r"Registry\.get"):
        Registry("held")
    gone = weakref.ref(registry)
    del registry
    gc.collect()
    assert gone() is None
    with pytest.raises(ValueError, match="no registry"):
        Registry.get("held")


@pytest.mark.parametrize("make", [Registry, Registry.child_spec], ids=["alone", "child"])
def test_what_a_registry_cannot_be_is_refused_before_it_is_made(make) -> None:
    with pytest.raises(InvalidOption, match="keys"):
        make(name="never made", keys="triple")
    with pytest.raises(InvalidOption, match="listeners"):
        make(name="never made", listeners=[None])


# Values


def test_the_owner_updates_its_value(actor, registry) -> None:
    ref = actor()
    registry.register("key", 1, ref=ref)
    assert inside(ref, lambda: registry.update_value("key", lambda value: value + 1)) == (2, 1)
    assert registry.lookup("key") == [(ref, 2)]
    assert registry.values("key", ref) == [2]


def test_others_do_not_update_a_value(actor, registry) -> None:
    ref, other, calls = actor(), actor(), []
    registry.register("key", 1, ref=ref)
    for update in (
        lambda: inside(other, lambda: registry.update_value("key", calls.append)),
        lambda: inside(ref, lambda: registry.update_value("nobody", calls.append)),
        lambda: registry.update_value("key", calls.append),
    ):
        with pytest.raises(NotFound):
            update()
    assert calls == []
    assert registry.lookup("key") == [(ref, 1)]


def test_S_183_a_value_of_a_duplicate_registry_is_not_updated(actor, many) -> None:
    ref = actor()
    many.register("key", 1, ref=ref)
    with pytest.raises(ValueError, match="unique"):
        inside(ref, lambda: many.update_value("key", lambda value: value))
