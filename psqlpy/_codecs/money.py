"""money: an int of its smallest unit (cents), or a Decimal if the registry is told how many digits lc_monetary has."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from struct import Struct
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.codec import BINARY, Codec, Dumped, item_packer, packer
from psqlpy._codecs.integer import dumper
from psqlpy._pq.result import Kind
from psqlpy.exceptions import ConnectionPoolConfigurationError

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

_MAX_DIGITS = 10  # after the point, PostgreSQL's limit for lc_monetary
_LIMIT = 2**63

_bytes = Struct(">q").pack
_dump_int = dumper("q", -_LIMIT, _LIMIT - 1)


def _from_text(text: str) -> int:
    """Every digit counts, whatever the locale puts between and around them: money is an int8 without a point."""
    digits = "".join(filter("0123456789".__contains__, text))
    return -int(digits) if "-" in text or "(" in text else int(digits)


def binary_of(text: str) -> bytes:
    """The binary form of a text that has all digits. Raises ValueError."""
    units = _from_text(text)
    if not -_LIMIT <= units < _LIMIT:
        raise ValueError("money is out of PostgreSQL's range")
    return _bytes(units)


def _units(value: Decimal, digits: int) -> int:
    """Count smallest units, whatever precision the decimal context has."""
    sign, figures, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError("money has no NaN and no infinity")
    significant = "".join(map(str, figures)).lstrip("0")
    if not significant:
        return 0
    shift = exponent + digits
    if len(significant) + shift > 19:
        raise _out_of_range(digits)
    if shift < 0:
        if significant[shift:].strip("0") or -shift > len(significant):
            raise ValueError(f"it has more than {digits} digits after the point")
        significant, shift = significant[:shift], 0
    units = int(significant + "0" * shift)
    units = -units if sign else units
    if not -_LIMIT <= units < _LIMIT:
        raise _out_of_range(digits)
    return units


def _out_of_range(digits: int) -> ValueError:
    return ValueError(
        f"out of range, {Decimal(f'{-_LIMIT}E-{digits}')} to {Decimal(f'{_LIMIT - 1}E-{digits}')}"
    )


def _dumper(digits: int) -> Callable[[Any], Dumped]:
    def dump(value: Any) -> Dumped:
        if isinstance(value, Decimal):
            return BINARY, _bytes(_units(value, digits))
        if getattr(type(value), "_psqlpy_type", None) == "money":
            return _dump_int(value.value)
        if isinstance(value, int):
            raise TypeError("whole units or cents? give a Decimal, or Money(cents)")
        raise TypeError

    return dump


def register(registry: Registry, digits: int | None = None) -> None:
    """Read and write ints, or with `digits` after the point Decimals."""
    if digits is None:
        number = packer("q"), item_packer("q")
        registry.add(
            Codec(
                oids.MONEY,
                "money",
                kind=Kind.INT8,
                from_text=_from_text,
                dump=_dump_int,
                fast=number[0],
                pack_item=number[1],
            )
        )
        return
    _check_digits(digits)

    def convert(units: int) -> Decimal:
        return Decimal(f"{units}E-{digits}")

    registry.add(
        Codec(
            oids.MONEY,
            "money",
            kind=Kind.INT8,
            convert=convert,
            from_text=lambda text: convert(_from_text(text)),
            dump=_dumper(digits),
        )
    )


def _check_digits(digits: object) -> None:
    if not isinstance(digits, int) or not 0 <= digits <= _MAX_DIGITS:
        raise ConnectionPoolConfigurationError(
            f"money_digits must be an int from 0 to {_MAX_DIGITS}, not {digits!r}"
        )
