"""`python -m alloy_actors.store`: see `command`."""

from __future__ import annotations

from alloy_actors.store.command import main

if __name__ == "__main__":
    raise SystemExit(main())
