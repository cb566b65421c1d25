"""The brutal step against any actor, by anyone: a watchdog, an operator."""

from __future__ import annotations

from functools import partial
from typing import Any

from supervisors.base import levels
from supervisors.clock import system_clock
from supervisors.links import find
from supervisors.reasons import Killed
from supervisors.refs import BaseSupervisorRef
from supervisors.runtime import abandon, request_stop
from supervisors.stopping import BRUTAL_GRACE, LEVEL_GRACE


def kill(target: Any) -> bool:
    """End an actor with `Killed`, whether it wants or not; returns at once, False when it is not alive.

    It gets no time to clean up: what is in progress should end (`stop_requested()`, `sleep()`), then its `kill_hook` is
    called; if its thread still runs after a short grace it is abandoned, with `Killed(abandoned=True)`. To its supervisor that
    is an end like any other: it restarts the child by the rules, and counts that.

    Args:
        target: A ref, a Handle or Via, or a name of the default registry.

    Raises:
        TypeError: It is alive but was not started through this package.
    """
    _, run = find(target)
    if run is None or not request_stop(run.ref, Killed()):
        return False
    above, ref = run.supervisor, run.ref
    if isinstance(above, BaseSupervisorRef):
        above.core.port.post(above.core.kill_run, run)
        return True
    clock = ref.core.port.clock if isinstance(ref, BaseSupervisorRef) else system_clock
    grace = BRUTAL_GRACE + LEVEL_GRACE * levels(ref)
    timer = clock.call_later(grace, partial(abandon, run, Killed(abandoned=True)))
    if not run.add_watcher(timer, lambda _reason: timer.cancel()):
        timer.cancel()
    return True
