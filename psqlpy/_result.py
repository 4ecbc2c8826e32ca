"""What a statement returned: QueryResult for any number of rows, SingleQueryResult for one of them.

Both keep libpq's result as it came and decode at each call, or keep what stands for one (_codecs/gathered). Not here:
how cells are decoded (the plan does it), Record (_record) and the table that notebooks show (_result_html).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from psqlpy._record import Record, record_type
from psqlpy.exceptions import DataError

if TYPE_CHECKING:
    from typing import Protocol

    class RawResult(Protocol):
        """The part of a PGresult that is used here."""

        @property
        def row_count(self) -> int: ...
        @property
        def command_tag(self) -> str: ...
        @property
        def affected_count(self) -> int | None: ...
        def value_bytes(self, row: int, column: int, /) -> bytes | None: ...

    class Plan(Protocol):
        """How the columns of a statement are decoded; DataError for a cell that can't be."""

        @property
        def names(self) -> tuple[str, ...]: ...
        @property
        def type_names(self) -> tuple[str, ...]: ...

        # The results are Any: what a plan takes is a PGresult, of which the tests need only the part above.
        def tuples(self, result: Any, start: int = 0, stop: int | None = None) -> list[tuple[Any, ...]]: ...
        def dicts(self, result: Any, start: int = 0, stop: int | None = None) -> list[dict[str, Any]]: ...
        def records(self, result: Any) -> list[Record]: ...
        def row_dict(self, result: Any, row: int = 0) -> dict[str, Any]: ...
        def value(self, result: Any, row: int, column: int) -> Any: ...


__all__ = ["QueryResult", "Record", "SingleQueryResult"]

T = TypeVar("T")
Decoders = Mapping[str, Callable[[bytes], Any]]

_REPR_LENGTH = 200
# Rows that an iteration over a result decodes at a time.
_CHUNK = 1000


class _Rows:
    """What QueryResult and SingleQueryResult have in common; rows are addressed as start:stop."""

    __slots__ = ("_plan", "_result")

    def __init__(self, result: RawResult, plan: Plan) -> None:
        self._result = result
        self._plan = plan

    @property
    def command_tag(self) -> str:
        """What the server says it did: `SELECT 3`, `INSERT 0 3`; empty for an empty statement."""
        return self._result.command_tag

    @property
    def rowcount(self) -> int:
        """Rows that the statement returned or changed; -1 where there is no such number (PEP 249)."""
        count = self._result.affected_count
        return -1 if count is None else count

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """(name, type name) of each column; empty for a statement without a result set."""
        return tuple(zip(self._plan.names, self._plan.type_names, strict=True))

    def _tuples(self, start: int, stop: int, decoders: Decoders | None = None) -> list[tuple[Any, ...]]:
        result, plan = self._result, self._plan
        if not plan.names:
            return [()] * (stop - start)
        if decoders:
            chosen = _choose(decoders, plan.names)
            if chosen:
                return self._custom_tuples(start, stop, chosen)
        return plan.tuples(result, start, stop)

    def _dicts(self, start: int, stop: int, decoders: Decoders | None = None) -> list[dict[str, Any]]:
        names = self._plan.names
        if decoders or not names:
            rows = self._tuples(start, stop, decoders)
            return [dict(zip(names, row, strict=True)) for row in rows]
        return self._plan.dicts(self._result, start, stop)

    def _custom_tuples(
        self, start: int, stop: int, chosen: dict[int, Callable[[bytes], Any]]
    ) -> list[tuple[Any, ...]]:
        result, plan = self._result, self._plan
        try:
            rows = plan.tuples(result, start, stop)
        except DataError:
            # Perhaps only where a custom decoder is meant to help: cell by cell, without those columns.
            columns = range(len(plan.names))
            rows = [
                tuple(None if column in chosen else plan.value(result, row, column) for column in columns)
                for row in range(start, stop)
            ]
        decoded = []
        for row, values in enumerate(rows, start):
            cells = list(values)
            for column, decoder in chosen.items():
                raw = result.value_bytes(row, column)
                cells[column] = None if raw is None else decoder(raw)
            decoded.append(tuple(cells))
        return decoded

    def _describe(self, head: str) -> str:
        """Return `head` and the columns in angle brackets, cut to about _REPR_LENGTH characters."""
        names = self._plan.names
        if not names:
            return f"<{head}>"
        text = f"<{head} columns=("
        for count, names_of_column in enumerate(self.columns):
            column = " ".join(part if part.isprintable() else repr(part) for part in names_of_column)
            column = f", {column}" if count else column
            if len(text) + len(column) > _REPR_LENGTH - 10:
                return f"{text}{', ' if count else ''}…{len(names) - count} more)>"
            text += column
        return text + ")>"


