"""Streams and cursors that go from one event loop to the next, and streams that one leaves behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from typing import Any

import pytest

from psqlpy import ConnectionPool, exceptions
from tests.shells.running import RUNNERS, Main, each_runner

Run = Callable[[Main[Any]], Any]

ROWS = "SELECT g, repeat('x', 1000) AS t FROM generate_series(1, 5000) AS g"
ENDLESS = "SELECT generate_series(1, 100000000) AS g, repeat('x', 1000) AS t"


@pytest.mark.parametrize(
    ("first", "second"), [pair for pair in product(RUNNERS, repeat=2) if pair != ("uvloop", "asyncio")]
)
def test_read_on_under_another_loop(dsn: str, first: str, second: str) -> None:
    with ConnectionPool(dsn, max_db_pool_size=1) as pool:
        taken: list[Any] = []

        async def begin() -> None:
            connection = await pool.connection()
            cursor = connection.cursor(ROWS)
            await cursor.start()
            await cursor.fetch(5)
            rows = connection.stream(ROWS, chunk_size=10)
            for _ in range(15):
                await rows.__anext__()
            taken.extend([connection, cursor, rows])

        async def go_on() -> None:
            connection, cursor, rows = taken
            assert [row["g"] async for row in rows] == list(range(16, 5001))
            assert (await cursor.fetchone()).result()[0]["g"] == 6
            await cursor.close()
            connection.close()
            assert await pool.fetch_val("SELECT 5") == 5

        RUNNERS[first](begin)
        RUNNERS[second](go_on)
        assert pool.status() == (1, 1, 1, 0)


@each_runner
@pytest.mark.parametrize("way", ["dropped", "closed later", "connection closed"])
def test_left_behind_by_its_loop(dsn: str, run: Run, way: str) -> None:
    """Nobody reads what is left: the connection may be lost, the pool isn't."""
    with ConnectionPool(dsn, max_db_pool_size=1) as pool:
        taken: list[Any] = []

        async def begin() -> None:
            connection = await pool.connection()
            rows = connection.stream(ENDLESS, chunk_size=10)
            await rows.__anext__()
            taken.extend([connection, rows])

        async def go_on() -> None:
            connection = taken[0]
            if way == "closed later":
                await taken[1].close()
            if way != "connection closed":
                try:
                    assert await connection.fetch_val("SELECT 1", timeout=3) == 1
                except exceptions.ConnectionLostError:
                    assert connection.is_closed()
                connection.close()
            assert await pool.fetch_val("SELECT 5", timeout=3) == 5

        run(begin)
        if way == "dropped":
            # A RuntimeError here would be a warning, and so an error.
            del taken[1]
            gc.collect()
        elif way == "connection closed":
            taken[0].close()
        run(go_on)
        assert pool.status() == (1, 1, 1, 0)


@pytest.mark.parametrize("way", ["stream", "copy_out"])
def test_a_task_that_failed_does_not_keep_what_it_read(dsn: str, way: str) -> None:
    """Its error has its frames, and they have the stream: a connection that knew the task would keep all three."""

    async def main() -> None:
        async with ConnectionPool(dsn) as pool, pool.acquire() as connection:

            async def read() -> None:
                rows = connection.stream(ENDLESS) if way == "stream" else connection.copy_out(query=ENDLESS)
                await rows.__anext__()
                raise KeyError("in the middle")

            task = asyncio.create_task(read())
            with suppress(KeyError):
                await task
            del task
            # asyncio itself keeps it for the rest of this turn.
            await asyncio.sleep(0)
            gc.collect()
            assert await connection.fetch_val("SELECT 1", timeout=3) == 1

    asyncio.run(main())
