"""What was added, removed and renamed; how calls behave before they are awaited; classes and enums."""

from __future__ import annotations

import asyncio
import copy
import gc
import importlib
import inspect
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import psqlpy
from psqlpy import Connection, ConnectionPool, connect, connect_pool, exceptions, extra_types, sync, types
from tests._async.usable import ensure_closed, ensure_usable
from tests.concurrency import async_wait_until

# 1.1


async def test_connect_is_plain_and_returns_a_pool(dsn: str) -> None:
    pool = connect(dsn, max_db_pool_size=3)
    assert isinstance(pool, ConnectionPool)
    assert pool.status().max_size == 3
    await ensure_usable(pool)
    pool.close()


async def test_connect_awaited_is_one_connection_each_time(dsn: str) -> None:
    connecting = connect(dsn)
    first: Connection = await connecting
    second: Connection = await connecting
    assert first.backend_pid != second.backend_pid
    for connection in (first, second):
        await ensure_usable(connection)
        connection.close()
    assert connecting.status().size == 0


async def test_awaiting_a_pool_of_the_class_names_connection(pool: ConnectionPool) -> None:
    with pytest.raises(TypeError, match=r"connection\(\)"):
        await pool


async def test_connect_pool_returns_a_pool(dsn: str) -> None:
    with connect_pool(dsn, max_db_pool_size=1) as pool:
        assert type(pool) is ConnectionPool
        await ensure_usable(pool)


def test_sync_connect_returns_a_pool(dsn: str) -> None:
    for make in (sync.connect, sync.connect_pool):
        with make(dsn) as pool:
            assert type(pool) is sync.ConnectionPool
            assert pool.fetch_val("SELECT 1") == 1


async def test_the_pool_executes_and_fetches(pool: ConnectionPool, table: str) -> None:
    assert (await pool.execute("SELECT 1 AS a")).result() == [{"a": 1}]
    assert (await pool.fetch("SELECT 1 AS a")).result() == [{"a": 1}]
    row: Any = await pool.fetch_row("SELECT 1 AS a")
    assert row.result() == {"a": 1}
    assert await pool.fetch_val("SELECT 1") == 1
    await pool.execute_many(f"INSERT INTO {table} VALUES ($1)", [[1], [2]])
    assert await pool.fetch_val(f"SELECT count(*) FROM {table}") == 2


@pytest.mark.parametrize("method", ["close", "back_to_pool"])
async def test_close_and_back_to_pool_are_plain_and_may_be_called_again(
    pool: ConnectionPool, method: str
) -> None:
    connection = await pool.connection()
    for _ in range(2):
        assert getattr(connection, method)() is None
        await ensure_closed(connection)
    assert pool.status().available == 1


async def test_execute_batch_on_connection_and_transaction(conn: Connection, table: str) -> None:
    text = f"INSERT INTO {table} VALUES (1); INSERT INTO {table} VALUES (2)"
    assert await conn.execute_batch(text) is None  # type: ignore[func-returns-value]
    async with conn.transaction() as transaction:
        await transaction.execute_batch(text)
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 4


async def test_results_have_tuples_and_records(conn: Connection) -> None:
    result = await conn.execute("SELECT 1 AS a, 2 AS a")
    assert result.result(as_tuple=True) == [(1, 2)]
    assert isinstance(result.records()[0], psqlpy.Record)


async def test_synchronous_commit(conn: Connection) -> None:
    default = await conn.fetch_val("SHOW synchronous_commit")
    async with conn.transaction(synchronous_commit=psqlpy.SynchronousCommit.RemoteWrite) as transaction:
        assert await transaction.fetch_val("SHOW synchronous_commit") == "remote_write" != default
    assert await conn.fetch_val("SHOW synchronous_commit") == default


def test_the_path_of_the_extension_module_says_that_it_is_an_alias() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec("import importlib, sys; sys.modules.pop('psqlpy._internal', None); import psqlpy._internal")
    assert [warning.category for warning in caught] == [PendingDeprecationWarning]


def test_names_of_the_documentation_do_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert psqlpy.exceptions.RustPSQLDriverPyBaseError is psqlpy.Error
        exec("from psqlpy.extra_types import PyText, PyJSON, PyCustomType, SmallInt, Text")
        exec("from psqlpy.row_factories import tuple_row, class_row")


# 1.2: calls


async def test_a_call_may_become_a_task(conn: Connection) -> None:
    call = conn.fetch_val("SELECT 1")
    assert asyncio.iscoroutine(call)
    assert await asyncio.create_task(call) == 1
    assert await asyncio.ensure_future(conn.fetch_val("SELECT 2")) == 2
    assert await asyncio.wait_for(conn.fetch_val("SELECT 3"), 5) == 3


async def test_a_connection_call_may_become_a_task(pool: ConnectionPool) -> None:
    call = pool.connection()
    assert asyncio.iscoroutine(call)
    connection = await asyncio.create_task(call)
    await ensure_usable(connection)
    connection.close()


async def test_a_call_that_nobody_awaits_does_nothing(conn: Connection, table: str) -> None:
    call = conn.execute(f"INSERT INTO {table} VALUES (1)")
    call.close()
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 0


async def test_a_call_can_be_awaited_once(conn: Connection) -> None:
    call = conn.fetch_val("SELECT 1")
    assert await call == 1
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        await call
    await ensure_usable(conn)


async def test_the_block_of_an_awaited_connect_closes(dsn: str, observer: ConnectionPool) -> None:
    async with await connect(dsn) as connection:
        pid = connection.backend_pid
        await ensure_usable(connection)
    await ensure_closed(connection)
    await no_backend(observer, pid)


