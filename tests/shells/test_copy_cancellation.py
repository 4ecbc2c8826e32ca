"""COPY that is cancelled between two records, while sending, while rows wait; and the turns of the event loop."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import anyio
import anyio.lowlevel
import pytest

from psqlpy import ConnectionPool

STREAM = "SELECT generate_series(1, 100000000), repeat('x', 200)"


async def ensure_idle(pool: ConnectionPool) -> None:
    with anyio.fail_after(5):
        async with pool.acquire() as connection:
            assert await connection.fetch_val("SELECT 7") == 7
            assert not await connection.in_transaction()


@pytest.mark.parametrize("at", ["source", "sending", "first"])
async def test_copy_in_is_cancelled(dsn: str, at: str) -> None:
    table = f"t_{uuid4().hex}"

    async def slow() -> AsyncGenerator[tuple[int, str], None]:
        if at != "first":
            for number in range(5000):
                yield number, "x"
        if at == "sending":
            while True:
                yield 1, "x" * 10_000
        await anyio.sleep_forever()

    async with ConnectionPool(dsn, max_db_pool_size=1) as pool:
        await pool.execute(f"CREATE TABLE {table} (id int4, name text)")
        try:
            async with aclosing(slow()) as source:
                with anyio.move_on_after(0.3) as scope:
                    await pool.copy_records_to_table(table, source)
            assert scope.cancelled_caught
            await ensure_idle(pool)
            assert await pool.fetch_val(f"SELECT count(*) FROM {table}") == 0
        finally:
            await pool.execute(f"DROP TABLE {table}")


@pytest.mark.parametrize("paused", [False, True])
async def test_copy_out_is_cancelled(dsn: str, paused: bool) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1) as pool:
        begun = time.monotonic()
        with anyio.move_on_after(0.2) as scope:
            async for _ in pool.copy_out(query=STREAM):
                if paused:
                    await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert time.monotonic() - begun < 1
        await ensure_idle(pool)


async def test_a_paused_copy_costs_nothing(dsn: str) -> None:
    """Rows wait in the socket, and a statement of another task waits behind them: nobody is to spin."""
    async with ConnectionPool(dsn) as pool, pool.acquire() as connection, anyio.create_task_group() as tasks:
        answers: list[Any] = []
        answered = anyio.Event()

        async def ask() -> None:
            answers.append(await connection.fetch_val("SELECT 7"))
            answered.set()

        copy = connection.copy_out(query=STREAM)
        await copy.__anext__()
        tasks.start_soon(ask)
        await anyio.sleep(0.1)
        used = time.process_time()
        await anyio.sleep(0.4)
        assert time.process_time() - used < 0.15
        assert not answers
        copy.close()
        with anyio.fail_after(5):
            await answered.wait()


async def test_others_have_their_turn(dsn: str) -> None:
    """A million values in, a hundred thousand rows out: no turn of the event loop is taken for long."""
    pauses: list[float] = []

    async def tick() -> None:
        while True:
            begun = time.monotonic()
            await anyio.lowlevel.checkpoint()
            pauses.append(time.monotonic() - begun)

    def records() -> Iterator[tuple[int, str, float]]:
        for number in range(100_000):
            yield number, f"name {number}", number / 3

    async with ConnectionPool(dsn) as pool, pool.acquire() as connection, anyio.create_task_group() as tasks:
        await connection.execute("CREATE TEMP TABLE ticked (i int4, t text, f float8)")
        tasks.start_soon(tick)
        assert await connection.copy_records_to_table("ticked", records()) == 100_000
        assert sum([1 async for _ in connection.copy_out("ticked")]) == 100_000
        tasks.cancel_scope.cancel()
    # One in twenty may be longer: two slow cores have other things to do.
    assert sorted(pauses)[len(pauses) * 19 // 20] < 0.02


@pytest.mark.long
async def test_five_million_rows_in_constant_memory(dsn: str) -> None:
    async with ConnectionPool(dsn) as pool, pool.acquire() as connection:
        query = "SELECT generate_series(1, 5000000), 'some text', 1.5::float8"
        async for _ in connection.copy_out(
            query="SELECT generate_series(1, 20000), 'some text', 1.5::float8"
        ):
            pass
        before = most = resident()
        count = 0
        async for _ in connection.copy_out(query=query):
            count += 1
            if count % 50_000 == 0:  # what is freed at the end counts too
                most = max(most, resident())
        assert count == 5_000_000
        assert most - before < 30 * 1024 * 1024


def records(count: int) -> Iterator[tuple[int, str, float]]:
    return ((number, "some text", number / 3) for number in range(count))


def lines(count: int) -> Iterator[str]:
    return (f"{number}\tsome text\t1.5\n" for number in range(count))


async def later(count: int) -> AsyncGenerator[tuple[int, str, float], None]:
    for record in records(count):
        yield record


@pytest.mark.long
@pytest.mark.parametrize("source", [records, lines, later])
async def test_two_million_rows_into_a_table_in_constant_memory(
    dsn: str, source: Callable[[int], Any]
) -> None:
    async with ConnectionPool(dsn) as pool, pool.acquire() as connection:
        await connection.execute("CREATE TEMP TABLE many (i int4, t text, f float8)")
        await connection.copy_in("many", source(20_000))
        before = resident()
        assert await connection.copy_in("many", source(2_000_000)) == 2_000_000
        assert resident() - before < 30 * 1024 * 1024


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
