"""ResultPlan: the rows of a result as Python objects. C decodes (_ffi/decode.h), this maps what C can't make."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from struct import error as StructError
from typing import Any

from psqlpy._codecs.codec import BINARY, TEXT, Codec
from psqlpy._codecs.gathered import are_atomic
from psqlpy._codecs.recast import records_of
from psqlpy._pq.result import HAS_DEFERRED, HAS_NULLS, Cell, Kind, PGresult, RowDecoder, mismatch
from psqlpy._record import Record
from psqlpy.exceptions import DataError, RustToPyValueMappingError

_CHUNK_ROWS = 1024
# Compiling the function that makes a dict costs as much as making 200 dicts without it.
_ROWS_WORTH_COMPILING = 200
# What converters raise for values they can't read; anything else is a bug and passes.
_CONVERSION_ERRORS = (ValueError, ArithmeticError, LookupError, RecursionError, StructError)

Convert = Callable[[Any], Any]
ConvertColumn = Callable[[Iterable[Any]], Iterable[Any]]
# A column whose values C can't make.
Mapped = tuple[int, Convert, ConvertColumn | None]
MakeDict = Callable[..., dict[str, Any]]
MakeDicts = Callable[[Iterable[tuple[Any, ...]]], list[dict[str, Any]]]

REASONS = {
    Cell.MALFORMED: "the value isn't in the type's binary format",
    Cell.NOT_UTF8: "the text isn't UTF-8: set client_encoding to UTF8, or read convert_to(column, 'SQL_ASCII')",
    Cell.OUT_OF_RANGE: "the value is out of Python's range: cast the column to text to read it",
    Cell.INFINITE: "Python has no infinite value of this type: cast the column to text to read it",
}


class ResultPlan:
    """How to receive and decode the rows of one statement. Rows and columns are counted from 0, in messages from 1.

    self_described: the columns, by index, and their types, that are to be looked into, see self_described.py.
    is_atomic: a long answer's rows may be decoded before they are asked for, see gathered.py.
    unsettled: the plan depends on something that only shows with the result: dates in text, or those.
    wants_records: Records were made of the last long answer, so it is worth making them as the next one comes.
    format: of the result that this plan reads, and that has to be asked for: 0 text, 1 binary.
    """

    __slots__ = (
        "_codecs",
        "_decode_row",
        "_decoder",
        "_make_dict",
        "_make_dicts",
        "_mapped",
        "_used",
        "format",
        "has_dates",
        "is_atomic",
        "names",
        "oids",
        "self_described",
        "type_names",
        "unsettled",
        "wants_records",
    )

    def __init__(
        self,
        names: tuple[str, ...],
        oids: tuple[int, ...],
        type_names: tuple[str, ...],
        codecs: Sequence[Codec | None],
        format: int | None = None,
    ) -> None:
        if format is None:
            has_binary = all(codec is not None and codec.kind is not None for codec in codecs)
            format = BINARY if has_binary else TEXT
        self.format = format
        # In text, where what they mean depends on the session's settings.
        self.has_dates = format == TEXT and any(codec is not None and codec.dated for codec in codecs)
        self.self_described = {
            index: oid
            for index, (oid, codec) in enumerate(zip(oids, codecs, strict=True))
            if format == BINARY and codec is not None and codec.self_described
        }
        self.unsettled = self.has_dates or bool(self.self_described)
        self.names = names
        self.oids = oids
        self.type_names = type_names
        self.is_atomic = format == BINARY and are_atomic(codecs)
        self.wants_records = False
        self._codecs = tuple(codecs)
        self._mapped = tuple(self._mapped_columns())
        self._decoder = RowDecoder([self._c_column(codec) for codec in codecs], format)
        self._decode_row = self._decoder.row
        self._make_dict: MakeDict | None = None
        self._make_dicts: MakeDicts | None = None
        self._used = False

    def tuples(self, result: PGresult, start: int = 0, stop: int | None = None) -> list[tuple[Any, ...]]:
        """Decode rows as tuples. Raises DataError for the first cell that can't be decoded."""
        stop = result.row_count if stop is None else min(stop, result.row_count)
        if stop - start == 1:
            return [self.row(result, start)]
        rows: list[tuple[Any, ...]] = []
        while start < stop:
            count, chunk = self._chunk(result, start, stop)
            rows.extend(chunk)
            start += count
        return rows

    def dicts(self, result: PGresult, start: int = 0, stop: int | None = None) -> list[dict[str, Any]]:
        """Decode rows as dicts; of columns with the same name the last one wins. Raises as `tuples` does."""
        stop = result.row_count if stop is None else min(stop, result.row_count)
        if stop - start == 1:
            return [self.row_dict(result, start)]
        make = self._dicts_maker(stop - start)
        rows: list[dict[str, Any]] = []
        while start < stop:
            count, chunk = self._chunk(result, start, stop)
            rows += make(chunk)
            start += count
        return rows

    def records(self, result: PGresult) -> list[Record]:
        """Decode all rows as Records. Raises as `tuples` does."""
        return records_of(self.tuples(result), self.names, self.is_atomic)

    def row(self, result: PGresult, row: int = 0) -> tuple[Any, ...]:
        """Decode one row as a tuple."""
        flags, values = self._decode_row(result, row)
        if flags >= HAS_DEFERRED or self._mapped:
            return self._completed(flags, values, result, row)
        return values

    def _completed(self, flags: int, values: tuple[Any, ...], result: PGresult, row: int) -> tuple[Any, ...]:
        """What C couldn't make of a row."""
        if flags & HAS_DEFERRED:
            return tuple([self.value(result, row, column) for column in range(len(values))])
        changed = list(values)
        try:
            for column, convert, _ in self._mapped:
                value = changed[column]
                if value is not None:
                    changed[column] = convert(value)
        except _CONVERSION_ERRORS as error:
            raise self._error(result, row, column, str(error)) from error
        return tuple(changed)

    def row_dict(self, result: PGresult, row: int = 0) -> dict[str, Any]:
        """Decode one row as a dict."""
        flags, values = self._decode_row(result, row)
        if flags < HAS_DEFERRED and self._make_dict is not None:
            try:
                return self._make_dict(*values)
            except _CONVERSION_ERRORS:
                # Below it is found out in which column.
                pass
        if flags >= HAS_DEFERRED or self._mapped:
            values = self._completed(flags, values, result, row)
        return self._dicts_maker(1)((values,))[0]

    def value(self, result: PGresult, row: int, column: int) -> Any:
        """Decode one cell. Raises DataError if it can't be decoded, IndexError if it isn't there."""
        if not (0 <= row < result.row_count and 0 <= column < len(self.names)):
            if 0 <= row < result.row_count and 0 <= column < result.column_count:
                raise mismatch()
            raise IndexError(f"no row {row} or no column {column} in the result")
        reason, value = self._decoder.cell(result, row, column)
        if reason != Cell.DECODED:
            raise self._error(result, row, column, REASONS[reason])
        if value is None:
            return None
        for mapped, convert, _ in self._mapped:
            if mapped == column:
                try:
                    return convert(value)
                except _CONVERSION_ERRORS as error:
                    raise self._error(result, row, column, str(error)) from error
        return value

    def dicts_of(self, rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
        """Make dicts of rows that are decoded."""
        return self._dicts_maker(len(rows))(rows)

    def value_bytes(self, column: int, value: Any) -> bytes | None:
        """What the server has sent for a value; of atomic columns."""
        from psqlpy._codecs.copy_binary import in_binary
        from psqlpy._codecs.plan import dump
        from psqlpy._codecs.registry import default_registry

        codec = self._codecs[column]
        assert codec is not None
        _, data = dump(in_binary(codec, default_registry, is_container=False), value, default_registry)
        return data

    def _mapped_columns(self) -> Iterable[Mapped]:
        for index, codec in enumerate(self._codecs):
            if codec is None:
                continue
            if self.format == BINARY and codec.kind is not None and codec.convert is not None:
                yield index, codec.convert, codec.convert_column
            elif self.format == TEXT and codec.from_text is not None:
                yield index, codec.from_text, None

    def _c_column(self, codec: Codec | None) -> tuple[int, int, int, int]:
        if self.format == TEXT:
            return Kind.TEXT, 0, 0, 0
        if codec is None or codec.kind is None:
            return Kind.BYTES, 0, 0, 0
        return codec.kind, codec.element_kind, codec.element_oid, codec.bound_kind

    def _chunk(self, result: PGresult, start: int, stop: int) -> tuple[int, Iterable[tuple[Any, ...]]]:
        """As many rows as one call decodes."""
        stop = min(stop, start + _CHUNK_ROWS)
        by_column = bool(self._mapped)
        count, chunk, flags = self._decoder.rows(result, start, stop, by_column)
        if flags and any(column_flags & HAS_DEFERRED for column_flags in flags):
            return count, [self.row(result, row) for row in range(start, start + count)]
        if not by_column:
            return count, chunk
        for index, convert, convert_column in self._mapped:
            has_nulls = bool(flags) and bool(flags[index] & HAS_NULLS)
            try:
                values = chunk[index]
                if has_nulls:
                    chunk[index] = [None if value is None else convert(value) for value in values]
                else:
                    chunk[index] = list(convert_column(values) if convert_column else map(convert, values))
            except _CONVERSION_ERRORS:
                # One by one, to find out which cell it was.
                chunk[index] = [self.value(result, row, index) for row in range(start, start + count)]
        return count, zip(*chunk)  # noqa: B905  (as long as one another)

    def _dicts_maker(self, row_count: int) -> MakeDicts:
        if self._make_dicts is None and (self._used or row_count >= _ROWS_WORTH_COMPILING):
            self._make_dict, self._make_dicts = _compile_dict_makers(self.names, self._mapped)
        if self._make_dicts is not None:
            return self._make_dicts
        self._used = row_count > 0
        names = self.names
        return lambda rows: [dict(zip(names, row)) for row in rows]  # noqa: B905  (as long as one another)

    def _error(self, result: PGresult, row: int, column: int, reason: str) -> DataError:
        row += getattr(result, "first_row", 0)
        error = RustToPyValueMappingError(
            f'row {row + 1}, column {column + 1} "{self.names[column]}" ({self.type_names[column]}): {reason}'
        )
        error.column_name = self.names[column]
        return error


def _compile_dict_makers(names: tuple[str, ...], mapped: Sequence[Mapped]) -> tuple[MakeDict, MakeDicts]:
    """Functions with the names written into them make a dict in half the time of dict(zip(names, row)).

    The first takes the cells of one row as C made them, the second takes rows that are converted already.
    """
    variables = "".join(f"v{index}," for index in range(len(names)))
    cells = {index: f"v{index}" for index in range(len(names))}
    items = ", ".join(f"{name!r}: {cells[index]}" for index, name in enumerate(names))
    cells.update((index, f"None if v{index} is None else convert{index}(v{index})") for index, _, _ in mapped)
    converted = ", ".join(f"{name!r}: {cells[index]}" for index, name in enumerate(names))
    source = f"(lambda {variables}: {{{converted}}}), (lambda rows: [{{{items}}} for ({variables}) in rows])"
    converters = {f"convert{index}": convert for index, convert, _ in mapped}
    make_dict, make_dicts = eval(source, {"__builtins__": {}, **converters})
    return make_dict, make_dicts
