"""One pool, used from asyncio, uvloop, trio and threads: `make demo` runs this against an embedded PostgreSQL.

python examples/quickstart.py [DSN]
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import psqlpy
import psqlpy.sync
from psqlpy import embedded

ORDERS = 5_000
QUERIES = 200

CREATE = """
DROP TABLE IF EXISTS orders;
CREATE TABLE orders (
    id int PRIMARY KEY,
    customer text NOT NULL,
    total numeric(10, 2) NOT NULL,
    ordered_on date NOT NULL,
    tags text[] NOT NULL
);
"""
INSERT = "INSERT INTO orders VALUES ($1, $2, $3, $4, $5)"
BY_ID = "SELECT * FROM orders WHERE id = $1"
BEST = """
SELECT customer, count(*) AS orders, sum(total) AS total, max(ordered_on) AS latest
FROM orders WHERE $(tag)p = ANY(tags)
GROUP BY customer ORDER BY sum(total) DESC LIMIT 5
"""

CUSTOMERS = ["Ada", "Béla", "Chiyo", "Dmitri", "Esi", "Fatima", "Grace", "Hồ", "Ingrid", "Jorge"]


def make_orders() -> list[list[Any]]:
    chance = random.Random(7)
    return [
        [
            number,
            chance.choice(CUSTOMERS),
            Decimal(chance.randrange(100, 100_000)) / 100,
            date(2026, 1, 1) + timedelta(days=chance.randrange(300)),
            chance.sample(["new", "gift", "express", "export"], 2),
        ]
        for number in range(1, ORDERS + 1)
    ]


async def load(pool: psqlpy.ConnectionPool) -> None:
    async with pool.acquire() as connection:
        await connection.execute_batch(CREATE)
        async with connection.transaction() as transaction:
            await transaction.execute_many(INSERT, make_orders())


async def query(pool: psqlpy.ConnectionPool) -> str:
    """Many small queries at once, and one that sums up."""

    async def one(number: int) -> None:
        order = (await pool.fetch_row(BY_ID, [number])).result()
        assert order["id"] == number

    if asyncio_runs():
        await asyncio.gather(*(one(number) for number in range(1, QUERIES + 1)))
    else:
        import trio

        async with trio.open_nursery() as nursery:
            for number in range(1, QUERIES + 1):
                nursery.start_soon(one, number)
    return table((await pool.fetch(BEST, {"tag": "gift"})).result())


def asyncio_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def query_in_threads(pool: psqlpy.sync.ConnectionPool) -> str:
    def one(number: int) -> None:
        order = pool.fetch_row(BY_ID, [number]).result()
        assert order["id"] == number

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(one, range(1, QUERIES + 1)))
    return table(pool.fetch(BEST, {"tag": "gift"}).result())


def table(rows: list[dict[str, Any]]) -> str:
    columns = list(rows[0])
    cells = [columns, *([str(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def run_uvloop(main: Callable[..., Any], *args: Any) -> Any:
    import uvloop

    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(main(*args))
    finally:
        loop.close()


def run_trio(main: Callable[..., Any], *args: Any) -> Any:
    import trio

    return trio.run(main, *args)


def demo(dsn: str) -> None:
    # One pool for all event loops, one after the other; threads have the synchronous mirror of it.
    pool = psqlpy.ConnectionPool(dsn, max_db_pool_size=4)
    sync_pool = psqlpy.sync.ConnectionPool(dsn, max_db_pool_size=4)
    began = time.perf_counter()
    asyncio.run(load(pool))
    print(f"{ORDERS} orders loaded in {(time.perf_counter() - began) * 1000:.0f} ms\n")

    ways: list[tuple[str, Callable[[], str]]] = [
        ("asyncio", lambda: asyncio.run(query(pool))),
        ("uvloop", lambda: run_uvloop(query, pool)),
        ("trio", lambda: run_trio(query, pool)),
        ("threads", lambda: query_in_threads(sync_pool)),
    ]
    taken: list[dict[str, Any]] = []
    answers = set()
    for name, way in ways:
        began = time.perf_counter()
        answers.add(way())
        seconds = time.perf_counter() - began
        taken.append(
            {
                "from": name,
                "time": f"{seconds * 1000:.0f} ms",
                "queries": QUERIES + 1,
                "pool": str((sync_pool if name == "threads" else pool).status().size) + " connections",
            }
        )
    pool.close()
    sync_pool.close()
    if len(answers) != 1:
        raise SystemExit(f"the answers differ: {answers}")
    print("The best customers of gifts, as all four were told:\n")
    print(answers.pop())
    print("\nHow long it took, connecting included:\n")
    print(table(taken))


def main() -> None:
    if len(sys.argv) > 1:
        demo(sys.argv[1])
        return
    with embedded.server() as dsn:
        demo(dsn)


if __name__ == "__main__":
    main()
