import asyncio
import threading

import pytest

from alloy_actors import errors
from alloy_actors.content import Message, TextBlock, ThinkingBlock, ToolCall, Usage, user
from alloy_actors.provider import Delta, ModelReply, ModelRequest, Provider
from alloy_actors.testing import (
    Gate,
    ScriptedProvider,
    cut,
    error,
    hang,
    held,
    reply,
    text,
    thinking,
    tool_call,
    tool_calls,
)


def request(content: str = "hi") -> ModelRequest:
    return ModelRequest((user(content),))


def ask(provider: ScriptedProvider, content: str = "hi") -> ModelReply:
    return asyncio.run(provider.complete(request(content)))


def listen(provider: ScriptedProvider) -> tuple[ModelReply, list[Delta]]:
    heard: list[Delta] = []
    return asyncio.run(provider.complete(request(), heard.extend)), heard


def test_it_is_a_provider() -> None:
    assert isinstance(ScriptedProvider(), Provider)
    assert ScriptedProvider(model="m").model == "m"


def test_steps_are_played_in_order_and_requests_kept() -> None:
    provider = ScriptedProvider(["one", text("two"), TextBlock("three")])
    assert provider.remaining == 3
    assert [ask(provider, word).message.text for word in "abc"] == ["one", "two", "three"]
    assert [kept.messages[0].text for kept in provider.requests] == ["a", "b", "c"]
    assert provider.remaining == 0


def test_a_string_is_one_answer() -> None:
    assert ask(ScriptedProvider("hello")).message.text == "hello"


def test_a_script_that_has_run_out_says_so() -> None:
    provider = ScriptedProvider(["one"])
    ask(provider)
    with pytest.raises(
        errors.InvalidRequestError, match="the script has run out: it has 1 steps, and this is request 2"
    ):
        ask(provider)


def test_a_tool_call_gets_an_id_of_its_own() -> None:
    provider = ScriptedProvider(
        [tool_call("add", a=1, name="x"), [tool_call("add", a=2), ToolCall("mine", "read", {})]]
    )
    first = ask(provider)
    assert first.stop_reason == "tool_use"
    assert first.message.tool_calls == (ToolCall("call_1", "add", {"a": 1, "name": "x"}),)
    assert [call.id for call in ask(provider).message.tool_calls] == ["call_2", "mine"]


def test_text_thinking_and_calls_make_one_reply() -> None:
    provider = ScriptedProvider(
        [["first", tool_call("add", a=1)], thinking("hm", "so"), tool_calls(tool_call("a"), tool_call("b"))]
    )
    both = ask(provider)
    assert both.message.text == "first"
    assert len(both.message.tool_calls) == 1
    thought = ask(provider)
    assert (thought.message.thinking, thought.message.text) == ("hm", "so")
    assert len(ask(provider).message.tool_calls) == 2


def test_a_reply_says_its_own_stop_reason_and_usage() -> None:
    provider = ScriptedProvider(
        [reply("cut o", stop_reason="max_tokens", usage=Usage(1, 2)), "x"], usage=Usage(3, 4)
    )
    assert ask(provider) == ModelReply(Message("assistant", (TextBlock("cut o"),)), "max_tokens", Usage(1, 2))
    assert ask(provider).usage == Usage(3, 4)


def test_replies_carry_the_models_name() -> None:
    assert ask(ScriptedProvider("x", model="m")).message.model == "m"


def test_an_error_is_raised() -> None:
    failure = error(errors.RateLimitError, "slow", retry_after=2.0)
    with pytest.raises(errors.RateLimitError) as caught:
        ask(ScriptedProvider([failure]))
    assert caught.value is failure
    with pytest.raises(KeyError):
        ask(ScriptedProvider([KeyError("bug")]))


def test_words_are_streamed_to_a_listener() -> None:
    answer, heard = listen(ScriptedProvider([reply(ThinkingBlock("let me see"), " Hello  there\nyou ")]))
    assert answer.message.text == " Hello  there\nyou "
    assert [delta.text for delta in heard if delta.kind == "thinking"] == ["let ", "me ", "see"]
    assert "".join(delta.text for delta in heard if delta.kind == "text") == " Hello  there\nyou "
    assert len(heard) == 6


def test_a_cut_answer_is_heard_until_it_fails() -> None:
    heard: list[Delta] = []
    with pytest.raises(errors.ConnectionFailedError):
        asyncio.run(ScriptedProvider([cut("Once upon")]).complete(request(), heard.extend))
    assert "".join(delta.text for delta in heard) == "Once upon"
    with pytest.raises(errors.ServerError):
        ask(ScriptedProvider([cut("x", errors.ServerError("died"))]))


def test_a_function_decides_about_each_request() -> None:
    provider = ScriptedProvider(lambda asked: f"echo: {asked.messages[-1].text}")
    assert ask(provider, "a").message.text == "echo: a"
    assert ask(provider, "b").message.text == "echo: b"

    async def slowly(asked: ModelRequest) -> ToolCall:
        return tool_call("say", text=asked.messages[-1].text)

    assert ask(ScriptedProvider(slowly), "c").message.tool_calls[0].input == {"text": "c"}


def test_hanging_ends_when_it_is_cancelled() -> None:
    async def main() -> None:
        provider = ScriptedProvider([hang()])
        task = asyncio.create_task(provider.complete(request()))
        while not provider.requests:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_gate_holds_a_reply_until_another_thread_lets_it_go() -> None:
    gate = Gate()
    provider = ScriptedProvider([held(gate, "now"), held(gate, held(gate, "again"))])
    replies: list[ModelReply] = []
    thread = threading.Thread(target=lambda: replies.append(ask(provider)))
    thread.start()
    gate.arrived()
    assert replies == []
    gate.release()
    thread.join(5)
    assert replies[0].message.text == "now"
    assert ask(provider).message.text == "again"


def test_a_gate_nobody_reaches_says_so() -> None:
    with pytest.raises(TimeoutError, match="0 of 1 requests"):
        Gate().arrived(timeout=0.01)


def test_a_gate_forgets_loops_that_are_gone() -> None:
    gate = Gate()

    async def main() -> None:
        task = asyncio.create_task(ScriptedProvider([held(gate, "x")]).complete(request()))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(main())
    gate.release()


def test_threads_take_distinct_steps() -> None:
    provider = ScriptedProvider([str(number) for number in range(64)])
    taken: list[str] = []
    start = threading.Barrier(8)

    def work() -> None:
        start.wait(5)
        taken.extend(ask(provider).message.text for _ in range(8))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(taken, key=int) == [str(number) for number in range(64)]
