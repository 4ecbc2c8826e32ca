"""Many users of one small pool, a third of whom give up at a random moment: the pool is whole afterwards.

A failure prints its seed; PSQLPY_TEST_SEED repeats the choices, though not the moments at which they take effect.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from collections.abc import Callable
from random import Random, randrange
from typing import Any
from uuid import uuid4

import pytest

from psqlpy import ConnectionPool, exceptions, sync
from tests.shells.observing import Observer
from tests.shells.running import run_asyncio, run_trio, run_uvloop

TASKS = 1000
THREADS = 50
CALLS_PER_THREAD = 20
POOL_SIZE = 10
# The tasks of a storm take about so long altogether; who gives up does it at any moment of it. Seconds.
SPAN = 1.5
SETTLED_WITHIN = 4.0

QUERY = "SELECT $1::text FROM pg_sleep($2)"


@pytest.fixture
def seed() -> int:
    seed = int(os.environ.get("PSQLPY_TEST_SEED") or randrange(2**32))
    print(f"PSQLPY_TEST_SEED={seed}")
    return seed


class Tokens:
    """What every call selects, and what came back."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.answered = 0
        self.given_up = 0
        self.wrong: list[str] = []

    def check(self, sent: object, received: object) -> None:
        self.answered += 1
        if sent != received:
            self.wrong.append(f"sent {sent!r}, received {received!r}")


@pytest.fixture
def tagged_dsn(dsn: str) -> str:
    """The server, with an application name that nobody else has."""
    return f"{dsn}{'&' if '?' in dsn else '?'}application_name=storm-{uuid4().hex[:12]}"


def count_active(observer: Observer, tagged_dsn: str) -> int:
    name = tagged_dsn.rpartition("=")[2]
    active: int = observer.value(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND state = 'active'", [name]
    )
    return active


# Tasks


async def _pool_value(pool: ConnectionPool, tokens: Tokens, nap: float) -> None:
    token = uuid4().hex
    tokens.check(token, await pool.fetch_val(QUERY, [token, nap]))


async def _pool_row(pool: ConnectionPool, tokens: Tokens, nap: float) -> None:
    token = uuid4().hex
    rows = (await pool.execute(QUERY + " AS slept", [token, nap])).result(as_tuple=True)
    tokens.check(token, rows[0][0])


async def _unprepared(pool: ConnectionPool, tokens: Tokens, nap: float) -> None:
    token = uuid4().hex
    tokens.check(token, await pool.fetch_val(QUERY, [token, nap], prepared=False))


async def _held(pool: ConnectionPool, tokens: Tokens, nap: float) -> None:
    """A statement that nobody has seen before, and one more."""
    token = uuid4().hex
    async with pool.acquire() as connection:
        tokens.check(token, await connection.fetch_val(f"SELECT '{token}' FROM pg_sleep($1)", [nap]))
        tokens.check(token, await connection.fetch_val(QUERY, [token, 0.0]))


async def _transaction(pool: ConnectionPool, tokens: Tokens, nap: float) -> None:
    token = uuid4().hex
    async with pool.acquire() as connection, connection.transaction() as transaction:
        await transaction.execute("SELECT set_config('storm.token', $1, true)", [token])
        await transaction.execute("SELECT pg_sleep($1)", [nap])
        tokens.check(token, await transaction.fetch_val("SELECT current_setting('storm.token')"))


async def _session_state(pool: ConnectionPool, tokens: Tokens, nap: float) -> None:
    """Whatever the ones before left must be gone."""
    token = uuid4().hex
    async with pool.acquire() as connection:
        tokens.check(
            "", await connection.fetch_val("SELECT coalesce(current_setting('storm.left', true), '')")
        )
        await connection.execute("SELECT set_config('storm.left', $1, false), pg_sleep($2)", [token, nap])
        tokens.check(token, await connection.fetch_val("SELECT current_setting('storm.left')"))


