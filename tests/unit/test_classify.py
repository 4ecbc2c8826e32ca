"""What the text of a statement tells.

Long, since it is tables of statements.
"""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psqlpy._protocol.classify import classify
from psqlpy._protocol.harmless_functions import HARMLESS_FUNCTIONS


@pytest.mark.parametrize(
    ("query", "keyword"),
    [
        ("select 1", "SELECT"),
        ("  -- copy\n/* /* x */ */ ; (( Select 1))", "SELECT"),
        ("WITH x AS (SELECT 1) TABLE x", "WITH"),
        ("copy t from stdin", "COPY"),
        ("'SELECT'", ""),
        ('"select" 1', ""),
        ("$1", ""),
        ("1", ""),
        (")", ""),
        ("\u017fELECT 1", ""),  # Python's upper() makes it a SELECT, the server doesn't
    ],
)
def test_keyword(query: str, keyword: str) -> None:
    traits = classify(query)
    assert (traits.keyword, traits.is_empty) == (keyword, False)


@pytest.mark.parametrize("query", ["", " \n", ";", " ; ;", "-- select", "/* select /* ; */ */", "/* select"])
def test_empty(query: str) -> None:
    traits = classify(query)
    assert (traits.keyword, traits.is_empty, traits.multiple, traits.leaves_state) == ("", True, False, False)


@pytest.mark.parametrize(
    ("query", "stdio"),
    [
        ("COPY t FROM STDIN", True),
        ("copy t (a, b) from stdin with (format csv)", True),
        ("/* x */ -- y\n Copy t To StdOut", True),
        ("COPY (SELECT 1) TO STDOUT", True),
        ("COPY t FROM STDOUT", True),
        ("COPY BINARY t FROM/**/STDIN", True),
        ("COPY t FROM '/tmp/stdin'", False),
        ("COPY t TO PROGRAM 'cat'", False),
        ("COPY stdin TO '/tmp/x'", False),
        ('COPY (SELECT 1 FROM stdin) TO \'/tmp/x\'', False),
        ("COPY (SELECT '" + "x" * 20_000 + "', 1, 2, 3, 4, 5, 6, 7, 8, 9) TO STDOUT", True),
    ],
)  # fmt: skip
def test_copy(query: str, stdio: bool) -> None:
    traits = classify(query)
    assert (traits.is_copy, traits.copy_stdio) == (True, stdio)


@pytest.mark.parametrize(
    "query", ["SELECT 'COPY t FROM STDIN'", "EXPLAIN SELECT 1", "SELECT copy FROM stdin", ""]
)
def test_no_copy(query: str) -> None:
    traits = classify(query)
    assert (traits.is_copy, traits.copy_stdio) == (False, False)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("begin", "begin"),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE", "begin"),
        ("start transaction read only", "begin"),
        ("commit", "end"),
        ("END WORK", "end"),
        ("abort", "end"),
        ("ROLLBACK", "end"),
        ("ROLLBACK AND CHAIN", "end"),
        ("COMMIT AND NO CHAIN", "end"),
        ("COMMIT PREPARED 'x'", "end"),
        ("ROLLBACK PREPARED 'to'", "end"),
        ("PREPARE TRANSACTION 'x'", "end"),
        ("SAVEPOINT s", "savepoint"),
        ("RELEASE s", "savepoint"),
        ("ROLLBACK TO s", "savepoint"),
        ("rollback work to savepoint s", "savepoint"),
        ("ROLLBACK/**/TRANSACTION TO s", "savepoint"),
        ("PREPARE transaction AS SELECT 1", None),
        ("PREPARE p AS SELECT 1", None),
        ("SET TRANSACTION READ ONLY", None),
        ("SELECT 'BEGIN'", None),
        ("CALL commit()", None),
        ("", None),
    ],
)
def test_transaction_control(query: str, expected: str | None) -> None:
    assert classify(query).transaction_control == expected


