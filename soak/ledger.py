"""What each writer was told of what it wrote, one byte an entry, and whether the table agrees in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

# What was told of an entry.
UNDER_WAY, STORED, DENIED, UNKNOWN = range(4)
NAMES = ("under way", "stored", "denied", "unknown")
# Entries of one writer; their number is writer * SPAN + how many it had made before.
SPAN = 100_000_000

TABLE = "CREATE TABLE ledger (entry int8, row int4, PRIMARY KEY (entry, row))"


class Ledger:
    """Each writer has entries of its own, so that none waits for another."""

    def __init__(self, writers: int) -> None:
        self._told = [bytearray() for _ in range(writers)]
        self._rows = [bytearray() for _ in range(writers)]

    def begin(self, writer: int, rows: int) -> int:
        """Begin an entry of so many rows, 255 at most; returns its number."""
        number = writer * SPAN + len(self._told[writer])
        self._rows[writer].append(rows)
        self._told[writer].append(UNDER_WAY)
        return number

    def end(self, entry: int, told: int) -> None:
        writer, position = divmod(entry, SPAN)
        self._told[writer][position] = told

    def look(self, entry: int) -> tuple[int, int]:
        """What was told of it, and how many rows it has."""
        writer, position = divmod(entry, SPAN)
        return self._told[writer][position], self._rows[writer][position]

    @staticmethod
    def first(writer: int) -> int:
        """Its first entry."""
        return writer * SPAN

    def count(self, writer: int) -> int:
        """How many entries it has begun."""
        return len(self._told[writer])

    def totals(self) -> Counter[str]:
        """How many there are of each kind."""
        found: Counter[str] = Counter()
        for told in self._told:
            for kind, name in enumerate(NAMES):
                found[name] += told.count(kind)
        return found

    def disagreements(self, table: Iterable[tuple[int, int]]) -> Iterator[str]:
        """What is wrong with the table, given as pairs of an entry and its rows."""
        missing = [bytearray(told) for told in self._told]
        for entry, rows in table:
            writer, position = divmod(entry, SPAN)
            if writer >= len(self._told) or position >= len(self._told[writer]):
                yield f"entry {entry} was never made"
                continue
            told, expected = self.look(entry)
            missing[writer][position] = DENIED
            if told == DENIED:
                yield f"entry {entry} is there, though its writer was told that it isn't"
            if rows != expected:
                yield f"entry {entry}, {NAMES[told]}, has {rows} rows of {expected}"
        for writer, left in enumerate(missing):
            lost = (position for position, kind in enumerate(left) if kind == STORED)
            for position in islice(lost, 100):
                yield f"entry {writer * SPAN + position} was reported as stored, and isn't there"
