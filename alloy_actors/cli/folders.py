"""Where the command keeps its own files."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder() -> Path:
    """The folder, which may not be there yet; the XDG base directories decide."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "alloy-actors"
