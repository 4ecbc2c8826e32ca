"""Executor: the statements that connections and transactions both execute. Where they differ is in `_lease`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf
from re import IGNORECASE, compile
from typing import TYPE_CHECKING, Any, TypeVar, overload

from psqlpy import exceptions
from psqlpy._io.primitives import monotonic
from psqlpy._protocol.classify import classify
from psqlpy._protocol.failures import DESCRIBABLE_PARAMETERS, failed
from psqlpy._protocol.named_parameters import check_query, resolve_parameters
from psqlpy._protocol.query import BAD_RESPONSE, FATAL_ERROR, Query
from psqlpy._result import QueryResult, SingleQueryResult

if TYPE_CHECKING:
    from psqlpy._async.connection import Connection
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.unprepared import Unprepared

# The function that runs a request until a deadline, that deadline, what has to travel in front of the request, and
# whether statements are prepared where their call doesn't say.
CheckedOut = tuple[Callable[..., Any], float | None, tuple[bytes, ...], bool]

#: Of `default=`: that it wasn't given.
NO_DEFAULT: Any = object()
D = TypeVar("D")  # the type of one that was given

# Longer ones, among them ints that no float can hold, wait without end: thirty years.
_LONGEST_TIMEOUT = 1e9

_DROPS_PREPARED = compile(r"\b(?:DISCARD|DEALLOCATE)\b", IGNORECASE)


class Executor:
    """What can execute statements.

    Every method takes `timeout`, in seconds: the call ends within it, by QueryTimeoutError if need be, and the
    statement is cancelled on the server. None stands for the pool's `timeout`, `math.inf` for none at all.
    """

    __slots__ = ()

    _family: type[exceptions.Error] = exceptions.ConnectionExecuteError

    def _lease(self) -> Connection:
        """The connection to use now; raises if there is none, or not any more. Each kind has its own."""
        raise NotImplementedError

    def _check_out(self, timeout: float | None) -> CheckedOut:
        """What carries a statement, which has to be sent now."""
        return self._lease().check_out(timeout)

    async def execute(
        self,
        querystring: str,
        parameters: object = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
    ) -> QueryResult:
        """Execute one statement and return its rows.

        `parameters` is a sequence for `$1`, `$2`, … or a mapping for `$(name)p`. `prepared=False` leaves no prepared
        statement on the server, which poolers in transaction mode need; None is what the pool says.
        A parameter that doesn't fit raises
        PyToRustValueMappingError, with nothing executed; an error of the server is a ConnectionExecuteError and the
        class of its SQLSTATE.
        """
        run, query, deadline = self._depart(querystring, parameters, prepared, timeout)
        await run(query, deadline)
        return QueryResult(query.result, query.plan)

    async def fetch(
        self,
        querystring: str,
        parameters: object = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
    ) -> QueryResult:
        """Do what `execute` does, under the name that says so."""
        run, query, deadline = self._depart(querystring, parameters, prepared, timeout)
        await run(query, deadline)
        return QueryResult(query.result, query.plan)

    @overload
    async def fetch_row(
        self,
        querystring: str,
        parameters: object = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
    ) -> SingleQueryResult: ...

    @overload
    async def fetch_row(
        self,
        querystring: str,
        parameters: object = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
        default: D,
    ) -> SingleQueryResult | D: ...

    async def fetch_row(
        self,
        querystring: str,
        parameters: object = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
        default: Any = NO_DEFAULT,
    ) -> SingleQueryResult | Any:
        """Execute one statement that returns exactly one row, and return it as a SingleQueryResult.

        Without a row it returns `default` if that is given, else raises NoRowsError; with more, TooManyRowsError.
        """
        run, query, deadline = self._depart(querystring, parameters, prepared, timeout)
        await run(query, deadline)
        result = query.result
        if result.row_count != 1:
            return not_one_row(self._family, result.row_count, default)
        return SingleQueryResult(result, query.plan)

    async def fetch_val(
        self,
        querystring: str,
        parameters: object = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
        default: Any = NO_DEFAULT,
    ) -> Any:
        """Execute one statement that returns exactly one row, and return the value of its first column.

        Without a row it returns `default` if that is given, else raises NoRowsError; with more, TooManyRowsError.
        """
        run, query, deadline = self._depart(querystring, parameters, prepared, timeout)
        await run(query, deadline)
        result = query.result
        if result.row_count != 1:
            return not_one_row(self._family, result.row_count, default)
        return query.plan.value(result, 0, 0) if result.column_count else None

    async def execute_many(
        self,
        querystring: str,
        parameters: Sequence[object] | None = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        """Execute one statement for every row of parameters: for all of them, or, if one fails, for none.

        Outside a transaction the rows are one; inside, they are a part of it, and a failing row aborts it.
        `prepared=False` leaves no prepared statement on the server: it is asked about the statement at each call.
        """
        from psqlpy._protocol.batch import Batch
        from psqlpy._protocol.unprepared_batch import UnpreparedBatch

        text, rows = resolve_rows(querystring, check_rows("execute_many", parameters))
        if not rows:
            return
        connection = self._lease()
        deadline = connection.deadline(timeout)
        kind = Batch if connection.prepares(prepared) else UnpreparedBatch
        batch = kind(text, rows, self._family, connection.take_begin())
        await connection.run(batch, deadline)

    async def execute_batch(self, querystring: str, *, timeout: float | None = None) -> None:
        """Execute any number of statements in one text, without parameters, by the simple query protocol.

        They are one transaction unless the text says otherwise.
        """
        from psqlpy._protocol.dialogue import Dialogue
        from psqlpy._protocol.simple_query import encode_query, simple_query

        query = encode_query(querystring)
        connection = self._lease()
        deadline = connection.deadline(timeout)
        await connection.begin_now(deadline)
        dialogue = Dialogue(
            lambda pgconn: simple_query(pgconn, query),
            drops_prepared=_DROPS_PREPARED.search(querystring) is not None,
            text=querystring,
        )
        await connection.link.run(dialogue, deadline)
        for result in dialogue.value:
            _raise_failed(result, self._family, querystring)

    def _depart(
        self, querystring: str, parameters: object, prepared: bool | None, timeout: float | None
    ) -> tuple[Callable[..., Any], Any, float | None]:
        """Make the request for one statement: what carries it to the server and back, the request, its deadline.

        After the trip the request has `result` and `plan`.
        """
        text, values = resolve_parameters(querystring, parameters)
        # All that may fail comes before a BEGIN is taken along.
        run, deadline, begin, default = self._check_out(timeout)
        query: Query | Unprepared
        if not (default if prepared is None else prepared) or len(values) > DESCRIBABLE_PARAMETERS:
            from psqlpy._protocol.unprepared import Unprepared

            descriptions = self._lease().descriptions
            query = Unprepared(text, classify(text), values, descriptions, self._family, begin)
        else:
            query = Query(text, values, self._family, begin)
        return run, query, deadline


def not_one_row(family: type[exceptions.Error], count: int, default: Any) -> Any:
    """What a call that wants one row makes of another number of them: `default`, or an error."""
    if count:
        raise exceptions.combine(exceptions.TooManyRowsError, family)(
            f"query returned an unexpected number of rows: one was asked for, {count} came"
        )
    if default is not NO_DEFAULT:
        return default
    raise exceptions.combine(exceptions.NoRowsError, family)(
        "query returned an unexpected number of rows: one was asked for, none came"
    )


def check_rows(method: str, parameters: Sequence[object] | None) -> Sequence[object]:
    """The rows of parameters that a method was given, none for None."""
    if parameters is None:
        return ()
    if isinstance(parameters, str | bytes) or not isinstance(parameters, Sequence):
        raise exceptions.ParameterTypeError(
            f"{method} takes a sequence of parameter lists, not {type(parameters).__name__}"
        )
    return parameters


def resolve_rows(querystring: str, parameters: Iterable[object]) -> tuple[str, list[Sequence[object]]]:
    """The text to send, and the values for `$1…` of each row."""
    text = querystring
    rows: list[Sequence[object]] = []
    try:
        for row in parameters:
            text, values = resolve_parameters(querystring, row)
            rows.append(values)
    except (exceptions.ParameterTypeError, exceptions.ParameterValueError) as error:
        check_query(querystring)
        error.args = (f"row {len(rows) + 1}: {error}",)
        raise
    return text, rows


def _raise_failed(result: PGresult, family: type[exceptions.Error], query: str) -> None:
    if result.status in (FATAL_ERROR, BAD_RESPONSE):
        raise failed(result.diagnostics(), family, query)


def deadline_after(timeout: float | None) -> float | None:
    """The absolute time (monotonic) of a timeout in seconds."""
    if timeout is None or timeout == inf:
        return None
    if not _is_number(timeout):
        raise exceptions.ParameterTypeError(f"timeout must be a number of seconds or None, not {timeout!r}")
    if timeout > _LONGEST_TIMEOUT:
        return None
    if timeout <= 0:
        error = exceptions.QueryTimeoutError("timeout: no time was left, nothing was sent")
        error.safe_to_retry = True
        raise error
    return monotonic() + timeout


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def check_timeout(name: str, value: object) -> float | None:
    """A number of seconds above 0, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise exceptions.ConnectionPoolConfigurationError(
            f"{name} must be a number of seconds above 0, not {value!r}"
        )
    return inf if value > _LONGEST_TIMEOUT else float(value)
