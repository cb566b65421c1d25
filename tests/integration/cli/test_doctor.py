"""`alloy doctor`: what it finds, and what it never shows."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from alloy_actors.local import LocalServer
from tests.integration.cli.conftest import Said

Call = Callable[..., Said]


def checks(said: Said) -> dict[str, tuple[str, str]]:
    document = json.loads(said.out)
    assert document["ok"] == (said.code == 0)
    return {check["name"]: (check["state"], check["detail"]) for check in document["checks"]}


def test_a_sound_machine_is_well(call: Call) -> None:
    said = call("doctor")
    assert (said.code, said.err) == (0, "")
    assert not [line for line in said.out.splitlines() if line.startswith("failed")]
    found = checks(call("doctor", "--json"))
    assert found["python"][0] == "ok"
    for package in (
        "alloy-actors",
        "pykka",
        "httpx",
        "aiohttp",
        "pydantic",
        "typer",
        "rich",
        "prompt-toolkit",
    ):
        assert found[package] == ("ok", metadata.version(package))
    assert found["sqlite"][1].startswith("3.")
    assert found["working folder"] == ("ok", f"{Path.cwd()}: may be written")
    assert found["embedded server"][0] == "ok"
    assert found["model server"][0] == "note"
    assert len(said.out.splitlines()) == len(found)


def test_keys_are_found_and_never_shown(call: Call) -> None:
    key = "sk-very-secret"
    for flags in ([], ["--json"]):
        said = call("doctor", *flags, "--api-url", "http://127.0.0.1:1", MISTRAL_API_KEY=key)
        assert key not in said.out + said.err
    found = checks(said)
    assert found["MISTRAL_API_KEY"] == ("ok", "set")
    assert found["GROQ_API_KEY"] == ("note", "not set")


def test_a_dead_server_fails(call: Call) -> None:
    said = call("doctor", "--api-url", "http://127.0.0.1:1", "--json")
    assert said.code == 1
    state, detail = checks(said)["model server"]
    assert state == "failed"
    assert detail == "nobody answers at http://127.0.0.1:1: Connection refused"


@pytest.mark.parametrize("url", ["nonsense", "http://", "http://127.0.0.1:port"])
def test_an_address_that_is_none_fails_in_one_line(url: str, call: Call) -> None:
    said = call("doctor", "--api-url", url, "--json")
    assert (said.code, said.err) == (1, "")
    assert checks(said)["model server"][0] == "failed"


def test_a_server_is_reached_and_asked(call: Call, server: LocalServer) -> None:
    asked = server.stats().requests
    found = checks(call("doctor", "--api-url", server.url, "--json"))
    assert found["model server"] == ("ok", f"{server.url}: reachable")
    assert server.stats().requests == asked, "nothing is asked unless --ask is given"
    found = checks(call("doctor", "--api-url", server.url, "--model", "scripted-fast", "--ask", "--json"))
    assert found["model"][0] == "ok"
    assert server.stats().requests == asked + 1
    said = call("doctor", "--api-url", server.url, "--model", "no-such-model", "--ask", "--json")
    assert said.code == 1
    assert checks(said)["model"][0] == "failed"
    assert "no-such-model" in checks(said)["model"][1]


def test_a_chosen_provider_without_key_fails(call: Call) -> None:
    found = checks(call("doctor", "--model", "mistral:large", "--json"))
    assert found["model server"][0] == "failed"
    assert "no key for mistral: set MISTRAL_API_KEY" in found["model server"][1]


def test_an_unknown_provider_is_a_mistake(call: Call) -> None:
    said = call("doctor", "--provider", "nobody")
    assert said.code == 2
    assert said.err.count("\n") == 1


def test_a_folder_that_cannot_be_written_fails(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make = tempfile.TemporaryFile

    def read_only(*args: object, dir: Path | None = None, **options: object) -> object:  # noqa: A002  (of tempfile)
        if dir is not None:
            raise PermissionError(13, "Permission denied")
        return make(*args, dir=dir, **options)

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    said = call("doctor", "--json")
    assert said.code == 1
    found = checks(said)
    assert found["working folder"] == ("failed", f"{Path.cwd()}: cannot be written: Permission denied")
    assert found["state folder"][0] == "failed"


def test_a_package_that_is_missing_fails(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version

    def without(name: str) -> str:
        if name in {"pykka", "uvloop"}:
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without)
    said = call("doctor", "--json")
    found = checks(said)
    assert said.code == 1
    assert found["pykka"][0] == "failed"
    assert found["pykka"][1].startswith("missing; needed: pykka")
    assert found["uvloop"][0] == "note", "asyncio's own loop will do"
