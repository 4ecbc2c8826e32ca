"""Streams: rows as they arrive, outside and inside of transactions."""

from __future__ import annotations

import gc

import pytest

from psqlpy import Connection, ConnectionPool, Transaction, exceptions
from tests._async.usable import ensure_answers, ensure_usable
from tests.concurrency import AsyncEvent, AsyncGroup, async_sleep, async_wait_until

ROWS = "SELECT g FROM generate_series(1, $1::int4) AS g"
# Too much for any buffer on the way, and for a test to read.
ENDLESS = "SELECT generate_series(1, 100000000) AS g, repeat('x', 1000) AS t"


@pytest.mark.parametrize("count", [0, 7, 1000, 5_000])
@pytest.mark.parametrize("chunk_size", [1, 7, 1000])
async def test_every_row_in_order(conn: Connection, count: int, chunk_size: int) -> None:
    if chunk_size == 1:
        count = min(count, 500)
    found = [row async for row in conn.stream(ROWS, [count], chunk_size=chunk_size, as_tuple=True)]
    assert found == [(number,) for number in range(1, count + 1)]
    # A known statement right behind it, too: libpq's row mode is off again.
    for _ in range(2):
        await ensure_answers(conn)
    await ensure_usable(conn)


async def test_rows_are_dicts(conn: Connection) -> None:
    query = "SELECT $1::text AS t, NULL::int4 AS n, ARRAY[1, NULL] AS a, '1.50'::numeric AS d"
    [row] = [row async for row in conn.stream(query, ["é"])]
    assert row == (await conn.fetch_row(query, ["é"])).result()
    mapping = [row async for row in conn.stream("SELECT $(a)p::int4 AS a", {"a": 5})]
    assert mapping == [{"a": 5}]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT", [{}]),
        ("SELECT FROM generate_series(1, 3)", [{}, {}, {}]),
        ("SELECT 1 AS a WHERE false", []),
        ("SHOW standard_conforming_strings", [{"standard_conforming_strings": "on"}]),
        ("CREATE TEMP TABLE streamed (id int4)", []),
        ("", []),
    ],
)
async def test_peculiar_statements(conn: Connection, query: str, rows: list[object]) -> None:
    assert [row async for row in conn.stream(query)] == rows
    await ensure_usable(conn)


async def test_large_rows(conn: Connection) -> None:
    query = "SELECT g, repeat('x', 3000000) AS t FROM generate_series(1, 6) AS g"
    found = [(row["g"], len(row["t"])) async for row in conn.stream(query)]
    assert found == [(number, 3_000_000) for number in range(1, 7)]


@pytest.mark.parametrize("end", ["break", "close", "plain close", "block", "aclose"])
async def test_leaving_early(conn: Connection, end: str) -> None:
    pid = conn.backend_pid
    if end == "break":
        async for row in conn.stream(ENDLESS):
            assert row["g"] == 1
            break
    else:
        rows = conn.stream(ENDLESS)
        assert (await rows.__anext__())["g"] == 1
        if end == "close":
            await rows.close()
        elif end == "plain close":
            rows.close()
        elif end == "aclose":
            await rows.aclose()
        else:
            async with rows:
                assert (await rows.__anext__())["g"] == 2
        with pytest.raises(StopAsyncIteration):
            await rows.__anext__()
    await ensure_usable(conn)
    assert conn.backend_pid == pid


WRITING = (
    "INSERT INTO left_early SELECT g, repeat('x', 50) FROM generate_series(1, 20000) AS g RETURNING id, t"
)


@pytest.mark.parametrize("end", ["close", "drop"])
@pytest.mark.parametrize(
    "query", [WRITING, f"WITH written AS ({WRITING}) SELECT * FROM written"], ids=["INSERT", "WITH"]
)
async def test_a_statement_that_writes_is_stored_if_it_is_left_early(
    conn: Connection, query: str, end: str
) -> None:
    """Its rows come when all is written, and a cancel request is too late for it; they are dropped."""
    await conn.execute("CREATE TEMP TABLE left_early (id int4, t text)")
    stream = conn.stream(query)
    await stream.__anext__()
    if end == "close":
        await stream.close()
    else:
        del stream
        gc.collect()
    assert await conn.fetch_val("SELECT count(*) FROM left_early") == 20_000
    await ensure_usable(conn)


async def test_a_statement_that_writes_is_undone_if_it_is_left_before_its_first_row(conn: Connection) -> None:
    await conn.execute("CREATE TEMP TABLE left_early (id int4)")
    stream = conn.stream("INSERT INTO left_early SELECT 1 FROM pg_sleep(20) RETURNING id", timeout=0.2)
    with pytest.raises(exceptions.QueryTimeoutError):
        await stream.__anext__()
    assert await conn.fetch_val("SELECT count(*) FROM left_early") == 0
    await ensure_usable(conn)


