"""The sweep's operations: cursors, streams, COPY, listeners."""

from __future__ import annotations

from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

from psqlpy import exceptions
from tests._async.sweep_rig import Rig, ask, operation, token
from tests.concurrency import async_sleep

# Cursors and streams

MANY = "SELECT g AS a, $1::int4 AS t FROM generate_series(1, 30) AS g"


def _check(rows: list[Any], wanted: int) -> None:
    assert rows == [{"a": n + 1, "t": wanted} for n in range(30)]


@operation("cursor block")
async def _cursor(rig: Rig) -> None:
    wanted = token()
    async with rig.pool.acquire() as connection:
        async with connection.cursor(MANY, [wanted], 10) as cursor:
            _check([row async for part in cursor for row in part.result()], wanted)
        await ask(connection)


@operation("cursor in a transaction")
async def _scrolled(rig: Rig) -> None:
    wanted = token()
    async with rig.pool.transaction() as transaction:
        cursor = transaction.cursor(MANY, [wanted], scroll=True)
        await cursor.start()
        _check((await cursor.fetch_forward_all()).result(), wanted)
        assert (await cursor.fetch_first()).result() == [{"a": 1, "t": wanted}]
        assert (await cursor.fetchone()).result() == [{"a": 2, "t": wanted}]
        await cursor.close()
        await ask(transaction)


@operation("cursor.execute()")
async def _cursor_execute(rig: Rig) -> None:
    async with rig.pool.acquire() as connection:
        cursor = connection.cursor()
        for _ in range(2):
            wanted = token()
            await cursor.execute(MANY, [wanted])
            _check((await cursor.fetchall()).result(), wanted)
        await cursor.close()


@operation("stream()")
async def _stream(rig: Rig) -> None:
    wanted = token()
    async with rig.pool.acquire() as connection:
        _check([row async for row in connection.stream(MANY, [wanted], chunk_size=10)], wanted)
        await ask(connection)


@operation("stream() that is left early")
async def _stream_left(rig: Rig) -> None:
    async with rig.pool.acquire() as connection:
        async with connection.stream("SELECT generate_series(1, 500)", chunk_size=10) as rows:
            async for _ in rows:
                break
        rows = connection.stream("SELECT generate_series(1, 500)", chunk_size=10)
        async for _ in rows:
            break
        await rows.aclose()
        await ask(connection)


@operation("stream() in a transaction")
async def _stream_in_transaction(rig: Rig) -> None:
    wanted = token()
    async with rig.pool.transaction() as transaction:
        _check([row async for row in transaction.stream(MANY, [wanted], chunk_size=10)], wanted)


@operation("fetch() of a long answer")
async def _long(rig: Rig) -> None:
    async with rig.pool.acquire() as connection:
        for _ in range(2):
            answer = await connection.fetch("SELECT generate_series(1, $1::int4) AS a", [5000])
            assert len(answer.result()) == 5000


# COPY

TEXT = b"".join(b"%d\trow %d\n" % (n, n) for n in range(3))


@operation("binary_copy_to_table()", rows=3)
async def _copy_binary(rig: Rig) -> None:
    async with rig.pool.acquire() as connection:
        query = "SELECT g, 'row' || g FROM generate_series(0, 2) AS g"
        parts = [part async for part in connection.copy_out(query=query, format="binary")]
        rig.may_store = True
        assert await connection.binary_copy_to_table(BytesIO(b"".join(parts)), rig.table) == 3


@operation("copy_records_to_table()", rows=3)
async def _copy_records(rig: Rig) -> None:
    async with rig.pool.acquire() as connection:
        assert await connection.copy_records_to_table(rig.table, rig.records()) == 3


@operation("copy_records_to_table(), long", rows=20_000)
async def _copy_many_records(rig: Rig) -> None:
    async with rig.pool.acquire() as connection:
        assert await connection.copy_records_to_table(rig.table, rig.records(20_000)) == 20_000


async def _slowly(items: list[Any]) -> AsyncIterator[Any]:
    for item in items:
        await async_sleep(0.001)
        yield item


@operation("copy_records_to_table(), iterable that waits", rows=3)
async def _copy_slow_records(rig: Rig) -> None:
    async with rig.pool.acquire() as connection:
        assert await connection.copy_records_to_table(rig.table, _slowly(rig.records())) == 3


@operation("copy_in() of bytes", rows=3)
async def _copy_bytes(rig: Rig) -> None:
    rig.may_store = True
    async with rig.pool.acquire() as connection:
        assert await connection.copy_in(rig.table, TEXT) == 3


@operation("copy_in() of an iterable", rows=3)
async def _copy_iterable(rig: Rig) -> None:
    rig.may_store = True
    async with rig.pool.acquire() as connection:
        assert await connection.copy_in(rig.table, TEXT.splitlines(keepends=True)) == 3


@operation("copy_in() of an iterable that waits", rows=3)
async def _copy_slow_iterable(rig: Rig) -> None:
    rig.may_store = True
    async with rig.pool.acquire() as connection:
        assert await connection.copy_in(rig.table, _slowly(TEXT.splitlines(keepends=True))) == 3


