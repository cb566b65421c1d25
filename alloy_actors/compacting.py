"""Compaction in a run: before a request that would be too long, and after one that the provider found so.

What is cheap comes first: old tool results are emptied; where that is not enough the model writes a summary of what is
old; where it cannot, what is old is cut down. The new list is one record of the journal, written before the request
that it is made for, so a run that is taken up again goes on with the same messages.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from alloy_actors import telemetry
from alloy_actors.compaction.clearing import Cleared, clear
from alloy_actors.compaction.parts import estimated, split, summarised, summary_of
from alloy_actors.compaction.prompts import summary_request
from alloy_actors.compaction.serialising import serialise
from alloy_actors.compaction.settings import Limits
from alloy_actors.compaction.shortening import shrink, truncate, without_signed_thinking
from alloy_actors.config import tokens_beside
from alloy_actors.content import History, user
from alloy_actors.conversation import MOST_PER_ESTIMATE
from alloy_actors.errors import ContextOverflowError, ProviderError
from alloy_actors.events import Compacted
from alloy_actors.journal import Charged, WasCompacted, parts_of
from alloy_actors.logs import log, traced
from alloy_actors.windows import context_budget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alloy_actors.compaction.parts import Parts
    from alloy_actors.compaction.settings import Compaction
    from alloy_actors.completion import Completion
    from alloy_actors.content import Message
    from alloy_actors.conversation import Conversation
    from alloy_actors.events import CompactedHow
    from alloy_actors.hearing import Hearing
    from alloy_actors.ledger import Ledger
    from alloy_actors.reporting import Reporter
    from alloy_actors.run_spec import Ending, RunSpec

FITS_ANY_MODEL: Final = 8_000
"""Tokens that need no look into the catalogue: a smaller window than that makes itself known by an overflow."""


class Compacting:
    """For one run.

    Args:
        spec: The run's.
        conversation: Follows the records.
        ledger: Of the same conversation.
        reporter: Hears what was done.
        hearing: Of the run's middleware.
        completion: Asks for summaries.
    """

    __slots__ = (
        "_completion",
        "_conversation",
        "_hearing",
        "_ledger",
        "_limits",
        "_next",
        "_overhead",
        "_reporter",
        "_settings",
        "_spec",
    )

    def __init__(
        self,
        spec: RunSpec,
        conversation: Conversation,
        ledger: Ledger,
        reporter: Reporter,
        hearing: Hearing,
        completion: Completion,
    ) -> None:
        self._spec = spec
        self._conversation = conversation
        self._ledger = ledger
        self._reporter = reporter
        self._hearing = hearing
        self._completion = completion
        self._settings = spec.config.compaction
        self._limits: Limits | None = None
        self._overhead: int | None = None
        self._next = 0  # tokens below which doing it again would gain nothing

    async def before_request(self) -> Ending | None:
        """Make the conversation fit; how the run ends when a middleware halts it.

        Raises:
            ConfigError: The settings do not fit the model's window.
        """
        settings, conversation = self._settings, self._conversation
        if settings is None or self._is_recovering() or conversation.messages[-1].role != "user":
            return None  # a paused answer goes back as it is
        beside = self._beside()
        at_most = conversation.prompt_tokens(beside, MOST_PER_ESTIMATE)
        unknown = self._spec.config.max_tokens is None and not conversation.refused
        if unknown and max(at_most, settings.wanted) <= FITS_ANY_MODEL:
            return None
        limits = await self._limits_of(settings)
        if at_most <= limits.prompt:
            return None
        tokens = conversation.prompt_tokens(beside, conversation.calibration(beside))
        if tokens <= max(limits.prompt, self._next):
            return None
        return (await self._compact(settings, limits, tokens))[1]

    async def after_overflow(self, error: ContextOverflowError) -> Ending | None:
        """Make the conversation shorter than the provider takes, once in a turn; None asks again.

        Raises:
            ContextOverflowError: `error`, where there is nothing more to be done.
        """
        if self._reporter.heard or self._is_recovering():
            raise error
        ended = await self._hearing.halted("on_context_overflow", error)
        settings, conversation = self._settings, self._conversation
        if ended is not None or settings is None:
            self._tell_overflow(retry=False)
            if ended is None:
                raise error
            return ended
        beside = self._beside()
        tokens = conversation.prompt_tokens(beside, conversation.calibration(beside))
        self._limits = _below(await self._limits_of(settings), tokens)
        changed, ended = await self._compact(settings, self._limits, tokens, overflow=True)
        self._tell_overflow(retry=changed and ended is None)
        if not changed:
            raise error
        return ended

    def _tell_overflow(self, *, retry: bool) -> None:
        telemetry.emit("alloy.turn.prompt_too_long_recovery", {}, {**self._where(), "retry": retry})

    def _where(self) -> dict[str, Any]:
        """What telemetry says of the moment."""
        return {"turn": self._conversation.turns + 1, "request_id": self._spec.request_id}

    def _is_recovering(self) -> bool:
        """Whether this turn was too long for the provider already."""
        state = self._conversation.run
        return state is not None and state.overflowed == self._conversation.turns

    def _beside(self) -> int:
        """Tokens of what goes with the messages, by estimate."""
        if self._overhead is None:
            self._overhead = tokens_beside(self._spec.config)
        return self._overhead

    async def _limits_of(self, settings: Compaction) -> Limits:
        if self._limits is None:
            limits = settings.within(await context_budget(self._spec.provider, self._spec.config))
            refused = self._conversation.refused
            self._limits = _below(limits, refused) if refused else limits
        return self._limits

    async def _compact(
        self, settings: Compaction, limits: Limits, tokens: int, *, overflow: bool = False
    ) -> tuple[bool, Ending | None]:
        """Do it; whether anything has changed, and how the run ends when a middleware halts it."""
        spec, conversation, beside = self._spec, self._conversation, self._beside()
        old = conversation.messages
        per_estimate = conversation.calibration(beside)
        target = int(limits.prompt / per_estimate) - beside  # estimated tokens of messages
        parts = split(old, limits.keep_recent / per_estimate)
        cleared = Cleared(old, 0, 0)
        if settings.clear_tool_results:
            cleared = clear(old, parts.body, parts.cut, settings.keep_recent_tool_results)
        how: CompactedHow = "cleared"
        new = cleared.messages
        if overflow or not cleared.results or estimated(new) + limits.room / per_estimate > target:
            summary = await self._summarise(settings, old, parts)
            if summary is not None:
                how, new = "summarised", summarised(old, parts, summary)
            elif settings.fallback == "truncate":
                how, new = "truncated", truncate(new)
        new = without_signed_thinking(new, keep_turn=getattr(spec.provider, "keeps_thinking", False))
        new = shrink(new, estimated(new) - target)
        left = max(1, int(per_estimate * (beside + estimated(new))))
        self._next = left + limits.keep_recent // 2
        made = parts_of(new, old)
        if made == ((0, len(old)),):
            log.warning("compaction_changed_nothing", tokens=tokens)
            return False, None
        await self._tell_user(old, new)
        before = conversation.run.before if conversation.run is not None else 0
        if before > parts.head:
            gone = how == "summarised" and before < parts.cut
            before = parts.head + 1 if gone else before + len(new) - len(old)
        self._ledger.note(WasCompacted(spec.request_id, made, left, before, tokens if overflow else 0))
        self._report(how, cleared if how != "summarised" else Cleared(old, 0, 0), (tokens, left), (old, new))
        return True, await self._hearing.halted("after_compaction", History(new))

    async def _summarise(self, settings: Compaction, messages: Sequence[Message], parts: Parts) -> str | None:
        """The model's summary of what is old; None where nothing is, or where there is none to be had."""
        spec = self._spec
        if parts.cut == parts.body:
            return None
        text = summary_request(
            serialise(messages[parts.body : parts.cut]),
            summary_of(messages, parts.head),
            settings.summary_prompt,
        )
        try:
            reply, cost = await self._completion.ask_aside(user(text), settings.summary_system_prompt)
        except ProviderError as error:
            log.warning("summary_failed", **traced(error))
            return None
        self._ledger.note(Charged(spec.request_id, reply.usage, cost))
        summary = reply.message.text.strip()
        if not summary or reply.stop_reason == "refusal":
            log.warning("summary_failed", stop_reason=reply.stop_reason)
            return None
        return summary

    def _report(
        self,
        how: CompactedHow,
        cleared: Cleared,
        tokens: tuple[int, int],
        messages: tuple[Sequence[Message], Sequence[Message]],
    ) -> None:
        """Tell the log, telemetry and listeners; pairs are before and after."""
        counts = {"messages_before": len(messages[0]), "messages_after": len(messages[1])}
        sizes = {"tokens_before": tokens[0], "tokens_after": tokens[1]}
        log.info("compacted", how=how, results_cleared=cleared.results, **sizes, **counts)
        if cleared.results:
            measured = {"results_cleared": cleared.results, "bytes_cleared": cleared.bytes}
            telemetry.emit("alloy.compaction.cleared", measured, self._where())
        telemetry.emit("alloy.compaction.done", {**counts, **sizes}, {**self._where(), "how": how})
        turn = self._conversation.turns + 1
        self._reporter.emit(Compacted, turn, how=how, results_cleared=cleared.results, **sizes, **counts)

    async def _tell_user(self, old: Sequence[Message], new: Sequence[Message]) -> None:
        """Hand `on_compaction` what is about to go; what it raises is logged."""
        spec = self._spec
        if spec.config.on_compaction is None:
            return
        kept = set(map(id, new))
        gone = tuple(message for message in old if id(message) not in kept)
        try:
            await spec.hooks.call(spec.config.on_compaction, gone, self._hearing.view())
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # also SystemExit, which would end the loop for everyone
            log.error("on_compaction_failed", **traced(error))


def _below(limits: Limits, refused: int) -> Limits:
    """Limits for a model whose window was found to be smaller than so many tokens, whatever is believed of it."""
    return Limits(min(limits.prompt, refused * 3 // 4), min(limits.keep_recent, max(1, refused // 8)))
