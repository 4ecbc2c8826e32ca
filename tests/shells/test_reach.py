"""Whether the catalogs tell of a user's own code that a statement's text doesn't show."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from psqlpy import Connection, ConnectionPool
from psqlpy._protocol.reach import AskReach, names_in

pytestmark = pytest.mark.loops(1)


@pytest.fixture
async def conn(pool: ConnectionPool) -> AsyncIterator[Connection]:
    async with pool.acquire() as conn:
        yield conn


# What is made, in a transaction that is rolled back, and a statement that then runs a user's code, or may.
REACHED = [
    ("CREATE VIEW {0} AS SELECT set_config('a.b', 'c', false) AS x", "SELECT x FROM {0}"),
    ("CREATE TEMP VIEW {0} AS SELECT 1 AS x", "SELECT x FROM {0}"),
    ('CREATE SCHEMA {0}; CREATE VIEW {0}."{0}_V" AS SELECT 1', 'TABLE {0}."{0}_V"'),
    (
        "CREATE TYPE {0} AS (i int); CREATE FUNCTION lower({0}) RETURNS int STABLE LANGUAGE sql AS 'SELECT 1'",
        "SELECT lower(ROW(1)::{0})",
    ),
    (
        "CREATE TABLE {0} (i int); CREATE FUNCTION {0}_f({0}) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SELECT a.{0}_f FROM {0} a",
    ),
    ("CREATE TABLE {0} (i int); ALTER TABLE {0} ENABLE ROW LEVEL SECURITY", "SELECT i FROM {0}"),
    (
        "CREATE OPERATOR @@@@ (LEFTARG = int, RIGHTARG = int, FUNCTION = pg_catalog.pg_try_advisory_lock)",
        "SELECT 1 @@@@ 2",
    ),
    (
        (
            "CREATE FUNCTION {0}(int, int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true';"
            "CREATE OPERATOR @@@@ (LEFTARG = int, RIGHTARG = int, FUNCTION = {0})"
        ),
        "SELECT 1 @@@@ 2",
    ),
    (
        (
            "CREATE TYPE {0} AS (i int); CREATE FUNCTION {0}_f({0}) RETURNS text LANGUAGE sql AS 'SELECT null::text';"
            "CREATE CAST ({0} AS text) WITH FUNCTION {0}_f({0}) AS IMPLICIT"
        ),
        "SELECT count(*) FROM users WHERE $1 = 'a'",
    ),
    (
        (
            "CREATE FUNCTION {0}_f(int8, int8) RETURNS int8 LANGUAGE sql AS 'SELECT 1::int8';"
            "CREATE SCHEMA {0}; CREATE AGGREGATE {0}.max(int8) (SFUNC = {0}_f, STYPE = int8)"
        ),
        "SELECT max(1::int8)",
    ),
    ("CREATE DOMAIN {0} AS int8 CHECK (pg_try_advisory_lock(VALUE))", "SELECT 1::{0}"),
    (
        (
            "CREATE FUNCTION {0}_f(int8) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true';"
            "CREATE DOMAIN {0} AS int8 CHECK ({0}_f(VALUE))"
        ),
        "SELECT 1::{0}",
    ),
    (
        (
            "CREATE FUNCTION {0}_f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';"
            "CREATE OPERATOR CLASS {0} FOR TYPE int USING hash AS OPERATOR 1 =, FUNCTION 1 {0}_f(int)"
        ),
        "SELECT 1",
    ),
    (
        (
            "CREATE FOREIGN DATA WRAPPER {0}; CREATE SERVER {0} FOREIGN DATA WRAPPER {0};"
            "CREATE FOREIGN TABLE {0} (i int) SERVER {0}"
        ),
        "SELECT i FROM {0}",
    ),
    (
        (
            "CREATE FOREIGN DATA WRAPPER {0}; CREATE SERVER {0} FOREIGN DATA WRAPPER {0}; CREATE TABLE {0} (i int);"
            "CREATE FOREIGN TABLE {0}_c () INHERITS ({0}) SERVER {0}"
        ),
        "SELECT i FROM {0}",
    ),
    # Functions without parentheses.
    ("SELECT 1", "SELECT (1::int8).pg_try_advisory_lock"),
    ("SELECT 1", "SELECT t.pg_try_advisory_lock FROM generate_series(1, 2::int8) t"),
    ("SELECT 1", "SELECT ('pg_class'::regclass).\"nextval\""),
    ("SELECT 1", "SELECT ('1 s'::interval).pg_sleep_for"),
    ("CREATE OPERATOR @@@@ (RIGHTARG = text, FUNCTION = pg_catalog.current_setting)", "SELECT @@@@ 'a.b'"),
    ("CREATE DOMAIN {0} AS int CHECK (table_to_xml('pg_am', true, true, '') IS NOT NULL)", "SELECT 1::{0}"),
    # What looks like one literal is two, with a function between them.
    ("SET LOCAL standard_conforming_strings = off", r"SELECT '\'' || set_config('a.b', 'c', false) || '\''"),
]
HARMLESS = [
    (
        "CREATE TABLE {0} (random int, system int, bernoulli int)",
        "SELECT random, system, bernoulli FROM {0} b",
    ),
    ('CREATE TABLE {0} (i int, "when" date)', 'SELECT max(i), lower("when"::text) FROM {0} WHERE i = $1'),
    ("CREATE MATERIALIZED VIEW {0} AS SELECT 1 AS i", "TABLE {0}"),
    ("CREATE TABLE {0} (i int) PARTITION BY HASH (i)", "TABLE {0}"),
    ("CREATE VIEW {0} AS SELECT 1 AS i", "SELECT 1"),
    ("CREATE FUNCTION {0}() RETURNS int LANGUAGE sql AS 'SELECT 1'", "SELECT 1"),
    ("CREATE DOMAIN {0} AS text CHECK (VALUE ~ '@' AND length(VALUE) < 9)", "SELECT 'a@b'::{0}"),
    ("CREATE TYPE {0} AS ENUM ('a')", "SELECT 'a'::{0} ORDER BY 1"),
    ("CREATE TYPE {0} AS RANGE (SUBTYPE = int)", "SELECT '[1,2]'::{0}"),
    ("CREATE OPERATOR @@@@ (LEFTARG = int, RIGHTARG = int, FUNCTION = pg_catalog.int4eq)", "SELECT 1 @@@@ 2"),
    ("SELECT 1", "SELECT relname FROM pg_class JOIN information_schema.tables ON true LIMIT 1"),
]


async def ask(conn: Connection, made: str, text: str) -> list[bool]:
    names = names_in(text.format("psqlpy_reach"))
    assert names is not None
    told: list[bool] = []
    async with conn.transaction() as transaction:
        await transaction.execute_batch(made.format("psqlpy_reach"))
        await conn.link.run(AskReach(names, told.append))
        assert not told or await conn.fetch_val("SELECT 1") == 1
        await transaction.rollback()
    return told


@pytest.mark.parametrize(("made", "text"), REACHED)
async def test_a_users_code_is_found(conn: Connection, made: str, text: str) -> None:
    assert await ask(conn, made, text) == [False]


@pytest.mark.parametrize(("made", "text"), HARMLESS)
async def test_harmless_statements_are_cleared(conn: Connection, made: str, text: str) -> None:
    assert await ask(conn, made, text) == [True]


async def test_extensions_count_as_built_in(conn: Connection) -> None:
    assert await ask(conn, "CREATE EXTENSION IF NOT EXISTS citext", "SELECT max('a'::citext)") == [True]


async def test_behind_a_pooler_nothing_is_cleared(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    # A pooler announces itself instead of the backend that executes a statement.
    pid = conn.backend_pid
    monkeypatch.setattr(type(conn.link.session.pgconn), "backend_pid", property(lambda _: pid + 1))
    assert await ask(conn, "SELECT 1", "SELECT 1") == [False]


async def test_who_cannot_read_the_catalogs_is_told_nothing(conn: Connection) -> None:
    made = "REVOKE SELECT ON pg_catalog.pg_foreign_table FROM PUBLIC; CREATE ROLE {0}; SET LOCAL ROLE {0}"
    told: list[bool] = []
    async with conn.transaction() as transaction:
        await transaction.execute_batch(made.format("psqlpy_reach"))
        with pytest.raises(Exception, match="permission denied"):
            await conn.link.run(AskReach(["select"], told.append))
        await transaction.rollback()
    assert told == []
    assert await conn.fetch_val("SELECT 1") == 1


async def test_a_users_function_never_rides(dsn: str, table: str) -> None:
    async with ConnectionPool(dsn=dsn, max_db_pool_size=1) as pool:
        await pool.execute(
            f"CREATE FUNCTION {table}_f() RETURNS text LANGUAGE sql AS $$"
            " SELECT set_config('psqlpy.reached', current_setting('transaction_read_only'), false) $$"
        )
        await pool.execute(f"CREATE VIEW {table}_view AS SELECT {table}_f() AS value")
        try:
            text = f"SELECT value FROM {table}_view"
            for _ in range(20):
                # Never on a connection that is set up for sharing.
                assert await pool.fetch_val(text) == "off"
            assert pool._standing(text, None) is None
            assert await pool.fetch_val("SELECT current_setting('psqlpy.reached', true)") in (None, "")
        finally:
            await pool.execute(f"DROP VIEW {table}_view")
            await pool.execute(f"DROP FUNCTION {table}_f()")
