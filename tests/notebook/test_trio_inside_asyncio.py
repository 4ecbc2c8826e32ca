"""trio inside a callback of an asyncio loop, as in a kernel under `%autoawait trio` and in trio's guest mode."""

from __future__ import annotations

import asyncio

import trio
from outcome import Outcome

from psqlpy import ConnectionPool


def test_trio_runs_while_the_loop_stands_still(dsn: str) -> None:
    async def main() -> list[int]:
        with ConnectionPool(dsn, max_db_pool_size=1) as pool:

            async def pid() -> int:
                number: int = await pool.fetch_val("SELECT pg_backend_pid()")
                return number

            return [await pid(), trio.run(pid), await pid(), trio.run(pid)]

    # One connection all the way: it followed its user in and out.
    assert len(set(asyncio.run(main()))) == 1


def test_trio_as_a_guest_shares_the_pool(dsn: str) -> None:
    rounds = 30

    async def main() -> tuple[list[int], list[int]]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Outcome[list[int]]] = loop.create_future()

        with ConnectionPool(dsn, max_db_pool_size=2, acquire_timeout=20) as pool:

            async def ask(start: int) -> list[int]:
                return [
                    await pool.fetch_val("SELECT $1::int FROM pg_sleep(0.001)", [start + number])
                    for number in range(rounds)
                ]

            trio.lowlevel.start_guest_run(
                ask,
                1000,
                run_sync_soon_threadsafe=loop.call_soon_threadsafe,
                done_callback=done.set_result,
            )
            hosts, _ = await asyncio.gather(ask(0), ask(500))
            return hosts, (await done).unwrap()

    hosts, guests = asyncio.run(main())
    assert hosts == list(range(rounds))
    assert guests == list(range(1000, 1000 + rounds))
