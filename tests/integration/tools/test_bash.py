"""`bash` with real shells: what it returns, what it bounds, and what it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from alloy_actors.deadline import Deadline
from alloy_actors.errors import ConfigError, ToolError
from alloy_actors.tooldef import Cancelled, ToolContext
from alloy_actors.tools import _bash, _shell, bash, bash_tool
from alloy_actors.tools._output import HEAD, TAIL

LONG = 20.0
free = bash_tool(restricted=False)


def in_thread(function: Any) -> tuple[threading.Thread, list[Any]]:
    """Start it; what it returns or raises ends up in the list."""
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.append(function())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, outcome


def killed(function: Any) -> str:
    with pytest.raises(ToolError) as caught:
        function()
    return str(caught.value)


def test_t47_output_and_exit_code_come_back_whatever_the_code() -> None:
    assert bash("echo hello") == "hello\nexit code: 0"
    assert bash("printf hello; exit 3") == "hello\nexit code: 3"
    assert bash("true") == "exit code: 0"
    assert bash("no-such-program").endswith("exit code: 127")
    assert bash("") == "exit code: 0"


def test_t47_stderr_is_part_of_the_output_in_its_place() -> None:
    assert bash("echo one; echo two >&2; echo three") == "one\ntwo\nthree\nexit code: 0"


def test_t47_it_runs_in_the_working_directory(tmp_path: Path) -> None:
    expected = f"{tmp_path.resolve()}\nexit code: 0"
    assert bash("pwd -P", ctx=ToolContext(working_directory=str(tmp_path))) == expected


def test_t47_it_is_bash_and_not_sh() -> None:
    assert bash('words=(a b); [[ ${words[1]} == b ]] && echo "$BASH_VERSION"').endswith("exit code: 0")


def test_restricted_is_the_default_and_keeps_to_the_directory(tmp_path: Path) -> None:
    ctx = ToolContext(working_directory=str(tmp_path))
    assert "restricted" in bash("echo x > file", ctx=ctx)
    assert "restricted" in bash("cd /", ctx=ctx)
    assert not (tmp_path / "file").exists()
    assert free("echo x > file && cat file", ctx=ctx) == "x\nexit code: 0"


def test_a_command_has_no_input() -> None:
    assert bash("cat; read -r line || echo nothing") == "nothing\nexit code: 0"


def test_a_signal_is_told_as_shells_do() -> None:
    assert bash("kill -TERM $$").endswith("exit code: 143")


def test_a_command_of_several_lines_is_a_script() -> None:
    assert bash("for n in 1 2; do\n  echo $n\ndone") == "1\n2\nexit code: 0"


@pytest.mark.parametrize("command", ["echo a\0b", "echo \ud800", "x" * 3_000_000])
def test_what_no_shell_takes_is_an_error(command: str) -> None:
    assert killed(lambda: bash(command)).startswith("The command could not be started")


def test_t48_a_timeout_kills_the_command_and_keeps_what_it_said(lifeline: Any) -> None:
    text = killed(lambda: free(f"{lifeline.hold} echo before; sleep 1000; echo after", timeout=0.2))
    assert text.startswith("before\nThe command was killed: it timed out after 0.2 seconds.")
    lifeline.wait_for_start()
    lifeline.wait_for_end()


def test_t48_a_timeout_kills_children_in_the_background_too(lifeline: Any) -> None:
    killed(lambda: free(f"{lifeline.hold} (sleep 1000 & sleep 1000) & sleep 1000 | sleep 1000", timeout=0.2))
    lifeline.wait_for_start()
    lifeline.wait_for_end()


def test_t48_a_command_that_ignores_sigterm_is_killed_all_the_same(lifeline: Any) -> None:
    killed(
        lambda: free(f"{lifeline.hold} trap '' TERM INT HUP; while true; do sleep 1000; done", timeout=0.2)
    )
    lifeline.wait_for_start()
    lifeline.wait_for_end()


def test_t48_the_limit_clamps_what_the_model_asks_for() -> None:
    ctx = ToolContext(context={"bash_max_timeout": 0.1})
    assert "timed out after 0.1 seconds" in killed(lambda: bash("sleep 1000", timeout=600, ctx=ctx))


def test_t48_a_command_that_closed_its_output_is_bounded_as_well(lifeline: Any) -> None:
    killed(lambda: free(f"{lifeline.hold} exec >&- 2>&-; sleep 1000", timeout=0.2))
    lifeline.wait_for_start()
    lifeline.wait_for_end()


def test_t48_a_cancelled_command_ends_with_all_its_children(lifeline: Any) -> None:
    ctx = ToolContext(cancelled=Cancelled())
    command = f"{lifeline.hold} trap '' TERM; sleep 1000 & sleep 1000"
    thread, outcome = in_thread(lambda: free(command, timeout=600, ctx=ctx))
    lifeline.wait_for_start()
    ctx.cancelled.set()
    lifeline.wait_for_end()
    thread.join(LONG)
    assert isinstance(outcome[0], ToolError)
    assert "cancelled" in str(outcome[0])


def test_t48_a_flood_of_output_does_not_hide_a_cancel_or_a_timeout() -> None:
    assert "timed out" in killed(lambda: bash("yes", timeout=0.2))
    ctx = ToolContext(cancelled=Cancelled())
    thread, outcome = in_thread(lambda: bash("yes", timeout=600, ctx=ctx))
    ctx.cancelled.set()
    thread.join(LONG)
    assert "cancelled" in str(outcome[0])


CALLER = """
import sys
from alloy_actors.tools import bash_tool
bash_tool(restricted=False)(sys.argv[1], timeout=600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_t48_a_command_dies_with_a_process_that_is_killed(lifeline: Any) -> None:
    """Nothing of ours runs any more: the guard does it."""
    command = f"{lifeline.hold} trap '' TERM HUP; sleep 1000 & sleep 1000"
    with subprocess.Popen([sys.executable, "-c", CALLER, command]) as caller:
        lifeline.wait_for_start()
        # The guard is started right after the shell: wait until it is there.
        end = time.monotonic() + LONG
        while not guards_of(caller.pid) and time.monotonic() < end:
            Cancelled().wait(0.005)
        caller.send_signal(signal.SIGKILL)
    lifeline.wait_for_end()


def children_of(parent: int) -> set[str]:
    """The ids of its child processes, zombies included."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            if f"\nPPid:\t{parent}\n" in path.read_text():
                found.add(path.parent.name)
        except OSError:  # it has just ended
            continue
    return found


def guards_of(parent: int) -> list[str]:
    found = []
    for child in children_of(parent):
        try:
            if b"alloy-guard" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
        except OSError:  # it has just ended
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_nothing_is_left_of_a_command_that_ended(tmp_path: Path) -> None:
    before, children = set(Path("/dev/fd").iterdir()), children_of(os.getpid())
    for _ in range(3):
        bash("echo x")
        killed(lambda: bash("sleep 1000", timeout=0.01))
        killed(lambda: bash("true", ctx=ToolContext(working_directory=str(tmp_path / "missing"))))
    assert not guards_of(os.getpid())
    assert len(set(Path("/dev/fd").iterdir())) == len(before)
    assert children_of(os.getpid()) <= children  # not one that ended and nobody waited for either


def test_a_process_left_in_the_background_is_killed_and_told_of(lifeline: Any) -> None:
    text = free(f"{lifeline.hold} sleep 1000 & echo started")
    assert text == f"started\n{_shell.LEFT_BEHIND}\nexit code: 0"
    lifeline.wait_for_start()
    lifeline.wait_for_end()


def test_a_process_left_in_the_background_with_another_output_is_killed_as_well(lifeline: Any) -> None:
    assert free(f"{lifeline.hold} sleep 1000 >/dev/null 2>&1 & exit 4") == "exit code: 4"
    lifeline.wait_for_start()
    lifeline.wait_for_end()


def test_a_daemon_that_left_the_group_holds_nobody_up_and_is_told_of(lifeline: Any) -> None:
    text = free(f"{lifeline.hold} setsid bash -c 'echo $$; exec sleep 1000' &")
    daemon, *rest = text.splitlines()
    assert rest == [_shell.ESCAPED, "exit code: 0"]
    os.kill(int(daemon), signal.SIGKILL)
    lifeline.wait_for_start()
    lifeline.wait_for_end()


def test_t49_a_long_output_keeps_its_head_and_tail_and_is_cut_once() -> None:
    text = bash("for n in {10000..29999}; do echo line $n; done")
    assert text.startswith("line 10000\nline 10001\n")
    assert text.endswith("line 29998\nline 29999\nexit code: 0")
    assert text.count("omitted") == 1
    assert f"[... {20_000 * 11 - HEAD - TAIL} bytes omitted ...]" in text
    assert len(text) <= _bash.MAX_RESULT_CHARS == bash.max_result_chars


def test_t49_characters_are_not_cut_in_two() -> None:
    text = bash("for n in {1..20000}; do printf €; done")
    assert "\ufffd" not in text
    assert text.count("€") * 3 in range(HEAD + TAIL - 6, HEAD + TAIL + 1)


def test_t49_invalid_utf_8_is_replaced() -> None:
    assert bash(r"printf 'ok \xff\xfe\xe2\x82 end\n'") == "ok \ufffd\ufffd\ufffd end\nexit code: 0"


@pytest.mark.slow
def test_t49_a_gigabyte_takes_no_memory() -> None:
    tracemalloc.start()
    try:
        text = bash("head -c 1G /dev/zero", timeout=60)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert f"[... {(1 << 30) - HEAD - TAIL} bytes omitted ...]" in text
    assert peak < 1 << 20


def test_t50_a_command_sees_no_secret_and_what_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "hidden")
    monkeypatch.setenv("EDITOR", "vi")
    show = 'echo "${MY_API_KEY-unset} ${EDITOR-unset} ${ADDED-unset}"'
    assert bash(show) == "unset vi unset\nexit code: 0"
    assert bash_tool(env={"ADDED": "yes", "EDITOR": None})(show) == "unset unset yes\nexit code: 0"
    assert bash_tool(env="inherit")(show) == "hidden vi unset\nexit code: 0"


def test_t51_an_executor_gets_command_and_directory_and_its_answer_is_the_result(tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []

    def executor(command: str, directory: str) -> tuple[str | bytes, int]:
        seen.append((command, directory))
        return (b"bytes \xff\n", 7) if command == "bytes" else ("text \ud800", 0)

    ctx = ToolContext(working_directory=str(tmp_path / "elsewhere"), context={"bash_executor": executor})
    assert bash("text", ctx=ctx) == "text \ufffd\nexit code: 0"
    assert bash_tool(executor=executor)("bytes") == "bytes \ufffd\nexit code: 7"
    assert seen == [("text", str(tmp_path / "elsewhere")), ("bytes", str(Path.cwd()))]


def test_t51_an_executor_has_the_same_cap() -> None:
    text = bash_tool(executor=lambda *_: ("z" * 100_000, 0))("any")
    assert text.count("z") == HEAD + TAIL
    assert f"[... {100_000 - HEAD - TAIL} bytes omitted ...]" in text


def test_t51_an_executor_that_takes_too_long_or_is_cancelled_is_abandoned() -> None:
    release, begun, cancelled = threading.Event(), threading.Event(), Cancelled()

    def executor(command: str, directory: str) -> tuple[str, int]:
        begun.set()
        release.wait(LONG)
        return "late", 0

    made = bash_tool(executor=executor)
    try:
        assert "timed out after 0.1 seconds" in killed(lambda: made("any", timeout=0.1))
        begun.clear()
        thread, outcome = in_thread(lambda: made("any", timeout=600, ctx=ToolContext(cancelled=cancelled)))
        assert begun.wait(LONG)
        cancelled.set()
        thread.join(LONG)
        assert "cancelled" in str(outcome[0])
    finally:
        release.set()


def test_t51_executors_that_never_return_are_counted_and_no_more_are_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_bash, "_executors", threading.BoundedSemaphore(1))
    release = threading.Event()
    stuck = bash_tool(executor=lambda *_: (str(release.wait(LONG)), 0))
    try:
        killed(lambda: stuck("any", timeout=0.01))
        assert "have not ended" in killed(lambda: stuck("any"))
    finally:
        release.set()


def test_t51_what_an_executor_raises_is_what_the_tool_raises() -> None:
    def executor(command: str, directory: str) -> tuple[str, int]:
        raise TimeoutError("the container is gone") if command == "gone" else ToolError("no container")

    made = bash_tool(executor=executor)
    with pytest.raises(TimeoutError, match="the container is gone"):
        made("gone")
    assert killed(lambda: made("any")) == "no container"
    with pytest.raises(ConfigError, match="must return"):
        bash_tool(executor=lambda *_: "text alone")("any")  # type: ignore[arg-type,return-value]


def test_t48_the_end_of_the_run_ends_a_command_before_it_loses_its_words() -> None:
    ctx = ToolContext(deadline=Deadline.after(0.4))
    text = killed(lambda: bash("echo before; sleep 1000", timeout=60, ctx=ctx))
    assert text.startswith("before\nThe command was killed")
    assert not ctx.deadline.expired


@pytest.mark.parametrize("missing", ["pidfd_open", "waitid"])
def test_where_the_system_cannot_wake_us_commands_end_all_the_same(
    monkeypatch: pytest.MonkeyPatch, lifeline: Any, missing: str
) -> None:
    monkeypatch.delattr(os, missing)
    assert bash("echo x; exit 5") == "x\nexit code: 5"
    assert free(f"{lifeline.hold} exec >&- 2>&-; exit 6") == "exit code: 6"
    assert "timed out" in killed(lambda: bash("sleep 1000", timeout=0.1))
    lifeline.wait_for_start()
    lifeline.wait_for_end()


def test_a_code_that_somebody_else_took_is_unknown() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert bash("echo x; exit 5") == "x\nexit code: unknown"
    finally:
        signal.signal(signal.SIGCHLD, before)
