"""COPY in a network that forwards nothing any more: it ends within its timeout, and nothing is stored."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from uuid import uuid4

import anyio
import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from tests.concurrency import async_wait_until
from tests.hostile.proxy import Proxy
from tests.hostile.test_black_hole import LATE, taking
from tests.shells.observing import Observer

MANY = "SELECT g, repeat('x', 1000) FROM generate_series(1, 1000000) AS g"


async def _in(connection: Connection, proxy: Proxy, table: str) -> None:
    async def records() -> AsyncGenerator[tuple[int, str], None]:
        for number in range(1_000_000):
            if number == 3000:
                proxy.black_hole()
            yield number, "x" * 1000

    async with aclosing(records()) as source:
        await connection.copy_records_to_table(table, source, timeout=0.5)


async def _in_slowly(connection: Connection, proxy: Proxy, table: str) -> None:
    async def data() -> AsyncGenerator[bytes, None]:
        yield b"1\tx\n"
        proxy.black_hole()
        await anyio.sleep_forever()

    async with aclosing(data()) as source:
        await connection.copy_in(table, source, timeout=0.5)


async def _out(connection: Connection, proxy: Proxy, table: str) -> None:
    async for number, _ in connection.copy_out(query=MANY, timeout=0.5):
        if number == 3000:
            proxy.black_hole()


async def _out_to_a_callback(connection: Connection, proxy: Proxy, table: str) -> None:
    await connection.copy_out(query=MANY, destination=lambda _: proxy.black_hole(), timeout=0.5)


@pytest.mark.parametrize(
    "copy",
    [
        _in,
        _out,
        pytest.param(_in_slowly, marks=pytest.mark.long),
        pytest.param(_out_to_a_callback, marks=pytest.mark.long),
    ],
)
async def test_copy(
    pool: ConnectionPool,
    proxy: Proxy,
    observer: Observer,
    copy: Callable[[Connection, Proxy, str], Awaitable[None]],
) -> None:
    table = f"t_{uuid4().hex}"
    await pool.execute(f"CREATE TABLE {table} (id int4, name text)")
    async with pool.acquire() as connection:
        pid = connection.backend_pid
        with taking(0.5, 0.5 + LATE), pytest.raises(exceptions.QueryTimeoutError):
            await copy(connection, proxy, table)
    # It doesn't come back, so it is closed, and the pool has room again.
    await async_wait_until(lambda: pool.status().available == pool.status().size)
    proxy.restore()
    with taking(0, 1):
        assert await pool.fetch_val(f"SELECT count(*) FROM {table}") == 0
    await async_wait_until(lambda: observer.state(pid) != "active")
    await pool.execute(f"DROP TABLE {table}")
