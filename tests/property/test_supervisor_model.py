"""Any sequence of ends, operations and time: a supervisor does what the model in `tests/model.py` says.

The same rules drive two things: the state machine alone, thousands of times, and real actors on a clock of the test,
where besides nothing may be lost or left: no `Down`, no name, no thread, and no two incarnations of one record at once.
"""

from __future__ import annotations

import logging
from collections import Counter

import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from supervisors import Backoff, RestartIntensityExceeded, Shutdown
from tests.model import FAIL, IGNORE, RUNNING, UP, Model
from tests.property.supervisor_drivers import AloneDriver, RealDriver, RealThreadedDriver

KINDS = ["one_for_one", "one_for_all", "rest_for_one", "dynamic"]
AUTO_SHUTDOWN = ["never", "any_significant", "all_significant"]
FIRST = "abc"  # children that are there at the beginning
LETTERS = st.sampled_from("abcd")
RESTARTS = st.sampled_from(["permanent", "permanent", "transient", "temporary"])
PLANS = st.lists(st.sampled_from([UP, UP, UP, FAIL, IGNORE]), max_size=5)
BACKOFFS = [
    None,
    Backoff(initial=1, maximum=4, jitter=0),
    Backoff(initial=1, maximum=4, jitter=0, max_attempts=2, reset_after=2),
]
# Quarters, so that sums are exact: an attempt just as old as the window still counts.
TIMES = st.sampled_from([0.25, 1.0, 2.0, 4.0, 5.0])
INSTANT = 2.0**-10  # a quarter has more of them than a test has exits


class Rules(RuleBasedStateMachine):
    """Whatever may happen to a supervisor whose children obey at once."""

    kind = "one_for_one"
    driver_class = AloneDriver

    @initialize(
        max_restarts=st.integers(0, 4),
        backoff=st.sampled_from(BACKOFFS),
        auto_shutdown=st.sampled_from(AUTO_SHUTDOWN),
        restarts=st.tuples(*[RESTARTS] * len(FIRST)),
        plans=st.tuples(*[PLANS] * len(FIRST)),
    )
    def begin(self, max_restarts, backoff, auto_shutdown, restarts, plans):
        dynamic = self.kind == "dynamic"
        options = {"max_restarts": max_restarts, "backoff": backoff, "dynamic": dynamic}
        if not dynamic:
            options |= {"strategy": self.kind, "auto_shutdown": auto_shutdown}
        self.model = Model(**options)
        self.driver = self.driver_class(**options)
        self.numbers = Counter()
        for letter, restart, plan in zip(FIRST, restarts, plans, strict=True):
            self.start_child(letter, restart, True, [UP, *plan])

    def id_of(self, letter):
        """Dynamic children are new ones each time."""
        return letter if not self.model.dynamic else f"{letter}{self.numbers[letter]}"

    def is_alive(self):
        return self.model.ended is None

    @precondition(is_alive)
    @rule(letter=LETTERS, restart=RESTARTS, significant=st.booleans(), plan=PLANS)
    def start_another(self, letter, restart, significant, plan):
        self.start_child(letter, restart, significant, plan)

    def start_child(self, letter, restart, significant, plan):
        significant = significant and restart != "permanent" and self.model.auto_shutdown != "never"
        if self.model.dynamic:
            self.numbers[letter] += 1
        child_id = self.id_of(letter)
        if (
            self.model.find(child_id) is None
        ):  # else it is refused, and the one that is there has its own plan
            self.driver.plans[child_id] = list(plan)
        expected = self.model.start_child(child_id, restart, significant, plan)
        assert self.driver.new(child_id, restart, significant) == expected

    @precondition(is_alive)
    @rule(letter=LETTERS)
    def crash(self, letter):
        self.exit(letter, ok=False)

    @precondition(is_alive)
    @rule(letter=LETTERS, ok=st.booleans())
    def end(self, letter, ok):
        self.exit(letter, ok=ok)

    def exit(self, letter, *, ok):
        child_id = self.id_of(letter)
        child = self.model.find(child_id)
        if child is not None and child.state == RUNNING:
            if self.model.next_due() is not None:
                self.advance(
                    INSTANT
                )  # no two attempts are ever due at once: which is first then is nobody's promise
            self.model.exit(child_id, ok=ok)
            self.driver.exit(child_id, ok)

    @precondition(is_alive)
    @rule(letter=LETTERS, operation=st.sampled_from(["terminate", "terminate", "restart", "delete"]))
    def operate(self, letter, operation):
        child_id = self.id_of(letter)
        if self.model.dynamic and (operation != "terminate" or self.model.find(child_id) is None):
            return
        expected = getattr(self.model, f"{operation}_child")(child_id)
        if operation == "terminate":
            assert self.driver.terminate(child_id) == expected
        else:
            assert self.driver.ask(f"{operation}_child", child_id) == expected

    @rule()
    def look(self):
        """Also at what has ended."""

    @precondition(is_alive)
    @rule(seconds=TIMES)
    def let_time_pass(self, seconds):
        self.advance(seconds)

    def advance(self, seconds):
        self.model.advance(seconds)
        self.driver.advance(seconds)

    @invariant()
    def the_same_happened(self):
        if not hasattr(self, "model"):
            return
        reason = self.driver.ended(self.model.ended is not None)
        expected, seen = self.model.log, self.driver.log()
        if self.model.dynamic and self.model.ended is not None:  # no order is promised when all are stopped
            expected, seen = sorted(expected), sorted(seen)
        assert seen == expected
        if self.model.ended is None:
            assert reason is None
            assert self.driver.children() == [(one.id, one.state, one.ups) for one in self.model.children]
            return
        assert reason.ok
        if self.model.ended[0] == "gave up":
            assert isinstance(reason.detail, RestartIntensityExceeded)
            assert reason.detail.child_id == self.model.ended[1]
        else:
            assert reason == Shutdown()

    def teardown(self):
        if not hasattr(self, "model"):
            return
        if self.model.ended is None:
            self.model.stop()
            self.driver.stop()
            self.the_same_happened()
        self.driver.close()


PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)  # explanations take minutes


@pytest.fixture
def quiet():
    """Thousands of crashes, each of which is logged: not here."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


def play(driver, kind, examples, steps):
    rules = type("Rules", (Rules,), {"driver_class": driver, "kind": kind})
    run_state_machine_as_test(
        rules,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=PHASES,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", KINDS)
def test_the_state_machine_does_what_the_model_says(quiet, kind) -> None:
    play(AloneDriver, kind, examples=500, steps=30)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("driver", [RealDriver, RealThreadedDriver])
def test_real_actors_do_what_the_model_says_and_leave_nothing(quiet, driver, kind) -> None:
    play(driver, kind, examples=100, steps=25)
