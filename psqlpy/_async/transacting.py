"""Whole transactions on a connection of the pool: as a block, and as a function that is run again where that helps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from psqlpy import exceptions
from psqlpy._async.connection import Connection
from psqlpy._async.executor import deadline_after
from psqlpy._checks import INT_MAX, whole_number
from psqlpy._config import IsolationLevel, ReadVariant, SynchronousCommit
from psqlpy._io.blocks import AsyncAnswer, AsyncTransactionBlock
from psqlpy._io.primitives import async_sleep, monotonic

if TYPE_CHECKING:
    from psqlpy._async.pool import ConnectionPool
    from psqlpy._async.transaction import Transaction
    from psqlpy._result import QueryResult

T = TypeVar("T")
Modes = tuple[
    "IsolationLevel | str | None", "ReadVariant | str | None", "bool | None", "SynchronousCommit | str | None"
]

# serialization_failure, deadlock_detected: the same transaction may well succeed when it is run again.
_WORTH_ANOTHER_RUN = ("40001", "40P01")

# Between two runs: a random part of a time that doubles up to a bound. Seconds.
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 1.0


class PooledTransaction(AsyncTransactionBlock):
    """A block with a transaction on a connection of its own, which goes back to the pool at the end."""

    __slots__ = ("_connection", "_deadline", "_modes", "_pool", "_transaction")

    def __init__(self, pool: ConnectionPool, modes: Modes, deadline: float | None = None) -> None:
        from psqlpy._async.transaction import begin_commands

        begin_commands(*modes)
        self._pool = pool
        self._modes = modes
        # For getting the connection and for COMMIT; None stands for the pool's timeout, for each of them.
        self._deadline = deadline
        self._connection: Connection | None = None
        self._transaction: Transaction | None = None

    async def __aenter__(self) -> Transaction:
        if self._connection is not None:
            raise exceptions.TransactionBeginError(
                "transaction is already started: call pool.transaction() for each block"
            )
        pool = self._pool
        deadline = deadline_after(pool.timeout) if self._deadline is None else self._deadline
        connection = self._connection = Connection(pool, await pool.take_link(deadline))
        connection.note_callers()
        transaction = self._transaction = connection.transaction(*self._modes)
        # Waits for nothing: BEGIN travels with the first statement.
        return await transaction.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        transaction, connection = self._transaction, self._connection
        self._transaction = self._connection = None
        try:
            if transaction is not None:
                if error is None and self._deadline is not None and not transaction.is_closed():
                    await transaction.commit(timeout=max(0.0, self._deadline - monotonic()))
                await transaction.__aexit__(kind, error, trace)
        finally:
            if connection is not None:
                connection.close()

    def __repr__(self) -> str:
        state = "outside" if self._transaction is None else repr(self._transaction)
        return f"<PooledTransaction {state}>"


class Transacting:
    """A pool's transactions."""

    __slots__ = ()

    timeout: float | None

    async def _with_connection(
        self, method: str, deadline: float | None, *arguments: object, **options: object
    ) -> Any:
        raise NotImplementedError

    def transaction(
        self,
        isolation_level: IsolationLevel | str | None = None,
        read_variant: ReadVariant | str | None = None,
        deferrable: bool | None = None,
        synchronous_commit: SynchronousCommit | str | None = None,
    ) -> PooledTransaction:
        """Make a block that acquires a connection and is a transaction on it: `async with pool.transaction() as tx`.

        Waits for the connection when it is entered, as `connection` does; the parameters are Connection.transaction's.
        """
        return PooledTransaction(
            cast("ConnectionPool", self), (isolation_level, read_variant, deferrable, synchronous_commit)
        )

    async def run_transaction(
        self,
        function: Callable[[Transaction], AsyncAnswer[T]],
        isolation_level: IsolationLevel | str | None = None,
        read_variant: ReadVariant | str | None = None,
        deferrable: bool | None = None,
        synchronous_commit: SynchronousCommit | str | None = None,
        *,
        max_attempts: int = 10,
        timeout: float | None = None,
    ) -> T:
        """Call `function(transaction)` and commit; returns what it returned.

        After a serialization failure (40001) or a deadlock (40P01), in the function or at COMMIT, it is called again
        with another transaction, `max_attempts` times in all, after pauses of random length that grow to a second.
        Then, and after any other error, that error is raised. What the function does besides its statements is done
        each time. `timeout`, in seconds, bounds getting connections, pauses and COMMIT together, and no attempt begins
        after it; the statements have their own.
        """
        from random import random

        whole_number(max_attempts, "max_attempts", 1, INT_MAX)
        deadline = deadline_after(self.timeout if timeout is None else timeout)
        pool = cast("ConnectionPool", self)
        modes = (isolation_level, read_variant, deferrable, synchronous_commit)
        for attempt in range(1, max_attempts + 1):
            pause = random() * min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempt, 10))
            try:
                async with PooledTransaction(pool, modes, deadline) as transaction:
                    return await function(transaction)
            except exceptions.Error as error:
                late = deadline is not None and monotonic() + pause >= deadline
                if late or attempt == max_attempts or error.sqlstate not in _WORTH_ANOTHER_RUN:
                    raise
            await async_sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    async def fetch_many(
        self,
        querystring: str,
        parameters: Sequence[object] | None = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
    ) -> list[QueryResult]:
        """Execute one statement for every row of parameters, return what each returned; as Connection.fetch_many."""
        deadline = deadline_after(self.timeout if timeout is None else timeout)
        results: list[QueryResult] = await self._with_connection(
            "fetch_many", deadline, querystring, parameters, prepared
        )
        return results
