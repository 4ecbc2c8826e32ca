"""Typical user code for threads, to be accepted by type checkers in their strict modes. Nothing here is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psqlpy import IsolationLevel, QueryResult, Record, exceptions
from psqlpy.row_factories import class_row
from psqlpy.sync import Connection, ConnectionPool, ConnectionPoolBuilder, Transaction, connect


@dataclass
class User:
    id: int
    name: str


pool = ConnectionPool(dsn="postgresql://user:password@localhost/database", max_db_pool_size=10, timeout=5)
built: ConnectionPool = ConnectionPoolBuilder().host("db1").port(5432).build()
connected: ConnectionPool = connect(dsn="postgresql:///database")


def read() -> list[User]:
    result: QueryResult = pool.fetch("SELECT id, name FROM users WHERE id < $1", [100])
    dicts: list[dict[str, Any]] = result.result()
    records: list[Record] = result.records()
    users: list[User] = result.as_class(User)
    same: list[User] = result.row_factory(class_row(User))
    count: int = pool.fetch_val("SELECT count(*) FROM users", timeout=1.5)
    print(dicts, records, same, count)
    return users


def write(user: User) -> None:
    with pool.acquire() as connection, connection.transaction(IsolationLevel.Serializable) as transaction:
        transaction.execute("INSERT INTO users VALUES ($1, $2)", [user.id, user.name])
        results: list[QueryResult] = transaction.pipeline([("SELECT 1",), ("SELECT $1::int4", [1])])
        print(results[0].result())
    kept: Connection = pool.connection()
    try:
        print([len(result) for result in kept.fetch_many("SELECT $1::int4", [[1], [2]])])
    except exceptions.UniqueViolation as error:
        print(error.constraint_name)
    finally:
        kept.close()


def move(transaction: Transaction) -> int:
    balance: int = transaction.fetch_val("SELECT balance FROM accounts WHERE id = 1")
    return balance


def whole() -> int:
    with pool.transaction() as transaction:
        transaction.execute("SELECT 1")
    return pool.run_transaction(move, IsolationLevel.Serializable) + 1
