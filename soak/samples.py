"""The figures of a soak over time: one sample of all runtimes every few seconds."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from soak.process import descriptors, resident
from soak.watch import Watch


class Sample(NamedTuple):
    """Latencies are those of calls that succeeded, in seconds; the pool's are the numbers of `status()`."""

    at: float
    succeeded: float
    failed: float
    p50: float
    p99: float
    size: int
    used: int
    waiting: int


class Process(NamedTuple):
    at: float
    resident: int
    descriptors: int


class Recorder:
    """`take` is to be called again and again."""

    def __init__(self, sources: dict[str, tuple[Watch, Any]]) -> None:
        """Of each runtime its watch and its pool."""
        self._sources = sources
        self.begun = self._last = time.monotonic()
        self.samples: dict[str, list[Sample]] = {name: [] for name in sources}
        self.process: list[Process] = []

    def take(self) -> None:
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        for name, (watch, pool) in self._sources.items():
            taken, failed = watch.take()
            taken.sort()
            status = pool.status()
            self.samples[name].append(
                Sample(
                    now - self.begun,
                    len(taken) / seconds,
                    failed / seconds,
                    percentile(taken, 0.5),
                    percentile(taken, 0.99),
                    status.size,
                    status.size - status.available,
                    status.waiting,
                )
            )
        self.process.append(Process(now - self.begun, resident(), descriptors()))


def percentile(ordered: list[float], share: float) -> float:
    """0 of nothing."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
