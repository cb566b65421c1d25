"""Everything out of range is refused before anything starts, by name and value; what could never be answered, at once.

Tables: each option and each field of a spec has its line, and a test sees to that.
"""

import dataclasses
import math

import pytest

from supervisors import (
    Backoff,
    ChildSpec,
    CircuitBreaker,
    DynamicSupervisor,
    InvalidChildSpec,
    InvalidOption,
    PartitionSupervisor,
    PooledActor,
    Registry,
    Supervisor,
    TaskSupervisor,
    call,
    child_spec,
    monitor,
    names,
    poll_all,
    result_all,
    run,
    send_exit,
    sleep,
    start_actor,
    subscribe,
)
from supervisors.options import SHARED_FLAGS, Options

PATIENCE = 10.0
NAN, INF = math.nan, math.inf


class Silent(PooledActor):
    """Nobody should start one here."""

    started = 0

    def on_start(self):
        type(self).started += 1


@pytest.fixture(autouse=True)
def nobody_starts():
    Silent.started = 0
    yield
    assert Silent.started == 0


def pairs(table):
    return [(field, value) for field, values in table.items() for value in values]


def refused(error, call_it, field, value):
    """It raises `error` that names field and value."""
    with pytest.raises(error) as caught:
        call_it()
    assert isinstance(caught.value, ValueError)
    assert caught.value.field.rpartition(".")[2] == field
    assert caught.value.value is value or caught.value.value == value
    assert repr(value) in str(caught.value)


# Flags of supervisors

FLAGS = {
    "strategy": ["none_for_one", None, 3],
    "max_restarts": [-1, 1.5, True, INF, None, "3"],
    "max_seconds": [0, -1, INF, NAN, True, None, "5"],
    "auto_shutdown": ["sometimes", None, 1],
    "on_exceeded": ["ignore", None, 1],
    "park_time": [0, -1, INF, NAN, True, "60"],
    "max_zombies": [-1, 1.5, True, None],
    "backoff": [3, "x", True],
    "clock": [3, "x"],
    "random": [3, "x"],
}
ONLY_DYNAMIC = {
    "max_children": [-1, 1.5, True, NAN, None, "3"],
    "extra_args": [3, "abc", None],
    "strategy": ["one_for_all", "rest_for_one"],
    "auto_shutdown": ["any_significant", "all_significant"],
}
FIRST = ChildSpec(id="first", start=Silent)


def test_every_flag_has_its_line() -> None:
    assert FLAGS.keys() - {"clock", "random"} == set(SHARED_FLAGS)
    assert FLAGS.keys() | ONLY_DYNAMIC.keys() >= {field.name for field in dataclasses.fields(Options)}


@pytest.mark.parametrize(("field", "value"), pairs(FLAGS))
@pytest.mark.parametrize("kind", ["static", "dynamic", "tasks", "partitions"])
def test_a_flag_out_of_range_is_refused_by_every_kind_of_supervisor(kind, field, value) -> None:
    begin = {
        "static": lambda: Supervisor.start([FIRST], **{field: value}),
        "dynamic": lambda: DynamicSupervisor.start(**{field: value}),
        "tasks": lambda: TaskSupervisor.start(**{field: value}),
        "partitions": lambda: PartitionSupervisor.start(Silent, name="p", **{field: value}),
    }[kind]
    refused(InvalidOption, begin, field, value)


@pytest.mark.parametrize(("field", "value"), pairs(ONLY_DYNAMIC))
def test_a_flag_out_of_range_is_refused_by_a_dynamic_supervisor(field, value) -> None:
    refused(InvalidOption, lambda: DynamicSupervisor.start(**{field: value}), field, value)


@pytest.mark.parametrize(("field", "value"), pairs(FLAGS))
def test_a_flag_of_a_supervisor_below_is_refused_before_those_beside_it_start(start, field, value) -> None:
    below = Supervisor.child_spec([], name="below", **{field: value})
    above = Supervisor.child_spec([FIRST, below], name="above")
    refused(InvalidOption, lambda: Supervisor.start([FIRST, below]), field, value)
    refused(InvalidOption, lambda: Supervisor.start([FIRST, above]), field, value)
    root = start([])
    refused(InvalidOption, lambda: root.start_child(above), field, value)
    assert root.which_children() == []


def test_a_flag_of_a_class_below_is_refused_before_those_beside_it_start() -> None:
    class Strict(Supervisor):
        max_restarts = -5

        def __init__(self, database):
            super().__init__()
            raise AssertionError("the constructor of the user's own ran")

    refused(InvalidOption, lambda: Supervisor.start([FIRST, (Strict, "db")]), "max_restarts", -5)


@pytest.mark.parametrize(
    "below",
    [
        Supervisor.child_spec([], max_restart=3),
        Supervisor.child_spec(["text"]),
        Supervisor.child_spec(3),
        DynamicSupervisor.child_spec(3),
        DynamicSupervisor.child_spec(strategy="one_for_all"),
        TaskSupervisor.child_spec(extra_args=(1,)),
        PartitionSupervisor.child_spec(Silent, name="p", partitions=0),
        PartitionSupervisor.child_spec(Silent, name="p", with_arguments=3),
        Supervisor.child_spec([FIRST, FIRST]),
        Supervisor.child_spec(iter([FIRST])),
        ChildSpec(id="raw", start=Supervisor, kwargs={"max_restarts": -1}),
    ],
    ids=range(11),
)
def test_what_a_supervisor_below_would_not_start_with_is_refused_before_those_beside_it_start(below) -> None:
    with pytest.raises((InvalidOption, InvalidChildSpec, TypeError)):
        Supervisor.start([FIRST, below])