@pytest.mark.parametrize(
    ("query", "control", "retry"),
    [
        ("SELECT 1", False, True),
        ("UPDATE t SET a = 1", False, True),
        ("COMMIT", True, True),
        ("SAVEPOINT s", True, True),
        ("CALL p()", True, False),
        ("do $$begin commit; end$$", True, False),
        ("SELECT 1; COMMIT", True, False),
    ],
)
def test_what_procedures_may_do(query: str, control: bool, retry: bool) -> None:
    traits = classify(query)
    assert (traits.may_control_transaction, traits.can_retry_after_heal) == (control, retry)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1; SELECT 2",
        "SELECT 1;;;SELECT 2",
        "SELECT 1;(SELECT 2)",
        "SELECT ';'; SELECT 2",
        "SELECT E'\\';'; SELECT 2",
        "BEGIN; COMMIT",
        "SELECT CASE WHEN true THEN 1 END; SELECT 2",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1; SELECT 2'; SELECT 2",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT 2",
        "CREATE TABLE atomic (a int); CREATE TABLE t (a int)",
        "CREATE TABLE t (case_id int); CREATE TABLE u (a int)",
        "BEGIN ATOMIC; SELECT 1",
    ],
)
def test_several_statements(query: str) -> None:
    traits = classify(query)
    assert traits.multiple
    assert traits.leaves_state


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1",
        "SELECT 1;",
        ";;SELECT 1;; -- ; x",
        "SELECT ';x'; /* SELECT 2 */",
        'SELECT 1 AS ";x"',
        "DO $$begin null; null; end$$",
        "CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2)",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END",
        "create or replace procedure p() begin atomic select case when a then 1 end; select 2; end;",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 AS case; SELECT t.end FROM t; SELECT 2; END",
        "CREATE FUNCTION f() RETURNS int RETURN CASE WHEN true THEN 1 END;",
        "SELECT 1 -- ; SELECT 2",
        "SELECT 'unterminated; SELECT 2",
    ],
)
def test_one_statement(query: str) -> None:
    assert not classify(query).multiple


HARMLESS = [
    "SELECT 1",
    "SELECT * FROM accounts WHERE id = $1",
    "(SELECT 1 UNION SELECT 2) ORDER BY 1",
    "VALUES (1, 'a'), (2, 'b')",
    "TABLE accounts",
    "SHOW server_version",
    "SELECT count(*), sum(a), Coalesce(max(b), 0) FROM t GROUP BY (c) HAVING (count(*) > 1)",
    'SELECT pg_catalog.lower(name), "pg_catalog" . "upper" (name), "length"(name) FROM t',
    "SELECT now(), current_timestamp(3), localtime(0), version ( ), pg_backend_pid/**/()",
    "SELECT a::numeric(10, 2), b::varchar(20), CAST(c AS numeric(5)), CAST(d AS character varying(3)) FROM t",
    "SELECT a::vector(3), $1::regclass, time '10:00', timestamp(3) with time zone '2020-01-01' FROM t",
    "SELECT a FROM t WHERE a IN (1, 2) AND b = ANY ($1) AND EXISTS (SELECT 1) AND NOT (c) AND d LIKE ('x')",
    "SELECT rank() OVER (PARTITION BY (a) ORDER BY (b)), count(*) FILTER (WHERE a > 1) FROM t",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t",
    "SELECT a FROM t GROUP BY GROUPING SETS ((a), ())",
    "SELECT a FROM t GROUP BY ROLLUP (a, b)",
    "SELECT ARRAY(SELECT 1), ROW(1, 2), CASE (a) WHEN (1) THEN (2) ELSE (3) END FROM t",
    "SELECT substring(a from 2 for 3), extract(year from b), overlay(c placing 'x' from 1) FROM t",
    "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT n FROM t",
    "WITH x AS MATERIALIZED (SELECT 1), y AS NOT MATERIALIZED (SELECT 2) SELECT * FROM x, y",
    "SELECT * FROM (VALUES (1, 2)) v(a, b) JOIN (SELECT 1) AS w (c) ON (a = c) JOIN (SELECT 2) x ON true",
    "SELECT * FROM t JOIN LATERAL (SELECT t.a) u USING (a) LEFT JOIN (SELECT 1 AS a) w USING (a)",
    "SELECT * FROM generate_series(1, 3) AS g(i), unnest($1::int[], $2::int[]) WITH ORDINALITY AS u(a, b)",
    "SELECT DISTINCT ON (a) (b), c FROM t ORDER BY a LIMIT (5) OFFSET (1)",
    "SELECT a FROM t ORDER BY (a) OFFSET (1) FETCH FIRST (2) ROWS ONLY",
    "SELECT 'SELECT set_config(1)', $$nextval('s')$$, \"nextval\" FROM t -- setval(",
    'SELECT (t).a, t.b AS "into" FROM t',
    "SELECT pg_sleep(1), random(), gen_random_uuid(), current_setting('x', true)",
]
LEAVING = [
    "SELECT set_config('a', 'b', false)",
    "SELECT pg_catalog.set_config('a', 'b', false)",
    'SELECT "set_config"(1)',
    "SELECT setseed(0.5)",
    "SELECT nextval('s'), setval('s', 1)",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_lock -- x\n (1)",
    "SELECT pg_notify('a', 'b')",
    "SELECT lo_creat(-1)",
    "SELECT dblink_connect('x')",
    "SELECT my_function(1)",
    "SELECT public.lower('x')",
    "SELECT a.pg_catalog.my_function(1)",
    'SELECT "Lower"(1)',
    "SELECT \"pg_catalog\".\"LOWER\"(1)",
    "SELECT \"x\"\"count\"(1)",
    "SELECT U&\"lower\"(1)",
    "SELECT ran\u212a(1)",  # the Kelvin sign, a K in lower case only to Python
    "SELECT été(1)",
    "SELECT _f(1)",
    "SELECT s.select(1), s.in(1)",
    "SELECT first(a), over(1), filter(2) FROM t",
    "SELECT DISTINCT ON (a) over(1) FROM t",
    "SELECT DISTINCT ON (a, (b)) f(1) FROM t",
    "SELECT is(1, 2), like(1, 2)",
    "SELECT a FROM t ORDER BY join(a)",
    "SELECT a OPERATOR(public.+) b",
    "SELECT 1 INTO t",
    "SELECT * INTO TEMP t FROM u",
    "WITH x AS (SELECT 1) SELECT * INTO t FROM x",
    "SELECT * FROM t FOR UPDATE",
    "SELECT * FROM t FOR NO KEY UPDATE",
    "TABLE t FOR SHARE",
    "SELECT * FROM t FOR KEY SHARE SKIP LOCKED",
    "WITH x AS (INSERT INTO t VALUES (1) RETURNING a) SELECT * FROM x",
    "WITH x AS (DELETE FROM t RETURNING a) SELECT * FROM x",
    "WITH x AS (SELECT 1) UPDATE t SET a = 1",
    "INSERT INTO t VALUES (1)",
    "UPDATE t SET a = 1",
    "DELETE FROM t",
    "MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE",
    "SET a = 1",
    "RESET ALL",
    "LISTEN c",
    "CREATE TEMP TABLE t (a int)",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "PREPARE p AS SELECT 1",
    "LOAD 'x'",
    "EXPLAIN ANALYZE SELECT f()",
    "CALL p()",
    "DO $$ $$",
    "nonsense",
    "'literal'",
    "SELECT 1; SET a = 1",
]  # fmt: skip


