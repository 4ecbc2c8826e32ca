"""A fresh process: `python -m benchmarks.startup DRIVER import|script [DSN]` imports a driver, or is a short script.

Prints one line for the conductor. Imports nothing before the clock runs but what every Python has loaded.
"""

import sys
from time import perf_counter, process_time


def psqlpy(dsn: str) -> object:
    import asyncio

    from psqlpy import ConnectionPool

    async def main() -> object:
        async with ConnectionPool(dsn) as pool:
            return await pool.fetch_val("SELECT 1 + $1", [1])

    return asyncio.run(main())


def psqlpy_rs(dsn: str) -> object:
    import asyncio
    import importlib

    async def main() -> object:
        pool = importlib.import_module("psqlpy").ConnectionPool(dsn)
        connection = await pool.connection()
        return await connection.fetch_val("SELECT 1 + $1", [1])

    return asyncio.run(main())


def asyncpg(dsn: str) -> object:
    import asyncio

    import asyncpg

    async def main() -> object:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval("SELECT 1 + $1", 1)
        finally:
            await connection.close()

    return asyncio.run(main())


def psycopg(dsn: str) -> object:
    import asyncio

    import psycopg

    async def main() -> object:
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            cursor = await connection.execute("SELECT 1 + %s", (1,))
            [value] = await cursor.fetchone() or [None]
            return value

    return asyncio.run(main())


SCRIPTS = {
    "psqlpy": psqlpy,
    "psqlpy-libpq18": psqlpy,
    "psqlpy-rs": psqlpy_rs,
    "asyncpg": asyncpg,
    "psycopg": psycopg,
}
MODULES = {"psqlpy-libpq18": "psqlpy", "psqlpy-rs": "psqlpy"}


def resident() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1])
    except OSError:
        return 0


def main() -> None:
    driver, what, *rest = sys.argv[1:]
    before, began, cpu = resident(), perf_counter(), process_time()
    if what == "import":
        __import__(MODULES.get(driver, driver))
    elif SCRIPTS[driver](*rest) != 2:
        raise AssertionError("1 + 1")
    wall, cpu, pages = perf_counter() - began, process_time() - cpu, resident() - before
    import json
    import os

    extra = {"memory": pages * os.sysconf("SC_PAGE_SIZE")} if before else {}
    answer = {"wall": wall, "cpu": cpu, "operations": 1, "latencies": [], "stall": None, "extra": extra}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
