import itertools
import math
import types

import pykka
import pytest

from supervisors.backoff import Backoff
from supervisors.errors import InvalidChildSpec
from supervisors.spec import BRUTAL_KILL, IGNORE, INFINITY, ChildSpec, RestartType, Strategy, child_spec


class Worker(pykka.ThreadingActor):
    pass


class WithOwnSpec(pykka.ThreadingActor):
    @classmethod
    def child_spec(cls, size=1):
        return ChildSpec(id=("own", size), start=cls, args=(size,), restart="temporary")


class LikeASupervisor(pykka.ThreadingActor):
    child_type = "supervisor"


def test_S_013_the_defaults_are_those_of_a_permanent_worker() -> None:
    spec = ChildSpec(id="a", start=Worker)
    assert (spec.restart, spec.shutdown, spec.type, spec.significant) == (
        RestartType.PERMANENT,
        5.0,
        "worker",
        False,
    )


def test_S_014_a_supervisor_has_no_limit_of_its_own_unless_it_is_given_one() -> None:
    spec = ChildSpec(id="a", start=LikeASupervisor)
    assert (spec.type, spec.shutdown) == ("supervisor", INFINITY)
    assert ChildSpec(id="a", start=LikeASupervisor, shutdown=BRUTAL_KILL).shutdown is BRUTAL_KILL


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"start": Worker}, "id"),
        ({"id": "a"}, "start"),
        ({"id": [], "start": Worker}, "id"),
        ({"id": "a", "start": 42}, "start"),
        ({"id": "a", "start": dict}, "start"),
        ({"id": "a", "start": Worker, "restart": "prmanent"}, "restart"),
        ({"id": "a", "start": Worker, "shutdown": -10}, "shutdown"),
        ({"id": "a", "start": Worker, "shutdown": math.nan}, "shutdown"),
        ({"id": "a", "start": Worker, "shutdown": True}, "shutdown"),
        ({"id": "a", "start": Worker, "type": "wrker"}, "type"),
        ({"id": "a", "start": Worker, "significant": "maybe"}, "significant"),
        ({"id": "a", "start": Worker, "significant": True}, "significant"),
        ({"id": "a", "start": Worker, "args": "text"}, "args"),
        ({"id": "a", "start": Worker, "kwargs": [1]}, "kwargs"),
        ({"id": "a", "start": Worker, "name": []}, "name"),
        ({"id": "a", "start": Worker, "start_timeout": 0}, "start_timeout"),
        ({"id": "a", "start": Worker, "on_stuck": "wait"}, "on_stuck"),
        ({"id": "a", "start": Worker, "on_exceeded": "ignore"}, "on_exceeded"),
        ({"id": "a", "start": Worker, "ask_failure": "x"}, "ask_failure"),
        ({"id": "a", "start": Worker, "kill_hook": 3}, "kill_hook"),
        ({"id": "a", "start": Worker, "on_exit": 3}, "on_exit"),
        ({"id": "a", "start": Worker, "drain": 1}, "drain"),
        ({"id": "a", "start": Worker, "backoff": 2.0}, "backoff"),
    ],
)
def test_S_017_S_032_a_field_out_of_range_is_refused_by_name(fields, name) -> None:
    with pytest.raises(InvalidChildSpec) as caught:
        ChildSpec(**fields)
    assert caught.value.field == name


def test_S_033_every_combination_of_restart_shutdown_and_type_is_accepted() -> None:
    for restart, shutdown, kind in itertools.product(
        RestartType, (0, 1.0, INFINITY, BRUTAL_KILL), ("worker", "supervisor")
    ):
        assert (
            ChildSpec(id=1, start=Worker, restart=restart, shutdown=shutdown, type=kind).shutdown == shutdown
        )


def test_S_036_an_unknown_field_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        ChildSpec(id="a", start=Worker, restrat="permanent")
    with pytest.raises(TypeError):
        child_spec(Worker, restrat="permanent")


def test_S_025_a_spec_is_made_of_a_class_a_tuple_or_another_spec() -> None:
    assert child_spec(Worker) == ChildSpec(id=Worker, start=Worker)
    assert child_spec((Worker, 1)).args == (1,)
    assert child_spec((Worker, {"size": 2})).kwargs == {"size": 2}
    spec = child_spec(ChildSpec(id="a", start=Worker), id="x", shutdown=INFINITY)
    assert (spec.id, spec.shutdown) == ("x", INFINITY)


@pytest.mark.parametrize("what", ["text", math, types, dict, 42, None, (), ("a",)])
def test_S_026_what_is_no_actor_class_is_named_in_the_error(what) -> None:
    with pytest.raises(TypeError) as caught:
        child_spec(what)
    assert repr(what) in str(caught.value)


def test_S_027_a_class_can_carry_its_own_defaults() -> None:
    assert child_spec(WithOwnSpec).restart is RestartType.TEMPORARY
    assert child_spec((WithOwnSpec, 5)).id == ("own", 5)
    assert child_spec((WithOwnSpec, {"size": 6})).args == (6,)


def test_a_class_whose_own_spec_is_rubbish_is_named() -> None:
    class Wrong(pykka.ThreadingActor):
        @classmethod
        def child_spec(cls):
            return 3

    with pytest.raises(TypeError, match="Wrong"):
        child_spec(Wrong)


def test_enums_accept_their_string_values() -> None:
    assert Strategy("one_for_one") is Strategy.ONE_FOR_ONE
    assert ChildSpec(id=1, start=Worker, restart="transient").restart is RestartType.TRANSIENT
    assert repr(IGNORE)


def test_a_spec_without_its_arguments_is_otherwise_the_same() -> None:
    spec = ChildSpec(id=1, start=Worker, args=(object(),), kwargs={"a": 1}, backoff=Backoff())
    bare = spec.without_arguments()
    assert (bare.args, dict(bare.kwargs), bare.backoff, bare.id) == ((), {}, spec.backoff, 1)
