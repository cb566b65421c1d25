"""Requests: accepted, taken one by one, finished exactly once."""

from __future__ import annotations

import contextvars
import threading

import pytest

from alloy_actors.actors.book import LetGoError, RequestBook
from alloy_actors.actors.request import Control, Request
from alloy_actors.actors.restoring import Finished
from alloy_actors.content import user
from alloy_actors.errors import (
    AgentDownError,
    BusyError,
    ConfigError,
    FencedError,
    QueueFullError,
    StoreError,
)
from alloy_actors.journal import Accepted, Withdrawn, unfinished_by
from alloy_actors.result import Result
from alloy_actors.store.memory import MemoryStore


class Nobody:
    """An owner that does nothing."""

    def wake(self) -> None: ...

    def heard(self, result: Result) -> None: ...

    def lost(self, error: FencedError) -> None: ...


class Bench(Nobody):
    """A book, its store, and how often it woke its agent."""

    def __init__(self, max_pending: int = 2, result_ttl: float = 3600.0) -> None:
        self.store = MemoryStore()
        self.wakes = 0
        self.book = RequestBook("agent", self.store, max_pending, result_ttl, self)
        self.journal = self.book.begin_incarnation()

    def wake(self) -> None:
        self.wakes += 1

    def accept(
        self, request_id: str, text: str = "hi", when_busy: str = "queue", chain: tuple[object, ...] = ()
    ) -> Request:
        request = self.book.accept(
            Request(request_id, user(text), contextvars.copy_context(), chain, None, when_busy)
        )
        self.book.recorded(request)
        return request


def result(request_id: str, status: str = "completed") -> Result:
    return Result(request_id=request_id, status=status)


def cancelled(request: Request) -> Result:
    return result(request.id, "cancelled")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_accepted_request_is_recorded_before_accept_returns(bench: Bench) -> None:
    bench.accept("a")
    assert list(bench.store.load("agent")) == [Accepted("a", user("hi"))]
    assert bench.wakes == 1


def test_requests_are_taken_in_order_and_one_at_a_time(bench: Bench) -> None:
    first, second = bench.accept("a"), bench.accept("b")
    assert bench.book.take() is first
    assert bench.book.take() is None
    bench.book.finish("a", result("a"))
    assert bench.book.take() is second


def test_the_first_finish_wins(bench: Bench) -> None:
    request = bench.accept("a")
    bench.book.take()
    told: list[Result] = []
    bench.book.on_finished(request, told.append)
    assert bench.book.finish("a", result("a"))
    assert not bench.book.finish("a", result("a", "error"))
    assert [item.status for item in told] == ["completed"]


def test_a_callback_added_after_the_end_is_called_at_once(bench: Bench) -> None:
    request = bench.accept("a")
    bench.book.finish("a", result("a"))
    told: list[Result] = []
    bench.book.on_finished(request, told.append)
    assert len(told) == 1


def test_a_raising_callback_does_not_keep_the_others_from_being_told(bench: Bench) -> None:
    request = bench.accept("a")
    told: list[Result] = []
    bench.book.on_finished(request, lambda _: 1 / 0)
    bench.book.on_finished(request, told.append)
    bench.book.finish("a", result("a"))
    assert len(told) == 1


def test_a_full_queue_refuses_and_says_how_to_go_on(bench: Bench) -> None:
    bench.accept("running")
    bench.book.take()
    bench.accept("a")
    bench.accept("b")
    with pytest.raises(QueueFullError, match="max_pending=2"):
        bench.accept("c")


def test_an_idle_agent_takes_one_more_than_may_wait() -> None:
    bench = Bench(max_pending=0)
    bench.accept("a")
    with pytest.raises(QueueFullError):
        bench.accept("b")


def test_the_same_id_is_the_same_request(bench: Bench) -> None:
    first = bench.accept("a")
    assert bench.accept("a") is first
    bench.book.finish("a", result("a"))
    assert bench.accept("a") is first


def test_the_same_id_with_another_text_is_refused(bench: Bench) -> None:
    bench.accept("a")
    with pytest.raises(ConfigError, match="request_id 'a'"):
        bench.accept("a", "something else")


def test_cancelling_a_queued_request_withdraws_it(bench: Bench) -> None:
    bench.accept("running")
    bench.book.take()
    waiting = bench.accept("a")
    assert bench.book.cancel("a", "cancelled", cancelled)
    assert waiting.result is not None
    assert waiting.result.status == "cancelled"
    (withdrawn,) = (record for record in bench.store.load("agent") if isinstance(record, Withdrawn))
    assert withdrawn.request_id == "a"
    assert withdrawn.at > 0
    bench.book.finish("running", result("running"))
    assert bench.book.take() is None


