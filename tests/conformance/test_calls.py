"""Calls and casts: an answer, or the reason why there is none."""

import gc
import threading
import weakref
from queue import SimpleQueue

import pykka
import pytest

from supervisors import (
    CalleeExited,
    CallingSelf,
    CallTimeout,
    ChildSpec,
    Crash,
    DynamicSupervisor,
    InvalidOption,
    NoProc,
    NoProcError,
    PartitionSupervisor,
    Registry,
    Shutdown,
    Supervisor,
    TaskSupervisor,
    Unknown,
    WouldDeadlock,
    call,
    callers,
    cast,
    monitor,
    names,
    start_actor,
    stop_self,
    whereis,
    zombies,
)
from supervisors.events import ChildStarted
from supervisors.runtime import incarnation_of
from supervisors.runtime.calling import PendingCall
from tests.conformance.waiting import NO_LIMIT, PATIENCE, eventually, in_thread


def raises(error):
    """Message whose handler raises."""

    def handler(_actor):
        raise error

    return handler


# S-157, S-158


def test_S_157_a_call_brings_what_the_handler_returns(actor) -> None:
    ref = actor(name="echo")
    for target in (ref, "echo", names.via("echo")):
        assert call(target, "hello") == "hello"
    assert names.via("echo").call("hello") == "hello"


def test_S_157_nobody_is_called_in_vain_for_long(actor) -> None:
    dead = actor()
    dead.stop()
    for target in (dead, "nobody", names.via("nobody"), pykka_ref_that_ended()):
        with pytest.raises(NoProcError) as caught:
            call(target, "hello", NO_LIMIT)
        assert caught.value.reason == NoProc()
        assert not isinstance(caught.value, CalleeExited)
        assert isinstance(caught.value, pykka.ActorDeadError)  # so that code written for pykka goes on


def pykka_ref_that_ended():
    ref = pykka.ThreadingActor.start()
    ref.stop()
    return ref


def test_S_157_a_call_without_an_answer_times_out_and_its_late_answer_is_gone(actor, hang) -> None:
    ref, gate = actor(), hang()
    ref.tell(gate)
    assert gate.entered.wait(PATIENCE)
    with pytest.raises(CallTimeout) as caught:
        call(ref, "late", 0.01)
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, pykka.Timeout)
    gate.release.set()
    assert call(ref, "next") == "next"


def test_S_157_a_message_whose_caller_has_given_up_is_handled_all_the_same(actor, hang) -> None:
    ref, gate, handled = actor(), hang(), SimpleQueue()
    ref.tell(gate)
    with pytest.raises(CallTimeout):
        call(ref, lambda _actor: handled.put("handled"), 0)
    gate.release.set()
    assert handled.get(timeout=PATIENCE) == "handled"


def test_S_157_a_late_answer_leaves_nothing_behind(actor, hang) -> None:
    class Answer:
        pass

    caller, callee, gate, answers = actor(), actor(), hang(), []

    def late(actor):
        gate(actor)
        answer = Answer()
        answers.append(weakref.ref(answer))
        return answer

    def give_up(_actor):
        with pytest.raises(CallTimeout):
            call(callee, late, 0.01)

    call(caller, give_up)
    gate.release.set()
    assert call(callee, "next") == "next"
    gc.collect()
    assert [answer() for answer in answers] == [None]
    assert caller.actor_inbox.incarnation.pending is None


def test_an_answer_that_was_taken_is_not_kept(actor) -> None:
    class Answer:
        pass

    caller, callee = actor(), actor()
    answer = call(caller, lambda _actor: weakref.ref(call(callee, lambda _actor: Answer())))
    gc.collect()
    assert answer() is None


def test_S_157_calling_oneself_is_refused(actor) -> None:
    ref = actor(name="self")
    for target in (ref, "self", names.via("self")):
        with pytest.raises(CallingSelf):
            call(ref, lambda _actor, target=target: call(target, "hello", NO_LIMIT))
    assert call(ref, "alive") == "alive"


