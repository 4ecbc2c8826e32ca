"""Processes that answer one JSON line for another, and where they run. The conductor's side of channel.py."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Any

# No single answer takes longer on any machine worth measuring on. Seconds.
PATIENCE = 90.0


class WorkerFailed(Exception):
    """It said why, ended, or said nothing for too long."""


class Process:
    """One process. Its last words, on standard error, go to `log`."""

    def __init__(self, command: list[str], directory: str, variables: dict[str, str], log: IO[bytes]) -> None:
        self._command = command
        self._process = subprocess.Popen(
            command,
            cwd=directory,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        self.pid = self._process.pid
        try:
            self.hello = self._answer()
        except BaseException:
            self.end()
            raise

    def ask(self, **question: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise WorkerFailed(f"ended with status {self._process.wait()}") from error
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        if not ready:
            raise WorkerFailed(f"said nothing for {PATIENCE:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise WorkerFailed(f"ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerFailed(answer["error"])
        return answer

    def end(self) -> None:
        """Hang up, and don't wait long."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.close()
        except OSError:
            pass  # it had ended, with a question on the way
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def keep_apart(workers: Iterable[int], backends: Iterable[int]) -> bool:
    """Give the workers one processor and the backends the others; False where that can't be done.

    Otherwise the kernel puts a client and its backend on one processor now and then, for some seconds, which halves the
    time of whichever driver has its turn.
    """
    if sys.platform != "linux":
        return False
    first, *others = sorted(os.sched_getaffinity(0))
    if not others:
        return False
    try:
        for pid in backends:
            if "postgres" not in Path(f"/proc/{pid}/comm").read_text(encoding="utf-8"):
                return False
            os.sched_setaffinity(pid, others)
        for pid in workers:
            # All its threads: one that isn't there yet inherits.
            for thread in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(thread), [first])
    except OSError:
        return False
    return True