async def test_a_dropped_stream_frees_the_connection(conn: Connection) -> None:
    rows = conn.stream(ENDLESS)
    await rows.__anext__()
    del rows
    gc.collect()
    await ensure_usable(conn)


@pytest.mark.parametrize(
    ("query", "parameters", "kind"),
    [
        ("SELECT 1/0", None, exceptions.DivisionByZero),
        ("SELEC", None, exceptions.SyntaxError),
        ("SELECT $1::int4", ["x"], exceptions.ParameterValueError),
        ("SELECT $1::int4", None, exceptions.ParameterValueError),
        ("SELECT 1; SELECT 2", None, exceptions.ProgrammingError),
        ("COPY pg_class TO STDOUT", None, exceptions.ProgrammingError),
        ("BEGIN", None, exceptions.ProgrammingError),
        ("DISCARD ALL", None, exceptions.ProgrammingError),
    ],
)
async def test_errors_before_the_first_row(
    conn: Connection, query: str, parameters: list[object] | None, kind: type[Exception]
) -> None:
    rows = conn.stream(query, parameters)
    with pytest.raises(kind):
        await rows.__anext__()
    with pytest.raises(StopAsyncIteration):
        await rows.__anext__()
    await ensure_usable(conn)


async def test_an_error_in_the_middle(conn: Connection) -> None:
    count = 0
    with pytest.raises(exceptions.DivisionByZero):
        async for _ in conn.stream("SELECT 1/(5000 - g) FROM generate_series(1, 10000) AS g", chunk_size=100):
            count += 1
    assert count == 4999
    await ensure_usable(conn)


async def test_a_value_that_cannot_be_decoded(conn: Connection) -> None:
    with pytest.raises(exceptions.DataError):
        async for _ in conn.stream("SELECT 'infinity'::date FROM generate_series(1, 100000)"):
            pass
    await ensure_usable(conn)


async def test_a_statement_of_the_reader_is_refused_instead_of_waiting_for_ever(conn: Connection) -> None:
    rows = conn.stream(ENDLESS)
    await rows.__anext__()
    with pytest.raises(exceptions.InterfaceError, match="a stream is being read"):
        await conn.execute("SELECT 1")
    assert (await rows.__anext__())["g"] == 2
    await rows.close()
    await ensure_usable(conn)


async def test_a_statement_is_refused_too_when_the_reader_has_ended(conn: Connection) -> None:
    rows = conn.stream(ENDLESS, chunk_size=10)

    async def read() -> None:
        await rows.__anext__()

    async with AsyncGroup() as group:
        group.start(read)
    with pytest.raises(exceptions.InterfaceError, match="a stream is being read"):
        await conn.execute("SELECT 1")
    for expected in range(2, 20):
        assert (await rows.__anext__())["g"] == expected
    await rows.close()
    await ensure_usable(conn)


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("first", [True, False])
async def test_closed_by_another_than_who_waits_for_rows(conn: Connection, inside: bool, first: bool) -> None:
    query = "SELECT g, pg_sleep(CASE g WHEN $1 THEN $2::float8 ELSE 0 END) FROM generate_series(1, 2005) AS g"
    # In a transaction the rows that are being fetched are waited for: cancelling would abort it.
    parameters = [1 if first else 1001, 0.3 if inside else 30]
    if inside:
        await conn.execute("BEGIN")
    rows = conn.stream(query, parameters, chunk_size=1000)
    begun = AsyncEvent()
    seen: list[int] = []

    async def read() -> None:
        if first:
            begun.set()
        async for row in rows:
            seen.append(row["g"])
            if row["g"] == 300:
                begun.set()

    async with AsyncGroup() as group:
        group.start(read)
        await begun.wait()
        await async_sleep(0.1)
        await rows.close()
    assert len(seen) == 0 if first else 300 <= len(seen) <= 1000
    if inside:
        await conn.execute("ROLLBACK")
    await ensure_usable(conn)


async def test_closed_after_its_connection_was_given_back(pool: ConnectionPool) -> None:
    async with pool.acquire() as conn:
        rows = conn.stream(ENDLESS)
        await rows.__anext__()
    await rows.close()
    with pytest.raises(StopAsyncIteration):
        await rows.__anext__()


async def test_rows_of_nulls(conn: Connection) -> None:
    rows = conn.stream(
        "SELECT NULL::int4, NULL::text, NULL::bool FROM generate_series(1, $1)", [1500], as_tuple=True
    )
    assert [row async for row in rows] == [(None, None, None)] * 1500
    await ensure_usable(conn)


async def test_statements_of_others_wait(conn: Connection) -> None:
    total = 30_000
    begun = AsyncEvent()
    seen: list[int] = []

    async def read() -> None:
        async for row in conn.stream(ROWS, [total], as_tuple=True):
            seen.append(row[0])
            begun.set()

    async def ask() -> int:
        await begun.wait()
        await conn.execute("SELECT 1")
        return len(seen)

    async with AsyncGroup() as group:
        group.start(read)
        asked = [group.start(ask) for _ in range(3)]
    assert len(seen) == total
    # They may be answered while the last chunk is still handed out.
    assert all(one.result() > total - 1000 for one in asked)
    await ensure_usable(conn)


