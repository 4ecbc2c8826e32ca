"""A primary that dies under load, and its standby promoted: nothing hangs, and the ledger agrees."""

from __future__ import annotations

import time
from collections import Counter

import anyio
import anyio.to_thread
import pytest

from psqlpy import ConnectionPool, embedded, exceptions
from tests.concurrency import async_wait_until
from tests.faults.servers import Server

pytestmark = pytest.mark.long

WRITERS = 50
TIMEOUT = 2.0
INSERT = "INSERT INTO ledger VALUES ($1, $2)"
Row = tuple[int, int]


class Ledger:
    """What the writers were told of their rows."""

    def __init__(self, pool: ConnectionPool) -> None:
        self.pool = pool
        self.stored: set[Row] = set()
        self.unknown: set[Row] = set()
        self.refused: Counter[str] = Counter()
        self.longest = 0.0
        self.over = False

    async def write(self, writer: int) -> None:
        number = 0
        while not self.over:
            row = (writer, number := number + 1)
            begun = time.monotonic()
            try:
                await self._store(row)
                self.stored.add(row)
            except exceptions.Error as error:
                # Of all others the errors say that they aren't stored.
                if error.may_have_committed:
                    self.unknown.add(row)
                self.refused[type(error).__name__] += 1
            self.longest = max(self.longest, time.monotonic() - begun)
            await anyio.sleep(0.01)

    async def _store(self, row: Row) -> None:
        """Each writer in its way."""
        if row[0] % 3 == 0:
            await self.pool.execute(INSERT, list(row))
        elif row[0] % 3 == 1:
            async with self.pool.transaction() as transaction:
                await transaction.execute(INSERT, list(row))
        else:
            async with self.pool.acquire() as connection:
                await connection.execute_many(INSERT, [list(row)])


async def test_promotion_under_load(origin: embedded.Server) -> None:
    with Server(origin) as primary:
        primary.start()
        with Server(primary, standby=True) as standby:
            standby.start()
            with primary.observe() as observer:
                # Or what the primary has stored, and said so, might be lost with it.
                observer.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
                observer.execute("SELECT pg_reload_conf()")
                observer.execute("CREATE TABLE ledger (writer int, number int)")
            hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
            login = primary.dsn.partition("@")[0]
            dsn = f"{login}@{hosts}/postgres?target_session_attrs=read-write"
            async with ConnectionPool(dsn, max_db_pool_size=20, timeout=TIMEOUT) as pool:
                ledger = Ledger(pool)
                async with anyio.create_task_group() as group:
                    for writer in range(WRITERS):
                        group.start_soon(ledger.write, writer)
                    await async_wait_until(lambda: len(ledger.stored) > 500, 20)
                    # The writers go on meanwhile.
                    await anyio.to_thread.run_sync(primary.kill)
                    # Long enough for everybody to find nothing but a standby.
                    await async_wait_until(lambda: ledger.refused.total() > 2 * WRITERS, 20)
                    with standby.observe() as observer:
                        observer.execute("SELECT pg_promote()")
                    before = len(ledger.stored)
                    await async_wait_until(lambda: len(ledger.stored) > before + 500, 20)
                    ledger.over = True
                status = pool.status()
                assert status.size == status.available <= 20
            with standby.observe() as observer:
                rows = observer.execute("SELECT writer, number FROM ledger").fetchall()
    stored = {(int(str(writer)), int(str(number))) for writer, number in rows}
    assert len(stored) == len(rows), "a row was stored twice"
    lost = sorted(ledger.stored - stored)
    assert not lost, "reported as stored, and lost"
    denied = sorted(stored - ledger.stored - ledger.unknown)
    assert not denied, "stored, though its writer was told that it isn't"
    assert ledger.longest < TIMEOUT + 0.35
    # Only who had sent something when the primary died doesn't know.
    assert len(ledger.unknown) <= WRITERS
