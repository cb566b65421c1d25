"""What becomes of a final answer, and of a tool's result that is one: the options of `alloy_actors.endings` at work.

Whatever is said to the model here, and how often, is in the records: a run that is taken up again goes on as it would
have gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from alloy_actors.content import ToolResult, assistant, user
from alloy_actors.conversation import not_executed
from alloy_actors.errors import MalformedReplyError, OutputError
from alloy_actors.journal import Reminded, ToolCallEnded
from alloy_actors.output import SUBMIT, Output, UnfitError
from alloy_actors.run_spec import COMPLETED

if TYPE_CHECKING:
    from alloy_actors.content import Message, ToolCall
    from alloy_actors.conversation import Conversation, RunState
    from alloy_actors.deadline import Deadline
    from alloy_actors.journal import Reminder
    from alloy_actors.ledger import Ledger
    from alloy_actors.result import ToolCallRecord
    from alloy_actors.run_spec import Ending, RunSpec

AT_LIMIT: Final[Ending] = ("max_turns", None)


class Answers:
    """For one run.

    Attributes:
        output: Of the answer at hand; None until there is a valid one.
        closing: What the assistant says last where a tool has ended the run; None where it did not.
    """

    __slots__ = ("_config", "_conversation", "_ledger", "_spec", "closing", "output")

    def __init__(self, spec: RunSpec, conversation: Conversation, ledger: Ledger) -> None:
        self._spec = spec
        self._config = spec.config
        self._conversation = conversation
        self._ledger = ledger
        self.output: Any = None
        self.closing: Message | None = None

    @property
    def is_last(self) -> bool:
        """Whether the reply at hand, or the next one where none is, is the one beyond the limit of turns."""
        turns, limit = self._conversation.turns, self._config.max_turns
        if not self._config.final_answer:
            return False
        return turns > limit or (turns == limit and self._state.reply is None and self._announced)

    @property
    def good(self) -> Ending:
        """How a run with an answer ends."""
        return AT_LIMIT if self.is_last else COMPLETED

    def may_ask(self, deadline: Deadline) -> bool:
        """Whether one more request may be sent; the model is told of the one beyond the limit, while there is time for it."""
        self.output = None  # what a steering message has come after
        turns, limit = self._conversation.turns, self._config.max_turns
        if turns < limit:
            return True
        if turns > limit or not self._config.final_answer or deadline.expired:
            return False
        if not self._announced:
            what = "give your final answer now, from what you know"
            if self._submits:
                what = f"call {SUBMIT} now, from what you know; no other tool is executed any more"
            self._note("final_answer", f"The limit of {limit} turns is reached: {what}.")
        return True

    def weighed(self, message: Message, *, cut: bool) -> Ending | None:
        """What a final answer comes to; None asks again, with a reminder of what is missing.

        Args:
            message: The answer.
            cut: Whether it hit the output limit.
        """
        if not self._has_called:
            return self._ask_for_tool()
        wanted = self._config.output
        if wanted is None:
            return self.good
        try:
            self.output = wanted.read_text(message)
        except UnfitError as problem:
            if cut:
                what = "the reply hit its output limit before the output was complete"
                return "error", MalformedReplyError(f"{what}: raise the provider's max_tokens")
            return self._ask_for_output(wanted, problem)
        return self.good

    def after_tools(self, message: Message) -> Ending | None:
        """Whether the results of a reply's calls end the run; None goes on."""
        calls = self._state.tool_calls[-len(message.tool_calls) :]
        for call in calls:
            if call.error is None and call.name in self._config.halt_on_tool:
                return self._end_with(call)
        wanted = self._config.output
        if wanted is None:
            return None
        submitted = [call for call in calls if call.name == SUBMIT]
        for call in submitted:
            if call.error is None:
                return self._submitted(wanted, call)
        if not submitted:
            return None
        if self._is_out_of_tries:
            return self._no_output(wanted, _problem(wanted, submitted[-1]))
        self._note("output")  # the result has told the model
        return AT_LIMIT if self.is_last else None

    def cut_off(self, message: Message) -> Ending:
        """Answer the calls of a reply that hit its output limit: their arguments may be incomplete."""
        text = "Not executed: the reply hit its output limit, so the arguments may be incomplete."
        self._ledger.note(
            *(
                ToolCallEnded(self._spec.request_id, ToolResult(call.id, text, is_error=True))
                for call in self._conversation.unanswered
            )
        )
        names = ", ".join(call.name for call in message.tool_calls)
        return "error", MalformedReplyError(
            f"the reply hit its output limit while it called {names}: raise the provider's max_tokens"
        )

    def refuse(self, calls: tuple[ToolCall, ...]) -> list[ToolCall]:
        """Of the last reply: answer the calls that are not executed any more, and return the others."""
        kept = [call for call in calls if call.name == SUBMIT and self._config.output is not None]
        why = f"the limit of {self._config.max_turns} turns was reached"
        self._ledger.note(
            *(
                ToolCallEnded(self._spec.request_id, not_executed(call, why))
                for call in calls
                if call not in kept
            )
        )
        return kept

    @property
    def _state(self) -> RunState:
        assert self._conversation.run is not None
        return self._conversation.run

    @property
    def _announced(self) -> bool:
        return self._state.reminded["final_answer"] > 0

    @property
    def _submits(self) -> bool:
        """Whether the next request has the tool that hands the answer in."""
        wanted = self._config.output
        return wanted is not None and not wanted.is_native(
            self._spec.provider, tools=bool(self._config.tools)
        )

    @property
    def _has_called(self) -> bool:
        name = self._config.until_tool
        return name is None or any(
            call.name == name and call.error is None for call in self._state.tool_calls
        )

    @property
    def _is_out_of_tries(self) -> bool:
        return self._state.reminded["output"] >= self._config.output_retries

    def _submitted(self, wanted: Output, call: ToolCallRecord) -> Ending | None:
        if not self._has_called:
            return self._ask_for_tool()
        try:
            self.output = wanted.read(call.data)
        except UnfitError as problem:  # a validator that says now one thing, now another
            return self._ask_for_output(wanted, problem)
        return self._end_with(call)

    def _end_with(self, call: ToolCallRecord) -> Ending:
        results = (
            block.text
            for block in self._conversation.messages[-1].blocks
            if isinstance(block, ToolResult) and block.tool_use_id == call.id
        )
        self.closing = assistant(next(results, "") or f"[The call of {call.name} ended the run.]")
        return self.good

    def _ask_for_tool(self) -> Ending | None:
        if self._is_at_limit:
            return AT_LIMIT
        name = self._config.until_tool
        self._note(
            "until_tool",
            f"You have not called the tool {name} successfully. Call it before you give your final answer.",
        )
        return None

    def _ask_for_output(self, wanted: Output, problem: UnfitError) -> Ending | None:
        if self._is_out_of_tries:
            return self._no_output(wanted, str(problem))
        if self._is_at_limit:
            return AT_LIMIT
        how = f"Hand the answer in with the tool {SUBMIT}."
        if not self._submits:
            how = f"Answer again with JSON alone that fits this schema: {wanted.schema_text}"
        self._note("output", f"The answer cannot be used: {problem}. {how}")
        return None

    def _no_output(self, wanted: Output, problem: str) -> Ending:
        tries = self._config.output_retries + 1
        tried = "1 try" if tries == 1 else f"{tries} tries"
        return "error", OutputError(f"no answer that fits output={wanted.name} after {tried}: {problem}")

    @property
    def _is_at_limit(self) -> bool:
        return self._conversation.turns >= self._config.max_turns

    def _note(self, about: Reminder, text: str = "") -> None:
        self._ledger.note(Reminded(self._spec.request_id, about, user(text) if text else None))


def _problem(wanted: Output, call: ToolCallRecord) -> str:
    """What was wrong with an answer, without the words that were for the model alone."""
    try:
        wanted.read(call.input)
    except UnfitError as problem:
        return str(problem)
    return call.error or ""
