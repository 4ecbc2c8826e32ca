"""Columns of records, or of rows of parameters, as what C writes rows of: marshal streams of plain values.

marshal takes exactly bool, int, float, str, bytes and None; everything else it refuses, or C does when it comes to it.
Types that it doesn't know are taken apart here, a whole column at a time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timezone
from decimal import Decimal
from itertools import repeat
from marshal import dumps
from operator import attrgetter, itemgetter, sub
from typing import Any

from psqlpy._codecs.copy_binary import NULL
from psqlpy._pq.records import Column, Streams

# Without references, and with one way to write a str: what records.c reads.
MARSHAL_VERSION = 2

_EPOCH, _EPOCH_UTC = datetime(2000, 1, 1), datetime(2000, 1, 1, tzinfo=timezone.utc)
_days, _seconds, _microseconds = map(attrgetter, ("days", "seconds", "microseconds"))
_hour, _minute, _second, _microsecond = map(attrgetter, ("hour", "minute", "second", "microsecond"))
_zone, _int = attrgetter("tzinfo"), attrgetter("int")

Values = Any  # a sequence that marshal takes, if it takes what is in it
_NONE = type(None)


def by_columns(records: list[Any], names: Sequence[str]) -> Sequence[Values] | None:
    """The values of each column; None if the records aren't all sequences, or all dicts, of the right width."""
    types = set(map(type, records))
    if types == {dict}:
        if set(map(len, records)) != {len(names)}:
            return None
        return [list(map(itemgetter(name), records)) for name in names]
    if not all(issubclass(cls, (tuple, list)) for cls in types):
        return None
    columns = list(zip(*records, strict=True))
    return columns if len(columns) == len(names) else None


def streams_of(kind: int | None, pack: Callable[[Any], bytes], values: Values, null: bytes = NULL) -> Streams:
    """A column as C takes it: `kind` is its codec's."""
    if kind is None:
        return packed(pack, values, null)
    try:
        mapped = _MAPPED.get(kind)
        if mapped is not None:
            return mapped(kind, values)
        return kind, (dumps(values, MARSHAL_VERSION),), None
    except Exception:
        # Other values than the usual ones.
        return packed(pack, values, null)


def packed(pack: Callable[[Any], bytes], values: Values, null: bytes = NULL) -> Streams:
    """A column whose values were packed one by one. Raises what `pack` does."""
    items = [null if value is None else pack(value) for value in values]
    return Column.RAW, (dumps(items, MARSHAL_VERSION),), None


def _of_types(values: Values, allowed: frozenset[type]) -> tuple[Values, bytes | None]:
    """The values that aren't None, and where they are. Raises TypeError if one is of another type, a subclass too."""
    types = set(map(type, values))
    if not types <= allowed:
        raise TypeError
    if _NONE not in types:
        return values, None
    return [value for value in values if value is not None], bytes([value is not None for value in values])


def _bytes(kind: int, values: Values) -> Streams:
    # marshal makes bytes of whatever has a buffer.
    _of_types(values, frozenset({bytes, _NONE}))
    return kind, (dumps(values, MARSHAL_VERSION),), None


def _dates(kind: int, values: Values) -> Streams:
    values, present = _of_types(values, frozenset({date, datetime, _NONE}))
    return kind, (dumps(list(map(date.toordinal, values)), MARSHAL_VERSION),), present


def _times(kind: int, values: Values) -> Streams:
    values, present = _of_types(values, frozenset({time, _NONE}))
    if not set(map(_zone, values)) <= {None}:
        raise ValueError
    parts = (_hour, _minute, _second, _microsecond)
    return kind, [dumps(list(map(part, values)), MARSHAL_VERSION) for part in parts], present


def _timestamps(kind: int, values: Values) -> Streams:
    values, present = _of_types(values, frozenset({datetime, _NONE}))
    epoch = _EPOCH_UTC if values and values[0].tzinfo is not None else _EPOCH
    # Of both kinds in one column it raises.
    deltas = list(map(sub, values, repeat(epoch)))
    return (
        kind,
        [dumps(list(map(part, deltas)), MARSHAL_VERSION) for part in (_days, _seconds, _microseconds)],
        present,
    )


def _numerics(kind: int, values: Values) -> Streams:
    types = set(map(type, values))
    if Decimal not in types:
        return kind, (dumps(values, MARSHAL_VERSION),), None
    values, present = _of_types(values, frozenset({Decimal, int, _NONE}))
    return kind, (dumps(list(map(str, values)), MARSHAL_VERSION),), present


def _uuids(kind: int, values: Values) -> Streams:
    # Who has such objects has imported it.
    module = sys.modules.get("uuid")
    if module is None or module.UUID not in set(map(type, values)):
        return kind, (dumps(values, MARSHAL_VERSION),), None
    values, present = _of_types(values, frozenset({module.UUID, _NONE}))
    return Column.UUID_INT, (dumps(list(map(_int, values)), MARSHAL_VERSION),), present


_MAPPED: dict[int, Callable[[int, Values], Streams]] = {
    Column.BYTES: _bytes,
    Column.DATE: _dates,
    Column.TIME: _times,
    Column.TIMESTAMP: _timestamps,
    Column.NUMERIC: _numerics,
    Column.UUID: _uuids,
}
