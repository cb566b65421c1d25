"""A run that waits for people: its calls that need an approval are asked about together, and none runs without one.

What is asked is in the log before anybody hears of it, what is decided before anything runs.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING

from alloy_actors.approvals import Approval, Verdict
from alloy_actors.errors import ConfigError
from alloy_actors.events import ApprovalRequested
from alloy_actors.journal import ApprovalAsked, ApprovalDecided
from alloy_actors.logs import log
from alloy_actors.middleware import RequireApproval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alloy_actors.content import ToolCall
    from alloy_actors.conversation import Conversation
    from alloy_actors.deadline import RunTime
    from alloy_actors.ledger import Ledger
    from alloy_actors.reporting import Reporter
    from alloy_actors.run_spec import RunSpec


class Consent:
    """For one run."""

    __slots__ = ("_conversation", "_ledger", "_reporter", "_spec", "_time")

    def __init__(
        self,
        spec: RunSpec,
        conversation: Conversation,
        ledger: Ledger,
        reporter: Reporter,
        time: RunTime,
    ) -> None:
        self._spec = spec
        self._conversation = conversation
        self._ledger = ledger
        self._reporter = reporter
        self._time = time

    def asked_before(self, call: ToolCall) -> RequireApproval | None:
        """What the log says this call needs, whatever a hook says now."""
        known = self._known.get(call.id)
        return RequireApproval(known.reason) if known is not None else None

    @property
    def _known(self) -> dict[str, ApprovalAsked | ApprovalDecided]:
        """What the log says of the calls of the last reply."""
        run = self._conversation.run
        return run.approvals if run is not None else {}

    async def obtain(self, asked: Sequence[tuple[ToolCall, RequireApproval]]) -> dict[str, Verdict]:
        """Wait until all calls are decided; the run's time stands still meanwhile.

        Args:
            asked: Each as it is to be run, and why it is asked about, in the model's order.

        Returns:
            The verdicts by call id; all are recorded.

        Raises:
            ConfigError: There is nobody to ask.
        """
        if self._spec.approvals is None:
            names = ", ".join(sorted({call.name for call, _ in asked}))
            msg = (
                f"before_tool_call wants an approval for {names}, and a run without an agent has nobody to give it: "
                "use alloy.Agent.start(...) or AgentSystem.spawn(...), or let an async hook ask by itself"
            )
            raise ConfigError(msg)
        waiting = [each for each in asked if not isinstance(self._known.get(each[0].id), ApprovalDecided)]
        if waiting:
            await self._wait(waiting)
        verdicts = {}
        for call, _ in asked:
            decided = self._known[call.id]
            assert isinstance(decided, ApprovalDecided)
            verdicts[call.id] = Verdict(decided.approved, decided.reason, decided.input)
        return verdicts

    async def _wait(self, waiting: Sequence[tuple[ToolCall, RequireApproval]]) -> None:
        """Ask about each, and record each decision as it comes."""
        request_id, approvals = self._spec.request_id, self._spec.approvals
        assert approvals is not None
        turn = self._conversation.turns
        self._ledger.note(
            *(
                ApprovalAsked(request_id, call.id, why.reason)
                for call, why in waiting
                if call.id not in self._known
            )
        )
        await self._ledger.flush()  # before anybody hears of it
        loop = asyncio.get_running_loop()
        decided: asyncio.Queue[str] = asyncio.Queue()

        def notify(call_id: str) -> None:
            with suppress(RuntimeError):  # the loop is closed: the run is over
                loop.call_soon_threadsafe(decided.put_nowait, call_id)

        log.info("approval_requested", agent=self._spec.agent, request_id=request_id, calls=len(waiting))
        with ExitStack() as timers, self._time.paused():
            for call, why in waiting:
                approval = Approval(
                    request_id=request_id,
                    call_id=call.id,
                    turn=turn,
                    name=call.name,
                    input=call.input,
                    reason=why.reason,
                )
                if approvals.ask(approval, notify):
                    continue
                self._reporter.emit(
                    ApprovalRequested,
                    turn,
                    id=call.id,
                    name=call.name,
                    input=call.input,
                    reason=why.reason,
                )
                if why.timeout is not None:
                    late = Verdict(approved=False, reason=f"nobody decided within {why.timeout:g} seconds")
                    expire = partial(approvals.decide, request_id, call.id, late)
                    timers.callback(loop.call_later(why.timeout, expire).cancel)
            for _ in waiting:
                call_id = await decided.get()
                verdict = approvals.verdict(call_id)
                self._ledger.note(
                    ApprovalDecided(request_id, call_id, verdict.approved, verdict.reason, verdict.input)
                )
                self._ledger.begin()
        await self._ledger.flush()