async def test_a_stream_that_two_read(conn: Connection) -> None:
    rows = conn.stream("SELECT g, pg_sleep(0.2) FROM generate_series(1, 2) AS g")
    reading = AsyncEvent()

    async def read() -> int:
        reading.set()
        return sum([1 async for _ in rows])

    async with AsyncGroup() as group:
        count = group.start(read)
        await reading.wait()
        await async_wait_until(lambda: "open" in repr(rows))
        with pytest.raises(exceptions.InterfaceError, match="being read elsewhere"):
            await rows.__anext__()
    assert count.result() == 2
    await ensure_usable(conn)


async def test_two_streams_on_one_connection_follow_each_other(conn: Connection) -> None:
    async def read() -> int:
        return sum([1 async for _ in conn.stream(ROWS, [5_000])])

    async with AsyncGroup() as group:
        counts = [group.start(read) for _ in range(3)]
    assert [count.result() for count in counts] == [5_000] * 3


async def test_in_a_transaction_statements_come_in_between(conn: Connection, table: str) -> None:
    async with conn.transaction() as transaction:
        async for row in transaction.stream(ROWS, [10], chunk_size=3):
            await transaction.execute(f"INSERT INTO {table} VALUES ($1, 'x')", [row["g"]])
            if row["g"] == 8:
                break
        await assert_no_cursor(transaction)
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 8
    await conn.execute("BEGIN")
    assert sum([1 async for _ in conn.stream(ROWS, [5000])]) == 5000
    rows = conn.stream(ROWS, [5000])
    await rows.__anext__()
    await rows.close()
    assert await conn.in_transaction()
    await conn.execute("COMMIT")
    await ensure_usable(conn)


async def assert_no_cursor(transaction: Transaction) -> None:
    assert await transaction.fetch_val("SELECT count(*) FROM pg_cursors WHERE name <> ''") == 0


async def test_nothing_stays_of_a_stream_on_a_connection_given_back(pool: ConnectionPool) -> None:
    pool.resize(1)
    # Threads have nobody to leave it to: a server that doesn't end the stream within a tenth of a second costs the
    # connection, not each time.
    for _ in range(5):
        async with pool.acquire() as conn:
            pid = conn.backend_pid
            rows = conn.stream(ENDLESS)
            await rows.__anext__()
        async with pool.acquire() as conn:
            await ensure_usable(conn)
            if conn.backend_pid == pid:
                break
    else:
        pytest.fail("a connection is never kept")
    with pytest.raises(exceptions.ConnectionClosedError):
        async for _ in rows:
            pass


async def test_a_slow_statement_is_cut_at_its_timeout(conn: Connection) -> None:
    # The server sends rows when it has 8 kB of them.
    query = "SELECT g, repeat('x', 20000), pg_sleep(CASE g WHEN 5 THEN 20 ELSE 0 END) FROM generate_series(1, 5) AS g"
    found: list[int] = []
    with pytest.raises(exceptions.QueryTimeoutError):
        async for row in conn.stream(query, timeout=0.5):
            found.append(row["g"])
    assert found
    # In threads a statement that doesn't end at once may cost the connection, never the caller's time.
    if not conn.is_closed():
        await ensure_usable(conn)


async def test_a_lost_connection(conn: Connection, observer: ConnectionPool) -> None:
    rows = conn.stream(ENDLESS, chunk_size=10)
    await rows.__anext__()
    await observer.execute("SELECT pg_terminate_backend($1)", [conn.backend_pid])
    with pytest.raises(exceptions.ConnectionClosedError):
        async for _ in rows:
            pass
    assert conn.is_closed()


async def test_the_server_waits_for_a_slow_reader(conn: Connection, observer: ConnectionPool) -> None:
    rows = conn.stream(ENDLESS, chunk_size=10)
    await rows.__anext__()
    pid = conn.backend_pid

    async def is_waiting() -> bool:
        event = await observer.fetch_val("SELECT wait_event FROM pg_stat_activity WHERE pid = $1", [pid])
        return bool(event == "ClientWrite")

    await async_wait_until(is_waiting)
    await rows.close()
    await ensure_usable(conn)


async def test_wrong_arguments(conn: Connection) -> None:
    with pytest.raises(exceptions.ParameterTypeError):
        conn.stream(ROWS, [1], chunk_size="1")  # type: ignore[call-overload]
    with pytest.raises(exceptions.ParameterValueError):
        conn.stream(ROWS, [1], chunk_size=0)
    assert repr(conn.stream(ROWS)) == "<RowStream new>"
