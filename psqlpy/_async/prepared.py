"""PreparedStatement: a statement that the server knows, to be executed any number of times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from psqlpy._async.cursor import Cursor
from psqlpy._async.executor import NO_DEFAULT, D, Executor
from psqlpy._column import Column
from psqlpy._io.blocks import Unique
from psqlpy._naming import public
from psqlpy._result import QueryResult, SingleQueryResult

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry
    from psqlpy._protocol.statements import Statement


@public
class PreparedStatement(Unique):
    """Made by `prepare()`, on a connection or in a transaction, and of use for as long as that is.

    Parameters given to a call are for that call; without any, those given to `prepare()` are used. When a table is
    altered, the statement is prepared anew by itself, as far as the transaction allows.
    """

    __slots__ = ("_bound", "_owner", "_querystring", "_registry", "_statement")

    def __init__(
        self,
        owner: Executor,
        querystring: str,
        bound: Sequence[object] | None,
        statement: Statement,
        registry: Registry,
    ) -> None:
        self._owner = owner
        self._querystring = querystring
        self._bound = bound
        self._statement = statement
        self._registry = registry

    async def execute(self, parameters: object = None, *, timeout: float | None = None) -> QueryResult:
        """Execute the statement and return its rows; `parameters` and errors as in Connection.execute."""
        return await self._owner.execute(self._querystring, self._choose(parameters), timeout=timeout)

    async def fetch(self, parameters: object = None, *, timeout: float | None = None) -> QueryResult:
        """Do what `execute` does, under the name that says so."""
        return await self._owner.execute(self._querystring, self._choose(parameters), timeout=timeout)

    @overload
    async def fetch_row(
        self, parameters: object = None, *, timeout: float | None = None
    ) -> SingleQueryResult: ...

    @overload
    async def fetch_row(
        self, parameters: object = None, *, timeout: float | None = None, default: D
    ) -> SingleQueryResult | D: ...

    async def fetch_row(
        self, parameters: object = None, *, timeout: float | None = None, default: Any = NO_DEFAULT
    ) -> SingleQueryResult | Any:
        """Execute the statement, which returns exactly one row; as Connection.fetch_row."""
        return await self._owner.fetch_row(
            self._querystring, self._choose(parameters), timeout=timeout, default=default
        )

    async def fetch_val(
        self, parameters: object = None, *, timeout: float | None = None, default: Any = NO_DEFAULT
    ) -> Any:
        """Execute the statement, which returns exactly one row, and return its first value; as Connection.fetch_val."""
        return await self._owner.fetch_val(
            self._querystring, self._choose(parameters), timeout=timeout, default=default
        )

    async def execute_many(self, parameters: Sequence[object], *, timeout: float | None = None) -> None:
        """Execute the statement for every row of parameters, for all or for none; as Connection.execute_many."""
        await self._owner.execute_many(self._querystring, parameters, timeout=timeout)

    def cursor(
        self,
        parameters: object = None,
        fetch_number: int | None = None,
        scroll: bool | None = None,
        *,
        array_size: int | None = None,
    ) -> Cursor:
        """Make a cursor for the statement, to be opened by its block or by `start()`; as Connection.cursor."""
        bound = self._choose(parameters)
        return Cursor(self._owner, self._querystring, bound, fetch_number, scroll, None, array_size)

    def columns(self) -> list[Column]:
        """The columns of its rows, as they were when it was prepared; none for a statement that returns no rows."""
        statement = self._statement
        name = self._registry.type_name
        return [
            Column(column[0], table_oid or None, column[1], name(column[1]))
            for column, table_oid in zip(statement.columns, statement.table_oids, strict=True)
        ]

    @property
    def parameter_types(self) -> list[str]:
        """The server's names for the types of `$1`, `$2`, …: int4, text, timestamptz, int4[]."""
        return [self._registry.type_name(oid) for oid in self._statement.parameter_oids]

    @property
    def parameter_oids(self) -> tuple[int, ...]:
        """The OIDs of the types of `$1`, `$2`, …"""
        return self._statement.parameter_oids

    @property
    def querystring(self) -> str:
        """The statement's text, as it was given."""
        return self._querystring

    def _choose(self, parameters: object) -> object:
        return self._bound if parameters is None else parameters

    def __repr__(self) -> str:
        text = self._querystring if len(self._querystring) <= 80 else f"{self._querystring[:77]}..."
        return f"<PreparedStatement {text!r}>"
