"""Types made by CREATE TYPE or an extension, as parameters and in results."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID, uuid4

import pytest

from psqlpy import exceptions
from psqlpy._ranges import make_range
from psqlpy.extra_types import CustomType, Multirange, Range, Text, VarChar
from psqlpy.sync import Connection, ConnectionPool
from psqlpy.types import Types

DAY = date(2024, 1, 1)
FIRST = datetime.min.replace(tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def schema(dsn: str) -> Iterator[str]:
    name = f"contract_{uuid4().hex}"
    with ConnectionPool(dsn) as pool, pool.acquire() as conn:
        conn.execute_batch(
            f"SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS citext;"
            f"CREATE EXTENSION IF NOT EXISTS hstore; CREATE EXTENSION IF NOT EXISTS ltree;"
            f"CREATE SCHEMA {name}; CREATE TYPE {name}.color AS ENUM ('red', 'blue');"
            f"CREATE DOMAIN {name}.count AS int8; CREATE TYPE {name}.dot AS (x int4, label text);"
            f"CREATE TYPE {name}.line AS (a {name}.dot, b {name}.dot)"
        )
        yield name
        conn.execute_batch(f"SET client_min_messages = warning; DROP SCHEMA {name} CASCADE")


@pytest.fixture
def conn(dsn: str) -> Iterator[Connection]:
    with ConnectionPool(dsn) as pool, pool.acquire() as conn:
        yield conn


def test_citext_is_str(conn: Connection, schema: str) -> None:
    assert conn.fetch_val("SELECT 'Ab'::citext") == "Ab"
    assert conn.fetch_val("SELECT ARRAY['Ab', NULL]::citext[]") == ["Ab", None]


def test_hstore_and_ltree_decode(conn: Connection, schema: str) -> None:
    assert conn.fetch_val("SELECT 'a=>1, b=>NULL'::hstore") == {"a": "1", "b": None}
    assert conn.fetch_val("SELECT 'a.b'::ltree") == "a.b"


def test_composite_is_a_dict_by_attribute_name_nested_with_none_for_null(
    conn: Connection, schema: str
) -> None:
    found = conn.fetch_val(f"SELECT ROW(ROW(1, 'x'), ROW(NULL, NULL))::{schema}.line")
    assert found == {"a": {"x": 1, "label": "x"}, "b": {"x": None, "label": None}}
    assert conn.fetch_val(f"SELECT NULL::{schema}.dot") is None


def test_enum_is_str(conn: Connection, schema: str) -> None:
    assert conn.fetch_val(f"SELECT 'red'::{schema}.color") == "red"


def test_domain_is_its_base_type(conn: Connection, schema: str) -> None:
    assert conn.fetch_val(f"SELECT 5::{schema}.count") == 5


def test_record_is_a_tuple(conn: Connection) -> None:
    assert conn.fetch_val("SELECT ROW(1, 'x')") == (1, "x")


def test_arrays_of_enums_composites_domains_and_hstore(conn: Connection, schema: str) -> None:
    assert conn.fetch_val(f"SELECT ARRAY['red', NULL]::{schema}.color[]") == ["red", None]
    assert conn.fetch_val(f"SELECT ARRAY[ROW(1, 'x')]::{schema}.dot[]") == [{"x": 1, "label": "x"}]
    assert conn.fetch_val(f"SELECT ARRAY[5]::{schema}.count[]") == [5]
    assert conn.fetch_val("SELECT ARRAY['a=>1']::hstore[]") == [{"a": "1"}]


def test_text_like_types_take_str_wrappers_and_enums(conn: Connection, schema: str) -> None:
    class Plain(Enum):
        RED = "red"

    class Stringy(str, Enum):
        RED = "red"

    for value in ("red", Text("red"), VarChar("red"), Plain.RED, Stringy.RED):
        assert conn.fetch_val(f"SELECT $1::{schema}.color", [value]) == "red"
        assert conn.fetch_val("SELECT $1::citext", [value]) == "red"


def test_domain_takes_what_its_base_type_takes(conn: Connection, schema: str) -> None:
    assert conn.fetch_val(f"SELECT $1::{schema}.count", [2**40]) == 2**40
    with pytest.raises(exceptions.PyToRustValueMappingError, match="out of range"):
        conn.fetch_val(f"SELECT $1::{schema}.count", [2**63])
    assert conn.fetch_val("SELECT 1") == 1


def test_composite_and_hstore_take_dicts(conn: Connection, schema: str) -> None:
    line = {"a": {"x": 1, "label": "x"}, "b": None}
    assert conn.fetch_val(f"SELECT $1::{schema}.line", [line]) == line
    assert conn.fetch_val("SELECT $1::hstore", [{"a": None}]) == {"a": None}


MONEY: list[tuple[Any, ...]] = [
    (500, Decimal("1.50"), {"a": 1}, [Decimal(1), None], date(2024, 1, 2)),
    (500, "1.50", '{"a": 1}', ["1", None], "2024-01-02"),
    ("5.00", "1.50", {"a": 1}, "{1,NULL}", date(2024, 1, 2)),
]


@pytest.mark.parametrize("value", MONEY, ids=["values", "texts", "texts, money too"])
def test_money_in_a_composite_beside_what_goes_as_text(conn: Connection, value: tuple[Any, ...]) -> None:
    """Only the server knows how money is written, so that the others go in binary."""
    conn.execute_batch(
        "CREATE TYPE pg_temp.bill AS (total money, tax numeric, note jsonb, parts numeric[], due date);"
        "CREATE TYPE pg_temp.bills AS (first pg_temp.bill, rest pg_temp.bill[]);"
        "CREATE TEMP TABLE paid (bill pg_temp.bill)"
    )
    bill = dict(
        zip(
            ("total", "tax", "note", "parts", "due"),
            (500, Decimal("1.50"), {"a": 1}, [Decimal(1), None], date(2024, 1, 2)),
            strict=True,
        )
    )
    assert conn.fetch_val("SELECT $1::pg_temp.bill", [value]) == bill
    found = conn.fetch_val("SELECT $1::pg_temp.bills", [(value, [value, None])])
    assert found == {"first": bill, "rest": [bill, None]}
    if not isinstance(value[0], str):
        assert conn.copy_records_to_table("paid", [(value,)]) == 1
        assert conn.fetch_val("SELECT bill FROM paid") == bill


def test_money_in_a_composite_beside_ranges_domains_and_bits(conn: Connection) -> None:
    conn.execute_batch(
        "CREATE DOMAIN pg_temp.rate AS numeric;"
        "CREATE TYPE pg_temp.offer AS (total money, rate pg_temp.rate, span numrange, rates pg_temp.rate[], "
        "flags varbit, mac macaddr);"
        "CREATE TEMP TABLE offers (offer pg_temp.offer)"
    )
    offer = {
        "total": 500, "rate": Decimal("1.50"), "span": Range(Decimal(1), Decimal("2.5")), "rates": [Decimal(3), None],
        "flags": "0110", "mac": "08:00:2B:01:02:03",
    }  # fmt: skip
    assert conn.fetch_val("SELECT $1::pg_temp.offer", [offer]) == offer
    assert conn.fetch_val("SELECT $1::pg_temp.offer[]", [[offer, None]]) == [offer, None]
    assert conn.copy_records_to_table("offers", [(None,), (offer,)]) == 2
    assert conn.fetch_val("SELECT offer FROM offers WHERE offer IS NOT NULL") == offer


def test_money_beside_a_tsvector(conn: Connection) -> None:
    conn.execute_batch(
        "CREATE TYPE pg_temp.offered AS (total money, words tsvector);"
        "CREATE TEMP TABLE offers (total money, words tsvector, whole pg_temp.offered, more pg_temp.offered[])"
    )
    value = {"total": 125, "words": "'cat':1 'dog'"}
    query = "SELECT $1::pg_temp.offered AS v, ARRAY[$1]::pg_temp.offered[] AS vs, ROW(125::money, $2::tsvector) AS r"
    found = conn.fetch_row(query, [{"total": 125, "words": "dog cat:1"}, "dog cat:1"]).result()
    assert found == {"v": value, "vs": [value], "r": (12500, value["words"])}
    record = (125, "dog cat:1", {"total": 125, "words": "dog cat:1"}, [value, None])
    assert conn.copy_records_to_table("offers", [record]) == 1
    expected = {"total": 125, "words": value["words"], "whole": value, "more": [value, None]}
    assert conn.fetch_row("SELECT * FROM offers").result() == expected


def test_money_beside_a_text_that_only_the_server_reads_is_refused(conn: Connection) -> None:
    conn.execute("CREATE TYPE pg_temp.due AS (total money, at date)")
    with pytest.raises(
        exceptions.PyToRustValueMappingError, match="money goes in binary: give all of them as"
    ):
        conn.fetch_val("SELECT $1::pg_temp.due", [(500, "tomorrow")])
    assert conn.fetch_val("SELECT ($1::pg_temp.due).at > now()", [("5.00", "tomorrow")]) is True


BEYOND: dict[str, tuple[str, Any, Any]] = {
    "range": ("daterange('2024-01-01', 'infinity')", Range(DAY, date.max), make_range(DAY, "infinity", "[)")),
    "array of ranges": ("ARRAY[tstzrange(NULL, '-infinity'), NULL]", [Range(None, FIRST), None],
                        [Range(None, "-infinity"), None]),
    "multirange": ("'{[2024-01-01,infinity)}'::datemultirange", Multirange([Range(DAY, date.max)]), None),
    "composite": ("ROW('24:00', ARRAY['0044-03-15 BC'::date], daterange('-infinity', NULL))::pg_temp.odd",
                  {"at": time.max, "days": [date.min], "during": Range(date.min)},
                  {"at": "24:00:00", "days": ["0044-03-15 BC"], "during": Range("-infinity")}),
    "array of composites": ("ARRAY[ROW(NULL, NULL, 'empty')::pg_temp.odd, ROW('24:00', NULL, NULL)::pg_temp.odd]",
                            [{"at": None, "days": None, "during": Range(empty=True)},
                             {"at": time.max, "days": None, "during": None}],
                            [{"at": None, "days": None, "during": Range(empty=True)},
                             {"at": "24:00:00", "days": None, "during": None}]),
}  # fmt: skip


@pytest.mark.parametrize("case", BEYOND)
def test_a_policy_for_dates_holds_within_ranges_and_composite_types(dsn: str, case: str) -> None:
    """Each in both formats; what was read as text is the same value when it is given back."""
    sql, nearest, text = BEYOND[case]
    for policy, expected in (("clamp", nearest), ("text", text), ("raise", None)):
        with ConnectionPool(dsn, types=Types(out_of_range_dates=policy)) as pool, pool.acquire() as conn:
            conn.execute("CREATE TYPE pg_temp.odd AS (at time, days date[], during daterange)")
            for more in ("", ", '1:2:'::txid_snapshot"):
                query = f"SELECT {sql} AS a{more}"
                if policy == "raise":
                    with pytest.raises(exceptions.DataError, match="infinite|out of Python's range"):
                        conn.fetch_row(query).result()
                    continue
                found = conn.fetch_row(query).result()["a"]
                if expected is not None:
                    assert repr(found) == repr(expected)
                if policy == "text":
                    type_name = conn.fetch_val(f"SELECT pg_typeof({sql})::text")
                    assert conn.fetch_val(f"SELECT $1::{type_name} = {sql}", [found]) is True
            assert conn.fetch_val("SELECT 1") == 1


def test_custom_type_takes_the_bytes_of_any_type(conn: Connection, schema: str) -> None:
    assert conn.fetch_val(f"SELECT $1::{schema}.color", [CustomType(b"blue")]) == "blue"


# What was stored as something else, or ended the connection.

WRONG: list[tuple[str, Any]] = [
    ("citext", {"a": 1}),
    ("citext", ["a"]),
    ("citext", b"a"),
    ("{}.color", {"a": 1}),
    ("{}.color", ["red"]),
    ("{}.dot", 5),
    ("{}.dot", (1, "x", 2)),
    ("{}.dot", {"x": 1}),
    ("{}.dot", {"x": 1.5, "label": "x"}),
    ("{}.dot", UUID(int=5)),
    ("{}.count", Decimal("1.5")),
    ("{}.count", (1, 2)),
    ("hstore", [("a", "b")]),
    ("hstore", {1: "a"}),
    ("hstore", {"a": {}}),
]


def test_defect_5_a_list_for_a_composite_type_ends_no_connection(conn: Connection, schema: str) -> None:
    assert conn.fetch_val(f"SELECT $1::{schema}.dot", [[1, "x"]]) == {"x": 1, "label": "x"}
    for name, value in WRONG:
        with pytest.raises(exceptions.PyToRustValueMappingError, match=r"\$1") as caught:
            conn.fetch_val(f"SELECT $1::{name.format(schema)}", [value])
        assert isinstance(caught.value, TypeError | ValueError)
        assert conn.fetch_val("SELECT 1") == 1
