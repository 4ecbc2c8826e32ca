"""RecordPlan: records as the data of COPY FROM STDIN, in binary, or in text where a column's type has no binary form.

Records are encoded by column, a few hundred at once: for the usual values of the usual types no Python code runs for
a single value. Whatever else there is goes value by value, and is what finds out which one doesn't fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta, timezone
from functools import partial
from itertools import chain, repeat
from operator import floordiv, sub
from struct import Struct
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import copy_binary, copy_text, oids
from psqlpy._codecs.codec import BINARY, TEXT, Codec, pack_text_item
from psqlpy._codecs.copy_binary import NULL, NoBinary
from psqlpy._codecs.plan import Unfit
from psqlpy._codecs.text import dump_text
from psqlpy._pq.result import Kind
from psqlpy.exceptions import ParameterTypeError, ParameterValueError

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

#: What a binary copy begins and ends with (manual, COPY, "Binary Format").
BINARY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
BINARY_TRAILER = b"\xff\xff"

_pack_length = Struct(">i").pack
_pack_width = Struct(">h").pack

# Of a column: one or two iterables that take turns, lengths and bytes.
Pieces = tuple[Iterable[bytes], ...]
PackColumn = Callable[[Sequence[Any]], Pieces]

_EPOCH, _EPOCH_UTC = datetime(2000, 1, 1), datetime(2000, 1, 1, tzinfo=timezone.utc)
_EPOCH_ORDINAL = _EPOCH.toordinal()
_MICROSECOND = timedelta(microseconds=1)
_pack_int4, _pack_int8 = partial(Struct(">ii").pack, 4), partial(Struct(">iq").pack, 8)
_pack_float8 = partial(Struct(">id").pack, 8)
_BOOLEANS = {True: b"\0\0\0\1\1", False: b"\0\0\0\1\0"}


class RecordPlan:
    """How records are written whose columns have these names and types: oids and pg_type's typtype.

    format: 1 if all of the types have a binary form, otherwise 0: the COPY's. `text=True` asks for 0.
    """

    __slots__ = ("_columns", "_items", "_types", "format", "names")

    def __init__(
        self,
        names: Sequence[str],
        types: Sequence[tuple[int, str]],
        registry: Registry,
        *,
        text: bool = False,
    ) -> None:
        codecs = [_codec(oid, kind, registry) for oid, kind in types]
        text = text or any(codec.kind is None for codec in codecs)
        self.format = TEXT if text else BINARY
        self.names = tuple(names)
        self._types = tuple(codec.name for codec in codecs)
        family = copy_text if text else copy_binary
        self._items = [family.item_packer(codec, registry) for codec in codecs]
        self._columns: list[PackColumn] = (
            [] if text else [_column(codec, item) for codec, item in zip(codecs, self._items, strict=True)]
        )

    @property
    def head(self) -> bytes:
        """What goes before the first record."""
        return BINARY_HEADER if self.format == BINARY else b""

    @property
    def tail(self) -> bytes:
        """What goes behind the last one."""
        return BINARY_TRAILER if self.format == BINARY else b""

    def encode(self, records: list[Any], number: int) -> bytes:
        """Encode some records, the first of which is the `number`th.

        Raises ParameterTypeError and ParameterValueError, which name the record, counted from 1, and the column;
        NoBinary where a value can only be sent as text.
        """
        width = len(self.names)
        if (
            records
            and self._columns
            and set(map(type, records)) <= {tuple, list}
            and set(map(len, records)) <= {width}
        ):
            try:
                pieces = [
                    piece
                    for pack, column in zip(self._columns, zip(*records))  # noqa: B905  (checked above)
                    for piece in pack(column)
                ]
                return b"".join(chain.from_iterable(zip(repeat(_pack_width(width)), *pieces)))
            except NoBinary:
                raise
            except Exception:
                # The fast ways know the usual values only; why one has failed doesn't matter.
                pass
        return b"".join([self._encode_one(record, at) for at, record in enumerate(records, number)])

    def _encode_one(self, record: Any, number: int) -> bytes:
        values = self._values(record, number)
        null = NULL if self._columns or self.format == BINARY else copy_text.NULL
        cells = []
        for index, value in enumerate(values):
            try:
                cells.append(null if value is None else self._items[index](value))
            except Unfit as error:
                raise self._unfit(number, index, value, error) from None
        if self.format == BINARY:
            return _pack_width(len(cells)) + b"".join(cells)
        return b"\t".join(cells) + b"\n"

    def _values(self, record: Any, number: int) -> Sequence[Any]:
        names = self.names
        keys = getattr(record, "keys", None)
        if keys is not None and not isinstance(record, tuple):
            return self._by_name(record, number)
        if isinstance(record, (str, bytes, bytearray, memoryview)) or not isinstance(record, Iterable):
            raise ParameterTypeError(
                f"record {number} must be a sequence of values or a dict, not {type(record).__name__}"
            )
        values = record if isinstance(record, (tuple, list)) else tuple(record)
        if len(values) != len(names):
            fields = "field" if len(values) == 1 else "fields"
            raise ParameterValueError(
                f"record {number} has {len(values)} {fields}, expected {len(names)}: {', '.join(names)}"
            )
        return values

    def _by_name(self, record: Any, number: int) -> Sequence[Any]:
        keys = list(record.keys())
        missing = [name for name in self.names if name not in keys]
        if missing:
            raise ParameterValueError(f'record {number} has no column "{missing[0]}"')
        if len(keys) > len(self.names):
            strange = next(key for key in keys if key not in self.names)
            raise ParameterValueError(f'record {number} has a column "{strange}" that isn\'t copied')
        return [record[name] for name in self.names]

    def _unfit(self, number: int, index: int, value: object, error: Unfit) -> Exception:
        name, type_name = self.names[index], self._types[index]
        within = "" if error.value is value else f"{type(error.value).__name__} in it: "
        reason = error.reason or f"a value of this type can't become {type_name}"
        cls = ParameterTypeError if error.wrong_type else ParameterValueError
        found = cls(
            f'record {number}, column "{name}" ({type(value).__name__} for {type_name}): {within}{reason}'
        )
        found.column_name = name
        return found


def _codec(oid: int, kind: str, registry: Registry) -> Codec:
    """The codec of a column; the labels of an enum are text."""
    codec = registry.codec(oid)
    if codec is None and kind == "e":
        return Codec(oid, "enum", kind=Kind.TEXT, dump=dump_text, textual=True)
    return codec or registry.codec_or_unknown(oid)


def _column(codec: Codec, item: Callable[[Any], bytes]) -> PackColumn:
    """The fastest way to write a column of a type. Raises anything for values that aren't the usual ones."""
    single = codec.pack_item or item
    whole = _WHOLE_COLUMNS.get(codec.oid)
    if whole is None and codec.pack_item is pack_text_item:
        whole = _text
    if whole is None and isinstance(codec.pack_item, partial):
        whole = partial(_mapped, codec.pack_item)

    def pack_column(values: Sequence[Any]) -> Pieces:
        if whole is not None and None not in values:
            return whole(values)
        return ([NULL if value is None else single(value) for value in values],)

    return pack_column


