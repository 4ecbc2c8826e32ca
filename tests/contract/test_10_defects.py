"""The defects of the Rust driver that are none here, one test each; those of types, cursors and COPY are with these."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import Any

import pytest

from psqlpy import Connection, ConnectionPool, IsolationLevel, exceptions
from tests._async.usable import ensure_usable


async def test_defect_3_verify_falls_back_to_plain_text(dsn: str) -> None:
    async with ConnectionPool(dsn, ssl_mode="verify-full") as pool:
        with pytest.raises(exceptions.BaseConnectionPoolError):
            await pool.startup()


async def test_defect_4_connections_returned_with_open_transactions(
    dsn: str, observer: ConnectionPool, table: str
) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1) as pool:
        async with pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.begin()
            await connection.execute(f"INSERT INTO {table} VALUES (1)")
            await connection.execute("SET search_path TO pg_catalog")
        assert await pool.fetch_val(f"SELECT count(*) FROM {table}") == 0
    assert await observer.fetch_val(f"SELECT count(*) FROM {table}") == 0


async def test_defect_8_no_cancel_on_the_server(conn: Connection, observer: ConnectionPool) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(conn.execute("SELECT pg_sleep(30)"), 0.1)
    begun = time.monotonic()
    await ensure_usable(conn)
    assert time.monotonic() - begun < 10


async def test_defect_8_no_acquire_timeout_and_cancelled_waiters_counted(dsn: str) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1, acquire_timeout=0.02) as pool, pool.acquire():
        for _ in range(3):
            with pytest.raises(exceptions.PoolTimeoutError):
                await pool.fetch_val("SELECT 1")
        assert pool.status().waiting == 0


async def test_defect_9_no_sqlstate_and_one_class_for_all(conn: Connection) -> None:
    with pytest.raises(exceptions.UndefinedTable) as caught:
        await conn.execute("TABLE no_such_table")
    assert caught.value.sqlstate == "42P01"
    assert isinstance(caught.value, exceptions.ProgrammingError)


async def test_defect_10_commit_of_an_aborted_transaction_reported_as_success(conn: Connection) -> None:
    transaction = conn.transaction()
    await transaction.begin()
    with pytest.raises(exceptions.DivisionByZero):
        await transaction.execute("SELECT 1 / 0")
    with pytest.raises(exceptions.TransactionCommitError):
        await transaction.commit()
    await ensure_usable(conn)


async def test_defect_10_commit_in_the_block_raises_after_success(conn: Connection, table: str) -> None:
    async with conn.transaction() as transaction:
        await transaction.execute(f"INSERT INTO {table} VALUES (1)")
        await transaction.commit()
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 1


async def test_defect_12_is_closed_inverted_and_in_transaction_wrong(pool: ConnectionPool) -> None:
    connection = await pool.connection()
    assert not connection.is_closed()
    await connection.execute("BEGIN")
    assert await connection.in_transaction()
    connection.close()
    assert connection.is_closed()


async def test_defect_12_too_many_parameters_ignored(conn: Connection) -> None:
    with pytest.raises(exceptions.PyToRustValueMappingError, match="takes 1 parameter, 2 given"):
        await conn.execute("SELECT $1::int4", [1, 2])


async def test_defect_12_placeholders_replaced_in_literals(conn: Connection) -> None:
    assert await conn.fetch_val("SELECT '$(a)p' || $(a)p", {"a": "x"}) == "$(a)px"


async def test_defect_12_injection_by_savepoint_names(conn: Connection, table: str) -> None:
    async with conn.transaction() as transaction:
        name = f"a; DROP TABLE {table}"
        await transaction.create_savepoint(name)
        await transaction.rollback_savepoint(name)
        await transaction.release_savepoint(name)
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 0


async def test_defect_13_statement_cache_unbounded(conn: Connection) -> None:
    for number in range(300):
        await conn.execute(f"SELECT {number}")
    assert await conn.fetch_val("SELECT count(*) FROM pg_prepared_statements") < 300


async def test_defect_13_statement_cache_never_invalidated(conn: Connection, table: str) -> None:
    for change in (f"ALTER TABLE {table} DROP name", "DEALLOCATE ALL", "DISCARD ALL"):
        await conn.execute(f"TABLE {table}")
        await conn.execute(change)
        await conn.execute(f"TABLE {table}")


async def test_defect_13_prepared_false_prepares(conn: Connection) -> None:
    await conn.execute("SELECT $1::int4", [4711], prepared=False)
    text = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%::int4'"
    assert await conn.fetch_val(text, prepared=False) == 0


async def test_defect_14_copy_by_execute_kills_the_connection(conn: Connection) -> None:
    pid = conn.backend_pid
    for text in ("COPY pg_class TO STDOUT", "/* a */ copy (SELECT 1) to stdout"):
        for prepared in (True, False):
            with pytest.raises(exceptions.ProgrammingError):
                await conn.execute(text, None, prepared)
    assert conn.backend_pid == pid
    await ensure_usable(conn)


EXITS = """
import asyncio, sys, threading
from psqlpy import ConnectionPool, sync

async def main():
    pool = ConnectionPool(sys.argv[1])
    connection = await pool.connection()
    transaction = connection.transaction()
    await transaction.begin()
    listener = pool.listener()
    await listener.startup()
    listener.listen()
    running = asyncio.ensure_future(connection.execute("SELECT pg_sleep(30)"))
    await asyncio.sleep(0.05)
    kept.extend([pool, connection, transaction, listener, running])

kept = []
asyncio.run(main())
lent = sync.ConnectionPool(sys.argv[1])
threading.Thread(target=lent.execute, args=["SELECT pg_sleep(30)"], daemon=True).start()
while not lent.status().size:
    pass
kept.append(lent.connection())
print("the end")
"""


def test_defect_15_abort_at_interpreter_exit(dsn: str) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", EXITS, dsn],
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )
    # What a thread is told that loses its connection at that moment is no matter.
    assert (run.returncode, run.stdout) == (0, "the end\n"), run.stderr
    assert "Fatal" not in run.stderr


def test_defect_16_enums_are_integers_of_another_number() -> None:
    assert IsolationLevel.Serializable.value == "SERIALIZABLE"
    assert IsolationLevel["Serializable"] is IsolationLevel.Serializable


async def test_defect_16_pipeline_refuses_its_documented_none(conn: Connection) -> None:
    async with conn.transaction() as transaction:
        [result] = await transaction.pipeline([("SELECT 1 AS a", None)])
        assert result.result() == [{"a": 1}]


async def test_defect_16_awaiting_a_transaction(conn: Connection) -> None:
    with pytest.raises(TypeError, match="async with"):
        await conn.transaction()


async def test_defect_17_decoding_stalls_the_event_loop_for_long(conn: Connection) -> None:
    # What it took there for this many rows; a bound that a slow machine keeps, too.
    result = await conn.execute("SELECT n AS id, 'row' AS name FROM generate_series(1, 100000) n")
    begun = time.monotonic()
    rows: list[dict[str, Any]] = result.result()
    assert time.monotonic() - begun < 2
    assert len(rows) == 100_000


async def test_a_default_instead_of_an_error_for_no_row(conn: Connection) -> None:
    assert await conn.fetch_row("SELECT 1 WHERE false", default=None) is None
    assert await conn.fetch_val("SELECT 1 WHERE false", default=0) == 0
