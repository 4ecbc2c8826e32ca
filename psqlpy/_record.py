"""Record: a row that is a tuple and knows its columns' names. Not here: how values are decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from types import MappingProxyType
from typing import Any, SupportsIndex, cast, overload

# Found faster as a global than as tuple's attribute.
_cell = tuple.__getitem__


class Record(tuple[Any, ...]):
    """One row: equal to the tuple of its values, with access by position, slice and column name.

    Iteration and comparison are those of the tuple, so they see values. `in` finds columns by their names, as in
    asyncpg, and values, as in psqlpy 0.13. Of several columns with one name, the name means the last. A slice is a
    list.
    """

    # The names belong to a subclass for each row shape (record_type): a tuple has no slots to keep them in,
    # and making an instance costs no more than making a tuple.
    __slots__ = ()
    _names: tuple[str, ...] = ()
    _positions: MappingProxyType[str, int] = MappingProxyType({})

    @overload  # type: ignore[override]
    def __getitem__(self, key: SupportsIndex | str) -> Any: ...

    @overload
    def __getitem__(self, key: slice) -> list[Any]: ...

    def __getitem__(self, key: SupportsIndex | str | slice) -> Any:
        if isinstance(key, str):
            return _cell(self, self._positions[key])
        try:
            cell = _cell(self, key)
            return list(cell) if isinstance(key, slice) else cell
        except IndexError:
            raise IndexError(f"record index {key} out of range") from None
        except TypeError:
            kind = type(key).__name__
            raise TypeError(f"record key must be an int, a slice or a str, not {kind}") from None

    def __contains__(self, key: object) -> bool:
        return (isinstance(key, str) and key in self._positions) or tuple.__contains__(self, key)

    def keys(self) -> list[str]:
        """Return the column names, in the order of the columns."""
        return list(self._names)

    def values(self) -> list[Any]:
        """Return the values, in the order of the columns."""
        return list(self)

    def items(self) -> list[tuple[str, Any]]:
        """Return (name, value) pairs, in the order of the columns."""
        return list(zip(self._names, self, strict=True))

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a column, `default` if there is no such column."""
        position = self._positions.get(key)
        return default if position is None else _cell(self, position)

    def __repr__(self) -> str:
        cells = ", ".join(f"{name}: {value!r}" for name, value in self.items())
        return f"<Record {cells}>" if cells else "<Record>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._names, tuple(self))


@lru_cache(maxsize=512)
def record_type(names: tuple[str, ...]) -> Callable[[Iterable[Any]], Record]:
    """Return the class of the records with these columns; it takes an iterable of as many values."""
    positions = {name: position for position, name in enumerate(names)}
    namespace = {
        "__slots__": (),
        "__module__": Record.__module__,
        "__doc__": Record.__doc__,
        "_names": names,
        "_positions": MappingProxyType(positions),
    }
    return cast("Callable[[Iterable[Any]], Record]", type("Record", (Record,), namespace))


def _rebuild(names: tuple[str, ...], values: tuple[Any, ...]) -> Record:
    return record_type(names)(values)