def _mapped(pack: Callable[[Any], bytes], values: Sequence[Any]) -> Pieces:
    return (list(map(pack, values)),)


def _text(values: Sequence[str]) -> Pieces:
    if "\0" in "".join(values):
        raise ValueError
    data = list(map(str.encode, values))
    return list(map(_pack_length, map(len, data))), data


def _bytes(values: Sequence[bytes]) -> Pieces:
    if set(map(type, values)) != {bytes}:
        raise TypeError
    return list(map(_pack_length, map(len, values))), values


def _booleans(values: Sequence[bool]) -> Pieces:
    if set(map(type, values)) != {bool}:
        raise TypeError
    return (list(map(_BOOLEANS.__getitem__, values)),)


def _floats(values: Sequence[float]) -> Pieces:
    if not set(map(type, values)) <= {float, int}:
        raise TypeError
    return _mapped(_pack_float8, values)


def _dates(values: Sequence[date]) -> Pieces:
    return _mapped(_pack_int4, list(map(sub, map(date.toordinal, values), repeat(_EPOCH_ORDINAL))))


def _timestamps(values: Sequence[datetime]) -> Pieces:
    epoch = _EPOCH if values[0].tzinfo is None else _EPOCH_UTC
    deltas = map(sub, values, repeat(epoch))
    return _mapped(_pack_int8, list(map(floordiv, deltas, repeat(_MICROSECOND))))


_WHOLE_COLUMNS: dict[int, PackColumn] = {
    oids.BYTEA: _bytes,
    oids.BOOL: _booleans,
    oids.FLOAT8: _floats,
    oids.DATE: _dates,
    oids.TIMESTAMP: _timestamps,
    oids.TIMESTAMPTZ: _timestamps,
}
