"""Transaction.pipeline and Connection.pipeline: results in order, few round trips, and what an error leaves behind."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from psqlpy._protocol.request import Request
from psqlpy._protocol.session import Session
from tests._async.usable import ensure_one_transaction, ensure_usable

pytestmark = pytest.mark.loops(2)


@pytest.fixture
def flights(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Every flight that is sent from now on."""
    sent: list[Request] = []
    fly = Session.fly

    def count(session: Session, request: Request, flushed: int) -> None:
        sent.append(request)
        fly(session, request, flushed)

    monkeypatch.setattr(Session, "fly", count)
    return sent


async def count_rows(pool: ConnectionPool, table: str) -> int:
    """What another session sees."""
    count: int = await pool.fetch_val(f"SELECT count(*) FROM {table}")
    return count


@pytest.mark.parametrize("prepared", [None, True, False])
async def test_results_come_in_order(
    conn: Connection, pool: ConnectionPool, table: str, prepared: bool | None
) -> None:
    queries: list[tuple[Any, ...]] = [
        (f"INSERT INTO {table} VALUES ($1, $2) RETURNING id", [1, "a"]),
        (f"INSERT INTO {table} VALUES ($(id)p, $(name)p)", {"id": 2, "name": "b"}),
        (f"SELECT id, name FROM {table} ORDER BY id",),
        ("SELECT date '2024-02-03' AS day, $1::int4 AS n", (5,)),
        ("SELECT 1 WHERE false", None),
        (f"SELECT id, name FROM {table} ORDER BY id", []),
        ("", None),
    ]
    for executor in (conn, pool):
        async with executor.transaction() as transaction:
            results = await transaction.pipeline(queries, prepared)
            rows = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
            assert [result.rowcount for result in results] == [1, 1, 2, 1, 0, 2, -1]
            assert results[0].result() == [{"id": 1}]
            assert results[2].result() == results[5].result() == rows
            assert results[3].result()[0]["n"] == 5
            await ensure_one_transaction(transaction)
            await ensure_usable(transaction)
        assert await count_rows(pool, table) == 2
        await pool.execute(f"DELETE FROM {table}")
    assert len(await conn.pipeline(queries, prepared)) == len(queries)
    assert await count_rows(pool, table) == 2
    await ensure_usable(conn)


@pytest.mark.parametrize("queries", [None, [], ()])
async def test_no_queries(conn: Connection, flights: list[Request], queries: Any) -> None:
    async with conn.transaction() as transaction:
        assert await transaction.pipeline(queries) == []
        assert await transaction.pipeline() == []
    assert await conn.pipeline(queries) == []
    assert flights == []
    await ensure_usable(conn)


async def test_round_trips(conn: Connection, flights: list[Request]) -> None:
    queries = [("SELECT $1::int4 + 1", [number]) for number in range(50)]
    queries += [(f"SELECT {number}", []) for number in range(20)]
    for expected in (2, 1):
        flights.clear()
        async with conn.transaction() as transaction:
            results = await transaction.pipeline(queries)
            # BEGIN with the first, COMMIT later.
            assert len(flights) == expected
            await ensure_one_transaction(transaction)
        assert [result.result(as_tuple=True)[0][0] for result in results] == [*range(1, 51), *range(20)]
    await ensure_usable(conn)


async def test_a_text_may_depend_on_what_is_executed_before_it(conn: Connection, table: str) -> None:
    queries = [
        (f"ALTER TABLE {table} ADD extra int4",),
        (f"INSERT INTO {table} (extra) VALUES ($1)", [5]),
        ("SET LOCAL application_name = 'a'",),
        (f"ALTER TABLE {table} ALTER extra TYPE text",),
        (f"SELECT extra FROM {table}",),
        (f"DROP TABLE {table}",),
    ]
    results = await conn.pipeline(queries)
    assert results[4].result() == [{"extra": "5"}]
    assert await conn.fetch_val("SELECT to_regclass($1)::text", [table]) is None
    await ensure_usable(conn)


