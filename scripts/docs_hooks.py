"""What mkdocs calls while it builds (see mkdocs.yml): pages made out of the examples and of the options themselves."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import griffe
from mkdocs.structure.files import File

from alloy_actors.cli import main
from alloy_actors.config import AgentConfig, RunConfig, SystemConfig

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

ABOUT_EXAMPLES = """# Examples

One idea a file, in the folder `examples`. Each runs offline, against the model server that ships with the package, and is
executed by the tests.
"""

ABOUT_COMMAND = """# The command

`alloy` comes with the extra `cli`. [Quickstart](../quickstart.md) shows it at work.
"""
COMMANDS = ["", "chat", "run", "demo", "doctor", "models", "store"]

ABOUT_OPTIONS = """# Options

Keywords, all of them. An unknown one, or a wrong value, is a [`ConfigError`][alloy_actors.ConfigError] that names it, before
anything starts. Times are seconds.
"""
OPTIONS: dict[str, tuple[type, type | None]] = {
    "Of a run: `run`, `stream`, their twins, and all that follows": (RunConfig, None),
    "Of an agent besides: `Agent.start`, `AgentSystem.spawn`": (AgentConfig, RunConfig),
    "Of a system: `AgentSystem`": (SystemConfig, None),
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    files.append(File.generated(config, "examples.md", content=examples()))
    files.append(File.generated(config, "reference/options.md", content=options()))
    files.append(File.generated(config, "reference/command.md", content=command()))
    return files


def command() -> str:
    """What the command says of itself."""
    parts = [ABOUT_COMMAND]
    for name in COMMANDS:
        said = io.StringIO()
        with redirect_stdout(said):
            code = main([*filter(None, [name]), "--help"])
        if code:
            msg = f"alloy {name} --help ended with exit code {code}"
            raise RuntimeError(msg)
        parts.append(f"## alloy {name}\n\n```text\n{said.getvalue().strip()}\n```\n")
    return "\n".join(parts)


def examples() -> str:
    """Every example with its docstring as text, and its code."""
    parts = [ABOUT_EXAMPLES]
    for path in sorted(EXAMPLES.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        told = ast.get_docstring(tree) or ""
        code = "\n".join(source.splitlines()[tree.body[0].end_lineno or 0 :]).strip()
        parts.append(f"## {path.relative_to(EXAMPLES)}\n\n{told}\n\n```python\n{code}\n```\n")
    return "\n".join(parts)


def options() -> str:
    """A table for each class of options: the fields of the class itself, and what its docstring says of them."""
    parts = [ABOUT_OPTIONS]
    for title, (cls, base) in OPTIONS.items():
        inherited = {field.name for field in dataclasses.fields(base)} if base is not None else set()
        meanings = _meanings(cls)
        rows = [
            f"| `{field.name}` | {_default(field)} | {meanings[field.name]} |"
            for field in dataclasses.fields(cls)
            if field.name not in inherited
        ]
        parts += [f"## {title}\n", "| option | default | meaning |", "| --- | --- | --- |", *rows, ""]
    return "\n".join(parts)


def _meanings(cls: type) -> dict[str, str]:
    docstring = griffe.Docstring(inspect.getdoc(cls) or "")
    found: dict[str, str] = {}
    for section in docstring.parse("google", warnings=False):
        if isinstance(section, griffe.DocstringSectionParameters):
            found |= {each.name: " ".join(each.description.split()) for each in section.value}
    return found


def _default(field: dataclasses.Field[object]) -> str:
    # A field of a pydantic dataclass holds pydantic's own description of it where there is one.
    default = getattr(field.default, "default_factory", None) or field.default
    if default is dataclasses.MISSING:
        return "required"
    return f"`{default()!r}`" if callable(default) else f"`{default!r}`"
