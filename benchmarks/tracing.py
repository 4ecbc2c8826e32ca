"""How many system calls a process makes, by strace where it is there and the kernel permits it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# How long it may take to attach. Seconds.
ATTACH = 3.0


def total_calls(table: str) -> int | None:
    """The number in the last line of `strace -c`; None if that isn't its table."""
    lines = table.splitlines()
    if not lines or "calls" not in lines[0] or lines[-1].split()[-1:] != ["total"]:
        return None
    # By its place: the columns are adjusted to the right, and may be empty on its left and right.
    end = lines[0].index("calls") + len("calls")
    number = lines[-1][:end].split()[-1]
    return int(number) if number.isdigit() else None


def count_calls(pid: int, turn: Callable[[], object]) -> int | None:
    """Run `turn` while the process and all its threads are traced; None, without running it, where that can't be."""
    if shutil.which("strace") is None:
        return None
    with tempfile.TemporaryDirectory(prefix="psqlpy-bench-") as directory:
        output = Path(directory, "calls")
        command = ["strace", "-f", "-c", "-o", str(output), "-p", str(pid)]
        tracer = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            if not _attached(pid, tracer):
                return None
            turn()
        finally:
            if tracer.poll() is None:
                tracer.send_signal(signal.SIGINT)
            tracer.wait()
        return total_calls(output.read_text(encoding="utf-8", errors="replace"))


def _attached(pid: int, tracer: subprocess.Popen[bytes]) -> bool:
    """Whether every thread has a tracer."""
    end = time.monotonic() + ATTACH
    while time.monotonic() < end and tracer.poll() is None:
        try:
            threads = [Path(f"/proc/{pid}/task/{name}/status") for name in os.listdir(f"/proc/{pid}/task")]
            if all("TracerPid:\t0\n" not in thread.read_text(encoding="utf-8") for thread in threads):
                return True
        except OSError:
            return False
        time.sleep(0.01)
    return False
