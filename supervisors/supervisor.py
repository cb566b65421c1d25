"""The static supervisor: a list of children, started in order, restarted by the rules, stopped in reverse order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from supervisors.base import BaseSupervisor
from supervisors.errors import InvalidChildSpec, InvalidOption
from supervisors.operations import StaticCore
from supervisors.refs import SupervisorRef
from supervisors.runtime import current
from supervisors.spec import IGNORE, ChildSpec, Ignore, child_spec

if TYPE_CHECKING:
    from collections.abc import Hashable

    from supervisors.refs import BaseSupervisorRef

Children = Iterable[object]


class Supervisor(BaseSupervisor[StaticCore]):
    """Keeps a list of children running.

    Give the children to `start()`, or subclass, set the flags as class attributes and override `children()`.
    The flags are those of `Options`.
    """

    ref_class: ClassVar[type[BaseSupervisorRef[Any]]] = SupervisorRef
    core_class: ClassVar[type[Any]] = StaticCore

    def __init__(self, children: Children | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._given = None if children is None else self._check(children)

    @classmethod
    def start(cls, *args: Any, name: Hashable | None = None, **kwargs: Any) -> SupervisorRef:
        """Start a tree; returns when all its children are up.

        Args:
            args: As for the class: `children`, a list of ChildSpec, actor classes or tuples.
            name: Registered in `names`.
            kwargs: Flags (see `Options`); `clock` and `random` for tests.

        Returns:
            The ref; None when `children()` answered IGNORE.

        Raises:
            StartFailed: A child did not come up; those before it were stopped.
            InvalidOption, InvalidChildSpec, TypeError: Before anything starts.
            AlreadyStarted: The name is taken.
        """
        return cast("SupervisorRef", super().start(*args, name=name, **kwargs))

    @classmethod
    def ref(cls, name: Hashable) -> SupervisorRef:
        return cast("SupervisorRef", super().ref(name))

    def children(self) -> Children | Ignore:
        """Say which children to start; override it in a subclass. Called in the supervisor's thread; do not block."""
        return ()

    def on_start(self) -> Any:
        if self._given is None:
            answer = self.children()
            if answer is IGNORE:
                return IGNORE
            specs = self._check(answer)
        else:
            specs, self._given = self._given, None
        result = super().on_start()
        options = self._core.options
        for spec in specs:
            options.warn_about(spec.backoff or options.backoff, id=spec.id)
        self._port.post(self._core.start_initial, specs)
        return result

    def _check(self, children: object) -> list[ChildSpec]:
        """Check all specs before anything starts."""
        if isinstance(children, str) or not isinstance(children, Iterable):
            raise InvalidOption("children", children, "must be a list of child specs, or IGNORE")
        specs = [child_spec(what) for what in children]
        seen = set()
        for spec in specs:
            self._core.check(spec)
            if spec.id in seen:
                raise InvalidChildSpec("id", spec.id, "is used twice")
            seen.add(spec.id)
        return specs


def backoff_reset() -> None:
    """Say, inside a child, that it is well: its next restart is delayed as if it were the first."""
    me = current()
    if me is not None and me.supervisor is not None:
        core = cast("SupervisorRef", me.supervisor).core
        core.port.post(core.reset_backoff, me.id, me.ref)
