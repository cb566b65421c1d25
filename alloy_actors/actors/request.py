"""One request, and one thing to do for the actor beside requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from alloy_actors.journal import Accepted
from alloy_actors.logs import log, traced

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Iterable, Iterator

    from alloy_actors.actors.guard import Link
    from alloy_actors.content import Message
    from alloy_actors.deadline import RunTime
    from alloy_actors.errors import AlloyError
    from alloy_actors.journal import WhenBusy
    from alloy_actors.reporting import OnEvents
    from alloy_actors.result import Result
    from supervisors.runtime import PooledFuture

OnResult: TypeAlias = Callable[["Result"], object]


class Cancel(Protocol):
    """Ends a run by its door: as cancelled, or with an error."""

    def __call__(self, why: str, failure: AlloyError | None = None) -> object: ...


class Request:
    """One accepted request; all fields are the book's, read them only.

    Args:
        request_id: Its id.
        message: The user's.
        context: Of the call that handed it in; for the run and its tools.
        chain: The runs that wait for it.
        on_events: Hears its run.
        when_busy: What becomes of it while another run is on.
    """

    __slots__ = (
        "acknowledged",
        "callbacks",
        "cancel",
        "chain",
        "context",
        "finished_at",
        "id",
        "message",
        "numbers",
        "on_events",
        "refused",
        "result",
        "rides",
        "state",
        "time",
        "when_busy",
        "why_cancelled",
    )

    def __init__(
        self,
        request_id: str,
        message: Message,
        context: contextvars.Context | None,
        chain: tuple[Link, ...],
        on_events: OnEvents | None,
        when_busy: WhenBusy = "queue",
    ) -> None:
        self.id = request_id
        self.message = message
        self.context = context
        self.chain = chain
        self.on_events = on_events
        self.when_busy = when_busy
        self.state: Literal["recording", "queued", "running", "joined", "finished"] = "recording"
        self.numbers: Iterator[int] | None = None  # of its events, over all incarnations
        self.time: RunTime | None = None  # of its run, over all incarnations
        self.result: Result | None = None
        self.finished_at = 0.0
        self.acknowledged: PooledFuture[None] | None = None  # of a store that answers on a thread of its own
        self.rides = False  # it is not in the log: its run writes it there, with its own beginning
        self.refused: Exception | None = None  # by the store
        self.cancel: Cancel | None = None  # how to cancel the run, once there is one
        self.why_cancelled: str | None = None  # asked for before there was a run
        self.callbacks: list[OnResult] = []

    def is_recorded(self) -> None:
        """It rides no more: the log has it, or will never have it."""
        self.rides = False
        if self.acknowledged is not None:
            self.acknowledged.set(None)

    def settle(self, result: Result) -> list[OnResult]:
        """It has its result; who is to be told."""
        self.state = "finished"
        self.result = result
        callbacks, self.callbacks = self.callbacks, []
        # A kept result must not keep the caller's context, its listener, or the frames of what went wrong alive.
        self.context = self.on_events = self.cancel = self.numbers = self.time = None
        self.chain = ()
        _forget_frames(result.error)
        return callbacks


def accepted_as(request: Request) -> Accepted:
    """What the log says of it when it is accepted."""
    return Accepted(request.id, request.message, request.when_busy)


@dataclass(frozen=True, slots=True)
class Control:
    """A message for the actor that waits its turn between two runs."""

    message: object


def tell(callbacks: Iterable[OnResult], result: Result) -> None:
    """Call them all; what one raises is logged."""
    for callback in callbacks:
        try:
            callback(result)
        except Exception as error:
            log.error("result_callback_failed", request_id=result.request_id, **traced(error))


def _forget_frames(error: BaseException | None) -> None:
    """What went wrong was logged; its frames hold local variables, which may be large."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
