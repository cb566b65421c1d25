"""Session files: one line for what is wrong, and never half a file."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from alloy_actors.cli import session_file
from alloy_actors.content import Usage, assistant, user
from alloy_actors.errors import ConfigError
from alloy_actors.session import Session

SESSION = Session(id="a1", messages=(user("hello"), assistant("hi ☔")), usage=Usage(3, 4))
OTHER = Session(id="a2", messages=(user("other"), assistant("one")))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "session.json"


def only(file: Path) -> bool:
    """Whether nothing lies beside it."""
    return list(file.parent.iterdir()) == [file]


def test_a_session_comes_back_from_its_file(file: Path) -> None:
    session_file.save(file, SESSION)
    assert session_file.load(file) == SESSION
    session_file.save(file, OTHER)
    assert session_file.load_if_there(file) == OTHER
    assert only(file)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_not_there_yet_is_no_mistake_where_one_may_be_made(file: Path) -> None:
    assert session_file.load_if_there(file) is None
    assert not file.exists()
    with pytest.raises(ConfigError, match="session.json: No such file"):
        session_file.load(file)


def damaged() -> dict[str, bytes]:
    whole = SESSION.to_json()
    return {
        "truncated": whole[:-30],
        "empty": b"",
        "binary": b"\x00\xff\xfe" * 100,
        "foreign": b'{"messages": [{"role": "user", "content": "hi"}]}',
        "latin": whole.replace("☔".encode(), b"\xe9"),
        "newer": json.dumps({**json.loads(whole), "format": 99}).encode(),
    }


@pytest.mark.parametrize("kind", damaged())
def test_a_file_that_is_none_of_ours_is_refused_and_left_alone(kind: str, file: Path) -> None:
    content = damaged()[kind]
    file.write_bytes(content)
    expected = "newer .* upgrade" if kind == "newer" else "no session of alloy-actors"
    for attempt in (
        session_file.load,
        session_file.load_if_there,
        lambda path: session_file.save(path, OTHER),
    ):
        with pytest.raises(ConfigError, match=f"session.json: .*{expected}") as caught:
            attempt(file)
        assert "\n" not in str(caught.value)
    assert file.read_bytes() == content
    assert only(file)


def test_a_folder_is_no_session(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="this is no file"):
        session_file.load(tmp_path)


def test_a_place_where_nothing_can_be_written_is_found_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "session.json", tmp_path / "missing" / "session.json"):
        with pytest.raises(ConfigError, match="session.json: it cannot be written there: "):
            session_file.load_if_there(place)
        with pytest.raises(ConfigError, match="session.json: it cannot be written: "):
            session_file.save(place, SESSION)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file(
    step: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_file.save(file, SESSION)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(ConfigError, match="No space left"):
            session_file.save(file, OTHER)
    assert session_file.load(file) == SESSION
    assert only(file)


def test_a_link_stays_one(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir()
    file.symlink_to(target / "real.json")
    assert session_file.load_if_there(file) is None
    session_file.save(file, SESSION)
    assert file.is_symlink()
    assert session_file.load(target / "real.json") == SESSION