async def _many(pool: ConnectionPool, tokens: Tokens, nap: float) -> None:
    await pool.execute_many("SELECT $1::int, pg_sleep($2)", [[n, nap / 20] for n in range(20)])
    tokens.answered += 1


async def _batch(pool: ConnectionPool, tokens: Tokens, nap: float) -> None:
    async with pool.acquire() as connection:
        await connection.execute_batch(f"SELECT 1; SELECT pg_sleep({nap}); SELECT 2")
    tokens.answered += 1


async def _gathered(pool: ConnectionPool, tokens: Tokens, nap: float) -> None:
    """Neighbours on one connection."""
    import anyio

    sent = [uuid4().hex for _ in range(4)]
    received: dict[str, object] = {}

    async def one(token: str) -> None:
        received[token] = await connection.fetch_val(QUERY, [token, nap / 4])

    async with pool.acquire() as connection, anyio.create_task_group() as group:
        for token in sent:
            group.start_soon(one, token)
    for token in sent:
        tokens.check(token, received[token])


CALLS = (
    _pool_value,
    _pool_row,
    _unprepared,
    _held,
    _transaction,
    _session_state,
    _many,
    _batch,
    _gathered,
)


async def _storm_asyncio(pool: ConnectionPool, tokens: Tokens) -> None:
    loop = asyncio.get_running_loop()
    tasks = []
    for number in range(TASKS):
        call = tokens.random.choice(CALLS)
        task = asyncio.ensure_future(call(pool, tokens, tokens.random.uniform(0, 0.02)))
        if number % 3 == 0:
            loop.call_later(tokens.random.uniform(0, SPAN), task.cancel)
        tasks.append(task)
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, asyncio.CancelledError):
            tokens.given_up += 1
        elif outcome is not None:
            raise outcome


async def _storm_trio(pool: ConnectionPool, tokens: Tokens) -> None:
    import trio

    async def one(call: Callable[..., Any], nap: float, patience: float) -> None:
        with trio.move_on_after(patience) as scope:
            await call(pool, tokens, nap)
        tokens.given_up += scope.cancelled_caught

    async with trio.open_nursery() as nursery:
        for number in range(TASKS):
            patience = tokens.random.uniform(0, SPAN) if number % 3 == 0 else math.inf
            nursery.start_soon(one, tokens.random.choice(CALLS), tokens.random.uniform(0, 0.02), patience)


async def _settle(pool: ConnectionPool) -> None:
    """Wait until every connection is back and idle, then use them all at once."""
    import anyio

    deadline = time.monotonic() + SETTLED_WITHIN
    while (status := pool.status()).available != status.size or status.waiting:
        assert time.monotonic() < deadline, f"the pool is not whole: {status}"
        await anyio.sleep(0.01)
    assert status.size <= POOL_SIZE

    async def use() -> None:
        async with pool.acquire() as connection:
            assert await connection.fetch_val("SELECT 1") == 1
            assert not await connection.in_transaction()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for _ in range(POOL_SIZE):
                group.start_soon(use)
    status = pool.status()
    assert status.available == status.size and not status.waiting


@pytest.mark.parametrize(
    ("run", "storm"),
    [
        pytest.param(run_asyncio, _storm_asyncio, id="asyncio", marks=pytest.mark.backend("asyncio")),
        pytest.param(run_uvloop, _storm_asyncio, id="uvloop", marks=pytest.mark.backend("uvloop")),
        pytest.param(run_trio, _storm_trio, id="trio", marks=pytest.mark.backend("trio")),
    ],
)
def test_tasks_of_which_a_third_are_cancelled(
    tagged_dsn: str, observer: Observer, seed: int, run: Callable[[Any], None], storm: Callable[..., Any]
) -> None:
    tokens = Tokens(seed)

    async def main() -> None:
        async with ConnectionPool(tagged_dsn, max_db_pool_size=POOL_SIZE) as pool:
            await storm(pool, tokens)
            await _settle(pool)
            observer.wait(lambda: not count_active(observer, tagged_dsn), 1, "no statement runs any more")

    run(main)
    assert tokens.wrong == []
    assert tokens.given_up > TASKS / 20
    assert tokens.answered > TASKS / 2


