"""SparseVector: a value of pgvector's type sparsevec; psqlpy.extra_types is where it is public."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import SupportsFloat, SupportsIndex

_MOST_DIMENSIONS = 1_000_000_000  # pgvector's SPARSEVEC_MAX_DIM


class SparseVector:
    """A vector of which most numbers are 0: those that are not by their index, counted from 0, and how many there are.

    Immutable and hashable. Raises ValueError for an index that isn't below `dimensions` and numbers that aren't finite.
    """

    __slots__ = ("_dimensions", "_elements")

    def __init__(self, elements: Mapping[int, SupportsFloat | SupportsIndex], dimensions: int) -> None:
        self._dimensions = operator.index(dimensions)
        if not 1 <= self._dimensions <= _MOST_DIMENSIONS:
            raise ValueError(f"SparseVector has from 1 to {_MOST_DIMENSIONS} dimensions")
        if not isinstance(elements, Mapping):
            raise TypeError(
                f"SparseVector takes a dict of numbers by their index, not {type(elements).__name__}"
            )
        found: dict[int, float] = {}
        for index, value in sorted((operator.index(index), value) for index, value in elements.items()):
            if isinstance(value, str | bytes):
                raise TypeError(f"SparseVector takes numbers, not {type(value).__name__}")
            number = float(value)
            if not 0 <= index < self._dimensions:
                raise ValueError(f"SparseVector of {self._dimensions} dimensions has no index {index}")
            if not math.isfinite(number):
                raise ValueError("SparseVector takes finite numbers only")
            if number:
                found[index] = number
        self._elements = found

    @property
    def dimensions(self) -> int:
        """How many numbers there are, those that are 0 included."""
        return self._dimensions

    @property
    def elements(self) -> dict[int, float]:
        """The numbers that aren't 0 by their index, in order."""
        return dict(self._elements)

    def to_list(self) -> list[float]:
        """All of the numbers."""
        numbers = [0.0] * self._dimensions
        for index, number in self._elements.items():
            numbers[index] = number
        return numbers

    def __len__(self) -> int:
        return self._dimensions

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SparseVector):
            return NotImplemented
        return self._dimensions == other._dimensions and self._elements == other._elements

    def __hash__(self) -> int:
        return hash((self._dimensions, tuple(self._elements.items())))

    def __repr__(self) -> str:
        return f"SparseVector({self._elements!r}, {self._dimensions})"


# Where users import it from and pickle finds it.
SparseVector.__module__ = "psqlpy.extra_types"
