"""Ready-made callables for `row_factory=`: each takes one row as a dict and returns what the row becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["class_row", "tuple_row"]

T = TypeVar("T")


def tuple_row(row: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Make a row a tuple of (column name, value) pairs; for plain tuples ask `result(as_tuple=True)`."""
    return tuple(row.items())


def class_row(class_: Callable[..., T]) -> Callable[[dict[str, Any]], T]:
    """Return a row factory that calls `class_` with the columns as keyword arguments."""

    def to_class(row: dict[str, Any]) -> T:
        return class_(**row)

    return to_class
