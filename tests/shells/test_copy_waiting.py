"""COPY whose source makes its caller wait: what the server says meanwhile ends the wait.

Tasks only: a thread that waits in its source can't look.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from tests._async.usable import ensure_usable
from tests.shells.observing import Observer
from tests.shells.relay import relay_to
from tests.shells.traces import login

MANY = 2000


@pytest.fixture
async def conn(pool: ConnectionPool) -> AsyncIterator[Connection]:
    """A connection with a table `items`."""
    async with pool.acquire() as conn:
        await conn.execute("CREATE TEMP TABLE items (id int4 CHECK (id <> 13), name text)")
        yield conn


SOURCES: dict[str, list[list[Any]]] = {
    "the first record": [[(13, "x")]],
    "a later record": [[(1, "x")], [(2, "x")], [(13, "x")]],
    "behind many": [[(number, "x") for number in range(100, MANY)], [(13, "x")]],
    "the first bytes": [[b"no number\tx\n"]],
    "later bytes": [[b"1\tx\n"], [b"no number\tx\n"]],
}


@pytest.mark.parametrize("parts", SOURCES.values(), ids=SOURCES.keys())
async def test_a_refusal_ends_the_wait_for_the_source(conn: Connection, parts: list[list[Any]]) -> None:
    ended = False

    async def source() -> AsyncGenerator[Any, None]:
        nonlocal ended
        try:
            for part in parts:
                for item in part:
                    yield item
                await anyio.sleep(0.05)
            await anyio.sleep_forever()
        finally:
            ended = True

    with anyio.fail_after(5), pytest.raises((exceptions.CheckViolation, exceptions.DataError)):
        await conn.copy_in("items", source())
    assert ended
    assert await conn.fetch_val("SELECT count(*) FROM items") == 0
    await ensure_usable(conn)


class Items:
    """An asynchronous iterator that is no generator: it says whether it was closed."""

    def __init__(self, refused_at: int) -> None:
        self.number = 0
        self.refused_at = refused_at
        self.is_closed = False

    def __aiter__(self) -> Items:
        return self

    async def __anext__(self) -> tuple[int, Any]:
        self.number += 1
        return (13 if self.number == self.refused_at else self.number + 100), "x" * 1000

    async def aclose(self) -> None:
        self.is_closed = True
        raise OSError("nobody hears this")


async def test_the_source_is_told_that_no_more_is_wanted(conn: Connection) -> None:
    items = Items(refused_at=50)
    with anyio.fail_after(10), pytest.raises(exceptions.CheckViolation):
        await conn.copy_records_to_table("items", items)
    assert items.is_closed
    items = Items(refused_at=0)
    with pytest.raises(exceptions.ParameterValueError, match="record 1 has 2 fields"):
        await conn.copy_records_to_table("items", items, ["id"])
    assert items.is_closed
    await ensure_usable(conn)


async def test_what_is_no_refusal_does_not_end_the_wait(conn: Connection) -> None:
    await conn.execute_batch("""
        CREATE FUNCTION pg_temp.tell() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE NOTICE 'row %', NEW.id; RETURN NEW; END $$;
        CREATE TRIGGER tell BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION pg_temp.tell();
    """)

    async def source() -> AsyncGenerator[tuple[int, str], None]:
        for number in range(3):
            yield number, "x"
            await anyio.sleep(0.15)

    assert await conn.copy_records_to_table("items", source()) == 3


async def test_a_lost_connection_ends_the_wait(conn: Connection, observer: Observer) -> None:
    async def source() -> AsyncGenerator[tuple[int, str], None]:
        yield 1, "x"
        await anyio.sleep(0.05)
        observer.command(f"SELECT pg_terminate_backend({conn.backend_pid})")
        await anyio.sleep_forever()

    with anyio.fail_after(5), pytest.raises(exceptions.ConnectionClosedError):
        await conn.copy_records_to_table("items", source())
    assert conn.is_closed()


async def test_a_connection_that_is_cut_ends_the_wait(dsn: str) -> None:
    """Without a word from the server."""
    with relay_to(dsn) as relay:
        pool = ConnectionPool(**login(dsn), host="127.0.0.1", port=relay.port)
        async with pool, pool.acquire() as conn:
            await conn.execute("CREATE TEMP TABLE items (id int4, name text)")

            async def source() -> AsyncGenerator[bytes, None]:
                yield b"1\tx\n"
                await anyio.sleep(0.05)
                relay.close()
                await anyio.sleep_forever()

            with anyio.fail_after(5), pytest.raises(exceptions.ConnectionClosedError):
                await conn.copy_in("items", source())
            assert conn.is_closed()


async def test_a_refusal_ends_the_wait_for_a_file(conn: Connection, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    # Both ways, so that opening it doesn't wait.
    pipe = os.open(path, os.O_RDWR)
    try:
        os.write(pipe, b"no number\tx\n")
        with anyio.fail_after(5), pytest.raises(exceptions.DataError):
            await conn.copy_in("items", path)
        os.write(pipe, b"for the thread that reads on\n")
    finally:
        os.close(pipe)
    await ensure_usable(conn)


async def test_who_waits_for_a_source_can_be_cancelled(conn: Connection) -> None:
    async def source() -> AsyncGenerator[tuple[int, str], None]:
        yield 1, "x"
        await anyio.sleep_forever()

    with anyio.move_on_after(0.2) as scope:
        await conn.copy_records_to_table("items", source())
    assert scope.cancelled_caught
    with pytest.raises(exceptions.QueryTimeoutError):
        await conn.copy_records_to_table("items", source(), timeout=0.2)
    await ensure_usable(conn)