# Fields of specs

FIELDS = {
    "id": [[]],
    "start": [3, None, "x", int],
    "args": [3, "abc", None],
    "kwargs": [3, [("a", 1)], {1: 2}, None],
    "restart": ["prmanent", None, 3],
    "shutdown": [-10, NAN, True, "5"],
    "type": ["wrker", 3],
    "significant": ["maybe", 1, None],
    "name": [[]],
    "start_timeout": [0, -1, NAN, True, None, "x"],
    "backoff": [3, "x"],
    "on_exceeded": ["ignore", 3],
    "on_stuck": ["wait", None],
    "kill_hook": [3],
    "on_exit": [3],
    "drain": ["yes", 1, None],
    "ask_failure": ["ignore", None],
}


def test_every_field_has_its_line() -> None:
    assert FIELDS.keys() == {field.name for field in dataclasses.fields(ChildSpec)}


@pytest.mark.parametrize(("field", "value"), pairs(FIELDS))
def test_a_field_out_of_range_is_refused_where_the_spec_is_made(field, value) -> None:
    good = {"id": "a", "start": Silent}
    refused(InvalidChildSpec, lambda: ChildSpec(**good | {field: value}), field, value)
    refused(InvalidChildSpec, lambda: child_spec(ChildSpec(**good), **{field: value}), field, value)


@pytest.mark.parametrize("missing", ["id", "start"])
def test_a_field_that_is_missing_is_named(missing) -> None:
    fields = {"id": "a", "start": Silent}
    del fields[missing]
    with pytest.raises(InvalidChildSpec, match="is missing") as caught:
        ChildSpec(**fields)
    assert caught.value.field == missing


BACKOFFS = {
    "initial": [-1, NAN, INF, "x", True],
    "maximum": [-1, 0.1, NAN, INF],
    "factor": [0.5, -1, NAN, INF],
    "jitter": [-0.1, 1.1, NAN],
    "reset_after": [-1, NAN, "x"],
    "max_attempts": [-1, 1.5, True, INF],
}
BREAKERS = {
    "max_failures": [0, -1, 1.5, True],
    "reset_timeout": [0, -1, NAN, INF],
    "call_timeout": [0, -1, NAN],
    "max_reset_timeout": [0, 1, NAN],
    "is_failure": [3],
}


@pytest.mark.parametrize(("field", "value"), pairs(BACKOFFS))
def test_a_backoff_out_of_range_is_refused(field, value) -> None:
    assert BACKOFFS.keys() == {one.name for one in dataclasses.fields(Backoff)}
    refused(InvalidOption, lambda: Backoff(**{field: value}), field, value)


@pytest.mark.parametrize(("field", "value"), pairs(BREAKERS))
def test_a_circuit_breaker_out_of_range_is_refused(field, value) -> None:
    refused(InvalidOption, lambda: CircuitBreaker(**{field: value}), field, value)


# Arguments of calls


@pytest.mark.parametrize("value", [-1, NAN, True, "x"])
def test_a_timeout_that_is_no_length_of_time_is_refused_wherever_one_is_given(
    start, start_dynamic, value
) -> None:
    static, dynamic, tasks = start([]), start_dynamic(), TaskSupervisor.start()
    task = tasks.submit(sleep, PATIENCE)
    try:
        for wait in (
            lambda: static.stop(timeout=value),
            lambda: static.wait(timeout=value),
            lambda: static.terminate_child("a", timeout=value),
            lambda: dynamic.terminate_child(static, timeout=value),
            lambda: monitor(static).wait(value),
            lambda: call(static, "x", timeout=value),
            lambda: call("nobody", "x", timeout=value),
            lambda: task.result(timeout=value),
            lambda: task.poll(timeout=value),
            lambda: result_all([], timeout=value),
            lambda: poll_all([], timeout=value),
            lambda: tasks.stream(len, [], timeout=value),
        ):
            refused(InvalidOption, wait, "timeout", value)
        refused(InvalidOption, lambda: names.via("a", wait=value), "wait", value)
        refused(InvalidOption, lambda: static.child("a", wait=value), "wait", value)
        refused(InvalidOption, lambda: sleep(value), "seconds", value)
        refused(InvalidOption, lambda: run(static, grace=value), "grace", value)
        assert static.is_alive()
    finally:
        tasks.stop()


def test_what_is_no_function_signal_reason_or_ref_is_refused(start) -> None:
    root = start([])
    refused(InvalidOption, lambda: subscribe(3), "function", 3)
    refused(InvalidOption, lambda: monitor(root, notify=3), "notify", 3)
    refused(InvalidOption, lambda: run(root, before_stop=3), "before_stop", 3)
    refused(InvalidOption, lambda: run(root, signals=["x"]), "signals", "x")
    refused(InvalidOption, lambda: Registry("r", keys="x"), "keys", "x")
    for wrong in (
        lambda: run(3),
        lambda: root.stop(reason="x"),
        lambda: send_exit(root, "x"),
        lambda: result_all([3]),
        lambda: start_actor(int),
        lambda: start_actor(Silent, name=[]),
        lambda: Supervisor.start([], name=[]),
    ):
        with pytest.raises(TypeError):
            wrong()
    assert root.is_alive()


def test_a_signal_that_cannot_be_handled_leaves_the_handlers_as_they_were(start) -> None:
    import signal

    before = signal.getsignal(signal.SIGTERM)
    refused(
        InvalidOption,
        lambda: run(start([]), signals=(signal.SIGTERM, signal.SIGKILL)),
        "signals",
        signal.SIGKILL,
    )
    assert signal.getsignal(signal.SIGTERM) is before
