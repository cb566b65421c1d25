"""The `bash` tool: a shell command, bounded in time, output and what it learns from our environment."""

from __future__ import annotations

import contextvars
import inspect
import math
import os
import re
import shutil
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from alloy_actors.deadline import Deadline
from alloy_actors.errors import ConfigError, ToolError
from alloy_actors.tool_text import repaired
from alloy_actors.tooldef import Tool, ToolContext, tool
from alloy_actors.tools._output import Capture
from alloy_actors.tools._paths import absolute
from alloy_actors.tools._shell import POLL, run

if TYPE_CHECKING:
    from alloy_actors.tooldef import Cancelled

DEFAULT_TIMEOUT: Final = 10.0
MAX_TIMEOUT: Final = 600.0
MAX_RESULT_CHARS: Final = 30_000

Executor: TypeAlias = Callable[[str, str], tuple[str | bytes, int]]
"""`executor(command, working_directory) -> (output, exit code)`."""

Environment: TypeAlias = Mapping[str, str | None] | Literal["inherit"]
"""Variables to set, or with None to remove; "inherit" passes on all of ours."""

_SECRET = re.compile("KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)

# The tool ends its commands itself and keeps what they said; the runner's tool_timeout would lose that.
_RUNNER_TIMEOUT = 86_400.0
_MARGIN = 0.2  # seconds before the run's own end, for the same reason

_MAX_EXECUTORS = 64
_executors = threading.BoundedSemaphore(_MAX_EXECUTORS)  # a call that does not return keeps its thread

_DESCRIPTION = (
    "Run a command with bash in the working directory. Returns what it wrote to stdout and stderr, cut in the middle "
    "if long, and its exit code. It has no input; processes it leaves in the background are killed when it ends."
)
_RESTRICTED = " The shell may be restricted: no cd, no redirection into files, no commands given by a path."


@dataclass(frozen=True, slots=True, kw_only=True)
class BashSettings:
    """What can be set; None means: as the context says under `bash_<name>`, else the default. See `bash_tool`.

    Raises:
        ConfigError: A value that does not fit.
    """

    restricted: bool | None = None
    env: Environment | None = None
    max_timeout: float | None = None
    executor: Executor | None = None

    def __post_init__(self) -> None:
        """Values of a context are anybody's."""
        fits = self.restricted is None or isinstance(self.restricted, bool)
        _check("restricted", self.restricted, "True or False", fits=fits)
        fits = self.env is None or self.env == "inherit" or _is_mapping(self.env)
        _check("env", self.env, "a mapping of names to strings or None, or 'inherit'", fits=fits)
        limit: Any = self.max_timeout
        is_number = isinstance(limit, (int, float)) and not isinstance(limit, bool)
        fits = limit is None or (is_number and 0 < limit < math.inf)
        _check("max_timeout", limit, "a number of seconds > 0", fits=fits)
        is_plain = callable(self.executor) and not inspect.iscoroutinefunction(self.executor)
        fits = self.executor is None or is_plain
        _check("executor", self.executor, "a plain function (command, directory)", fits=fits)

    def or_from(self, context: Mapping[str, Any]) -> BashSettings:
        """These, with what is None taken from a context."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in values.items():
            if value is None:
                values[name] = context.get(f"bash_{name}")
        return BashSettings(**values)


def make_bash(settings: BashSettings) -> Tool:
    """Make the tool."""
    description = _DESCRIPTION if settings.restricted is False else _DESCRIPTION + _RESTRICTED

    @tool(
        concurrent=False,
        timeout=_RUNNER_TIMEOUT,
        max_result_chars=MAX_RESULT_CHARS,
        description=description,
    )
    def bash(command: str, timeout: float = DEFAULT_TIMEOUT, ctx: ToolContext | None = None) -> str:
        """Run a command.

        Args:
            command: A command, or a script of several lines.
            timeout: Seconds after which it is killed; at most 600 unless set otherwise.
            ctx: Of the call.
        """
        ctx = ctx or ToolContext()
        chosen = settings.or_from(ctx.context)
        limit = min(timeout if timeout > 0 else DEFAULT_TIMEOUT, chosen.max_timeout or MAX_TIMEOUT)
        call = _Call(command, limit, ctx)
        if chosen.executor is not None:
            return call.by_executor(chosen.executor)
        return call.by_shell(restricted=chosen.restricted is not False, env=environment(chosen.env))

    return bash


class _Call:
    """One command and what is known of it."""

    def __init__(self, command: str, limit: float, ctx: ToolContext) -> None:
        self._command = command
        # No longer than the run itself: what the command has said by then is to be in its history.
        self._limit = max(min(limit, ctx.deadline.remaining() - _MARGIN), 0.0)
        self._deadline = Deadline.after(self._limit)
        self._cancelled: Cancelled = ctx.cancelled
        self._directory = absolute(".", ctx.working_directory)
        self._output = Capture()

    def by_shell(self, *, restricted: bool, env: Mapping[str, str]) -> str:
        """The result of a command of this machine's bash."""
        shell = shutil.which("bash")
        if shell is None:
            raise ToolError("bash is not installed here, or not on the PATH.")
        if not os.path.isdir(self._directory):  # noqa: PTH112  (a string for Popen)
            raise ToolError(f"The working directory {self._directory} does not exist.")
        try:
            ended = run(
                [shell, "-rc" if restricted else "-c", self._command],
                directory=self._directory,
                environment=env,
                output=self._output,
                deadline=self._deadline,
                cancelled=self._cancelled,
            )
        except OSError as error:
            hint = " Put long scripts into a file." if len(self._command) > 100_000 else ""
            raise ToolError(f"The command could not be started: {error.strerror}.{hint}") from error
        except ValueError as error:
            raise ToolError(f"The command could not be started: {error}.") from error
        if not ended.by_itself:
            raise self._killed(ended.note)
        return self._result(ended.code, ended.note)

    def by_executor(self, executor: Executor) -> str:
        """The result of somebody's function instead of a shell, in a thread of its own: it can only be abandoned."""
        slots = _executors
        if not slots.acquire(blocking=False):
            raise ToolError(f"{_MAX_EXECUTORS} earlier commands have not ended; this one was not started.")
        future: Future[Any] = Future()
        context = contextvars.copy_context()

        def work() -> None:
            try:
                future.set_result(context.run(executor, self._command, self._directory))
            except BaseException as error:
                future.set_exception(error)  # raised again by the tool
            finally:
                slots.release()

        try:
            threading.Thread(target=work, name="alloy-bash-executor", daemon=True).start()
        except RuntimeError as error:  # no thread to spare
            slots.release()
            raise ToolError(f"The command could not be started: {error}.") from error
        while not future.done():
            if self._cancelled.is_set() or self._deadline.expired:
                raise self._killed("")
            try:
                future.exception(min(POLL, self._deadline.remaining()))
            except TimeoutError:
                pass  # look at the clock again
        match future.result():
            case (str() | bytes() as output, int(code)):
                self._output.add(repaired(output).encode() if isinstance(output, str) else output)
                return self._result(code, "")
            case other:
                raise ConfigError(
                    f"bash_executor returned {other!r:.200}; it must return (output, exit code)"
                )

    def _result(self, code: int | None, note: str) -> str:
        return _lines(self._output.text(), note, f"exit code: {'unknown' if code is None else code}")

    def _killed(self, note: str) -> ToolError:
        if self._cancelled.is_set():
            return ToolError("The command was cancelled.")
        why = f"The command was killed: it timed out after {self._limit:.3g} seconds."
        return ToolError(
            _lines(self._output.text(), note, f"{why} Set a longer timeout, or do less at once.")
        )


def environment(env: Environment | None) -> dict[str, str]:
    """What a command gets of our environment: all but the names that sound like secrets, changed as `env` says."""
    if env == "inherit":
        return dict(os.environ)
    variables = {name: value for name, value in os.environ.items() if not _SECRET.search(name)}
    for name, value in (env or {}).items():
        if value is None:
            variables.pop(name, None)
        else:
            variables[name] = value
    return variables


def _lines(output: str, *more: str) -> str:
    if output and not output.endswith("\n"):
        output += "\n"
    return output + "\n".join(line for line in more if line)


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and (text is None or isinstance(text, str)) for name, text in value.items()
    )


def _check(name: str, value: object, wanted: str, *, fits: bool) -> None:
    if not fits:
        raise ConfigError(f"bash: {name}={value!r:.200} must be {wanted}")
