"""A supervision tree of agents: root -> tool pool, agents. One agent's crashes never touch another."""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import threading
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, cast

from alloy_actors.actors.agent import AgentActor
from alloy_actors.actors.blocking import blocking_region
from alloy_actors.actors.callbacks import Callbacks
from alloy_actors.actors.entry import AgentEntry
from alloy_actors.actors.guard import chain, check_blocking
from alloy_actors.actors.loop_thread import stop_loop_thread
from alloy_actors.actors.ref import AgentRef
from alloy_actors.actors.tool_pool import ToolPool
from alloy_actors.config import AgentConfig, SystemConfig, check_callback, check_name, make_config
from alloy_actors.content import NO_USAGE
from alloy_actors.deadline import Deadline
from alloy_actors.errors import AgentDownError, ConfigError, WouldDeadlock
from alloy_actors.logs import log
from alloy_actors.session import Session
from alloy_actors.store.memory import MemoryStore
from alloy_actors.tool_runner import ToolRunner
from supervisors import Backoff, ChildSpec, DynamicSupervisor, RestartType, Supervisor
from supervisors import run as run_supervisor
from supervisors.daemon import before_exit
from supervisors.errors import NoProcError, SupervisorError
from supervisors.runtime import PooledFuture, release_idle_threads

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    import pykka

    from alloy_actors.journal import Store
    from supervisors.refs import DynamicSupervisorRef, SupervisorRef

AGENT_BACKOFF = Backoff(initial=0.05, max_attempts=3, reset_after=60.0)
"""An agent that crashes is back after 0.05 s, then 0.1 s, 0.2 s; the fourth crash in a row parks it."""

_systems: set[AgentSystem] = set()  # those that were not stopped: one that nobody holds still has its agents
_numbers = itertools.count(1)


