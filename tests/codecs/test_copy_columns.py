"""What C writes of columns of records is what the codecs write of one value after the other; so is what is refused."""

from __future__ import annotations

import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psqlpy._codecs import oids
from psqlpy._codecs.copy_binary import NoBinary
from psqlpy._codecs.copy_records import RecordPlan
from psqlpy._codecs.registry import default_registry
from psqlpy._pq.records import RecordBuffer
from psqlpy.exceptions import ParameterTypeError, ParameterValueError

TYPES = [
    oids.BOOL, oids.INT2, oids.INT4, oids.INT8, oids.OID, oids.FLOAT4, oids.FLOAT8, oids.NUMERIC, oids.TEXT,
    oids.VARCHAR, oids.BPCHAR, oids.NAME, oids.BYTEA, oids.DATE, oids.TIME, oids.TIMESTAMP, oids.TIMESTAMPTZ,
    oids.UUID, oids.JSON, oids.JSONB, oids.INTERVAL, oids.XID8, 0,
]  # fmt: skip


class Answer(IntEnum):
    YES = 1


class Text(str):
    __slots__ = ()


class Moment(datetime):
    pass


VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 7, 2**15 - 1, 2**15, -(2**15), -(2**15) - 1, 2**31 - 1, 2**31, -(2**31), 2**32 - 1,
    2**32, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**30, 2**127, 2**128, Answer.YES,
    0.0, -0.0, 1.5, 1e-46, 1e-45, 1e39, 1e300, float("inf"), float("nan"),
    Decimal("0"), Decimal("-0.00"), Decimal("1.10"), Decimal("10000"), Decimal("0.0001"), Decimal("-123456.789"),
    Decimal("1E+5"), Decimal("1E-7"), Decimal("9" * 40 + "." + "9" * 20), Decimal("NaN"), Decimal("-Infinity"),
    Decimal("1E+1001"), Decimal("1e-20000"), Decimal("7" * 1500),
    "", "a", "é😀", "nul\0", "lone \ud800", "퟿", "12", " 12.50 ", ".5", "5.", "1e3", "true", "NaN", "x" * 300,
    Text("sub"), "2024-02-29", "infinity", '{"a": 1}', "550e8400-e29b-41d4-a716-446655440000",
    "550E8400E29B41D4A716446655440000", "{550e8400-e29b-41d4-a716-446655440000}",
    "550e8400-e29b-41d4-a716-44665544000g", "550e8400-e29b-41d4-a716-4466554400-0",
    b"", b"\0\xff", bytearray(b"ab"), memoryview(b"cd"), memoryview(b"abcd")[::2],
    date(1, 1, 1), date(2000, 1, 1), date(9999, 12, 31), datetime(1999, 12, 31, 23, 59, 59, 999999),
    datetime.min, datetime.max, datetime(2024, 5, 1, tzinfo=timezone.utc),
    datetime(2024, 5, 1, 3, tzinfo=timezone(timedelta(hours=-5, minutes=30))), Moment(2024, 1, 2),
    time(0), time(23, 59, 59, 999999), time(1, tzinfo=timezone.utc), timedelta(days=-3, seconds=5),
    uuid.UUID(int=0), uuid.UUID(int=5), uuid.UUID(int=2**128 - 1), uuid.uuid5(uuid.NAMESPACE_DNS, "x"),
    [1], (), {"a": [1, None]}, object,
]  # fmt: skip


def by_column(oid: int, values: list[Any]) -> object:
    """The rows of one column, or the error."""
    plan, buffer = RecordPlan(["c"], [(oid, "b")], default_registry), RecordBuffer()
    try:
        plan.encode([(value,) for value in values], 1, buffer)
    except (ParameterTypeError, ParameterValueError, NoBinary) as error:
        return type(error), str(error)
    return bytes(buffer.data())


def one_by_one(oid: int, values: list[Any]) -> object:
    plan = RecordPlan(["c"], [(oid, "b")], default_registry)
    try:
        return b"".join([plan._encode_one((value,), number) for number, value in enumerate(values, 1)])
    except (ParameterTypeError, ParameterValueError, NoBinary) as error:
        return type(error), str(error)


