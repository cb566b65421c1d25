import socket
import threading

import pykka
import pytest

from supervisors import (
    CalleeExited,
    ChildSpec,
    Crash,
    Killed,
    Normal,
    Shutdown,
    StartFailed,
    StartTimeout,
    current,
    format_tree,
    monitor,
    sleep,
    stop_requested,
    tree,
    whereis,
    zombies,
)
from supervisors.events import ChildAbandoned, ChildExited, ChildStarted, CleanupError, ZombieExited

PATIENCE = 10.0


def test_S_231_sys_exit_in_an_ask_ends_that_child_only(start, spec, events) -> None:
    sup = start([spec("a"), spec("b")])

    def leave(_actor):
        raise SystemExit(2)

    with pytest.raises(CalleeExited) as caught:
        sup.which_child("a").ref.ask(leave, timeout=PATIENCE)
    assert isinstance(caught.value.reason, Crash)
    events.wait(ChildStarted, id="a", generation=1)
    assert sup.which_child("b").ref.ask("alive") == "alive"


def test_S_232_sys_exit_zero_is_a_normal_end(start, spec, events) -> None:
    sup = start([spec("a", restart="transient")])

    def leave(_actor):
        raise SystemExit(0)

    sup.which_child("a").ref.tell(leave)
    assert events.wait(ChildExited, id="a").reason == Normal()
    sup.start_child(spec("behind the decision"))
    assert sup.which_child("a").state == "stopped"


def test_S_233_sys_exit_in_on_start_is_a_failed_start(start, spec, worker) -> None:
    def leave(_actor):
        raise SystemExit(1)

    with pytest.raises(StartFailed):
        start([]).start_child(spec("a", on_start=leave))
    assert pykka.ActorRegistry.get_by_class(worker) == []


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1)])
def test_S_234_an_error_in_on_stop_is_reported_and_changes_nothing(start, spec, events, error) -> None:
    def on_stop(_actor):
        raise error

    sup = start([spec("a", on_stop=on_stop)])
    assert sup.terminate_child("a") == Shutdown()
    assert events.wait(CleanupError, id="a").exception is error


def test_S_235_a_memory_error_is_a_crash_like_any_other(start, spec, events) -> None:
    def grow(_actor):
        raise MemoryError

    sup = start([spec("a")])
    sup.which_child("a").ref.tell(grow)
    events.wait(ChildStarted, id="a", generation=1)


def test_a_keyboard_interrupt_in_a_child_stops_the_root_and_restarts_nothing(start, spec, events) -> None:
    def interrupt(_actor):
        raise KeyboardInterrupt

    sup = start([spec("a")])
    sup.which_child("a").ref.tell(interrupt)
    assert sup.wait(PATIENCE) == Shutdown()
    assert not [event for event in events.drain() if getattr(event, "generation", 0) == 1]


def test_S_236_S_237_a_hung_child_is_abandoned_counted_and_replaced(start, spec, hang, events) -> None:
    sup = start([spec("a", shutdown=0.1, name="worker")])
    old, gate = sup.which_child("a").ref, hang()
    asked = old.ask(gate, block=False)
    assert gate.entered.wait(PATIENCE)
    assert sup.terminate_child("a") == Killed(abandoned=True)
    with pytest.raises(CalleeExited):
        asked.get(timeout=PATIENCE)
    assert "Hang" in events.wait(ChildAbandoned, id="a").stack or "__call__" in events.seen[-1].stack
    assert sup.count_children().zombies == 1
    assert len(zombies()) == 1
    assert "1 zombie" in format_tree(sup)
    assert not old.is_alive()
    assert whereis("worker") is None
    new = sup.restart_child("a")
    assert whereis("worker") is new
    gate.release.set()
    assert events.wait(ZombieExited, id="a").after >= 0
    assert sup.count_children().zombies == 0
    assert whereis("worker") is new
    assert sup.which_child("a").generation == 1


def test_S_238_a_kill_hook_frees_a_child_that_blocks(start, spec) -> None:
    ours, theirs = socket.socketpair()
    entered = threading.Event()

    def read(_actor):
        entered.set()
        theirs.recv(1)

    def cut(_ref):
        ours.shutdown(socket.SHUT_RDWR)

    sup = start([spec("a", shutdown=0.05, kill_hook=cut)])
    sup.which_child("a").ref.tell(read)
    assert entered.wait(PATIENCE)
    assert sup.terminate_child("a") == Killed(abandoned=False)
    assert sup.count_children().zombies == 0
    ours.close()
    theirs.close()


def test_S_239_a_child_that_sleeps_by_the_library_ends_at_once(start, spec) -> None:
    entered = threading.Event()

    def work(_actor):
        entered.set()
        while not stop_requested():
            sleep(3600)

    sup = start([spec("a", shutdown=3600)])
    sup.which_child("a").ref.tell(work)
    assert entered.wait(PATIENCE)
    assert sup.terminate_child("a", block=False).get(timeout=PATIENCE) == Shutdown()


