"""numeric, as Decimal of any size with its scale."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.codec import TEXT, Codec, Dumped
from psqlpy._codecs.literal import decimal_literal, float_literal, int_literal
from psqlpy._pq.records import Column
from psqlpy._pq.result import Kind

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry


def _dump(value: Any) -> Dumped:
    if isinstance(value, Decimal):
        # Scientific where it is shorter: 1E+100000 needn't travel as 100,000 zeros.
        text = Decimal.__str__(value) if value.is_finite() else decimal_literal(value)
    elif isinstance(value, int):
        text = int_literal(int.__int__(value))
    elif isinstance(value, float):
        text = float_literal(value)
    else:
        raise TypeError
    return TEXT, text.encode()


def register(registry: Registry) -> None:
    registry.add(
        Codec(
            oids.NUMERIC,
            "numeric",
            kind=Kind.NUMERIC,
            convert=Decimal,
            from_text=Decimal,
            dump=_dump,
            column=Column.NUMERIC,
        )
    )
