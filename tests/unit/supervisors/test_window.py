import random

from hypothesis import given
from hypothesis import strategies as st

from supervisors.window import RestartWindow


def test_S_092_an_attempt_just_past_the_window_has_left_it() -> None:
    window = RestartWindow(2, 5.0)
    assert [window.record(now) for now in (0.0, 1.0, 5.001)] == [False, False, False]


def test_an_attempt_exactly_max_seconds_old_still_counts() -> None:
    window = RestartWindow(2, 5.0)
    assert [window.record(now) for now in (0.0, 1.0, 5.0)] == [False, False, True]


def test_S_093_no_restart_allowed_means_the_first_attempt_exceeds() -> None:
    assert RestartWindow(0, 5.0).record(17.0)


def test_forgetting_a_parked_child_returns_its_entries_to_the_others() -> None:
    window = RestartWindow(2, 5.0)
    assert not window.record(0.0, "bad")
    assert not window.record(0.0, "bad")
    assert window.record(0.0, "bad")
    window.forget("bad")
    assert not window.record(0.0, "good")
    assert len(window) == 1


def test_the_window_stays_small_however_often_it_is_exceeded() -> None:
    window = RestartWindow(3, 1000.0)
    for now in range(1000):
        window.record(float(now))
    assert len(window) == 4


@given(
    max_restarts=st.integers(0, 6),
    max_seconds=st.floats(0.001, 100),
    steps=st.lists(st.floats(0, 60), max_size=40),
)
def test_the_window_agrees_with_the_list_arithmetic_of_the_specification(
    max_restarts, max_seconds, steps
) -> None:
    window = RestartWindow(max_restarts, max_seconds)
    now, times = 0.0, []
    for step in steps:
        now += step
        times = [now] + [t for t in times if t >= now - max_seconds]
        assert window.record(now, random.random()) == (len(times) > max_restarts)