def test_S_240_an_on_start_that_hangs_fails_the_start_and_never_comes_alive(
    start, spec, hang, events
) -> None:
    gate = hang()
    sup = start([])
    with pytest.raises(StartTimeout):
        sup.start_child(spec("a", on_start=gate, start_timeout=0.1, name="worker"))
    assert sup.count_children().zombies == 1
    assert sup.which_children() == []
    gate.release.set()
    events.wait(ZombieExited, id="a")
    assert whereis("worker") is None
    assert sup.count_children().zombies == 0


def test_a_start_that_waits_can_be_ended_by_a_stop(start, spec, hang) -> None:
    gate = hang()
    sup = start([])
    starting = sup.start_child(spec("a", on_start=gate, start_timeout=3600), block=False)
    assert gate.entered.wait(PATIENCE)
    ended = sup.terminate_child("a", block=False)
    gate.release.set()
    ended.get(timeout=PATIENCE)
    with pytest.raises(StartFailed):
        starting.get(timeout=PATIENCE)


def test_an_abandoned_incarnation_may_not_act_any_more(start, start_dynamic, spec, hang) -> None:
    from supervisors import Fenced

    gate, caught, acted = hang(), [], threading.Event()
    other = start_dynamic()

    def late(actor):
        gate(actor)
        caught.append(current().is_current())
        try:
            other.start_child(spec("b"))
        except Fenced as error:
            caught.append(error)
        acted.set()

    sup = start([spec("a", shutdown=0)])
    sup.which_child("a").ref.tell(late)
    assert gate.entered.wait(PATIENCE)
    sup.terminate_child("a")
    gate.release.set()
    assert acted.wait(PATIENCE)
    assert caught[0] is False
    assert isinstance(caught[1], Fenced)


def test_hold_starts_no_second_incarnation_beside_the_stuck_one(start, spec, hang) -> None:
    sup = start([spec("a", shutdown=0, on_stuck="hold")])
    gate = hang()
    sup.which_child("a").ref.tell(gate)
    assert gate.entered.wait(PATIENCE)
    assert sup.terminate_child("a") == Killed(abandoned=True)
    again = sup.restart_child("a", block=False)
    assert sup.which_child("a").state in {"stopped", "restarting"}
    assert not again.done()
    gate.release.set()
    assert again.get(timeout=PATIENCE).is_alive()


def test_more_zombies_than_allowed_end_the_supervisor(start, spec, hang) -> None:
    from supervisors.errors import TooManyZombies

    sup = start([spec("a", shutdown=0)], max_zombies=0)
    gate = hang()
    sup.which_child("a").ref.tell(gate)
    assert gate.entered.wait(PATIENCE)
    sup.terminate_child("a", block=False)
    assert isinstance(sup.wait(PATIENCE).detail, TooManyZombies)


def test_a_supervisor_stuck_in_a_constructor_is_abandoned_with_its_children(start, spec, hang) -> None:
    gate = hang()
    from supervisors import Supervisor

    sup = start([ChildSpec(id="inner", start=Supervisor, args=([spec("good")],), shutdown=0.1)])
    sub = sup.which_child("inner").ref
    good = sub.which_child("good").ref
    down = monitor(good)
    sub.start_child(spec("bad", init=gate), block=False)
    assert gate.entered.wait(PATIENCE)
    assert sup.terminate_child("inner") == Killed(abandoned=True)
    assert down.wait(PATIENCE).reason in {Shutdown("supervisor ended"), Shutdown()}


def test_S_248_threads_of_children_say_whose_they_are(start) -> None:
    class Plain(pykka.ThreadingActor):
        use_daemon_thread = True

        def on_receive(self, message):
            return threading.current_thread().name

    sup = start([ChildSpec(id="my child", start=Plain)], name="my root")
    name = sup.which_child("my child").ref.ask("who")
    assert "my child" in name
    assert "my root" in name


def test_S_249_a_tree_shows_states_restarts_and_zombies(start, spec, hang, events, do) -> None:
    from supervisors import Backoff, DynamicSupervisor, Supervisor
    from supervisors.events import RestartScheduled

    inner = [spec("waits", backoff=Backoff(initial=30, jitter=0)), spec("done", restart="transient")]
    sup = start(
        [
            spec("stuck", shutdown=0),
            ChildSpec(id="inner", start=Supervisor, args=(inner,)),
            DynamicSupervisor.child_spec(name="many", max_children=5),
        ],
        name="top",
    )
    gate = hang()
    sup.which_child("stuck").ref.tell(gate)
    assert gate.entered.wait(PATIENCE)
    sup.terminate_child("stuck")
    sub = sup.which_child("inner").ref
    sub.which_child("waits").ref.tell(do.crash)
    events.wait(RestartScheduled, id="waits")
    sub.terminate_child("done")
    DynamicSupervisor.ref("many").start_child(spec("x"))
    text = format_tree(sup, stacks=True)
    for part in (
        "top [one_for_one 0/2, 1 zombie]",
        "+- stuck  stopped (1 zombie, last Killed(abandoned=True))",
        "+- inner [one_for_one 0/3]",
        "|  +- waits  restarting (last Crash(ValueError))",
        "|  +- done  stopped",
        "+- many [dynamic 1/5]",
        "|  +- x  running",
        "zombie top/stuck",
    ):
        assert part in text
    node = tree(sup)
    assert [child.id for child in node.children] == ["stuck", "inner", "many"]
    assert node in tree().children
