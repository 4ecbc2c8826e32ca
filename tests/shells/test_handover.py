"""Another thread's event loop is asked to let go of a connection: when it can't, and when nobody wants it any more."""

from __future__ import annotations

import threading
from functools import partial

import anyio
import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from tests.shells.running import RUNNERS, join, run_in_thread


@pytest.mark.parametrize("names", [("asyncio", "trio"), ("uvloop", "asyncio")], ids=" then ".join)
def test_a_loop_that_stands_still_does_not_let_go(dsn: str, names: tuple[str, str]) -> None:
    """It may be in the middle of a callback of this very connection: under another loop that is an error, in time."""
    with ConnectionPool(dsn, max_db_pool_size=1) as pool:
        handles: list[Connection] = []
        taken, used = threading.Event(), threading.Event()

        async def stand_still() -> None:
            handles.append(await pool.connection())
            taken.set()
            used.wait(5)

        async def use() -> None:
            with anyio.fail_after(2), pytest.raises(exceptions.ConnectionLostError, match="does not let go"):
                await handles[0].fetch_val("SELECT 1")

        thread, errors = run_in_thread(lambda: RUNNERS[names[0]](stand_still))
        assert taken.wait(5)
        RUNNERS[names[1]](use)
        used.set()
        join(thread, errors)
        handles.pop().close()
        assert RUNNERS[names[1]](lambda: pool.fetch_val("SELECT 2", timeout=5)) == 2
        assert pool.status() == (1, 1, 1, 0)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.backend(name)) for name in ("asyncio", "uvloop")]
)
def test_who_waited_for_a_loop_to_let_go_gives_up(dsn: str, name: str) -> None:
    """The loop that was asked, and comes to it later, goes on with its connection."""

    async def give_up(pool: ConnectionPool) -> None:
        with anyio.move_on_after(0.05) as scope:
            await pool.fetch_val("SELECT 1")
        assert scope.cancelled_caught

    async def stand_still() -> None:
        pool = ConnectionPool(dsn, max_db_pool_size=1)
        await pool.fetch_val("SELECT 2")
        thread, errors = run_in_thread(lambda: RUNNERS["trio"](partial(give_up, pool)))
        thread.join(5)
        join(thread, errors)
        with anyio.fail_after(5):
            for number in range(3):
                assert await pool.fetch_val("SELECT $1::int4", [number]) == number
                # What the loop was asked to do is done between these.
                await anyio.sleep(0.01)
        pool.close()

    RUNNERS[name](stand_still)