def test_cancelling_the_running_request_ends_its_run(bench: Bench) -> None:
    request = bench.accept("a")
    bench.book.take()
    told: list[str] = []
    bench.book.began(request, told.append)
    assert bench.book.cancel(None, "enough", cancelled)
    assert told == ["enough"]
    assert request.result is None


def test_a_cancel_between_take_and_run_is_not_lost(bench: Bench) -> None:
    request = bench.accept("a")
    bench.book.take()
    bench.book.cancel("a", "enough", cancelled)
    told: list[str] = []
    bench.book.began(request, told.append)
    assert told == ["enough"]


def test_cancelling_what_is_unknown_or_over_says_so(bench: Bench) -> None:
    bench.accept("a")
    bench.book.finish("a", result("a"))
    assert not bench.book.cancel("a", "late", cancelled)
    assert not bench.book.cancel("never", "late", cancelled)
    assert not bench.book.cancel(None, "idle", cancelled)


def test_closing_finishes_everything_and_refuses_the_rest(bench: Bench) -> None:
    bench.accept("running")
    bench.book.take()
    bench.accept("waiting")
    bench.book.close("it is parked", lambda request: result(request.id, "error"), withdraw=True)
    assert bench.book.result("running") == result("running", "error")
    assert bench.book.result("waiting") == result("waiting", "error")
    with pytest.raises(AgentDownError, match="it is parked"):
        bench.accept("late")
    bench.book.reopen()
    bench.accept("again")


@pytest.mark.parametrize("withdraw", [True, False])
def test_closing_says_in_the_log_that_waiting_requests_are_over_unless_a_later_start_shall_have_them(
    bench: Bench, withdraw: bool
) -> None:
    for name in ("running", "a", "b"):
        bench.accept(name) if name != "running" else bench.accept(name) and bench.book.take()
    bench.book.close("stopped", cancelled, withdraw=withdraw)
    log = bench.store.load("agent")
    assert [record.request_id for record in log if isinstance(record, Withdrawn)] == ["a", "b"] * withdraw


def test_closing_with_an_error_says_in_the_log_which_one(bench: Bench) -> None:
    bench.accept("a")
    error = AgentDownError("it is parked")
    bench.book.close(
        "parked", lambda request: Result(request_id=request.id, status="error", error=error), withdraw=True
    )
    withdrawn = bench.store.load("agent")[-1]
    assert (withdrawn.error_type, withdrawn.error) == ("AgentDownError", "it is parked")


def test_closing_may_leave_the_running_request_to_its_run(bench: Bench) -> None:
    bench.accept("running")
    bench.book.take()
    bench.book.close(
        "stopped",
        lambda request: None if request.state == "running" else cancelled(request),
        withdraw=False,
    )
    assert bench.book.result("running") is None
    bench.book.finish("running", result("running", "cancelled"))
    assert bench.book.result("running") is not None


def test_a_control_waits_its_turn_behind_requests(bench: Bench) -> None:
    bench.accept("a")
    control = Control("reset")
    bench.book.control(control)
    request = bench.book.take()
    assert isinstance(request, Request)
    bench.book.finish("a", result("a"))
    assert bench.book.take() == control


def test_finishing_wakes_the_agent_when_something_waits(bench: Bench) -> None:
    bench.accept("a")
    bench.book.take()
    bench.accept("b")
    before = bench.wakes
    bench.book.finish("a", result("a"))
    assert bench.wakes == before + 1


def test_results_are_kept_for_their_time() -> None:
    bench = Bench(result_ttl=1e-9)
    bench.accept("a")
    bench.book.finish("a", result("a"))
    assert bench.book.result("a") is None


def test_what_was_let_go_of_has_to_be_recalled_before_an_id_may_be_known(bench: Bench) -> None:
    request = bench.accept("a")
    bench.book.take()
    bench.book.finish("a", result("a"))
    assert bench.book.let_go()
    assert bench.book.has_let_go
    assert bench.book.result("a") is None
    with pytest.raises(LetGoError):
        bench.book.accept(rider("a"), named=True)
    bench.book.accept(rider("made up"))  # which nobody can have used before
    bench.book.recalled([Finished(request.message, result("a"), 0.0)])
    assert bench.book.accept(rider("a"), named=True).result == bench.book.result("a") == result("a")


