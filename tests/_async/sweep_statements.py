"""The sweep's operations: connecting, statements, the pool."""

from __future__ import annotations

import pytest

from psqlpy import ConnRecyclingMethod, connect, exceptions
from tests._async.sweep_rig import (
    Rig,
    ask,
    ask_all_the_time,
    hold_all,
    operation,
    release_to_waiting,
    token,
)
from tests.concurrency import AsyncGroup, async_sleep, password_of

# Connecting


@operation("connect()", pooled=False)
async def _connect(rig: Rig) -> None:
    connection = await connect(rig.dsn, application_name=rig.app, timeout=rig.timeout)
    try:
        await ask(connection)
    finally:
        connection.close()


async def _address(rig: Rig) -> None:
    """Preparation: where the server is, as the parameters of a pool whose hosts are given one by one."""
    pool = rig.make_pool()
    async with pool.acquire() as connection:
        rig.made = {
            "dsn": None,
            "username": connection.user,
            "password": password_of(rig.dsn),
            "db_name": connection.conn_dbname,
            "ports": connection.ports,
        }
    pool.close()


@operation("connect(), several hosts", pooled=False, prepare=_address)
async def _connect_to_hosts(rig: Rig) -> None:
    """Nobody is at the first port; the second has a name that is to be resolved."""
    options = {**rig.made, "hosts": ["127.0.0.1", "localhost"], "ports": [1, *rig.made["ports"]]}
    await rig.make_pool(**options).startup()


@operation("startup()", warm=False)
async def _startup(rig: Rig) -> None:
    await rig.pool.startup()


@operation("first statement of a pool", warm=False)
async def _first(rig: Rig) -> None:
    await ask(rig.pool)


@operation("password function", pooled=False)
async def _password(rig: Rig) -> None:
    async def password() -> str:
        await async_sleep(0)
        return password_of(rig.dsn)

    await rig.make_pool(password=password).startup()


@operation("setup and reset hooks", pooled=False)
async def _hooks(rig: Rig) -> None:
    pool = rig.make_pool(setup=ask, reset=ask)
    for _ in range(2):
        async with pool.acquire() as connection:
            await ask(connection)


# Acquiring, and the pool's own calls


for _method in ConnRecyclingMethod:

    @operation(f"acquire(), {_method.name}", options={"conn_recycling_method": _method})
    async def _acquire(rig: Rig) -> None:
        for _ in range(2):
            async with rig.pool.acquire() as connection:
                await connection.execute("SELECT set_config('psqlpy.left', 'yes', false)")


@operation(
    "acquire(), all in use", options={"max_db_pool_size": 1}, prepare=hold_all, beside=release_to_waiting
)
async def _wait_for_connection(rig: Rig) -> None:
    async with rig.pool.acquire() as connection:
        await ask(connection)


@operation("connection(), all in use", prepare=hold_all, beside=release_to_waiting)
async def _wait_for_connection_without_block(rig: Rig) -> None:
    connection = await rig.pool.connection()
    connection.close()


@operation(
    "statement, all in use", options={"max_db_pool_size": 1}, prepare=hold_all, beside=release_to_waiting
)
async def _wait_for_statement(rig: Rig) -> None:
    await ask(rig.pool)


@operation("expire_connections()")
async def _expire(rig: Rig) -> None:
    async with rig.pool.acquire() as connection:
        rig.pool.expire_connections()
        await ask(connection)
    await ask(rig.pool)


@operation("resize()", prepare=hold_all)
async def _resize(rig: Rig) -> None:
    rig.pool.resize(1)
    while rig.held:
        rig.held.pop().close()
    await ask(rig.pool)
    rig.pool.resize(3)
    async with AsyncGroup() as group:
        for _ in range(3):
            group.start(rig.pool.execute, "SELECT pg_sleep(0.001)")


async def _hold_one(rig: Rig) -> None:
    rig.held.append(await rig.pool.connection())


async def _release_later(rig: Rig) -> None:
    await async_sleep(0.02)
    while rig.held:
        rig.held.pop().close()


@operation("aclose(), one in use", prepare=_hold_one, beside=_release_later)
async def _close(rig: Rig) -> None:
    await rig.pool.aclose()
    assert rig.pool.status().size == 0


@operation("aclose(timeout=0), one in use", prepare=_hold_one)
async def _cut(rig: Rig) -> None:
    await rig.pool.aclose(timeout=0)
    with pytest.raises(exceptions.ConnectionClosedError):
        await ask(rig.held[0])
    rig.held.pop().close()


