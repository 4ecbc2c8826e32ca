"""RecordSource: records as what COPY FROM STDIN sends, and the columns of the table that they are for."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from psqlpy import exceptions
from psqlpy._async.copy_sources import Part, Source
from psqlpy._codecs.copy_binary import NoBinary
from psqlpy._codecs.copy_records import RecordPlan
from psqlpy._io.primitives import monotonic
from psqlpy._io.streams import AsyncItems
from psqlpy._pq.records import RecordBuffer
from psqlpy._protocol.classify import StatementTraits, classify
from psqlpy._protocol.copy_text import check_columns
from psqlpy._protocol.type_lookup import TypeLookup
from psqlpy._protocol.unprepared import Unprepared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psqlpy._async.connection import Connection

# What is sent at once, and for how long records are encoded without giving way. Bytes, seconds.
_PART = 1 << 18
_SLICE = 0.003
_MAX_PORTION = 256
_INFINITE_INTERVALS_SINCE = 170000

# The columns of a table that COPY writes and reads, in their order; a domain is what it is made of.
_COLUMNS = """
SELECT a.attname::text, b.oid, b.typtype::text
FROM pg_catalog.pg_attribute a CROSS JOIN LATERAL (
    WITH RECURSIVE base(oid, typbasetype, typtype) AS (
        SELECT t.oid, t.typbasetype, t.typtype FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid
        UNION ALL
        SELECT t.oid, t.typbasetype, t.typtype FROM base JOIN pg_catalog.pg_type t ON t.oid = base.typbasetype
        WHERE base.typtype = 'd'
    ) SELECT oid, typtype FROM base WHERE typtype <> 'd') b
WHERE a.attrelid = $1::text::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attnum
"""


@cache  # not at import, which it would make longer
def _traits() -> StatementTraits:
    return classify(_COLUMNS)


class RecordSource(Source):
    """An iterable of records, the first of which have been taken already."""

    def __init__(self, plan: RecordPlan, items: AsyncItems, first: list[Any]) -> None:
        self.plan = plan
        self.waits = items.waits
        self._items = items
        self._next = first
        self._number = 1
        self._portion = 64
        self._ended = False
        self._buffer = RecordBuffer()

    def skip(self) -> None:
        """Send nothing: the statement will be refused."""
        self._next, self._ended = [], True

    def prepare(self) -> None:
        """Encode the first record, which may show that it can't be sent in binary. Raises NoBinary."""
        self.plan.encode(self._next, 1, self._buffer)
        self._buffer.clear()

    async def take(self, deadline: float | None) -> Part | None:
        buffer = self._buffer
        buffer.clear()
        if self._ended:
            return None
        if self._number == 1:
            buffer.append(self.plan.head)
        first = self._number
        until = monotonic() + _SLICE
        while len(buffer) < _PART:
            began = monotonic()
            records, self._next = self._next or await self._items.take(self._portion, until, deadline), []
            if not records:
                self._ended = True
                buffer.append(self.plan.tail)
                break
            self._encode(records)
            self._number += len(records)
            now = monotonic()
            if now >= until or (self.waits and first == 1):
                # The first record goes at once: if it is refused, nobody need wait for the second.
                break
            # So many that half the time is enough for them.
            quick = (now - began) * 2 < _SLICE / 2
            self._portion = min(_MAX_PORTION, self._portion * 2) if quick else max(1, self._portion // 2)
        return buffer.data(), self._number - first

    def _encode(self, records: list[Any]) -> None:
        try:
            self.plan.encode(records, self._number, self._buffer)
        except NoBinary as error:
            raise exceptions.ParameterValueError(
                f"records from {self._number} on: psqlpy can't write this str as {error} in binary; "
                "give a value of another type, or begin with this record, so that all go as text"
            ) from None


async def find_records(
    connection: Connection,
    family: type[exceptions.Error],
    items: AsyncItems,
    first: list[Any],
    target: str,
    columns: Sequence[str] | None,
    deadline: float | None,
) -> RecordSource:
    """Records, the first of which have been taken already, and how they are written; `target` is quoted."""
    if columns is None and first and hasattr(first[0], "keys") and not isinstance(first[0], tuple):
        columns = check_columns(first[0].keys())
    known = await columns_of(connection, family, target, deadline)
    names = [row[0] for row in known] if columns is None else columns
    types = {name: (oid, kind) for name, oid, kind in known}
    # One that the table doesn't have is the server's to complain about.
    strange = not all(name in types for name in names)
    described = [types.get(name, (0, "b")) for name in names]
    registry = connection.link.session.registry
    if unknown := registry.unknown(oid for oid, _ in described):
        await connection.link.run(TypeLookup(unknown), deadline)
    infinite = connection.server_version >= _INFINITE_INTERVALS_SINCE
    plan = RecordPlan(names, described, registry, text=strange, infinite_intervals=infinite)
    source = RecordSource(plan, items, first)
    if strange:
        source.skip()
    try:
        source.prepare()
    except NoBinary:
        source.plan = RecordPlan(names, described, registry, text=True)
    return source


async def columns_of(
    connection: Connection, family: type[exceptions.Error], target: str, deadline: float | None
) -> list[tuple[Any, ...]]:
    """(name, type oid, typtype) of the columns that COPY has."""
    await connection.begin_now(deadline)
    query = Unprepared(_COLUMNS, _traits(), [target], connection.descriptions, family, ())
    await connection.link.run(query, deadline)
    rows: list[tuple[Any, ...]] = query.plan.tuples(query.result)
    return rows
