"""Many rows of parameters, packed by C a few hundred at once, as records for COPY are (copy_columns.py).

A column whose values C doesn't take is packed by its codec; what fails goes row by row, which is what finds out which
value doesn't fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from psqlpy._codecs.codec import NULL
from psqlpy._codecs.copy_columns import packed, streams_of
from psqlpy._pq.records import Column, RecordBuffer
from psqlpy.exceptions import ParameterTypeError, ParameterValueError

if TYPE_CHECKING:
    from psqlpy._codecs.plan import ParameterPlan

# Rows that are packed together: at first, at most, and as many as make about so many bytes. With its messages' heads
# that is still less than the 64 kB from which on libpq asks the socket again for every row, full as it may be.
_FIRST = 8
_MOST = 512
_SIZE = 1 << 15
# Slowly, since the server begins when the third is encoded (batch.py).
_GROWTH = 4
# With fewer of them taking columns apart costs more than it saves.
_WORTH_COLUMNS = 6


def encode_rows(plan: ParameterPlan, rows: Iterable[Sequence[Any]]) -> Iterator[tuple[int, bytes]]:
    """Yield the number of rows and their packed parameters, in portions of about 32 kB.

    Raises what `plan.encode` does; the message also names the row, counted from 1.
    """
    buffer = RecordBuffer()
    rest = iter(rows)
    number = 1
    length = _FIRST
    while group := list(islice(rest, length)):
        if len(group) < _WORTH_COLUMNS or not _add_columns(plan, group, buffer):
            for at, row in enumerate(group, number):
                buffer.append(_encode(plan, row, at))
        number += len(group)
        length = max(1, min(_MOST, _GROWTH * length, _SIZE * len(group) // (len(buffer) + 1)))
        yield len(group), bytes(buffer.data())
        buffer.clear()


def _encode(plan: ParameterPlan, row: Sequence[Any], number: int) -> bytes:
    try:
        return plan.encode(row)
    except (ParameterTypeError, ParameterValueError) as error:
        raise type(error)(f"row {number}: {error}") from None


def _add_columns(plan: ParameterPlan, rows: list[Any], buffer: RecordBuffer) -> bool:
    """Add all rows or none; False if they have to be looked at one by one."""
    if not all(issubclass(cls, (tuple, list)) for cls in set(map(type, rows))):
        return False
    try:
        values = list(zip(*rows, strict=True))
        columns = plan.columns
        streams = [
            streams_of(kind, pack, column, NULL) for (kind, pack), column in zip(columns, values, strict=True)
        ]
        while (unfit := buffer.add(len(rows), streams, as_parameters=True)) is not None:
            if streams[unfit][0] == Column.RAW:
                return False
            streams[unfit] = packed(columns[unfit][1], values[unfit], NULL)
    except Exception:
        # The ways for columns know the usual values only; why one has failed doesn't matter.
        return False
    return True
