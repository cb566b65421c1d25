import gc
import random
import threading
import time

import pykka
import pytest

from supervisors import (
    AlreadyPresent,
    AlreadyStarted,
    Backoff,
    CalleeExited,
    ChildSpec,
    DynamicSupervisor,
    MaxChildren,
    NoProcError,
    NotFound,
    PooledActor,
    Restarting,
    Running,
    Shutdown,
    StartFailed,
    Supervisor,
    SupervisorError,
    WouldDeadlock,
    monitor,
    start_actor,
    whereis,
)
from supervisors.events import ChildStarted
from supervisors.testing import settle

PATIENCE = 10.0


def test_S_130_the_life_of_a_child_by_id(start, spec) -> None:
    sup = start([spec("a")])
    with pytest.raises(Running):
        sup.delete_child("a")
    assert sup.terminate_child("a") == Shutdown()
    assert sup.which_child("a").state == "stopped"
    assert sup.terminate_child("a") is None
    with pytest.raises(AlreadyPresent):
        sup.start_child(spec("a"))
    assert sup.restart_child("a").is_alive()
    with pytest.raises(Running):
        sup.restart_child("a")
    sup.terminate_child("a")
    assert sup.delete_child("a") is None
    assert sup.which_children() == []
    assert sup.start_child(spec("a")).is_alive()


def test_S_131_an_unknown_id_is_not_found(start, spec) -> None:
    sup = start([spec("a")])
    operations = [
        sup.terminate_child,
        sup.restart_child,
        sup.delete_child,
        sup.get_childspec,
        sup.which_child,
    ]
    for unknown in ("nobody", sup.which_child("a").ref):
        for operation in operations:
            with pytest.raises(NotFound):
                operation(unknown)


OPERATIONS = {
    # what each operation answers when the child is: absent, running, restarting, parked, stopped
    "start_child": ("ref", AlreadyStarted, AlreadyPresent, AlreadyPresent, AlreadyPresent),
    "terminate_child": (NotFound, Shutdown(), None, None, None),
    "restart_child": (NotFound, Running, Restarting, "ref", "ref"),
    "delete_child": (NotFound, Running, Restarting, Restarting, None),
    "get_childspec": (NotFound, "a", "a", "a", "a"),
    "which_child": (NotFound, "a", "a", "a", "a"),
}
STATES = ("absent", "running", "restarting", "parked", "stopped")


@pytest.fixture(params=STATES)
def child_in(request, start, spec, do, clock):
    """A supervisor whose child "a" is in some state, and which one that is."""
    state = request.param
    flags = {"parked": {"on_exceeded": "park", "max_restarts": 0}, "restarting": {"backoff": Backoff()}}
    sup = start([] if state == "absent" else [spec("a")], clock=clock, **flags.get(state, {}))
    if state in {"parked", "restarting"}:
        down = monitor(sup.which_child("a").ref)
        sup.which_child("a").ref.tell(do.crash)
        down.wait(PATIENCE)
        settle(sup, PATIENCE)
    elif state == "stopped":
        sup.terminate_child("a")
    assert [child.state for child in sup.which_children()] == ([] if state == "absent" else [state])
    return sup, state


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_S_130_S_131_every_operation_answers_by_the_state_of_the_child(child_in, spec, operation) -> None:
    sup, state = child_in
    expected = OPERATIONS[operation][STATES.index(state)]
    argument = spec("a") if operation == "start_child" else "a"
    if isinstance(expected, type):
        with pytest.raises(expected):
            getattr(sup, operation)(argument)
        assert [child.state for child in sup.which_children()] == ([] if state == "absent" else [state])
        return
    answer = getattr(sup, operation)(argument)
    if expected == "ref":
        assert answer is sup.which_child("a").ref
        assert answer.is_alive()
        assert sup.count_children().parked == 0
    elif expected == "a":
        assert answer.id == "a"
    else:
        assert answer == expected
        left = [] if operation == "delete_child" else ["stopped"]
        assert [child.state for child in sup.which_children()] == left