# Threads


def _sync_pool_value(pool: sync.ConnectionPool, tokens: Tokens, nap: float, timeout: float) -> None:
    token = uuid4().hex
    tokens.check(token, pool.fetch_val(QUERY, [token, nap], timeout=timeout))


def _sync_held(pool: sync.ConnectionPool, tokens: Tokens, nap: float, timeout: float) -> None:
    token = uuid4().hex
    with pool.acquire() as connection:
        received = connection.fetch_val(f"SELECT '{token}' FROM pg_sleep($1)", [nap], timeout=timeout)
        tokens.check(token, received)
        tokens.check(token, connection.fetch_val(QUERY, [token, 0.0], timeout=timeout))


def _sync_transaction(pool: sync.ConnectionPool, tokens: Tokens, nap: float, timeout: float) -> None:
    token = uuid4().hex
    with pool.acquire() as connection, connection.transaction() as transaction:
        transaction.execute("SELECT set_config('storm.token', $1, true)", [token], timeout=timeout)
        transaction.execute("SELECT pg_sleep($1)", [nap], timeout=timeout)
        tokens.check(token, transaction.fetch_val("SELECT current_setting('storm.token')", timeout=timeout))


def _sync_session_state(pool: sync.ConnectionPool, tokens: Tokens, nap: float, timeout: float) -> None:
    token = uuid4().hex
    with pool.acquire() as connection:
        tokens.check("", connection.fetch_val("SELECT coalesce(current_setting('storm.left', true), '')"))
        connection.execute(
            "SELECT set_config('storm.left', $1, false), pg_sleep($2)", [token, nap], timeout=timeout
        )
        tokens.check(token, connection.fetch_val("SELECT current_setting('storm.left')", timeout=timeout))


def _sync_batch(pool: sync.ConnectionPool, tokens: Tokens, nap: float, timeout: float) -> None:
    with pool.acquire() as connection:
        connection.execute_batch(f"SELECT 1; SELECT pg_sleep({nap}); SELECT 2", timeout=timeout)
    tokens.answered += 1


SYNC_CALLS = (_sync_pool_value, _sync_held, _sync_transaction, _sync_session_state, _sync_batch)


@pytest.mark.backend("sync")
def test_threads_of_which_a_third_time_out(tagged_dsn: str, observer: Observer, seed: int) -> None:
    tokens = Tokens(seed)
    errors: list[BaseException] = []
    lock = threading.Lock()

    def work(random: Random, pool: sync.ConnectionPool) -> None:
        mine = Tokens(0)
        for number in range(CALLS_PER_THREAD):
            timeout = random.uniform(0, 0.06) if number % 3 == 0 else math.inf
            try:
                random.choice(SYNC_CALLS)(pool, mine, random.uniform(0, 0.02), timeout)
            except exceptions.QueryTimeoutError:
                mine.given_up += 1
            except BaseException as error:
                errors.append(error)
                break
        with lock:
            tokens.answered += mine.answered
            tokens.given_up += mine.given_up
            tokens.wrong += mine.wrong

    with sync.ConnectionPool(tagged_dsn, max_db_pool_size=POOL_SIZE) as pool:
        threads = [
            threading.Thread(target=work, args=(Random(tokens.random.random()), pool), daemon=True)
            for _ in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads), "a thread hangs"
        if errors:
            raise errors[0]
        status = pool.status()
        assert status.available == status.size <= POOL_SIZE and not status.waiting
        for connection in [pool.connection() for _ in range(POOL_SIZE)]:
            assert connection.fetch_val("SELECT 1") == 1
            connection.close()
        observer.wait(lambda: not count_active(observer, tagged_dsn), 1, "no statement runs any more")
    assert tokens.wrong == []
    assert tokens.given_up > THREADS * CALLS_PER_THREAD / 20
    assert tokens.answered > THREADS * CALLS_PER_THREAD / 2
