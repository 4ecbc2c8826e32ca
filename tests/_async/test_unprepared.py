"""`prepared=False`: nothing stays prepared on the server, a second use is one flight, changed tables are noticed."""

from __future__ import annotations

import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from psqlpy._protocol.request import Request
from psqlpy._protocol.session import Session
from tests._async.usable import ensure_usable
from tests.concurrency import AsyncGroup

PREPARED = "SELECT count(*) FROM pg_prepared_statements"


async def test_nothing_stays_prepared(conn: Connection, table: str) -> None:
    for number in range(3):
        await conn.execute(f"INSERT INTO {table} VALUES ($1, $2)", [number, "a"], False)
        await conn.fetch("SELECT 1", prepared=False)
        await conn.fetch_row("SELECT $1::text", ["a"], prepared=False)
        with pytest.raises(exceptions.DivisionByZero):
            await conn.fetch_val("SELECT 1 / $1::int4", [0], prepared=False)
        with pytest.raises(exceptions.ParameterTypeError):
            await conn.fetch_val("SELECT $1::int4", [1.5], prepared=False)
    assert await conn.fetch_val(PREPARED, prepared=False) == 0
    await ensure_usable(conn)


async def test_second_use_is_one_flight(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Request] = []
    fly = Session.fly

    def count(session: Session, request: Request, flushed: int) -> None:
        sent.append(request)
        fly(session, request, flushed)

    monkeypatch.setattr(Session, "fly", count)
    for number in range(3):
        assert await conn.fetch_val("SELECT $1::int4", [number], False) == number
        assert len(sent) == number + 1
    await ensure_usable(conn)


async def test_table_changes_in_between(conn: Connection, pool: ConnectionPool, table: str) -> None:
    query = f"SELECT * FROM {table}"
    await pool.execute(f"INSERT INTO {table} VALUES (1, 'a')")
    assert (await conn.execute(query, None, False)).result() == [{"id": 1, "name": "a"}]
    await pool.execute(f"ALTER TABLE {table} ADD extra int8 DEFAULT 5")
    for _ in range(2):
        assert (await conn.execute(query, None, False)).result() == [{"id": 1, "name": "a", "extra": 5}]
    await pool.execute(f"ALTER TABLE {table} ALTER id TYPE text")
    for _ in range(2):
        assert (await conn.execute(query, None, False)).result() == [{"id": "1", "name": "a", "extra": 5}]
    await pool.execute(f"ALTER TABLE {table} DROP name")
    for _ in range(2):
        assert (await conn.execute(query, None, False)).result() == [{"id": "1", "extra": 5}]
    await ensure_usable(conn)


async def test_gathered(conn: Connection) -> None:
    async with AsyncGroup(keep_errors=True) as group:
        calls = [
            group.start(conn.fetch_val, f"SELECT 12 / $1::int4 + {number % 3}", [number % 4], False)
            for number in range(24)
        ]
    for number, call in enumerate(calls):
        if number % 4:
            assert call.result() == 12 // (number % 4) + number % 3
        else:
            assert isinstance(call.error, exceptions.DivisionByZero)
    await ensure_usable(conn)
