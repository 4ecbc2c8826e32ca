"""Any sequence of savepoints and inner transactions, of whichever is open, against a model of what is stored."""

from __future__ import annotations

import random
from typing import Any

import pytest

from psqlpy import Connection, Transaction, exceptions
from tests._async.usable import ensure_usable

OPERATIONS = (
    "insert",
    "insert",
    "begin",
    "create",
    "create",
    "back",
    "release",
    "commit",
    "rollback",
    "fail",
)


class Model:
    """What is open, outermost first: a transaction, a savepoint's name or None, and the rows there were before."""

    def __init__(self, conn: Connection, table: str, seed: int) -> None:
        self.conn = conn
        self.table = table
        self.random = random.Random(seed)
        self.open: list[tuple[Transaction, str | None, list[int]]] = []
        self.rows: list[int] = []
        self.inserted = 0

    async def begin(self) -> None:
        transaction = self.conn.transaction()
        await transaction.begin()
        self.open.append((transaction, None, list(self.rows)))

    async def step(self) -> None:
        operation = self.random.choice(OPERATIONS)
        transaction = self.random.choice([level[0] for level in self.open if level[1] is None])
        name = self.random.choice("abc")
        place = self.find(transaction, name)
        if operation == "insert":
            self.inserted += 1
            await transaction.execute(f"INSERT INTO {self.table} VALUES ($1)", [self.inserted])
            self.rows.append(self.inserted)
        elif operation == "begin":
            await self.begin()
        elif operation in ("commit", "rollback"):
            await self.end(transaction, operation)
        elif (operation == "create") is (place is not None):
            call = {"create": transaction.create_savepoint, "release": transaction.release_savepoint}
            with pytest.raises(exceptions.TransactionSavepointError):
                await call.get(operation, transaction.rollback_savepoint)(name)
        elif place is None:
            await transaction.create_savepoint(name)
            self.open.append((transaction, name, list(self.rows)))
        elif operation == "release":
            await transaction.release_savepoint(name)
            del self.open[place:]
        else:
            if operation == "fail":
                with pytest.raises(exceptions.DivisionByZero):
                    await self.conn.execute("SELECT 1 / 0")
            await transaction.rollback_savepoint(name)
            self.rows = list(self.open[place][2])
            del self.open[place + 1 :]

    async def end(self, transaction: Transaction, operation: str) -> None:
        place = self.find(transaction, None)
        if not place:
            return
        await getattr(transaction, operation)()
        if operation == "rollback":
            self.rows = list(self.open[place][2])
        del self.open[place:]

    def find(self, transaction: Transaction, name: str | None) -> int | None:
        for place, level in enumerate(self.open):
            if level[0] is transaction and level[1] == name:
                return place
        return None

    async def check(self) -> None:
        rows: Any = await self.conn.fetch(f"SELECT id FROM {self.table} ORDER BY id")
        assert [row["id"] for row in rows] == self.rows
        assert len(self.conn.open_transactions) == len(self.open)


@pytest.mark.parametrize("seed", range(10))
async def test_sequences(conn: Connection, table: str, seed: int) -> None:
    model = Model(conn, table, seed)
    await model.begin()
    for _ in range(60):
        await model.step()
        await model.check()
    await model.open[0][0].commit()
    model.open.clear()
    await model.check()
    assert not await conn.in_transaction()
    await ensure_usable(conn)
