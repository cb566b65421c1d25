"""The `memory` tool: files that outlive a conversation, on every provider.

Claude models know it by a type of their own (`memory_20250818`) and are sent that; the commands and their arguments are
the same everywhere.

Source: Anthropic documentation, Memory tool: the commands, their arguments, and that `create` does not overwrite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from alloy_actors.errors import ConfigError, ToolError
from alloy_actors.tooldef import Tool, tool
from alloy_actors.tools._memory_paths import checked_name, checked_path

if TYPE_CHECKING:
    from alloy_actors.tools._memory_files import MemoryFiles

Command = Literal["view", "create", "str_replace", "insert", "delete", "rename"]
NEEDED: dict[str, tuple[str, ...]] = {
    "view": ("path",),
    "create": ("path", "file_text"),
    "str_replace": ("path", "old_str"),
    "insert": ("path", "insert_line", "insert_text"),
    "delete": ("path",),
    "rename": ("old_path", "new_path"),
}
MAX_RESULT = 30_000
"""Characters of a file that the model is shown; `view_range` shows it the others."""


def memory(files: MemoryFiles) -> Tool:
    """The tool called `memory`, over these files.

    It is never run beside another call, and `create` does not overwrite.

    Args:
        files: `InMemoryFiles()`, `DirectoryFiles(root, session)`, or an object of your own, see `MemoryFiles`.

    Raises:
        ConfigError: It has not the methods of `MemoryFiles`.
    """
    missing = [name for name in NEEDED if not callable(getattr(files, name, None))]
    if missing or isinstance(files, type):
        raise ConfigError(
            f"memory({files!r}): give an object with the methods of MemoryFiles; missing: {', '.join(missing) or 'an object'}"
        )

    @tool(
        name="memory",
        concurrent=False,
        max_result_chars=MAX_RESULT,
        native_types={"anthropic": "memory_20250818"},
    )
    def run(
        command: Command,
        path: str | None = None,
        view_range: list[int] | None = None,
        file_text: str | None = None,
        old_str: str | None = None,
        new_str: str | None = None,
        insert_line: int | None = None,
        insert_text: str | None = None,
        old_path: str | None = None,
        new_path: str | None = None,
    ) -> str:
        """Keep notes in files below /memories that last beyond this conversation. View /memories before you begin, to see what is there; write down what will be worth knowing later.

        Args:
            command: view a file or list a directory; create a new file; str_replace one piece of a file by another;
                insert lines; delete or rename a file or directory.
            path: Of view, create, str_replace, insert and delete; /memories or below it.
            view_range: Of view: first and last line to show, from 1; -1 as the last is the end.
            file_text: Of create: the content.
            old_str: Of str_replace: the text to replace; it must occur exactly once.
            new_str: Of str_replace: the text to put in its place; left out, the old one is deleted.
            insert_line: Of insert: the line after which to insert; 0 is the top.
            insert_text: Of insert: the lines.
            old_path: Of rename.
            new_path: Of rename; there must be nothing yet.
        """
        given: dict[str, Any] = {
            "path": path,
            "view_range": view_range,
            "file_text": file_text,
            "old_str": old_str,
            "new_str": new_str,
            "insert_line": insert_line,
            "insert_text": insert_text,
            "old_path": old_path,
            "new_path": new_path,
        }
        given = {name: value for name, value in given.items() if value is not None}
        _refuse_wrong_shape(command, given)
        return _run(files, command, given)

    return run


def _refuse_wrong_shape(command: str, given: dict[str, Any]) -> None:
    lacking = [name for name in NEEDED[command] if name not in given]
    if lacking:
        had = ", ".join(given) or "nothing"
        raise ToolError(
            f"memory: {command} needs {', '.join(NEEDED[command])}; {', '.join(lacking)} is missing (given: {had})."
        )


def _run(files: MemoryFiles, command: str, given: dict[str, Any]) -> str:
    match command:
        case "view":
            path = checked_path(given["path"])
            return _shown(path, files.view(path), given.get("view_range"))
        case "create":
            path = checked_name(given["path"], "create")
            files.create(path, given["file_text"])
            return f"Created {path}."
        case "str_replace":
            path = checked_path(given["path"])
            files.str_replace(path, given["old_str"], given.get("new_str", ""))
            return f"Replaced in {path}."
        case "insert":
            path = checked_path(given["path"])
            files.insert(path, given["insert_line"], given["insert_text"])
            return f"Inserted at line {given['insert_line']} of {path}."
        case "delete":
            path = checked_name(given["path"], "delete")
            files.delete(path)
            return f"Deleted {path}."
        case _:
            old = checked_name(given["old_path"], "rename")
            new = checked_name(given["new_path"], "rename anything to")
            files.rename(old, new)
            return f"Renamed {old} to {new}."


def _shown(path: str, found: object, view_range: list[int] | None) -> str:
    if isinstance(found, list):
        if view_range is not None:
            raise ToolError(f"view_range is for files; {path} is a directory.")
        if not found:
            return f"{path} is empty."
        return "\n".join((f"Files below {path}:", *map(str, found)))
    if not isinstance(found, str):
        raise ToolError(
            f"memory: view returned a {type(found).__qualname__}; files must return a text or a list."
        )
    lines = found.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    first, last = _range(path, view_range, len(lines))
    return "\n".join(f"{number:6}\t{lines[number - 1]}" for number in range(first, last + 1))


def _range(path: str, given: list[int] | None, count: int) -> tuple[int, int]:
    if given is None:
        return 1, count
    if len(given) != 2 or given[0] < 1 or (given[1] != -1 and given[1] < given[0]):
        raise ToolError(
            f"view_range {given}: give [first, last] with first >= 1 and last >= first, or -1 for the end."
        )
    first, last = given
    if first > count:
        raise ToolError(f"view_range {given}: {path} has {count} lines.")
    return first, count if last == -1 else min(last, count)
