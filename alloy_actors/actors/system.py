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
from alloy_actors.actors.blocking import blocking_region, off_loop
from alloy_actors.actors.callbacks import Callbacks
from alloy_actors.actors.entry import AgentEntry
from alloy_actors.actors.guard import chain, check_blocking
from alloy_actors.actors.options import agent_options
from alloy_actors.actors.pubsub import BUFFERED, PubSub
from alloy_actors.actors.ref import AgentRef
from alloy_actors.actors.session_hooks import begin_session
from alloy_actors.actors.tool_pool import ToolPool
from alloy_actors.budget import acheck_prices, check_prices
from alloy_actors.config import (
    SystemConfig,
    check_callback,
    check_count,
    check_name,
    make_config,
)
from alloy_actors.deadline import Deadline
from alloy_actors.errors import AgentDownError, ConfigError, WouldDeadlock
from alloy_actors.journal import Seeded
from alloy_actors.logs import log, traced
from alloy_actors.store.opening import open_store
from alloy_actors.tool_runner import ToolRunner
from supervisors import Backoff, ChildSpec, DynamicSupervisor, RestartType, Supervisor
from supervisors import run as run_supervisor
from supervisors.daemon import before_exit
from supervisors.errors import NoProcError, SupervisorError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    import pykka

    from alloy_actors.actors.pubsub import Subscription
    from alloy_actors.config import AgentConfig
    from alloy_actors.journal import Store
    from alloy_actors.session import Session
    from supervisors.refs import DynamicSupervisorRef, SupervisorRef
    from supervisors.runtime import PooledFuture

AGENT_BACKOFF = Backoff(initial=0.05, max_attempts=3, reset_after=60.0)
"""An agent that crashes is back after 0.05 s, then 0.1 s, 0.2 s; the fourth crash in a row parks it."""

systems: set[AgentSystem] = set()
"""Those that were not stopped: one that nobody holds still has its agents."""

_numbers = itertools.count(1)


