"""What C writes of many rows of parameters is what the codecs pack of one after the other; so is what is refused."""

from __future__ import annotations

from datetime import date, datetime, timezone
from decimal import Decimal
from struct import unpack_from
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psqlpy._codecs import oids
from psqlpy._codecs.codec import BINARY, TEXT
from psqlpy._codecs.parameter_rows import encode_rows
from psqlpy._codecs.plan import ParameterPlan, dump
from psqlpy._codecs.registry import default_registry
from psqlpy.exceptions import ParameterTypeError, ParameterValueError
from tests.codecs.test_copy_columns import TYPES, VALUES

# Of these the codecs send text, and C the binary form of the same value.
IN_BINARY = (oids.NUMERIC, oids.UUID, oids.JSONB)
WRITING_BINARY = default_registry.writing_binary()
# So many rows that columns are taken apart.
ROWS = 8

Unpacked = tuple[int, "bytes | None"]


def plan_of(*types: int) -> ParameterPlan:
    return default_registry.parameter_plan(types)


def unpacked(packed: bytes) -> list[Unpacked]:
    found: list[Unpacked] = []
    at = 0
    while at < len(packed):
        length, format = unpack_from("=ii", packed, at)
        end = at + 8 + max(length, 0)
        assert packed[end] == 0, "the NUL that libpq looks for"
        found.append((TEXT, None) if length < 0 else (format, packed[at + 8 : end]))
        at = end + 1
    return found


def in_binary(oid: int, value: Unpacked) -> Unpacked:
    format, data = value
    if data is None or format == BINARY or oid not in IN_BINARY:
        return value
    try:
        return dump(WRITING_BINARY.codec_or_unknown(oid), data.decode(), WRITING_BINARY)
    except Exception:
        # The server will say that it isn't one.
        return value


def together(oid: int, rows: list[Any]) -> object:
    try:
        packed = b"".join(blob for _, blob in encode_rows(plan_of(oid), rows))
    except (ParameterTypeError, ParameterValueError) as error:
        return type(error), str(error)
    return [in_binary(oid, value) for value in unpacked(packed)]


def one_by_one(oid: int, rows: list[Any]) -> object:
    plan = plan_of(oid)
    found = []
    for number, row in enumerate(rows, 1):
        try:
            found += [in_binary(oid, value) for value in unpacked(plan.encode(row))]
        except (ParameterTypeError, ParameterValueError) as error:
            return type(error), f"row {number}: {error}"
    return found


@pytest.mark.parametrize("oid", TYPES)
def test_each_value_among_usual_ones_and_nulls(oid: int) -> None:
    fitting = [value for value in VALUES if isinstance(one_by_one(oid, [[value]]), list)][::25]
    for value in VALUES:
        for other in (value, None, *fitting):
            rows = [(other,), [None], *[(other,)] * ROWS, (value,)]
            assert together(oid, rows) == one_by_one(oid, rows), (other, value)


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False) | st.integers(), min_size=ROWS))
@settings(max_examples=30, deadline=None)
def test_numbers(values: list[Any]) -> None:
    rows = [(value,) for value in values]
    assert together(oids.NUMERIC, rows) == one_by_one(oids.NUMERIC, rows)


def test_rows_of_every_kind() -> None:
    rows: list[Any] = [(number, "t") for number in range(100)]
    plan = plan_of(oids.INT4, oids.TEXT)
    expected = b"".join(map(plan.encode, rows))

    class Row(tuple):  # type: ignore[type-arg]
        __slots__ = ()

    class Sequence(list):  # type: ignore[type-arg]
        pass

    for kind in (list, Row, Sequence):
        assert b"".join(blob for _, blob in encode_rows(plan, map(kind, rows))) == expected
    for wrong, number in ((("a",), 51), (("a", 1, 2), 51), ({"a": 1, "b": 2}, 51), ("ab", 51), (None, 51)):
        mixed = [*rows[:50], wrong, *rows[50:]]
        with pytest.raises((ParameterTypeError, ParameterValueError), match=f"row {number}: "):
            list(encode_rows(plan, mixed))


def test_no_parameters() -> None:
    assert list(encode_rows(plan_of(), [()] * 50)) == [(8, b""), (32, b""), (10, b"")]
    with pytest.raises(ParameterValueError, match="row 9: the statement takes 0 parameters, 1 given"):
        list(encode_rows(plan_of(), [*[()] * 8, [1]]))


def test_large_rows_come_in_portions_of_few() -> None:
    rows = [(number, b"x" * 400_000) for number in range(30)]
    plan = plan_of(oids.INT4, oids.BYTEA)
    portions = list(encode_rows(plan, iter(rows)))
    # How large they are is known after the first.
    assert [count for count, _ in portions] == [8, *[1] * 22]
    assert b"".join(blob for _, blob in portions) == b"".join(map(plan.encode, rows))


def test_the_usual_values_reach_c(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("went one by one")

    monkeypatch.setattr(ParameterPlan, "encode", refuse)
    monkeypatch.setattr("psqlpy._codecs.copy_columns.packed", refuse)
    monkeypatch.setattr("psqlpy._codecs.parameter_rows.packed", refuse)
    for oid, values in (
        (oids.INT4, [1, None]),
        (oids.TEXT, ["a", None]),
        (oids.BOOL, [True, None]),
        (oids.FLOAT8, [1.5, None]),
        (oids.NUMERIC, [Decimal("1.5"), None, 3]),
        (oids.DATE, [date(2024, 1, 1), None]),
        (oids.TIMESTAMPTZ, [None, datetime(2024, 1, 1, tzinfo=timezone.utc)]),
        (oids.UUID, [UUID(int=3), None]),
        (oids.BYTEA, [b"a", None]),
    ):
        assert isinstance(together(oid, [(value,) for value in values * ROWS]), list)