WRONG: list[tuple[tuple[str, list[Any]], type[exceptions.Error]]] = [
    (("SELECT 1 / $1::int4", [0]), exceptions.DivisionByZero),
    (("SELEC", []), exceptions.SyntaxError),
    (("SELECT $1::int4", ["abc"]), exceptions.ParameterValueError),
    (("SELECT $1::int4", [1.5]), exceptions.ParameterTypeError),
    (("SELECT $1::int4", [1, 2]), exceptions.ParameterValueError),
    (("SELECT 1; SELECT 2", []), exceptions.ProgrammingError),
    (("COPY pg_class TO STDOUT", []), exceptions.ProgrammingError),
]


@pytest.mark.parametrize(("prepared", "known"), [(True, False), (True, True), (False, True)])
async def test_an_error_names_the_query_and_rolls_back(
    conn: Connection, pool: ConnectionPool, table: str, prepared: bool, known: bool
) -> None:
    insert = (f"INSERT INTO {table} VALUES ($1)", [1])
    for wrong, error in WRONG:
        if known:
            await conn.pipeline([insert, ("SELECT 1 / $1::int4", [1]), ("SELECT $1::int4", [1])], prepared)
            await conn.execute(f"DELETE FROM {table}")
        queries = [insert, insert, wrong, insert]
        async with conn.transaction() as transaction:
            await transaction.execute(*insert)
            with pytest.raises(error, match="^query 3: "):
                await transaction.pipeline(queries, prepared)
            assert transaction.is_closed()
            with pytest.raises(exceptions.TransactionFinishedError):
                await transaction.execute("SELECT 1")
        assert not await conn.in_transaction()
        with pytest.raises(error, match="^query 3: "):
            await conn.pipeline(queries, prepared)
        transaction = conn.transaction()
        await transaction.begin()
        with pytest.raises(error, match="^query 1: "):
            await transaction.pipeline([wrong], prepared)
        assert await count_rows(pool, table) == 0
    await ensure_usable(conn)


async def test_an_error_on_a_connection_in_a_transaction_is_undone_by_itself(
    conn: Connection, pool: ConnectionPool, table: str
) -> None:
    insert = (f"INSERT INTO {table} VALUES ($1)", [1])
    async with conn.transaction() as transaction:
        await transaction.execute(*insert)
        with pytest.raises(exceptions.DivisionByZero):
            await conn.pipeline([insert, ("SELECT 1 / 0",)])
        await ensure_usable(transaction)
        assert len(await conn.pipeline([insert, insert])) == 2
    assert await count_rows(pool, table) == 3
    await ensure_usable(conn)


async def test_statements_known_from_a_failed_pipeline_stay_usable(conn: Connection) -> None:
    for _ in range(2):
        with pytest.raises(exceptions.SyntaxError):
            await conn.pipeline([("SELECT 11",), ("SELECT 12",), ("SELEC",), ("SELECT 13",)])
        async with conn.transaction() as transaction:
            for number in (11, 12, 13):
                assert await transaction.fetch_val(f"SELECT {number}") == number
    await ensure_usable(conn)


async def test_types_that_have_changed_since(conn: Connection, pool: ConnectionPool, table: str) -> None:
    insert = f"INSERT INTO {table} (id) VALUES ($1) RETURNING id"
    assert len(await conn.pipeline([(insert, [1]), (insert, [2])])) == 2
    await pool.execute(f"ALTER TABLE {table} ALTER id TYPE numeric")
    results = await conn.pipeline([("SELECT 1",), (insert, [Decimal("1.5")]), (insert, [2])])
    assert [result.result() for result in results[1:]] == [[{"id": Decimal("1.5")}], [{"id": Decimal(2)}]]
    await pool.execute(f"ALTER TABLE {table} ALTER id TYPE text")
    # Only the server sees that this doesn't fit any more; asking again would need another transaction.
    with pytest.raises(exceptions.DatabaseError, match="query 2: "):
        await conn.pipeline([("SELECT 1",), (insert, ["c"])])
    assert (await conn.pipeline([(insert, ["c"])]))[0].result() == [{"id": "c"}]
    await ensure_usable(conn)