class AgentSystem:
    """Agents under supervision, for a service or a daemon; a context manager that stops them at its end.

    Args:
        store: "memory:" (survives crashes of agents, not of the process), "sqlite:///relative.db" or
            "sqlite:////absolute.db" (survives those too), or an object with the methods of `alloy_actors.journal.Store`.
        factory: `factory(name)` returns the options of the agent with that name: for `agent(name)`, and for the agents
            whose requests an earlier process left unfinished, which are started here and now.
        options: `tool_workers`, `max_stuck_tools`, `stop_timeout`, `drain_timeout`, `on_restart`, `takeover`, `loop`;
            see `SystemConfig`.

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
        self._store = open_store(store, takeover=self._config.takeover)
        self._factory = factory
        self._lock = threading.Lock()
        self._entries: dict[str, AgentEntry] = {}
        self._stopped = False
        self._ended = False
        self._draining: str | None = None
        self._pid = os.getpid()
        self._pubsub = PubSub()
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
        systems.add(self)
        _stop_all_before_exit()
        if factory is not None:
            self._resume()

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
            name: Unique in this system, and what the store knows the agent by: one that has a conversation or requests
                in a store on disk goes on with them. Made up when None.
            options: See `AgentConfig`, plus `session` (of `export_session`) to go on with a conversation. `messages` is
                how a new conversation begins; one that the store has goes on as it is.

        Raises:
            ConfigError: An option is unknown or wrong, or the name is taken.
            AgentDownError: The system is stopped.
            HaltedError: A middleware's `session_start` halted. (It raised: `CrashError`; it hangs: `TimeoutError`.)
            StoreError: The store cannot read what it has of this agent, or not write down how its conversation begins;
                other agents are not concerned.
        """
        check_blocking("spawn", "aspawn()")
        config, session = agent_options(name, options)
        check_prices("spawn", config)
        entry = self._admit(name, config, session)
        try:
            self._take_up(entry, is_session=session is not None)
            return self._admitted(entry, self._start_child(entry).get())
        except SupervisorError as error:
            raise self._refused(entry) from error

    async def aspawn(self, name: str | None = None, **options: Any) -> AgentRef:
        """`spawn` for coroutines."""
        config, session = agent_options(name, options)
        await acheck_prices("spawn", config)
        entry = self._admit(name, config, session)
        try:
            if self._store.durable or "session_start" in entry.hooks:
                take_up = functools.partial(self._take_up, entry, is_session=session is not None)
                await off_loop(take_up, functools.partial(self._refused, entry, "aspawn() was cancelled"))
            else:
                self._take_up(entry, is_session=session is not None)
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
                "which makes agents by name; what a store has of it waits until then"
            )
            raise AgentDownError(message)
        options = self._options_of(name)
        try:
            return self.spawn(name, **options)
        except ConfigError:
            with self._lock:
                entry = self._entries.get(name)
            if entry is None:
                raise
            return AgentRef(entry, self)  # another thread was first

    def delete(self, name: str) -> None:
        """Forget what the store has of an agent: its conversation, its requests and their results.

        Raises:
            ConfigError: The agent is alive: `stop()` it first.
            StoreError: It could not be written.
        """
        check_name("delete", "name", name)
        with self._lock:
            self._check_running()
            if name in self._entries:
                message = f"delete: agent {name!r} is alive: stop() it first"
                raise ConfigError(message)
        self._store.delete(name)

    def subscribe(self, topic: str, *, maxsize: int = BUFFERED) -> Subscription:
        """Hear what is published on a topic of this system from now on, in this process.

        Agents publish their Results on `agent:<id>:responses` and the events of their runs on `agent:<id>:events` (of
        the runs that begin while somebody subscribes); see `AgentRef.subscribe`. All other topics are yours.

        Args:
            topic: Any string.
            maxsize: Messages that you may lag behind; then the subscription is dropped, and reading it says so.
        """
        check_name("subscribe", "topic", topic)
        check_count("subscribe", "maxsize", maxsize)
        return self._pubsub.subscribe(topic, maxsize)

    def publish(self, topic: str, message: object) -> int:
        """Hand a message to all who subscribe to a topic, agents with `subscribe=` among them; returns at once.

        For an agent, text (or a Result, whose text it is) becomes a request; other messages it ignores.

        Returns:
            How many heard it.
        """
        check_name("publish", "topic", topic)
        return self._pubsub.publish(topic, message)

    @property
    def dropped_subscribers(self) -> int:
        """How many subscribers were dropped because they were too slow."""
        return self._pubsub.dropped

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
        """Stop all agents and the tree: who waits gets a Result with status "cancelled", callbacks are told.

        With a store on disk nothing that was accepted is lost: runs that are on are interrupted, and go on, as do the
        requests that wait, when their agents are started again.

        Args:
            timeout: Seconds; None is the option `stop_timeout`. Harmless when it is stopped; while another thread is
                about to stop it, this waits as well.
        """
        if chain():
            message = "an AgentSystem cannot be stopped from inside a run: its stop would wait for that run"
            raise WouldDeadlock(message)
        check_blocking("stop", "astop()")
        if self._pid != os.getpid():
            return  # a forked child: the parent's agents are not ours to stop
        with self._lock:
            if self._ended:
                return
            # A second call goes through all of it too: the first may have been interrupted.
            self._stopped = True
            entries = list(self._entries.values())
        deadline = Deadline.after(self._config.stop_timeout if timeout is None else timeout)
        with blocking_region():
            self._root.stop(timeout=deadline.remaining())
            self._tools.close()  # it does not by itself when its supervisor had to be killed
            for entry in entries:
                entry.await_end(deadline)
            self._store.close()
        self._ended = True
        systems.discard(self)

    async def astop(self, timeout: float | None = None) -> None:
        """`stop` for coroutines."""
        await asyncio.to_thread(self.stop, timeout)

    def drain(self, timeout: float) -> bool:
        """Begin nothing more, and wait for the runs that are on; `stop` is what comes next.

        What a run that is on asks of other agents is still served. Requests that wait are left to the next start, and so
        are runs that wait for a person's approval.

        Args:
            timeout: Seconds.

        Returns:
            Whether all runs ended in time.
        """
        check_blocking("drain", "asyncio.to_thread(system.drain, ...)")
        with self._lock:
            self._draining = "this AgentSystem is being stopped: it takes no new requests"
            entries = list(self._entries.values())
        for entry in entries:
            entry.book.drain(self._draining)
        deadline = Deadline.after(timeout)
        with blocking_region():
            idle = [entry.await_idle(deadline) for entry in entries]  # each of them is waited for
        return all(idle)

    def run(self, *, drain_timeout: float | None = None, grace: float = 25.0) -> int:
        """Serve until SIGTERM or SIGINT, then drain and stop within `grace` seconds; for the main thread of a daemon.

        Args:
            drain_timeout: Seconds that runs get to finish, of the grace that `stop_timeout` leaves; None is the option of
                the system.
            grace: Seconds for everything, less than the platform's own limit (30 in Kubernetes).

        Returns:
            The exit code of `supervisors.run`.
        """
        if drain_timeout is not None and not drain_timeout >= 0:
            message = f"run: drain_timeout must be a number of seconds, 0 or more, got {drain_timeout!r}"
            raise ConfigError(message)
        limit = self._config.drain_timeout if drain_timeout is None else drain_timeout

        def before_stop(left: float) -> None:
            deadline = Deadline.after(left)
            stopping = min(
                self._config.stop_timeout, left / 2
            )  # of the grace, so that what is on can be recorded
            self.drain(min(limit, left - stopping))
            self.stop(min(deadline.remaining(), self._config.stop_timeout))

        try:
            return run_supervisor(self._root, grace=grace, before_stop=before_stop)
        finally:
            self.stop()

    def stop_agent(self, entry: AgentEntry, timeout: float | None) -> None:
        """For `AgentRef.stop`."""
        deadline = Deadline.after(self._config.stop_timeout if timeout is None else timeout)
        self.request_stop(entry)
        with blocking_region():
            entry.await_end(deadline)

    async def astop_agent(self, entry: AgentEntry, timeout: float | None) -> None:
        """For `AgentRef.astop`."""
        await asyncio.to_thread(self.stop_agent, entry, timeout)

    def request_stop(self, entry: AgentEntry) -> None:
        """Ask the agents' supervisor to end an agent; returns at once."""
        entry.check_process()
        # An actor that is on its way, and that its supervisor does not know by this ref, ends when it comes up.
        entry.stop_requested = True
        self._free_name(entry)
        if entry.condition != "stopped" and entry.last_ref is not None:
            try:
                self._agents.terminate_child(entry.last_ref, block=False)
            except NoProcError:
                pass  # the whole system is being stopped

    def _free_name(self, entry: AgentEntry) -> None:
        """The name of an agent that was stopped is free when nothing of it writes any more: not while a run leaves."""
        if entry.stop_requested and entry.over:
            self._forget(entry)

    def _forget(self, entry: AgentEntry) -> None:
        with self._lock:
            if self._entries.get(entry.name) is entry:
                del self._entries[entry.name]

    # -- inside ------------------------------------------------------------------------------------------------

    def runner(self, loop: asyncio.AbstractEventLoop | None) -> ToolRunner:
        """Runs tools on this system's workers; async ones on `loop`, None is the system's own choice."""
        return self._runner if loop is None else ToolRunner(self._tools, loop=loop)

    def _admit(self, name: str | None, config: AgentConfig, session: Session | None) -> AgentEntry:
        """Reserve the name."""
        agent_id = name
        if agent_id is None:
            agent_id = session.id if session is not None else f"agent-{uuid.uuid4().hex}"
        if config.idle_timeout is not None and not self._store.durable:
            message = (
                "spawn: idle_timeout lets an agent's conversation leave the memory, and this system has it nowhere else: "
                "give AgentSystem(store='sqlite:///agents.db') a store on disk, or leave the option out "
                "(the limit between two pieces of a model's answer is the provider's own idle_timeout)"
            )
            raise ConfigError(message)
        runner = self.runner(config.loop)
        entry = AgentEntry(
            agent_id, agent_id, config, self._store, runner, Callbacks(), self._pubsub, self._free_name
        )
        with self._lock:
            self._check_running()
            if (there := self._entries.get(agent_id)) is not None:
                message = f"spawn: an agent named {agent_id!r} exists already in this system: " + (
                    "it is being stopped, and has not ended; stop() returns when it has, or at its timeout"
                    if there.stop_requested
                    else f"agent({agent_id!r}) is its handle"
                )
                raise ConfigError(message)
            self._entries[agent_id] = entry
        if session is not None:
            entry.created_at = session.created_at
        return entry

    def _take_up(self, entry: AgentEntry, *, is_session: bool) -> None:
        """Give a new entry its conversation: the store's, else the one of the options; and ask whether it may start."""
        try:
            known = entry.take_up(report=self._config.on_restart == "report")
            if known and is_session:
                message = (
                    f"spawn: the store has a conversation of agent {entry.name!r} already: spawn it without session=, "
                    f"under another name, or delete({entry.name!r}) it first"
                )
                raise ConfigError(message)
            begin_session(
                entry
            )  # before anything is written down: an agent that is not to start leaves no trace
            config = entry.config
            seeded = Seeded(config.messages, config.usage, cost_cents=config.cost_cents)
            if not known and seeded != Seeded(()):
                entry.book.seed(seeded)
        except BaseException as error:
            self._forget(entry)
            entry.never_started(str(error))
            raise
        entry.topics.subscribe(entry.book)

    def _resume(self) -> None:
        """Start the agents whose requests an earlier process left unfinished; one that cannot start stops no other."""
        for name in self._store.unfinished():
            try:
                self.agent(name)
            except Exception as error:
                log.error("agent_not_resumed", agent=name, **traced(error))

    def _options_of(self, name: str) -> Mapping[str, Any]:
        assert self._factory is not None
        options: object = self._factory(name)
        if not isinstance(options, Mapping):
            message = f"AgentSystem: factory({name!r}) must return the agent's options, got {type(options).__name__}"
            raise ConfigError(message)
        return options

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

    def _refused(self, entry: AgentEntry, why: str = "this AgentSystem is being stopped") -> AgentDownError:
        """The tree would not start the agent, or shall not."""
        self._forget(entry)
        message = f"agent {entry.name!r} was not started: {why}"
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
        if self._draining is not None:
            raise AgentDownError(self._draining)


@functools.cache
def _stop_all_before_exit() -> None:
    """A process that ends without `stop` still tells those who wait; see `supervisors.daemon.before_exit`."""
    from alloy_actors.actors.default import shutdown  # which stops the systems of this module

    before_exit(shutdown)
