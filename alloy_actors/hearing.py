"""Asking the middleware of a run: what it is shown, and what becomes of its decisions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from alloy_actors.content import History, ToolCall
from alloy_actors.logs import log
from alloy_actors.middleware import Block, Halt, HookName, RequireApproval, RunView
from alloy_actors.run_spec import Ending, RunSpec, halted_by

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alloy_actors.consent import Consent
    from alloy_actors.conversation import Conversation
    from alloy_actors.deadline import Deadline
    from alloy_actors.errors import AlloyError
    from alloy_actors.ledger import Ledger

LAST_WORDS = 1.0
"""Seconds that `on_error` gets although the run's time is up."""


class Hearing:
    """For one run; a hook that nobody overrides is not asked about and costs nothing."""

    __slots__ = ("_consent", "_conversation", "_hooks", "_ledger", "_spec")

    def __init__(self, spec: RunSpec, conversation: Conversation, ledger: Ledger, consent: Consent) -> None:
        self._spec = spec
        self._consent = consent
        self._hooks = spec.hooks
        self._conversation = conversation
        self._ledger = ledger

    async def halted(self, name: HookName, *facts: object) -> Ending | None:
        """Ask a hook; how the run ends when it halts."""
        if name not in self._hooks:
            return None
        self._ledger.begin()  # a hook that crashes the run must not take along what is known already
        halt = await self._hooks.halt(name, self.view(), *facts)
        return halted_by(halt) if halt is not None else None

    async def of_calls(self, calls: list[ToolCall], blocked: list[tuple[ToolCall, Block]]) -> Ending | None:
        """Ask about each call, then people where they are to decide: `calls` becomes what is to be run, `blocked` what not.

        No call runs, and nobody is troubled, before every middleware has said what it thinks of all of them.
        """
        if "before_tool_call" not in self._hooks and not any(map(self._consent.asked_before, calls)):
            return None
        self._ledger.begin()
        asked, calls[:] = tuple(calls), []
        waiting: dict[str, RequireApproval] = {}
        for call in asked:
            edited, decision = await self._hooks.decide(self.view(), call)
            if isinstance(decision, Halt):
                return halted_by(decision)
            if isinstance(decision, Block):
                blocked.append((call, decision))
                continue
            calls.append(edited)
            approval = decision or self._consent.asked_before(call)
            if approval and edited.invalid is None:  # what is no JSON cannot run, whoever lets it
                waiting[call.id] = approval
        if waiting:
            await self._approved(calls, blocked, waiting)
        return None

    async def _approved(
        self,
        calls: list[ToolCall],
        blocked: list[tuple[ToolCall, Block]],
        waiting: Mapping[str, RequireApproval],
    ) -> None:
        """Keep in `calls` what people let run, with their arguments where they gave any."""
        verdicts = await self._consent.obtain(
            [(call, waiting[call.id]) for call in calls if call.id in waiting]
        )
        asked, calls[:] = tuple(calls), []
        for call in asked:
            verdict = verdicts.get(call.id)
            if verdict is None:
                calls.append(call)
            elif not verdict.approved:
                blocked.append((call, Block(f"not approved: {verdict.reason}")))
            else:
                calls.append(call if verdict.input is None else ToolCall(call.id, call.name, verdict.input))

    async def of_failure(self, error: AlloyError, deadline: Deadline) -> Ending:
        """Show a failure; the hook gets what is left of the run's time, and a moment at least."""
        if "on_error" not in self._hooks:
            return "error", error
        limit = asyncio.timeout(max(deadline.remaining(), LAST_WORDS))
        try:
            async with limit:
                return await self.halted("on_error", error) or ("error", error)
        except TimeoutError:
            if not limit.expired():
                raise  # its own
            log.warning("hook_timed_out", hook="on_error", request_id=self._spec.request_id)
            return "error", error

    def view(self) -> RunView:
        """The run at this moment."""
        spec, conversation = self._spec, self._conversation
        return RunView(
            agent=spec.agent,
            request_id=spec.request_id,
            turn=conversation.turns,
            model=spec.provider.model,
            messages=History(conversation.messages),
            usage=conversation.run_usage,
            context=spec.config.context,
        )
