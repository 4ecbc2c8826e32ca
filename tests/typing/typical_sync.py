"""Typical user code for threads, to be accepted by type checkers in their strict modes. Nothing here is run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psqlpy import (
    Column,
    IsolationLevel,
    ListenerNotificationMsg,
    QueryEvent,
    QueryResult,
    Record,
    SingleQueryResult,
    embedded,
    exceptions,
)
from psqlpy.row_factories import class_row
from psqlpy.sync import (
    Connection,
    ConnectionPool,
    ConnectionPoolBuilder,
    PreparedStatement,
    Transaction,
    connect,
)
from psqlpy.types import Types


@dataclass
class User:
    id: int
    name: str


def named(row: dict[str, Any]) -> str:
    return str(row["name"])


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


def one(id: int) -> str:
    certain: SingleQueryResult = pool.fetch_row("SELECT * FROM users WHERE id = $1", [id])
    found = pool.fetch_row("SELECT * FROM users WHERE id = $1", [id], default=None)
    if found is None:
        return "nobody"
    user: User = found.as_class(User)
    record: Record = certain.record()
    values: dict[str, Any] = found.result()
    print(record["id"], values, certain.row_factory(named).upper(), certain.result(as_tuple=True)[0])
    return user.name


def read_slowly() -> None:
    with pool.acquire() as connection:
        for row in connection.stream("SELECT id FROM users", chunk_size=500, as_tuple=True):
            pair: tuple[Any, ...] = row
            print(pair)
        ids: list[int] = [row["id"] for row in connection.stream("SELECT id FROM users")]
        print(ids)
        with connection.cursor("SELECT id FROM users", array_size=10, scroll=True) as cursor:
            last: QueryResult = cursor.fetch_last()
            print(last.result(), (cursor.fetchmany(5)).rowcount)
            for result in cursor:
                print(result.as_class(User)[0].name)
        statement: PreparedStatement = connection.prepare("SELECT $1::int4", [1])
        columns: list[Column] = statement.columns()
        maybe: SingleQueryResult | str = statement.fetch_row([2], default="none")
        print(columns[0].name, statement.parameter_types, maybe)


def records() -> Iterator[tuple[int, str]]:
    yield 1, "a"


def copy(path: Path) -> int:
    stored: int = pool.copy_records_to_table("users", records(), ["id", "name"])
    stored += pool.copy_in("users", path, format="csv", header=True)
    stored += pool.copy_out("users", path, progress=lambda rows, size: print(rows, size))
    rows: list[tuple[Any, ...]] = list(pool.copy_out("users"))
    named_rows: list[dict[str, Any]] = list(pool.copy_out("users", as_dict=True))
    lines: list[bytes] = list(pool.copy_out("users", format="csv"))
    print(rows, named_rows, lines)
    return stored


def on_message(connection: Connection, payload: str, channel: str, process_id: int) -> None:
    print(connection.backend_pid, payload, channel, process_id)


def listen() -> None:
    with pool.listener(on_reconnect=lambda listener: print(listener.is_started)) as listener:
        listener.add_callback("jobs", on_message)
        listener.listen()
        listener.abort_listen()
        message: ListenerNotificationMsg = listener.receive(timeout=1)
        for each in listener.messages(timeout=0.5):
            print(each.channel, each.payload, message.process_id)
    pool.notify("jobs", "work")


def token() -> str:
    return "secret"


def prepare(connection: Connection) -> None:
    connection.execute("SET search_path = app")


def log(event: QueryEvent) -> None:
    print(event.query, event.duration, event.parameter_types, event.error)


def on_a_server_of_its_own() -> None:
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
