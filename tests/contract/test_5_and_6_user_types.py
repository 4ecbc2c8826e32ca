"""Types made by CREATE TYPE or an extension, as parameters and in results."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID, uuid4

import pytest

from psqlpy import exceptions
from psqlpy.extra_types import CustomType, Text, VarChar
from psqlpy.sync import Connection, ConnectionPool


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
