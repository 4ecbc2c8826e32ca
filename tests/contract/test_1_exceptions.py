"""The tree of exceptions, and of which classes the server's errors are."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import psqlpy
from psqlpy import Connection, exceptions
from tests._async.usable import ensure_usable

TREE = {
    "Error": ("InterfaceError", "DatabaseError"),
    "InterfaceError": (
        "BaseConnectionPoolError",
        "BaseConnectionError",
        "BaseTransactionError",
        "BaseCursorError",
        "BaseListenerError",
    ),
    "BaseConnectionPoolError": (
        "ConnectionPoolBuildError",
        "ConnectionPoolConfigurationError",
        "ConnectionPoolExecuteError",
    ),
    "BaseConnectionError": ("ConnectionExecuteError", "ConnectionClosedError"),
    "BaseTransactionError": (
        "TransactionBeginError",
        "TransactionCommitError",
        "TransactionRollbackError",
        "TransactionSavepointError",
        "TransactionExecuteError",
        "TransactionClosedError",
    ),
    "BaseCursorError": ("CursorStartError", "CursorCloseError", "CursorFetchError", "CursorClosedError"),
    "BaseListenerError": ("ListenerStartError", "ListenerClosedError", "ListenerCallbackError"),
    "DatabaseError": (
        "DataError",
        "OperationalError",
        "IntegrityError",
        "InternalError",
        "ProgrammingError",
        "NotSupportedError",
    ),
    "DataError": (
        "UUIDValueConvertError",
        "MacAddrConversionError",
        "RustToPyValueMappingError",
        "PyToRustValueMappingError",
    ),
}


def test_the_tree_of_exceptions() -> None:
    assert exceptions.Error.__bases__ == exceptions.WarningError.__bases__ == (Exception,)
    for parent, children in TREE.items():
        for child in children:
            cls = getattr(exceptions, child)
            assert issubclass(cls, getattr(exceptions, parent)), child
            assert cls.__module__ == "psqlpy.exceptions"
    assert exceptions.RustPSQLDriverPyBaseError is exceptions.Error is psqlpy.Error


def test_nothing_derives_from_base_exception_alone() -> None:
    for name in dir(exceptions):
        cls = getattr(exceptions, name)
        if inspect.isclass(cls) and issubclass(cls, BaseException):
            assert issubclass(cls, Exception)


@pytest.mark.parametrize(
    ("query", "leaf", "pep_249"),
    [
        ("INSERT INTO {table} VALUES (1), (1)", "UniqueViolation", "IntegrityError"),
        ("SELEC", "SyntaxError", "ProgrammingError"),
        ("SELECT 1 / 0", "DivisionByZero", "DataError"),
        ("SELECT pg_cancel_backend(pg_backend_pid())", "QueryCanceled", "OperationalError"),
    ],
)
async def test_a_server_error_is_of_its_family_and_of_its_pep_249_class(
    conn: Connection, table: str, query: str, leaf: str, pep_249: str
) -> None:
    await conn.execute(f"ALTER TABLE {table} ADD UNIQUE (id)")
    calls: list[Callable[[str], Any]] = [conn.execute, conn.fetch, conn.fetch_row, conn.fetch_val]
    for call in calls:
        with pytest.raises(exceptions.ConnectionExecuteError) as caught:
            await call(query.format(table=table))
        assert isinstance(caught.value, getattr(exceptions, pep_249))
        assert isinstance(caught.value, getattr(exceptions, leaf))
        assert caught.value.sqlstate is not None
    await ensure_usable(conn)


async def test_errors_of_a_batch_and_of_savepoints_are_database_errors(conn: Connection) -> None:
    with pytest.raises(exceptions.DatabaseError):
        await conn.execute_batch("SELECT 1 / 0")
    transaction = conn.transaction()
    await transaction.begin()
    with pytest.raises(exceptions.DatabaseError):
        await transaction.execute("SELECT 1 / 0")
    with pytest.raises(exceptions.DatabaseError) as caught:
        await transaction.create_savepoint("a")
    assert isinstance(caught.value, exceptions.TransactionSavepointError)
    await transaction.rollback()
    await ensure_usable(conn)


async def test_an_error_has_the_fields_of_the_server(conn: Connection, table: str) -> None:
    await conn.execute(f"ALTER TABLE {table} ADD CONSTRAINT only_one UNIQUE (id)")
    with pytest.raises(exceptions.UniqueViolation) as caught:
        await conn.execute(f"INSERT INTO {table} VALUES (1), (1)")
    error = caught.value
    assert (error.sqlstate, error.severity) == ("23505", "ERROR")
    assert (error.table_name, error.constraint_name) == (table, "only_one")
    assert error.detail == "Key (id)=(1) already exists."
    assert error.message is not None
    assert str(error) == f"{error.message}\nDETAIL: {error.detail}"
    assert error.args == (str(error),)


async def test_the_fields_that_a_function_sets(conn: Connection) -> None:
    fields = {
        "message": "a message",
        "detail": "a detail",
        "hint": "a hint",
        "schema_name": "a schema",
        "table_name": "a table",
        "column_name": "a column",
        "datatype_name": "a type",
        "constraint_name": "a constraint",
    }
    using = ", ".join(f"{name.removesuffix('_name')} = '{value}'" for name, value in fields.items())
    with pytest.raises(exceptions.CheckViolation) as caught:
        await conn.execute(f"DO $$ BEGIN RAISE check_violation USING {using}; END $$")
    assert {name: getattr(caught.value, name) for name in fields} == fields
    assert (caught.value.sqlstate, caught.value.severity, caught.value.position) == ("23514", "ERROR", None)
    with pytest.raises(exceptions.SyntaxError) as wrong:
        await conn.execute("SELECT 1 FRM x y")
    assert wrong.value.position == 14
    await ensure_usable(conn)


async def test_a_value_that_does_not_convert_is_a_mapping_error_and_a_type_error(conn: Connection) -> None:
    with pytest.raises(exceptions.PyToRustValueMappingError, match=r"\$1.*float.*int4") as caught:
        await conn.execute("SELECT $1::int4", [1.5])
    assert isinstance(caught.value, TypeError)
    with pytest.raises(exceptions.PyToRustValueMappingError) as caught:
        await conn.execute("SELECT $1::int2", [100_000])
    assert isinstance(caught.value, ValueError)
    await ensure_usable(conn)
