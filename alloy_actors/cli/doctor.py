"""`alloy doctor`: whether this machine has what agents need. Keys are looked for and never shown."""

from __future__ import annotations

import http.client
import json
import platform
import re
import shutil
import sys
import tempfile
import urllib.request
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from alloy_actors.actors.default import shutdown
from alloy_actors.actors.oneshot import run
from alloy_actors.actors.system import AgentSystem
from alloy_actors.cli import output
from alloy_actors.cli.exits import DONE, FAILED
from alloy_actors.cli.folders import state_folder
from alloy_actors.cli.providers import DEMO, Choice, Providers, chosen, found_keys, with_provider
from alloy_actors.errors import AlloyError, ConnectionFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alloy_actors.result import Result

CONNECT = 5.0  # seconds for a server to answer that it is there
ANSWER = 60.0  # seconds for a model to say one word


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at; a note is worth knowing and no fault."""

    name: str
    state: Literal["ok", "note", "failed"]
    detail: str


def doctor(choice: Choice, *, ask: bool, as_json: bool) -> int:
    """Look at everything and return the exit code.

    Args:
        choice: Which model server to look for; the one that `alloy run` would use, unless said.
        ask: Also ask it for one word, which costs a few tokens.
        as_json: One JSON object instead of lines.
    """
    checks = []
    for check in _checks(choice, ask=ask):
        checks.append(check)
        if not as_json:
            output.answer(f"{check.state:<7} {check.name:<16} {output.one_line(check.detail)}\n")
    well = all(check.state != "failed" for check in checks)
    if as_json:
        output.answer(json.dumps({"ok": well, "checks": [asdict(check) for check in checks]}) + "\n")
    return DONE if well else FAILED


def _checks(choice: Choice, *, ask: bool) -> Iterator[Check]:
    version = platform.python_version()
    yield Check("python", "ok" if sys.version_info >= (3, 11) else "failed", f"{version} at {sys.executable}")
    yield from _packages()
    bash = shutil.which("bash")
    yield Check("bash", "ok" if bash else "note", bash or "not found: the tool of that name will not work")
    yield _folder("working folder", Path.cwd())
    yield _folder("state folder", state_folder())
    for name, found in found_keys().items():
        yield Check(name, "ok" if found else "note", "set" if found else "not set")
    yield _tried("embedded server", _embedded)
    if choice.said or any(found_keys().values()):
        where = with_provider(choice)
        if where.provider != DEMO:
            yield _tried("model server", lambda: _reach(where))
        if ask:
            yield _tried("model", lambda: _ask(chosen(choice)))
    else:
        yield Check(
            "model server", "note", "none looked for: name one with --provider or --api-url, or set a key"
        )


def _packages() -> Iterator[Check]:
    from alloy_actors.store.upkeep import sqlite_version

    try:
        needed = metadata.requires("alloy-actors") or []
        yield Check("alloy-actors", "ok", metadata.version("alloy-actors"))
    except metadata.PackageNotFoundError:
        needed = []
        yield Check("alloy-actors", "note", f"not installed, runs from {Path(__file__).parents[2]}")
    for requirement in needed:
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        try:
            yield Check(name, "ok", metadata.version(name))
        except metadata.PackageNotFoundError:
            optional = "platform" in requirement  # uvloop: asyncio's own loop will do
            yield Check(name, "note" if optional else "failed", f"missing; needed: {requirement}")
    yield Check("sqlite", "ok", sqlite_version())


def _folder(name: str, folder: Path) -> Check:
    """Whether files can be made in a folder, or in the one above it that is there."""
    there = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    try:
        with tempfile.TemporaryFile(dir=there):
            return Check(name, "ok", f"{folder}: may be written")
    except OSError as error:
        return Check(name, "failed", f"{folder}: cannot be written: {error.strerror}")


def _tried(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", look())
    except AlloyError as error:
        return Check(name, "failed", str(error))
    except (OSError, http.client.HTTPException) as error:  # no folder for a moment; not HTTP what answers
        return Check(name, "failed", f"{type(error).__name__}: {error}")
    finally:
        shutdown()


def _embedded() -> str:
    """One exchange over everything there is: tree, loop, transport, a server in its own process, a journal on disk."""
    with tempfile.TemporaryDirectory() as folder, Providers() as providers:
        provider = providers.make(chosen(Choice(provider=DEMO, model="scripted-fast")))
        with AgentSystem(store=f"sqlite:///{folder}/doctor.db") as system:
            result = system.spawn("doctor", provider=provider, max_retries=0).chat("Say ok.", timeout=ANSWER)
    return f"answers; {_facts(result)}"


def _reach(choice: Choice) -> str:
    """Whether there is a web server at the address; no key is sent and no token used.

    Raises:
        ConfigError: No key, or no address.
        ConnectionFailedError: Nobody answers.
    """
    with Providers() as providers:
        provider = providers.make(replace(choice, model=choice.model or "any"))
    url = str(getattr(provider, "api_url", ""))
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
        return f"{url}: behind a proxy, not looked for; --ask does"
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(host, parts.port, timeout=CONNECT)
    try:
        connection.request("HEAD", "/")
        connection.getresponse()
    except OSError as error:
        raise ConnectionFailedError(f"nobody answers at {url}: {error.strerror or error}") from error
    finally:
        connection.close()
    return f"{url}: reachable"


def _ask(choice: Choice) -> str:
    with Providers() as providers:
        result = run(
            "Answer with the word ok.",
            provider=providers.make(choice),
            max_turns=1,
            max_retries=0,
            timeout=ANSWER,
        )
    return f"{choice.model} answers; {_facts(result)}"


def _facts(result: Result) -> str:
    result.raise_for_status()
    return f"{result.usage.total_tokens} tokens"