def test_a_timeout_that_is_none_raises_before_anything_is_sent(actor) -> None:
    ref, handled = actor(), []
    for timeout in (-1, True, "5", float("nan")):
        with pytest.raises(InvalidOption, match="timeout"):
            call(ref, lambda _actor: handled.append(1), timeout)
    assert call(ref, lambda _actor: len(handled), None) == 0


def test_a_timeout_raised_by_the_handler_is_the_handlers(actor) -> None:
    ref, error = actor(), pykka.Timeout("of something else")
    with pytest.raises(pykka.Timeout) as caught:
        call(ref, raises(error))
    assert caught.value is error


def test_S_158_a_cast_to_nobody_is_false_and_to_the_living_true(actor) -> None:
    dead, ref, handled = actor(), actor(name="alive"), SimpleQueue()
    dead.stop()
    targets = [dead, "nobody", names.via("nobody"), pykka_ref_that_ended()]
    assert [cast(target, "hello") for target in targets] == [False] * 4
    assert names.via("nobody").cast("hello") is False
    for target in (ref, "alive", names.via("alive")):
        assert cast(target, lambda _actor: handled.put("handled")) is True
        assert handled.get(timeout=PATIENCE) == "handled"


# S-159 to S-162: the callee ends


def test_S_159_a_call_in_the_queue_hears_of_the_crash_before_it(actor, hang, do) -> None:
    ref, gate = actor(), hang()
    ref.tell(gate)
    assert gate.entered.wait(PATIENCE)
    ref.tell(do.crash)
    queued = in_thread(lambda: call(ref, "hello", NO_LIMIT))
    eventually(lambda: ref.actor_inbox.queue.qsize() >= 2)
    gate.release.set()
    with pytest.raises(CalleeExited) as caught:
        queued.get(timeout=PATIENCE)
    assert isinstance(caught.value.reason, Crash)


def test_S_159_a_call_in_progress_hears_that_its_callee_was_abandoned(start, spec, hang) -> None:
    sup, gate = start([spec("a", shutdown=0)]), hang()
    ref = sup.which_child("a").ref
    asked = in_thread(lambda: call(ref, gate, NO_LIMIT))
    assert gate.entered.wait(PATIENCE)
    sup.terminate_child("a")
    with pytest.raises(CalleeExited) as caught:
        asked.get(timeout=PATIENCE)
    assert caught.value.reason.abandoned


def test_S_159_an_actor_in_on_stop_still_takes_calls_and_fails_them_when_it_is_through(actor, hang) -> None:
    gate = hang()
    ref = actor(name="leaving", on_stop=gate)
    ref.stop(block=False)
    assert gate.entered.wait(PATIENCE)
    assert whereis("leaving") is ref
    asked = in_thread(lambda: call("leaving", "hello", NO_LIMIT))
    eventually(lambda: ref.actor_inbox.queue.qsize() >= 1)
    gate.release.set()
    with pytest.raises(CalleeExited):
        asked.get(timeout=PATIENCE)


def test_S_159_a_callee_of_plain_pykka_that_ends_is_an_exit_for_reasons_unknown(hang) -> None:
    gate = hang()

    class Plain(pykka.ThreadingActor):
        use_daemon_thread = True

        def on_receive(self, message):
            return message(self) if callable(message) else message

    ref = Plain.start()
    assert call(ref, "hello") == "hello"
    ref.tell(gate)
    assert gate.entered.wait(PATIENCE)
    ref.stop(block=False)
    asked = in_thread(lambda: call(ref, "hello", NO_LIMIT))
    eventually(lambda: ref.actor_inbox.qsize() >= 2)
    gate.release.set()
    with pytest.raises(CalleeExited) as caught:
        asked.get(timeout=PATIENCE)
    assert caught.value.reason == Unknown()


def test_S_160_an_exception_goes_to_the_caller_and_the_callee_lives_on(actor) -> None:
    ref = actor()
    with pytest.raises(ValueError, match="mine"):
        call(ref, raises(ValueError("mine")))
    assert call(ref, "alive") == "alive"