def test_nothing_is_let_go_of_while_there_is_something_to_do() -> None:
    waiting, asked, closed, draining = Bench(), Bench(), Bench(), Bench()
    waiting.accept("a")
    asked.book.control(Control("reset"))
    closed.book.close("stopped", cancelled, withdraw=True)
    draining.book.drain("the system is being stopped")
    for bench in (waiting, asked, closed, draining):
        assert not bench.book.let_go()
        assert not bench.book.has_let_go


def test_a_new_incarnation_fences_the_journal_of_the_old_one(bench: Bench) -> None:
    old, new = bench.book.begin_incarnation(), bench.book.begin_incarnation()
    assert new.token > old.token
    bench.accept("a")  # goes by the newest token
    assert Accepted("a", user("hi")) in bench.store.load("agent")


def rider(request_id: str, when_busy: str = "queue") -> Request:
    return Request(request_id, user("hi"), contextvars.copy_context(), (), None, when_busy)


def test_a_request_of_an_idle_agent_may_be_left_to_its_run_to_record(bench: Bench) -> None:
    request = bench.book.accept(rider("a"), rides=True)
    assert (request.rides, bench.wakes) == (True, 1)
    assert list(bench.store.load("agent")) == []
    assert bench.book.take() is request
    bench.book.is_recorded(request)
    assert not request.rides
    bench.book.recorded(request)  # and whoever waits for that goes on


@pytest.mark.parametrize("before", ["a request", "a control", "nothing, but it interrupts"])
def test_a_request_that_does_not_begin_at_once_is_recorded_by_itself(bench: Bench, before: str) -> None:
    if before == "a request":
        bench.accept("first")
    elif before == "a control":
        bench.book.control(Control("control"))
    interrupts = before.startswith("nothing")
    request = bench.book.accept(rider("a", "interrupt" if interrupts else "queue"), rides=True)
    assert not request.rides
    assert bench.store.load("agent")[-1].request_id == "a"


@pytest.mark.parametrize("end", ["cancel", "close"])
def test_a_request_that_is_over_before_its_run_recorded_it_is_recorded_with_its_end(
    bench: Bench, end: str
) -> None:
    request = bench.book.accept(rider("a"), rides=True)
    if end == "cancel":
        assert bench.book.cancel("a", "why", cancelled)
    else:
        bench.book.close("stopped", cancelled, withdraw=True)
    first, second = bench.store.load("agent")
    assert first == Accepted("a", user("hi"))
    assert isinstance(second, Withdrawn)
    assert request.result.status == "cancelled"
    assert unfinished_by((first, second)) == 0


def test_a_request_that_a_later_start_shall_have_is_recorded_at_the_latest_when_the_book_is_closed(
    bench: Bench,
) -> None:
    bench.book.accept(rider("a"), rides=True)
    bench.book.close("stopped", cancelled, withdraw=False)
    assert list(bench.store.load("agent")) == [Accepted("a", user("hi"))]


def test_a_request_that_its_run_could_not_record_was_none(bench: Bench) -> None:
    heard = []
    request = bench.book.accept(rider("a"), rides=True)
    bench.book.on_finished(request, heard.append)
    assert bench.book.take() is request
    error = StoreError("the disk is full")
    bench.book.refuse("a", error)
    (told,) = heard
    assert told.error is request.refused is error
    assert bench.book.running() is None
    assert bench.book.result("a") is None
    with pytest.raises(StoreError, match="full"):
        bench.book.recorded(request)
    again = bench.accept("a")
    assert again is not request
    bench.book.refuse("a", error)  # this one is recorded
    assert bench.book.take() is again


def test_a_new_incarnation_finds_in_the_log_whether_the_last_run_recorded_its_request(bench: Bench) -> None:
    request = bench.book.accept(rider("a"), rides=True)
    bench.book.take()
    bench.book.find_riding([Accepted("other", user("hi"))])
    assert request.rides
    bench.book.find_riding([Accepted("a", user("hi"))], keep=True)
    assert not request.rides
    assert list(bench.store.load("agent")) == []


def test_a_request_that_no_run_will_record_is_kept(bench: Bench) -> None:
    bench.book.accept(rider("a"), rides=True)
    bench.book.take()
    bench.book.find_riding([], keep=True)
    assert list(bench.store.load("agent")) == [Accepted("a", user("hi"))]


