"""The rows about cursors, as both generations of the Rust driver were seen to behave; ours where that loses data."""

from __future__ import annotations

import importlib
import inspect
import sys

import pytest

import psqlpy
from psqlpy import Connection, ConnectionPool, Cursor, Transaction, exceptions

UNTIL_08 = """
    start close fetch fetch_next fetch_prior fetch_first fetch_last fetch_absolute fetch_relative fetch_forward_all
    fetch_backward fetch_backward_all
"""
FROM_013 = (
    "start",
    "execute",
    "fetchone",
    "fetchmany",
    "fetchall",
    "close",
    "is_closed",
    "array_size",
    "querystring",
)


@pytest.mark.parametrize(
    "name", [*UNTIL_08.split(), *FROM_013, "parameters", "conn_dbname", "hosts", "options"]
)
def test_a_cursor_has_the_names_of_both_generations(name: str) -> None:
    assert hasattr(Cursor, name)


@pytest.mark.parametrize("owner", [Connection, Transaction])
def test_cursor_takes_the_parameters_of_both_generations(owner: type[Connection | Transaction]) -> None:
    names = list(inspect.signature(owner.cursor).parameters)[1:]
    assert names == ["querystring", "parameters", "fetch_number", "scroll", "prepared", "array_size"]


def test_the_names_of_the_extension_module() -> None:
    # It may have been imported before, and warns once.
    sys.modules.pop("psqlpy._internal", None)
    with pytest.warns(PendingDeprecationWarning):
        internal = importlib.import_module("psqlpy._internal")
    for name in ("Cursor", "PreparedStatement", "Column"):
        assert getattr(internal, name) is getattr(psqlpy, name)


async def test_defect_1_closing_a_cursor_rolls_the_transaction_back(dsn: str) -> None:
    async with ConnectionPool(dsn) as pool, pool.acquire() as conn:
        await conn.execute("CREATE TEMP TABLE defect_1 (id int4)")
        async with conn.transaction() as transaction:
            await transaction.execute("INSERT INTO defect_1 VALUES (1)")
            async with transaction.cursor("SELECT 1"):
                pass
            await transaction.execute("INSERT INTO defect_1 VALUES (2)")
        assert await conn.fetch_val("SELECT count(*) FROM defect_1") == 2


async def test_closing_one_of_two_cursors_outside_a_transaction_leaves_the_other(dsn: str) -> None:
    async with ConnectionPool(dsn) as pool, pool.acquire() as conn:
        one, two = conn.cursor("SELECT 1 AS a"), conn.cursor("SELECT 2 AS a")
        await one.start()
        await two.start()
        one.close()
        assert (await two.fetchone()).result() == [{"a": 2}]


async def test_default_sizes_are_one_and_ten(dsn: str) -> None:
    query = "SELECT generate_series(1, 20)"
    async with ConnectionPool(dsn) as pool, pool.acquire() as conn, conn.cursor(query) as cursor:
        assert cursor.array_size == 1
        assert len(await cursor.fetchmany()) == 1
        assert len(await cursor.fetch()) == 10
        assert len(await cursor.fetchmany(-1)) == 9


async def test_an_unstarted_cursor_raises_what_either_generation_raised(dsn: str) -> None:
    async with ConnectionPool(dsn) as pool, pool.acquire() as conn:
        with pytest.raises(exceptions.TransactionClosedError):
            await conn.cursor("SELECT 1").fetchone()
        with pytest.raises(exceptions.CursorStartError):
            await conn.cursor().start()