PLAIN = [
    "SELECT 1",
    "select 1, 'a', null, true as b, $1 AS \"c\"",
    "VALUES (1, 'x'), ($1, NULL)",
    "(SELECT 1)",
    "SELECT",
    "SHOW TimeZone",
]
# Each of these may run a function of the user's.
NOT_PLAIN = [
    "SELECT * FROM a_view",
    "TABLE a_view",
    "SELECT 5::a_domain",
    "SELECT CAST(5 AS a_domain)",
    "SELECT a_domain '5'",
    "SELECT 1 + 2",
    "SELECT - 1",
    "SELECT 1 ||| 2",
    "SELECT lower('an overload')",
    "SELECT t.a_function FROM t AS t",
    "SELECT a_column",
    "SELECT CURRENT_USER",
    "VALUES (area(1))",
    "WITH x AS (SELECT 1) SELECT 2",
]


@pytest.mark.parametrize("query", PLAIN)
def test_leaves_nothing(query: str) -> None:
    assert not classify(query).leaves_state


@pytest.mark.parametrize("query", HARMLESS)
def test_only_reads(query: str) -> None:
    assert classify(query).only_reads


@pytest.mark.parametrize("query", LEAVING)
def test_may_do_more_than_read(query: str) -> None:
    assert not classify(query).only_reads


@pytest.mark.parametrize("query", [*LEAVING, *NOT_PLAIN])
def test_may_leave_something(query: str) -> None:
    assert classify(query).leaves_state


@pytest.mark.parametrize(
    "query", ["BEGIN", "COMMIT", "SAVEPOINT a", "ROLLBACK TO a", "START TRANSACTION READ ONLY"]
)
def test_transaction_control_leaves_nothing_but_the_transaction(query: str) -> None:
    traits = classify(query)
    assert not traits.leaves_state
    assert not traits.only_reads
    assert classify(f"{query}; SET a.b = 1").leaves_state


@given(
    st.sampled_from([query for query in LEAVING if "\n" not in query]),
    st.sampled_from([" ", "\n", "/* ) */", "--x\n"]),
)
def test_nothing_hides_in_white_space(query: str, space: str) -> None:
    traits = classify(f"{space}{query.replace(' ', space)}{space}")
    assert traits.leaves_state
    assert not traits.only_reads


def test_no_function_that_acts_is_harmless() -> None:
    for prefix in (
        "pg_advisory",
        "pg_try_advisory",
        "lo_",
        "dblink",
        "set_config",
        "setseed",
        "setval",
        "nextval",
    ):
        assert not [name for name in HARMLESS_FUNCTIONS if name.startswith(prefix)]
    assert {"count", "now", "jsonb_agg"} <= HARMLESS_FUNCTIONS
    assert all(name == name.lower() and name.isascii() for name in HARMLESS_FUNCTIONS)


