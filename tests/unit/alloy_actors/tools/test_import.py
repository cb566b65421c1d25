"""The built-in tools cost nothing to those who do not use them, and keep their names whatever is imported."""

import importlib
import pkgutil
import subprocess
import sys

import alloy_actors.tools
from alloy_actors.tooldef import Tool


def test_importing_the_package_does_not_import_them() -> None:
    probe = "import alloy_actors, sys; print([name for name in sys.modules if name.startswith('alloy_actors.tools')])"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_tools_stay_tools_after_every_module_has_been_imported() -> None:
    for module in pkgutil.iter_modules(alloy_actors.tools.__path__):
        importlib.import_module(f"alloy_actors.tools.{module.name}")
    for name in ("read", "write", "edit", "bash"):
        made = getattr(alloy_actors.tools, name)
        assert isinstance(made, Tool)
        assert made.name == name