async def test_a_standalone_connection_that_is_dropped_ends_its_backend(
    dsn: str, observer: ConnectionPool
) -> None:
    connection: Connection = await connect(dsn)
    pid = connection.backend_pid
    with pytest.warns(ResourceWarning):  # noqa: PT031  (deleting is the step, collecting makes it sure)
        del connection
        gc.collect()
    await no_backend(observer, pid)


async def no_backend(observer: ConnectionPool, pid: int) -> None:
    async def is_gone() -> bool:
        count: int = await observer.fetch_val("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", [pid])
        return count == 0

    await async_wait_until(is_gone)


async def test_awaiting_a_transaction_says_what_to_write(conn: Connection, pool: ConnectionPool) -> None:
    for owner in (conn, pool):
        with pytest.raises(TypeError, match="async with"):
            await owner.transaction()
    await ensure_usable(conn)


async def test_calls_of_several_tasks_on_one_connection(conn: Connection) -> None:
    calls = [conn.fetch_val("SELECT $1::int4", [number]) for number in range(20)]
    assert await asyncio.gather(*calls) == list(range(20))


def test_one_pool_under_two_event_loops(dsn: str) -> None:
    with ConnectionPool(dsn, max_db_pool_size=1) as pool:
        pids = {asyncio.run(_pid(pool)) for _ in range(2)}
    assert len(pids) == 1


async def _pid(pool: ConnectionPool) -> Any:
    return await pool.fetch_val("SELECT pg_backend_pid()")


def test_under_trio_too(dsn: str) -> None:
    trio = pytest.importorskip("trio")
    with ConnectionPool(dsn) as pool:
        assert trio.run(pool.fetch_val, "SELECT 1") == 1


# 1.2: what the classes are


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
async def test_what_holds_a_connection_is_not_copied(
    pool: ConnectionPool, conn: Connection, copied: Callable[[object], object]
) -> None:
    statement = await conn.prepare("SELECT 1")
    transaction, cursor, stream = conn.transaction(), conn.cursor("SELECT 1"), conn.stream("SELECT 1")
    copy_out = conn.copy_out("pg_class")
    for one in (
        pool,
        conn,
        transaction,
        cursor,
        stream,
        copy_out,
        statement,
        pool.listener(),
        pool.transaction(),
    ):
        with pytest.raises(TypeError, match="can't be copied or pickled"):
            copied(one)
    await ensure_usable(conn)


@pytest.mark.parametrize(
    "name", ["Connection", "Transaction", "Cursor", "Listener", "PreparedStatement", "QueryResult"]
)
def test_what_comes_from_elsewhere_is_not_made_without_that(name: str) -> None:
    with pytest.raises(TypeError):
        getattr(psqlpy, name)()


def test_classes_say_from_where_they_are_imported() -> None:
    for module in (psqlpy, sync, exceptions, extra_types, types):
        for name in module.__all__:
            found = getattr(module, name)
            if inspect.isclass(found):
                at = importlib.import_module(found.__module__)
                assert "._" not in f".{found.__module__}", found
                assert getattr(at, found.__qualname__) is found
    assert sync.Connection.__module__ == "psqlpy.sync"
    assert pickle.loads(pickle.dumps(sync.Connection)) is sync.Connection


async def test_a_pool_is_no_sequence(pool: ConnectionPool) -> None:
    with pytest.raises(TypeError, match="not iterable"):
        iter(pool)  # type: ignore[call-overload]


async def test_the_block_of_connect_that_is_not_awaited_is_the_pools(dsn: str) -> None:
    async with connect(dsn) as pool:
        await ensure_usable(pool)
    assert pool.status().max_size == 0


# 1.2: enums

ENUMS: list[Any] = [
    psqlpy.IsolationLevel,
    psqlpy.ReadVariant,
    psqlpy.ConnRecyclingMethod,
    psqlpy.LoadBalanceHosts,
    psqlpy.SslMode,
    psqlpy.SynchronousCommit,
    psqlpy.TargetSessionAttrs,
]


@pytest.mark.parametrize("cls", ENUMS)
def test_enums_are_enums(cls: Any) -> None:
    for member in cls:
        assert {member: 1}[member] == 1
        assert cls[member.name] is cls(member.value) is member
        assert pickle.loads(pickle.dumps(member)) is copy.deepcopy(member) is member


@pytest.mark.parametrize(
    "parameters",
    [
        {"target_session_attrs": "prefer-standby"},
        {"ssl_mode": "verify-full"},
        {"load_balance_hosts": "random"},
        {"conn_recycling_method": "Verified"},
    ],
)
def test_enum_parameters_take_words_too(parameters: dict[str, Any]) -> None:
    ConnectionPool(**parameters).close()
    [name] = parameters
    with pytest.raises(exceptions.ConnectionPoolConfigurationError, match=name):
        ConnectionPool(**{name: "nonsense"})  # type: ignore[arg-type]


def test_target_session_attrs_has_all_of_libpq() -> None:
    words = {member.value for member in psqlpy.TargetSessionAttrs}
    assert words == {"any", "read-write", "read-only", "primary", "standby", "prefer-standby"}


# 1.2: row factories


async def test_tuple_row_and_class_row(conn: Connection) -> None:
    from psqlpy.row_factories import class_row, tuple_row

    result = await conn.execute("SELECT 1 AS a, 'x' AS b")
    assert result.row_factory(tuple_row) == [(("a", 1), ("b", "x"))]
    [made] = result.row_factory(class_row(lambda a, b: [a, b]))
    assert made == [1, "x"]
