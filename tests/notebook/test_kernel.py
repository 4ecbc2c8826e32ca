"""The pool in a notebook's kernel: cells, tables, the stop button, cells that run again, restarts."""

from __future__ import annotations

import ast
import os
import socket
import time
from collections.abc import Callable

import pytest

from tests.embedded.processes import left_of
from tests.notebook.kernels import Cell, Kernel, Watch, wait_for

# A cell ends this many seconds after the stop button at the latest, and its statement a little later.
STOPPED = 0.5
CANCELLED = 1.0


def in_time(attempt: Callable[[], tuple[float, float]]) -> None:
    """Attempt it until the cell and its statement have ended in time, three times at most.

    Most of the time is IPython's traceback, and other tests want the processors meanwhile: the best time tells.
    """
    times: list[tuple[float, float]] = []
    while not times or times[-1][0] >= STOPPED or times[-1][1] >= CANCELLED:
        assert len(times) < 3, times
        times.append(attempt())


def interrupt_statement(kernel: Kernel, watch: Watch, number: str) -> tuple[Cell, tuple[float, float]]:
    """Press the stop button once the cell's statement runs: the cell, and when it and its statement had ended."""
    wait_for(lambda: watch.sleeping(kernel.app), 10, "the statement runs")
    began = time.monotonic()
    stopped, seconds = kernel.interrupt(number)
    wait_for(lambda: not watch.sleeping(kernel.app), 10, "it is gone")
    return stopped, (seconds, time.monotonic() - began)


IDLE = "pool.status().available == pool.status().size <= 2"


def test_await_and_plain_calls_side_by_side(kernel: Kernel) -> None:
    kernel.run("pool = ConnectionPool(**options); plain = sync.ConnectionPool(**options)")
    assert kernel.value("await pool.fetch_val('SELECT 40 + $1', [2])") == "42"
    assert kernel.value("plain.fetch_val('SELECT 40 + $1', [3])") == "43"
    assert kernel.value("(await pool.fetch_val('SELECT 1')) + plain.fetch_val('SELECT 2')") == "3"
    assert kernel.value(
        "import asyncio\nawait asyncio.gather(*(pool.fetch_val('SELECT $1::int', [i]) for i in range(5)))"
    ) == ("[0, 1, 2, 3, 4]")


def test_a_connection_and_a_transaction_live_across_cells(kernel: Kernel) -> None:
    kernel.run("pool = ConnectionPool(**options)\nconnection = await pool.connection()")
    kernel.run("await connection.execute('CREATE TEMP TABLE kept (number int)')")
    kernel.run("transaction = connection.transaction()\nawait transaction.begin()")
    kernel.run("await transaction.execute('INSERT INTO kept VALUES (1)')")
    kernel.run("await transaction.rollback()")
    assert kernel.value("await connection.fetch_val('SELECT count(*) FROM kept')") == "0"
    kernel.run("connection.close()")


@pytest.mark.parametrize("call", ["await pool.{}", "plain.{}"], ids=["awaited", "plain"])
def test_a_result_shows_as_a_table(kernel: Kernel, call: str) -> None:
    kernel.run("pool = ConnectionPool(**options); plain = sync.ConnectionPool(**options)")
    query = "SELECT n, '<b>' || n AS text, NULL AS nothing FROM generate_series(1, 3000) n"
    (first,) = kernel.run(f"result = {call.format('fetch')}({query!r})\nresult").results
    (second,) = kernel.run("result").results
    (third,) = kernel.run("rows = result.result()\nresult").results
    assert first == second == third
    assert "<table" in first["text/html"]
    assert "first 20 of 3,000 rows" in first["text/html"]
    assert "&lt;b&gt;1" in first["text/html"]
    assert "<b>1" not in first["text/html"]
    assert "3000" in first["text/plain"].replace(",", "")
    assert len(first["text/plain"]) < 2000
    assert kernel.value("len(rows), rows[0]['n'], rows[-1]['text']") == "(3000, 1, '<b>3000')"
    (row,) = kernel.run(f"{call.format('fetch_row')}('SELECT 7 AS seven')").results
    assert {"text/html", "text/plain"} <= row.keys()
    assert "seven" in row["text/html"]


