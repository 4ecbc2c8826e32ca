"""Typical user code, to be accepted by type checkers in their strict modes. Nothing here is run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psqlpy import (
    Column,
    Connection,
    ConnectionPool,
    ConnectionPoolBuilder,
    ConnRecyclingMethod,
    IsolationLevel,
    ListenerNotificationMsg,
    PreparedStatement,
    QueryEvent,
    QueryResult,
    Record,
    SingleQueryResult,
    SslMode,
    Transaction,
    connect,
    embedded,
    exceptions,
)
from psqlpy.extra_types import JSONB, SmallInt
from psqlpy.row_factories import class_row, tuple_row
from psqlpy.types import Types


@dataclass
class User:
    id: int
    name: str


def named(row: dict[str, Any]) -> str:
    return str(row["name"])


pool = ConnectionPool(
    dsn="postgresql://user:password@localhost/database",
    max_db_pool_size=10,
    conn_recycling_method=ConnRecyclingMethod.Fast,
    ssl_mode="require",
    timeout=5,
)
built: ConnectionPool = ConnectionPoolBuilder().host("db1").port(5432).ssl_mode(SslMode.Require).build()
connected = connect(dsn="postgresql:///database")


async def read() -> list[User]:
    result: QueryResult = await pool.fetch("SELECT id, name FROM users WHERE id < $1", [100])
    dicts: list[dict[str, Any]] = result.result()
    tuples: list[tuple[Any, ...]] = result.result(as_tuple=True)
    records: list[Record] = result.records()
    users: list[User] = result.as_class(User)
    same: list[User] = result.row_factory(class_row(User))
    names: list[str] = result.row_factory(named)
    pairs: list[tuple[tuple[str, Any], ...]] = result.row_factory(tuple_row)
    print(dicts, tuples, records[0]["id"], same, names, pairs, len(result), result.rowcount)
    count: int = await pool.fetch_val("SELECT count(*) FROM users", timeout=1.5)
    print(count)
    return users


async def write(user: User) -> None:
    async with pool.acquire() as connection:
        connection_again: Connection = connection
        async with connection_again.transaction(IsolationLevel.Serializable) as transaction:
            await transaction.execute("INSERT INTO users VALUES ($1, $2)", [SmallInt(user.id), user.name])
            await transaction.create_savepoint("a")
            await transaction.rollback_savepoint("a")
            await transaction.execute_many("INSERT INTO users VALUES ($1, $2)", [[1, "a"], (2, "b")])
            results: list[QueryResult] = await transaction.pipeline(
                [("SELECT 1",), ("SELECT $1::jsonb", [JSONB({"a": 1})]), ("SELECT 2", None)]
            )
            print(results[0].result())
    kept = await pool.connection()
    try:
        ids = [
            row["id"]
            for result in await kept.fetch_many(
                "INSERT INTO users (name) VALUES ($(name)p) RETURNING id", [{"name": "a"}, {"name": "b"}]
            )
            for row in result
        ]
        print(ids, kept.is_closed(), await kept.in_transaction())
    except exceptions.UniqueViolation as error:
        print(error.constraint_name, error.sqlstate)
    finally:
        kept.close()


async def move(transaction: Transaction) -> int:
    await transaction.execute("UPDATE accounts SET balance = balance - 1 WHERE id = 1")
    balance: int = await transaction.fetch_val("SELECT balance FROM accounts WHERE id = 1")
    return balance


async def whole() -> int:
    async with pool.transaction() as transaction:
        await transaction.execute("SELECT 1")
    balance = await pool.run_transaction(move, IsolationLevel.Serializable, max_attempts=5)
    one: Connection = await connected
    async with one:
        print(one.hosts, one.ports, one.user)
    return balance + 1


async def one(id: int) -> str:
    certain: SingleQueryResult = await pool.fetch_row("SELECT * FROM users WHERE id = $1", [id])
    found = await pool.fetch_row("SELECT * FROM users WHERE id = $1", [id], default=None)
    if found is None:
        return "nobody"
    user: User = found.as_class(User)
    record: Record = certain.record()
    values: dict[str, Any] = found.result()
    print(record["id"], values, certain.row_factory(named).upper(), certain.result(as_tuple=True)[0])
    return user.name


async def read_slowly() -> None:
    async with pool.acquire() as connection:
        async for row in connection.stream("SELECT id FROM users", chunk_size=500, as_tuple=True):
            pair: tuple[Any, ...] = row
            print(pair)
        ids: list[int] = [row["id"] async for row in connection.stream("SELECT id FROM users")]
        print(ids)
        async with connection.cursor("SELECT id FROM users", array_size=10, scroll=True) as cursor:
            last: QueryResult = await cursor.fetch_last()
            print(last.result(), (await cursor.fetchmany(5)).rowcount)
            async for result in cursor:
                print(result.as_class(User)[0].name)
        statement: PreparedStatement = await connection.prepare("SELECT $1::int4", [1])
        columns: list[Column] = statement.columns()
        maybe: SingleQueryResult | str = await statement.fetch_row([2], default="none")
        print(columns[0].name, statement.parameter_types, maybe)


async def records() -> AsyncIterator[tuple[int, str]]:
    yield 1, "a"


async def copy(path: Path) -> int:
    stored: int = await pool.copy_records_to_table("users", records(), ["id", "name"])
    stored += await pool.copy_in("users", path, format="csv", header=True)
    stored += await pool.copy_out("users", path, progress=lambda rows, size: print(rows, size))
    rows: list[tuple[Any, ...]] = [row async for row in pool.copy_out("users")]
    named_rows: list[dict[str, Any]] = [row async for row in pool.copy_out("users", as_dict=True)]
    lines: list[bytes] = [part async for part in pool.copy_out("users", format="csv")]
    print(rows, named_rows, lines)
    return stored


async def on_message(connection: Connection, payload: str, channel: str, process_id: int) -> None:
    print(connection.backend_pid, payload, channel, process_id)


async def listen() -> None:
    async with pool.listener(on_reconnect=lambda listener: print(listener.is_started)) as listener:
        await listener.add_callback("jobs", on_message)
        listener.listen()
        listener.abort_listen()
        message: ListenerNotificationMsg = await listener.receive(timeout=1)
        async for each in listener.messages(timeout=0.5):
            print(each.channel, each.payload, message.process_id)
    await pool.notify("jobs", "work")


async def token() -> str:
    return "secret"


async def prepare(connection: Connection) -> None:
    await connection.execute("SET search_path = app")


def log(event: QueryEvent) -> None:
    print(event.query, event.duration, event.parameter_types, event.error)


async def on_a_server_of_its_own() -> None:
    types = Types(uuid_as_object=True)
    types.composite("user", User)
    with embedded.start(settings={"work_mem": "8MB"}) as server:
        hooked = ConnectionPool(
            server.dsn, password=token, setup=prepare, on_query=log, on_notice=print, types=types
        )
        print(hooked.status().available, hooked.stats().closed["lost"], server.running)
        hooked.close()
    with embedded.server() as dsn:
        print(dsn.upper())
