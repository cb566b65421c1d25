"""What log lines and telemetry say of a run and its turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alloy_actors import telemetry
from alloy_actors.logs import bind_run, bind_turn

if TYPE_CHECKING:
    from alloy_actors.result import Status
    from alloy_actors.run_spec import RunSpec


class RunWatch:
    """For one run, in its task: each start that is told is followed by one stop, or by one exception."""

    __slots__ = ("_run", "_spec", "_turn")

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        self._run: telemetry.Span | None = None
        self._turn: telemetry.Span | None = None

    def began(self) -> None:
        """The run is on, and all that is logged from here on says so."""
        spec = self._spec
        bind_run(spec.agent, spec.request_id)
        if telemetry.wanted:
            self._run = telemetry.Span(
                "alloy.run", agent=spec.agent, request_id=spec.request_id, model=spec.provider.model
            )

    def turn_began(self, turn: int) -> None:
        """A turn, 1 is the first."""
        spec = self._spec
        bind_turn(turn)
        if telemetry.wanted:
            self._turn = telemetry.Span("alloy.turn", agent=spec.agent, request_id=spec.request_id, turn=turn)

    def turn_ended(self, status: Status | None) -> None:
        """What the run has come to; None goes on. Harmless between two turns."""
        span, self._turn = self._turn, None
        if span is not None:
            span.stop(status=status or "running")

    def ended(self, status: Status, turns: int) -> None:
        """The run has its result."""
        if self._run is not None:
            self._run.stop(status=status, turns=turns)

    def failed(self, error: BaseException) -> None:
        """The run was left without a result: a bug, or it goes on elsewhere."""
        for span in (self._turn, self._run):
            if span is not None:
                span.fail(error)