@pytest.mark.parametrize(
    "query",
    [
        "VACUUM",
        "vacuum (analyze) t",
        "CREATE DATABASE d",
        "DROP DATABASE IF EXISTS d",
        "CREATE TABLESPACE s LOCATION '/x'",
        "DROP TABLESPACE s",
        "ALTER SYSTEM SET a = 1",
        "ALTER DATABASE d SET TABLESPACE s",
        "CREATE INDEX CONCURRENTLY i ON t (a)",
        "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)",
        "DROP INDEX CONCURRENTLY i",
        "REINDEX (VERBOSE) TABLE CONCURRENTLY t",
        "REINDEX DATABASE d",
        "REINDEX SYSTEM d",
        "CLUSTER",
        "DISCARD ALL",
        "COMMIT PREPARED 'x'",
        "ALTER TABLE t DETACH PARTITION p CONCURRENTLY",
        "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p",
    ],
)
def test_flies_alone(query: str) -> None:
    assert classify(query).alone_only


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1",
        "CREATE INDEX i ON t (a)",
        "CREATE TABLE database (a int)",
        "DROP INDEX i",
        "ALTER DATABASE d SET work_mem = 1",
        "ALTER TABLE t SET TABLESPACE s",
        "ALTER TYPE e ADD VALUE 'x'",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
        "DISCARD PLANS",
        "CALL p()",
        "COMMIT",
        "",
    ],
)
def test_flies_with_others(query: str) -> None:
    assert not classify(query).alone_only


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("DISCARD ALL", True),
        ("deallocate all", True),
        ("deallocate /* all */ prepare all;", True),
        ("DEALLOCATE x", False),
        ("DEALLOCATE PREPARE x", False),
        ('DEALLOCATE "ALL"', False),
        ("SELECT 1; DISCARD ALL", True),
        ("DISCARD PLANS", False),
        ("DISCARD TEMP", False),
        ("SELECT 'DISCARD ALL'", False),
    ],
)
def test_drops_prepared_statements(query: str, expected: bool) -> None:
    assert classify(query).drops_prepared is expected


@given(st.text(alphabet="'\"$-/*\\eE&a1 \n();.:é", max_size=60))
def test_any_text_has_traits(query: str) -> None:
    traits = classify(query)
    assert traits.is_empty or traits.leaves_state
    assert repr(traits).startswith("StatementTraits(")


def test_long_statements_are_not_read_to_the_end() -> None:
    values = "INSERT INTO t VALUES " + ", ".join(f"({number}, 'x')" for number in range(200_000))
    started = time.perf_counter()
    traits = classify(values + ";\n")
    assert time.perf_counter() - started < 0.1
    assert (traits.keyword, traits.multiple, traits.leaves_state) == ("INSERT", False, True)
    reads = classify("SELECT a FROM t WHERE a IN (" + ", ".join(map(str, range(10_000))) + ")")
    assert (reads.keyword, reads.multiple, reads.leaves_state) == ("SELECT", False, True)


def test_long_texts_hide_no_second_statement() -> None:
    assert classify(f"SELECT 1, 2, 3, 4, 5, 6, 7, 8, 9, '{'x' * 20_000}'; COMMIT").multiple
    values = ", ".join(f"({number}, 'x;y', \"a;\", $$;$$, /* ; */ e'\\';') -- ;\n" for number in range(1000))
    for statement in (f"INSERT INTO t VALUES {values}", f"SELECT * FROM (VALUES {values}) t;; -- ;"):
        assert not classify(statement).multiple
        assert classify(f"{statement};/* ; */\n(SELECT 1)").multiple
        assert classify(f"{statement};/* ; */\ndiscard all").drops_prepared
    assert classify(f"/* {'x' * 20_000} */ COPY t FROM STDIN").copy_stdio
    assert classify(f"/* {'x' * 20_000} */ COMMIT").transaction_control == "end"
    assert not classify(f"/* {'x' * 20_000} */ SELECT 1").leaves_state


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("PREPARE a AS SELECT 1", True),
        ("/* a */ prepare transaction AS SELECT 1", True),
        ("PREPARE TRANSACTION 'a'", False),
        ("DO $$ BEGIN EXECUTE 'prepare a AS SELECT 1'; END $$", True),
        ("DO $$ BEGIN NULL; END $$", False),
        ("SELECT 'PREPARE a AS SELECT 1'", False),
        ("DEALLOCATE PREPARE a", False),
        ("EXECUTE a", False),
        ("", False),
    ],
)
def test_makes_prepared_statements(query: str, expected: bool) -> None:
    assert classify(query).makes_prepared is expected
