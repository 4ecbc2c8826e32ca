"""Which statements are candidates for sharing, by their text, and which names in them the server is asked about."""

from __future__ import annotations

import pytest

from psqlpy._protocol.classify import is_shareable
from psqlpy._protocol.reach import names_in

SHAREABLE = [
    "SELECT 1",
    "select a.name from accounts a where id = $1 order by lower(name) limit 3;",
    "(SELECT 1 UNION SELECT 2)",
    "VALUES (1), ($1)",
    "TABLE users",
    "WITH a AS (SELECT now()) SELECT * FROM a",
    "SHOW work_mem",
    "SELECT pg_catalog.count(*) FROM users",
    "SELECT 'set_config(1)', \"FOR UPDATE\" FROM t -- nextval('x')",
]
NOT_SHAREABLE = [
    "",
    "SET work_mem = '4MB'",
    "RESET ALL",
    "BEGIN",
    "START TRANSACTION",
    "COMMIT",
    "SAVEPOINT a",
    "LISTEN a",
    "UNLISTEN a",
    "NOTIFY a",
    "CREATE TEMP TABLE a (b int)",
    "SELECT 1 INTO TEMP a",
    "DECLARE a CURSOR WITH HOLD FOR SELECT 1",
    "FETCH ALL FROM a",
    "PREPARE a AS SELECT 1",
    "EXECUTE a",
    "DEALLOCATE a",
    "LOCK TABLE a",
    "INSERT INTO a VALUES (1)",
    "UPDATE a SET b = 1",
    "DELETE FROM a",
    "MERGE INTO a USING b ON true WHEN MATCHED THEN DELETE",
    "WITH a AS (INSERT INTO b VALUES (1) RETURNING 1) SELECT * FROM a",
    "SELECT * FROM a FOR UPDATE",
    "SELECT * FROM a FOR NO KEY UPDATE",
    "SELECT * FROM a FOR SHARE",
    "SELECT * FROM a FOR KEY SHARE",
    "COPY a TO STDOUT",
    "EXPLAIN ANALYZE SELECT 1",
    "CALL a()",
    "DO $$ BEGIN END $$",
    "SELECT set_config('a.b', 'c', false)",
    "SELECT pg_catalog.set_config('a.b', 'c', false)",
    "SELECT \"set_config\"('a.b', 'c', false)",
    "SELECT set_config /* x */ ('a.b', 'c', false)",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_xact_lock(1)",
    "SELECT nextval('a')",
    "SELECT lastval()",
    "SELECT pg_notify('a', '')",
    "SELECT pg_sleep(1)",
    "SELECT lo_open(1, 2)",
    "SELECT query_to_xml('SELECT set_config(1)', true, true, '')",
    "SELECT mine(1)",
    "SELECT mine.lower('a')",
    "SELECT 1; SELECT 2",
    # These would tell that the connection is read-only, or have something of its own.
    "SHOW ALL",
    "SHOW default_transaction_read_only",
    "SHOW transaction_read_only",
    "SELECT current_setting('transaction_read_only')",
    "SELECT ('transaction_read_only'::text).current_setting",
    "TABLE pg_settings",
    "SELECT * FROM pg_cursors",
    "SELECT * FROM pg_prepared_statements",
    "SELECT pg_listening_channels()",
]


@pytest.mark.parametrize("text", SHAREABLE)
def test_reads_are_candidates(text: str) -> None:
    assert is_shareable(text)


@pytest.mark.parametrize("text", NOT_SHAREABLE)
def test_all_else_is_not(text: str) -> None:
    assert not is_shareable(text)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("SELECT 1, 'literal', $1 /* comment */ -- comment", ["select"]),
        ('SELECT A."B""c", a FROM "D e"', None),
        ('SELECT A."B", (c).d FROM "E f"', ["B", "E f", "a", "c", "d", "from", "select"]),
        ("SELECT a$b", ["a$b", "select"]),
        ("SELECT größe", None),
        ('SELECT "größe"', None),
        ("SELECT \N{KELVIN SIGN}", None),
        ('SELECT U&"d\\0061t"', None),
        ('SELECT "a\\b"', None),
        ('SELECT "a\'b"', None),
        ('SELECT "a,b}"', None),
        ("SELECT " + "n" * 63, ["n" * 63, "select"]),
        ("SELECT " + "n" * 64, None),
        ("SELECT " + ",".join(f"n{number}" for number in range(299)), 300),
        ("SELECT " + ",".join(f"n{number}" for number in range(300)), None),
    ],
)
def test_names(text: str, names: list[str] | int | None) -> None:
    found = names_in(text)
    assert (len(found) if found and isinstance(names, int) else found) == names
