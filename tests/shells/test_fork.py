"""A forked child: it never touches its parent's connections, and the pool opens new ones for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from psqlpy import exceptions, sync
from tests.shells.relay import relay_to
from tests.shells.traces import login

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")

_SYNC = """
    import gc, os, sys
    from psqlpy import exceptions, sync
    pool = sync.ConnectionPool(sys.argv[1], max_db_pool_size=3)
    held = pool.connection()
    idle = pool.connection()
    pids = {held.backend_pid, idle.backend_pid}
    held.execute("CREATE TEMP TABLE of_parent AS SELECT 42 AS a")
    idle.close()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            new = pool.fetch_val("SELECT pg_backend_pid()")
            assert new not in pids
            try:
                held.execute("SELECT 1")
            except exceptions.ConnectionClosedError as error:
                assert "parent process" in str(error), error
            else:
                raise AssertionError("the parent's connection was used")
            held.close()
            assert pool.fetch_val("SELECT 1") == 1
            pool.close()
            del held, idle, pool
            gc.collect()
            status = 0
        except BaseException as error:
            print(repr(error), file=sys.stderr)
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert held.fetch_val("SELECT a FROM of_parent") == 42
    assert pool.fetch_val("SELECT pg_backend_pid()") in pids
    held.close()
    pool.close()
"""

_TRIO = """
    import os, sys, trio
    from psqlpy import ConnectionPool, exceptions
    pool = ConnectionPool(sys.argv[1], max_db_pool_size=3)
    state = {}

    async def before():
        state["held"] = held = await pool.connection()
        await held.execute("CREATE TEMP TABLE of_parent AS SELECT 42 AS a")
        state["pid"] = held.backend_pid

    async def in_child():
        assert await pool.fetch_val("SELECT pg_backend_pid()") != state["pid"]
        try:
            await state["held"].execute("SELECT 1")
        except exceptions.ConnectionClosedError as error:
            assert "parent process" in str(error), error
        else:
            raise AssertionError("the parent's connection was used")
        state.pop("held").close()
        assert await pool.fetch_val("SELECT 1") == 1
        pool.close()

    async def after():
        assert await state["held"].fetch_val("SELECT a FROM of_parent") == 42
        state["held"].close()
        pool.close()

    trio.run(before)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            trio.run(in_child)
            status = 0
        except BaseException as error:
            print(repr(error), file=sys.stderr)
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    trio.run(after)
"""

_ASYNC = """
    import asyncio, gc, os, sys
    from psqlpy import ConnectionPool, exceptions
    pool = ConnectionPool(sys.argv[1], max_db_pool_size=3)

    async def in_child(pids, held):
        assert await pool.fetch_val("SELECT pg_backend_pid()") not in pids
        try:
            await held.execute("SELECT 1")
        except exceptions.ConnectionClosedError as error:
            assert "parent process" in str(error), error
        else:
            raise AssertionError("the parent's connection was used")
        held.close()
        assert await pool.fetch_val("SELECT 1") == 1
        pool.close()

    def child(pids, held):
        status = 1
        try:
            {run}(in_child(pids, held))
            del held
            gc.collect()
            status = 0
        except BaseException as error:
            print(repr(error), file=sys.stderr)
        finally:
            os._exit(status)

    async def main():
        held = await pool.connection()
        idle = await pool.connection()
        pids = {{held.backend_pid, idle.backend_pid}}
        await held.execute("CREATE TEMP TABLE of_parent AS SELECT 42 AS a")
        idle.close()
        slow = asyncio.ensure_future(held.fetch_val("SELECT a FROM of_parent, pg_sleep(1)"))
        await asyncio.sleep(0.05)
        forked = os.fork()
        if forked == 0:
            {leave}
            child(pids, held)
        waited = await asyncio.get_running_loop().run_in_executor(None, os.waitpid, forked, 0)
        assert waited[1] == 0, waited
        # Its reader is still registered: a child that takes itself off the loop would have removed the parent's.
        assert await asyncio.wait_for(slow, 5) == 42
        assert await asyncio.wait_for(held.fetch_val("SELECT a FROM of_parent"), 5) == 42
        assert await asyncio.wait_for(pool.fetch_val("SELECT pg_backend_pid()"), 5) in pids
        held.close()
        pool.close()

    {run}(main())
"""


# What a child may do with what it has inherited, and how it may end. The parent says when it has ended, and waits.
_SILENT = """
    import gc, os, sys, threading
    {imports}

    def child(pool, held, idle):
        if {ends} == "cleanly":
            pool.expire_connections()
            held.close()
            held.close()
            pool.close()
        # Not os._exit: all of the interpreter's end, with what psqlpy does there.
        del pool, held, idle
        gc.collect()
        sys.exit(0)

    def tell(what):
        print(what, flush=True)
        assert sys.stdin.readline() == "go on\\n"

    def wait(forked):
        assert os.waitpid(forked, 0)[1] == 0
        tell("ended")

    {body}
    print("done", flush=True)
