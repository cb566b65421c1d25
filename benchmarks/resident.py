"""Memory, measured by what imports next to nothing itself: W4 measures imports."""

import os
import sys


def resident() -> int:
    """Resident bytes of this process."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123  (pathlib would be measured too)
            pages = int(statm.read().split()[1])
    except OSError:  # not Linux: the highest so far, in KiB (bytes on macOS)
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * os.sysconf("SC_PAGESIZE")
