"""Typical user code, to be accepted by type checkers in their strict modes. Nothing here is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psqlpy import (
    Connection,
    ConnectionPool,
    ConnectionPoolBuilder,
    ConnRecyclingMethod,
    IsolationLevel,
    QueryResult,
    Record,
    SslMode,
    Transaction,
    connect,
    exceptions,
)
from psqlpy.extra_types import JSONB, SmallInt
from psqlpy.row_factories import class_row, tuple_row


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
