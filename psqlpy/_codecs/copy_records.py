"""RecordPlan: records as the data of COPY FROM STDIN, in binary, or in text where a column's type has no binary form.

Records are encoded by column, a few hundred at once, and C writes them: for the usual values of the usual types
(copy_columns.py) no Python code runs for a single value. A column that has others is packed by its codec; what fails
goes record by record, which is what finds out which value doesn't fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from marshal import dumps
from struct import Struct
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import copy_binary, copy_text
from psqlpy._codecs.codec import BINARY, TEXT, Codec
from psqlpy._codecs.copy_binary import NULL, NoBinary
from psqlpy._codecs.copy_columns import MARSHAL_VERSION, by_columns, packed, streams_of
from psqlpy._codecs.plan import Unfit
from psqlpy._codecs.text import dump_text
from psqlpy._pq.records import Column, RecordBuffer, plain_kinds
from psqlpy._pq.result import Kind
from psqlpy.exceptions import ParameterTypeError, ParameterValueError

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

#: What a binary copy begins and ends with (manual, COPY, "Binary Format").
BINARY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
BINARY_TRAILER = b"\xff\xff"

_pack_width = Struct(">h").pack


class RecordPlan:
    """How records are written whose columns have these names and types: oids and pg_type's typtype.

    format: 1 if all of the types have a binary form, otherwise 0: the COPY's. `text=True` asks for 0.

    infinite_intervals: whether the server has them, which came with PostgreSQL 17.
    """

    __slots__ = ("_columns", "_items", "_plain", "_types", "format", "names")

    def __init__(
        self,
        names: Sequence[str],
        types: Sequence[tuple[int, str]],
        registry: Registry,
        *,
        text: bool = False,
        infinite_intervals: bool = False,
    ) -> None:
        binary = registry.writing_binary(infinite_intervals=infinite_intervals)
        codecs = [_codec(oid, kind, binary) for oid, kind in types]
        text = text or binary.has_text_only or any(codec.kind is None for codec in codecs)
        if text:
            codecs = [_codec(oid, kind, registry) for oid, kind in types]
        self.format = TEXT if text else BINARY
        self.names = tuple(names)
        self._types = tuple(codec.name for codec in codecs)
        family = copy_text if text else copy_binary
        self._items = [family.item_packer(codec, registry if text else binary) for codec in codecs]
        # How C writes the columns if all are so plain that the records go as they are.
        self._plain = None if text else plain_kinds([codec.column for codec in codecs])
        # Of each column what packs one value, and how C writes those that it takes.
        self._columns = (
            None
            if text
            else [
                (codec.pack_item or item, codec.column)
                for codec, item in zip(codecs, self._items, strict=True)
            ]
        )

    @property
    def head(self) -> bytes:
        """What goes before the first record."""
        return BINARY_HEADER if self.format == BINARY else b""

    @property
    def tail(self) -> bytes:
        """What goes behind the last one."""
        return BINARY_TRAILER if self.format == BINARY else b""

    def encode(self, records: list[Any], number: int, buffer: RecordBuffer) -> None:
        """Encode some records into a buffer, the first of them being the `number`th.

        Raises ParameterTypeError and ParameterValueError, which name the record, counted from 1, and the column;
        NoBinary where a value can only be sent as text.
        """
        if not self._encode_columns(records, buffer):
            for at, record in enumerate(records, number):
                buffer.append(self._encode_one(record, at))

    def _encode_columns(self, records: list[Any], buffer: RecordBuffer) -> bool:
        """Encode all or none; False if they have to be looked at one by one."""
        if self._columns is None:
            return False
        try:
            if self._plain is not None:
                if self._add_plain(records, buffer):
                    return True
                # Nor will those be that follow.
                self._plain = None
            columns = by_columns(records, self.names)
            if columns is None:
                return False
            streams = [
                streams_of(kind, pack, values)
                for (pack, kind), values in zip(self._columns, columns, strict=True)
            ]
            while (unfit := buffer.add(len(records), streams)) is not None:
                if streams[unfit][0] == Column.RAW:
                    return False
                streams[unfit] = packed(self._columns[unfit][0], columns[unfit])
        except NoBinary:
            raise
        except Exception:
            # The ways for columns know the usual values only; why one has failed doesn't matter.
            return False
        return True

    def _add_plain(self, records: list[Any], buffer: RecordBuffer) -> bool:
        try:
            return buffer.add_plain(len(records), dumps(records, MARSHAL_VERSION), self._plain)
        except ValueError:
            # There are values that marshal doesn't know.
            return False

    def _encode_one(self, record: Any, number: int) -> bytes:
        values = self._values(record, number)
        null = NULL if self.format == BINARY else copy_text.NULL
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
        return Codec(oid, "enum", kind=Kind.TEXT, dump=dump_text, textual=True, column=Column.TEXT)
    return codec or registry.codec_or_unknown(oid)
