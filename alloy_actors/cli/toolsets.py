"""`--tools read,bash`, `--tools path/to/file.py`, `--tools package.module:name`."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alloy_actors.errors import ConfigError
from alloy_actors.tooldef import Tool, toolbox

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

BUILT_IN = ("read", "write", "edit", "bash")


def load_tools(names: Iterable[str]) -> list[Tool]:
    """Find the tools that `--tools` names; several in one are separated by commas.

    Args:
        names: A built-in tool; a Python file, all of whose tools are meant, or one of them by `file.py:name`; likewise
            a module, `package.module` or `package.module:name`, as seen from the working directory.

    Raises:
        ConfigError: There is no such tool, the file cannot be run, or two tools have one name.
    """
    found: dict[int, Any] = {}  # by identity: a tool named twice is meant once
    for name in (part.strip() for item in names for part in item.split(",")):
        if name:
            found |= {id(tool): tool for tool in _find(name)}
    try:
        return list(toolbox(found.values()).values())
    except ConfigError as error:
        raise ConfigError(f"--tools: {error}") from None


def _find(name: str) -> list[Any]:
    if name in BUILT_IN:
        from alloy_actors import tools

        return [getattr(tools, name)]
    where, _, attribute = name.partition(":")
    if where.endswith(".py"):
        module = _run_file(Path(where))
    elif "." in where or attribute:
        module = _import(where)
    else:
        near = difflib.get_close_matches(name, BUILT_IN, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ConfigError(
            f"--tools {name}: no such tool{hint}; there are {', '.join(BUILT_IN)}, and your own by file.py or module:name"
        )
    return [_attribute(module, attribute, name)] if attribute else _tools_of(module, name)


def _run_file(path: Path) -> ModuleType:
    """Run a file as a module of its own; what lies beside it can be imported, as if it were run by itself."""
    if not path.is_file():
        raise ConfigError(f"--tools {path}: there is no such file")
    spec = importlib.util.spec_from_file_location(f"alloy_tools:{path.resolve()}", path.resolve())
    assert spec is not None  # the suffix is .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # annotations are looked up there
    _see(path.resolve().parent)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"--tools {path}: {_said(error)}") from error
    return module


def _import(name: str) -> ModuleType:
    _see(Path.cwd())
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"--tools {name}: {_said(error)}") from error


def _see(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _tools_of(module: ModuleType, name: str) -> list[Any]:
    found = [value for value in vars(module).values() if isinstance(value, Tool)]
    if not found:
        raise ConfigError(
            f"--tools {name}: it has no tools; make them with @alloy.tool, or name a function: {name}:name"
        )
    return found


def _attribute(module: ModuleType, attribute: str, name: str) -> Any:
    try:
        return getattr(module, attribute)
    except AttributeError:
        near = difflib.get_close_matches(attribute, list(vars(module)), n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ConfigError(f"--tools {name}: there is no {attribute!r} in it{hint}") from None


def _said(error: BaseException) -> str:
    """What a user's file did instead of being imported, with the line where it did."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")
    ]
    return f"it raised {type(error).__name__}: {error} (line {frames[-1].lineno} of {frames[-1].filename})"
