"""Calls whose event loop, or whose whole interpreter, ends under them: a pool is not the poorer, a process ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from psqlpy import ConnectionPool
from tests.shells.observing import Observer

SCRIPT = """
import asyncio, sys
from psqlpy import ConnectionPool

pool = ConnectionPool(sys.argv[1])

async def main():
    asyncio.ensure_future(pool.fetch_val("SELECT pg_sleep(30)"))
    await asyncio.sleep(0.3)

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
print("end of script")
"""


def test_a_process_ends_with_a_call_that_nobody_will_resume(dsn: str) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, dsn], capture_output=True, text=True, timeout=20)
    assert done.stdout == "end of script\n"
    assert done.returncode == 0


CANCELLED = """
import sys
import anyio
from psqlpy import ConnectionPool

pool = ConnectionPool(sys.argv[1])

async def main():
    connection = await pool.connection()
    await connection.execute("SELECT pg_sleep($1)", [0])
    print(connection.backend_pid)
    with anyio.move_on_after(0.1):
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(connection.execute, "SELECT pg_sleep($1)", [30])

if sys.argv[2] == "trio":
    anyio.run(main, backend="trio")
else:
    anyio.run(main, backend_options={"use_uvloop": sys.argv[2] == "uvloop"})
"""


@pytest.mark.parametrize(
    "backend",
    [pytest.param(name, marks=pytest.mark.backend(name)) for name in ("asyncio", "uvloop", "trio")],
)
def test_a_process_leaves_nothing_running(dsn: str, observer: Observer, backend: str) -> None:
    """A cancel request ends one statement only, and the server has read those that were sent behind it."""
    pytest.importorskip(backend)
    command = [sys.executable, "-W", "ignore", "-c", CANCELLED, dsn, backend]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    observer.await_gone([int(done.stdout)])


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_call_inside_the_pool_gives_its_connection_back_when_its_loop_is_closed(dsn: str) -> None:
    pool = ConnectionPool(dsn, max_db_pool_size=1)
    tasks: list[asyncio.Future[object]] = []

    async def leave_a_call() -> None:
        tasks.append(asyncio.ensure_future(pool.fetch_val("SELECT pg_sleep(30)")))
        await asyncio.sleep(0.2)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave_a_call())
    loop.close()
    # What asyncio says of a task that was never awaited is no business of this test.
    tasks.pop()._log_destroy_pending = False  # type: ignore[attr-defined]
    assert pool.status() == (1, 1, 0, 0)
    assert asyncio.run(pool.fetch_val("SELECT 1", timeout=5)) == 1
    assert pool.status() == (1, 1, 1, 0)
    pool.close()
