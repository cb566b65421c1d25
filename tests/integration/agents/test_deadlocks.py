"""Deadlocks are refused, naming the way out; nesting that can work does."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading

import pytest

import alloy_actors as alloy
from alloy_actors.actors.loop_thread import loop_thread
from alloy_actors.testing import ScriptedProvider, hang, tool_call

WAIT = 5.0


def on_the_loop(function: object) -> object:
    """Call a function on the runtime's loop thread."""

    async def call() -> object:
        return function()

    return asyncio.run_coroutine_threadsafe(call(), loop_thread().loop).result(WAIT)


@pytest.mark.parametrize(
    ("call", "twin"),
    [
        (lambda agent, system: agent.chat("hi"), "achat"),
        (lambda agent, system: agent.stream_chat("hi"), "astream_chat"),
        (lambda agent, system: agent.messages(), "amessages"),
        (lambda agent, system: agent.health(), "ahealth"),
        (lambda agent, system: agent.set_model(ScriptedProvider("x")), "aset_model"),
        (lambda agent, system: agent.reset(), "areset"),
        (lambda agent, system: agent.stop(), "astop"),
        (lambda agent, system: system.stop(), "astop"),
        (lambda agent, system: system.spawn("b", provider=ScriptedProvider("x")), "aspawn"),
        (lambda agent, system: alloy.run("hi", provider=ScriptedProvider("x")), "arun"),
        (lambda agent, system: alloy.stream("hi", print, provider=ScriptedProvider("x")), "astream"),
        (lambda agent, system: alloy.shutdown(), "to_thread"),
    ],
)
def test_a_blocking_call_on_the_loop_thread_names_its_twin(
    system: alloy.AgentSystem, call: object, twin: str
) -> None:
    agent = system.spawn("a", provider=ScriptedProvider("hi"))
    with pytest.raises(alloy.WouldDeadlock, match=twin):
        on_the_loop(lambda: call(agent, system))


def test_an_async_tool_that_chats_with_its_own_agent_is_refused(system: alloy.AgentSystem) -> None:
    @alloy.tool
    async def ask_me() -> str:
        """Ask the agent itself."""
        return (await system.agent("a").achat("me?")).text

    agent = system.spawn("a", provider=ScriptedProvider([tool_call("ask_me"), "ok"]), tools=[ask_me])
    result = agent.chat("go", timeout=WAIT)
    assert result.text == "ok"
    assert "WouldDeadlock" in result.tool_calls[0].error
    assert "send_message" in result.messages[2].blocks[0].content


def test_two_agents_that_ask_each_other_are_refused_at_the_second(system: alloy.AgentSystem) -> None:
    @alloy.tool
    def ask(name: str) -> str:
        """Ask an agent."""
        return system.agent(name).chat("you?").raise_for_status().text

    a = system.spawn("a", provider=ScriptedProvider([tool_call("ask", name="b"), "a is done"]), tools=[ask])
    b = system.spawn("b", provider=ScriptedProvider([tool_call("ask", name="a"), "b is done"]), tools=[ask])
    result = a.chat("go", timeout=WAIT)
    assert result.text == "a is done"
    assert result.messages[2].blocks[0].content == "b is done"
    answer = b.messages()[2].blocks[0]
    assert answer.is_error
    assert "'a'" in answer.content
    assert "a -> b -> a" in answer.content


def test_a_tool_may_stop_its_own_agent(system: alloy.AgentSystem) -> None:
    @alloy.tool
    def stop() -> str:
        """Stop the agent."""
        system.agent("a").stop()
        return "stopping"

    agent = system.spawn("a", provider=ScriptedProvider([tool_call("stop"), hang()]), tools=[stop])
    assert agent.chat("go", timeout=WAIT).status == "cancelled"
    agent.stop()  # waits for what the tool has asked for
    assert agent.health().status == "stopped"


def test_a_tool_may_not_stop_the_whole_system(system: alloy.AgentSystem) -> None:
    @alloy.tool
    def stop_all() -> str:
        """Stop everything."""
        system.stop()
        return "never"

    agent = system.spawn("a", provider=ScriptedProvider([tool_call("stop_all"), "ok"]), tools=[stop_all])
    assert "WouldDeadlock" in agent.chat("go", timeout=WAIT).tool_calls[0].error