class QueryResult(_Rows):
    """The rows that a statement returned, in the server's order; none for a statement that returns none.

    Values are decoded when they are asked for, at each call anew; a value that can't be decoded raises
    DataError then. Iterating gives the rows as dicts. Unlike a list it is true even without rows.
    """

    __slots__ = ()

    def __len__(self) -> int:
        return self._result.row_count

    def __bool__(self) -> bool:
        # In the Rust driver a result has no length: programs say `assert result` after an INSERT.
        return True

    def __iter__(self) -> Iterator[dict[str, Any]]:
        count = len(self)
        for start in range(0, count, _CHUNK):
            yield from self._dicts(start, min(start + _CHUNK, count))

    @overload
    def result(
        self, custom_decoders: Decoders | None = None, as_tuple: Literal[False] = False
    ) -> list[dict[str, Any]]: ...

    @overload
    def result(
        self, custom_decoders: Decoders | None = None, *, as_tuple: Literal[True]
    ) -> list[tuple[Any, ...]]: ...

    @overload
    def result(self, custom_decoders: Decoders | None, as_tuple: Literal[True]) -> list[tuple[Any, ...]]: ...

    @overload
    def result(
        self, custom_decoders: Decoders | None = None, as_tuple: bool = False
    ) -> list[dict[str, Any]] | list[tuple[Any, ...]]: ...

    def result(
        self, custom_decoders: Decoders | None = None, as_tuple: bool = False
    ) -> list[dict[str, Any]] | list[tuple[Any, ...]]:
        """Return the rows as dicts, or as tuples.

        Of several columns with one name a dict keeps the last, a tuple all. `custom_decoders` maps a column's
        name, as it is or in lower case, to a callable that gets the value's bytes as the server sent them; it
        isn't called for NULL, and what it raises is passed on.
        """
        if as_tuple:
            return self._tuples(0, len(self), custom_decoders)
        return self._dicts(0, len(self), custom_decoders)

    def records(self) -> list[Record]:
        """Return the rows as Records, which have names and positions."""
        if not self._plan.names:
            return list(map(record_type(()), self._tuples(0, len(self))))
        return self._plan.records(self._result)

    def as_class(self, as_class: Callable[..., T], custom_decoders: Decoders | None = None) -> list[T]:
        """Return for each row what `as_class` makes of its columns, given as keyword arguments."""
        return [as_class(**row) for row in self._dicts(0, len(self), custom_decoders)]

    def row_factory(
        self, row_factory: Callable[[dict[str, Any]], T], custom_decoders: Decoders | None = None
    ) -> list[T]:
        """Return what `row_factory` makes of each row, given as a dict; `custom_decoders` as in `result`."""
        return [row_factory(row) for row in self._dicts(0, len(self), custom_decoders)]

    def __repr__(self) -> str:
        head = f"QueryResult {self.command_tag}".rstrip()
        return self._describe(f"{head} rows={len(self)}" if self._plan.names else head)

    def _repr_html_(self) -> str:
        from psqlpy._result_html import table

        return table(self._result, self._plan, 0, len(self))


class SingleQueryResult(_Rows):
    """One row. It is decoded when it is asked for, at each call anew."""

    __slots__ = ("_row",)

    def __init__(self, result: RawResult, plan: Plan, row: int = 0) -> None:
        # Written out, since a row is what most queries return.
        self._result = result
        self._plan = plan
        self._row = row

    @overload
    def result(
        self, custom_decoders: Decoders | None = None, as_tuple: Literal[False] = False
    ) -> dict[str, Any]: ...

    @overload
    def result(
        self, custom_decoders: Decoders | None = None, *, as_tuple: Literal[True]
    ) -> tuple[Any, ...]: ...

    @overload
    def result(self, custom_decoders: Decoders | None, as_tuple: Literal[True]) -> tuple[Any, ...]: ...

    @overload
    def result(
        self, custom_decoders: Decoders | None = None, as_tuple: bool = False
    ) -> dict[str, Any] | tuple[Any, ...]: ...

    def result(
        self, custom_decoders: Decoders | None = None, as_tuple: bool = False
    ) -> dict[str, Any] | tuple[Any, ...]:
        """Return the row as a dict, or as a tuple; parameters as those of QueryResult.result."""
        if as_tuple:
            return self._tuples(self._row, self._row + 1, custom_decoders)[0]
        if custom_decoders is None and self._plan.names:
            # Written out, since a row is what most queries return.
            return self._plan.row_dict(self._result, self._row)
        return self._dict(custom_decoders)

    def record(self) -> Record:
        """Return the row as a Record, which has names and positions."""
        return record_type(self._plan.names)(self._tuples(self._row, self._row + 1)[0])

    def as_class(self, as_class: Callable[..., T], custom_decoders: Decoders | None = None) -> T:
        """Return what `as_class` makes of the columns, given as keyword arguments."""
        return as_class(**self._dict(custom_decoders))

    def row_factory(
        self, row_factory: Callable[[dict[str, Any]], T], custom_decoders: Decoders | None = None
    ) -> T:
        """Return what `row_factory` makes of the row, given as a dict; `custom_decoders` as in `result`."""
        return row_factory(self._dict(custom_decoders))

    def _dict(self, decoders: Decoders | None) -> dict[str, Any]:
        if decoders is None and self._plan.names:
            return self._plan.row_dict(self._result, self._row)
        return self._dicts(self._row, self._row + 1, decoders)[0]

    def __repr__(self) -> str:
        return self._describe(f"SingleQueryResult {self.command_tag}".rstrip())

    def _repr_html_(self) -> str:
        from psqlpy._result_html import table

        return table(self._result, self._plan, self._row, self._row + 1)


def _choose(decoders: Decoders, names: tuple[str, ...]) -> dict[int, Callable[[bytes], Any]]:
    """Return the decoders by the positions of their columns.

    The Rust driver looks up the lower-cased name alone, so a key with capitals never matches there.
    """
    chosen = {}
    for column, name in enumerate(names):
        for key in (name, name.lower()):
            if key in decoders:
                chosen[column] = decoders[key]
                break
    return chosen
