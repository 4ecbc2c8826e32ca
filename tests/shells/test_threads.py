"""Threads that share a connection: one reads for all. And the main thread interrupted while it waits."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from random import Random, randrange
from typing import Any
from uuid import uuid4

import pytest

from psqlpy import exceptions, sync
from tests.shells.observing import Observer

pytestmark = pytest.mark.backend("sync")


class Threads:
    """Calls in threads of their own; `results` and `errors` are in the order of the calls."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self.results: dict[int, Any] = {}
        self.errors: dict[int, BaseException] = {}

    def start(self, call: Callable[..., object], *arguments: object, **options: object) -> int:
        number = len(self._threads)

        def run() -> None:
            try:
                self.results[number] = call(*arguments, **options)
            except BaseException as error:
                self.errors[number] = error

        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()
        return number

    def join(self, within: float = 10) -> None:
        deadline = time.monotonic() + within
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        assert not any(thread.is_alive() for thread in self._threads), "a thread hangs"


def is_sleeping(observer: Observer, pid: int) -> bool:
    return bool(
        observer.value(
            "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'", [pid]
        )
    )


# One connection, several threads


def test_every_thread_gets_its_own_result(sync_pool: sync.ConnectionPool) -> None:
    """Statements that are known, new, unprepared and failing, in a pipeline."""
    with sync_pool.acquire() as connection:

        def work(seed: int) -> int:
            random = Random(seed)
            for _ in range(100):
                token = uuid4().hex
                kind = random.randrange(5)
                if kind == 0:
                    assert connection.fetch_val(f"SELECT '{token}'") == token
                elif kind == 1:
                    assert connection.fetch_val("SELECT $1::text", [token], prepared=False) == token
                elif kind == 2:
                    with pytest.raises(exceptions.ParameterValueError, match=token):
                        connection.fetch_val("SELECT $1::text::int + $2::int", [1, token])
                else:
                    assert connection.fetch_val("SELECT $1::text", [token]) == token
            return seed

        threads = Threads()
        for seed in range(8):
            threads.start(work, seed)
        threads.join(30)
        assert threads.errors == {} and threads.results == {seed: seed for seed in range(8)}


def test_a_follower_reads_on_when_the_reader_has_its_result(sync_pool: sync.ConnectionPool) -> None:
    """Nobody sleeps until the next poll's end because the one who read has left."""
    with sync_pool.acquire() as connection:
        connection.fetch_val("SELECT $1::text FROM pg_sleep($2)", ["", 0])
        for _ in range(50):
            threads = Threads()
            begun = time.monotonic()
            for number in range(4):
                threads.start(connection.fetch_val, "SELECT $1::text FROM pg_sleep($2)", [str(number), 0.003])
            threads.join()
            # 0.2 s is how long a poll takes at most.
            assert time.monotonic() - begun < 0.15
            assert threads.results == {number: str(number) for number in range(4)}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_of_several_times_out(sync_pool: sync.ConnectionPool, observer: Observer, place: int) -> None:
    """Its neighbours get their own results, and the server goes on with nothing for nobody."""
    text = "SELECT $1::text FROM pg_sleep($2)"
    with sync_pool.acquire() as connection:
        connection.execute(text, ["", 0])
        pid = connection.backend_pid
        threads = Threads()
        for number in range(3):
            if number == place:
                threads.start(connection.fetch_val, text, ["late", 60], timeout=0.2)
            else:
                threads.start(connection.fetch_val, text, [str(number), 0.05])
            time.sleep(0.01)
        threads.join()
        assert [type(error) for error in threads.errors.values()] == [exceptions.QueryTimeoutError]
        assert list(threads.errors) == [place]
        assert threads.results == {number: str(number) for number in range(3) if number != place}
        observer.wait(lambda: not is_sleeping(observer, pid), 1, "the server's query is gone")
        assert connection.fetch_val("SELECT 1") == 1 or connection.is_closed()
    assert sync_pool.fetch_val("SELECT 1") == 1
    status = sync_pool.status()
    assert status.available == status.size


