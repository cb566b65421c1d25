"""Keeps pykka actors running: mailboxes, lifecycles, monitors and supervisors."""

from supervisors.backoff import Backoff
from supervisors.calls import call, cast
from supervisors.children import ChildInfo, Counts, State
from supervisors.circuit import CircuitBreaker, CircuitState
from supervisors.clock import Clock, system_clock
from supervisors.daemon import request_shutdown, run
from supervisors.dynamic import DynamicSupervisor
from supervisors.errors import (
    AlreadyPresent,
    AlreadyRegistered,
    AlreadyStarted,
    CalleeExited,
    CallingSelf,
    CallTimeout,
    CircuitOpen,
    Fenced,
    InvalidChildSpec,
    InvalidOption,
    MaxChildren,
    NoProcError,
    NotFound,
    Restarting,
    RestartIntensityExceeded,
    Running,
    StartFailed,
    StartTimeout,
    SupervisorError,
    TaskExited,
    TooManyZombies,
    WouldDeadlock,
)
from supervisors.events import (
    ChildAbandoned,
    ChildExited,
    ChildParked,
    ChildStarted,
    CleanupError,
    Event,
    EventsDropped,
    IntensityExceeded,
    RestartScheduled,
    ShutdownError,
    StartFailedEvent,
    SupervisorStopped,
    ZombieExited,
    subscribe,
)
from supervisors.handles import Handle, Via
from supervisors.inspection import Node, format_tree, tree, zombies
from supervisors.killing import kill
from supervisors.links import Down, ExitSignal, MonitorRef, demonitor, link, monitor, send_exit, unlink
from supervisors.listeners import Registered, Unregistered
from supervisors.partition import PartitionSupervisor, PartitionSupervisorRef, PartitionVia
from supervisors.reasons import (
    Crash,
    Exit,
    ExitReason,
    Killed,
    NoProc,
    Normal,
    Shutdown,
    TimedOut,
    Unknown,
)
from supervisors.refs import DynamicSupervisorRef, SupervisorRef
from supervisors.registry import Registry, names, whereis
from supervisors.runtime import (
    Dispatcher,
    Incarnation,
    PooledActor,
    PooledFuture,
    Zombie,
    ask_callback,
    callers,
    current,
    fence,
    managed_blocking,
    request_stop,
    sleep,
    start_actor,
    stop_requested,
    stop_self,
)
from supervisors.spec import (
    BRUTAL_KILL,
    IGNORE,
    INFINITY,
    AutoShutdown,
    ChildExit,
    ChildSpec,
    RestartType,
    Strategy,
    child_spec,
)
from supervisors.supervisor import Supervisor, backoff_reset
from supervisors.task_actor import MISSING, Failed, Ok
from supervisors.task_result import Task, poll_all, result_all
from supervisors.tasks import TaskSupervisor, TaskSupervisorRef

__all__ = [
    "BRUTAL_KILL",
    "IGNORE",
    "INFINITY",
    "MISSING",
    "AlreadyPresent",
    "AlreadyRegistered",
    "AlreadyStarted",
    "AutoShutdown",
    "Backoff",
    "CallTimeout",
    "CalleeExited",
    "CallingSelf",
    "ChildAbandoned",
    "ChildExit",
    "ChildExited",
    "ChildInfo",
    "ChildParked",
    "ChildSpec",
    "ChildStarted",
    "CircuitBreaker",
    "CircuitOpen",
    "CircuitState",
    "CleanupError",
    "Clock",
    "Counts",
    "Crash",
    "Dispatcher",
    "Down",
    "DynamicSupervisor",
    "DynamicSupervisorRef",
    "Event",
    "EventsDropped",
    "Exit",
    "ExitReason",
    "ExitSignal",
    "Failed",
    "Fenced",
    "Handle",
    "Incarnation",
    "IntensityExceeded",
    "InvalidChildSpec",
    "InvalidOption",
    "Killed",
    "MaxChildren",
    "MonitorRef",
    "NoProc",
    "NoProcError",
    "Node",
    "Normal",
    "NotFound",
    "Ok",
    "PartitionSupervisor",
    "PartitionSupervisorRef",
    "PartitionVia",
    "PooledActor",
    "PooledFuture",
    "Registered",
    "Registry",
    "RestartIntensityExceeded",
    "RestartScheduled",
    "RestartType",
    "Restarting",
    "Running",
    "Shutdown",
    "ShutdownError",
    "StartFailed",
    "StartFailedEvent",
    "StartTimeout",
    "State",
    "Strategy",
    "Supervisor",
    "SupervisorError",
    "SupervisorRef",
    "SupervisorStopped",
    "Task",
    "TaskExited",
    "TaskSupervisor",
    "TaskSupervisorRef",
    "TimedOut",
    "TooManyZombies",
    "Unknown",
    "Unregistered",
    "Via",
    "WouldDeadlock",
    "Zombie",
    "ZombieExited",
    "ask_callback",
    "backoff_reset",
    "call",
    "callers",
    "cast",
    "child_spec",
    "current",
    "demonitor",
    "fence",
    "format_tree",
    "kill",
    "link",
    "managed_blocking",
    "monitor",
    "names",
    "poll_all",
    "release_idle_threads",
    "request_shutdown",
    "request_stop",
    "result_all",
    "run",
    "send_exit",
    "sleep",
    "start_actor",
    "stop_requested",
    "stop_self",
    "subscribe",
    "system_clock",
    "tree",
    "unlink",
    "whereis",
    "zombies",
]


def release_idle_threads(timeout: float = 2.0) -> None:
    """End the package's threads that have no work left, and wait up to `timeout` seconds for that.

    They end by themselves a second later; this is for tests and for programs that count threads.
    """
    from supervisors import runtime
    from supervisors.events import bus

    runtime.release_idle_threads(timeout)
    bus.release(timeout)
