"""What is measured: every part with its cases, its goals, and what is unfair about it. `make bench ONLY=<name>`.

A case is one work (work.py) done by some drivers in turns. Its numbers are chosen so that all parts together take less
than ten minutes.
"""

from __future__ import annotations

from benchmarks.parts.case import Case, Part
from benchmarks.parts.data import BULK, COPY, MANY, MEMORY, QUERIES
from benchmarks.parts.extremes import NETWORK, STARTUP, WAITING
from benchmarks.parts.requests import ACQUIRE, NEIGHBOUR, POOL, ROUNDTRIP, TRANSACTION

__all__ = ["PARTS", "Case", "Part"]

PARTS = {
    part.name: part
    for part in (
        ROUNDTRIP,
        POOL,
        NEIGHBOUR,
        ACQUIRE,
        BULK,
        QUERIES,
        MANY,
        COPY,
        MEMORY,
        TRANSACTION,
        WAITING,
        STARTUP,
        NETWORK,
    )
}