class AgentSystem:
    """Agents under supervision, for a service or a daemon; a context manager that stops them at its end.

    Args:
        store: "memory:" (survives crashes of agents, not of the process), "sqlite:///relative.db" or
            "sqlite:////absolute.db" (survives those too), or an object with the methods of `alloy_actors.journal.Store`.
        factory: `factory(name)` returns the options of the agent with that name, for `agent(name)`.
        options: `tool_workers`, `max_stuck_tools`, `stop_timeout`, `loop`; see `SystemConfig`.

    Raises:
        ConfigError: An option is unknown or wrong, or the store cannot be opened there.
        FencedError: Another process has the store open.
    """

    def __init__(
        self,
        store: str | Store = "memory:",
        factory: Callable[[str], Mapping[str, Any]] | None = None,
        **options: Any,
    ) -> None:
        self._config = make_config(SystemConfig, options, where="AgentSystem", also=("factory", "store"))
        check_callback("AgentSystem", factory=factory)
        self._store = _open_store(store)
        self._factory = factory
        self._lock = threading.Lock()
        self._entries: dict[str, AgentEntry] = {}
        self._stopped = False
        self._pid = os.getpid()
        self._tools = ToolPool(workers=self._config.tool_workers, max_stuck=self._config.max_stuck_tools)
        self._runner = ToolRunner(self._tools, loop=self._config.loop)
        self._root = Supervisor.start(
            [
                self._tools.child_spec(),
                # The window is so wide that one agent's crashes never touch another: each has its own account.
                ChildSpec(
                    id="agents",
                    start=DynamicSupervisor,
                    kwargs={"max_restarts": 1_000_000, "max_seconds": 1.0, "on_exceeded": "park"},
                ),
            ],
            name=f"alloy-{next(_numbers)}",
        )
        self._agents = cast("DynamicSupervisorRef", self._root.which_child("agents").ref)
        _systems.add(self)
        _stop_all_before_exit()

    def __repr__(self) -> str:
        return f"<AgentSystem {len(self._entries)} agents{' stopped' if self._stopped else ''}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.astop()

    # -- agents ------------------------------------------------------------------------------------------------

    def spawn(self, name: str | None = None, **options: Any) -> AgentRef:
        """Start an agent under supervision and return its handle.

        Args:
            name: Unique in this system; made up when None.
            options: See `AgentConfig`, plus `session` (of `export_session`) to go on with a conversation.

        Raises:
            ConfigError: An option is unknown or wrong, or the name is taken.
            AgentDownError: The system is stopped.
        """
        check_blocking("spawn", "aspawn()")
        entry = self._admit(name, options)
        try:
            return self._admitted(entry, self._start_child(entry).get())
        except SupervisorError as error:
            raise self._refused(entry) from error

    async def aspawn(self, name: str | None = None, **options: Any) -> AgentRef:
        """`spawn` for coroutines."""
        entry = self._admit(name, options)
        try:
            return self._admitted(entry, await self._start_child(entry))
        except SupervisorError as error:
            raise self._refused(entry) from error

    def agent(self, name: str) -> AgentRef:
        """The handle of the agent with this name; the system's factory makes one that is not there.

        Raises:
            AgentDownError: There is none, and no factory to make it.
        """
        with self._lock:
            entry = self._entries.get(name)
        if entry is not None:
            return AgentRef(entry, self)
        if self._factory is None:
            message = (
                f"no agent is named {name!r}: spawn({name!r}, ...) it, or give AgentSystem(factory=...), "
                "which makes agents by name"
            )
            raise AgentDownError(message)
        options: object = self._factory(name)
        if not isinstance(options, Mapping):
            message = f"AgentSystem: factory({name!r}) must return the agent's options, got {type(options).__name__}"
            raise ConfigError(message)
        try:
            return self.spawn(name, **options)
        except ConfigError:
            with self._lock:
                entry = self._entries.get(name)
            if entry is None:
                raise
            return AgentRef(entry, self)  # another thread was first

    def agents(self) -> list[AgentRef]:
        """The handles of all agents, oldest first."""
        with self._lock:
            return [AgentRef(entry, self) for entry in self._entries.values()]

    @property
    def stopped(self) -> bool:
        """Whether it was stopped, or belongs to the process this one was forked from."""
        return self._stopped or self._pid != os.getpid()

    @property
    def supervisor(self) -> SupervisorRef:
        """The root of the tree, for `supervisors.format_tree` and `supervisors.run`."""
        return self._root

    # -- the end -----------------------------------------------------------------------------------------------

    def stop(self, timeout: float | None = None) -> None:
        """Stop all agents and the tree: open requests get Results with status "cancelled", callbacks are told.

        Args:
            timeout: Seconds; None is the option `stop_timeout`. Harmless when it is stopped.
        """
        if chain():
            message = "an AgentSystem cannot be stopped from inside a run: its stop would wait for that run"
            raise WouldDeadlock(message)
        check_blocking("stop", "astop()")
        if self._pid != os.getpid():
            return  # a forked child: the parent's agents are not ours to stop
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
            entries = list(self._entries.values())
        deadline = Deadline.after(self._config.stop_timeout if timeout is None else timeout)
        with blocking_region():
            self._root.stop(timeout=deadline.remaining())
            for entry in entries:
                entry.await_end(deadline)
            self._store.close()
        _systems.discard(self)

    async def astop(self, timeout: float | None = None) -> None:
        """`stop` for coroutines."""
        await asyncio.to_thread(self.stop, timeout)

    def run(self, *, grace: float = 25.0) -> int:
        """Serve until SIGTERM or SIGINT, then stop within `grace` seconds; for the main thread of a daemon.

        Returns:
            The exit code of `supervisors.run`.
        """
        try:
            return run_supervisor(self._root, grace=grace, before_stop=self.stop)
        finally:
            self.stop()

    def stop_agent(self, entry: AgentEntry, timeout: float | None) -> None:
        """For `AgentRef.stop`."""
        deadline = Deadline.after(self._config.stop_timeout if timeout is None else timeout)
        self.request_stop(entry)
        with blocking_region():
            if not entry.await_stopped(deadline):
                log.warning("stop_timed_out", agent=entry.name)
            entry.await_end(deadline)

    async def astop_agent(self, entry: AgentEntry, timeout: float | None) -> None:
        """For `AgentRef.astop`."""
        await asyncio.to_thread(self.stop_agent, entry, timeout)

    def request_stop(self, entry: AgentEntry) -> None:
        """Ask the agents' supervisor to end an agent; returns at once."""
        entry.check_process()
        self._forget(entry)
        # An actor that is on its way, and that its supervisor does not know by this ref, ends when it comes up.
        entry.stop_requested = True
        if entry.condition != "stopped" and entry.last_ref is not None:
            try:
                self._agents.terminate_child(entry.last_ref, block=False)
            except NoProcError:
                pass  # the whole system is being stopped

    def _forget(self, entry: AgentEntry) -> None:
        with self._lock:
            if self._entries.get(entry.name) is entry:
                del self._entries[entry.name]

    # -- inside ------------------------------------------------------------------------------------------------

    def runner(self, loop: asyncio.AbstractEventLoop | None) -> ToolRunner:
        """Runs tools on this system's workers; async ones on `loop`, None is the system's own choice."""
        return self._runner if loop is None else ToolRunner(self._tools, loop=loop)

    def _admit(self, name: str | None, options: Mapping[str, Any]) -> AgentEntry:
        """Check the options and reserve the name."""
        given = dict(options)
        if name is not None:
            check_name("spawn", "name", name)
        session = given.pop("session", None)
        if session is not None:
            _take_session(session, given)
        config = make_config(AgentConfig, given, where="spawn", also=("name", "session"))
        agent_id = session.id if session is not None else uuid.uuid4().hex
        name = name or f"agent-{agent_id[:8]}"
        entry = AgentEntry(name, agent_id, config, self._store, self.runner(config.loop), Callbacks())
        with self._lock:
            self._check_running()
            if session is not None and any(other.agent_id == agent_id for other in self._entries.values()):
                message = (
                    f"spawn: the agent whose session this is (id {agent_id!r}) is alive: stop() it first, "
                    "or pass messages=session.messages for a new agent with the same history"
                )
                raise ConfigError(message)
            if name in self._entries:
                message = f"spawn: an agent named {name!r} exists already in this system: agent({name!r}) is its handle"
                raise ConfigError(message)
            self._entries[name] = entry
        if session is not None:
            entry.created_at = session.created_at
        if config.messages or config.usage != NO_USAGE:
            entry.book.seed(config.messages, config.usage)
        return entry

    def _start_child(self, entry: AgentEntry) -> PooledFuture[pykka.ActorRef[AgentActor] | None]:
        spec = ChildSpec(
            id=entry.name,
            start=AgentActor,
            args=(entry,),
            restart=RestartType.TRANSIENT,
            backoff=AGENT_BACKOFF,
            on_exit=entry.actor_ended,
        )
        return self._agents.start_child(spec, block=False)

    def _admitted(self, entry: AgentEntry, ref: pykka.ActorRef[AgentActor] | None) -> AgentRef:
        assert ref is not None
        if entry.last_ref is None:
            entry.last_ref = ref
        return AgentRef(entry, self)

    def _refused(self, entry: AgentEntry) -> AgentDownError:
        """The tree would not start the agent: it is being stopped."""
        self._forget(entry)
        message = f"agent {entry.name!r} was not started: this AgentSystem is being stopped"
        entry.never_started(message)
        return AgentDownError(message)

    def _check_running(self) -> None:
        if self._pid != os.getpid():
            message = (
                "this AgentSystem lives in the process this one was forked from: make one after the fork"
            )
            raise AgentDownError(message)
        if self._stopped:
            message = "this AgentSystem is stopped"
            raise AgentDownError(message)


