"""Whole runs recorded over real HTTP and played back without it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

import alloy_actors as alloy
from alloy_actors.local import LocalServer, scripted_model
from alloy_actors.providers.trace import HTTPExchange
from alloy_actors.testing import FakeClock, Recording, assert_tool_called
from alloy_actors.testing._cassette import Exchange

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "sk-very-secret-0123"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with LocalServer() as server:
        yield server.url


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "recorded" / "weather.json"


@alloy.tool
def weather(city: str) -> str:
    """Say how the weather is."""
    return f"rain in {city}"


def ask(wire: Recording, url: str, text: str = 'weather(city="Oslo")', **directives: Any) -> alloy.Result:
    model = scripted_model("scripted-fast", **directives) if directives else "scripted-fast"
    provider = alloy.OpenAICompat(model=model, api_url=url, **wire.options)
    return alloy.run(text, provider=provider, tools=[weather])


def stream(wire: Recording, url: str, text: str = "hello") -> tuple[alloy.Result, list[str]]:
    chunks: list[str] = []
    provider = alloy.OpenAICompat(model="scripted-fast", api_url=url, **wire.options)
    return alloy.stream(text, chunks.append, provider=provider), chunks


def comparable(result: alloy.Result) -> tuple[object, ...]:
    calls = [(call.id, call.name, call.input, call.error) for call in result.tool_calls]
    return result.status, result.text, tuple(result.messages), result.usage, calls


def test_a_run_with_tools_is_played_back_as_it_was(url: str, file: Path) -> None:
    with Recording(file, record=True, api_key=KEY) as wire:
        assert wire.recording
        first = ask(wire, url)
    with Recording(file, record=False) as wire:
        assert wire.left == 2
        again = ask(wire, url)
    assert_tool_called(again, "weather", city="Oslo")
    assert comparable(again) == comparable(first)


def test_a_key_in_the_body_is_not_recorded_and_another_one_plays_back(url: str, file: Path) -> None:
    def once(wire: Recording, key: str) -> alloy.Result:
        body = {"mcp_servers": [{"url": "https://tools", "authorization_token": key}]}
        provider = alloy.OpenAICompat(model="scripted-fast", api_url=url, extra_body=body, **wire.options)
        return alloy.run("hello", provider=provider)

    with Recording(file, record=True, api_key=KEY) as wire:
        first = once(wire, "mcp-secret")
    assert "mcp-secret" not in file.read_text()
    with Recording(file, record=False) as wire:
        assert comparable(once(wire, "none")) == comparable(first)


def test_a_stream_arrives_in_pieces_again(url: str, file: Path) -> None:
    with Recording(file, record=True) as wire:
        first, said = stream(wire, url)
    with Recording(file, record=False) as wire:
        again, chunks = stream(wire, url)
    assert comparable(again) == comparable(first)
    assert "".join(chunks) == "".join(said)
    assert len(chunks) > 1


def test_the_file_is_json_for_people_and_holds_no_key(url: str, file: Path) -> None:
    with Recording(file, record=True, api_key=KEY) as wire:
        stream(wire, url, f"my key is {KEY}")
    text = file.read_text()
    assert KEY not in text
    document = json.loads(text)
    (exchange,) = document["exchanges"]
    assert document["format"] == 1
    assert exchange["url"] == f"{url}/v1/chat/completions"
    assert exchange["headers"]["authorization"] == "***"
    assert exchange["body"]["json"]["messages"][-1] == {"role": "user", "content": "my key is ***"}
    assert exchange["reply"]["status"] == 200
    assert exchange["reply"]["headers"]["content-type"].startswith("text/event-stream")
    assert exchange["reply"]["body"]["text"][0].startswith("data: {")
    assert exchange["error"] is None


def test_errors_and_the_retries_after_them_are_played_back(url: str, file: Path) -> None:
    for record in (True, False):
        with Recording(file, record=record) as wire, FakeClock() as clock:
            result = ask(wire, url, status=503)
        assert isinstance(result.error, alloy.ServerError)
        assert (result.error.status, len(clock.pauses)) == (503, 3)


def test_a_connection_that_failed_fails_again_with_the_same_words(file: Path) -> None:
    said = []
    for record in (True, False):
        with Recording(file, record=record) as wire, FakeClock():
            said.append(ask(wire, "http://127.0.0.1:1").error)
    assert [type(error) for error in said] == [alloy.ConnectionFailedError] * 2
    assert str(said[0]) == str(said[1])


def test_a_stream_that_was_cut_is_cut_again_after_the_same_words(url: str, file: Path) -> None:
    texts = []
    for record in (True, False):
        with Recording(file, record=record) as wire:
            model = scripted_model("scripted-fast", deltas=6, fault="cut")
            provider = alloy.OpenAICompat(model=model, api_url=url, **wire.options)
            result = alloy.stream("go", print, provider=provider)
            assert isinstance(result.error, alloy.ConnectionFailedError)
            texts.append((result.text, str(result.error)))
    assert texts[0] == texts[1]
    assert texts[0][0]


def test_an_exchange_that_was_cancelled_hangs_until_it_is_cancelled_again(url: str, file: Path) -> None:
    for record in (True, False):
        with Recording(file, record=record) as wire:
            result = asyncio.run(cancelled(wire, url))
        assert (result.status, result.text) == ("cancelled", "word0 ")


async def cancelled(wire: Recording, url: str) -> alloy.Result:
    model = scripted_model("scripted-fast", deltas=4, fault="stall")
    agent = await alloy.Agent.astart(provider=alloy.OpenAICompat(model=model, api_url=url, **wire.options))
    async for event in agent.astream_chat("go"):
        if isinstance(event, alloy.TextDelta):
            agent.cancel_request()
        if isinstance(event, alloy.RunFinished):
            return event.result
    raise AssertionError("RunFinished comes last")


def test_a_request_that_differs_ends_the_run_and_the_block_shows_the_difference(url: str, file: Path) -> None:
    with Recording(file, record=True) as wire:
        ask(wire, url, "hello")
    results = []
    with (
        pytest.raises(AssertionError, match="is none of the recorded ones that are left") as caught,
        Recording(file, record=False) as wire,
    ):
        results.append(ask(wire, url, "good bye"))
    assert isinstance(results[0].error, alloy.InvalidRequestError)
    lines = str(caught.value).splitlines()
    assert '-      "content": "hello",' in lines
    assert '+      "content": "good bye",' in lines
    assert not any(line.startswith(("-", "+")) and "model" in line for line in lines)


def test_a_request_too_many_and_one_too_few_are_said(url: str, file: Path) -> None:
    with Recording(file, record=True) as wire:
        ask(wire, url, "hello")
    with (
        pytest.raises(AssertionError, match="one request more than were recorded"),
        Recording(file, record=False) as wire,
    ):
        ask(wire, url, "hello")
        ask(wire, url, "hello")
    with (
        pytest.raises(AssertionError, match=f"did not come:\n  {url}/v1/chat/completions"),
        Recording(file, record=False),
    ):
        pass


def test_a_block_that_fails_writes_nothing_and_says_its_own_failure(url: str, file: Path) -> None:
    with pytest.raises(LookupError), Recording(file, record=True) as wire:
        ask(wire, url, "hello")
        raise LookupError
    assert not file.exists()
    with Recording(file, record=True) as wire:
        ask(wire, url, "hello")
    with pytest.raises(LookupError), Recording(file, record=False):
        raise LookupError


def test_agents_may_race_for_what_was_recorded(url: str, file: Path) -> None:
    def both(wire: Recording, *texts: str) -> list[str]:
        provider = alloy.OpenAICompat(model="scripted-fast", api_url=url, **wire.options)

        async def main() -> list[alloy.Result]:
            return await asyncio.gather(*(alloy.arun(text, provider=provider) for text in texts))

        return sorted(result.text for result in asyncio.run(main()))

    with Recording(file, record=True) as wire:
        first = both(wire, "one", "two")
    with Recording(file, record=False) as wire:
        assert both(wire, "two", "one") == first


def test_the_environment_says_whether_to_record(
    url: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOY_RECORD", "1")
    with Recording(file) as wire:
        first = ask(wire, url, "hello")
    monkeypatch.setenv("ALLOY_RECORD", "")
    with Recording(file) as wire:
        assert ask(wire, url, "hello").text == first.text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no recording .*: run once with ALLOY_RECORD=1 to make it"),
        ("nonsense", "this is no recording: JSONDecodeError"),
        ("[]", "this is no recording: TypeError"),
        ('{"format": 9}', "format 9 is not 1"),
        ('{"format": 1, "exchanges": [{}]}', "this is no recording: KeyError"),
        (
            '{"format": 1, "exchanges": [{"url": "u", "headers": {}, "body": {"yaml": 1}, "reply": null}]}',
            r"a body is one of json, text, base64, not \['yaml'\]",
        ),
    ],
)
def test_what_is_no_recording_is_refused(content: str | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "recording.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(alloy.ConfigError, match=said):
        Recording(file, record=False)


def test_a_key_in_the_address_of_a_redirect_is_not_recorded() -> None:
    seen = HTTPExchange(
        url="https://a/v1",
        request_headers={},
        request_body=b"{}",
        status=307,
        response_headers={"location": "https://b/v1?api-version=1&api_key=q-u-e-r-y"},
        response_body=b"",
        complete=True,
        error=None,
        seconds=0.1,
    )
    assert Exchange.of(seen).reply_headers == {"location": "https://b/v1?api-version=1&api_key=***"}


def test_a_header_whose_value_is_in_the_prompt_plays_back(url: str, file: Path) -> None:
    def once(wire: Recording) -> alloy.Result:
        headers = {"x-team": "weather-team"}
        provider = alloy.OpenAICompat(
            model="scripted-fast", api_url=url, extra_headers=headers, **wire.options
        )
        return alloy.run("ask the weather-team", provider=provider)

    with Recording(file, record=True, api_key=KEY) as wire:
        once(wire)
    assert "weather-team" not in file.read_text()
    with Recording(file, record=False) as wire:
        assert once(wire).status == "completed"
