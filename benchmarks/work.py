"""What a worker can be asked to do, once for all drivers. What each is for, and how often, is in parts.py.

A turn is timed as a whole; its calls are, too, where their number is what counts. `prepare` and `finish` aren't timed.
Works that start tasks run on asyncio or uvloop.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import Any

from benchmarks import memory, rows
from benchmarks.drivers import Connection, Driver, Pool

KEY = "SELECT id, name, balance, created FROM bench_keys WHERE id = $1"
TOUCH = "UPDATE bench_keys SET balance = balance + 1 WHERE id = $1"
KEYS = 10_000
QUERIES: dict[str, tuple[str, list[Any]]] = {
    "bulk": ("SELECT * FROM bench_bulk", []),
    "pg_type": (
        """
        SELECT typname, typnamespace, typowner, typlen, typbyval, typcategory, typispreferred, typisdefined,
            typdelim, typrelid, typelem, typarray FROM pg_type WHERE typtypmod = $1 AND typisdefined = $2
        """,
        [-1, True],
    ),
    "numbers": ("SELECT i FROM generate_series(1, $1) AS i", [1000]),
    "bytes": ("SELECT data FROM bench_bytes", []),
    "arrays": ("SELECT numbers FROM bench_arrays", []),
    # Five times the table: half a million rows.
    "big": (
        "SELECT b.id, b.big, b.name, b.created FROM bench_bulk b CROSS JOIN generate_series(1, $1)",
        [5],
    ),
}


class Work:
    def __init__(self, driver: Driver, dsn: str, options: dict[str, Any]) -> None:
        self.driver = driver
        self.dsn = dsn
        self.options = options
        self.latencies: list[float] = []

    async def open(self) -> None: ...

    async def prepare(self) -> None: ...

    async def turn(self) -> int:
        """Do it; the number of operations."""
        raise NotImplementedError

    async def finish(self) -> dict[str, float]:
        """What there is to say of the last turn beside its time."""
        return {}

    async def close(self) -> None: ...

    async def timed(self, call: Coroutine[Any, Any, Any]) -> Any:
        began = perf_counter()
        result = await call
        self.latencies.append(perf_counter() - began)
        return result


def keys(count: int, first: int = 0) -> list[int]:
    return [1 + (7919 * (first + number)) % KEYS for number in range(count)]


def check(wanted: int, got: tuple[Any, Any]) -> None:
    if got != (wanted, f"name {wanted}"):
        raise AssertionError(f"asked for {wanted}, got {got}")


class OneConnection(Work):
    connection: Connection

    async def open(self) -> None:
        self.connection = await self.driver.connect(self.dsn)

    async def close(self) -> None:
        await self.connection.close()


class OnePool(Work):
    pool: Pool

    async def open(self) -> None:
        self.pool = await self.driver.pool(self.dsn, self.options.get("size", 10))

    async def close(self) -> None:
        await self.pool.close()


class Keys(OneConnection):
    """One row by key after the other, on a held connection."""

    async def turn(self) -> int:
        count: int = self.options["count"]
        for key in keys(count):
            check(key, await self.timed(self.connection.pair(KEY, key)))
        return count


class Transactions(OneConnection):
    """One transaction of one UPDATE after the other. `first`: on a connection that hasn't seen the statement."""

    async def turn(self) -> int:
        count: int = self.options["count"]
        for key in keys(count):
            await self.timed(self.connection.transaction(TOUCH, key))
        return count


class PoolKeys(OnePool):
    """Tasks that each fetch one row by key after the other, through the pool's own method."""

    async def turn(self) -> int:
        tasks, count = self.options["tasks"], self.options["count"]
        await asyncio.gather(*(self._task(number * count, count) for number in range(tasks)))
        return int(tasks * count)

    async def _task(self, first: int, count: int) -> None:
        for key in keys(count, first):
            check(key, await self.timed(self.pool.pair(KEY, key)))


class SlowNeighbour(OnePool):
    """The same for a given time, while one more task has slow queries. Only the fast ones count."""

    SLOW = "SELECT $1::int4 AS id, 'slow' AS name FROM pg_sleep({seconds})"

    async def turn(self) -> int:
        end = perf_counter() + self.options["seconds"]
        slow = self.SLOW.format(seconds=self.options["slow"])

        async def one_slow() -> None:
            while perf_counter() < end:
                await self.pool.pair(slow, 1)

        async def fast(first: int) -> int:
            done = 0
            while perf_counter() < end:
                [key] = keys(1, first + done)
                check(key, await self.timed(self.pool.pair(KEY, key)))
                done += 1
            return done

        self.neighbour = asyncio.ensure_future(one_slow())
        done = await asyncio.gather(*(fast(number * 100) for number in range(self.options["tasks"] - 1)))
        return sum(done)

    async def finish(self) -> dict[str, float]:
        await self.neighbour
        return {}


