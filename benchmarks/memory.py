"""How much memory this process has, and how much it had at most. Bytes."""

from __future__ import annotations

import resource
import sys


def _status(field: str) -> int | None:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith(field):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def peak() -> int:
    """Not getrusage's where there is another: on Linux it begins with what the parent had before exec."""
    status = _status("VmHWM:")
    if status is not None:
        return status
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def now() -> int:
    """Where the system doesn't say, the most there ever was, which in a process that only grows is the same."""
    status = _status("VmRSS:")
    return peak() if status is None else status
