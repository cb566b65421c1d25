"""Importing the packages is quick and does nothing visible: no transport, no thread, no socket."""

import json
import subprocess
import sys

import pytest

HEAVY = [
    "aiohttp",
    "genai_prices",
    "httpx",
    "httpx_aiohttp",
    "httpcore",
    "jsonschema",
    "prompt_toolkit",
    "rich",
    "sqlite3",
    "structlog",
    "typer",
    "uvloop",
]
PROBE = """
import json, sys, threading
import {module}
heavy = [name for name in {heavy} if name in sys.modules]
print(json.dumps({{"heavy": heavy, "threads": [thread.name for thread in threading.enumerate()]}}))
"""


@pytest.mark.parametrize(
    "module",
    ["supervisors", "alloy_actors", "alloy_actors.testing", "alloy_actors.local", "alloy_actors.demo"],
)
def test_importing_loads_no_transport_and_starts_no_thread(module: str) -> None:
    probe = PROBE.format(module=module, heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"heavy": [], "threads": ["MainThread"]}


def test_supervisors_can_be_imported_without_the_agents() -> None:
    probe = (
        "import supervisors, sys; print([name for name in sys.modules if name.startswith('alloy_actors')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_provider_is_imported_when_it_is_first_named() -> None:
    code = """
import sys
import alloy_actors as alloy
assert "Anthropic" in dir(alloy)
assert not [name for name in sys.modules if name.startswith("alloy_actors.providers._http")]
alloy.Anthropic
assert "alloy_actors.providers.anthropic" in sys.modules
assert "alloy_actors.providers.gemini" not in sys.modules
try:
    alloy.Antropic
except AttributeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "module 'alloy_actors' has no attribute 'Antropic'\n", done.stderr