class Acquire(OnePool):
    """Take a connection, one query, give it back; one after the other."""

    async def turn(self) -> int:
        count: int = self.options["count"]
        for key in keys(count):
            check(key, await self.timed(self.pool.acquired_pair(KEY, key)))
        return count


class Waiters(OnePool):
    """As many tasks at once, each of which takes a connection for one query."""

    async def turn(self) -> int:
        tasks: int = self.options["tasks"]
        calls = [self.timed(self.pool.acquired_pair(KEY, key)) for key in keys(tasks)]
        for key, got in zip(keys(tasks), await asyncio.gather(*calls), strict=True):
            check(key, got)
        return tasks


class Connect(Work):
    """As many connections, opened at once. Closing them isn't timed."""

    opened: list[Connection]

    async def turn(self) -> int:
        self.opened = await self.driver.connect_at_once(self.dsn, self.options["connections"])
        return len(self.opened)

    async def finish(self) -> dict[str, float]:
        # In turn: what closing costs isn't asked.
        for connection in self.opened:
            await connection.close()
        self.opened = []
        await asyncio.sleep(self.options.get("settle", 1.0))
        return {}


class Rows(Work):
    """The same query again and again on some held connections, a task each, in one shape of rows."""

    connections: list[Connection]

    async def open(self) -> None:
        self.connections = [
            await self.driver.connect(self.dsn) for _ in range(self.options.get("concurrency", 1))
        ]

    async def turn(self) -> int:
        if len(self.connections) == 1:
            return await self._task(self.connections[0])
        return sum(await asyncio.gather(*(self._task(connection) for connection in self.connections)))

    async def _task(self, connection: Connection) -> int:
        (query, values), shape = QUERIES[self.options["query"]], self.options["shape"]
        done = 0
        for _ in range(self.options["count"]):
            got = await self.timed(connection.rows(query, values, shape))
            if not got:
                raise AssertionError("no rows")
            done += len(got) if self.options.get("each_row") else 1
        return done

    async def close(self) -> None:
        for connection in self.connections:
            await connection.close()


class Big(OneConnection):
    """Half a million rows at once, in a process that has done nothing else: their memory, and what came on top."""

    rows: Any

    async def prepare(self) -> None:
        await self.connection.pair(KEY, 1)
        gc.collect()
        self.before = memory.now()

    async def turn(self) -> int:
        query, values = QUERIES["big"]
        self.rows = await self.connection.rows(query, values, "records")
        return len(self.rows)

    async def finish(self) -> dict[str, float]:
        grown = memory.peak() - self.before
        held = size_of_rows(self.rows)
        rounding = size_of_rows(self.rows, allocated) - held
        return {"grown": grown, "rows": held, "above": max(0, grown - held), "rounding": rounding}


def size_of_rows(found: Any, size: Callable[[Any], int] = sys.getsizeof) -> float:
    """What the list, its rows and their values take, by sys.getsizeof. Every hundredth row stands for a hundred.

    Values that several of these rows share count once, and not a hundred times.
    """
    sample = found[::100]
    values = {id(value): size(value) for row in sample for value in row}
    per_row = (sum(map(size, sample)) + sum(values.values())) / len(sample)
    return size(found) + per_row * len(found)


def allocated(value: Any) -> int:
    """What CPython's allocator gives for it: a multiple of 16 bytes."""
    return -(-sys.getsizeof(value) // 16) * 16


class Into(OneConnection):
    async def open(self) -> None:
        await super().open()
        await self.connection.execute(rows.CREATE)

    async def prepare(self) -> None:
        await self.connection.execute(rows.EMPTY)


class Many(Into):
    """One INSERT, executed for every row."""

    async def open(self) -> None:
        await super().open()
        self.records = rows.records(self.options["rows"])

    async def turn(self) -> int:
        await self.connection.execute_many(rows.INSERT, self.records)
        return len(self.records)


class CopyRecords(Into):
    async def open(self) -> None:
        await super().open()
        self.records = rows.records(self.options["rows"])

    async def turn(self) -> int:
        await self.connection.copy_records("bench_into", rows.COLUMNS, self.records)
        return len(self.records)


class CopyCsv(Into):
    async def open(self) -> None:
        await super().open()
        self.data = rows.csv(self.options["rows"])

    async def turn(self) -> int:
        await self.connection.copy_csv("bench_into", self.data)
        return int(self.options["rows"])


WORKS: dict[str, type[Work]] = {
    "keys": Keys,
    "transactions": Transactions,
    "pool keys": PoolKeys,
    "slow neighbour": SlowNeighbour,
    "acquire": Acquire,
    "waiters": Waiters,
    "connect": Connect,
    "rows": Rows,
    "big": Big,
    "many": Many,
    "copy records": CopyRecords,
    "copy csv": CopyCsv,
}