INTERRUPTED = {
    "awaited": ("ConnectionPool", "await pool.execute('SELECT pg_sleep(60)')", "CancelledError"),
    "plain": ("sync.ConnectionPool", "pool.execute('SELECT pg_sleep(60)')", "KeyboardInterrupt"),
    "awaited, with a timeout": (
        "ConnectionPool",
        "await pool.execute('SELECT pg_sleep(60)', timeout=50)",
        "CancelledError",
    ),
    "plain, with a timeout": (
        "sync.ConnectionPool",
        "pool.execute('SELECT pg_sleep(60)', timeout=50)",
        "KeyboardInterrupt",
    ),
    "awaited, by the simple protocol": (
        "ConnectionPool",
        "async with pool.acquire() as connection:\n    await connection.execute_batch('SELECT pg_sleep(60)')",
        "CancelledError",
    ),
    "plain, by the simple protocol": (
        "sync.ConnectionPool",
        "with pool.acquire() as connection:\n    connection.execute_batch('SELECT pg_sleep(60)')",
        "KeyboardInterrupt",
    ),
    "awaited, in a transaction": (
        "ConnectionPool",
        "async with pool.acquire() as c, c.transaction() as t:\n    await t.execute('SELECT pg_sleep(60)')",
        "CancelledError",
    ),
    "plain, in a transaction": (
        "sync.ConnectionPool",
        "with pool.acquire() as c, c.transaction() as t:\n    t.execute('SELECT pg_sleep(60)')",
        "KeyboardInterrupt",
    ),
}


@pytest.mark.parametrize(("kind", "cell", "error"), INTERRUPTED.values(), ids=INTERRUPTED.keys())
def test_the_stop_button_ends_a_statement(
    kernel: Kernel, watch: Watch, kind: str, cell: str, error: str
) -> None:
    kernel.run(f"pool = {kind}(**options, max_db_pool_size=2)")
    maybe_await = "await " if kind == "ConnectionPool" else ""

    def attempt() -> tuple[float, float]:
        stopped, times = interrupt_statement(kernel, watch, kernel.start(cell))
        assert stopped.error == error, stopped.traceback
        # Both connections.
        gathered = kernel.value(f"[{maybe_await}pool.fetch_val('SELECT 1') for _ in range(3)]")
        assert gathered == "[1, 1, 1]"
        wait_for(lambda: kernel.value(IDLE) == "True", 3, "every connection is free")
        return times

    in_time(attempt)
    # Once more, with the connections that were interrupted.
    attempt()


def test_the_stop_button_ends_many_statements_on_one_connection(kernel: Kernel, watch: Watch) -> None:
    kernel.run("import asyncio\npool = ConnectionPool(**options, max_db_pool_size=1)")

    def attempt() -> tuple[float, float]:
        number = kernel.start(
            "async with pool.acquire() as connection:\n"
            "    await asyncio.gather(*(connection.execute('SELECT pg_sleep(60)') for _ in range(3)))"
        )
        stopped, times = interrupt_statement(kernel, watch, number)
        assert stopped.error == "CancelledError"
        assert kernel.value("await pool.fetch_val('SELECT 5')") == "5"
        return times

    in_time(attempt)


WAITING = """
import asyncio
async def tell():
    while pool.status().waiting == 0:
        await asyncio.sleep(0.01)
    print("waiting")
pool = ConnectionPool(**options, max_db_pool_size=1)
held = await pool.connection()
telling = asyncio.ensure_future(tell())
await pool.fetch_val('SELECT 1')
"""

WAITING_PLAIN = """
import threading, time
def tell():
    while pool.status().waiting == 0:
        time.sleep(0.01)
    print("waiting")
pool = sync.ConnectionPool(**options, max_db_pool_size=1)
held = pool.connection()
threading.Thread(target=tell).start()
pool.fetch_val('SELECT 1')
"""


