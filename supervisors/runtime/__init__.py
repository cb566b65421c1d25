"""Runs actors: mailboxes, the pool under them, and their lives from launch to exit.

The only package that uses pykka's private names. Others import from here, not from its modules.
"""

from supervisors.clock import system_clock
from supervisors.runtime.actor import PooledActor
from supervisors.runtime.blocking import LOOK_UP, block_on, managed_blocking
from supervisors.runtime.calling import call_ref, callers, chain_here, lend_chain
from supervisors.runtime.dispatcher import Dispatcher, release_idle_dispatchers
from supervisors.runtime.fork import after_fork_in_child
from supervisors.runtime.futures import PooledFuture
from supervisors.runtime.incarnation import Incarnation, current, incarnation_of, locks
from supervisors.runtime.launching import hooks, launch, start_actor
from supervisors.runtime.lifecycle import (
    ask_callback,
    fence,
    request_stop,
    sleep,
    stop_requested,
    stop_self,
)
from supervisors.runtime.logs import report
from supervisors.runtime.loop import DEFER_START
from supervisors.runtime.messages import Notice
from supervisors.runtime.pykka_private import Envelope, install_fast_refs
from supervisors.runtime.values import Ignored, LaunchInfo, Outcome, StartFailure, Up
from supervisors.runtime.zombies import Zombie, abandon, on_zombie_exit, zombies

__all__ = [
    "DEFER_START",
    "LOOK_UP",
    "Dispatcher",
    "Envelope",
    "Ignored",
    "Incarnation",
    "LaunchInfo",
    "Notice",
    "Outcome",
    "PooledActor",
    "PooledFuture",
    "StartFailure",
    "Up",
    "Zombie",
    "abandon",
    "after_fork_in_child",
    "ask_callback",
    "block_on",
    "call_ref",
    "callers",
    "chain_here",
    "current",
    "fence",
    "hooks",
    "incarnation_of",
    "launch",
    "lend_chain",
    "locks",
    "managed_blocking",
    "on_zombie_exit",
    "release_idle_threads",
    "report",
    "request_stop",
    "sleep",
    "start_actor",
    "stop_requested",
    "stop_self",
    "zombies",
]


def release_idle_threads(timeout: float = 2.0) -> None:
    """End all threads of dispatchers and of the clock that only linger, and wait up to `timeout` seconds for each kind.

    Threads that have work (live actors, pending timers) stay.
    """
    release_idle_dispatchers(timeout)
    system_clock.release(timeout)


install_fast_refs()
