"""Names that would be something else if they weren't quoted: of tables, columns, types, channels, savepoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from psqlpy import exceptions, sync
from tests.parameters.conftest import Server

pytestmark = pytest.mark.backend("sync")

NAMES = [
    'qu"ote',
    '""',
    "apostrophe's",
    '"; DROP SCHEMA public CASCADE; --',
    "x\" (a) FROM PROGRAM 'false'; --",
    "select",
    "Mixed Case",
    "a.b",
    "new\nline\ttab",
    "back\\slash",
    "$1 %s {0} :name $(name)p",
    "/* comment",
    "ünï",
    "🔑🗝️",
    " ",
    "\u202egnp.exe",
    "x" * 63,
    "é" * 31,
]
IMPOSSIBLE = ["", "a\0b", "\0", "a\ud800", 5, b"a", None]
SCHEMA = f'psqlpy "security" {uuid4().hex[:8]}'


@pytest.fixture(scope="module")
def schema(observer: psycopg.Connection[Any]) -> Iterator[str]:
    observer.execute(SQL("CREATE SCHEMA {}").format(Identifier(SCHEMA)))
    yield SCHEMA
    observer.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(SCHEMA)))


@pytest.fixture(scope="module")
def conn(server: Server) -> Iterator[sync.Connection]:
    with sync.ConnectionPool(**server.here()) as pool, pool.acquire() as connection:
        yield connection


@pytest.mark.parametrize("name", NAMES)
def test_copy(conn: sync.Connection, observer: psycopg.Connection[Any], schema: str, name: str) -> None:
    table, column = Identifier(schema, name), Identifier(name)
    observer.execute(SQL("CREATE TABLE {} ({} int4, other int4)").format(table, column))
    assert conn.copy_records_to_table(name, [[1], [2]], columns=[name], schema_name=schema) == 2
    assert conn.copy_in(name, [b"3\n"], columns=[name], schema_name=schema) == 1
    assert conn.copy_in(name, b'"4"\n', [name], schema, format="csv", force_not_null=[name]) == 1
    copied = b"".join(conn.copy_out(name, columns=[name], schema_name=schema, format="binary"))
    assert conn.binary_copy_to_table(copied, name, [name], schema) == 4
    rows = [row[name] for row in conn.copy_out(name, columns=[name], schema_name=schema, as_dict=True)]
    assert rows == [1, 2, 3, 4] * 2
    lines = b"".join(conn.copy_out(name, None, [name], schema, format="csv", force_quote=[name]))
    assert lines == b'"1"\n"2"\n"3"\n"4"\n' * 2
    found = observer.execute(SQL("SELECT sum({}), count(other) FROM {}").format(column, table)).fetchone()
    assert found == (20, 0)


@pytest.mark.parametrize("name", NAMES)
def test_types_and_savepoints(
    conn: sync.Connection, observer: psycopg.Connection[Any], schema: str, name: str
) -> None:
    type_name = f"t{name}"[:40]
    odd, attribute = Identifier(schema, type_name), Identifier(name)
    observer.execute(SQL("CREATE TYPE {} AS ({} int4)").format(odd, attribute))
    query = SQL("SELECT ROW(7)::{} AS {}").format(odd, attribute).as_string()
    assert conn.fetch(query).result() == [{name: {name: 7}}]
    with conn.transaction() as transaction:
        transaction.create_savepoint(name)
        transaction.rollback_savepoint(name)
    assert conn.fetch_val("SELECT 1") == 1


@pytest.mark.parametrize("name", NAMES)
def test_channels(server: Server, name: str) -> None:
    with sync.ConnectionPool(**server.here()) as pool, pool.listener() as listener:
        listener.add_channel(name)
        pool.notify(name, name)
        message = listener.receive(timeout=5)
    assert (message.channel, message.payload) == (name, name)


@pytest.mark.parametrize("name", IMPOSSIBLE, ids=repr)
def test_what_can_be_no_name(conn: sync.Connection, name: Any) -> None:
    wrong = (exceptions.ParameterValueError, exceptions.ParameterTypeError)
    conn.execute("CREATE TEMPORARY TABLE IF NOT EXISTS t (a int4)")
    calls: list[Callable[[], Any]] = [
        lambda: conn.copy_records_to_table(name, [[1]]),
        lambda: conn.copy_records_to_table("t", [[1]], columns=[name]),
        lambda: conn.copy_in(name, [b"1\n"]),
        lambda: conn.copy_in("t", [b"1\n"], columns=[name]),
        lambda: conn.copy_in("t", [b"1\n"], format="csv", force_null=[name]),
        lambda: conn.binary_copy_to_table(b"", name),
        lambda: list(conn.copy_out(name)),
        lambda: list(conn.copy_out("t", columns=[name])),
    ]
    if name is not None:
        calls.append(lambda: conn.copy_records_to_table("t", [[1]], schema_name=name))
        calls.append(lambda: list(conn.copy_out("t", schema_name=name)))
    for call in calls:
        with pytest.raises(wrong):
            call()
    with conn.transaction() as transaction, pytest.raises(wrong):
        transaction.create_savepoint(name)
    assert conn.fetch_val("SELECT 1") == 1


def test_a_name_of_more_than_63_bytes_is_the_servers_to_cut(
    conn: sync.Connection, observer: psycopg.Connection[Any], schema: str
) -> None:
    """As in any SQL, so that who creates a table by a long name finds it by that; the server says so in a notice."""
    name = "é" * 31 + "-" + "é"
    observer.execute(SQL("CREATE TABLE {} (a int4)").format(Identifier(schema, name)))
    assert conn.copy_records_to_table(name, [[1]], schema_name=schema) == 1
    known = observer.execute(SQL("SELECT a FROM {}").format(Identifier(schema, name[:32]))).fetchall()
    assert known == [(1,)]
