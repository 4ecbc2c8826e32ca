"""Section 5, what results hold: the geometric types, ranges, multiranges, and arrays of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pytest

from psqlpy.extra_types import Multirange, Range
from psqlpy.sync import Connection, ConnectionPool


@pytest.fixture(scope="module")
def connection(dsn: str) -> Iterator[Connection]:
    with ConnectionPool(dsn=dsn, max_db_pool_size=1) as pool, pool.acquire() as connection:
        yield connection


ROWS: list[tuple[str, str, Any]] = [
    ("a point is an (x, y) tuple", "'(1.5,2)'::point", (1.5, 2.0)),
    ("a box is ((x2, y2), (x1, y1))", "'(1,2),(3,4)'::box", ((3.0, 4.0), (1.0, 2.0))),
    ("an open path is a list of points", "'[(1,2),(3,4)]'::path", [(1.0, 2.0), (3.0, 4.0)]),
    ("a closed path is a list of points", "'((1,2),(3,4))'::path", [(1.0, 2.0), (3.0, 4.0)]),
    ("a line segment is a list of points", "'[(1,2),(3,4)]'::lseg", [(1.0, 2.0), (3.0, 4.0)]),
    ("a line is an (a, b, c) tuple", "'{1,2,3}'::line", (1.0, 2.0, 3.0)),
    ("a circle is ((x, y), r)", "'<(1,2),3>'::circle", ((1.0, 2.0), 3.0)),
    ("a polygon is a list of points", "'((1,2),(3,4))'::polygon", [(1.0, 2.0), (3.0, 4.0)]),
    ("point[]", "ARRAY['(1,2)'::point, NULL]", [(1.0, 2.0), None]),
    ("box[]", "ARRAY['(1,2),(3,4)'::box]", [((3.0, 4.0), (1.0, 2.0))]),
    ("path[]", "ARRAY[ARRAY['[(1,2)]'::path]]", [[[(1.0, 2.0)]]]),
    ("int4range has a class of its own", "int4range(1, 5, '[]')", Range(1, 6)),
    ("int8range", "int8range(1, NULL)", Range(1, None)),
    ("numrange", "numrange(1.50, 2, '(]')", Range(Decimal("1.50"), Decimal(2), "(]")),
    ("daterange", "daterange('2024-02-29', '2024-03-01')", Range(date(2024, 2, 29), date(2024, 3, 1))),
    ("tsrange", "tsrange('2024-02-29 12:00', NULL)", Range(datetime(2024, 2, 29, 12), None)),
    (
        "tstzrange",
        "tstzrange(NULL, '2024-02-29 12:00+00')",
        Range(None, datetime(2024, 2, 29, 12, tzinfo=timezone.utc)),
    ),
    ("an empty range", "int4range(1, 1)", Range(empty=True)),
    ("a range without bounds", "numrange(NULL, NULL)", Range()),
    (
        "a multirange",
        "int4multirange(int4range(5, 7), int4range(1, 2))",
        Multirange([Range(1, 2), Range(5, 7)]),
    ),
    ("an empty multirange", "'{}'::datemultirange", Multirange()),
    ("a range in an array", "ARRAY[int4range(1, 2), NULL]", [Range(1, 2), None]),
    ("a multirange in an array", "ARRAY['{[1,2)}'::int4multirange]", [Multirange([Range(1, 2)])]),
]


@pytest.mark.parametrize(("name", "query", "expected"), ROWS, ids=[name for name, _, _ in ROWS])
def test_row(connection: Connection, name: str, query: str, expected: Any) -> None:
    assert connection.fetch_val(f"SELECT {query}") == expected
    # Beside a type that only comes in text, and of several rows.
    rows = connection.fetch(
        f"SELECT {query} AS value, '1:2:'::txid_snapshot FROM generate_series(1, 2)"
    ).result()
    assert [row["value"] for row in rows] == [expected, expected]


@pytest.mark.parametrize("query", ["'[(1,2),(3,4)]'::path", "'((1,2),(3,4))'::path"])
def test_a_path_stays_open_or_closed_when_it_is_stored_again(connection: Connection, query: str) -> None:
    value = connection.fetch_val(f"SELECT {query}")
    assert connection.fetch_val(f"SELECT $1::path::text = ({query})::text", [value]) is True


def test_an_infinite_bound_is_an_error_that_says_what_to_do(connection: Connection) -> None:
    from psqlpy.exceptions import DataError

    with pytest.raises(DataError, match=r'column 1 "tsrange".*infinite.*cast the column to text'):
        connection.fetch_val("SELECT tsrange('2024-01-01', 'infinity')")
    assert connection.fetch_val("SELECT 1") == 1
