"""Whatever is raised in one actor ends that actor at most, and everybody who waits for it is answered."""

from __future__ import annotations

import asyncio

import pykka
import pytest
from structlog.testing import capture_logs

from supervisors.errors import CalleeExited, StartFailed
from supervisors.links import monitor
from supervisors.reasons import Crash, Exit, Normal, Shutdown
from supervisors.runtime import LaunchInfo, PooledActor, StartFailure, Up, incarnation_of, start_actor

WAIT = 5.0


CRASH = "crash"

TABLE = [
    (ValueError("x"), CRASH),
    (MemoryError("x"), CRASH),
    (RecursionError("x"), CRASH),
    (Exit(Shutdown("idle")), Shutdown("idle")),
    (Exit(Normal()), Normal()),
    (SystemExit(), Normal()),
    (SystemExit(0), Normal()),
    (SystemExit(2), CRASH),
    (SystemExit("usage"), CRASH),
    (KeyboardInterrupt(), Shutdown("interrupt")),
    (GeneratorExit(), CRASH),
    (asyncio.CancelledError(), CRASH),
    (BaseException("x"), CRASH),
]
rows = pytest.mark.parametrize(("error", "meaning"), TABLE, ids=[repr(row[0]) for row in TABLE])


def raising(error):
    def handler(*_args):
        raise error

    return handler


def means(reason, error, meaning) -> bool:
    if meaning == CRASH:
        return (
            isinstance(reason, Crash)
            and reason.exception is error
            and type(error).__name__ in reason.traceback
        )
    return reason == meaning


@pytest.fixture
def bystander(start):
    ref = start()
    yield ref
    assert ref.ask("untouched") == "untouched"


@rows
def test_in_a_handler_of_a_tell(launched, script, bystander, error, meaning) -> None:
    hooks = []
    one = launched(
        script, on_stop=lambda: hooks.append("on_stop"), on_failure=lambda *info: hooks.append(info[:2])
    )
    one.ref.tell(raising(error))

    assert means(one.reason(), error, meaning)
    assert hooks == [(type(error), error) if meaning == CRASH else "on_stop"]
    assert one.outcome() == Up()


@rows
def test_in_a_handler_of_an_ask(launched, script, bystander, error, meaning) -> None:
    one = launched(script)
    asked = one.ref.ask(raising(error), block=False)
    behind = one.ref.ask("behind", block=False)

    if isinstance(error, Exception) and not isinstance(error, Exit):
        with pytest.raises(type(error)):
            asked.get(timeout=WAIT)
        assert behind.get(timeout=WAIT) == "behind"
        one.ref.stop()
        assert one.reason() == Normal()
        return
    for future in (asked, behind):
        with pytest.raises(CalleeExited) as caught:
            future.get(timeout=WAIT)
        assert means(caught.value.reason, error, meaning)
    assert means(one.reason(), error, meaning)


@rows
def test_in_on_start(launched, script, bystander, error, meaning) -> None:
    hooks = []
    one = launched(
        script,
        on_start=raising(error),
        on_stop=lambda: hooks.append(1),
        on_failure=lambda *_: hooks.append(2),
    )
    outcome = one.outcome()

    assert isinstance(outcome, StartFailure)
    assert means(outcome.reason, error, meaning)
    assert not one.ref.is_alive()
    assert (hooks, one.exited.done()) == ([], False)
    assert one.ref not in pykka.ActorRegistry.get_all()


@rows
def test_in_on_stop(launched, script, bystander, error, meaning) -> None:
    one = launched(script, on_stop=raising(error))

    assert one.ref.stop(timeout=WAIT) is True
    assert one.reason() == Normal()
    assert one.run.cleanup_error is error


@rows
def test_in_on_failure(launched, script, bystander, error, meaning) -> None:
    first = ValueError("first")
    one = launched(script, on_failure=raising(error))
    one.ref.tell(raising(first))

    assert means(one.reason(), first, CRASH)
    assert one.run.cleanup_error is error


def test_with_ask_failure_crash_an_exception_ends_the_actor_too(launched, script) -> None:
    one = launched(script, info=LaunchInfo(ask_failure="crash"))
    error = ValueError("x")

    with pytest.raises(CalleeExited) as caught:
        one.ref.ask(raising(error), timeout=WAIT)
    assert caught.value.reason == one.reason() == Crash(error)


def test_the_crash_of_an_unsupervised_actor_is_logged_once(start, script) -> None:
    with capture_logs() as logs:
        ref = start(script)
        down = monitor(ref)
        ref.tell(raising(ValueError("x")))
        down.wait(WAIT)

    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("actor_crashed", "error")]
    assert logs[0]["exception"].endswith("ValueError: x")


def test_the_crash_of_a_launched_actor_is_left_to_its_supervisor(launched, script) -> None:
    with capture_logs() as logs:
        one = launched(script)
        one.ref.tell(raising(ValueError("x")))
        one.reason()

    assert logs == []


def test_a_failed_start_is_raised_and_not_logged(script) -> None:
    with capture_logs() as logs, pytest.raises(StartFailed) as caught:
        start_actor(script, on_start=raising(ValueError("x")))

    assert "ValueError('x')" in str(caught.value)
    assert logs == []


def test_a_failed_on_start_that_nobody_waits_for_is_logged_once() -> None:
    class Bad(PooledActor):
        on_start = raising(SystemExit(1))

    with capture_logs() as logs:
        monitor(Bad.start()).wait(WAIT)

    assert [entry["event"] for entry in logs] == ["actor_crashed"]


def test_an_exception_that_cannot_be_printed_is_a_crash_like_others(launched, script) -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

        __repr__ = __str__

    one = launched(script)
    one.ref.tell(raising(Unprintable()))

    assert isinstance(one.reason(), Crash)


def test_a_reply_nobody_waits_for_any_more_harms_nobody(start, script, gate) -> None:
    ref = start(script)
    ref.tell(lambda actor: gate.wait(WAIT))
    future = ref.ask("late", block=False)
    if hasattr(future, "cancel"):
        future.cancel()
    else:
        future.set("set by the asker")
    gate.set()

    assert ref.ask("lives") == "lives"


def test_a_crash_keeps_no_frames(launched, script) -> None:
    one = launched(script)
    one.ref.tell(raising(ValueError("x")))
    reason = one.reason()

    assert reason.exception.__traceback__ is None
    assert "raise error" in reason.traceback


def test_an_actor_that_crashes_while_it_stops_keeps_the_first_reason(launched, script) -> None:
    one = launched(script, on_stop=raising(ValueError("x")))
    one.ref.tell(raising(Exit(Shutdown("first"))))

    assert one.reason() == Shutdown("first")
    assert incarnation_of(one.ref) is one.run
