"""Providers against a server that others wrote; whole agents against it are in test_llmock_agents.py."""

import asyncio
import time
from typing import Any, ClassVar

import pytest

from alloy_actors import errors
from alloy_actors.content import Message, ToolResult, user
from alloy_actors.deadline import NEVER
from alloy_actors.pauses import pausing_by
from alloy_actors.provider import ModelReply, ModelRequest
from alloy_actors.providers.retry import complete_with_retry

pytestmark = pytest.mark.slow


class Weather:
    """What a provider reads of a tool."""

    name = "get_weather"
    description = "The weather of a city."
    input_schema = {  # noqa: RUF012  (a value, not a shared default)
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    }

    strict = False
    input_examples = ()
    defer_loading = False
    allowed_callers = None
    native_types: ClassVar[dict[str, str]] = {}

    def cached_wire(self, _format: object) -> None:
        return None

    def cache_wire(self, _format: object, encoded: bytes) -> bytes:
        return encoded


@pytest.fixture
def model(llmock, api):
    return llmock.model(api)


def listener(streamed: bool, heard: list[str]):
    return (lambda deltas: heard.extend(delta.text for delta in deltas)) if streamed else None


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer(run, ask, model, streamed: bool) -> None:
    heard: list[str] = []
    reply = run(model.complete(ask("Say hello."), listener(streamed, heard)))
    assert reply.message.text
    assert reply.stop_reason == "end_turn"
    assert reply.usage.input_tokens > 0
    assert reply.usage.output_tokens > 0
    assert "".join(heard) == (reply.message.text if streamed else "")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_loop_ends_with_text(run, model, streamed: bool) -> None:
    tools: Any = (Weather(),)
    first = user("What is the weather in Paris?")
    reply = run(model.complete(ModelRequest((first,), tools), listener(streamed, [])))
    assert reply.stop_reason == "tool_use"
    (call,) = reply.message.tool_calls
    assert call.name == "get_weather"
    assert isinstance(call.input["city"], str)
    results = Message("user", (ToolResult(call.id, "21C"),))
    reply = run(model.complete(ModelRequest((first, reply.message, results), tools), listener(streamed, [])))
    assert reply.stop_reason == "end_turn"
    assert reply.message.text


def test_broken_arguments_are_an_invalid_call(run, model, llmock, api) -> None:
    llmock.expect({"type": "tool_fault", "kind": "malformed_arguments"})
    tools: Any = (Weather(),)
    reply = run(model.complete(ModelRequest((user("Weather in Paris?"),), tools), listener(True, [])))
    (call,) = reply.message.tool_calls
    if api == "gemini":  # arguments are JSON inside of JSON there: llmock leaves them out
        assert call.input == {}
    else:
        assert call.invalid


@pytest.mark.parametrize("streamed", [False, True])
def test_rate_limits_are_waited_for(run, ask, model, llmock, streamed: bool) -> None:
    llmock.expect({"type": "fail", "status": 429, "retry_after": 0.3, "times": 2})
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(seconds)

    async def ask_patiently() -> ModelReply:
        with pausing_by(sleep):
            return await complete_with_retry(model, ask(), listener(streamed, []), backoff=0.05)

    started = time.monotonic()
    reply = run(ask_patiently())
    assert reply.message.text
    assert len(slept) == 2
    # A pause is what is left of the cool-down when it begins, so only the whole is known. A slow machine makes it longer.
    assert time.monotonic() - started > 0.59


@pytest.mark.parametrize("status", [500, 503, 529])
def test_a_failing_server_is_asked_again(run, ask, model, llmock, status: int) -> None:
    llmock.expect({"type": "fail", "status": status, "retry_after": 0.05, "times": 1})
    assert run(complete_with_retry(model, ask(), backoff=0.02)).message.text


@pytest.mark.parametrize(("status", "kind"), [(400, errors.InvalidRequestError), (401, errors.AuthError)])
def test_what_cannot_succeed_is_not_asked_again(run, ask, model, llmock, status: int, kind) -> None:
    llmock.expect({"type": "fail", "status": status, "times": 1})
    with pytest.raises(kind):
        run(complete_with_retry(model, ask(), backoff=0.01))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("disconnect", errors.ConnectionFailedError),
        ("truncate", errors.ConnectionFailedError),
        ("malformed", errors.MalformedReplyError),
        ("stall", errors.ProviderTimeoutError),
    ],
)
def test_a_broken_stream_is_a_typed_error_and_never_a_short_success(
    run, ask, model, llmock, fault, kind
) -> None:
    llmock.expect(
        {
            "type": "stream_fault",
            "kind": fault,
            "after_chunks": 6,
            **({"stall_seconds": 20} if fault == "stall" else {}),
        }
    )
    heard: list[str] = []
    with pytest.raises(kind):
        run(complete_with_retry(model, ask("Tell me a story."), listener(True, heard), backoff=0.01))
    assert heard  # so it was not for us to ask again; whoever caught the error may
    assert run(model.complete(ask("Tell me a story."), listener(True, []))).message.text


def test_a_slow_first_token_is_waited_for(run, ask, model, llmock) -> None:
    llmock.expect({"type": "slow_first_token", "seconds": 0.3})
    assert run(model.complete(ask(), listener(True, []))).message.text


def test_a_stream_that_breaks_before_its_first_delta_is_asked_for_again(run, ask, model, llmock) -> None:
    llmock.expect({"type": "stream_fault", "kind": "disconnect", "after_chunks": 0})
    heard: list[str] = []
    request = ModelRequest(ask("Say hello.").messages, deadline=NEVER)
    reply = run(complete_with_retry(model, request, listener(True, heard), backoff=0.02))
    assert "".join(heard) == reply.message.text
