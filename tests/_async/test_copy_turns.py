"""COPY in the middle: statements that its own caller makes then, refusals of the server, sources that break off."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from tests._async.usable import ensure_answers, ensure_usable
from tests.concurrency import AsyncGroup

MANY = "SELECT g, repeat('x', 100) FROM generate_series(1, 20000) AS g"
REFUSED = "COPY is under way on this connection: use another one"


async def test_a_statement_of_the_loops_own_body_is_refused(conn: Connection, pool: ConnectionPool) -> None:
    seen = 0
    async for _ in conn.copy_out(query=MANY):
        if not seen:
            for call in (conn.execute, conn.execute_batch):
                with pytest.raises(exceptions.InterfaceError, match=REFUSED) as caught:
                    await call("SELECT 1")
                assert caught.value.safe_to_retry
            assert await pool.fetch_val("SELECT 3") == 3
        seen += 1
    assert seen == 20_000
    await ensure_usable(conn)


async def test_a_statement_of_the_source_is_refused(conn: Connection, table: str) -> None:
    async def source() -> AsyncGenerator[tuple[int, str], None]:
        # Nothing has been sent yet.
        assert await conn.fetch_val("SELECT 1") == 1
        for number in range(20_000):
            yield number, "x"
        await conn.fetch_val("SELECT 1")

    async with aclosing(source()) as records:
        with pytest.raises(exceptions.InterfaceError, match=REFUSED):
            await conn.copy_records_to_table(table, records)
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 0
    await ensure_usable(conn)


async def test_a_statement_of_the_destination_is_refused(conn: Connection) -> None:
    async def destination(_: bytes) -> None:
        await conn.fetch_val("SELECT 1")

    with pytest.raises(exceptions.InterfaceError, match=REFUSED):
        await conn.copy_out(query=MANY, destination=destination)
    await ensure_usable(conn)


async def test_statements_of_others_wait(conn: Connection) -> None:
    order: list[object] = []

    async def ask() -> None:
        order.append(await conn.fetch_val("SELECT 7"))

    async with AsyncGroup() as group, conn.copy_out(query=MANY) as copy:
        await copy.__anext__()
        group.start(ask)
        async for number, _ in copy:
            if number == 20_000:
                order.append("the last row")
    assert order == ["the last row", 7]


@pytest.mark.parametrize("records", [False, True], ids=["data", "records"])
async def test_a_refusal_ends_the_reading_of_the_source(conn: Connection, table: str, records: bool) -> None:
    """The source never ends: the server's error is seen before its end, or this never ends either."""
    taken = 0

    def source() -> Iterator[Any]:
        nonlocal taken
        yield (1, "fits") if records else b"1\tfits\n"
        yield (1, "the same key") if records else b"no number\tx\n"
        while True:
            taken += 1
            yield (taken + 1, "x" * 1000) if records else f"{taken + 1}\t{'x' * 1000}\n".encode()

    await conn.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (id)")
    with pytest.raises(exceptions.UniqueViolation if records else exceptions.DataError):
        await conn.copy_in(table, source(), timeout=20)
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 0
    await ensure_usable(conn)


async def test_notices_are_no_refusal(conn: Connection, table: str) -> None:
    await conn.execute_batch(f"""
        CREATE FUNCTION pg_temp.tell() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE WARNING 'E: row % SERROR', NEW.id; RETURN NEW; END $$;
        CREATE TRIGGER tell BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION pg_temp.tell();
    """)
    assert await conn.copy_in(table, (f"{number}\t{'x' * 100}\n" for number in range(3000))) == 3000
    with pytest.raises(exceptions.DataError):
        await conn.copy_in(table, (f"{'x' if number == 2000 else number}\tx\n" for number in range(3000)))
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 3000


async def test_an_iteration_that_nobody_refers_to_any_more(conn: Connection) -> None:
    async for row in conn.copy_out(query=MANY):
        assert row[0] == 1
        break
    gc.collect()
    await ensure_answers(conn)
    await ensure_usable(conn)


async def test_streams_and_copies_take_turns(conn: Connection, table: str) -> None:
    for _ in range(3):
        rows = conn.stream("SELECT g FROM generate_series(1, 3000) AS g", chunk_size=100)
        await rows.__anext__()
        await rows.close()
        assert await conn.copy_records_to_table(table, [(1, "x")] * 3000) == 3000
        assert sum([1 async for _ in conn.copy_out(table)]) % 3000 == 0
        assert len([1 async for _ in conn.stream(f"SELECT * FROM {table}")]) % 3000 == 0
    await ensure_usable(conn)


async def test_giving_back_ends_a_copy_that_another_task_feeds(pool: ConnectionPool, table: str) -> None:
    connection = await pool.connection()
    begun, failed = [], []

    async def source() -> AsyncGenerator[tuple[int, str], None]:
        number = 0
        while True:
            number += 1
            yield number, "x" * 1000
            if number == 5000:
                begun.append(True)
                connection.close()

    async with aclosing(source()) as records:
        try:
            await connection.copy_records_to_table(table, records, timeout=20)
        except exceptions.Error as error:
            failed.append(error)
    assert begun and failed and not isinstance(failed[0], exceptions.QueryTimeoutError)
    assert await pool.fetch_val(f"SELECT count(*) FROM {table}") == 0
