"""`python -m alloy_actors` is the `alloy` command."""

from __future__ import annotations

import sys

from alloy_actors.cli import main

if __name__ == "__main__":
    sys.exit(main())
