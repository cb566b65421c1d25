"""A process that brings a scene to its point and waits to be killed: `python -m tests.faults.child FOLDER URL POINT`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.faults.scene import Scene


def main() -> None:
    folder, url, point = sys.argv[1:]
    scene = Scene(Path(folder), url, point, {})
    scene.begin()
    scene.reach()
    print("READY", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