def test_a_restart_by_hand_that_fails_leaves_a_stopped_child_stopped_and_counts_nothing(
    start, spec, clock
) -> None:
    calls = []

    def on_start(_actor):
        calls.append(1)
        if len(calls) > 1:
            raise OSError("no")

    sup = start([spec("a", on_start=on_start)], clock=clock, backoff=Backoff(initial=1))
    sup.terminate_child("a")
    with pytest.raises(StartFailed):
        sup.restart_child("a")
    clock.advance(60)
    settle(sup, PATIENCE)
    assert sup.which_child("a").state == "stopped"
    assert (len(calls), len(sup.core.window)) == (2, 0)


def test_S_132_starting_a_running_id_names_its_ref(start, spec) -> None:
    sup = start([spec("a")])
    with pytest.raises(AlreadyStarted) as caught:
        sup.start_child(spec("a"))
    assert caught.value.ref is sup.which_child("a").ref


def test_S_133_an_operation_on_a_supervisor_that_is_gone_says_so_at_once(start, start_dynamic, spec) -> None:
    static, dynamic = start([spec("a")]), start_dynamic()
    ref = dynamic.start_child(spec("b"))
    static.stop()
    dynamic.stop()
    for operation in (
        lambda: static.start_child(spec("b")),
        lambda: static.terminate_child("a"),
        lambda: static.restart_child("a"),
        lambda: static.delete_child("a"),
        lambda: static.get_childspec("a"),
        lambda: static.which_child("a"),
        static.which_children,
        static.count_children,
        lambda: dynamic.start_child(spec("b")),
        lambda: dynamic.terminate_child(ref),
        lambda: dynamic.which_child(ref),
        dynamic.count_children,
        lambda: Supervisor.ref("nobody"),
        lambda: DynamicSupervisor.ref("nobody"),
    ):
        with pytest.raises(NoProcError):
            operation()


def test_S_134_a_dynamic_supervisor_knows_its_children_only(start_dynamic, spec, worker, counts) -> None:
    sup = start_dynamic()
    assert counts(sup) == (0, 0, 0, 0)
    first = sup.start_child(spec("a"))
    assert counts(sup) == (1, 1, 0, 1)
    sup.start_child(spec("a"))
    assert counts(sup) == (2, 2, 0, 2)
    assert sup.terminate_child(first) == Shutdown()
    assert counts(sup) == (1, 1, 0, 1)
    stranger = start_actor(worker)
    for ref in (first, stranger, "a"):
        with pytest.raises(NotFound):
            sup.terminate_child(ref)
    assert stranger.ask("alive") == "alive"
    stranger.stop()


def test_S_135_children_are_listed_in_start_order(start, spec) -> None:
    sup = start([spec("b"), spec("a", restart="transient"), Supervisor])
    listed = [(child.id, child.state, child.type, child.restart) for child in sup.which_children()]
    assert listed == [
        ("b", "running", "worker", "permanent"),
        ("a", "running", "worker", "transient"),
        (Supervisor, "running", "supervisor", "permanent"),
    ]
    assert sup.which_child("a") == sup.which_children()[1]
    sup.terminate_child("b")
    sup.delete_child("b")
    sup.start_child(spec("b"))
    assert [child.id for child in sup.which_children()] == ["a", Supervisor, "b"]


def test_S_136_dynamic_children_have_no_id_and_are_found_by_ref(start_dynamic, spec) -> None:
    sup = start_dynamic()
    ref = sup.start_child(spec("a"))
    (only,) = sup.which_children()
    assert (only.id, only.ref) == (None, ref)
    assert sup.which_child(ref) == only
    sup.terminate_child(ref)
    with pytest.raises(NotFound):
        sup.which_child(ref)


