"""Tools for agents that work with files and a shell, or that remember; for Linux and macOS.

    from alloy_actors.tools import bash, edit, read, write

    agent = alloy.Agent.start(provider=..., tools=[read, write, edit, bash], working_directory="/srv/app")

`read`, `write` and `edit` go where `context["allowed_paths"]` allows, or `file_tools(allowed_paths=[...])`; `bash` goes
anywhere. None of them is a sandbox: see docs/tools.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alloy_actors.tools._bash import BashSettings, Environment, Executor, make_bash
from alloy_actors.tools._edit import make_edit
from alloy_actors.tools._memory import memory
from alloy_actors.tools._memory_directory import DirectoryFiles
from alloy_actors.tools._memory_files import InMemoryFiles, MemoryFiles
from alloy_actors.tools._paths import checked_roots, resolve_path
from alloy_actors.tools._read import make_read
from alloy_actors.tools._write import make_write

if TYPE_CHECKING:
    import os
    from collections.abc import Collection

    from alloy_actors.tooldef import Tool

__all__ = [
    "DirectoryFiles",
    "InMemoryFiles",
    "MemoryFiles",
    "bash",
    "bash_tool",
    "edit",
    "file_tools",
    "memory",
    "read",
    "resolve_path",
    "write",
]

read: Tool = make_read(None)
"""Lines of a text file, numbered."""
write: Tool = make_write(None)
"""Replaces or makes a file."""
edit: Tool = make_edit(None)
"""Replaces a piece of text in a file."""
bash: Tool = make_bash(BashSettings())
"""Runs a shell command."""


def file_tools(
    *, allowed_paths: Collection[str | os.PathLike[str]] | None, read_only: bool = False
) -> list[Tool]:
    """`read`, `write` and `edit` bound to directories, whatever an agent's context says.

    Args:
        allowed_paths: The directories, below which everything is allowed and beyond which nothing is; relative ones
            start at the agent's working directory. An empty list allows nothing; None leaves it to the context.
        read_only: Only `read`.

    Raises:
        ConfigError: `allowed_paths` is not a list of paths.
    """
    roots = checked_roots(allowed_paths)
    if read_only:
        return [make_read(roots)]
    return [make_read(roots), make_write(roots), make_edit(roots)]


def bash_tool(
    *,
    restricted: bool | None = None,
    env: Environment | None = None,
    max_timeout: float | None = None,
    executor: Executor | None = None,
) -> Tool:
    """`bash` with settings of its own; one that is None is taken from the agent's context under `bash_<name>`.

    Args:
        restricted: Use bash's restricted mode, a guardrail and no more; True unless given.
        env: Variables to set, or with None to remove, in the environment without what sounds like a secret; "inherit"
            passes on everything.
        max_timeout: The longest time in seconds that the model may ask for; 600 unless given.
        executor: Called with command and working directory instead of a shell, for example to run it in a container;
            returns output and exit code. `restricted` and `env` are its own matter. It is a plain function, runs in a
            thread of its own, and is abandoned when its time is up.

    Raises:
        ConfigError: A value that does not fit.
    """
    return make_bash(BashSettings(restricted=restricted, env=env, max_timeout=max_timeout, executor=executor))
