"""`make kills` in small: the same system, killed three times."""

from __future__ import annotations

import random
from pathlib import Path

from alloy_actors.local import LocalServer
from tests.faults import kills


def test_a_busy_system_that_is_killed_loses_nothing_and_repeats_nothing(
    tmp_path: Path, server: LocalServer
) -> None:
    seed = random.SystemRandom().randrange(1, 1_000_000)
    print(f"seed {seed}")  # shown when it fails
    tally = kills.run(server.url, tmp_path, agents=10, kills=3, seed=seed, most=0.4)
    assert tally.accepted > 0
    assert sum(tally.endings.values()) > 0