@operation("copy_in() from a path", rows=3)
async def _copy_path(rig: Rig) -> None:
    rig.may_store = True
    path = rig.directory / "in"
    path.write_bytes(TEXT)
    async with rig.pool.acquire() as connection:
        assert await connection.copy_in(rig.table, path) == 3


@operation("copy_in() from a file, in a transaction", rows=3)
async def _copy_file(rig: Rig) -> None:
    path = rig.directory / "in"
    path.write_bytes(TEXT)
    with path.open("rb") as file:
        async with rig.pool.transaction() as transaction:
            assert await transaction.copy_in(rig.table, file) == 3
            rig.may_store = True


@operation("pool.copy_in()", rows=3)
async def _pool_copy(rig: Rig) -> None:
    rig.may_store = True
    assert await rig.pool.copy_in(rig.table, TEXT) == 3


@operation("copy_out() of rows")
async def _copy_out(rig: Rig) -> None:
    query = "SELECT generate_series(1, 5000) AS a"
    async with rig.pool.acquire() as connection:
        rows = [row async for row in connection.copy_out(query=query)]
        assert rows == [(n,) for n in range(1, 5001)]
        dicts = [row async for row in connection.copy_out(rig.other, as_dict=True, columns=["id", "name"])]
        assert dicts == [{"id": 1, "name": "one"}]
        await ask(connection)


@operation("copy_out() that is left early")
async def _copy_out_left(rig: Rig) -> None:
    async with rig.pool.acquire() as connection:
        async with connection.copy_out(query="SELECT generate_series(1, 20000)") as rows:
            async for _ in rows:
                break
        await ask(connection)


@operation("copy_out() of bytes")
async def _copy_out_bytes(rig: Rig) -> None:
    async with rig.pool.acquire() as connection:
        parts = [
            part async for part in connection.copy_out(query="SELECT generate_series(1, 5000)", format="csv")
        ]
        assert b"".join(parts).count(b"\n") == 5000


@operation("copy_out() to a path and a file")
async def _copy_to_file(rig: Rig) -> None:
    path = rig.directory / "out"
    async with rig.pool.acquire() as connection:
        assert await connection.copy_out(query="SELECT generate_series(1, 500)", destination=path) == 500
        with path.open("wb") as file:
            assert await connection.copy_out(query="SELECT generate_series(1, 500)", destination=file) == 500
        await ask(connection)


@operation("pool.copy_out() to a function")
async def _copy_to_function(rig: Rig) -> None:
    parts: list[bytes] = []
    query = "SELECT generate_series(1, 500)"
    assert await rig.pool.copy_out(query=query, destination=parts.append) == 500
    assert b"".join(parts).count(b"\n") == 500


# Listeners


def _channel(rig: Rig) -> str:
    return f"channel of {rig.table}"


async def _make_listener(rig: Rig) -> None:
    rig.made = rig.pool.listener()
    await rig.made.add_channel(_channel(rig))


@operation("listener's startup()", prepare=_make_listener)
async def _listener_starts(rig: Rig) -> None:
    try:
        await rig.made.startup()
        await rig.made.add_channel("late")
        await rig.made.clear_channel_callbacks("late")
        await rig.made.clear_all_channels()
    finally:
        await rig.made.shutdown()


@operation("receive()")
async def _receive(rig: Rig) -> None:
    listener = rig.pool.listener()
    await listener.add_channel(_channel(rig))
    async with listener:
        for payload in ("one", "two"):
            await rig.pool.notify(_channel(rig), payload)
            assert (await listener.receive()).payload == payload
        await ask(listener.connection)


@operation("listener's iteration")
async def _iterate(rig: Rig) -> None:
    async with rig.pool.listener() as listener:
        await listener.add_channel(_channel(rig))
        await rig.pool.notify(_channel(rig), "one")
        async for message in listener:
            assert message.payload == "one"
            break


@operation("run_callbacks()")
async def _callbacks(rig: Rig) -> None:
    heard: list[str] = []
    listener = rig.pool.listener()

    async def callback(connection: Any, payload: str, channel: str, process_id: int) -> None:
        heard.append(payload)
        try:
            await ask(connection)
        finally:
            # What a callback raises is logged, and the listener goes on.
            listener.abort_listen()

    await listener.add_callback(_channel(rig), callback)
    async with listener:
        await rig.pool.notify(_channel(rig), "one")
        await listener.run_callbacks()
    assert heard == ["one"]


@operation("listener that connects again")
async def _reconnect(rig: Rig) -> None:
    async def again(_: Any) -> None:
        try:
            await rig.pool.notify(_channel(rig), "one")
        except exceptions.QueryTimeoutError:
            # It would be logged, and nothing ever come.
            await rig.pool.notify(_channel(rig), "one")

    listener = rig.pool.listener(on_reconnect=again)
    await listener.add_channel(_channel(rig))
    async with listener:
        pid = listener.connection.backend_pid
        assert await rig.pool.fetch_val("SELECT pg_terminate_backend($1, 5000)", [pid])
        assert (await listener.receive()).payload == "one"
