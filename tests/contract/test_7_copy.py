"""Copying into tables, as programs written for the driver's older generations know it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from io import BytesIO

import pytest

from psqlpy import Connection, ConnectionPool, exceptions

DATA = b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\0\1\0\0\0\4\0\0\0\7" + b"\xff\xff"


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Connection]:
    """A connection with a table `made` of columns that have to be quoted."""
    async with ConnectionPool(dsn, max_db_pool_size=1) as pool, pool.acquire() as connection:
        await connection.execute('CREATE TEMP TABLE "Made" ("A b" int4, c text)')
        yield connection


async def test_records_from_any_iterable_are_counted(conn: Connection) -> None:
    assert await conn.copy_records_to_table("Made", ((number, None) for number in range(5))) == 5
    assert await conn.copy_records_to_table("Made", []) == 0
    assert await conn.fetch_val('SELECT sum("A b") FROM "Made"') == 10


async def test_a_record_of_the_wrong_width_names_its_number_and_stores_nothing(conn: Connection) -> None:
    with pytest.raises(exceptions.PyToRustValueMappingError, match="record 2 has 1 field, expected 2"):
        await conn.copy_records_to_table("Made", [(1, "a"), (2,)])
    assert await conn.fetch_val('SELECT count(*) FROM "Made"') == 0


async def test_a_bad_type_is_a_type_error_and_names_row_and_column(conn: Connection) -> None:
    with pytest.raises(TypeError, match='record 2, column "A b"'):
        await conn.copy_records_to_table("Made", [(1, "a"), ([], "b")])
    assert await conn.fetch_val('SELECT count(*) FROM "Made"') == 0


async def test_an_unknown_table_or_column_is_a_database_error(conn: Connection) -> None:
    with pytest.raises(exceptions.DatabaseError):
        await conn.copy_records_to_table("psqlpy_no_such_table", [(1,)])
    with pytest.raises(exceptions.DatabaseError):
        await conn.copy_records_to_table("Made", [(1,)], ["no such column"])
    assert await conn.fetch_val("SELECT 1") == 1


async def test_binary_data_from_bytes_and_buffers_read_from_their_start(conn: Connection) -> None:
    buffer = BytesIO(DATA)
    buffer.seek(0, 2)
    for source in (DATA, bytearray(DATA), memoryview(DATA), buffer):
        assert await conn.binary_copy_to_table(source, "Made", ["A b"]) == 1
    for refused in ("path", open):
        with pytest.raises(exceptions.PyToRustValueMappingError, match="source must be bytes"):
            await conn.binary_copy_to_table(refused, "Made", ["A b"])  # type: ignore[arg-type]
    with pytest.raises(exceptions.DatabaseError, match="COPY file signature not recognized"):
        await conn.binary_copy_to_table(b"no such format", "Made", ["A b"])
    assert await conn.fetch_val('SELECT count(*) FROM "Made"') == 4


async def test_defect_12_a_copy_on_a_closed_connection_raises(dsn: str) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1) as pool:
        connection = await pool.connection()
        connection.close()
        with pytest.raises(exceptions.ConnectionClosedError):
            await connection.copy_records_to_table("t", [(1,)])
        with pytest.raises(exceptions.ConnectionClosedError):
            await connection.binary_copy_to_table(DATA, "t")


async def test_defect_12_columns_of_a_binary_copy_are_quoted(conn: Connection) -> None:
    with pytest.raises(exceptions.UndefinedColumn):
        await conn.binary_copy_to_table(DATA, "Made", ['"A b") FROM STDIN; DROP TABLE "Made"; --'])
    assert await conn.fetch_val('SELECT count(*) FROM "Made"') == 0


async def test_defect_14_a_binary_copy_to_a_missing_table_leaves_the_connection_alive(
    conn: Connection,
) -> None:
    with pytest.raises(exceptions.UndefinedTable):
        await conn.binary_copy_to_table(DATA, "psqlpy_no_such_table")
    assert await conn.fetch_val("SELECT 1") == 1


async def test_defect_2_large_copies_at_once_end(dsn: str) -> None:
    import anyio

    async with ConnectionPool(dsn, max_db_pool_size=4) as pool:

        async def copy() -> None:
            async with pool.acquire() as connection:
                await connection.execute("CREATE TEMP TABLE large (i int4)")
                assert await connection.copy_records_to_table("large", [(1,)] * 50_000) == 50_000

        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                for _ in range(4):
                    group.start_soon(copy)