"""

_SILENT_IN_THREADS = """
    pool = sync.ConnectionPool(sys.argv[1], max_db_pool_size=3)
    held, busy, idle = pool.connection(), pool.connection(), pool.connection()
    held.execute("BEGIN")
    held.execute("CREATE TEMP TABLE of_parent AS SELECT 42 AS a")
    idle.close()
    values = []
    thread = threading.Thread(target=lambda: values.append(busy.fetch_val("SELECT 5 FROM pg_sleep(0.5)")))
    thread.start()
    while not busy.link.session.flights:
        pass
    tell("forks")
    forked = os.fork()
    if forked == 0:
        # It isn't there in the child, which would wait for its end.
        threading._shutdown = lambda: None
        child(pool, held, idle)
    wait(forked)
    thread.join()
    assert values == [5]
    assert held.fetch_val("SELECT a FROM of_parent") == 42
    assert pool.fetch_val("SELECT 1") == 1
    held.close()
"""

_SILENT_BETWEEN_LOOPS = """
    pool = ConnectionPool(sys.argv[1], max_db_pool_size=3)

    async def before():
        held, idle = await pool.connection(), await pool.connection()
        await held.execute("BEGIN")
        await held.execute("CREATE TEMP TABLE of_parent AS SELECT 42 AS a")
        idle.close()
        return held, idle

    async def after(held):
        assert await held.fetch_val("SELECT a FROM of_parent") == 42
        assert await pool.fetch_val("SELECT 1") == 1
        held.close()

    held, idle = {run}(before)
    tell("forks")
    forked = os.fork()
    if forked == 0:
        child(pool, held, idle)
    wait(forked)
    {run}(after, held)
"""


def run_program(program: str, dsn: str) -> None:
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program), dsn],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert process.returncode == 0 and not process.stderr, process.stderr


@pytest.mark.backend("sync")
def test_fork_of_a_thread(dsn: str) -> None:
    run_program(_SYNC, dsn)


@pytest.mark.backend("asyncio")
def test_fork_of_a_running_event_loop(dsn: str) -> None:
    """The child has a copy of the loop, which shares the parent's epoll: it must be left alone."""
    leave = "asyncio.events._set_running_loop(None)"
    run_program(_ASYNC.format(run="asyncio.run", leave=leave), dsn)


@pytest.mark.backend("trio")
def test_fork_between_two_runs_of_trio(dsn: str) -> None:
    pytest.importorskip("trio")
    run_program(_TRIO, dsn)


def test_a_child_is_not_stopped_by_a_lock_that_another_thread_held(dsn: str) -> None:
    """A cancel request's thread holds locks at moments that nobody chooses: fork at many of them."""
    with sync.ConnectionPool(dsn) as pool:
        for _ in range(20):
            with pytest.raises(exceptions.QueryTimeoutError):
                pool.execute("SELECT pg_sleep(10)", timeout=0.02)
            child = os.fork()
            if child == 0:
                signal.alarm(10)
                try:
                    os._exit(0 if pool.fetch_val("SELECT 10") == 10 else 1)
                finally:
                    os._exit(2)
            assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("ends", ["cleanly", pytest.param("at once", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("body", "imports"),
    [
        pytest.param(_SILENT_IN_THREADS, "from psqlpy import sync", id="threads"),
        pytest.param(
            _SILENT_BETWEEN_LOOPS.replace("{run}(after, held)", "asyncio.run(after(held))").replace(
                "{run}(before)", "asyncio.run(before())"
            ),
            "import asyncio; from psqlpy import ConnectionPool",
            id="asyncio",
        ),
        pytest.param(
            _SILENT_BETWEEN_LOOPS.format(run="trio.run"),
            "import trio; from psqlpy import ConnectionPool",
            id="trio",
        ),
    ],
)
def test_a_child_says_nothing_on_its_parents_connections(
    dsn: str, body: str, imports: str, ends: str
) -> None:
    """Not one byte, no Terminate either, whatever it does with them, and the parent's go on in the middle of things."""
    program = textwrap.dedent(_SILENT).format(imports=imports, ends=repr(ends), body=textwrap.dedent(body))
    with relay_to(dsn) as relay:
        words = " ".join(f"{key}={value}" for key, value in _words(dsn).items())
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", program, f"host=127.0.0.1 port={relay.port} {words}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdin is not None and process.stdout is not None
            sent = []
            for event in ("forks\n", "ended\n"):
                assert process.stdout.readline() == event
                sent.append(relay.settled())
                process.stdin.write("go on\n")
                process.stdin.flush()
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
            process.wait()
    assert (process.returncode, out, err) == (0, "done\n", "")
    assert sent[0] == sent[1] > 0


def _words(dsn: str) -> dict[str, str]:
    """A DSN's parameters but for the host, for a connection string without TLS, which hides what is said."""
    return {
        {"username": "user", "db_name": "dbname", "ssl_mode": "sslmode"}.get(name, name): value
        for name, value in login(dsn).items()
    }
