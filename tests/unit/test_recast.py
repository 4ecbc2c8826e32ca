"""Records that are the decoded tuples themselves: who else has them, what the garbage collector does, what is freed."""

from __future__ import annotations

import gc
import pickle
import sys
import weakref
from typing import Any

import pytest

from psqlpy._codecs import recast
from psqlpy._codecs.recast import chunk_of_records, forgotten, records_of
from psqlpy._record import Record, record_type

NAMES = ("number", "text")

in_place = pytest.mark.skipif(
    not recast.IN_PLACE or getattr(sys, "_is_gil_enabled", lambda: True)() is False,
    reason="here Records are always new",
)


def made(count: int = 100) -> list[tuple[Any, ...]]:
    return [(number, f"text {number}") for number in range(count)]


@pytest.fixture(params=[True, False], ids=["in place", "new"])
def anyhow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recast, "IN_PLACE", recast.IN_PLACE and request.param)


@pytest.mark.usefixtures("anyhow")
@pytest.mark.parametrize("is_atomic", [True, False])
def test_they_are_records_like_any_others(is_atomic: bool) -> None:
    rows = records_of(made(), NAMES, is_atomic)
    other = record_type(NAMES)((7, "text 7"))
    record = rows[7]
    assert type(record) is type(other) and rows == made()
    assert (record, hash(record), repr(record)) == (other, hash(other), repr(other))
    assert record["text"] == "text 7" and "number" in record and record[:1] == [7]
    assert pickle.loads(pickle.dumps(record)) == (7, "text 7")
    assert {record: 1}[(7, "text 7")] == 1  # type: ignore[index]
    assert sys.getsizeof(record) == sys.getsizeof(other)
    assert records_of([], NAMES, is_atomic) == []


@pytest.mark.usefixtures("anyhow")
def test_a_chunk_of_them() -> None:
    rows = chunk_of_records(forgotten(made()), NAMES)
    assert rows == tuple(made()) and {type(row) for row in rows} == {record_type(NAMES)}


@in_place
def test_nothing_is_copied() -> None:
    rows = made()
    before = list(map(id, rows))
    assert list(map(id, records_of(rows, NAMES, is_atomic=True))) == before
    chunk = forgotten(made())
    assert chunk_of_records(chunk, NAMES) is chunk


@pytest.mark.parametrize("shared", [0, 50, 99])
def test_what_somebody_else_has_stays_a_tuple(shared: int) -> None:
    for chunk in (made(), forgotten(made())):
        theirs = chunk[shared]
        of_list = isinstance(chunk, list)
        rows: Any = (
            records_of(chunk, NAMES, is_atomic=False) if of_list else chunk_of_records(chunk, NAMES)  # type: ignore[arg-type]
        )
        assert type(theirs) is tuple and {type(row) for row in chunk} == {tuple}
        assert all(isinstance(row, Record) for row in rows) and rows[shared] == theirs


@in_place
def test_atomic_rows_are_nothing_for_the_garbage_collector() -> None:
    for rows in (records_of(made(), NAMES, is_atomic=True), chunk_of_records(forgotten(made()), NAMES)):
        assert not any(map(gc.is_tracked, rows))
    chunk = forgotten(made())
    assert not gc.is_tracked(chunk) and not any(map(gc.is_tracked, chunk))
    # They survive it, and so does their class.
    rows = records_of(made(), ("only", "here"), is_atomic=True)
    record_type.cache_clear()
    gc.collect()
    assert rows[99]["here"] == "text 99"


@pytest.mark.usefixtures("anyhow")
def test_other_rows_are_freed_in_cycles() -> None:
    class Marker:
        pass

    rows = records_of([([Marker()], None) for _ in range(10)], NAMES, is_atomic=False)
    markers = [weakref.ref(row["number"][0]) for row in rows]
    for row in rows:
        row["number"].append(row)
    del row, rows
    gc.collect()
    assert [marker() for marker in markers] == [None] * 10


@pytest.mark.usefixtures("anyhow")
def test_they_take_nothing_with_them_and_leave_nothing() -> None:
    value = object()
    row_type: Any = record_type(("a class", "of its own"))
    values, types = sys.getrefcount(value), sys.getrefcount(row_type)
    for is_atomic in (True, False):
        rows: Any = records_of([(value, value) for _ in range(1000)], ("a class", "of its own"), is_atomic)
        assert sys.getrefcount(value) >= values + 2000
        del rows
        assert (sys.getrefcount(value), sys.getrefcount(row_type)) == (values, types)
    # Their memory isn't kept for tuples to come: those would be Records.
    assert {type(row) for row in made(5000)} == {tuple}
