"""No ask and no stop stays unanswered, however it races with the actor's end."""

from __future__ import annotations

import sys
import threading

import pykka
import pytest

from supervisors.errors import NoProcError
from supervisors.reasons import Shutdown
from supervisors.runtime import abandon, request_stop, stop_self

WAIT = 10.0


def crash(_actor):
    raise ValueError


ENDINGS = {
    "queued stop": lambda one: one.ref.stop(block=False),
    "request": lambda one: request_stop(one.ref),
    "crash": lambda one: one.ref.tell(crash),
    "SystemExit": lambda one: one.ref.tell(lambda actor: sys.exit(1)),
    "stop_self": lambda one: one.ref.tell(lambda actor: stop_self(Shutdown())),
    "abandoned": lambda one: abandon(one.run),
}


@pytest.fixture(autouse=True)
def hurry():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.slow
@pytest.mark.timeout(
    240
)  # ten thousands of thread switches, each of which waits its turn on a machine that has others
@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
def test_every_ask_that_races_with_the_end_is_answered(launched, script, ending) -> None:
    futures, runners = [], []
    for _ in range(60):
        one, start = launched(script), threading.Barrier(4)
        runners.append(one.run.runner)

        def ask(one=one, start=start):
            start.wait(WAIT)
            mine = [one.ref.ask("hello", block=False) for _ in range(15)]
            mine.append(one.ref.stop(block=False))
            futures.extend(mine)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        start.wait(WAIT)
        ending_or_dead(ending, one)
        for thread in threads:
            thread.join(WAIT)

    outcomes = [outcome(future) for future in futures]
    assert len(outcomes) == 60 * 3 * 16
    assert set(outcomes) <= {"hello", True, False, pykka.ActorDeadError, NoProcError}
    assert outcomes.count("unanswered") == 0
    for runner in runners:
        if isinstance(runner, threading.Thread):  # an abandoned one that only waited for a message ends
            runner.join(WAIT)
            assert not runner.is_alive()


def ending_or_dead(ending, one) -> None:
    try:
        ending(one)
    except pykka.ActorDeadError:
        return


def outcome(future):
    try:
        return future.get(timeout=1)
    except NoProcError:
        return NoProcError
    except pykka.ActorDeadError:
        return pykka.ActorDeadError
    except pykka.Timeout:
        return "unanswered"


def test_messages_put_straight_into_a_closed_inbox_are_answered_by_who_put_them(launched, script) -> None:
    from supervisors.runtime import Envelope, PooledFuture

    one = launched(script)
    one.ref.stop()
    late, stop = PooledFuture(), PooledFuture()
    one.ref.actor_inbox.put(Envelope("late", reply_to=late))
    one.ref.actor_inbox.put(Envelope(pykka.messages._ActorStop(), reply_to=stop))
    one.ref.actor_inbox.put(Envelope("nobody waits"))

    with pytest.raises(NoProcError):
        late.get(timeout=0)
    assert stop.get(timeout=WAIT) is None
    assert one.ref.actor_inbox.empty()
