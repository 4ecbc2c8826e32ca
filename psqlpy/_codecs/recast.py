"""Records of rows that are decoded: the tuples themselves, which become Records where they are, or new ones."""

from __future__ import annotations

import sys
from typing import Any, cast

from psqlpy._pq.result import recast
from psqlpy._record import Record, record_type

# A Record is laid out as a tuple is. Elsewhere than in CPython an object's id needn't be its address.
IN_PLACE = (
    sys.implementation.name == "cpython"
    and (Record.__basicsize__, Record.__itemsize__) == (tuple.__basicsize__, tuple.__itemsize__)
    and Record.__dictoffset__ == Record.__weakrefoffset__ == 0
)

Rows = list[tuple[Any, ...]]
# Not a list: the garbage collector forgets a tuple of what it has forgotten, and looks at each list again and again.
Chunk = tuple[tuple[Any, ...], ...]


def records_of(rows: Rows, names: tuple[str, ...], is_atomic: bool) -> list[Record]:
    """Make Records of tuples that the caller drops: if nobody else has any of them, they are not copied.

    is_atomic: nothing in the rows can refer to them, so that they needn't be looked at by the garbage collector.
    """
    row_type = record_type(names)
    if IN_PLACE and recast(rows, row_type, is_atomic):
        return cast("list[Record]", rows)
    return list(map(row_type, rows))


def chunk_of_records(chunk: Chunk, names: tuple[str, ...]) -> Chunk:
    """The same of a chunk that is forgotten."""
    row_type = record_type(names)
    if IN_PLACE and recast(chunk, row_type, is_atomic=False):
        return chunk
    return tuple(map(row_type, chunk))


def forgotten(rows: Rows) -> Chunk:
    """Make a chunk of atomic rows, at which the garbage collector needn't look."""
    chunk = tuple(rows)
    rows.clear()
    if IN_PLACE:
        recast(chunk, tuple, is_atomic=True)
    return chunk
