"""What tests/hostile/test_matrix.py does, in threads: one after the other, and eight at once."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from psqlpy import exceptions, sync
from tests.hostile.operations import TIMEOUT, check, nonce
from tests.hostile.proxy import Proxy
from tests.hostile.test_matrix import HARMLESS, SLACK, WAYS, mend

pytestmark = pytest.mark.backend("sync")

# A thread has nobody to leave the end of its statement to: a tenth of a second more.
DRAIN = 0.1


def execute(pool: sync.ConnectionPool, same: bool) -> None:
    with pool.acquire() as conn:
        for prepared in (True, False):
            mine = nonce()
            check(mine, conn.fetch_val("SELECT $1::text", [mine], prepared, timeout=TIMEOUT), same)
        conn.execute_batch("SELECT 1; SELECT 2", timeout=TIMEOUT)


def transaction(pool: sync.ConnectionPool, same: bool) -> None:
    with pool.acquire() as conn:
        open_one = conn.transaction()
        open_one.begin(timeout=TIMEOUT)
        mine = nonce()
        check(mine, open_one.fetch_val("SELECT $1::text", [mine], timeout=TIMEOUT), same)
        open_one.commit(timeout=TIMEOUT)


def pipeline(pool: sync.ConnectionPool, same: bool) -> None:
    with pool.acquire() as conn:
        values = [nonce() for _ in range(5)]
        results = conn.pipeline([("SELECT $1::text", [value]) for value in values], timeout=TIMEOUT)
        for value, result in zip(values, results, strict=True):
            check(value, result.result(as_tuple=True)[0][0], same)


def stream(pool: sync.ConnectionPool, same: bool) -> None:
    mine = nonce()
    text = "SELECT $1::text FROM generate_series(1, 100)"
    with (
        pool.acquire() as conn,
        conn.stream(text, [mine], chunk_size=10, as_tuple=True, timeout=TIMEOUT) as rows,
    ):
        for row in rows:
            check(mine, row[0], same)


def copy(pool: sync.ConnectionPool, same: bool) -> None:
    mine = nonce()
    with pool.acquire() as conn:
        conn.execute("CREATE TEMP TABLE IF NOT EXISTS wire (a text)", timeout=TIMEOUT)
        conn.copy_records_to_table("wire", [(mine,)] * 50, timeout=TIMEOUT)
        for row in conn.copy_out("wire", timeout=TIMEOUT):
            check(mine, row[0], same)


def shared(pool: sync.ConnectionPool, same: bool) -> None:
    errors: list[BaseException] = []

    def one() -> None:
        try:
            mine = nonce()
            check(mine, pool.fetch_val("SELECT $1::text", [mine], timeout=TIMEOUT), same)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


Operation = Callable[[sync.ConnectionPool, bool], None]
ALL: tuple[Operation, ...] = (execute, transaction, pipeline, stream, copy, shared)


@pytest.fixture
def sync_pool(proxied_dsn: str) -> Iterator[sync.ConnectionPool]:
    """A pool of 4, through the proxy; making a connection takes no longer than a call either."""
    with sync.ConnectionPool(proxied_dsn, max_db_pool_size=4, timeout=TIMEOUT) as pool:
        yield pool


def ensure_whole(pool: sync.ConnectionPool) -> None:
    deadline = time.monotonic() + 6
    while True:
        try:
            execute(pool, True)
            break
        except exceptions.Error:
            assert time.monotonic() < deadline
    status = pool.status()
    assert status.available == status.size <= 4 and status.waiting == 0


@pytest.mark.parametrize(
    "way", ["reset", *(pytest.param(way, marks=pytest.mark.long) for way in WAYS if way != "reset")]
)
def test_every_moment(sync_pool: sync.ConnectionPool, proxy: Proxy, way: str) -> None:
    for operation in ALL:
        for _ in range(2):
            before = proxy.passed_to_client
            operation(sync_pool, True)
            ensure_whole(sync_pool)
        size = max(2, proxy.passed_to_client - before)
        dice = random.Random(f"{way} {operation.__name__}")
        for place in (0, size // 4, dice.randrange(size)):
            proxy.at(place, WAYS[way])
            raised: Exception | None = None
            try:
                operation(sync_pool, way != "corrupted")
            except exceptions.Error as error:
                raised = error
            ended, sprung = time.monotonic(), proxy.sprung_at
            mend(proxy)
            if sprung is not None and way not in HARMLESS:
                calls = 3 if way == "corrupted" else 1
                assert ended - sprung <= calls * (TIMEOUT + DRAIN) + SLACK, (operation, place, raised)
            else:
                assert raised is None, (operation, place, raised)
            ensure_whole(sync_pool)
