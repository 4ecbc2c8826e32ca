"""A fork while all that a pool has is in use, waited for or shared: none of those who do is there in the child."""

from __future__ import annotations

import os

import pytest

from tests.shells.test_fork import run_program

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")

THREADS = """
    import os, sys, threading, time
    from psqlpy import sync
    pool = sync.ConnectionPool(sys.argv[1], max_db_pool_size=2)
    ends = threading.Event()

    def work(number):
        while not ends.is_set():
            if number % 2:
                assert pool.fetch_val("SELECT 1 FROM pg_sleep(0.01)", shared=False) == 1
            else:
                assert pool.fetch_val("SELECT $1::int", [number]) == number

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    for _ in range(5):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                # Both of its places.
                with pool.acquire() as own:
                    assert own.fetch_val("SELECT 2", timeout=5) == pool.fetch_val("SELECT 2", timeout=5)
                    assert pool.status().size == 2
                assert pool.status().available == 2
                pool.close()
                assert pool.status().size == 0
                status = 0
            except BaseException as error:
                print(repr(error), file=sys.stderr)
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
    ends.set()
    for thread in threads:
        thread.join()
    assert pool.status() == (2, 2, 2, 0)
"""

TASKS = """
    import asyncio, gc, os, sys
    from psqlpy import ConnectionPool
    pool = ConnectionPool(sys.argv[1], max_db_pool_size=2)

    async def in_child():
        async with pool.acquire() as own:
            assert await own.fetch_val("SELECT 2", timeout=5) == await pool.fetch_val("SELECT 2", timeout=5)
        await pool.aclose(timeout=5)
        assert pool.status().size == 0

    async def main():
        calls = [pool.fetch_val("SELECT 1 FROM pg_sleep(0.3)", shared=False) for _ in range(6)]
        calls += [pool.fetch_val("SELECT 1") for _ in range(6)]
        tasks = [asyncio.ensure_future(call) for call in calls]
        await asyncio.sleep(0.2)
        child = os.fork()
        if child == 0:
            asyncio.events._set_running_loop(None)
            status = 1
            try:
                asyncio.run(in_child())
                for task in tasks:
                    task._log_destroy_pending = False  # of which asyncio would speak
                # What they do when they end doesn't disturb.
                del task, tasks, calls
                gc.collect()
                status = 0
            except BaseException as error:
                print(repr(error), file=sys.stderr)
            finally:
                os._exit(status)
        waited = await asyncio.get_running_loop().run_in_executor(None, os.waitpid, child, 0)
        assert waited[1] == 0, waited
        assert await asyncio.gather(*tasks) == [1] * 12
        assert pool.status() == (2, 2, 2, 0)

    asyncio.run(main())
"""


@pytest.mark.parametrize("program", [THREADS, TASKS], ids=["threads", "asyncio"])
def test_the_child_has_all_places_of_its_pool(dsn: str, program: str) -> None:
    run_program(program, dsn)