@pytest.mark.parametrize("oid", TYPES)
def test_each_value_alone_and_beside_a_null(oid: int) -> None:
    for value in VALUES:
        for column in ([value], [None, value], [value, None, value]):
            assert by_column(oid, column) == one_by_one(oid, column), column


@pytest.mark.parametrize("oid", TYPES)
def test_each_value_beside_each_that_fits(oid: int) -> None:
    fitting = [value for value in VALUES if isinstance(one_by_one(oid, [value]), bytes)][::9]
    for value in VALUES:
        for other in fitting:
            column = [other, value]
            assert by_column(oid, column) == one_by_one(oid, column), column


def test_the_order_of_columns_with_nulls_of_every_kind() -> None:
    width = len(TYPES)
    usual = {
        oids.BOOL: True, oids.NUMERIC: Decimal("1.50"), oids.TEXT: "t", oids.VARCHAR: "v", oids.BPCHAR: "b",
        oids.NAME: "n", oids.BYTEA: b"y", oids.DATE: date(2024, 1, 2), oids.TIME: time(3),
        oids.TIMESTAMP: datetime(2024, 1, 2), oids.TIMESTAMPTZ: datetime(2024, 1, 2, tzinfo=timezone.utc),
        oids.UUID: uuid.UUID(int=9), oids.JSON: "1", oids.JSONB: "2", oids.INTERVAL: timedelta(1), 0: "u",
    }  # fmt: skip
    names = [f"c{index}" for index in range(width)]
    plan, buffer = RecordPlan(names, [(oid, "b") for oid in TYPES], default_registry), RecordBuffer()
    rows = [
        tuple(None if (row + index) % 3 == 0 else usual.get(oid, 5) for index, oid in enumerate(TYPES))
        for row in range(20)
    ]
    for records in (rows, [list(row) for row in rows], [dict(zip(names, row, strict=True)) for row in rows]):
        buffer.clear()
        plan.encode(records, 1, buffer)
        assert bytes(buffer.data()) == b"".join(plan._encode_one(row, 1) for row in rows)


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False) | st.integers(), min_size=1))
@settings(max_examples=200, deadline=None)
def test_numbers(values: list[Any]) -> None:
    assert by_column(oids.NUMERIC, values) == one_by_one(oids.NUMERIC, values)


@given(st.lists(st.text(), min_size=1))
@settings(max_examples=100, deadline=None)
def test_texts(values: list[Any]) -> None:
    assert by_column(oids.TEXT, values) == one_by_one(oids.TEXT, values)


@given(st.lists(st.uuids() | st.none(), min_size=1))
@settings(max_examples=50, deadline=None)
def test_uuids(values: list[Any]) -> None:
    assert by_column(oids.UUID, values) == one_by_one(oids.UUID, values)


@given(st.lists(st.datetimes(timezones=st.timezones() | st.none()), min_size=1))
@settings(max_examples=100, deadline=None)
def test_timestamps(values: list[Any]) -> None:
    for oid in (oids.TIMESTAMP, oids.TIMESTAMPTZ, oids.DATE):
        assert by_column(oid, values) == one_by_one(oid, values)


def test_the_usual_values_reach_c(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("went one by one")

    monkeypatch.setattr(RecordPlan, "_encode_one", refuse)
    monkeypatch.setattr("psqlpy._codecs.copy_columns.packed", refuse)
    monkeypatch.setattr("psqlpy._codecs.copy_records.packed", refuse)
    for oid, values in (
        (oids.INT4, [1, None]),
        (oids.TEXT, ["a", None]),
        (oids.NUMERIC, [Decimal("1.5"), None, 3]),
        (oids.DATE, [date(2024, 1, 1), None]),
        (oids.TIMESTAMPTZ, [None, datetime(2024, 1, 1, tzinfo=timezone.utc)]),
        (oids.UUID, [uuid.UUID(int=3), None]),
        (oids.UUID, ["550e8400-e29b-41d4-a716-446655440000", None]),
        (oids.JSONB, ["{}", None]),
        (oids.BYTEA, [b"a", None]),
        (oids.TIME, [None, time(1)]),
    ):
        assert isinstance(by_column(oid, values), bytes)
