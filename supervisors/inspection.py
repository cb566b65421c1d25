"""Look at a tree of supervisors: values for programs, text for people.

Everything is read from the supervisors' snapshots, so it works while they start, stop or hang.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from supervisors import roots, runtime
from supervisors.base import label
from supervisors.children import ChildInfo, Record, State
from supervisors.operations import DynamicCore
from supervisors.reasons import Crash, ExitReason
from supervisors.refs import BaseSupervisorRef
from supervisors.runtime import incarnation_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    import pykka

    from supervisors.runtime import Incarnation, Zombie
    from supervisors.spec import ChildType

SHOWN_CHILDREN = 20  # of one dynamic supervisor, in the text form


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One child, and what is below it.

    zombies: Threads of its ended incarnations that still run; of a supervisor: those of its children.
    held_by_zombie: Its next start waits for such a thread to end.
    """

    id: Hashable
    path: tuple[str, ...]
    state: State
    ref: pykka.ActorRef[Any] | None
    type: ChildType
    generation: int
    restarts: int
    last_exit: ExitReason | None
    flags: str  # of a supervisor: "one_for_one 0/3", "dynamic 41/1000"; else empty
    zombies: int
    held_by_zombie: bool
    children: tuple[Node, ...]


def tree(root: BaseSupervisorRef[Any] | None = None) -> Node:
    """Describe a supervisor and everything below it; without `root` all roots of the process, under one node."""
    if root is not None:
        return _supervisor_node(root, None)
    nodes = tuple(_supervisor_node(ref, None) for ref in roots.all_roots())
    return Node(
        id="all",
        path=(),
        state=State.RUNNING,
        ref=None,
        type="supervisor",
        generation=0,
        restarts=0,
        last_exit=None,
        flags="",
        zombies=sum(node.zombies for node in nodes),
        held_by_zombie=False,
        children=nodes,
    )


def _supervisor_node(ref: BaseSupervisorRef[Any], info: ChildInfo | None) -> Node:
    core = ref.core
    with core.table.lock:
        pairs = [(record, core.table.info(record)) for record in core.table.records()]
        stuck = Counter(core.table.zombies.values())
    children = tuple(_child_node(core.path, record, child, stuck[record]) for record, child in pairs)
    return Node(
        id=core.path[-1] if info is None and core.path else info.id if info is not None else "",
        path=core.path,
        state=_root_state(ref) if info is None else info.state,
        ref=ref,
        type="supervisor",
        generation=0 if info is None else info.generation,
        restarts=0 if info is None else info.restarts,
        last_exit=None if info is None else info.last_exit,
        flags=_flags(ref, len(pairs)),
        zombies=stuck.total(),
        held_by_zombie=info is not None and info.held_by_zombie,
        children=children,
    )


def _root_state(ref: BaseSupervisorRef[Any]) -> State:
    run = incarnation_of(ref)
    if run is None or not run.is_current():
        return State.STOPPED
    if run.state == "starting":
        return State.STARTING
    return State.STOPPING if ref.core.stopping else State.RUNNING


def _child_node(path: tuple[str, ...], record: Record, info: ChildInfo, stuck: int) -> Node:
    run = record.run
    ref = info.ref if run is None else run.ref
    if isinstance(ref, BaseSupervisorRef) and ref.core.path:
        return _supervisor_node(ref, info)
    return Node(
        id=record.id,
        path=(*path, label(record.id)),
        state=info.state,
        ref=ref,
        type=info.type,
        generation=info.generation,
        restarts=info.restarts,
        last_exit=info.last_exit,
        flags="",
        zombies=stuck,
        held_by_zombie=info.held_by_zombie,
        children=(),
    )


def _flags(ref: BaseSupervisorRef[Any], children: int) -> str:
    core = ref.core
    if isinstance(core, DynamicCore):
        limit = core.options.max_children
        return f"dynamic {children}/{limit}" if limit != float("inf") else f"dynamic {children}"
    return f"{core.options.strategy} {len(core.window)}/{core.options.max_restarts}"


def format_tree(root: BaseSupervisorRef[Any] | None = None, *, stacks: bool = False) -> str:
    """Draw the tree, one line a child; `stacks` adds where the threads of zombies were."""
    node = tree(root)
    tops = node.children if root is None else (node,)
    lines = [line for top in tops for line in _lines(top, "", "")]
    if stacks:
        for zombie in zombies(root):
            lines += ["", f"zombie {'/'.join(zombie.path)} on {zombie.thread_name}:", zombie.stack.rstrip()]
    return "\n".join(lines)


def _lines(node: Node, first: str, rest: str) -> Iterator[str]:
    yield first + _describe(node)
    shown = node.children
    if node.flags.startswith("dynamic"):
        shown = shown[:SHOWN_CHILDREN]
    for child in shown:
        yield from _lines(child, rest + "+- ", rest + "|  ")
    if len(shown) < len(node.children):
        yield f"{rest}+- ... {len(node.children) - len(shown)} more"


def _describe(node: Node) -> str:
    zombies_text = f"{node.zombies} zombie{'s' if node.zombies > 1 else ''}" if node.zombies else ""
    text = label(node.id)
    if node.flags:
        text += f" [{node.flags}{', ' if zombies_text else ''}{zombies_text}]"
    if not node.flags or node.state is not State.RUNNING:
        text += f"  {node.state}"
    if node.generation > 0:
        text += f" gen {node.generation}"
    facts = []
    if node.held_by_zombie:
        facts.append("held by zombie")
    if zombies_text and not node.flags:
        facts.append(zombies_text)
    if node.restarts:
        facts.append(f"{node.restarts} restart{'s' if node.restarts > 1 else ''}")
    if node.last_exit is not None:
        facts.append(f"last {_short(node.last_exit)}")
    return f"{text} ({', '.join(facts)})" if facts else text


def _short(reason: ExitReason) -> str:
    return f"Crash({type(reason.exception).__name__})" if isinstance(reason, Crash) else repr(reason)


def zombies(root: BaseSupervisorRef[Any] | None = None) -> list[Zombie]:
    """List the threads of abandoned incarnations that still run, of the whole process or below `root`."""
    return [zombie for zombie in runtime.zombies() if root is None or _is_below(zombie.incarnation, root)]


def _is_below(run: Incarnation | None, root: BaseSupervisorRef[Any]) -> bool:
    while run is not None and run.supervisor is not None:
        if run.supervisor is root:
            return True
        run = incarnation_of(run.supervisor)
    return False
