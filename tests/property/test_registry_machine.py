"""Registries against a list of entries: whatever comes in whatever order, both say the same, and nothing is left behind."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from supervisors import (
    AlreadyRegistered,
    NoProcError,
    PooledActor,
    Registered,
    Registry,
    Unregistered,
    start_actor,
)

KEYS = st.sampled_from(["a", "b", 1, 1.0, True, ("c", 2)])
VALUES = st.integers(-2, 2)
PLACES = st.integers(0, 3)
numbers = itertools.count()


class Nobody(PooledActor):
    """Does nothing."""


class RegistryMachine(RuleBasedStateMachine):
    """Four places for actors, who come and go; the model is the list of entries in the order they came."""

    keys: str

    def __init__(self) -> None:
        super().__init__()
        self.heard = []
        self.told = []
        self.registry = Registry(("machine", next(numbers)), keys=self.keys, listeners=[self.heard.append])
        self.refs = [start_actor(Nobody) for _ in range(4)]
        self.dead = []
        self.model: list[tuple] = []

    def take_out(self, gone, reason=None) -> None:
        self.told += [Unregistered(self.registry.name, key, ref, reason) for key, ref, _ in gone]
        self.model = [entry for entry in self.model if not any(entry is other for other in gone)]

    @rule(key=KEYS, value=VALUES, place=PLACES)
    def register(self, key, value, place) -> None:
        ref = self.refs[place]
        holder = next((other for known, other, _ in self.model if known == key), None)
        if self.keys == "unique" and holder is not None:
            with pytest.raises(AlreadyRegistered) as caught:
                self.registry.register(key, value, ref=ref)
            assert caught.value.ref is holder
            return
        self.registry.register(key, value, ref=ref)
        self.model.append((key, ref, value))
        self.told.append(Registered(self.registry.name, key, ref, value))

    @rule(key=KEYS, place=PLACES)
    def unregister(self, key, place) -> None:
        ref = self.refs[place]
        self.registry.unregister(key, ref=ref)
        self.take_out([entry for entry in self.model if entry[0] == key and entry[1] is ref])

    @rule(key=KEYS, place=PLACES, limit=VALUES)
    def unregister_match(self, key, place, limit) -> None:
        ref = self.refs[place]
        self.registry.unregister_match(key, lambda value: value > limit, ref=ref)
        self.take_out(
            [entry for entry in self.model if entry[0] == key and entry[1] is ref and entry[2] > limit]
        )

    @rule(place=PLACES)
    def end(self, place) -> None:
        ref, self.refs[place] = self.refs[place], start_actor(Nobody)
        ref.stop()
        self.dead.append(ref)
        self.take_out([entry for entry in self.model if entry[1] is ref], ref.actor_inbox.closed)

    @precondition(lambda self: self.dead)
    @rule(key=KEYS)
    def register_the_dead(self, key) -> None:
        taken = self.keys == "unique" and any(known == key for known, _, _ in self.model)
        with pytest.raises(AlreadyRegistered if taken else NoProcError):
            self.registry.register(key, ref=self.dead[-1])

    @rule(key=KEYS, limit=VALUES)
    def look(self, key, limit) -> None:
        here = [(ref, value) for known, ref, value in self.model if known == key]
        assert self.registry.lookup(key) == here
        assert self.registry.match(key, lambda value: value > limit) == [
            one for one in here if one[1] > limit
        ]
        assert self.registry.count_match(key, lambda value: value > limit) == sum(v > limit for _, v in here)
        if self.keys == "unique":
            assert self.registry.whereis(key) is (here[0][0] if here else None)
        for ref in self.refs:
            assert self.registry.values(key, ref) == [value for other, value in here if other is ref]

    @invariant()
    def same_entries(self) -> None:
        assert self.registry.count() == len(self.model) == len(self.registry.registrations)
        for ref in self.refs:
            assert self.registry.keys(ref) == [key for key, other, _ in self.model if other is ref]
            assert bool(ref.actor_inbox.incarnation.cleanups) == any(
                other is ref for _, other, _ in self.model
            )
        everything = self.registry.select(lambda *_: True)
        assert sorted(everything, key=repr) == sorted(self.model, key=repr)

    @invariant()
    def listeners_have_heard_of_every_change(self) -> None:
        assert self.heard == self.told

    def teardown(self) -> None:
        for ref in self.refs:
            ref.stop()
        assert len(self.registry.registrations) == 0


class UniqueMachine(RegistryMachine):
    keys = "unique"


class DuplicateMachine(RegistryMachine):
    keys = "duplicate"


TestUniqueKeys = UniqueMachine.TestCase
TestUniqueKeys.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestDuplicateKeys = DuplicateMachine.TestCase
TestDuplicateKeys.settings = TestUniqueKeys.settings
