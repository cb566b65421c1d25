"""What a run is to come to (`output=`): a type, its JSON schema for the model, and the check of what comes back.

How a provider is asked is decided for each request: by its own structured output where it has one (which has to leave
room for tool calls when there are tools), else by a tool that hands the answer in. What is no object for JSON (a list,
a number, one of several models) travels in the member `value` of one: no API takes anything else.
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import to_json

from alloy_actors.content import TextBlock
from alloy_actors.errors import ConfigError
from alloy_actors.logs import log, traced
from alloy_actors.option_errors import brief
from alloy_actors.tool_input import ToolInputError, complaints, listed
from alloy_actors.tool_model import entered
from alloy_actors.tool_schema import TitlelessSchema, drop_titles
from alloy_actors.tooldef import Tool, tool_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from alloy_actors.content import Message
    from alloy_actors.provider import ModelRequest, OutputSchemas, Provider

SUBMIT = "submit_result"
"""The tool that hands the answer in."""
SAID = (
    "Hand in the final answer. Call it once, when you have everything: the conversation ends with it. An answer in words is "
    "not read."
)


class UnfitError(Exception):
    """An answer is not of the type; the text is for the model. Never leaves the loop."""


class Output:
    """A type of answers.

    Args:
        kind: What pydantic takes: a model, a dataclass, a TypedDict, `list[...]`, a Union, a Literal, a primitive.

    Attributes:
        schema: JSON schema of an object.
        tool: Hands the answer in.

    Raises:
        ConfigError: It is no type, or has no JSON schema.
    """

    __slots__ = ("_adapter", "_wrapped", "kind", "name", "schema", "tool")

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self.name = getattr(kind, "__name__", None) if isinstance(kind, type) else None
        self.name = self.name or str(kind)
        self._wrapped = False
        self._adapter: TypeAdapter[Any]
        self._adapter, schema = _checked(kind, self.name)
        if schema.get("type") != "object":
            model: type[BaseModel] = create_model(
                "Answer", __config__=ConfigDict(extra="forbid"), value=(kind, ...)
            )
            self._adapter, schema = _checked(model, self.name)
            self._wrapped = True
        self.schema: dict[str, Any] = schema
        self.tool: Tool = tool_of(SUBMIT, SAID, _submit, _Submitted(self), {"idempotent": True})

    def __repr__(self) -> str:
        return f"Output({self.name})"

    @property
    def schema_text(self) -> str:
        """The schema, for the model."""
        return to_json(self.schema).decode()

    def is_native(self, provider: Provider, *, tools: bool) -> bool:
        """Whether the provider's own structured output is used; a provider says so by its `output_schemas`."""
        takes: OutputSchemas = getattr(provider, "output_schemas", "never")
        return takes == "always" or (takes == "alone" and not tools)

    def asked_of(self, provider: Provider, request: ModelRequest) -> ModelRequest:
        """The request, asking this provider for an answer of the type."""
        if self.is_native(provider, tools=bool(request.tools)):
            return replace(request, output_schema=self.schema)
        # The tool has to stay callable, also where others are not any more.
        return replace(request, tools=(*request.tools, self.tool), tool_choice="auto")

    def read(self, answer: object) -> Any:
        """The value of an answer that has been JSON.

        Raises:
            UnfitError: It does not fit.
        """
        return self._validated(to_json(answer, inf_nan_mode="constants"))

    def read_text(self, message: Message) -> Any:
        """The value of an answer in words, which have to be JSON.

        Raises:
            UnfitError: They are not, or do not fit.
        """
        unfit: UnfitError | None = None
        for text in _candidates(message):
            try:
                return self._validated(text.encode("utf-8", "replace"))
            except UnfitError as problem:
                unfit = unfit or problem
        raise unfit or UnfitError("there is no text in it")

    def _validated(self, encoded: bytes) -> Any:
        try:
            found = self._adapter.validate_json(encoded)
        except ValidationError as error:
            raise UnfitError(listed(complaints(error, "the answer"))) from None
        except Exception as bug:  # a validator of the user's that raises what pydantic does not expect
            log.error("output_validator_crashed", output=self.name, **traced(bug))
            raise UnfitError(f"{type(bug).__name__}: {bug}") from bug
        return found.value if self._wrapped else found


class _Submitted:
    """The parameters of the tool: the answer itself."""

    __slots__ = ("_output",)

    def __init__(self, output: Output) -> None:
        self._output = output

    @property
    def call(self) -> Callable[..., Any]:
        """Returns what was handed in."""
        return _submit

    @property
    def schema(self) -> dict[str, Any]:
        """Of the answer."""
        return self._output.schema

    @property
    def wants_context(self) -> bool:
        """It takes none."""
        return False

    def bind(self, given: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG002  (see there)
        """See `ToolArguments`; the answer stays JSON."""
        try:
            self._output.read(given)
        except UnfitError as problem:
            raise ToolInputError(f"Tool {SUBMIT}: {problem}. Correct it and call the tool again.") from None
        return {"answer": given}


async def _submit(answer: dict[str, Any]) -> dict[str, Any]:
    return answer


def output_of(kind: Any, where: str) -> Output:
    """The `Output` of what a user gave.

    Raises:
        ConfigError: It is no type, or has no JSON schema.
    """
    if isinstance(kind, Output):
        return kind
    try:
        try:
            return _kept(kind)
        except TypeError:  # not hashable
            return Output(kind)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error.__cause__


# The same type is often given again with the next run, and pydantic needs a millisecond for it.
@functools.lru_cache(maxsize=256)
def _kept(kind: Any) -> Output:
    return Output(kind)


def _checked(kind: Any, name: str) -> tuple[TypeAdapter[Any], dict[str, Any]]:
    """Its validator, and its schema without titles and without a reference at its root."""
    hint = (
        "give a pydantic model, a dataclass, a TypedDict, list[...], a Union, a Literal or a primitive type"
    )
    if (
        isinstance(kind, str | int | float | dict | list | tuple)
        or inspect.isroutine(kind)
        or inspect.ismodule(kind)
    ):
        raise ConfigError(f"output={brief(kind)} is no type: {hint}")
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        schema = adapter.json_schema(schema_generator=TitlelessSchema)
    except PydanticUserError as error:
        first = str(error).split("\n", 1)[0].partition(". Set ")[0]  # what follows is for who calls pydantic
        raise ConfigError(f"output={name}: no JSON schema can be made of it ({first}): {hint}") from error
    drop_titles(schema)
    schema = entered(schema)
    if not schema.keys() - {"description", "default"}:
        raise ConfigError(f"output={name}: anything would fit it: {hint}")
    return adapter, schema


def _candidates(message: Message) -> Iterator[str]:
    """Where the JSON may be: the whole text, or what is said last; without the fence that some models put around it.

    gpt-4o says an answer of a form twice at times, one right after the other.
    """
    text = _unfenced(message.text)
    yield text
    blocks = [block.text for block in message.blocks if isinstance(block, TextBlock)]
    if len(blocks) > 1:
        yield _unfenced(blocks[-1])
    half = text[: len(text) // 2].rstrip()
    if half and text.endswith(half):
        yield half


def _unfenced(text: str) -> str:
    text = text.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        return text.partition("\n")[2].removesuffix("```").strip()
    return text