@pytest.mark.parametrize("prepared", [None, False])
async def test_statements_that_are_dropped_on_the_way(conn: Connection, prepared: bool | None) -> None:
    queries = [("SELECT 1 AS a",), ("DEALLOCATE ALL",), ("SELECT 2 AS a",), ("SELECT 1 AS a",)]
    for _ in range(2):
        results = await conn.pipeline(queries, prepared)
        assert [result.result() for result in results] == [[{"a": 1}], [], [{"a": 2}], [{"a": 1}]]
    await ensure_usable(conn)


async def test_more_statements_than_are_kept(conn: Connection) -> None:
    queries = [(f"SELECT {number} AS one_of_many",) for number in range(400)]
    # One that is too long to be kept, twice.
    long = f"SELECT $1::int4 /* {'x' * 20_000} */"
    queries_and_long: list[Any] = [*queries, (long, [1]), (long, [2])]
    for _ in range(2):
        results = await conn.pipeline(queries_and_long)
        values = [result.result(as_tuple=True)[0][0] for result in results]
        assert values == [*range(400), 1, 2]
        await ensure_usable(conn)
    left = await conn.fetch_val("SELECT count(*) FROM pg_prepared_statements")
    assert left < 300


async def test_big_results_and_parameters(conn: Connection) -> None:
    text = "x" * 1_000_000
    queries = [("SELECT length($1::text), repeat('y', 1000000) AS y", [text])] * 12
    results = await conn.pipeline(queries)
    for result in results:
        [row] = result.result()
        assert row["length"] == len(row["y"]) == 1_000_000
    await ensure_usable(conn)


MALFORMED: list[tuple[Any, str]] = [
    ("SELECT 1", "takes a list of queries, not str"),
    ({"SELECT 1": []}, "not dict"),
    (5, "not int"),
    (["SELECT 1"], "query 1: .* not a str"),
    ([("SELECT 1",), ()], "query 2: .* not a tuple of 0"),
    ([("SELECT 1", [], True)], "query 1: .* not a tuple of 3"),
    ([(5,)], "query 1: "),
    ([("SELECT $1::int4", 5)], "query 1: "),
    ([("SELECT $(a)p::int4", {"b": 5})], "query 1: .*<a>"),
]


async def test_malformed_queries(conn: Connection) -> None:
    for queries, said in MALFORMED:
        async with conn.transaction() as transaction:
            with pytest.raises(exceptions.PyToRustValueMappingError, match=said):
                await transaction.pipeline(queries)
            # Nothing was sent: it goes on.
            await ensure_one_transaction(transaction)
        with pytest.raises(exceptions.PyToRustValueMappingError, match=said):
            await conn.pipeline(queries)
    await ensure_usable(conn)


@pytest.mark.loops(3)
@pytest.mark.parametrize("prepared", [True, False])
async def test_timeout_rolls_back(conn: Connection, pool: ConnectionPool, table: str, prepared: bool) -> None:
    queries = [(f"INSERT INTO {table} VALUES (1)",), ("SELECT pg_sleep(20)",), ("SELECT 1",)]
    async with conn.transaction() as transaction:
        with pytest.raises(exceptions.QueryTimeoutError):
            await transaction.pipeline(queries, prepared, timeout=0.2)
        assert transaction.is_closed()
    with pytest.raises(exceptions.QueryTimeoutError):
        await conn.pipeline(queries, prepared, timeout=0.2)
    assert await count_rows(pool, table) == 0
    await ensure_usable(pool)


async def test_states(conn: Connection) -> None:
    transaction = conn.transaction()
    with pytest.raises(exceptions.TransactionBeginError, match="not started"):
        await transaction.pipeline([("SELECT 1",)])
    await transaction.begin()
    assert len(await transaction.pipeline([("SELECT 1",)])) == 1
    await transaction.commit()
    with pytest.raises(exceptions.TransactionFinishedError):
        await transaction.pipeline([("SELECT 1",)])
    await ensure_usable(conn)


async def test_begin_that_fails(conn: Connection, pool: ConnectionPool, table: str) -> None:
    transaction = conn.transaction()
    transaction._begin = (b"START TRANSACTION ISOLATION LEVEL NONE",)
    async with transaction:
        with pytest.raises(exceptions.TransactionBeginError):
            await transaction.pipeline([(f"INSERT INTO {table} VALUES (1)",)])
    assert await count_rows(pool, table) == 0
    await ensure_usable(conn)
