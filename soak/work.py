"""What the users do: reads that return what only their caller knows, and writes that the ledger is told of.

Written once, for all runtimes: what waits goes through a Watch, which also takes what doesn't wait.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from psqlpy import exceptions
from soak.ledger import DENIED, STORED, UNDER_WAY, UNKNOWN, Ledger
from soak.runtimes import Runtime, each, settle
from soak.watch import Watch

INSERT = "INSERT INTO ledger VALUES ($1, $2)"
# Seconds: what pools have, and what one call in some has instead.
TIMEOUT = 2.0
SHORT = (0.002, 0.3)


class Deliberate(Exception):
    """What a block is left with on purpose."""


class Attempt:
    """One entry. `ending`: whether an error may come from what would store it."""

    def __init__(self, entry: int, ending: bool) -> None:
        self.entry = entry
        self.ending = ending


class User:
    """One task or thread, and what it may do; `turn` does one of it."""

    def __init__(
        self, number: int, runtime: Runtime, pool: Any, watch: Watch, ledger: Ledger, random: Random
    ) -> None:
        self.number = number
        self.runtime = runtime
        self.pool = pool
        self.watch = watch
        self.ledger = ledger
        self.random = random
        self.nonces = 0
        self.actions: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (12, self.read_shared),
            (6, self.read_row),
            (3, self.read_many_rows),
            (6, self.read_held),
            (4, self.read_pipeline),
            (3, self.read_cursor),
            (3, self.read_stream),
            (2, self.read_copy),
            (2, self.sleep),
            (3, self.fail),
            (4, self.read_own),
            (8, self.write),
            (8, self.write_transaction),
            (3, self.write_savepoint),
            (3, self.write_and_leave),
            (3, self.write_many),
            (3, self.write_copy),
            (3, self.write_pipeline),
            (3, self.write_again),
        ]
        self._weights = [weight for weight, _ in self.actions]

    async def work(self) -> None:
        """Until it is over."""
        while not self.watch.over:
            await self.turn()
            await self.runtime.sleep(self.random.uniform(0, 0.02))

    async def turn(self) -> None:
        _, action = self.random.choices(self.actions, self._weights)[0]
        try:
            if self.random.random() < 0.1:
                due = time.monotonic() + (limit := self.random.uniform(*SHORT))
                with self.runtime.cancelled_after(limit) as scope:
                    await action()
                if scope is not None and scope.cancelled_caught:
                    self.watch.note_end(action.__name__, due, "cancelled")
            else:
                await action()
        except exceptions.Error:
            pass  # noted with its call
        except Exception as error:
            self.watch.find(f"{action.__name__}: {error!r}")

    # Parts

    def nonce(self) -> int:
        """A number that nobody else has."""
        self.nonces += 1
        return self.number << 40 | self.nonces

    def check(self, kind: str, sent: object, received: object) -> None:
        if sent != received:
            self.watch.find(f"{kind}: sent {sent!r}, received {received!r}")

    def limit(self) -> float:
        return self.random.uniform(*SHORT) if self.random.random() < 0.2 else TIMEOUT

    def held(self, kind: str) -> Any:
        return self.watch.block(kind, TIMEOUT, self.pool.acquire())

    # Reads

    async def read_shared(self) -> None:
        nonce = self.nonce()
        value = await self.watch.call(
            "fetch_val", self.limit(), self.pool.fetch_val, "SELECT $1::int8", [nonce]
        )
        self.check("fetch_val", nonce, value)

    async def read_row(self) -> None:
        nonce, text = self.nonce(), "x" * self.random.choice([0, 1, 100, 20_000])
        query = "SELECT $1::int8 AS nonce, $2::text AS t"
        row = await self.watch.call("fetch_row", self.limit(), self.pool.fetch_row, query, [nonce, text])
        self.check("fetch_row", {"nonce": nonce, "t": text}, row.result())

    async def read_many_rows(self) -> None:
        """Enough to be decoded as they come."""
        nonce, count = self.nonce(), self.random.choice([10, 1000, 5000])
        query = "SELECT $1::int8, g FROM generate_series(1, $2::int4) AS g"
        result = await self.watch.call("fetch", self.limit(), self.pool.fetch, query, [nonce, count])
        expected = [(nonce, number) for number in range(1, count + 1)]
        if result.result(as_tuple=True) != expected:
            self.watch.find(f"fetch: {count} rows of {nonce} aren't those")

    async def read_held(self) -> None:
        """What one user leaves, the next doesn't find."""
        async with self.held("acquire") as connection:
            left = "SELECT coalesce(current_setting('soak.left', true), '')"
            self.check("left", "", await self.watch.call("left", self.limit(), connection.fetch_val, left))
            nonce = self.nonce()
            query = "SELECT set_config('soak.left', $1, false)"
            await self.watch.call("leave", self.limit(), connection.execute, query, [str(nonce)])
            for _ in range(self.random.randrange(4)):
                value = await self.watch.call("left", self.limit(), connection.fetch_val, left)
                self.check("left", str(nonce), value)

    async def read_pipeline(self) -> None:
        nonces = [self.nonce() for _ in range(5)]
        async with self.held("acquire") as connection:
            queries = [("SELECT $1::int8 AS nonce", [nonce]) for nonce in nonces]
            results = await self.watch.call("pipeline", self.limit(), connection.pipeline, queries)
        self.check("pipeline", [[{"nonce": nonce}] for nonce in nonces], [one.result() for one in results])

    async def read_cursor(self) -> None:
        nonce = self.nonce()
        async with self.held("acquire") as connection:
            query = "SELECT $1::int8, g FROM generate_series(1, 300) AS g"
            cursor = connection.cursor(query, [nonce])
            await self.watch.call("cursor start", self.limit(), cursor.start)
            seen: list[tuple[int, int]] = []
            for _ in range(self.random.randrange(1, 5)):
                result = await self.watch.call("cursor fetch", self.limit(), cursor.fetchmany, 100)
                seen += result.result(as_tuple=True)
            await self.watch.step("cursor close", TIMEOUT, cursor.close)
        self.check("cursor", [(nonce, number) for number in range(1, len(seen) + 1)], seen)

    async def read_stream(self) -> None:
        """To the end, or not."""
        nonce, most = self.nonce(), self.random.choice([1, 1500, 10_000])
        async with self.held("acquire") as connection:
            query = "SELECT $1::int8, g FROM generate_series(1, 5000) AS g"
            stream = connection.stream(query, [nonce], as_tuple=True, timeout=TIMEOUT)
            number = 0
            async with self.watch.block("stream", TIMEOUT, stream):
                async for row in each(stream):
                    number += 1
                    if row != (nonce, number):
                        self.watch.find(f"stream: {row} instead of {(nonce, number)}")
                    if number == most:
                        break

    async def read_copy(self) -> None:
        nonce, seen = self.nonce(), 0
        query = f"SELECT {nonce}::int8, g FROM generate_series(1, 2000) AS g"
        async with self.watch.block(
            "copy_out", TIMEOUT, self.pool.copy_out(query=query, timeout=TIMEOUT)
        ) as rows:
            async for row in each(rows):
                seen += 1
                if row != (nonce, seen):
                    self.watch.find(f"copy_out: {row} instead of {(nonce, seen)}")
        self.check("copy_out", 2000, seen)

    async def sleep(self) -> None:
        """Longer than its timeout, mostly."""
        nonce = self.nonce()
        query = "SELECT $1::int8 FROM pg_sleep($2)"
        parameters = [nonce, self.random.uniform(0, 0.4)]
        limit = self.random.uniform(*SHORT)
        self.check(
            "sleep", nonce, await self.watch.call("sleep", limit, self.pool.fetch_val, query, parameters)
        )

    async def fail(self) -> None:
        query = self.random.choice(["SELECT 1 / 0", "SELEC 1", "SELECT no_such_column"])
        await self.watch.call("an error", self.limit(), self.pool.execute, query)
        self.watch.find(f"{query}: no error")

    async def read_own(self) -> None:
        """What was reported as stored is there at once; what wasn't, isn't."""
        if not self.ledger.count(self.number):
            return
        entry = self.ledger.first(self.number) + self.random.randrange(self.ledger.count(self.number))
        told, rows = self.ledger.look(entry)
        query = "SELECT count(*) FROM ledger WHERE entry = $1"
        found = await self.watch.call("look", self.limit(), self.pool.fetch_val, query, [entry])
        if told != UNKNOWN:
            self.check(f"entry {entry}", rows if told == STORED else 0, found)
        elif found not in (0, rows):
            self.watch.find(f"entry {entry} has {found} rows of {rows}")

    # Writes

    @asynccontextmanager
    async def entry(self, rows: int, *, ending: bool) -> AsyncIterator[Attempt]:
        """Tell the ledger how the block ends. `ending`: as with Attempt, from the beginning."""
        attempt = Attempt(self.ledger.begin(self.number, rows), ending)
        told = UNDER_WAY
        try:
            yield attempt
            told = STORED
        except Deliberate:
            told = DENIED
        except exceptions.Error as error:
            told = UNKNOWN if attempt.ending and error.may_have_committed else DENIED
            raise
        except BaseException:
            # Cancelled, and nobody says anything.
            told = UNKNOWN if attempt.ending else DENIED
            raise
        finally:
            self.ledger.end(attempt.entry, told)

    async def write(self) -> None:
        async with self.entry(1, ending=True) as attempt:
            await self.watch.call("execute", self.limit(), self.pool.execute, INSERT, [attempt.entry, 0])

    async def write_transaction(self) -> None:
        rows = self.random.randrange(1, 4)
        block = self.watch.block("transaction", TIMEOUT, self.pool.transaction())
        async with self.entry(rows, ending=False) as attempt, block as transaction:
            for row in range(rows):
                await self.watch.call(
                    "in transaction", self.limit(), transaction.execute, INSERT, [attempt.entry, row]
                )
                if self.random.random() < 0.1:
                    await self.runtime.sleep(self.random.uniform(0, 0.05))
            attempt.ending = True

    async def write_savepoint(self) -> None:
        async with self.entry(1, ending=False) as attempt, self.held("acquire") as connection:  # noqa: SIM117  # the block below ends before the entry is judged
            async with self.watch.block("transaction", TIMEOUT, connection.transaction()) as outer:
                await self.watch.call("in transaction", TIMEOUT, outer.execute, INSERT, [attempt.entry, 0])
                try:
                    async with self.watch.block("savepoint", TIMEOUT, connection.transaction()) as inner:
                        await self.watch.call(
                            "in savepoint", TIMEOUT, inner.execute, INSERT, [attempt.entry, 1]
                        )
                        raise Deliberate
                except Deliberate:
                    pass
                attempt.ending = True

    async def write_and_leave(self) -> None:
        """A transaction that is rolled back on purpose."""
        block = self.watch.block("transaction", TIMEOUT, self.pool.transaction())
        async with self.entry(1, ending=False) as attempt, block as transaction:
            parameters = [attempt.entry, 0]
            await self.watch.call("in transaction", self.limit(), transaction.execute, INSERT, parameters)
            raise Deliberate

    async def write_many(self) -> None:
        async with self.entry(20, ending=True) as attempt:
            rows = [[attempt.entry, row] for row in range(20)]
            await self.watch.call("execute_many", self.limit(), self.pool.execute_many, INSERT, rows)

    async def write_copy(self) -> None:
        async with self.entry(50, ending=True) as attempt:
            rows = [(attempt.entry, row) for row in range(50)]
            copied = await self.watch.call(
                "copy_records_to_table", self.limit(), self.pool.copy_records_to_table, "ledger", rows
            )
            self.check("copy_records_to_table", 50, copied)

    async def write_pipeline(self) -> None:
        async with self.entry(3, ending=True) as attempt, self.held("acquire") as connection:
            queries = [(INSERT, [attempt.entry, row]) for row in range(3)]
            await self.watch.call("pipeline", self.limit(), connection.pipeline, queries)

    async def write_again(self) -> None:
        """By run_transaction, whose function is called as often as needed."""
        async with self.entry(2, ending=False) as attempt:

            def insert(transaction: Any) -> Any:
                work = self._insert_twice(transaction, attempt)
                return work if self.runtime.cancels else self.runtime.run(lambda: work)

            # Its timeout isn't its statements'.
            await self.watch.step("run_transaction", None, self.pool.run_transaction, insert)

    async def _insert_twice(self, transaction: Any, attempt: Attempt) -> None:
        attempt.ending = False
        for row in range(2):
            await self.watch.call(
                "in transaction", TIMEOUT, transaction.execute, INSERT, [attempt.entry, row]
            )
        attempt.ending = True


