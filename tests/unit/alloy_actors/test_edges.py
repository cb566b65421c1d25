"""Odd values at the edges: prices, paths, options, handlers, keys."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import alloy_actors as alloy
from alloy_actors import telemetry
from alloy_actors.overrides import parse_overrides
from alloy_actors.plain_json import plain_json
from alloy_actors.tools import DirectoryFiles

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "given",
    [
        {"m": {"dollars_per_million": {"input": 10**400, "output": 0}}},
        {"m": {"dollars_per_million": {"input": 1e307, "output": 0}}},
        {"m": [([1], 2)]},
    ],
)
def test_an_override_that_no_budget_could_be_held_to_is_refused_by_name(given: dict[str, Any]) -> None:
    with pytest.raises(alloy.ConfigError, match=r"model_metadata_overrides\['m'\]"):
        parse_overrides(given, "Agent")


def test_odd_callers_and_paths_are_refused_as_configuration() -> None:
    with pytest.raises(alloy.ConfigError, match="allowed_callers"):
        alloy.tool(lambda: "", name="t", allowed_callers=[["direct"]])  # type: ignore[list-item]
    with pytest.raises(alloy.ConfigError, match="directory="):
        alloy.Spill("a\0b")


def test_a_change_leaves_bytes_that_are_no_text_as_they_are(tmp_path: Path) -> None:
    files = DirectoryFiles(tmp_path, "s")
    files.create("/memories/a", "x\n")
    (tmp_path / "s" / "a").write_bytes(b"caf\xe9 one\n")
    files.str_replace("/memories/a", "one", "two")
    files.insert("/memories/a", 1, "\udce9 half")
    assert (tmp_path / "s" / "a").read_bytes() == b"caf\xe9 two\n" + "\ufffd half\n".encode()


def test_json_is_made_of_a_key_that_has_no_words() -> None:
    class Mute:
        def __str__(self) -> str:
            raise ValueError

    assert plain_json({Mute(): "\ud800"}) == '{"<Mute>":"\ufffd"}'.encode()


def test_a_handler_detached_by_another_hears_nothing_of_the_same_event() -> None:
    heard: list[str] = []
    later: list[telemetry.Attachment] = []
    with telemetry.attach(lambda *_: later[0].detach(), "alloy.event"):
        later.append(telemetry.attach(lambda name, *_: heard.append(name), "alloy.event"))
        telemetry.emit("alloy.event", {}, {})
    assert heard == []


def test_a_failing_handler_is_named_without_what_it_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    def send(key: str, *_: object) -> None:
        raise ValueError("no")

    with telemetry.attach(partial(send, "sk-very-secret"), "alloy.event") as attachment:
        telemetry.emit("alloy.event", {}, {})
        assert not attachment.attached
    said = capsys.readouterr()
    assert "telemetry_handler_failed" in said.out + said.err
    assert "sk-very-secret" not in said.out + said.err


def test_a_memory_path_without_end_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(alloy.ToolError, match="longer than 1000 characters"):
        DirectoryFiles(tmp_path, "s").create("/memories" + "/a" * 5000, "x")
    assert not list(tmp_path.iterdir())
