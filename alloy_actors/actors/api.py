"""`Agent`: the short way to an agent under the default system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alloy_actors.actors.default import default_system

if TYPE_CHECKING:
    from alloy_actors.actors.ref import AgentRef


class Agent:
    """A supervised actor that owns a conversation. There are no instances: `start` returns a handle."""

    def __init__(self, *_args: object, **_options: object) -> None:  # not __new__: mypy then sees no `start`
        """Say what to call instead."""
        message = (
            "Agent has no instances: Agent.start(provider=..., tools=[...]) starts one and returns its handle"
        )
        raise TypeError(message)

    @staticmethod
    def start(name: str | None = None, **options: Any) -> AgentRef:
        """Start an agent under the default `AgentSystem`; see `AgentSystem.spawn`.

        Args:
            name: Unique in the process's default system; made up when None.
            options: See `AgentConfig`; `provider` is required.

        Raises:
            ConfigError: An option is unknown or wrong, or the name is taken.
        """
        return default_system().spawn(name, **options)

    @staticmethod
    async def astart(name: str | None = None, **options: Any) -> AgentRef:
        """`start` for coroutines."""
        return await default_system().aspawn(name, **options)
