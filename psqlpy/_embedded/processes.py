"""Killing what doesn't end by itself, without leaving what such a process had no time to remove."""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys

from psqlpy._embedded.accounts import Account, run_as

_IPC_RMID = 0  # sys/ipc.h
_MAPPING = re.compile(rb" (\d+) +/(?:SYSV[0-9a-f]{8}|(dev/shm/PostgreSQL\.\d+))\b")


def kill_family(pid: int, account: Account | None) -> None:
    """Kill a process of PostgreSQL with all its descendants (a backend is a session of its own).

    Its shared memory goes too, where the system tells what that is (Linux): nobody else would remove it.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)  # no more children from here on
    family = _family_of(pid)
    segments, files = _shared_memory_of(family)
    for member in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)
    if segments or files:
        run_as(account, lambda: _remove(segments, files))


def _family_of(pid: int) -> list[int]:
    rows = []
    if sys.platform == "linux":  # where ps may be missing
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                rows.append((int(name), int(file.read().rpartition(b")")[2].split()[1])))
    else:
        table = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, check=False).stdout
        rows = [(int(line.split()[0]), int(line.split()[1])) for line in table.splitlines()]
    family = [pid]
    for member in family:
        family += [child for child, parent in rows if parent == member]
    return family


def _shared_memory_of(pids: list[int]) -> tuple[set[int], set[str]]:
    """Return the System V segments and the files of POSIX shared memory that these processes have mapped."""
    segments, files = set(), set()
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/maps", "rb") as file:
            for segment, name in _MAPPING.findall(file.read()):
                if name:
                    files.add("/" + os.fsdecode(name))
                else:
                    segments.add(int(segment))  # in the place of the inode's number
    return segments, files


def _remove(segments: set[int], files: set[str]) -> None:
    for segment in segments:
        ctypes.CDLL(None).shmctl(segment, _IPC_RMID, None)
    for name in files:
        with contextlib.suppress(OSError):
            os.unlink(name)
