"""What is done on a hostile wire: each operation through a pool, with a nonce that tells whose an answer is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import sha256
from itertools import count

import anyio

from psqlpy import Connection, ConnectionPool, exceptions

# Of each call, in seconds.
TIMEOUT = 0.8
_numbers = count(1)
#: Every nonce that was ever sent.
sent: set[str] = set()
#: Whether what the server has sent arrives as it was sent.
Same = bool


class WrongAnswer(AssertionError):
    """A value that isn't what was asked for, although the wire changes none; or that is another call's."""


def nonce() -> str:
    """Sent once in all, as long as all others, and not to be had from another one by changing a byte or two."""
    number = next(_numbers)
    value = f"nonce-{number:06}-{sha256(str(number).encode()).hexdigest()[:12]}"
    sent.add(value)
    return value


def check(wanted: str, got: object, same: Same) -> None:
    if got != wanted and (same or got in sent):
        raise WrongAnswer(f"asked for {wanted!r}, got {got!r}")


async def execute(pool: ConnectionPool, same: Same) -> None:
    async with pool.acquire() as conn:
        for prepared in (True, False):
            mine = nonce()
            check(mine, await conn.fetch_val("SELECT $1::text", [mine], prepared, timeout=TIMEOUT), same)
        await conn.execute_batch("SELECT 1; SELECT 2", timeout=TIMEOUT)


async def fetch(pool: ConnectionPool, same: Same) -> None:
    mine = nonce()
    async with pool.acquire() as conn:
        result = await conn.fetch(
            "SELECT g, $1::text AS t FROM generate_series(1, 300) AS g", [mine], timeout=TIMEOUT
        )
    for row in result.result(as_tuple=True):
        check(mine, row[1], same)


async def shared(pool: ConnectionPool, same: Same) -> None:
    """Several on one connection: the first error ends none of the others."""
    errors: list[exceptions.Error] = []

    async def one() -> None:
        mine = nonce()
        try:
            check(mine, await pool.fetch_val("SELECT $1::text", [mine], timeout=TIMEOUT), same)
        except exceptions.Error as error:
            errors.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(one)
    if errors:
        raise errors[0]


async def pipeline(pool: ConnectionPool, same: Same) -> None:
    async with pool.acquire() as conn:
        values = [nonce() for _ in range(5)]
        results = await conn.pipeline([("SELECT $1::text", [value]) for value in values], timeout=TIMEOUT)
        for value, result in zip(values, results, strict=True):
            check(value, result.result(as_tuple=True)[0][0], same)


async def transaction(pool: ConnectionPool, same: Same) -> None:
    async with pool.acquire() as conn:
        open_one = conn.transaction()
        await open_one.begin(timeout=TIMEOUT)
        mine = nonce()
        check(mine, await open_one.fetch_val("SELECT $1::text", [mine], timeout=TIMEOUT), same)
        await open_one.commit(timeout=TIMEOUT)


async def cursor(pool: ConnectionPool, same: Same) -> None:
    mine = nonce()
    async with pool.acquire() as conn:
        rows = conn.cursor("SELECT $1::text FROM generate_series(1, 30)", [mine])
        await rows.start(timeout=TIMEOUT)
        for _ in range(3):
            for row in (await rows.fetchmany(10, timeout=TIMEOUT)).result(as_tuple=True):
                check(mine, row[0], same)
        await rows.close(timeout=TIMEOUT)


async def stream(pool: ConnectionPool, same: Same) -> None:
    mine = nonce()
    async with pool.acquire() as conn:
        text = "SELECT $1::text FROM generate_series(1, 100)"
        async with conn.stream(text, [mine], chunk_size=10, as_tuple=True, timeout=TIMEOUT) as rows:
            async for row in rows:
                check(mine, row[0], same)


async def copy_out(pool: ConnectionPool, same: Same) -> None:
    mine = nonce()
    async with pool.acquire() as conn:
        query = f"SELECT '{mine}' FROM generate_series(1, 100)"
        async for row in conn.copy_out(query=query, timeout=TIMEOUT):
            check(mine, row[0], same)


async def copy_in(pool: ConnectionPool, same: Same) -> None:
    async with pool.acquire() as conn:
        await conn.execute("CREATE TEMP TABLE IF NOT EXISTS wire (a int4)", timeout=TIMEOUT)
        stored = await conn.copy_records_to_table("wire", [(n,) for n in range(100)], timeout=TIMEOUT)
        if same and stored != 100:
            raise WrongAnswer(f"stored {stored} of 100")


async def listener(pool: ConnectionPool, same: Same) -> None:
    mine = nonce()
    one = pool.listener()
    try:
        await one.startup(timeout=TIMEOUT)
        await one.add_channel("psqlpy_wire", timeout=TIMEOUT)
        await pool.execute("SELECT pg_notify('psqlpy_wire', $1)", [mine], timeout=TIMEOUT)
        check(mine, (await one.receive(timeout=TIMEOUT)).payload, same)
    finally:
        await one.shutdown()


async def connect(pool: ConnectionPool, same: Same) -> None:
    """A second connection, and a third."""
    async with pool.acquire() as first:
        mine = nonce()
        check(mine, await first.fetch_val("SELECT $1::text", [mine], timeout=TIMEOUT), same)
        check(mine, await pool.fetch_val("SELECT $1::text", [mine], timeout=TIMEOUT), same)


async def release(pool: ConnectionPool, same: Same) -> None:
    """What cleans a connection is on its way when the next user comes."""
    for _ in range(3):
        async with pool.acquire() as conn:
            await conn.execute("SELECT set_config('psqlpy.left', 'yes', false)", timeout=TIMEOUT)
        left = "SELECT coalesce(current_setting('psqlpy.left', true), '')"
        value = await pool.fetch_val(left, timeout=TIMEOUT)
        if same and value:
            raise WrongAnswer(f"left behind: {value!r}")


async def cancel(pool: ConnectionPool, same: Same) -> None:
    """A cancel request, whose own connection passes through the wire too, and what comes after."""
    async with pool.acquire() as conn:
        try:
            await conn.execute("SELECT pg_sleep(60)", timeout=0.1)
        except exceptions.QueryTimeoutError:
            pass
        mine = nonce()
        check(mine, await conn.fetch_val("SELECT $1::text", [mine], timeout=TIMEOUT), same)


Operation = Callable[[ConnectionPool, Same], Awaitable[None]]
ALL: tuple[Operation, ...] = (
    connect,
    execute,
    fetch,
    shared,
    pipeline,
    transaction,
    cursor,
    stream,
    copy_out,
    copy_in,
    listener,
    release,
    cancel,
)


async def use(conn: Connection) -> None:
    """A call whose answer nothing changes."""
    mine = nonce()
    check(mine, await conn.fetch_val("SELECT $1::text", [mine], timeout=TIMEOUT), True)