def test_S_137_S_138_thousands_of_children_are_started_counted_and_stopped() -> None:
    for total in (1000, 2000):
        with DynamicSupervisor.start() as sup:
            made = [
                sup.start_child(
                    ChildSpec(id=0, start=PooledActor, type=("worker", "supervisor")[i % 2]), block=False
                )
                for i in range(total)
            ]
            refs = {future.get(timeout=PATIENCE) for future in made}
            counted = sup.count_children()
            assert (counted.specs, counted.active, counted.workers, counted.supervisors) == (
                total,
                total,
                total // 2,
                total // 2,
            )
            assert sup.which_children() == sup.which_children()
            for done in [sup.terminate_child(ref, block=False) for ref in refs]:
                assert done.get(timeout=PATIENCE) == Shutdown()
            assert sup.count_children().specs == 0


def test_S_139_twice_as_many_children_cost_less_than_six_times_as_much() -> None:
    def cost(total):
        gc.collect()
        began = time.process_time()
        with DynamicSupervisor.start() as sup:
            for _ in range(total):
                sup.start_child(ChildSpec(id=0, start=PooledActor), block=False)
            assert sup.start_child(ChildSpec(id=0, start=PooledActor)).is_alive()
        return time.process_time() - began

    cost(100)
    assert cost(2000) < 6 * cost(1000)


def test_S_140_max_children_counts_those_that_are_there(start_dynamic, spec) -> None:
    with pytest.raises(MaxChildren):
        start_dynamic(max_children=0).start_child(spec("a"))
    sup = start_dynamic(max_children=2)
    first = sup.start_child(spec("a"))
    sup.start_child(spec("a"))
    with pytest.raises(MaxChildren, match="max_children=2"):
        sup.start_child(spec("a"))
    sup.terminate_child(first)
    assert sup.start_child(spec("a")).is_alive()


def test_S_143_queries_answer_while_a_stop_waits_for_a_child(start, spec, hang) -> None:
    sup = start([spec("a"), spec("b")])
    gate = hang()
    sup.which_child("b").ref.tell(gate)
    assert gate.entered.wait(PATIENCE)
    stopped = sup.stop(block=False)
    seen = threading.Event()

    def ask_until_it_shows():
        while sup.which_children()[1].state != "stopping":
            pass
        assert sup.count_children().active == 2
        seen.set()

    thread = threading.Thread(target=ask_until_it_shows)
    thread.start()
    assert seen.wait(PATIENCE)
    thread.join()
    gate.release.set()
    assert stopped.get(timeout=PATIENCE)


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
def test_S_144_many_threads_at_once_leave_records_and_actors_in_agreement(
    start, worker, do, strategy
) -> None:
    sup = start([], max_restarts=100_000, strategy=strategy)
    errors = []

    def act(seed):
        source = random.Random(seed)
        for _ in range(60):
            name = source.choice("abc")
            choices = [
                lambda name=name: sup.start_child(ChildSpec(id=name, start=worker)),
                lambda name=name: sup.terminate_child(name),
                lambda name=name: sup.restart_child(name),
                lambda name=name: sup.delete_child(name),
                lambda name=name: sup.child(name).tell(do.crash),
            ]
            try:
                source.choice(choices)()
            except (SupervisorError, pykka.ActorDeadError):
                continue
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=act, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE * 3)
        assert not thread.is_alive()
    settle(sup, PATIENCE)
    assert errors == []
    assert sup.is_alive()
    for child in sup.which_children():
        assert child.state in {"running", "stopped"}
        assert (child.state == "running") == (child.ref is not None and child.ref.is_alive())


def test_an_operation_may_be_asked_for_without_waiting(start, spec) -> None:
    sup = start([])
    started = sup.start_child(spec("a"), block=False)
    assert started.get(timeout=PATIENCE).is_alive()
    assert sup.terminate_child("a", block=False).get(timeout=PATIENCE) == Shutdown()
    with pytest.raises(NotFound):
        sup.delete_child("b", block=False).get(timeout=PATIENCE)


