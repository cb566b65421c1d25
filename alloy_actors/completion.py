"""Asking the model for a run: one request, its record, its reply and that record."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from alloy_actors.errors import ConfigError, CrashError, ProviderError
from alloy_actors.events import TurnStarted
from alloy_actors.journal import Replied, RequestSent
from alloy_actors.logs import log, traced
from alloy_actors.provider import ModelReply, ModelRequest
from alloy_actors.providers.retry import complete_with_retry

if TYPE_CHECKING:
    from collections.abc import Callable

    from alloy_actors.budget import Budget
    from alloy_actors.conversation import Conversation
    from alloy_actors.deadline import Deadline
    from alloy_actors.ledger import Ledger
    from alloy_actors.reporting import Reporter
    from alloy_actors.run_spec import RunSpec


class Completion:
    """For one run.

    Args:
        spec: The run's.
        conversation: What is sent; follows the records.
        ledger: Of the same conversation.
        reporter: Hears the deltas.
        deadline: The run's.
        budget: Of the run and its agent.
        check_cancelled: Raises when somebody was told that the run is cancelled.
    """

    __slots__ = ("_budget", "_check_cancelled", "_conversation", "_deadline", "_ledger", "_reporter", "_spec")

    def __init__(
        self,
        spec: RunSpec,
        conversation: Conversation,
        ledger: Ledger,
        reporter: Reporter,
        deadline: Deadline,
        budget: Budget,
        check_cancelled: Callable[[], None],
    ) -> None:
        self._spec = spec
        self._conversation = conversation
        self._ledger = ledger
        self._reporter = reporter
        self._deadline = deadline
        self._budget = budget
        self._check_cancelled = check_cancelled

    async def ask(self) -> ModelReply:
        """One turn's reply; both records are noted, that of the request is written.

        Raises:
            BudgetExceededError: The request would cost too much; nothing was sent.
            ProviderError: There is no reply; retrying did not help.
            CrashError: The provider has a bug.
        """
        spec, conversation = self._spec, self._conversation
        turn = conversation.turns + 1
        await self._budget.check(spec.provider)
        self._ledger.note(RequestSent(spec.request_id, turn, spec.provider.model))
        await self._ledger.flush()
        self._check_cancelled()
        self._reporter.emit(TurnStarted, turn, model=spec.provider.model)
        request = ModelRequest(
            messages=tuple(conversation.messages),
            tools=spec.config.tools,
            system_prompt=spec.config.system_prompt,
            deadline=self._deadline,
            request_id=spec.request_id,
            provider_state=conversation.state_for(getattr(spec.provider, "origin", None)),
        )
        reply = await self._complete(request, turn)
        self._reporter.replied(turn, reply.message)
        cost = await self._budget.cost_of(spec.provider, reply)
        self._ledger.note(
            Replied(
                spec.request_id, reply.message, reply.stop_reason, reply.usage, reply.provider_state, cost
            )
        )
        return reply

    async def _complete(self, request: ModelRequest, turn: int) -> ModelReply:
        """The reply; what a provider raises beside its errors is a bug of the provider, and a value for the run."""
        spec = self._spec
        name = type(spec.provider).__name__
        try:
            reply: object = await complete_with_retry(
                spec.provider,
                request,
                self._reporter.listener_for(turn),
                max_retries=spec.config.max_retries,
                backoff=spec.config.retry_backoff,
            )
        except (ProviderError, ConfigError, asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as bug:  # also SystemExit, which would end the loop for everyone
            log.error(
                "provider_crashed", provider=name, agent=spec.agent, request_id=spec.request_id, **traced(bug)
            )
            msg = f"provider {name} raised {type(bug).__name__}: {bug}"
            raise CrashError(msg) from bug
        if not isinstance(reply, ModelReply):
            msg = f"{name}.complete() must return a ModelReply, got {type(reply).__name__}"
            raise CrashError(msg)
        return reply