@pytest.mark.parametrize("said_by", ["spec", "class"])
def test_S_160_with_ask_failure_crash_the_callee_ends_too_and_comes_back(
    start, spec, worker, events, said_by
) -> None:
    made = spec("a", ask_failure="crash")
    if said_by == "class":
        made = ChildSpec(id="a", start=type("Strict", (worker,), {"ask_failure": "crash"}))
    sup = start([made])
    with pytest.raises(CalleeExited) as caught:
        sup.child("a").call(raises(ValueError("mine")))
    assert isinstance(caught.value.reason, Crash)
    assert isinstance(caught.value.reason.exception, ValueError)
    events.wait(ChildStarted, id="a", generation=1)
    assert sup.child("a").call("back") == "back"


def test_an_ask_failure_that_is_none_is_refused_before_the_actor_starts(worker) -> None:
    with pytest.raises(InvalidOption, match="ask_failure"):
        start_actor(type("Typo", (worker,), {"ask_failure": "crsh"}))


@pytest.mark.parametrize("way", ["call", "tell"])
def test_S_161_exit_in_a_handler_is_the_exit_reason_however_it_was_sent(actor, do, way) -> None:
    ref = actor()
    down = monitor(ref)
    if way == "tell":
        ref.tell(do.finish(Shutdown("idle")))
    else:
        with pytest.raises(CalleeExited) as caught:
            call(ref, do.finish(Shutdown("idle")))
        assert caught.value.reason == Shutdown("idle")
    assert down.wait(PATIENCE).reason == Shutdown("idle")


def test_S_162_stop_self_answers_the_current_message_first(actor) -> None:
    ref = actor()
    down = monitor(ref)

    def last(_actor):
        stop_self(Shutdown("x"))
        return "answered"

    assert call(ref, last) == "answered"
    assert down.wait(PATIENCE).reason == Shutdown("x")


# B.6: waits that could never end


def test_two_actors_that_call_each_other_are_told_so(actor) -> None:
    one, two = actor(), actor()

    def of_two(_actor):
        return call(one, "back", NO_LIMIT)

    with pytest.raises(WouldDeadlock, match="cast"):
        call(one, lambda _actor: call(two, of_two, NO_LIMIT))
    assert (call(one, "alive"), call(two, "alive")) == ("alive", "alive")


def test_a_circle_of_many_is_refused_to_the_one_who_would_close_it(actor) -> None:
    refs = [actor() for _ in range(5)]

    def around(rest):
        def handler(_actor):
            return call(rest[0], around(rest[1:]) if rest[1:] else "end", NO_LIMIT)

        return handler

    with pytest.raises(WouldDeadlock) as caught:
        call(refs[0], around([*refs[1:], refs[0]]))
    assert all(str(ref) in str(caught.value) for ref in refs)
    assert call(refs[0], around(refs[1:])) == "end"


def test_of_two_that_call_each_other_at_once_one_is_refused(actor) -> None:
    for _ in range(20):
        one, two, together = actor(), actor(), threading.Barrier(2)

        def handler(other, together=together):
            def handle(_actor):
                together.wait(PATIENCE)
                try:
                    return call(other, "hello", NO_LIMIT)
                except WouldDeadlock:
                    return "refused"

            return handle

        answers = [one.ask(handler(two), block=False), two.ask(handler(one), block=False)]
        assert sorted(answer.get(timeout=PATIENCE) for answer in answers) == ["hello", "refused"]


def test_who_has_given_up_waiting_may_be_called(actor, hang) -> None:
    one, two, gate = actor(), actor(), hang()

    def gives_up(_actor):
        with pytest.raises(CallTimeout):
            call(two, late, 0.01)
        gate.release.set()
        return "gave up"

    def late(actor):
        gate(actor)
        answered.put(call(one, "hello", NO_LIMIT))

    answered = SimpleQueue()
    assert call(one, gives_up) == "gave up"
    assert answered.get(timeout=PATIENCE) == "hello"


