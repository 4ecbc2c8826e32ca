"""uvloop forgets a socket whose other end has reset the connection; whoever waits on it finds out nevertheless."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from psqlpy import ConnectionPool, exceptions
from tests.concurrency import async_wait_until
from tests.shells.running import run_uvloop

STATEMENTS = 40
# Before somebody looked, some rounds hung for ever and others did not: one alone proves nothing.
ROUNDS = 8


async def lose(dsn: str) -> list[object]:
    """What many statements of one connection get when its backend goes with most of them unread, and how fast."""
    async with ConnectionPool(dsn, max_db_pool_size=2) as pool, pool.acquire() as connection:
        pid = connection.backend_pid
        waiting = [
            asyncio.ensure_future(connection.fetch("SELECT pg_sleep(20)", timeout=15))
            for _ in range(STATEMENTS)
        ]

        async def one_runs() -> bool:
            runs: bool = await pool.fetch_val("SELECT count(*) > 0 FROM pg_locks WHERE pid = $1", [pid])
            return runs

        await async_wait_until(one_runs)
        assert await pool.fetch_val("SELECT pg_terminate_backend($1)", [pid])
        return list(await asyncio.gather(*waiting, return_exceptions=True))


def test_everybody_learns_that_the_backend_has_gone(dsn: str) -> None:
    for _ in range(ROUNDS):
        began = time.monotonic()
        errors = run_uvloop(partial(lose, dsn))
        assert time.monotonic() - began < 3
        assert [
            type(error) for error in errors if not isinstance(error, exceptions.ConnectionLostError)
        ] == []
