"""The built-in tools in the hands of an agent."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import alloy_actors as alloy
from alloy_actors.testing import ScriptedProvider, tool_call
from alloy_actors.tools import bash, bash_tool, edit, file_tools, read, write

LONG = 20.0


def results(result: alloy.Result) -> list[tuple[str, bool]]:
    return [
        (block.content, block.is_error)
        for message in result.messages
        for block in message.blocks
        if isinstance(block, alloy.ToolResult)
    ]


def test_an_agent_writes_reads_edits_and_runs_in_the_order_it_said(
    system: alloy.AgentSystem, tmp_path: Path
) -> None:
    script = [
        [
            tool_call("write", file_path="src/hello.sh", content="echo hello\n"),
            tool_call("read", file_path="src/hello.sh"),
            tool_call("edit", file_path="src/hello.sh", old_string="hello", new_string="bye"),
            tool_call("bash", command="bash src/hello.sh"),
            tool_call("edit", file_path="src/hello.sh", old_string="hello", new_string="bye"),
        ],
        "done",
    ]
    agent = system.spawn(
        "a",
        provider=ScriptedProvider(script),
        tools=[read, write, edit, bash],
        working_directory=str(tmp_path),
    )
    path = tmp_path / "src" / "hello.sh"
    result = agent.chat("go")
    assert result.text == "done"
    assert results(result) == [
        (f"Wrote 11 bytes to {path}.", False),
        ("     1\techo hello\n", False),
        (f"Replaced 1 occurrence in {path} (line 1).", False),
        ("bye\nexit code: 0", False),
        (f"old_string does not occur in {path}; read the file, and copy it exactly.", True),
    ]


def test_the_context_of_an_agent_bounds_its_file_tools(system: alloy.AgentSystem, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "mine" / "link").symlink_to("../secret")
    agent = system.spawn(
        "a",
        provider=ScriptedProvider(
            [
                [tool_call("read", file_path="link"), tool_call("read", file_path="../secret")],
                "done",
            ]
        ),
        tools=[read],
        working_directory=str(tmp_path / "mine"),
        context={"allowed_paths": [tmp_path / "mine"]},
    )
    found = results(agent.chat("go"))
    assert [is_error for _, is_error in found] == [True, True]
    assert all("outside of the allowed directories" in text for text, _ in found)


def test_wrong_arguments_are_told_to_the_model(system: alloy.AgentSystem) -> None:
    script = [
        [tool_call("read", file_path="x", offset=0), tool_call("bash"), tool_call("edit", file_path="x")],
        "ok",
    ]
    agent = system.spawn("a", provider=ScriptedProvider(script), tools=[read, edit, bash])
    (offset, _), (command, _), (strings, _) = results(agent.chat("go"))
    assert "offset" in offset
    assert "command: required" in command
    assert "old_string: required" in strings
    assert "new_string: required" in strings


def test_t48_a_cancelled_run_takes_its_command_along(system: alloy.AgentSystem, lifeline: Any) -> None:
    command = f"{lifeline.hold} trap '' TERM; sleep 1000 & sleep 1000"
    done: list[alloy.Result] = []
    ended = threading.Event()
    agent = system.spawn(
        "a",
        provider=ScriptedProvider([tool_call("bash", command=command, timeout=600)]),
        tools=[bash_tool(restricted=False)],
    )
    agent.send_message("go", on_result=lambda result: (done.append(result), ended.set()))
    lifeline.wait_for_start()
    agent.cancel_request()
    lifeline.wait_for_end()
    assert ended.wait(LONG)
    assert done[0].status == "cancelled"


def test_t48_the_timeout_of_a_run_takes_its_command_along(system: alloy.AgentSystem, lifeline: Any) -> None:
    command = f"{lifeline.hold} echo before; sleep 1000"
    agent = system.spawn(
        "a",
        provider=ScriptedProvider([tool_call("bash", command=command, timeout=600), "late"]),
        tools=[bash_tool(restricted=False)],
        timeout=1.0,
    )
    result = agent.chat("go")
    assert results(result)[0][0].startswith("before\nThe command was killed")
    lifeline.wait_for_start()
    lifeline.wait_for_end()


def test_t48_a_system_that_stops_takes_its_commands_along(lifeline: Any) -> None:
    command = f"{lifeline.hold} sleep 1000 & sleep 1000"
    with alloy.AgentSystem() as system:
        agent = system.spawn(
            "a",
            provider=ScriptedProvider([tool_call("bash", command=command, timeout=600)]),
            tools=[bash_tool(restricted=False)],
        )
        agent.send_message("go")
        lifeline.wait_for_start()
    lifeline.wait_for_end()


def test_t52_a_command_may_take_longer_than_tool_timeout(system: alloy.AgentSystem) -> None:
    """Its own limit is the one that counts, and keeps what it said."""
    agent = system.spawn(
        "a",
        provider=ScriptedProvider(
            [
                tool_call("bash", command="sleep 0.3; echo late"),
                tool_call("bash", command="echo said; sleep 1000", timeout=0.2),
                "done",
            ]
        ),
        tools=[bash],
        tool_timeout=0.05,
    )
    (first, _), (second, is_error) = results(agent.chat("go"))
    assert first == "late\nexit code: 0"
    assert second.startswith("said\n")
    assert "timed out after 0.2 seconds" in second
    assert is_error


def test_t49_an_output_is_cut_once_on_its_way_to_the_model(system: alloy.AgentSystem) -> None:
    script = [
        tool_call("bash", command="for n in {1..20000}; do echo $n; done"),
        tool_call("bash", command="yes", timeout=0.2),
        "done",
    ]
    agent = system.spawn("a", provider=ScriptedProvider(script), tools=[bash])
    for text, _ in results(agent.chat("go")):
        assert text.count("[...") == 1
        assert len(text) <= 30_000


def test_t56_a_file_that_somebody_keeps_replacing_by_a_link_never_leads_outside(tmp_path: Path) -> None:
    """Not the outcome of a call is asserted, only that the secret is neither read nor overwritten."""
    root = tmp_path / "root"
    (root / "dir").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    secret = tmp_path / "out" / "file"
    secret.write_text("secret")
    stop = threading.Event()

    def flip() -> None:
        """`dir/file` is now a file, now a link; `dir` is now a directory, now a link, now missing."""
        number = 0
        while not stop.is_set():
            number += 1
            spare = root / "spare"
            if number % 2:
                spare.symlink_to(secret)
            else:
                spare.write_text("public")
            spare.replace(root / "dir" / "file")
            (root / "dir").rename(root / "aside")
            with contextlib.suppress(FileExistsError):  # `write` has made the directory again
                (root / "dir").symlink_to("../out")
            with contextlib.suppress(OSError):
                (root / "dir").unlink()
            while (root / "aside").exists():
                try:
                    (root / "aside").rename(root / "dir")
                except OSError:  # and again
                    shutil.rmtree(root / "dir", ignore_errors=True)

    bound_read, bound_write, bound_edit = file_tools(allowed_paths=[root])
    ctx = alloy.ToolContext(working_directory=str(root))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread = threading.Thread(target=flip)
    thread.start()
    texts: set[str] = set()
    try:
        for _ in range(300):
            for attempt in (
                lambda: bound_read("dir/file", ctx=ctx),
                lambda: bound_write("dir/file", "public", ctx=ctx),
                lambda: bound_edit("dir/file", "c", "c", ctx=ctx),
                lambda: bound_edit("dir/file", "secret", "public", ctx=ctx),
            ):
                try:
                    texts.add(attempt())
                except alloy.ToolError:
                    continue
    finally:
        stop.set()
        thread.join(LONG)
        sys.setswitchinterval(interval)
    assert secret.read_text() == "secret"
    assert not secret.is_symlink()
    assert list((tmp_path / "out").iterdir()) == [secret]
    assert not [text for text in texts if "secret" in text and "Replaced" not in text]
