"""A run that is on, as its agent and those who end it see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alloy_actors.actors.loop_thread import Task
    from alloy_actors.errors import AlloyError
    from alloy_actors.turn import Run


class RunHandle:
    """A run that is on, as seen from other threads."""

    __slots__ = ("_run", "ended", "request_id", "task")

    def __init__(self, request_id: str, run: Run) -> None:
        self.request_id = request_id
        self._run = run
        self.ended = False  # there will be no result from it
        self.task: Task | None = None  # set by the one who starts it, before anyone else sees the handle

    def cancel(self, why: str, failure: AlloyError | None = None) -> None:
        """End the run by its door, as cancelled or with an error; nothing happens when it is there already."""
        self._run.cancel(why, failure)
        if self.task is not None:
            self.task.cancel()

    def may_cancel(self) -> bool:
        """For the loop: whether there is something left to cancel."""
        return not self._run.leaving

    def abandon(self, *, suspend: bool = False) -> None:
        """End the run without its door: its agent's actor is gone, and the next one goes on with the conversation.

        Args:
            suspend: An orderly stop, which the log shall tell from a crash.
        """
        self._run.abandon(suspend=suspend)
        if self.task is not None:
            self.task.cancel()
