"""What the loop knows of a model: one request in neutral terms, one reply in neutral terms.

A provider translates to one vendor's wire. It is a class with a `model` and one method:

    class Echo:
        model = "echo"

        async def complete(self, request, on_deltas=None):
            return ModelReply(assistant(request.messages[-1].text))

A provider that cannot stream ignores `on_deltas`; the loop then makes the events from the reply. `complete` runs on
the runtime's event loop. It raises `ProviderError`s; anything else it raises is a bug and ends the run as one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from alloy_actors.content import NO_USAGE, Message, StopReason, Usage
from alloy_actors.deadline import NEVER, Deadline

if TYPE_CHECKING:
    from alloy_actors.tooldef import Tool


class Delta(NamedTuple):
    """A piece of a reply as it arrives."""

    kind: Literal["text", "thinking"]
    text: str


OutputSchemas: TypeAlias = Literal["always", "alone", "never"]
"""Whether a provider takes `ModelRequest.output_schema`: "alone" is not beside tools, which could then not be called. A
provider without an attribute `output_schemas` never does."""

OnDeltas: TypeAlias = Callable[[Sequence[Delta]], None]
"""Called on the loop thread, once per network chunk, with the deltas of that chunk in order."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request.

    Args:
        messages: The whole history in order; ends with a user message.
        tools: Offered to the model, in a stable order (prompt caches depend on it).
        system_prompt: "" for none.
        deadline: The run's; a provider bounds every wait by it.
        request_id: The run's, for logs.
        provider_state: What this provider's last reply asked to get back; {} when it was dropped on purpose (reset),
            None when there was none yet.
        output_schema: JSON schema that the answer has to fit; None for free text.
        on_lost: Called on the loop when an exchange ends without a reply, cut off or cancelled, with what it had said of its
            usage by then: it is billed all the same. None where nobody counts.
        output_schema: JSON schema that the answer has to fit; None for free text. Only for a provider whose
            `output_schemas` is "always", or "alone" and there are no tools; any other is given a tool instead.
        tool_choice: "none" asks for an answer without calls. The tools stay in the request: APIs want those that the
            history calls declared, and prompt caches begin with them.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    system_prompt: str = ""
    deadline: Deadline = NEVER
    request_id: str = ""
    provider_state: Mapping[str, Any] | None = None
    output_schema: Mapping[str, Any] | None = None
    on_lost: Callable[[Usage], None] | None = field(default=None, compare=False, repr=False)
    tool_choice: Literal["auto", "none"] = "auto"


@dataclass(frozen=True, slots=True)
class ModelReply:
    """One reply.

    Args:
        message: The assistant's message; may be empty of blocks.
        stop_reason: Why the model stopped, in our words.
        usage: Of this request alone.
        metadata: The provider's own facts, JSON: its word for the stop reason, response id, citations, what its own
            tools did.
        provider_state: JSON that the provider wants back with the next request, complete; None leaves what there is.
    """

    message: Message
    stop_reason: StopReason = "end_turn"
    usage: Usage = NO_USAGE
    metadata: dict[str, Any] = field(default_factory=dict)
    provider_state: dict[str, Any] | None = None

    @property
    def refusal(self) -> str:
        """Why the model refused: `stop_details` of the metadata; else what it said, perhaps before it was stopped."""
        details = self.metadata.get("stop_details")
        explanation = details.get("explanation") if isinstance(details, dict) else details
        return str(explanation or self.message.text or "no reason given")


@runtime_checkable
class Provider(Protocol):
    """One vendor's wire."""

    @property
    def model(self) -> str:
        """The model's name, as the vendor spells it."""

    async def complete(self, request: ModelRequest, on_deltas: OnDeltas | None = None) -> ModelReply:
        """Ask the model.

        Args:
            request: See `ModelRequest`.
            on_deltas: None when nobody listens: then a plain exchange is cheaper.

        Raises:
            ProviderError: One of its subclasses; see alloy_actors.errors.
        """
