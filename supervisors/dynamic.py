"""The dynamic supervisor: any number of children, started on demand, each restarted on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from supervisors.base import BaseSupervisor
from supervisors.operations import DynamicCore
from supervisors.options import SHARED_FLAGS, Options
from supervisors.refs import DynamicSupervisorRef

if TYPE_CHECKING:
    from collections.abc import Hashable

    from supervisors.refs import BaseSupervisorRef


class DynamicSupervisor(BaseSupervisor[DynamicCore]):
    """Keeps children running that come and go; start, exit and termination of one cost the same however many there are.

    The flags are those of `Options`. When it is restarted itself, its children are gone.
    """

    max_children: float = Options.max_children
    extra_args: tuple[Any, ...] = Options.extra_args

    flags: ClassVar[tuple[str, ...]] = (*SHARED_FLAGS, "max_children", "extra_args")
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

    def on_start(self) -> Any:
        result = super().on_start()
        self._core.options.warn_about(self._core.options.backoff)
        self._port.post(self._port.up)
        return result