def test_operations_that_wait_when_the_supervisor_ends_are_answered(start, spec, hang) -> None:
    sup = start([])
    gate = hang()
    starting = sup.start_child(spec("a", on_start=gate), block=False)
    assert gate.entered.wait(PATIENCE)
    stopped = sup.stop(block=False)
    gate.release.set()
    assert stopped.get(timeout=PATIENCE)
    with pytest.raises((StartFailed, CalleeExited)):
        starting.get(timeout=PATIENCE)


def test_S_163_S_164_names_and_handles_follow_the_incarnation(start, spec, events, do, hang) -> None:
    gate = hang()
    starts = []

    def on_start(actor):
        starts.append(whereis("worker"))
        if len(starts) > 1:
            gate(actor)

    sup = start([spec("a", name="worker", on_start=on_start)])
    old, handle = whereis("worker"), sup.child("a")
    assert handle.ask("one") == "one"
    old.tell(do.crash)
    assert gate.entered.wait(PATIENCE)
    assert handle.whereis() is None
    with pytest.raises(NoProcError):
        handle.ask("between")
    gate.release.set()
    new = events.wait(ChildStarted, generation=1).ref
    assert whereis("worker") is new
    assert handle.ask("two") == "two"
    with pytest.raises(Exception, match="not found"):
        old.ask("old")


def test_S_165_stopping_frees_the_name_and_stopping_oneself_is_refused(start, spec) -> None:
    sup = start([spec("a")], name="root")
    with pytest.raises(WouldDeadlock):
        sup.which_child("a").ref.ask(lambda _actor: sup.stop())
    assert sup.is_alive()
    sup.stop()
    assert whereis("root") is None
    assert sup.stop() is False
    assert sup.stop(block=False).get(timeout=PATIENCE) is False


def test_S_241_on_start_cannot_start_a_sibling(start, spec) -> None:
    caught = []

    def on_start(_actor):
        try:
            sup.start_child(spec("b"))
        except WouldDeadlock as error:
            caught.append(error)
            raise

    sup = start([])
    with pytest.raises(StartFailed) as failed:
        sup.start_child(spec("a", on_start=on_start))
    assert failed.value.reason.exception is caught[0]
    assert "block=False" in str(caught[0])


def test_a_constructor_cannot_start_a_sibling_either(start, spec) -> None:
    sup = start([])
    with pytest.raises(StartFailed) as failed:
        sup.start_child(spec("a", init=lambda _actor: sup.start_child(spec("b"))))
    assert isinstance(failed.value.reason.exception, WouldDeadlock)


def test_S_242_a_child_ends_itself_through_its_supervisor_without_waiting_only(start, spec) -> None:
    sup = start([spec("a")])
    ref = sup.which_child("a").ref
    with pytest.raises(WouldDeadlock, match="stop_self"):
        ref.ask(lambda _actor: sup.terminate_child("a"))
    future = ref.ask(lambda _actor: sup.terminate_child("a", block=False))
    assert future.get(timeout=PATIENCE) == Shutdown()
    assert sup.which_child("a").state == "stopped"


def test_S_243_a_child_may_look_at_its_siblings_from_on_start(start, spec) -> None:
    seen = []
    sup = start([])
    sup.start_child(spec("a", on_start=lambda _actor: seen.extend(sup.which_children())))
    assert [(child.id, child.state) for child in seen] == [("a", "starting")]


def test_a_child_may_start_another_child_from_a_handler(start, start_dynamic, spec) -> None:
    sup, dynamic = start([spec("a")]), start_dynamic()
    ref = sup.which_child("a").ref
    assert ref.ask(lambda _actor: sup.start_child(spec("b"))) is sup.which_child("b").ref
    assert ref.ask(lambda _actor: dynamic.start_child(spec("b"))).is_alive()


def test_a_grandchild_cannot_wait_for_an_ancestor_that_waits_for_its_supervisor(start, spec) -> None:
    caught = []

    def on_start(_actor):
        try:
            sup.start_child(spec("b"))
        except WouldDeadlock as error:
            caught.append(error)

    sup = start([])
    sup.start_child(ChildSpec(id="inner", start=Supervisor, args=([spec("leaf", on_start=on_start)],)))
    assert len(caught) == 1
