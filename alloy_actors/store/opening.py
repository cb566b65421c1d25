"""From what a user writes for `store=` to a store."""

from __future__ import annotations

from alloy_actors.errors import ConfigError
from alloy_actors.journal import Store
from alloy_actors.store.memory import MemoryStore

MEMBERS = tuple(name for name in (*Store.__annotations__, *vars(Store)) if not name.startswith("_"))


def open_store(store: str | Store, *, takeover: bool) -> Store:
    """Open the store that a string names; an object is used as it is.

    Args:
        store: "memory:", "sqlite:///path", or an object with the members of `Store`.
        takeover: See `SqliteStore`.

    Raises:
        ConfigError: It is none of these, or cannot be opened there.
        FencedError: Another process has it open.
    """
    if isinstance(store, str) and store.startswith("sqlite:"):
        from alloy_actors.store.sqlite import SqliteStore

        return SqliteStore.from_url(store, takeover=takeover)
    if takeover:
        message = "AgentSystem: takeover=True is for a store on disk that this system opens, such as store='sqlite:///agents.db'"
        raise ConfigError(message)
    if store == "memory:":
        return MemoryStore()
    if isinstance(store, str):
        message = (
            f"AgentSystem: store={store!r} is not known; use 'memory:', 'sqlite:///agents.db' "
            "or an object with the methods of Store"
        )
        raise ConfigError(message)
    missing = [name for name in MEMBERS if not hasattr(store, name)]
    if missing:
        message = f"AgentSystem: store={store!r} is no store: it lacks {', '.join(missing)}"
        raise ConfigError(message)
    return store