@pytest.mark.parametrize(("cell", "maybe_await"), [(WAITING, "await "), (WAITING_PLAIN, "")])
def test_the_stop_button_ends_the_wait_for_a_connection(kernel: Kernel, cell: str, maybe_await: str) -> None:
    def attempt() -> tuple[float, float]:
        number = kernel.start(cell)
        kernel.finish(number, until=lambda cell: "waiting" in cell.stdout)
        stopped, seconds = kernel.interrupt(number)
        assert stopped.error in ("CancelledError", "KeyboardInterrupt"), stopped.traceback
        assert kernel.value("pool.status().waiting") == "0"
        kernel.run("held.close()")
        assert kernel.value(f"{maybe_await}pool.fetch_val('SELECT 6')") == "6"
        return seconds, seconds

    in_time(attempt)


# `pressed` and `ended` are seen from inside: when the signal came, and when the call had ended.
TIMED = """
import signal, time
def note(*arguments):
    global pressed
    pressed = time.monotonic()
    usual(*arguments)
usual = signal.signal(signal.SIGINT, note)
try:
    {call}
finally:
    ended = time.monotonic()
    signal.signal(signal.SIGINT, usual)
"""


@pytest.mark.parametrize(("module", "maybe_await"), [("", "await "), ("sync.", "")])
def test_the_stop_button_ends_connecting(kernel: Kernel, module: str, maybe_await: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        port = listener.getsockname()[1]
        kernel.run(f"silent = {module}ConnectionPool(host='127.0.0.1', port={port}, username='u')")

        number = kernel.start(TIMED.format(call=f"{maybe_await}silent.fetch_val('SELECT 1')"))
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(10)
            assert accepted.recv(100)
            stopped, _ = kernel.interrupt(number)
            assert stopped.error in ("CancelledError", "KeyboardInterrupt"), stopped.traceback
            while accepted.recv(100):
                pass
        assert kernel.value("silent.status().size") == "0"
        # The cell's own end is IPython's, which has to show the traceback of a cell it hasn't seen before.
        assert float(kernel.value("ended - pressed")) < STOPPED


USES = {
    "statements": "await pool.fetch('SELECT 1')\nawait pool.execute_many('SELECT $1::int', [[1], [2]])",
    "connections": "kept = await pool.connection()\nawait kept.execute('SELECT 1')\nkept.close(); kept",
    "a lost connection": "kept = await pool.connection()\ndel kept\nawait pool.execute('SELECT 1')",
    "a block": "async with pool.acquire() as c, c.transaction() as t:\n    await t.execute('SELECT 1')",
    "many": "import asyncio\nawait asyncio.gather(*(pool.execute('SELECT pg_sleep(0.1)') for _ in range(5)))",
    "an open connection": "kept = await pool.connection()\nawait pool.fetch_val('SELECT 1')",
    "an error": "await pool.execute('SELECT 1/0')",
    "an error in a block": "async with pool.acquire() as c, c.transaction() as t:\n    await t.execute('SELECT 1/0')",
    "an error in an error": "try:\n    await pool.execute('SELECT 1/0')\nfinally:\n    1/0",
    "a result": "result = await pool.fetch('SELECT generate_series(1, 100) AS n')\nresult",
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
@pytest.mark.parametrize("plain", [False, True], ids=["awaited", "plain"])
def test_running_the_pools_cell_again_closes_the_old_pool(
    kernel: Kernel, watch: Watch, use: str, plain: bool
) -> None:
    kind = "sync.ConnectionPool" if plain else "ConnectionPool"
    if plain:
        use = use.replace("await asyncio.gather(*(", "[*(").replace("range(5)))", "range(5))]")
        use = use.replace("await ", "").replace("async ", "")
    name = f"again {os.urandom(8).hex()}"
    cell = f"pool = {kind}(dsn, application_name={name!r}, max_db_pool_size=5)"
    kernel.run(cell)
    used = kernel.finish(kernel.start(use))
    assert bool(used.error) == ("1/0" in use), used.traceback
    old = watch.backends(name)
    assert old
    kernel.run(cell)
    if "kept = " in use:
        kernel.run("kept = None")
    wait_for(lambda: not watch.backends(name), 1, f"no backend of the old pool {old}")


@pytest.mark.parametrize("hard", [False, True], ids=["graceful", "hard"])
def test_a_restart_leaves_nothing(other_kernel: Kernel, watch: Watch, hard: bool) -> None:
    kernel = other_kernel
    kernel.run("pool = ConnectionPool(**options); plain = sync.ConnectionPool(**options)")
    kernel.run("kept = await pool.connection()\nawait pool.execute('SELECT 1'); plain.execute('SELECT 1')")
    kernel.run("server = embedded.start(); local = ConnectionPool(server.dsn)")
    pid, directory = ast.literal_eval(
        kernel.value("(await local.fetch_val('SELECT 1')) and (server.pid, server.directory)")
    )
    wait_for(lambda: len(watch.backends(kernel.app)) == 3, 10, "the pool before is closed")
    assert os.path.isdir(directory)
    began = time.monotonic()
    kernel.restart(hard=hard)
    wait_for(lambda: not watch.backends(kernel.app), 5 + began - time.monotonic(), "no backend")
    assert not left_of([pid], [directory], within=5 + began - time.monotonic())
    kernel.run("pool = ConnectionPool(**options)")
    assert kernel.value("await pool.fetch_val('SELECT 8')") == "8"


RESTARTED = {
    "awaited, graceful": ("await pool.execute('SELECT pg_sleep(60)')", False),
    "plain, graceful": ("plain.execute('SELECT pg_sleep(60)')", False),
    # To a process that is killed it makes no difference where it was.
    "both, hard": (
        """import threading
threading.Thread(target=plain.execute, args=['SELECT pg_sleep(60)'], daemon=True).start()
await pool.execute('SELECT pg_sleep(60)')""",
        True,
    ),
}


@pytest.mark.parametrize(("cell", "hard"), RESTARTED.values(), ids=RESTARTED.keys())
def test_a_restart_ends_a_running_statement(
    other_kernel: Kernel, watch: Watch, cell: str, hard: bool
) -> None:
    kernel = other_kernel
    kernel.run("pool = ConnectionPool(**options); plain = sync.ConnectionPool(**options)")
    # A connection that was reset is watched too.
    kernel.run("await pool.execute('CREATE TEMP TABLE a ()'); plain.execute('CREATE TEMP TABLE a ()')")
    kernel.start(cell)
    statements = cell.count("pg_sleep")
    wait_for(lambda: len(watch.sleeping(kernel.app)) == statements, 10, "the statement runs")
    began = time.monotonic()
    kernel.restart(hard=hard)
    wait_for(lambda: not watch.backends(kernel.app), 5 + began - time.monotonic(), "no backend")


def test_autoawait_trio(other_kernel: Kernel, watch: Watch) -> None:
    kernel = other_kernel
    kernel.run("pool = ConnectionPool(**options, max_db_pool_size=2)")
    assert kernel.value("await pool.fetch_val('SELECT 1')") == "1"
    kernel.run("%autoawait trio")
    # The usual traceback, of trio's own large files, takes IPython longer than all the rest.
    kernel.run("%xmode Minimal")
    for number in range(3):
        assert kernel.value(f"await pool.fetch_val('SELECT {number}')") == str(number)
    kernel.run(
        "import trio\n"
        "async with trio.open_nursery() as nursery:\n"
        "    for _ in range(5):\n"
        "        nursery.start_soon(pool.execute, 'SELECT pg_sleep(0.05)')"
    )

    def attempt() -> tuple[float, float]:
        sleeping = kernel.start("await pool.execute('SELECT pg_sleep(60)')")
        stopped, times = interrupt_statement(kernel, watch, sleeping)
        assert stopped.error == "KeyboardInterrupt", stopped.traceback
        assert kernel.value("await pool.fetch_val('SELECT 2')") == "2"
        return times

    in_time(attempt)
    kernel.run("%autoawait asyncio")
    for number in range(3):
        assert kernel.value(f"await pool.fetch_val('SELECT {number}')") == str(number)
    kernel.run("pool = ConnectionPool(**options)")
    wait_for(lambda: not watch.backends(kernel.app), 1, "no backend of the old pool")