def _open_store(store: str | Store) -> Store:
    if store == "memory:":
        return MemoryStore()
    if isinstance(store, str) and store.startswith("sqlite:"):
        from alloy_actors.store.sqlite import SqliteStore

        return SqliteStore.from_url(store)
    if isinstance(store, str):
        message = (
            f"AgentSystem: store={store!r} is not known; use 'memory:', 'sqlite:///agents.db' "
            "or an object with the methods of Store"
        )
        raise ConfigError(message)
    methods = ("take_token", "append", "compact", "load", "retire", "delete", "agents", "close")
    missing = [name for name in methods if not hasattr(store, name)]
    if missing:
        message = f"AgentSystem: store={store!r} is no store: it lacks {', '.join(missing)}"
        raise ConfigError(message)
    return store


def _take_session(session: object, given: dict[str, Any]) -> None:
    """A session stands for the messages and usage it holds."""
    if not isinstance(session, Session):
        message = (
            f"spawn: session must be a Session (Session.from_json reads one), got {type(session).__name__}"
        )
        raise ConfigError(message)
    if "messages" in given or "usage" in given:
        message = "spawn: give session= or messages=, not both: a session holds its messages and usage"
        raise ConfigError(message)
    given["messages"] = session.messages
    given["usage"] = session.usage


_after_loop: set[Callable[[], None]] = set()


def when_loop_has_ended(hook: Callable[[], None]) -> Callable[[], None]:
    """Call `hook` if `shutdown` ends the loop before the returned function was called."""
    _after_loop.add(hook)
    return lambda: _after_loop.discard(hook)


@functools.cache
def _stop_all_before_exit() -> None:
    """A process that ends without `stop` still tells those who wait; see `supervisors.daemon.before_exit`."""
    before_exit(shutdown)


_default_lock = threading.Lock()
_default: AgentSystem | None = None


def default_system() -> AgentSystem:
    """The system behind `Agent.start` and `run`, made at first use; `shutdown()` ends it."""
    global _default
    with _default_lock:
        if _default is None or _default.stopped:
            _default = AgentSystem()
        return _default


def shutdown(timeout: float = 5.0) -> None:
    """End everything this package started in this process: all systems, the event loop, idle threads.

    Agents that were alive are stopped as by `stop()`. What is used afterwards starts anew.

    Args:
        timeout: Seconds for all of it.

    Raises:
        WouldDeadlock: On a loop thread or inside a run.
    """
    global _default
    if chain():
        message = "shutdown() cannot be called from inside a run: it would wait for that run"
        raise WouldDeadlock(message)
    check_blocking("shutdown", "asyncio.to_thread(alloy.shutdown)")
    deadline = Deadline.after(timeout)
    with _default_lock:
        _default = None
    for system in list(_systems):
        system.stop(deadline.remaining())
    stop_loop_thread(deadline.remaining())
    for hook in list(_after_loop):
        hook()
    release_idle_threads(deadline.remaining())
