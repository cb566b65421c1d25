"""The dynamic supervisor: any number of children, started on demand, each restarted on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from supervisors.base import BaseSupervisor
from supervisors.operations import DynamicCore
from supervisors.refs import DynamicSupervisorRef
from supervisors.spec import INFINITY, AutoShutdown, ChildSpec, Strategy

if TYPE_CHECKING:
    from collections.abc import Hashable

    from supervisors.backoff import Backoff
    from supervisors.refs import BaseSupervisorRef
    from supervisors.spec import OnExceeded


class DynamicSupervisor(BaseSupervisor[DynamicCore]):
    """Keeps children running that come and go; start, exit and termination of one cost the same however many there are.

    The flags are those of `Options`. When it is restarted itself, its children are gone.
    """

    strategy: Strategy | str = Strategy.ONE_FOR_ONE
    max_children: float = INFINITY
    extra_args: tuple[Any, ...] = ()
    max_restarts: int = 3
    max_seconds: float = 5.0
    auto_shutdown: AutoShutdown | str = AutoShutdown.NEVER
    on_exceeded: OnExceeded = "escalate"
    park_time: float = 60.0
    max_zombies: int = 8
    backoff: Backoff | None = None

    flags: ClassVar[tuple[str, ...]] = (
        "strategy",
        "max_children",
        "extra_args",
        "max_restarts",
        "max_seconds",
        "auto_shutdown",
        "on_exceeded",
        "park_time",
        "max_zombies",
        "backoff",
    )
    ref_class: ClassVar[type[BaseSupervisorRef[Any]]] = DynamicSupervisorRef
    core_class: ClassVar[type[Any]] = DynamicCore

    @classmethod
    def start(cls, *args: Any, name: Hashable | None = None, **kwargs: Any) -> DynamicSupervisorRef:
        """Start a dynamic supervisor without children.

        Args:
            args: None, unless a subclass takes some.
            name: Registered in `names`.
            kwargs: Flags (see `Options`); `clock` and `random` for tests.

        Raises:
            InvalidOption, TypeError: Before anything starts.
            AlreadyStarted: The name is taken.
        """
        return cast("DynamicSupervisorRef", super().start(*args, name=name, **kwargs))

    @classmethod
    def ref(cls, name: Hashable) -> DynamicSupervisorRef:
        return cast("DynamicSupervisorRef", super().ref(name))

    @classmethod
    def child_spec(cls, *args: Any, name: Hashable | None = None, **kwargs: Any) -> ChildSpec:
        """Make the spec of a dynamic supervisor below another supervisor; its id is its name, else its class."""
        return ChildSpec(id=cls if name is None else name, start=cls, args=args, kwargs=kwargs, name=name)

    def on_start(self) -> Any:
        result = super().on_start()
        self._core.options.warn_about(self._core.options.backoff)
        self._port.post(self._port.up)
        return result
