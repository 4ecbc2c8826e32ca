"""What this process has: memory, descriptors, objects, threads."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
from typing import NamedTuple

_PAGE = os.sysconf("SC_PAGE_SIZE")


class _Mallinfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks")
    ] + [(name, ctypes.c_size_t) for name in ("fordblks", "keepcost")]


class Footprint(NamedTuple):
    """`heap` is what C has of malloc, in bytes, `blocks` what Python's allocator has given out."""

    rss: int
    heap: int
    objects: int
    blocks: int
    descriptors: int
    threads: int


def resident() -> int:
    """Resident memory in bytes; 0 where /proc doesn't say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * _PAGE
    except OSError:
        return 0


def descriptors() -> int:
    """How many descriptors are open."""
    directory = "/proc/self/fd" if os.path.exists("/proc/self/fd") else "/dev/fd"
    return len(os.listdir(directory)) - 1


def opened() -> dict[int, str]:
    """Descriptors and what they are; empty where /proc doesn't say."""
    found: dict[int, str] = {}
    for name in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd") else []:
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass  # listdir's own
    return found


def footprint() -> Footprint:
    """After a full collection."""
    for _ in range(3):
        gc.collect()
    return Footprint(
        resident(),
        _heap(),
        len(gc.get_objects()),
        sys.getallocatedblocks(),
        descriptors(),
        threading.active_count(),
    )


def _heap() -> int:
    """glibc's figure, of its main arena: MALLOC_ARENA_MAX=1 leaves no other. 0 where there is none."""
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError):
        return 0
    mallinfo.restype = _Mallinfo
    info = mallinfo()
    return int(info.uordblks + info.hblkhd)
