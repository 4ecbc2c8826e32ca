"""Several callers on one connection at once: each gets its own answer, in the order of the calls.

Cancelled callers and timeouts are in tests/shells.

Long, since its callers stand in a line that is made here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from tests._async.usable import ensure_idle, ensure_usable
from tests.concurrency import AsyncGroup, Started, async_fail_after, async_wait_until

LOCK = "SELECT pg_advisory_xact_lock($1)"
TEN_MEGABYTES = 10_000_000


class Line:
    """Calls on one connection, in a known order, behind a statement that waits until the line is opened."""

    def __init__(self, conn: Connection, gate: Connection, group: AsyncGroup) -> None:
        self._conn = conn
        self._gate = gate
        self._group = group
        self._key = gate.backend_pid

    async def shut(self) -> None:
        """Let a statement of the connection wait for a lock that the gate holds."""
        await self._conn.execute("SELECT 1", prepared=False)
        await self._gate.execute("SELECT pg_advisory_lock($1)", [self._key])
        await self.add(self._conn.execute, LOCK, [self._key])

    async def add(self, call: Callable[..., Any], *args: object, **kwargs: object) -> Started[Any]:
        """Start a call, and wait until it stands in the line."""
        session = self._conn.link.session
        before = len(session.flights) + len(session.queue)
        started: Started[Any] = self._group.start(call, *args, **kwargs)
        await async_wait_until(lambda: len(session.flights) + len(session.queue) > before)
        return started

    @property
    def sent(self) -> int:
        """How many of the calls were written to the server, the one that waits for the lock not counted."""
        return len(self._conn.link.session.flights) - 1

    async def open(self) -> None:
        assert await self._gate.fetch_val("SELECT pg_advisory_unlock($1)", [self._key])


@pytest.fixture
async def gate(dsn: str) -> AsyncIterator[Connection]:
    """A connection of another pool."""
    async with ConnectionPool(dsn, max_db_pool_size=1) as pool, pool.acquire() as gate:
        yield gate


@pytest.fixture
async def log(conn: Connection) -> str:
    """A table of `conn` that numbers its rows in the order of their insertion."""
    await conn.execute("CREATE TEMPORARY TABLE log (place serial, who int4)")
    return "log"


async def read_log(conn: Connection) -> list[int]:
    return [who for (who,) in (await conn.fetch("SELECT who FROM log ORDER BY place")).result(as_tuple=True)]


async def count_prepared(conn: Connection, like: str) -> int:
    count: int = await conn.fetch_val(
        "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE $1", [like]
    )
    return count


# Each caller its own answer


@pytest.mark.parametrize("prepared", [True, False])
async def test_200_at_once(conn: Connection, prepared: bool) -> None:
    async with AsyncGroup() as group:
        calls = [group.start(conn.fetch_val, "SELECT $1::int4", [n], prepared) for n in range(200)]
    assert [call.result() for call in calls] == list(range(200))
    await ensure_usable(conn)


async def test_200_texts_at_once(conn: Connection) -> None:
    async with AsyncGroup() as group:
        calls = [
            group.start(conn.fetch, f"SELECT $1::text AS name_{n}", [str(n)], n % 3 != 0) for n in range(200)
        ]
    assert [call.result().result() for call in calls] == [[{f"name_{n}": str(n)}] for n in range(200)]
    await ensure_usable(conn)


async def test_every_kind_of_call_at_once(conn: Connection, log: str) -> None:
    insert = f"INSERT INTO {log} (who) VALUES ($1)"
    async with AsyncGroup() as group:
        fetches, rows, values, nothings = [], [], [], []
        for n in range(20):
            group.start(conn.execute_many, insert, [[n], [n]])
            group.start(conn.execute_batch, f"INSERT INTO {log} (who) VALUES ({n}); SELECT 1")
            fetches.append(group.start(conn.fetch, "SELECT generate_series(1, $1) AS n", [n + 1]))
            rows.append(group.start(conn.fetch_row, f"SELECT $1::int4 + {n} AS sum", [n]))
            values.append(group.start(conn.fetch_val, "SELECT -$1::int4", [n], prepared=False))
            nothings.append(group.start(conn.fetch_val, "SELECT 1 WHERE $1::int4 < 0", [n], default=n))
            group.start(conn.execute, insert, [n])
    for n in range(20):
        assert fetches[n].result().result() == [{"n": i + 1} for i in range(n + 1)]
        assert rows[n].result().result() == {"sum": 2 * n}
        assert values[n].result() == -n
        assert nothings[n].result() == n
    assert sorted(await read_log(conn)) == sorted(list(range(20)) * 4)
    await ensure_usable(conn)


async def test_two_connections_do_not_share_a_line(
    conn: Connection, pool: ConnectionPool, gate: Connection
) -> None:
    async with AsyncGroup() as group:
        line = Line(conn, gate, group)
        await line.shut()
        waiting = await line.add(conn.fetch_val, "SELECT 1")
        async with pool.acquire() as other:
            assert await other.fetch_val("SELECT 2") == 2
        assert not waiting.done
        await line.open()
    assert waiting.result() == 1


# Order


@pytest.mark.parametrize("prepared", [True, False])
async def test_order_is_that_of_the_calls(
    conn: Connection, gate: Connection, log: str, prepared: bool
) -> None:
    insert = f"INSERT INTO {log} (who) VALUES ($1)"
    await conn.execute(insert, [-1], prepared)
    async with AsyncGroup() as group:
        line = Line(conn, gate, group)
        await line.shut()
        for n in range(30):
            await line.add(conn.execute, insert, [n], prepared)
        # Known texts don't wait for each other: all of them are on their way.
        assert line.sent == 30
        await line.open()
    assert await read_log(conn) == [-1, *range(30)]


async def test_order_of_first_uses_and_of_every_kind(conn: Connection, gate: Connection, log: str) -> None:
    known = f"INSERT INTO {log} (who) VALUES ($1)"
    await conn.execute(known, [-1])
    await conn.execute(known, [-1], prepared=False)
    async with AsyncGroup() as group:
        line = Line(conn, gate, group)
        await line.shut()
        for n in range(0, 42, 7):
            await line.add(conn.execute, known, [n])
            await line.add(conn.execute, f"INSERT INTO {log} (who) VALUES ($1 + {n})", [1])
            await line.add(conn.execute, known, [n + 2], prepared=False)
            await line.add(conn.execute, f"INSERT INTO {log} (who) VALUES ({n} + $1)", [3], prepared=False)
            await line.add(conn.execute_many, known, [[n + 4]])
            await line.add(conn.execute_batch, f"INSERT INTO {log} (who) VALUES ({n + 5})")
            await line.add(conn.fetch, f"INSERT INTO {log} (who) VALUES ({n + 6}) RETURNING who")
        # What can't be pipelined holds back what was called after it.
        assert line.sent == 2
        await line.open()
    assert await read_log(conn) == [-1, -1, *range(42)]


# Neighbours of what fails


FAILURES: list[tuple[str, object, type[exceptions.Error]]] = [
    ("SELECT 1 / $1::int4", [0], exceptions.DivisionByZero),
    ("SELECT no_such_column", None, exceptions.UndefinedColumn),
    ("SELEKT 1", None, exceptions.SyntaxError),
    ("SELECT $1::int4", ["no number"], exceptions.ParameterValueError),
    ("SELECT $1::int4", [1.5], exceptions.PyToRustValueMappingError),
    ("SELECT $1::int4", [], exceptions.ParameterValueError),
    ("SELECT 1; SELECT 2", None, exceptions.ProgrammingError),
    ("COPY (SELECT 1) TO STDOUT", None, exceptions.ProgrammingError),
]


@pytest.mark.parametrize("prepared", [True, False])
async def test_one_that_fails_hurts_no_other(
    conn: Connection, gate: Connection, log: str, prepared: bool
) -> None:
    insert = f"INSERT INTO {log} (who) VALUES ($1) RETURNING who"
    await conn.execute(insert, [-1], prepared)
    async with AsyncGroup(keep_errors=True) as group:
        line = Line(conn, gate, group)
        await line.shut()
        failing, fine = [], []
        for n, (text, parameters, error) in enumerate(FAILURES * 2):
            fine.append(await line.add(conn.fetch_val, insert, [n], prepared))
            # What can be refused at once never stands in the line.
            failing.append((group.start(conn.execute, text, parameters, prepared), error))
        await line.open()
    for call, error in failing:
        assert isinstance(call.error, error)
    assert [call.result() for call in fine] == list(range(2 * len(FAILURES)))
    # In which order isn't known where they are threads: a failing one may stand in the line in another's place.
    assert sorted(await read_log(conn)) == [-1, *range(2 * len(FAILURES))]
    await ensure_usable(conn)


async def test_failing_batches_hurt_no_other(conn: Connection, gate: Connection, log: str) -> None:
    insert = f"INSERT INTO {log} (who) VALUES ($1)"
    divide = f"INSERT INTO {log} (who) VALUES (1 / $1::int4)"
    async with AsyncGroup(keep_errors=True) as group:
        line = Line(conn, gate, group)
        await line.shut()
        await line.add(conn.execute_many, insert, [[1], [2]])
        row = await line.add(conn.execute_many, divide, [[1], [0], [1]])
        await line.add(conn.execute_many, insert, [[3]])
        batch = await line.add(conn.execute_batch, f"INSERT INTO {log} (who) VALUES (99); SELECT 1 / 0")
        await line.add(conn.execute_batch, f"INSERT INTO {log} (who) VALUES (4)")
        unfit = await line.add(conn.execute_many, insert, [[5], [1.5]])
        await line.add(conn.execute, insert, [6])
        await line.open()
    assert isinstance(row.error, exceptions.DivisionByZero)
    assert str(row.error).startswith("row 2: ")
    assert isinstance(batch.error, exceptions.DivisionByZero)
    assert isinstance(unfit.error, exceptions.PyToRustValueMappingError)
    assert await read_log(conn) == [1, 2, 3, 4, 6]
    await ensure_usable(conn)


# Preparing once


async def test_first_uses_at_once_prepare_once(conn: Connection) -> None:
    async with AsyncGroup() as group:
        calls = [group.start(conn.fetch_val, "SELECT 'once', $1::int4 * 2 AS n", [n]) for n in range(50)]
    assert {call.result() for call in calls} == {"once"}
    assert await count_prepared(conn, "SELECT 'once'%") == 1
    calls_of = "SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE statement LIKE $1"
    assert await conn.fetch_val(calls_of, ["SELECT 'once'%"]) == 50


async def test_two_callers_of_one_new_text(conn: Connection, gate: Connection) -> None:
    async with AsyncGroup() as group:
        line = Line(conn, gate, group)
        await line.shut()
        first = await line.add(conn.fetch_val, "SELECT 'two', $1::int4", [1])
        second = await line.add(conn.fetch, "SELECT 'two', $1::int4", [2])
        await line.open()
    assert first.result() == "two"
    assert second.result().result(as_tuple=True) == [("two", 2)]
    assert await count_prepared(conn, "SELECT 'two'%") == 1


async def test_first_use_that_fails_leaves_the_second_its_own_error(
    conn: Connection, gate: Connection
) -> None:
    async with AsyncGroup(keep_errors=True) as group:
        line = Line(conn, gate, group)
        await line.shut()
        calls = [await line.add(conn.fetch_val, "SELECT $1::no_such_type", ["x"]) for _ in range(3)]
        fine = await line.add(conn.fetch_val, "SELECT 1")
        await line.open()
    errors = [call.error for call in calls]
    assert all(isinstance(error, exceptions.UndefinedObject) for error in errors)
    assert len({id(error) for error in errors}) == 3
    assert fine.result() == 1
    assert await count_prepared(conn, "%no_such_type%") == 0


# Transactions


async def test_begin_and_commit_as_text_hold_back_what_follows(
    conn: Connection, pool: ConnectionPool, gate: Connection, table: str
) -> None:
    insert = f"INSERT INTO {table} (id) VALUES ($1)"
    for text in ("BEGIN", "COMMIT"):
        await conn.execute(text)
    await conn.execute(insert, [0])
    async with AsyncGroup() as group:
        line = Line(conn, gate, group)
        await line.shut()
        await line.add(conn.execute, insert, [1])
        await line.add(conn.execute, "BEGIN")
        await line.add(conn.execute, insert, [2])
        inside = await line.add(conn.fetch_val, f"SELECT count(*) FROM {table}")
        await line.add(conn.execute, "COMMIT")
        await line.add(conn.execute, insert, [3])
        # Nobody knows whether BEGIN will do before its answer is there.
        assert line.sent == 2
        await line.open()
    assert inside.result() == 3
    assert await pool.fetch_val(f"SELECT count(*) FROM {table}") == 4
    await ensure_usable(conn)


@pytest.mark.parametrize("prepared", [True, False])
async def test_error_in_a_transaction_as_text(
    conn: Connection, pool: ConnectionPool, gate: Connection, table: str, prepared: bool
) -> None:
    insert = f"INSERT INTO {table} (id) VALUES ($1)"
    async with AsyncGroup(keep_errors=True) as group:
        line = Line(conn, gate, group)
        await line.shut()
        before = await line.add(conn.execute, insert, [1], prepared)
        await line.add(conn.execute, "BEGIN", None, prepared)
        await line.add(conn.execute, insert, [2], prepared)
        failing = await line.add(conn.execute, "SELECT 1 / 0", None, prepared)
        behind = await line.add(conn.execute, insert, [3], prepared)
        end = await line.add(conn.execute, "COMMIT", None, prepared)
        after = await line.add(conn.execute, insert, [4], prepared)
        await line.open()
    assert before.error is None
    assert isinstance(failing.error, exceptions.DivisionByZero)
    assert isinstance(behind.error, exceptions.InFailedSqlTransaction)
    assert end.result().command_tag == "ROLLBACK"
    assert after.error is None
    assert (await pool.fetch(f"SELECT id FROM {table} ORDER BY id")).result(as_tuple=True) == [(1,), (4,)]
    await ensure_usable(conn)


async def test_in_transaction_waits_for_what_is_in_flight(conn: Connection, gate: Connection) -> None:
    async with AsyncGroup() as group:
        line = Line(conn, gate, group)
        await line.shut()
        await line.add(conn.execute, "BEGIN")
        inside = await line.add(conn.in_transaction)
        await line.add(conn.execute, "ROLLBACK")
        outside = await line.add(conn.in_transaction)
        await line.open()
    assert inside.result() is True
    assert outside.result() is False


async def test_callers_in_one_transaction(conn: Connection, pool: ConnectionPool, table: str) -> None:
    insert = f"INSERT INTO {table} (id) VALUES ($1)"
    async with conn.transaction() as transaction:
        async with AsyncGroup() as group:
            for n in range(10):
                group.start(transaction.execute, insert, [n])
                group.start(transaction.execute, f"{insert} -- {n}", [n], prepared=False)
                group.start(transaction.execute_many, insert, [[n], [n]])
                group.start(transaction.execute_batch, f"INSERT INTO {table} (id) VALUES ({n})")
        assert await pool.fetch_val(f"SELECT count(*) FROM {table}") == 0
        assert await transaction.fetch_val(f"SELECT count(*) FROM {table}") == 50
    assert await pool.fetch_val(f"SELECT count(DISTINCT xmin::text) FROM {table}") == 1
    await ensure_usable(conn)


async def test_first_statements_of_a_block_at_once(conn: Connection, table: str) -> None:
    # BEGIN travels with whichever comes first; if that fails, so do the others.
    insert = f"INSERT INTO {table} (id) VALUES ($1)"
    with pytest.raises(exceptions.DivisionByZero):
        async with conn.transaction() as transaction:
            async with AsyncGroup(keep_errors=True) as group:
                calls = [group.start(transaction.execute, "SELECT 1 / 0")]
                await async_wait_until(lambda: conn.link.session.transaction_status.name != "IDLE")
                calls += [group.start(transaction.execute, insert, [n]) for n in range(5)]
            assert all(isinstance(call.error, exceptions.InFailedSqlTransaction) for call in calls[1:])
            calls[0].result()
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 0
    await ensure_idle(conn)


# Much at once


@pytest.mark.parametrize("prepared", [True, False])
async def test_big_parameters_and_results(conn: Connection, prepared: bool) -> None:
    # The server stops reading while its answers aren't taken: whoever writes has to read as well.
    texts = [str(n) * TEN_MEGABYTES for n in range(4)]
    async with AsyncGroup() as group:
        calls = [group.start(conn.fetch_val, "SELECT $1::text", [text], prepared) for text in texts]
        small = [group.start(conn.fetch_val, "SELECT $1::int4", [n], prepared) for n in range(20)]
    # Not compared with ==, whose explanation would take minutes.
    assert all(call.result() == text for call, text in zip(calls, texts, strict=True))
    assert [call.result() for call in small] == list(range(20))
    await ensure_usable(conn)


async def test_big_batches(conn: Connection) -> None:
    await conn.execute("CREATE TEMPORARY TABLE big (n int4, body bytea)")
    bodies = [bytes([n]) * 1_000_000 for n in range(10)]
    insert = "INSERT INTO big VALUES ($1, $2) RETURNING body"
    script = "; ".join(["SELECT repeat('x', 1000000)"] * 10)
    async with AsyncGroup() as group:
        group.start(conn.execute_many, insert, list(enumerate(bodies)))
        group.start(conn.execute_batch, f"/* {'y' * TEN_MEGABYTES} */ {script}")
        back = group.start(conn.fetch, "SELECT body FROM big ORDER BY n")
    # Whichever came first.
    assert [row["body"] for row in back.result().result()] in ([], bodies)
    assert (await conn.fetch("SELECT body FROM big ORDER BY n")).result() == [
        {"body": body} for body in bodies
    ]
    await ensure_usable(conn)


async def test_many_rows_each(conn: Connection) -> None:
    with async_fail_after(30):
        async with AsyncGroup() as group:
            calls = [
                group.start(conn.fetch, "SELECT g, $1::int4 AS who FROM generate_series(1, 20000) g", [n])
                for n in range(8)
            ]
    for n, call in enumerate(calls):
        rows: list[Any] = call.result().result(as_tuple=True)
        assert len(rows) == 20_000
        assert rows[-1] == (20_000, n)
        assert {who for _, who in rows} == {n}


async def test_given_back_with_statements_on_the_way(dsn: str, gate: Connection, table: str) -> None:
    # Their callers get their answers, and the next user of the connection none of them.
    async with ConnectionPool(dsn, max_db_pool_size=1) as pool:
        async with AsyncGroup() as group:
            conn = await pool.connection()
            line = Line(conn, gate, group)
            await line.shut()
            insert = await line.add(conn.fetch_val, f"INSERT INTO {table} VALUES (7) RETURNING id")
            value = await line.add(conn.fetch_val, "SELECT 'first'")
            conn.close()
            following = group.start(pool.fetch_val, f"SELECT count(*) FROM {table}")
            await line.open()
        assert insert.result() == 7
        assert value.result() == "first"
        assert following.result() == 1


async def test_all_fail_when_the_backend_ends(
    conn: Connection, pool: ConnectionPool, gate: Connection
) -> None:
    async with AsyncGroup(keep_errors=True) as group:
        line = Line(conn, gate, group)
        await line.shut()
        sent = await line.add(conn.fetch_val, LOCK, [0])
        queued = [await line.add(conn.fetch_val, f"SELECT {n}") for n in range(3)]
        queued.append(await line.add(conn.execute_batch, "SELECT 1"))
        assert await pool.fetch_val("SELECT pg_terminate_backend($1)", [conn.backend_pid])
    assert isinstance(sent.error, exceptions.ConnectionLostError)
    assert sent.error.may_have_committed
    # The first of these is being prepared: that executes nothing.
    for call in queued:
        assert isinstance(call.error, exceptions.ConnectionLostError)
        assert call.error.safe_to_retry
        assert not call.error.may_have_committed
    assert conn.is_closed()
