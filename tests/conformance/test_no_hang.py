"""Calls that nobody could answer, on the dead, on oneself, on who waits for the caller: refused at once, never a hang."""

import threading

import pykka
import pytest

from supervisors import (
    CalleeExited,
    CallingSelf,
    NoProc,
    NoProcError,
    PartitionSupervisor,
    Shutdown,
    Supervisor,
    TaskSupervisor,
    WouldDeadlock,
    call,
    cast,
    kill,
    monitor,
    send_exit,
    start_actor,
)

PATIENCE = 10.0


def test_every_operation_on_a_supervisor_that_has_ended_says_so(start, start_dynamic, spec) -> None:
    static, dynamic, tasks = start([spec("a")]), start_dynamic(), TaskSupervisor.start()
    parts = PartitionSupervisor.start(spec("p"), name="parts", partitions=2)
    handle = static.child("a")
    dead = [static, dynamic, tasks, parts]
    for ref in dead:
        ref.stop()
    for operation in (
        lambda: static.start_child(spec("b")),
        lambda: static.terminate_child("a"),
        lambda: static.restart_child("a"),
        lambda: static.delete_child("a"),
        lambda: static.get_childspec("a"),
        lambda: static.which_child("a"),
        lambda: handle.ask("x"),
        lambda: handle.tell("x"),
        lambda: handle.call("x"),
        lambda: dynamic.start_child(spec("b")),
        lambda: dynamic.terminate_child(static),
        lambda: dynamic.restart_child(static),
        lambda: dynamic.which_child(static),
        lambda: dynamic.get_childspec(static),
        lambda: tasks.submit(len, "abc"),
        lambda: tasks.start_child(len, "abc"),
        lambda: tasks.terminate_child(static),
        tasks.children,
        lambda: list(tasks.stream(len, ["abc"])),
        lambda: parts.ref("key"),
        lambda: parts.resize(1),
        lambda: Supervisor.ref("parts"),
        *[operation for ref in dead for operation in on_any(ref)],
    ):
        with pytest.raises(NoProcError):
            operation()
    for ref in dead:
        assert ref.stop() is False
        assert ref.wait(0) == Shutdown()


def on_any(ref):
    return [ref.which_children, ref.count_children, lambda: call(ref, "x")]


def test_what_one_may_do_with_a_dead_actor_answers_at_once(worker) -> None:
    ref = start_actor(worker)
    ref.stop()
    for ask in (lambda: call(ref, "x", timeout=None), lambda: ref.ask("x"), lambda: ref.tell("x")):
        with pytest.raises(pykka.ActorDeadError):
            ask()
    with pytest.raises(NoProcError) as caught:
        call(ref, "x")
    assert not isinstance(caught.value, CalleeExited)
    assert cast(ref, "x") is False
    assert send_exit(ref, Shutdown()) is False
    assert kill(ref) is False
    assert ref.stop() is False
    assert monitor(ref).wait(0).reason == NoProc()


def test_an_actor_that_waits_for_itself_is_refused(worker) -> None:
    ref = start_actor(worker)
    for wait in (lambda actor: call(actor.actor_ref, "x"), lambda actor: monitor(actor.actor_ref).wait()):
        with pytest.raises(WouldDeadlock):
            ref.ask(wait, timeout=PATIENCE)
    with pytest.raises(CallingSelf):
        ref.ask(lambda actor: call(actor.actor_ref, "x"), timeout=PATIENCE)
    ref.stop()


OPERATIONS = {
    "start_child": lambda sup, spec: sup.start_child(spec("another")),
    "terminate_child": lambda sup, _spec: sup.terminate_child("sibling"),
    "restart_child": lambda sup, _spec: sup.restart_child("sibling"),
    "delete_child": lambda sup, _spec: sup.delete_child("sibling"),
    "stop": lambda sup, _spec: sup.stop(),
    "call": lambda sup, _spec: call(sup, "x", timeout=None),
}


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("when", ["on_start", "on_stop"])
def test_a_child_that_waits_for_an_ancestor_that_waits_for_it_is_refused(
    start, spec, when, operation, levels
) -> None:
    """Never a hang: `WouldDeadlock`, with which a start fails and a stop goes on."""
    root, errors, heard = start([spec("sibling")]), [], threading.Event()

    def act(_actor):
        try:
            OPERATIONS[operation](root, spec)
        except BaseException as error:
            errors.append(error)
        heard.set()

    child = spec("a", **{when: act})
    root.start_child(child if levels == 1 else Supervisor.child_spec([child], name="below"))
    if when == "on_stop":
        root.stop()
    assert heard.wait(PATIENCE)
    assert [type(error) for error in errors] == [WouldDeadlock]
