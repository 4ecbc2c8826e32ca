"""Where one waits for input and another one for room to write: what is left unsent when the writer goes is sent."""

from __future__ import annotations

import threading

import anyio
import pytest

import psqlpy
from psqlpy import sync
from psqlpy._io.anyio_driver import AnyioDriver
from psqlpy._protocol.request import Request

LARGE = b"x" * 5_000_000


@pytest.mark.parametrize("anyio_backend", [("trio", {})], ids=["trio"])
async def test_who_reads_writes_when_the_writer_has_gone(dsn: str) -> None:
    """The writer may be done by what the reader has just read, which has written more."""
    async with psqlpy.ConnectionPool(dsn, max_db_pool_size=1) as pool, pool.acquire() as connection:
        await connection.execute("SELECT pg_sleep($1)", [0])
        link = connection.link
        async with anyio.create_task_group() as group:
            group.start_soon(connection.execute, "SELECT pg_sleep($1)", [0.5])
            driver = link.driver
            assert isinstance(driver, AnyioDriver)
            while driver._reader is None:
                await anyio.lowlevel.checkpoint()
            reader = driver._reader
            assert isinstance(reader, Request)
            link.session.wants_write = True
            driver.pass_on()
            with anyio.fail_after(0.4):
                # With something to write the socket is ready at once; nothing is left afterwards.
                while link.session.wants_write:
                    await anyio.lowlevel.checkpoint()
            assert not reader.done


def test_large_ones_in_threads(dsn: str) -> None:
    """The server reads no more while it is writing what nobody reads."""
    with sync.ConnectionPool(dsn, max_db_pool_size=1, timeout=30) as pool, pool.acquire() as connection:
        wrong: list[object] = []

        def call(prepared: bool) -> None:
            try:
                assert connection.fetch_val("SELECT $1::bytea", [LARGE], prepared) == LARGE
            except BaseException as error:
                wrong.append(error)

        threads = [threading.Thread(target=call, args=(bool(number % 2),)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
