"""What can be set of `bash`, by the constructor and by the context; no process is started here."""

from __future__ import annotations

import os
from typing import Any

import pytest

from alloy_actors.deadline import Deadline
from alloy_actors.errors import ConfigError, ToolError
from alloy_actors.tooldef import ToolContext
from alloy_actors.tools import _bash, bash, bash_tool
from alloy_actors.tools._shell import Ended


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would have been run."""
    found: list[dict[str, Any]] = []

    def run(argv: list[str], **rest: Any) -> Ended:
        found.append({"argv": argv, "seconds": rest["deadline"].remaining(), **rest})
        return Ended(by_itself=True, code=0, note="")

    monkeypatch.setattr(_bash, "run", run)
    return found


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name not in {"PATH", "HOME"}:
            monkeypatch.delenv(name)


def environment_of(run: dict[str, Any]) -> dict[str, str]:
    """Without what pytest adds while a test runs."""
    return {name: value for name, value in run["environment"].items() if name != "PYTEST_CURRENT_TEST"}


SECRETS = ["OPENAI_API_KEY", "github_token", "MY_Secret_1", "PGPASSWORD", "AWS_CREDENTIALS_FILE", "KEYRING"]


def test_t50_what_sounds_like_a_secret_is_not_passed_on(
    started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*SECRETS, "EDITOR"):
        monkeypatch.setenv(name, "value")
    bash("true")
    assert environment_of(started[0]) == {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "EDITOR": "value",
    }


def test_t50_bash_env_sets_and_removes(
    started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDITOR", "vi")
    change = {"API_KEY": "given", "EDITOR": None, "MISSING": None, "HOME": "/nowhere"}
    expected = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "API_KEY": "given"}
    bash("true", ctx=ToolContext(context={"bash_env": change}))
    bash_tool(env=change)("true")
    assert [environment_of(run) for run in started] == [expected, expected]


def test_t50_inherit_passes_everything_on(
    started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    bash("true", ctx=ToolContext(context={"bash_env": "inherit"}))
    bash_tool(env="inherit")("true")
    assert [run["environment"] for run in started] == [dict(os.environ)] * 2


def test_t52_ten_seconds_unless_asked_for_more_and_never_above_the_limit(
    started: list[dict[str, Any]],
) -> None:
    limited = ToolContext(context={"bash_max_timeout": 2})
    for call in (
        lambda: bash("true"),
        lambda: bash("true", timeout=0),
        lambda: bash("true", timeout=-5),
        lambda: bash("true", timeout=float("nan")),
        lambda: bash("true", timeout=45),
        lambda: bash("true", timeout=10_000),
        lambda: bash("true", timeout=float("inf")),
        lambda: bash("true", timeout=45, ctx=limited),
        lambda: bash("true", ctx=limited),
        lambda: bash_tool(max_timeout=3_600)("true", timeout=10_000),
    ):
        call()
    assert [round(run["seconds"]) for run in started] == [10, 10, 10, 10, 45, 600, 600, 2, 2, 3_600]


def test_t48_the_end_of_the_run_bounds_a_command(started: list[dict[str, Any]]) -> None:
    bash("true", timeout=60, ctx=ToolContext(deadline=Deadline.after(5)))
    bash("true", timeout=60, ctx=ToolContext(deadline=Deadline.after(0)))
    assert 4 < started[0]["seconds"] < 5
    assert started[1]["seconds"] == 0


def test_bash_is_restricted_unless_told_otherwise(started: list[dict[str, Any]]) -> None:
    bash("one")
    bash("two", ctx=ToolContext(context={"bash_restricted": False}))
    bash_tool(restricted=False)("three", ctx=ToolContext(context={"bash_restricted": True}))
    bash_tool(restricted=True)("four", ctx=ToolContext(context={"bash_restricted": False}))
    assert [run["argv"][1:] for run in started] == [
        ["-rc", "one"],
        ["-c", "two"],
        ["-c", "three"],
        ["-rc", "four"],
    ]
    assert all(run["argv"][0].endswith("/bash") for run in started)


def test_the_model_is_told_of_the_restriction_where_there_may_be_one() -> None:
    assert "restricted" in bash.description
    assert "restricted" not in bash_tool(restricted=False).description
    assert set(bash.input_schema["properties"]) == {"command", "timeout"}
    assert bash.input_schema["required"] == ["command"]
    assert not bash.concurrent
    assert not bash.idempotent


WRONG: list[tuple[str, Any]] = [
    ("restricted", "no"),
    ("restricted", 1),
    ("env", "all"),
    ("env", {"A": 5}),
    ("env", ["A"]),
    ("max_timeout", 0),
    ("max_timeout", "60"),
    ("max_timeout", True),
    ("max_timeout", float("nan")),
    ("executor", "docker"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_setting_that_does_not_fit_is_refused_and_nothing_runs(
    started: list[dict[str, Any]], name: str, value: Any
) -> None:
    with pytest.raises(ConfigError, match=f"bash: {name}="):
        bash_tool(**{name: value})
    with pytest.raises(ConfigError, match=f"bash: {name}="):
        bash("true", ctx=ToolContext(context={f"bash_{name}": value}))
    assert not started


def test_an_async_executor_is_refused() -> None:
    async def executor(command: str, directory: str) -> tuple[str, int]:
        return "", 0

    with pytest.raises(ConfigError, match="plain function"):
        bash_tool(executor=executor)  # type: ignore[arg-type]


def test_t52_a_missing_working_directory_is_an_error() -> None:
    with pytest.raises(ToolError, match="working directory /nowhere does not exist"):
        bash("true", ctx=ToolContext(working_directory="/nowhere"))


def test_a_missing_bash_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolError, match="bash is not installed"):
        bash("true")
