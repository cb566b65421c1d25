"""Code that will not be cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alloy_actors.testing import Gate


async def wait_stubbornly(gate: Gate) -> None:
    """Return when the gate is open, whoever cancels this meanwhile."""
    while True:
        try:
            await gate.wait()
        except asyncio.CancelledError:
            continue
        return