@operation("aclose(timeout=0.02), one in use", prepare=_hold_one)
async def _cut_later(rig: Rig) -> None:
    await rig.pool.aclose(timeout=0.02)
    rig.held.pop().close()


@operation("notify()")
async def _notify(rig: Rig) -> None:
    await rig.pool.notify("sweep", "payload")


# Statements of the pool


@operation("pool.execute()", rows=1)
async def _pool_execute(rig: Rig) -> None:
    await rig.pool.execute(f"INSERT INTO {rig.table} VALUES ($1, $2)", rig.records(1)[0])


@operation("pool.execute(prepared=False)", rows=1)
async def _pool_unprepared(rig: Rig) -> None:
    await rig.pool.execute(f"INSERT INTO {rig.table} VALUES ($1, $2)", rig.records(1)[0], prepared=False)


@operation("pool.fetch*(), shared")
async def _pool_shared(rig: Rig) -> None:
    wanted = token()
    for _ in range(3):
        # A text may be shared when the catalogs were asked about it.
        assert (await rig.pool.fetch("SELECT $1::int4 AS a", [wanted])).result() == [{"a": wanted}]
        assert (await rig.pool.fetch_row("SELECT $1::int4 AS a", [wanted])).result() == {"a": wanted}
        await ask(rig.pool)


@operation("pool.fetch*(shared=False)")
async def _pool_not_shared(rig: Rig) -> None:
    wanted = token()
    answer = await rig.pool.fetch("SELECT $1::int4 AS a", [wanted], shared=False)
    assert answer.result() == [{"a": wanted}]
    row = await rig.pool.fetch_row("SELECT $1::int4 AS a", [wanted], shared=False)
    assert row.result() == {"a": wanted}
    await ask(rig.pool, shared=False)


async def _ask_often(rig: Rig) -> None:
    for _ in range(3):
        await ask(rig.pool)


@operation("pool.fetch_val(), beside others", prepare=_ask_often, beside=ask_all_the_time)
async def _beside_others(rig: Rig) -> None:
    for _ in range(3):
        await ask(rig.pool)


@operation("pool.fetch_val(), several at once")
async def _gathered(rig: Rig) -> None:
    async with AsyncGroup() as group:
        for _ in range(4):
            group.start(ask, rig.pool)


@operation("pool.execute_many()", rows=3)
async def _pool_many(rig: Rig) -> None:
    await rig.pool.execute_many(f"INSERT INTO {rig.table} VALUES ($1, $2)", rig.records())


@operation("pool.fetch_many()", rows=3)
async def _pool_fetch_many(rig: Rig) -> None:
    text = f"INSERT INTO {rig.table} VALUES ($1, $2) RETURNING id"
    results = await rig.pool.fetch_many(text, rig.records())
    assert [result.result() for result in results] == [[{"id": n}] for n in range(3)]


# Statements of a connection


@operation("execute()", rows=1)
async def _execute(rig: Rig) -> None:
    async with rig.pool.acquire() as connection:
        await connection.execute(f"INSERT INTO {rig.table} VALUES ($1, $2)", rig.records(1)[0])


@operation("fetch*()")
async def _fetch(rig: Rig) -> None:
    wanted = token()
    async with rig.pool.acquire() as connection:
        for prepared in (True, True, False):
            answer = await connection.fetch("SELECT $1::int4 AS a", [wanted], prepared)
            assert answer.result() == [{"a": wanted}]
            row = await connection.fetch_row("SELECT $1::int4 AS a", [wanted], prepared)
            assert row.result() == {"a": wanted}
            await ask(connection, prepared=prepared)


@operation("statement beside another one's", prepare=_hold_one, beside=ask_all_the_time)
async def _beside_another(rig: Rig) -> None:
    connection = rig.held[0]
    for _ in range(3):
        await ask(connection)
    await ask(connection, prepared=False)
    await connection.execute_batch("SELECT 1; SELECT 2")


for _rows, _prepared in ((3, True), (3, False), (2000, True)):

    @operation(f"execute_many(), {_rows} rows{'' if _prepared else ', prepared=False'}", rows=_rows)
    async def _many(rig: Rig, rows: int = _rows, prepared: bool = _prepared) -> None:
        async with rig.pool.acquire() as connection:
            await connection.execute_many(
                f"INSERT INTO {rig.table} VALUES ($1, $2)", rig.records(rows), prepared
            )


