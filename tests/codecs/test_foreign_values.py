"""Values of classes that aren't Python's own: subclasses with ways of their own, and NumPy's times."""

from __future__ import annotations

import enum
import ipaddress
from collections import OrderedDict, namedtuple
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from psqlpy._codecs import oids
from psqlpy._codecs.registry import default_registry
from psqlpy.exceptions import ParameterValueError
from tests.codecs.rig import Rig


def shown(self: object, *_: object, **__: object) -> str:
    """What such a class shows its users."""
    return "wrong"


class Text(str):
    __str__ = __repr__ = shown

    def encode(self, *_: Any) -> bytes:
        return b"wrong"


class Whole(int):
    __str__ = __repr__ = __format__ = shown

    def __index__(self) -> int:
        return 99

    __int__ = __trunc__ = __index__


class Real(float):
    __str__ = __repr__ = __format__ = shown


class Price(Decimal):
    __str__ = __repr__ = __format__ = shown


class Day(date):
    __str__ = __repr__ = __format__ = isoformat = shown

    def toordinal(self) -> int:
        return 99


class Moment(datetime):
    __str__ = __repr__ = __format__ = isoformat = shown


class Span(timedelta):
    """Its parts have one sign, as those of other libraries' durations."""

    __str__ = __repr__ = shown

    @property
    def seconds(self) -> int:
        return int(self.total_seconds())


class Blob(bytes):
    def __bytes__(self) -> bytes:
        return b"wrong"


class Buffer(bytearray):
    def __bytes__(self) -> bytes:
        return b"wrong"


class Key(UUID):
    __str__ = __repr__ = shown


class Address(ipaddress.IPv4Interface):
    __str__ = __repr__ = shown


class Level(enum.IntEnum):
    HIGH = 7


class Flags(enum.IntFlag):
    ONE = 1
    TWO = 2


class Word(str, enum.Enum):
    YES = "yes"


Pair = namedtuple("Pair", "a b")