def test_who_has_its_answer_but_has_not_looked_yet_may_be_called(actor) -> None:
    one, two = actor(), actor()
    pending = PendingCall(incarnation_of(two), ())
    incarnation_of(one).pending = pending  # as if its thread slept still
    with pytest.raises(WouldDeadlock):
        call(two, lambda _actor: call(one, "hello", NO_LIMIT))
    pending.set("the answer")
    assert call(two, lambda _actor: call(one, "hello", NO_LIMIT)) == "hello"


def test_a_supervisor_that_waits_for_the_caller_cannot_be_called(start, spec) -> None:
    caught = []

    def on_start(_actor):
        try:
            call(sup, "hello", NO_LIMIT)
        except WouldDeadlock as error:
            caught.append(error)

    sup = start([])
    sup.start_child(spec("a", on_start=on_start))
    sup.start_child(ChildSpec(id="inner", start=Supervisor, args=([spec("leaf", on_start=on_start)],)))
    assert len(caught) == 2


def test_the_call_of_an_abandoned_actor_lets_its_thread_go(start, spec, hang, events) -> None:
    callee, gate = start([spec("callee", shutdown=0)]).child("callee"), hang()
    callee.tell(gate)
    assert gate.entered.wait(PATIENCE)
    sup, calling = start([spec("a", shutdown=0)]), threading.Event()
    sup.child("a").tell(lambda _actor: calling.set() or callee.call("hello", None))
    assert calling.wait(PATIENCE)
    sup.terminate_child("a")
    eventually(lambda: not zombies(sup))  # although nobody has answered, and the callee still hangs
    assert not gate.release.is_set()


# callers()


def test_a_handler_of_a_call_knows_its_callers_the_nearest_first(actor) -> None:
    one, two, three = actor(), actor(), actor()
    assert callers() == []
    assert call(three, lambda _actor: callers()) == []
    assert call(two, lambda _actor: call(three, lambda _actor: callers())) == [two]
    assert call(one, lambda _actor: call(two, lambda _actor: call(three, lambda _actor: callers()))) == [
        two,
        one,
    ]
    assert call(three, lambda _actor: callers()) == []


def test_a_message_that_was_only_told_has_no_callers(actor) -> None:
    one, two, seen = actor(), actor(), SimpleQueue()
    call(one, lambda _actor: cast(two, lambda _actor: seen.put(callers())))
    assert seen.get(timeout=PATIENCE) == []


def test_S_204_calls_and_tasks_make_one_chain(actor) -> None:
    one, two = actor(), actor()
    with TaskSupervisor.start() as tasks:

        def from_task():
            return call(two, lambda _actor: callers())

        def submit(_actor):
            return tasks.submit(from_task)

        def through_one(_actor):
            task = submit(_actor)
            return task.result(), task.ref

        chain, task = call(one, through_one)
        assert chain == [task, one]
        inner = call(two, lambda _actor: call(one, lambda _actor: tasks.submit(callers).result()))
        assert inner == [one, two]


# Other targets


def test_S_226_a_partition_can_be_called_through_its_via(worker) -> None:
    with PartitionSupervisor.start(worker, name="parts", partitions=2):
        assert PartitionSupervisor.via("parts", 1).call("hello") == "hello"
        assert call(PartitionSupervisor.via("parts", "key"), "hello") == "hello"
    assert PartitionSupervisor.via("parts", 1).cast("hello") is False


def test_S_133_calls_and_look_ups_by_the_name_of_a_supervisor_that_is_gone(start, start_dynamic) -> None:
    start([], name="static").stop()
    start_dynamic(name="dynamic").stop()
    for target in ("static", "dynamic"):
        with pytest.raises(NoProcError):
            call(target, "hello", NO_LIMIT)
    with pytest.raises(NoProcError):
        DynamicSupervisor.ref("dynamic")
    assert Registry.get("names") is names