def test_a_late_one_behind_a_slow_one(sync_pool: sync.ConnectionPool, observer: Observer) -> None:
    """Who gave up had not even run: when its turn comes nobody is left who would wait for it."""
    text = "SELECT $1::text FROM pg_sleep($2)"
    connection = sync_pool.connection()
    connection.execute(text, ["", 0])
    pid = connection.backend_pid
    threads = Threads()
    threads.start(connection.fetch_val, text, ["slow", 0.6])
    time.sleep(0.05)
    begun = time.monotonic()
    with pytest.raises(exceptions.QueryTimeoutError):
        connection.fetch_val(text, ["late", 60], timeout=0.1)
    assert time.monotonic() - begun < 0.3
    threads.join()
    assert threads.results == {0: "slow"}
    connection.close()
    observer.wait(lambda: not is_sleeping(observer, pid), 1, "the server's query is gone")
    observer.wait(lambda: sync_pool.status().available == sync_pool.status().size, 1, "the pool is whole")
    assert sync_pool.fetch_val("SELECT 1") == 1


def test_cancel_from_another_thread(sync_pool: sync.ConnectionPool, observer: Observer) -> None:
    with sync_pool.acquire() as connection:
        threads = Threads()
        threads.start(connection.execute, "SELECT pg_sleep(60)")
        pid = connection.backend_pid
        observer.wait(lambda: is_sleeping(observer, pid), 5, "it sleeps")
        begun = time.monotonic()
        connection.cancel()
        threads.join(1)
        assert time.monotonic() - begun < 0.5
        assert isinstance(threads.errors[0], exceptions.QueryCanceled)
        assert connection.fetch_val("SELECT 1") == 1
        # With nothing to cancel it does nothing, now or later.
        connection.cancel()
        assert connection.fetch_val("SELECT 2 FROM pg_sleep(0.1)") == 2
        assert connection.backend_pid == pid


def test_close_while_another_thread_waits(sync_pool: sync.ConnectionPool, observer: Observer) -> None:
    """A connection given back with a statement of another thread on it is idle when that has ended."""
    connection = sync_pool.connection()
    threads = Threads()
    threads.start(connection.fetch_val, "SELECT 7 FROM pg_sleep(1.5)")
    pid = connection.backend_pid
    observer.wait(lambda: is_sleeping(observer, pid), 5, "it sleeps")
    connection.close()
    assert sync_pool.status() == (4, 1, 0, 0)
    threads.join()
    assert threads.results == {0: 7}
    assert sync_pool.status() == (4, 1, 1, 0)
    assert sync_pool.fetch_val("SELECT pg_backend_pid()") == pid


def test_pool_cut_while_threads_wait(dsn: str, observer: Observer) -> None:
    pool = sync.ConnectionPool(dsn, max_db_pool_size=2)
    threads = Threads()
    connection = pool.connection()
    for _ in range(3):
        threads.start(connection.execute, "SELECT pg_sleep(60)")
    pid = connection.backend_pid
    observer.wait(lambda: is_sleeping(observer, pid), 5, "it sleeps")
    begun = time.monotonic()
    pool.aclose(timeout=0.1)
    threads.join(1)
    assert time.monotonic() - begun < 0.5
    assert all(isinstance(error, exceptions.ConnectionLostError) for error in threads.errors.values())
    assert len(threads.errors) == 3
    connection.close()


# Interrupts


_PROGRAM = """
    import os, signal, sys, threading, time, _thread
    from psqlpy import sync
    pool = sync.ConnectionPool(sys.argv[1], max_db_pool_size=2)
    connection = pool.connection()
    pid = connection.backend_pid
    print(pid, flush=True)

    def interrupt():
        time.sleep(0.3)
        {interrupt}

    threading.Thread(target=interrupt, daemon=True).start()
    begun = time.monotonic()
    try:
        {call}
    except KeyboardInterrupt:
        took = time.monotonic() - begun
    else:
        took = -1
    print(took, flush=True)
    closed = connection.is_closed()
    if not closed:
        begun = time.monotonic()
        assert connection.fetch_val("SELECT 1") == 1
        assert time.monotonic() - begun < 0.5
    connection.close()
    assert pool.fetch_val("SELECT 1") == 1
    status = pool.status()
    assert status.available == status.size, status
    print(closed, flush=True)
"""