def test_what_the_store_refuses_is_not_accepted(bench: Bench) -> None:
    bench.store.close()
    with pytest.raises(Exception, match="closed"):
        bench.accept("a")
    assert bench.book.pending() == 0


def test_a_store_that_answers_later_makes_accept_wait_for_it(bench: Bench) -> None:
    class SlowStore(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.asked = threading.Event()
            self.release = threading.Event()

        def append(self, agent_id, token, records, on_appended):
            def later() -> None:
                self.release.wait(5)
                MemoryStore.append(self, agent_id, token, records, on_appended)

            self.asked.set()
            threading.Thread(target=later).start()

    store = SlowStore()
    book = RequestBook("agent", store, 2, 3600.0, Nobody())
    request = Request("a", user("hi"), contextvars.copy_context(), (), None)
    accepting = threading.Thread(target=lambda: book.recorded(book.accept(request)))
    accepting.start()
    assert store.asked.wait(5)
    assert book.take() is None
    store.release.set()
    accepting.join(5)
    assert book.take() is request


def test_compacting_keeps_what_waits(bench: Bench) -> None:
    bench.book.begin_incarnation()
    bench.accept("running")
    bench.book.take()
    bench.accept("waiting")
    bench.book.compact((), lambda error: None)
    assert list(bench.store.load("agent")) == [Accepted("waiting", user("hi"))]


def test_a_request_that_is_not_to_wait_is_refused_while_there_is_another(bench: Bench) -> None:
    bench.accept("a", when_busy="reject")
    with pytest.raises(BusyError, match="when_busy='queue'"):
        bench.accept("b", when_busy="reject")
    assert bench.book.pending() == 1


def test_steering_requests_join_the_run_in_order_and_share_its_result() -> None:
    bench = Bench(max_pending=3)
    bench.accept("running")
    bench.book.take()
    told: list[Result] = []
    for name, when_busy in (("waits", "queue"), ("first", "steer"), ("second", "steer")):
        bench.book.on_finished(bench.accept(name, name, when_busy), told.append)
        bench.accept(name, name, when_busy)  # the same id is the same request
    assert [request_id for request_id, _ in bench.book.take_steering(bench.journal)] == ["first", "second"]
    assert bench.book.take_steering(bench.journal) == []
    assert bench.book.pending() == 1
    bench.book.finish("running", result("running", "max_turns"))
    assert [(item.request_id, item.status) for item in told] == [
        ("first", "max_turns"),
        ("second", "max_turns"),
    ]
    assert bench.book.take().id == "waits"


def test_a_steering_request_that_joined_no_run_is_the_next_one(bench: Bench) -> None:
    bench.accept("running")
    bench.book.take()
    bench.accept("waits")
    bench.accept("steers", when_busy="steer")
    bench.book.finish("running", result("running"))
    assert bench.book.take().id == "steers"


def test_what_has_joined_a_run_cannot_be_taken_back(bench: Bench) -> None:
    bench.accept("running")
    bench.book.take()
    bench.accept("steers", when_busy="steer")
    bench.book.take_steering(bench.journal)
    assert not bench.book.cancel("steers", "cancelled", cancelled)
    assert bench.book.result("steers") is None


def test_what_the_log_does_not_know_to_have_joined_waits_again(bench: Bench) -> None:
    bench.accept("running")
    bench.book.take()
    for name in ("first", "second"):
        bench.accept(name, when_busy="steer")
    bench.book.take_steering(bench.journal)
    bench.book.joined(["first"])
    assert [request_id for request_id, _ in bench.book.take_steering(bench.journal)] == ["second"]


def test_an_interrupting_request_cancels_the_run_and_comes_next(bench: Bench) -> None:
    running = bench.accept("running")
    bench.book.take()
    why: list[str] = []
    bench.book.began(running, lambda text, failure=None: why.append(text))
    bench.accept("waits")
    bench.accept("interrupts", when_busy="interrupt")
    assert why == ["the request was interrupted by a newer message"]
    bench.book.finish("running", result("running", "cancelled"))
    assert bench.book.take().id == "interrupts"


def test_a_run_that_is_interrupted_before_it_began_is_cancelled_when_it_begins(bench: Bench) -> None:
    running = bench.accept("running")
    bench.book.take()
    bench.accept("interrupts", when_busy="interrupt")
    why: list[str] = []
    bench.book.began(running, lambda text, failure=None: why.append(text))
    assert why == ["the request was interrupted by a newer message"]


def test_an_interrupting_request_comes_before_a_steering_one_that_has_joined_nothing(bench: Bench) -> None:
    bench.accept("interrupts", when_busy="interrupt")
    bench.accept("steers", when_busy="steer")
    assert bench.book.take().id == "interrupts"


def test_of_two_interrupting_requests_the_newer_is_answered_whether_or_not_the_older_had_begun() -> None:
    bench = Bench()
    bench.accept("older", when_busy="interrupt")
    bench.accept("steers", when_busy="steer")
    bench.accept("newer", when_busy="interrupt")
    older = bench.book.take()
    assert older.id == "older"
    why: list[str] = []
    bench.book.began(older, lambda text, failure=None: why.append(text))
    assert why == ["the request was interrupted by a newer message"]
    bench.book.finish("older", result("older", "cancelled"))
    newer = bench.book.take()
    assert (newer.id, newer.why_cancelled) == ("newer", None)


def test_a_run_of_an_earlier_process_is_interrupted_by_a_request_that_was_to_interrupt_it(
    bench: Bench,
) -> None:
    running = Request("running", user("hi"), None, (), None)
    bench.book.adopt(running, "running")
    bench.book.adopt(Request("interrupts", user("hi"), None, (), None, "interrupt"), "queued")
    assert running.why_cancelled == "the request was interrupted by a newer message"


def test_a_draining_book_takes_and_begins_only_what_a_run_that_is_on_waits_for(bench: Bench) -> None:
    bench.accept("waits")
    bench.book.drain("it is being stopped")
    with pytest.raises(AgentDownError, match="being stopped"):
        bench.accept("late")
    assert bench.book.take() is None
    nested = bench.accept("nested", chain=(object(),))
    assert bench.book.take() is nested


def test_requests_of_an_earlier_process_are_adopted_once_and_their_results_remembered(bench: Bench) -> None:
    def request(name: str, when_busy: str = "queue") -> Request:
        return Request(name, user(name), None, (), None, when_busy)

    for one in (request("a"), request("b", "interrupt"), request("a")):
        bench.book.adopt(one, "queued")
    bench.book.remember(user("stale"), result("stale"), 3601.0)
    bench.book.remember(user("done"), result("done"), 10.0)
    assert bench.book.take().id == "b"
    assert bench.book.result("done") == result("done")
    assert bench.book.result("stale") is None
    assert bench.accept("done", "done").state == "finished"
    with pytest.raises(ConfigError):
        bench.accept("done", "something else")


def test_a_request_whose_run_began_in_an_earlier_process_is_running_from_the_start(bench: Bench) -> None:
    """So that nobody takes it for one that waits, and says in the log that it never began."""
    bench.book.adopt(Request("run", user("run"), None, (), None), "running")
    bench.book.adopt(Request("steers", user("steers"), None, (), None, "steer"), "joined")
    assert bench.book.running().id == "run"
    assert bench.book.take() is None
    assert bench.book.pending() == 0
    assert bench.book.cancel("run", "no more", lambda request: result(request.id, "cancelled"))
    why: list[str] = []
    bench.book.began(bench.book.running(), lambda text, failure=None: why.append(text))
    assert why == ["no more"]
    assert [type(record) for record in bench.store.load("agent")] == []
    bench.book.finish("run", result("run", "cancelled"))
    assert bench.book.result("steers").status == "cancelled"


def test_a_new_incarnation_withdraws_what_was_told_though_its_result_is_no_longer_kept() -> None:
    bench = Bench(result_ttl=1e-9)
    bench.accept("told")
    bench.book.close("parked", cancelled, withdraw=False)  # as when the store did not take the withdrawal
    bench.book.begin_incarnation()
    bench.book.withdraw_finished(["told"])
    (withdrawn,) = (record for record in bench.store.load("agent") if isinstance(record, Withdrawn))
    assert withdrawn.request_id == "told"
    assert withdrawn.at > 0


def test_what_is_cancelled_while_an_incarnation_comes_up_is_withdrawn_once(bench: Bench) -> None:
    bench.accept("waits")
    bench.book.begin_incarnation()
    bench.book.cancel("waits", "why", cancelled)
    bench.book.withdraw_finished(["waits"])  # as the log said when it was read, before that
    assert [type(record) for record in bench.store.load("agent")] == [Accepted, Withdrawn]
    assert bench.store.unfinished() == []