@pytest.mark.parametrize("workers", [32, 2])
def test_forty_agents_whose_tools_each_chat_with_another_finish(workers: int) -> None:
    with alloy.AgentSystem(tool_workers=workers) as system:

        @alloy.tool
        def ask(name: str) -> str:
            """Ask an agent."""
            return system.agent(name).chat("you?").raise_for_status().text

        for number in range(40):
            system.spawn(f"leaf-{number}", provider=ScriptedProvider([f"leaf {number}"]))
            script = [tool_call("ask", name=f"leaf-{number}"), f"done {number}"]
            system.spawn(f"asker-{number}", provider=ScriptedProvider(script), tools=[ask])
        with concurrent.futures.ThreadPoolExecutor(40) as threads:
            chats = [
                threads.submit(system.agent(f"asker-{number}").chat, "go", timeout=20) for number in range(40)
            ]
            results = [chat.result() for chat in chats]
    assert [result.text for result in results] == [f"done {number}" for number in range(40)]
    assert [result.messages[2].blocks[0].content for result in results] == [f"leaf {n}" for n in range(40)]


def test_a_chain_deeper_than_the_workers_ends(system: alloy.AgentSystem) -> None:
    depth = 40
    with alloy.AgentSystem(tool_workers=2) as small:

        @alloy.tool
        def ask(name: str) -> str:
            """Ask the next agent."""
            return small.agent(name).chat("you?").raise_for_status().text

        for number in range(depth):
            last = number == depth - 1
            script = ["bottom"] if last else [tool_call("ask", name=f"n{number + 1}"), f"up {number}"]
            small.spawn(f"n{number}", provider=ScriptedProvider(script), tools=[ask])
        assert small.agent("n0").chat("go", timeout=20).text == "up 0"


def test_calls_work_from_a_thread_a_running_loop_a_nested_one_and_after_it_ended(
    system: alloy.AgentSystem,
) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(lambda _request: "hi"))
    assert agent.chat("from the main thread").text == "hi"

    async def inside() -> str:
        assert (await agent.achat("awaited")).text == "hi"
        assert agent.chat("blocking, as in a notebook cell").text == "hi"
        nested: list[str] = []
        thread = threading.Thread(target=lambda: nested.append(asyncio.run(agent.achat("another loop")).text))
        thread.start()
        await asyncio.to_thread(thread.join)
        return nested[0]

    assert asyncio.run(inside()) == "hi"
    assert agent.chat("after asyncio.run").text == "hi"
    assert asyncio.run(inside()) == "hi"


def test_an_async_tool_may_use_a_lock_of_the_services_own_loop(system: alloy.AgentSystem) -> None:
    async def serve() -> alloy.Result:
        lock = asyncio.Lock()
        held = asyncio.Event()

        @alloy.tool
        async def guarded() -> str:
            """Take the service's lock."""
            held.set()
            async with lock:
                return f"on {threading.current_thread().name}"

        agent = await system.aspawn(
            "a",
            provider=ScriptedProvider([tool_call("guarded"), "ok"]),
            tools=[guarded],
            loop=asyncio.get_running_loop(),
        )
        async with lock:
            chat = asyncio.create_task(agent.achat("go"))
            await held.wait()
        return await chat

    result = asyncio.run(serve())
    assert result.messages[2].blocks[0].content == f"on {threading.current_thread().name}"


def test_blocking_in_a_tool_on_the_services_loop_is_refused_too(system: alloy.AgentSystem) -> None:
    async def serve() -> alloy.Result:
        @alloy.tool
        async def bad() -> str:
            """Block the loop."""
            return system.agent("b").chat("hi").text

        await system.aspawn("b", provider=ScriptedProvider("hi"))
        agent = await system.aspawn(
            "a",
            provider=ScriptedProvider([tool_call("bad"), "ok"]),
            tools=[bad],
            loop=asyncio.get_running_loop(),
        )
        return await agent.achat("go", timeout=WAIT)

    assert "achat" in asyncio.run(serve()).messages[2].blocks[0].content