@operation("fetch_many()")
async def _fetch_many(rig: Rig) -> None:
    wanted = [token() for _ in range(3)]
    async with rig.pool.acquire() as connection:
        for prepared in (True, False):
            results = await connection.fetch_many("SELECT $1::int4 AS a", [[one] for one in wanted], prepared)
            assert [result.result()[0]["a"] for result in results] == wanted


@operation("execute_batch()", rows=2)
async def _batch(rig: Rig) -> None:
    rig.may_store = True
    insert = f"INSERT INTO {rig.table} VALUES (1, 'a')"
    async with rig.pool.acquire() as connection:
        await connection.execute_batch(
            f"SET application_name = '{rig.app} left'; {insert}; SELECT 1; {insert}"
        )


for _prepared in (True, False):

    @operation(f"pipeline(), prepared={_prepared}", rows=2)
    async def _pipeline(rig: Rig, prepared: bool = _prepared) -> None:
        rig.may_store = True
        wanted = token()
        insert = f"INSERT INTO {rig.table} VALUES ($1, $2)"
        async with rig.pool.acquire() as connection:
            results = await connection.pipeline(
                [(insert, [1, "a"]), ("SELECT $1::int4 AS a", [wanted]), (insert, [2, "b"])], prepared
            )
        assert results[1].result() == [{"a": wanted}]


@operation("prepare()")
async def _prepare(rig: Rig) -> None:
    wanted = token()
    async with rig.pool.acquire() as connection:
        prepared = await connection.prepare("SELECT $1::int4 AS a", [wanted])
        assert (await prepared.execute()).result() == [{"a": wanted}]
        assert await prepared.fetch_val([wanted]) == wanted
        async with prepared.cursor() as cursor:
            assert (await cursor.fetchall()).result() == [{"a": wanted}]


async def _make_type(rig: Rig) -> None:
    rig.command(f"DROP TYPE IF EXISTS {rig.table}_pair, {rig.table}_mood")
    rig.command(
        f"CREATE TYPE {rig.table}_pair AS (a int4, b text); CREATE TYPE {rig.table}_mood AS ENUM ('x')"
    )


@operation("types at their first use", prepare=_make_type)
async def _types(rig: Rig) -> None:
    async with rig.pool.acquire() as connection:
        values = [(1, "a"), ["x"]]
        text = f"SELECT $1::{rig.table}_pair AS p, $2::{rig.table}_mood[] AS m"
        for prepared in (True, False):
            row = await connection.fetch_row(text, values, prepared)
            assert row.result() == {"p": {"a": 1, "b": "a"}, "m": ["x"]}


async def _alter(rig: Rig) -> None:
    """Preparation: what a known statement returns, and the type that another one takes, have changed."""
    await _make_type(rig)
    rig.command(f"ALTER TABLE {rig.other} DROP COLUMN IF EXISTS added")
    async with rig.pool.acquire() as connection:
        await connection.fetch(f"SELECT * FROM {rig.other}")
        await connection.fetch(f"SELECT $1::{rig.table}_pair", [(1, "a")])
    rig.command(f"ALTER TABLE {rig.other} ADD COLUMN added int4 DEFAULT 5")
    rig.command(f"ALTER TYPE {rig.table}_pair ADD ATTRIBUTE c int4")


@operation("after ALTER TABLE and ALTER TYPE", prepare=_alter)
async def _altered(rig: Rig) -> None:
    async with rig.pool.acquire() as connection:
        rows = await connection.fetch(f"SELECT * FROM {rig.other}")
        assert rows.result() == [{"id": 1, "name": "one", "added": 5}]
        value = await connection.fetch_val(f"SELECT $1::{rig.table}_pair", [(1, "a", 2)])
        assert value == {"a": 1, "b": "a", "c": 2}


async def _sleep_on_it(rig: Rig) -> None:
    try:
        await rig.held[0].execute("SELECT pg_sleep(0.1)")
    except (exceptions.QueryCanceled, exceptions.QueryTimeoutError):
        # The latter where the clock, which is everybody's, is put forward.
        pass


@operation("cancel()", prepare=_hold_one, beside=_sleep_on_it)
async def _cancel(rig: Rig) -> None:
    await rig.held[0].cancel()
    await ask(rig.held[0])
