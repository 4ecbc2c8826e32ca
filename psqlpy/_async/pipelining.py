"""Several statements, or one with several parameters, in few round trips, and what each of them returned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING

from psqlpy import exceptions
from psqlpy._async.executor import check_rows, resolve_rows
from psqlpy._io.primitives import monotonic
from psqlpy._protocol.classify import classify
from psqlpy._protocol.failures import DESCRIBABLE_PARAMETERS
from psqlpy._protocol.named_parameters import resolve_parameters
from psqlpy._result import QueryResult

if TYPE_CHECKING:
    from psqlpy._async.connection import Connection
    from psqlpy._async.transaction import Transaction

Queries = Sequence[tuple[str, Sequence[object]]]


class Pipelining:
    """What connections and transactions both have of it."""

    __slots__ = ()

    _family: type[exceptions.Error]

    def _lease(self) -> Connection:
        raise NotImplementedError

    async def fetch_many(
        self,
        querystring: str,
        parameters: Sequence[object] | None = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
    ) -> list[QueryResult]:
        """Execute one statement for every row of parameters, and return what each returned, in their order.

        For INSERT, UPDATE or DELETE with RETURNING, or for many look-ups; otherwise as `execute_many`: all rows or, if
        one fails, none.
        """
        from psqlpy._protocol.batch import ReturningBatch
        from psqlpy._protocol.unprepared_batch import UnpreparedReturningBatch

        rows = check_rows("fetch_many", parameters)
        connection = self._lease()
        text, values = resolve_rows(querystring, rows)
        if not values:
            return []
        deadline = connection.deadline(timeout)
        kind = ReturningBatch if connection.prepares(prepared) else UnpreparedReturningBatch
        batch = kind(text, values, self._family, connection.take_begin())
        await connection.run(batch, deadline)
        return [QueryResult(result, batch.plan) for result in batch.results]


class TransactionPipelining(Pipelining):
    """A transaction's `pipeline`."""

    __slots__ = ()

    def _roll_back_silently(self) -> None:
        raise NotImplementedError

    async def pipeline(
        self,
        queries: Sequence[Sequence[object]] | None = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
    ) -> list[QueryResult]:
        """Execute several statements in one or two round trips; returns their results in order.

        `queries` are `(querystring, parameters)` or `(querystring,)`. The first error ends it: its message says which
        query failed, counted from 1, the rest isn't executed, and the transaction is rolled back. `prepared=False`
        leaves no prepared statements on the server, and takes a round trip for each query.
        """
        from psqlpy._protocol.pipeline import Pipeline

        checked = check_queries(queries)
        connection = self._lease()
        if not checked:
            return []
        deadline = connection.deadline(timeout)
        try:
            if not connection.prepares(prepared) or any(
                len(values) > DESCRIBABLE_PARAMETERS for _, values in checked
            ):
                return await self._one_by_one(connection, checked, deadline)
            pipeline = Pipeline(checked, self._family, connection.take_begin())
            await connection.run(pipeline, deadline)
        except BaseException:
            connection.forget_ended()
            # Its answer is waited for by nobody: whatever comes next on the connection comes behind it.
            if connection.open_transactions:
                self._roll_back_silently()
            raise
        return [QueryResult(result, plan) for result, plan in pipeline.results]

    async def _one_by_one(
        self, connection: Connection, queries: Queries, deadline: float | None
    ) -> list[QueryResult]:
        from psqlpy._protocol.unprepared import Unprepared

        results = []
        for number, (text, values) in enumerate(queries, 1):
            # The one before may have ended the transaction.
            self._lease()
            query = Unprepared(
                text,
                classify(text),
                values,
                connection.descriptions,
                self._family,
                connection.take_begin(),
            )
            try:
                await connection.run(query, deadline)
            except exceptions.Error as error:
                error.args = (f"query {number}: {error}",)
                raise
            assert query.result is not None
            results.append(QueryResult(query.result, query.plan))
        return results


class ConnectionPipelining(Pipelining):
    """A connection's `pipeline`."""

    __slots__ = ()

    def transaction(self) -> Transaction:
        raise NotImplementedError

    async def pipeline(
        self,
        queries: Sequence[Sequence[object]] | None = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
    ) -> list[QueryResult]:
        """Execute several statements as one transaction, in few round trips; returns their results in order.

        As Transaction.pipeline. Inside a transaction they are a savepoint: after an error that is usable.
        """
        checked = check_queries(queries)
        deadline = self._lease().deadline(timeout)
        if not checked:
            return []
        async with self.transaction() as transaction:
            results = await transaction.pipeline(checked, prepared, timeout=_left(deadline))
            await transaction.commit(timeout=_left(deadline))
        return results


def check_queries(queries: object) -> list[tuple[str, Sequence[object]]]:
    """Texts and parameters as they are sent; raises an error that says which query is wrong."""
    if queries is None:
        return []
    if isinstance(queries, str | bytes | Mapping) or not isinstance(queries, Sequence):
        raise exceptions.ParameterTypeError(f"pipeline takes a list of queries, not {type(queries).__name__}")
    checked = []
    for number, query in enumerate(queries, 1):
        if not isinstance(query, tuple | list) or not 1 <= len(query) <= 2 or not isinstance(query[0], str):
            raise exceptions.ParameterTypeError(
                f"query {number}: pipeline takes (querystring, parameters) or (querystring,), not {_shown(query)}"
            )
        try:
            checked.append(resolve_parameters(query[0], query[1] if len(query) == 2 else None))
        except (exceptions.ParameterTypeError, exceptions.ParameterValueError) as error:
            raise type(error)(f"query {number}: {error}") from None
    return checked


def _shown(query: object) -> str:
    kind = type(query).__name__
    return f"a {kind} of {len(query)}" if isinstance(query, tuple | list) else f"a {kind}"


def _left(deadline: float | None) -> float:
    """What is left of a timeout; not None, which would be the pool's default again."""
    return inf if deadline is None else max(0.0, deadline - monotonic())
