"""Every way in which a wire fails × every operation × some moments: in time, nobody else's answer, the pool whole."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable

import pytest

from psqlpy import ConnectionPool, ConnRecyclingMethod, exceptions
from tests.concurrency import async_wait_until
from tests.hostile import operations
from tests.hostile.operations import ALL, TIMEOUT, Operation
from tests.hostile.proxy import Proxy

# What a call may take beyond its timeout, on a machine that does other things too.
SLACK = 0.25
WAYS: dict[str, Callable[[Proxy], None]] = {
    "black hole": Proxy.black_hole,
    "reset": Proxy.reset_all,
    "closed": Proxy.close_all,
    "half closed to the client": lambda proxy: proxy.half_close(to_client=True),
    "half closed to the server": lambda proxy: proxy.half_close(to_client=False),
    "delayed": lambda proxy: proxy.delay(to_server=0.005, to_client=0.005),
    "single bytes": lambda proxy: proxy.split(1),
    "corrupted": lambda proxy: proxy.corrupt(7),
}
# These change neither what arrives nor whether it does.
HARMLESS = ("delayed", "single bytes")


@pytest.fixture
async def pool(proxied_dsn: str) -> AsyncIterator[ConnectionPool]:
    """A pool of 4, through the proxy; making a connection takes no longer than a call either."""
    async with ConnectionPool(proxied_dsn, max_db_pool_size=4, timeout=TIMEOUT) as pool:
        yield pool


def mend(proxy: Proxy) -> None:
    proxy.at(0, None)
    proxy.corrupt(None)
    proxy.delay()
    proxy.split(0)
    proxy.restore()


async def ensure_whole(pool: ConnectionPool) -> None:
    """Calls work again, each gets its own answer, and no connection is missing."""
    deadline = time.monotonic() + 6
    while True:
        try:
            await operations.execute(pool, True)
            break
        except exceptions.Error:
            # One that was waiting for the rest of a message that was damaged.
            assert time.monotonic() < deadline
    await async_wait_until(lambda: pool.status().available == pool.status().size)
    status = pool.status()
    assert status.waiting == 0 and status.size <= 4


async def run_at(pool: ConnectionPool, proxy: Proxy, operation: Operation, way: str, place: int) -> bool:
    """Whether the operation was there when it was to go wrong, at that many bytes of its answers."""
    proxy.at(place, WAYS[way])
    raised: Exception | None = None
    try:
        await operation(pool, way != "corrupted")
    except exceptions.Error as error:
        raised = error
    ended = time.monotonic()
    sprung = proxy.sprung_at
    mend(proxy)
    if sprung is not None and way not in HARMLESS:
        # With corruption any of its calls may be the one that waits.
        calls = 3 if way == "corrupted" else 1
        assert ended - sprung <= calls * TIMEOUT + SLACK + 0.1, (place, raised)
    if sprung is None or way in HARMLESS:
        assert raised is None, (place, raised)
    await ensure_whole(pool)
    return sprung is not None


async def size_of(pool: ConnectionPool, proxy: Proxy, operation: Operation) -> int:
    """How many bytes an operation's answers have, once its statements are known."""
    for _ in range(2):
        before = proxy.passed_to_client
        await operation(pool, True)
        await ensure_whole(pool)
    before = proxy.passed_to_client
    await operation(pool, True)
    return proxy.passed_to_client - before


@pytest.mark.loops(1)
@pytest.mark.parametrize(
    "way",
    ["reset", *(pytest.param(way, marks=pytest.mark.long) for way in WAYS if way != "reset")],
)
async def test_in_the_middle(pool: ConnectionPool, proxy: Proxy, way: str) -> None:
    for operation in ALL:
        size = await size_of(pool, proxy, operation)
        assert size > 0
        await run_at(pool, proxy, operation, way, size // 2)


@pytest.mark.long
@pytest.mark.parametrize("operation", ALL, ids=lambda operation: operation.__name__)
@pytest.mark.parametrize("way", WAYS)
async def test_every_moment(pool: ConnectionPool, proxy: Proxy, way: str, operation: Operation) -> None:
    """Before the first byte, at the last, and at random places between."""
    size = await size_of(pool, proxy, operation)
    dice = random.Random(f"{way} {operation.__name__}")
    places = {0, 1, size // 2, size - 1, *(dice.randrange(size) for _ in range(4))}
    sprung = [await run_at(pool, proxy, operation, way, place) for place in sorted(places)]
    assert any(sprung)


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", ConnRecyclingMethod)
async def test_acquire_and_close(
    proxied_dsn: str, proxy: Proxy, way: str, method: ConnRecyclingMethod
) -> None:
    """The look at a connection when it is acquired, and the pool's end."""
    for place in (0, 1, 20):
        async with ConnectionPool(
            proxied_dsn, max_db_pool_size=2, conn_recycling_method=method, timeout=TIMEOUT
        ) as pool:
            await operations.execute(pool, True)
            await run_at(pool, proxy, operations.execute, way, place)
            proxy.at(0, WAYS[way])
            begun = time.monotonic()
            await pool.aclose(timeout=TIMEOUT)
            assert time.monotonic() - begun <= TIMEOUT + SLACK
        mend(proxy)
        assert pool.status() == (0, 0, 0, 0)
