"""Cancelling one of many statements on a shared connection: the others are answered, once each, and it is good."""

from __future__ import annotations

import random
from time import monotonic

import anyio

from psqlpy import ConnectionPool
from tests.concurrency import async_wait_until

TEXT = "SELECT $1::int4 AS number, count(*) FROM generate_series(1, 100)"


async def make_light(pool: ConnectionPool) -> None:
    standing = pool._standing(TEXT, True)
    assert standing is not None
    while not standing.may_ride(monotonic()):
        await pool.execute(TEXT, [0])


async def test_neighbours_of_cancelled_statements_are_answered(dsn: str) -> None:
    async with ConnectionPool(dsn=dsn, max_db_pool_size=2) as pool:
        await make_light(pool)
        answered = cancelled = 0
        chance = random.Random(4711)

        async def ask(number: int) -> None:
            nonlocal answered, cancelled
            for turn in range(10):
                if number % 5:
                    row = (await pool.fetch_row(TEXT, [number])).result()
                    assert row == {"number": number, "count": 100}
                    answered += 1
                    continue
                with anyio.move_on_after(chance.random() * 0.005) as scope:
                    row = (await pool.fetch_row(TEXT, [-turn])).result()
                    assert row == {"number": -turn, "count": 100}
                cancelled += scope.cancelled_caught

        with anyio.fail_after(50):
            async with anyio.create_task_group() as group:
                for number in range(40):
                    group.start_soon(ask, number)
            assert answered == 320
            assert cancelled > 0
            await async_wait_until(lambda: pool.status().available == pool.status().size)
        assert pool.status().waiting == 0
        assert pool._sharing.lanes == []
        async with pool.acquire() as connection:
            assert await connection.fetch_val("SHOW default_transaction_read_only") == "off"
