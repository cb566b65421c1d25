import gc
import weakref

from supervisors.reasons import Crash, Killed, NoProc, Normal, Shutdown


class Held:
    pass


def crash() -> tuple[Crash, weakref.ref[Held]]:
    held = Held()
    alive = weakref.ref(held)

    def inner() -> None:
        raise KeyError(held is None)

    try:
        try:
            inner()
        except KeyError as error:
            raise ValueError("outer") from error
    except ValueError as error:
        return Crash.of(error), alive


def test_a_crash_says_where_it_was_and_where_that_came_from() -> None:
    reason, _ = crash()
    assert "ValueError: outer" in reason.traceback
    assert "KeyError: False" in reason.traceback
    assert "in inner" in reason.traceback
    assert Crash(ValueError("x"), "as given").traceback == "as given"


def test_a_kept_crash_keeps_nothing_of_its_frames_alive() -> None:
    reason, alive = crash()
    gc.collect()
    assert alive() is None
    assert isinstance(reason.exception, ValueError)


def test_crashes_are_equal_when_they_hold_the_same_exception() -> None:
    error = ValueError("x")
    assert Crash(error) == Crash(error, "text")
    assert hash(Crash(error)) == hash(Crash(error, "text"))
    assert Crash(error) != Crash(ValueError("x"))
    assert "ValueError('x')" in repr(Crash(error))


def test_the_shutdown_family_is_what_was_meant() -> None:
    assert [reason.ok for reason in (Normal(), Shutdown(), Shutdown("x"))] == [True] * 3
    assert [reason.ok for reason in (Crash(ValueError()), Killed(), NoProc())] == [False] * 3


def test_a_crash_can_be_said_when_its_exception_cannot() -> None:
    class BrokenError(Exception):
        def __repr__(self) -> str:
            raise RuntimeError("no")

        __str__ = __repr__

    try:
        raise BrokenError
    except BrokenError as error:
        reason = Crash.of(error)
    assert "BrokenError" in repr(reason)
    assert "BrokenError" in reason.traceback