_INTERRUPTS = {
    "raise_signal": "signal.raise_signal(signal.SIGINT)",
    "interrupt_main": "_thread.interrupt_main()",
    "kill": "os.kill(os.getpid(), signal.SIGINT)",
}

_CALLS = {
    "execute": "connection.execute('SELECT pg_sleep(60)')",
    "unprepared": "connection.execute('SELECT pg_sleep(60)', prepared=False)",
    "timeout": "connection.execute('SELECT pg_sleep(60)', timeout=30)",
    "batch": "connection.execute_batch('SELECT 1; SELECT pg_sleep(60)')",
    "many": "connection.execute_many('SELECT pg_sleep($1)', [[60], [60]])",
    "transaction": "\n        with connection.transaction() as t: t.execute('SELECT pg_sleep(60)')",
    "follower": (
        "\n        threading.Thread(target=connection.execute, args=['SELECT pg_sleep(0.5)'], daemon=True).start()"
        "\n        time.sleep(0.1)"
        "\n        connection.execute('SELECT pg_sleep(60)')"
    ),
}


def run_interrupted(dsn: str, observer: Observer, interrupt: str, call: str) -> None:
    program = textwrap.dedent(_PROGRAM).format(interrupt=_INTERRUPTS[interrupt], call=_CALLS[call])
    process = subprocess.run(
        [sys.executable, "-c", program, dsn], capture_output=True, text=True, timeout=20, check=False
    )
    assert process.returncode == 0, process.stderr
    pid, took, _closed = process.stdout.split()
    assert 0.25 < float(took) < 0.3 + 0.5
    observer.wait(lambda: not is_sleeping(observer, int(pid)), 1, "the server's query is gone")


@pytest.mark.parametrize("interrupt", _INTERRUPTS)
def test_interrupted(dsn: str, observer: Observer, interrupt: str) -> None:
    run_interrupted(dsn, observer, interrupt, "execute")


@pytest.mark.parametrize("call", [name for name in _CALLS if name != "execute"])
def test_interrupted_in_every_call(dsn: str, observer: Observer, call: str) -> None:
    run_interrupted(dsn, observer, "kill", call)


_RANDOM_MOMENTS = """
    import os, random, signal, sys, threading
    from psqlpy import exceptions, sync
    pool = sync.ConnectionPool(sys.argv[1], max_db_pool_size=4)
    chance = random.Random(int(sys.argv[2]))

    def strike(over, delay):
        # Again, should Python have swallowed it in a __del__.
        while not over.wait(delay):
            os.kill(os.getpid(), signal.SIGINT)
            delay = 0.5

    def use(number):
        assert pool.fetch_val("SELECT $1::int FROM pg_sleep($2)", [number, 0.0005]) == number
        with pool.acquire() as connection, connection.transaction():
            assert connection.fetch_val("SELECT $1::int", [number]) == number

    for number in range(100):
        over = threading.Event()
        striker = threading.Thread(target=strike, args=[over, chance.uniform(0, 0.006)])
        try:
            striker.start()
            while True:
                use(number)
        except KeyboardInterrupt:
            pass
        over.set()
        striker.join()
        assert pool.fetch_val("SELECT $1::int", [number], timeout=5) == number
        with pool.acquire() as connection:
            assert not connection.in_transaction()
"""


def test_interrupted_at_random_moments(dsn: str) -> None:
    """Wherever it strikes: what follows gets its own results, on the same connection or on another one."""
    seed = os.environ.get("PSQLPY_TEST_SEED") or str(randrange(2**32))
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(_RANDOM_MOMENTS), dsn, seed],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert process.returncode == 0, f"PSQLPY_TEST_SEED={seed}: {process.stdout} {process.stderr}"
