"""A whole agent over real HTTP: what goes wrong on the wire is one clear error, and nothing is lost or left behind."""

from __future__ import annotations

import queue
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import alloy_actors as alloy
from alloy_actors.local import LocalServer, scripted_model
from tests.checks import check_sendable

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT = 5.0


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


def provider(server: LocalServer, model: str = "scripted-fast", **directives: Any) -> alloy.OpenAICompat:
    name = scripted_model(model, **directives) if directives else model
    return alloy.OpenAICompat(model=name, api_url=server.url)


def wait_for(condition: Any) -> float:
    """Poll; returns the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < WAIT, "it never happened"
        threading.Event().wait(0.005)
    return time.monotonic() - began


@pytest.fixture(params=[False, True], ids=["plain", "streamed"])
def streamed(request: pytest.FixtureRequest) -> bool:
    return request.param


def chat(agent: alloy.AgentRef, text: str, streamed: bool) -> alloy.Result:
    return agent.stream_chat(text, lambda _chunk: None) if streamed else agent.chat(text)


def test_health_answers_at_once_while_a_run_waits_for_the_model_and_cancel_ends_it(
    system: alloy.AgentSystem, server: LocalServer, streamed: bool
) -> None:
    agent = system.spawn("a", provider=provider(server, delay=10))
    assert server.stats().active == 0
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    if streamed:
        threading.Thread(target=lambda: results.put(agent.stream_chat("wait", request_id="slow"))).start()
    else:
        agent.send_message("wait", results.put, request_id="slow")
    wait_for(lambda: server.stats().active == 1)
    took = []
    for _ in range(20):
        began = time.perf_counter()
        assert agent.health().busy
        took.append(time.perf_counter() - began)
    assert sorted(took)[10] < 0.010
    assert agent.cancel_request("slow")
    result = results.get(timeout=WAIT)
    assert result.status == "cancelled"
    wait_for(lambda: server.stats().active == 0)
    agent.set_model(provider(server))
    assert "user turn 2" in agent.chat("and now?").text
    check_sendable(agent.messages())


FAULTS = [
    ({"status": 400}, alloy.InvalidRequestError),
    ({"status": 401}, alloy.AuthError),
    ({"status": 429, "retry_after": 0}, alloy.RateLimitError),
    ({"status": 500}, alloy.ServerError),
    ({"fault": "not_json"}, alloy.ProviderError),
    ({"fault": "empty"}, alloy.ProviderError),
    ({"fault": "cut"}, alloy.ConnectionFailedError),
    ({"fault": "disconnect"}, alloy.ConnectionFailedError),
    ({"fault": "error"}, alloy.ProviderError),
]


@pytest.mark.parametrize(("directives", "kind"), FAULTS, ids=str)
def test_a_failing_server_is_one_clear_error_and_the_next_request_works(
    system: alloy.AgentSystem,
    server: LocalServer,
    streamed: bool,
    directives: dict[str, Any],
    kind: type[alloy.ProviderError],
) -> None:
    agent = system.spawn("a", provider=provider(server, **directives), max_retries=0)
    result = chat(agent, "hello", streamed)
    assert result.status == "error"
    assert isinstance(result.error, kind), result.error
    assert str(result.error)
    agent.set_model(provider(server))
    assert "user turn 2" in chat(agent, "again", streamed).raise_for_status().text
    check_sendable(agent.messages())


def test_a_passing_failure_is_tried_again(
    system: alloy.AgentSystem, server: LocalServer, streamed: bool
) -> None:
    name = f"passing-{streamed}"
    model = scripted_model("scripted-fast", status=529, times=2, text=name)
    agent = system.spawn(
        "a", provider=alloy.OpenAICompat(model=model, api_url=server.url), retry_backoff=0.001
    )
    assert chat(agent, "hello", streamed).raise_for_status().text == name


def test_a_refused_connection_says_where(system: alloy.AgentSystem, streamed: bool) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        agent = system.spawn("a", provider=alloy.OpenAICompat(model="m", api_url=url), max_retries=0)
        result = chat(agent, "hello", streamed)
    assert isinstance(result.error, alloy.ConnectionFailedError)
    assert "127.0.0.1" in str(result.error)


def test_an_unknown_host_is_a_connection_failure(system: alloy.AgentSystem) -> None:
    provider = alloy.OpenAICompat(model="m", api_url="http://no-such-host.invalid")
    result = system.spawn("a", provider=provider, max_retries=0).chat("hello")
    assert isinstance(result.error, alloy.ConnectionFailedError)
    assert "no-such-host.invalid" in str(result.error)


def test_streaming_and_not_streaming_come_to_the_same(system: alloy.AgentSystem, server: LocalServer) -> None:
    @alloy.tool
    def weather(city: str) -> str:
        """Look up the weather."""
        return f"{city} is fine"

    texts = []
    for name, stream in (("plain", False), ("streamed", True)):
        agent = system.spawn(name, provider=provider(server), tools=[weather])
        result = chat(agent, "Compare the weather in Paris and Oslo", stream)
        texts.append((result.text, result.usage, result.stop_reason, result.turns, len(result.messages)))
    assert texts[0] == texts[1]


class TestTools:
    """A tool that misbehaves is an error result for the model; the run, and the agent, go on."""

    def ask(
        self, system: alloy.AgentSystem, server: LocalServer, tool: object, **options: Any
    ) -> alloy.Result:
        directives = {"calls": 1, **options.pop("directives", {})}
        agent = system.spawn("a", provider=provider(server, **directives), tools=[tool], **options)
        result = agent.chat("go", timeout=WAIT).raise_for_status()
        check_sendable(result.messages)
        return result

    def test_one_that_raises(self, system: alloy.AgentSystem, server: LocalServer) -> None:
        @alloy.tool
        def broken() -> str:
            """Raise."""
            raise ValueError("no such row")

        (call,) = self.ask(system, server, broken).tool_calls
        assert "broken" in call.error
        assert "no such row" in call.error

    def test_one_that_says_what_is_wrong(self, system: alloy.AgentSystem, server: LocalServer) -> None:
        @alloy.tool
        def picky() -> str:
            """Refuse."""
            raise alloy.ToolError("ask for a city in Europe")

        result = self.ask(system, server, picky)
        assert result.messages[2].blocks[0].content == "ask for a city in Europe"

    def test_one_that_exits(self, system: alloy.AgentSystem, server: LocalServer) -> None:
        @alloy.tool
        def leave() -> str:
            """Exit."""
            sys.exit(3)

        (call,) = self.ask(system, server, leave).tool_calls
        assert "leave" in call.error
        assert "SystemExit" in call.error

    def test_one_that_never_returns(self, system: alloy.AgentSystem, server: LocalServer) -> None:
        release = threading.Event()

        @alloy.tool
        def stuck() -> str:
            """Hang."""
            release.wait(WAIT)
            return "too late"

        (call,) = self.ask(system, server, stuck, tool_timeout=0.05).tool_calls
        assert "stuck" in call.error
        assert "timed out" in call.error
        release.set()

    def test_one_that_returns_an_object(self, system: alloy.AgentSystem, server: LocalServer) -> None:
        @alloy.tool
        def table() -> dict[str, list[int]]:
            """Return data."""
            return {"rows": [1, 2]}

        result = self.ask(system, server, table)
        assert result.messages[2].blocks[0].content == '{"rows":[1,2]}'
        assert result.tool_calls[0].data == {"rows": [1, 2]}

    def test_one_that_returns_what_cannot_be_written_down(
        self, system: alloy.AgentSystem, server: LocalServer
    ) -> None:
        @alloy.tool
        def odd() -> object:
            """Return a thing."""
            return object()

        (call,) = self.ask(system, server, odd).tool_calls
        assert "odd" in call.error

    def test_one_that_gets_wrong_arguments(self, system: alloy.AgentSystem, server: LocalServer) -> None:
        @alloy.tool
        def add(a: int, b: int) -> int:
            """Add."""
            return a + b

        (call,) = self.ask(system, server, add, directives={"arguments": '{"a": "x"}'}).tool_calls
        assert "add" in call.error
        assert "b" in call.error

    def test_one_that_gets_arguments_that_are_no_json(
        self, system: alloy.AgentSystem, server: LocalServer
    ) -> None:
        @alloy.tool
        def add(a: int, b: int) -> int:
            """Add."""
            return a + b

        agent = system.spawn("a", provider=provider(server, calls=1, arguments='{"a": 1,'), tools=[add])
        result = agent.chat("go", timeout=WAIT)
        assert "JSON" in result.tool_calls[0].error
        check_sendable(result.messages)
