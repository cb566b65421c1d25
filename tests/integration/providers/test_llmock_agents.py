"""Whole agents with a tool, over each wire format, against a server that fails on demand and grades its client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import alloy_actors as alloy
from tests.checks import check_sendable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.providers.mock_server import LLMock

pytestmark = pytest.mark.slow

QUESTION = "What is the weather in Paris?"


@alloy.tool
async def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"21C in {city}"


@pytest.fixture
def ask(llmock: LLMock, api: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., alloy.Result]]:
    """Asks a new agent; streamed to a list of pieces where one is given."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with alloy.AgentSystem() as system:

        def ask(heard: list[str] | None = None, question: str = QUESTION, **options: object) -> alloy.Result:
            settings = {"tools": [get_weather], "retry_backoff": 0.02, **options}
            agent = system.spawn(provider=llmock.model(api), **settings)
            result = agent.chat(question) if heard is None else agent.stream_chat(question, heard.append)
            check_sendable(agent.messages())
            return result

        yield ask
    alloy.shutdown()


@pytest.fixture(params=[False, True], ids=["plain", "streamed"])
def heard(request: pytest.FixtureRequest) -> list[str] | None:
    return [] if request.param else None


def check(result: alloy.Result) -> None:
    result.raise_for_status()
    assert [(call.name, call.error) for call in result.tool_calls] == [("get_weather", None)]
    assert result.turns == 2
    assert result.text
    assert result.usage.input_tokens > 0
    assert result.usage.output_tokens > 0


def test_an_agent_uses_its_tool_and_answers(ask, heard) -> None:
    result = ask(heard)
    check(result)
    assert heard is None or "".join(heard).endswith(result.text)


def test_a_rate_limit_is_waited_for_as_long_as_it_asks(ask, heard, llmock) -> None:
    llmock.expect({"type": "fail", "status": 429, "retry_after": 0.3, "times": 2})
    check(ask(heard))


@pytest.mark.parametrize("status", [408, 500, 503, 529])
def test_a_failing_server_is_asked_again(ask, heard, llmock, status: int) -> None:
    llmock.expect({"type": "fail", "status": status, "retry_after": 0.05, "times": 2})
    check(ask(heard))


def test_a_server_that_keeps_failing_is_given_up(ask, heard, llmock) -> None:
    llmock.expect({"type": "fail", "status": 529, "retry_after": 0.05, "times": 20})
    result = ask(heard)
    assert isinstance(
        result.error, alloy.OverloadedError | alloy.ServerError
    )  # the label decides before the status


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, alloy.InvalidRequestError), (401, alloy.AuthError), (404, alloy.InvalidRequestError)],
)
def test_what_cannot_succeed_is_asked_once(ask, heard, llmock, status: int, kind: type) -> None:
    llmock.expect({"type": "fail", "status": status, "times": 2})
    assert isinstance(ask(heard).error, kind)


@pytest.mark.parametrize("kind", ["malformed_arguments", "unknown_tool"])
def test_a_broken_call_is_answered_and_the_run_goes_on(ask, llmock, kind: str) -> None:
    llmock.expect({"type": "tool_fault", "kind": kind})
    result = ask([]).raise_for_status()
    assert result.tool_calls[0].error
    assert result.text


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("disconnect", alloy.ConnectionFailedError),
        ("truncate", alloy.ConnectionFailedError),
        ("malformed", alloy.MalformedReplyError),
        ("stall", alloy.ProviderTimeoutError),
    ],
)
def test_a_stream_that_breaks_is_an_error_and_what_was_heard_is_kept(
    ask, llmock, fault: str, kind: type
) -> None:
    stall = {"stall_seconds": 20} if fault == "stall" else {}
    llmock.expect({"type": "stream_fault", "kind": fault, "after_chunks": 6, **stall})
    pieces: list[str] = []
    result = ask(pieces, "Tell me a story.", tools=[])
    assert isinstance(result.error, kind)
    assert pieces
    assert result.text == "".join(pieces)
    assert result.messages[-1].text.startswith(result.text)
    again = ask(
        [], "Tell me a story.", tools=[]
    ).raise_for_status()  # the caller may ask again, and it is whole
    assert again.text.startswith(result.text)


def test_a_stream_that_breaks_before_a_word_is_asked_for_again(ask, llmock) -> None:
    llmock.expect({"type": "stream_fault", "kind": "disconnect", "after_chunks": 0})
    check(ask([]))


def test_a_slow_first_token_is_waited_for(ask, llmock) -> None:
    llmock.expect({"type": "slow_first_token", "seconds": 0.3})
    check(ask([]))