VALUES: list[tuple[str, Any, str]] = [
    *[(name, Text("7"), "7") for name in ("text", "varchar", "name", '"char"', "int4", "numeric", "json")],
    *[
        (name, Whole(5), "5")
        for name in ("int2", "int4", "int8", "oid", "xid8", "float4", "float8", "numeric", "text", "jsonb", '"char"')
    ],
    ("pg_lsn", Whole(5), "0/5"),
    ("money", Whole(5), "$0.05"),
    *[(name, Real(1.5), "1.5") for name in ("float4", "float8", "numeric", "text", "json")],
    *[(name, Price("1.50"), "1.50") for name in ("numeric", "text")],
    ("float8", Price("1.50"), "1.5"),
    ("text", Price("1E+200000"), "1E+200000"),
    *[(name, Day(2024, 1, 2), "2024-01-02") for name in ("date", "text")],
    *[(name, Moment(2024, 1, 2, 3), "2024-01-02 03:00:00") for name in ("timestamp", "text")],
    *[(name, Span(hours=-1), "-01:00:00") for name in ("interval", "text")],
    ("interval", Span(days=-3, seconds=5), "-2 days -23:59:55"),
    *[("bytea", value, "\\x6f6b") for value in (Blob(b"ok"), Buffer(b"ok"), memoryview(Blob(b"ok")))],
    *[(name, Key(int=1), str(UUID(int=1))) for name in ("uuid", "text")],
    *[(name, Address("10.0.0.1/8"), "10.0.0.1/8") for name in ("inet", "text")],
    *[(name, Level.HIGH, "7") for name in ("int2", "float8", "numeric", "text", "jsonb")],
    ("int4", Flags.ONE | Flags.TWO, "3"),
    ("text", Word.YES, "yes"),
    ("jsonb", OrderedDict(a=Level.HIGH, b=(Text("7"), Whole(5))), '{"a": 7, "b": ["7", 5]}'),
    ("int4[]", Pair(1, None), "{1,NULL}"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("type_name", "value", "stored"), VALUES, ids=[f"{type(value).__name__} for {name}" for name, value, _ in VALUES]
)  # fmt: skip
def test_subclasses_are_stored_as_what_they_are(rig: Rig, type_name: str, value: Any, stored: str) -> None:
    assert rig.fetch(f"SELECT $1::{type_name}::text", [value]) == [(stored,)]
    if not type_name.endswith("[]"):
        query = f"SELECT ($1::{type_name}[])[1]::text, ($1::{type_name}[])[2]::text"
        assert rig.fetch(query, [[value, None]]) == [(stored, None)]


# NumPy's datetime64 and timedelta64, which Python's tests do without: what is used of them, in numbers of microseconds
# (`us`) and nanoseconds (`ns`); None is NaT.


class Verdicts(list[bool]):
    def __or__(self, other: Verdicts) -> Verdicts:
        return Verdicts(one or two for one, two in zip(self, other, strict=True))

    def all(self) -> bool:
        return all(self)


class Times:
    def __init__(self, numbers: list[int | None], kind: str = "M", unit: str = "ns") -> None:
        self.numbers = numbers
        self.unit = unit
        name = "datetime64" if kind == "M" else "timedelta64"
        self.dtype = SimpleNamespace(kind=kind, str=f"<{kind}8[{unit}]", name=f"{name}[{unit}]")

    def astype(self, name: str) -> Times:
        assert name == f"{self.dtype.kind}8[us]" and self.unit == "ns"
        return Times([None if n is None else n // 1000 for n in self.numbers], self.dtype.kind, "us")

    def _nanoseconds(self) -> list[int | None]:
        return self.numbers if self.unit == "ns" else [None if n is None else n * 1000 for n in self.numbers]

    def __eq__(self, other: Any) -> Any:
        pairs = zip(self._nanoseconds(), other._nanoseconds(), strict=True)
        return Verdicts(one == two and one is not None for one, two in pairs)

    def __ne__(self, other: Any) -> Any:
        return Verdicts(not same for same in self == other)

    __hash__ = None  # type: ignore[assignment]

    def ravel(self) -> Times:
        return self

    def tolist(self) -> list[Any]:
        if self.unit == "us":
            return [None if n is None else self._plain(n) for n in self.numbers]
        return list(self.numbers)

    def _plain(self, number: int) -> Any:
        try:
            since = timedelta(microseconds=number)
            return datetime(1970, 1, 1) + since if self.dtype.kind == "M" else since
        except OverflowError:
            return number


Times.__module__ = "numpy"


def test_numpys_times_are_times_in_every_unit(rig: Rig) -> None:
    query = "SELECT $1::timestamp[], $2::interval[], $3::timestamp[]"
    row = [Times([1_500_000, None]), Times([-2000, None], "m"), Times([1500, None], unit="us")]
    moment = datetime(1970, 1, 1, 0, 0, 0, 1500)
    assert rig.fetch(query, row) == [([moment, None], [timedelta(microseconds=-2), None], [moment, None])]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Times([1_000_001]), "finer than a microsecond"),
        (Times([5], "m"), "finer than a microsecond"),
        (Times([2**62], unit="us"), r"no value for it: datetime64\[us\]"),
        (Times([5], "m", "M"), r"no value for it: timedelta64\[M\]"),
    ],
    ids=["time", "duration", "beyond Python", "months"],
)
@pytest.mark.parametrize(
    "oid", [1115, 1187, 1016, 1009, 1231]
)  # timestamp[], interval[], int8[], text[], numeric[]
def test_a_time_that_python_has_not_never_becomes_a_number(oid: int, value: Any, message: str) -> None:
    with pytest.raises(ParameterValueError, match=message):
        default_registry.parameter_plan((oid,)).encode([value])


class Long:
    """As NumPy's uint64: an index that is too long even for struct's own error."""

    def __index__(self) -> int:
        return 2**64 - 1

    def tolist(self) -> int:
        return 2**64 - 1


Long.__module__ = "numpy"


@pytest.mark.parametrize("oid", [oids.INT2, oids.INT4, oids.INT8, oids.MONEY, oids.OID])
def test_a_long_number_of_numpys_is_told_the_range(oid: int) -> None:
    with pytest.raises(ParameterValueError, match=r"out of range, -?\d+ to \d+"):
        default_registry.parameter_plan((oid,)).encode([Long()])
