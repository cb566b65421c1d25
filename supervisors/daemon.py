"""Run a tree as a process: signals, an orderly stop within a grace period, an honest exit code.

The signal handler only puts a word into a queue (`SimpleQueue.put` is reentrant); the main thread waits on that queue
and everything else happens there or in a helper thread.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from supervisors import roots
from supervisors.errors import InvalidOption
from supervisors.inspection import format_tree, zombies
from supervisors.logs import log
from supervisors.reasons import ExitReason
from supervisors.refs import BaseSupervisorRef
from supervisors.spec import is_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

EX_SOFTWARE = 70  # sysexits.h: internal software error
EXIT_DEADLINE = 5.0  # seconds for trees that nobody stopped before the process ends
# Seconds. A signal does not always end the main thread's wait: while one is being delivered there, the kernel gives the
# next to another thread, and on Windows none does.
_POLL = 0.25

_before_exit: list[Callable[[], object]] = []
_registered = False
_running: list[queue.SimpleQueue[object]] = []


def request_shutdown() -> None:
    """Ask every `run()` of this process to stop its tree, as a first SIGTERM does; safe in a signal handler."""
    for words in _running:
        words.put(signal.SIGTERM)


def run(
    root: BaseSupervisorRef[Any],
    *,
    signals: Iterable[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
    grace: float = 25.0,
    before_stop: Callable[[float], object] | None = None,
    force_exit: bool = True,
) -> int:
    """Wait in the main thread until the tree has ended, stopping it at the first signal.

    A second signal makes the deadline now, a third leaves at once.

    Args:
        root: A started supervisor.
        signals: To handle; the previous handlers come back afterwards.
        grace: Seconds from the first signal until what is left gets the brutal step; less than the platform's own
            limit (30 in Kubernetes).
        before_stop: Called first, in the helper thread, with the seconds that are left: stop taking work in.
        force_exit: Leave by `os._exit` when threads are left that would not end: a normal exit could wait for them.

    Returns:
        0 after an orderly stop; 70 when the root gave up or broke. The third signal exits with 128 + its number.

    Raises:
        ValueError: Not called in the main thread; or a signal cannot be handled.
        TypeError, InvalidOption: An argument is not what it should be.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ValueError("run() must be called in the main thread; elsewhere call root.stop(timeout=...)")
    if not isinstance(root, BaseSupervisorRef):
        raise TypeError(f"{root!r} is no supervisor's ref: Supervisor.start() returns one")
    if not is_seconds(grace):
        raise InvalidOption("grace", grace, "must be seconds >= 0")
    if before_stop is not None and not callable(before_stop):
        raise InvalidOption("before_stop", before_stop, "must be callable with the seconds that are left")
    words: queue.SimpleQueue[object] = queue.SimpleQueue()
    with _handlers(signals, words.put):
        undo = roots.when_interrupted(lambda: words.put(signal.SIGINT))
        _running.append(words)
        root.when_closed(words.put)
        try:
            reason = _wait(root, words, grace, before_stop)
        finally:
            _running.remove(words)
            undo()
    orderly = reason.ok and not isinstance(getattr(reason, "detail", None), Exception)
    code = 0 if orderly else EX_SOFTWARE
    if not orderly:
        log.error("root_gave_up", reason=repr(reason))
    left = zombies()
    if left:
        _report(left)
        if force_exit:
            _leave(code)
    return code


@contextmanager
def _handlers(signals: Iterable[signal.Signals], tell: Callable[[object], object]) -> Iterator[None]:
    """Handle signals by telling their numbers; afterwards the handlers are those of before."""
    previous: dict[signal.Signals, Any] = {}
    try:
        for number in signals:
            try:
                previous[number] = signal.signal(number, lambda got, _frame: tell(got))
            except (OSError, ValueError, TypeError) as error:
                raise InvalidOption("signals", number, f"cannot be handled: {error}") from error
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def _wait(
    root: BaseSupervisorRef[Any],
    words: queue.SimpleQueue[object],
    grace: float,
    before_stop: Callable[[float], object] | None,
) -> ExitReason:
    """Handle words until the root has ended: signal numbers, then the root's exit reason."""
    count = 0
    while True:
        try:
            word = words.get(timeout=_POLL)
        except queue.Empty:
            continue
        if isinstance(word, ExitReason):
            return word
        count += 1
        number = int(word) if isinstance(word, int) else signal.SIGTERM
        if count == 1:
            log.info("stopping", signal=number, grace=grace)
            arguments = (root, grace, before_stop)
            threading.Thread(target=_stop, args=arguments, name="supervisors-stop", daemon=True).start()
        elif count == 2:
            log.warning("stopping_now", signal=number)
            root.tighten(root.core.port.clock.now())
            threading.Thread(
                target=_stop, args=(root, 0.0, None), name="supervisors-stop-now", daemon=True
            ).start()
        else:
            _leave(128 + number)


def _stop(root: BaseSupervisorRef[Any], grace: float, before_stop: Callable[[float], object] | None) -> None:
    deadline = root.core.port.clock.now() + grace
    if before_stop is not None:
        try:
            before_stop(grace)
        except Exception:
            log.exception("before_stop_failed")
    root.stop(timeout=max(0.0, deadline - root.core.port.clock.now()))


def _report(left: list[Any]) -> None:
    print(f"{len(left)} thread(s) would not end:", file=sys.stderr)  # noqa: T201 # the last words of a process
    for zombie in left:
        print(f"- {'/'.join(zombie.path)} on {zombie.thread_name}:\n{zombie.stack}", file=sys.stderr)  # noqa: T201 # see above


def _leave(code: int) -> None:
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def before_exit(function: Callable[[], object]) -> None:
    """Call `function` when the process ends, before the trees that nobody stopped are: a safety net, not a contract.

    Earlier than `atexit`, while threads can still be started; the last one registered goes first.
    """
    _register_exit_hook()
    _before_exit.append(function)


def _stop_at_exit() -> None:
    """Stop trees that nobody stopped: a safety net, not a contract."""
    for function in reversed(_before_exit):
        try:
            function()
        except Exception:
            log.exception("before_exit_failed")
    left = roots.all_roots()
    if not left:
        return
    futures = [root.stop(block=False, timeout=EXIT_DEADLINE) for root in left]
    for future in futures:
        try:
            future.get(timeout=EXIT_DEADLINE + 2.0)
        except Exception:
            print(f"a supervisor did not stop:\n{format_tree()}", file=sys.stderr)  # noqa: T201 # see _report
    remaining = zombies()
    if remaining:
        _report(remaining)


def _register_exit_hook() -> None:
    global _registered
    if _registered:
        return
    _registered = True
    # atexit runs after non-daemon threads were joined, so a stuck one would keep the trees from being stopped.
    early = getattr(threading, "_register_atexit", None)
    try:
        (early or atexit.register)(_stop_at_exit)
    except RuntimeError:  # the interpreter is on its way out already
        return


roots.when_first(_register_exit_hook)