class Channel:
    """One that sends numbers, and one that listens to them; a notification is lost only while a listener is away."""

    def __init__(self, runtime: Runtime, pool: Any, watch: Watch) -> None:
        self.runtime = runtime
        self.pool = pool
        self.watch = watch
        self.name = f"soak {runtime.name}"
        #: Of each number, whether its sender was told that it is sent.
        self.told = bytearray()
        self.received = 0
        self.reconnects = 0
        self._last = -1
        self._was_away = True

    async def send(self) -> None:
        while not self.watch.over:
            self.told.append(0)
            try:
                number = len(self.told) - 1
                await self.watch.call("notify", TIMEOUT, self.pool.notify, self.name, str(number))
                self.told[number] = 1
            except exceptions.Error:
                pass  # noted with its call
            await self.runtime.sleep(0.02)

    async def listen(self) -> None:
        while not self.watch.over:
            self._was_away = True
            try:
                listener = self.pool.listener(on_reconnect=self._note_reconnect, reconnect_timeout=5.0)
                await self.watch.call("channel", TIMEOUT, listener.add_channel, self.name)
                async with self.watch.block("listener", TIMEOUT, listener):
                    while not self.watch.over:
                        async for message in each(listener.messages(timeout=0.5)):
                            self._receive(message)
            except exceptions.Error:
                await self.runtime.sleep(0.1)

    def _note_reconnect(self, listener: Any) -> None:
        self.reconnects += 1
        self._was_away = True

    def _receive(self, message: Any) -> None:
        self.received += 1
        number = int(message.payload)
        if message.channel != self.name or number <= self._last:
            self.watch.find(f"notification {message.channel!r} {number} after {self._last}")
        lost = sum(self.told[self._last + 1 : number])
        if lost and not self._was_away:
            self.watch.find(f"{lost} notifications between {self._last} and {number} are lost")
        self._last, self._was_away = number, False


async def work_all(runtime: Runtime, pool: Any, watch: Watch, users: list[User], channel: Channel) -> None:
    """Everybody at once, until it is over."""
    works = [lambda user=user: user.work() for user in users]
    others = [channel.send, channel.listen, lambda: watch.beat(runtime)]
    await runtime.together([*works, *others])


async def first_success(runtime: Runtime, pool: Any, watch: Watch, within: float) -> float:
    """How long it takes until the pool answers."""
    begun = time.monotonic()
    while True:
        try:
            await settle(pool.fetch_val("SELECT 1", timeout=1.0))
            return time.monotonic() - begun
        except exceptions.Error as error:
            if time.monotonic() - begun > within:
                watch.find(f"no success within {within} s: {error!r}")
                return within
        await runtime.sleep(0.02)
