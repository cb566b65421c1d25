"""Asking the model for a run: one request, its record, its reply and that record."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from alloy_actors.estimate import tokens_of_text
from alloy_actors.events import TurnStarted
from alloy_actors.journal import Charged, Replied, RequestSent
from alloy_actors.provider import ModelRequest
from alloy_actors.providers.fallback import complete_with_fallback

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from alloy_actors.budget import Budget
    from alloy_actors.content import Message, Usage
    from alloy_actors.conversation import Conversation
    from alloy_actors.deadline import RunTime
    from alloy_actors.ledger import Ledger
    from alloy_actors.provider import ModelReply, OnDeltas, Provider
    from alloy_actors.reporting import Reporter
    from alloy_actors.run_spec import Cancellation, RunSpec


class Completion:
    """For one run.

    Args:
        spec: The run's.
        conversation: What is sent; follows the records.
        ledger: Of the same conversation.
        reporter: Hears the deltas.
        time: The run's.
        budget: Of the run and its agent.
        cancelled: Whether the run is.
    """

    __slots__ = (
        "_budget",
        "_cancelled",
        "_conversation",
        "_ledger",
        "_reporter",
        "_spec",
        "_time",
        "_turn",
    )

    def __init__(
        self,
        spec: RunSpec,
        conversation: Conversation,
        ledger: Ledger,
        reporter: Reporter,
        time: RunTime,
        budget: Budget,
        cancelled: Cancellation,
    ) -> None:
        self._spec = spec
        self._conversation = conversation
        self._ledger = ledger
        self._reporter = reporter
        self._time = time
        self._budget = budget
        self._cancelled = cancelled
        self._turn = 0  # the last that was begun

    async def ask(self, *, last: bool = False) -> ModelReply:
        """One turn's reply; both records are noted, that of the request is written.

        Args:
            last: The run ends with it: no tool call is wanted.

        Raises:
            BudgetExceededError: The request would cost too much; nothing was sent.
            ProviderError: There is no reply; neither asking again nor the fallbacks helped.
            CrashError: The provider has a bug.
        """
        spec = self._spec
        turn = self._conversation.turns + 1
        reply, provider = await self._complete(
            partial(self._request, turn=turn, last=last), self._reporter.listener_for(turn)
        )
        self._reporter.replied(turn, reply.message)
        cost = await self._budget.cost_of(provider, reply)
        self._ledger.note(
            Replied(
                spec.request_id, reply.message, reply.stop_reason, reply.usage, reply.provider_state, cost
            )
        )
        return reply

    async def ask_aside(self, message: Message, system_prompt: str) -> tuple[ModelReply, float | None]:
        """Ask something that is no turn, under the limits of the run: the reply, unheard and not noted, and its cents.

        Raises:
            BudgetExceededError: It would cost too much; nothing was sent.
            ProviderError: There is no reply; neither asking again nor the fallbacks helped.
            CrashError: The provider has a bug.
        """
        tokens = tokens_of_text(system_prompt) + message.estimated_tokens

        async def request_for(provider: Provider) -> ModelRequest:
            await self._budget.check(provider, tokens)
            await self._ledger.flush()
            self._cancelled.check()
            return ModelRequest(
                messages=(message,),
                system_prompt=system_prompt,
                deadline=self._time.deadline,
                request_id=self._spec.request_id,
                provider_state={},
                on_lost=partial(self._charge, provider),
            )

        reply, provider = await self._complete(request_for, None)
        return reply, await self._budget.cost_of(provider, reply)

    async def _request(self, provider: Provider, turn: int, *, last: bool) -> ModelRequest:
        """The request to one of the providers, recorded."""
        spec, conversation = self._spec, self._conversation
        await self._budget.check(provider)
        self._ledger.note(RequestSent(spec.request_id, turn, provider.model))
        await self._ledger.flush()
        self._cancelled.check()
        if turn != self._turn:  # not again for a fallback, nor for one that is asked anew with fewer words
            self._turn = turn
            self._reporter.emit(TurnStarted, turn, model=provider.model)
        request = ModelRequest(
            messages=tuple(conversation.messages),
            tools=spec.config.tools,
            system_prompt=spec.config.system_prompt,
            deadline=self._time.deadline,
            request_id=spec.request_id,
            provider_state=conversation.state_for(getattr(provider, "origin", None)),
            on_lost=partial(self._charge, provider),
            tool_choice="none" if last else "auto",
        )
        wanted = spec.config.output
        return request if wanted is None else wanted.asked_of(provider, request)

    def _charge(self, provider: Provider, usage: Usage) -> None:
        """A reply was lost after it had begun: it is billed all the same."""
        cost = self._budget.cost_of_lost(provider, usage)
        self._ledger.note(Charged(self._spec.request_id, usage, cost))

    def _complete(
        self, request_for: Callable[[Provider], Awaitable[ModelRequest]], listener: OnDeltas | None
    ) -> Coroutine[None, None, tuple[ModelReply, Provider]]:
        """The reply, and whose it is."""
        spec = self._spec
        return complete_with_fallback(
            (spec.provider, *spec.config.fallback_providers),
            request_for,
            listener,
            max_retries=spec.config.max_retries,
            backoff=spec.config.retry_backoff,
            asker=spec.asker,
        )
