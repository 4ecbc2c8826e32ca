"""QueryEvent: what a query logger is told about one statement, after it has ended."""

from __future__ import annotations

from collections.abc import Sequence

from psqlpy._naming import public


@public
class QueryEvent:
    """One statement that was executed, or failed.

    `duration` is in seconds, from the call until its end; `row_count` the rows it returned, or else changed, None where
    there is no such number. `parameter_types` are the names of the Python types that were passed, for `execute_many` of
    the first row's; `parameters` the values, if the pool has `log_parameters=True`, otherwise None. `error` is None if
    the statement succeeded; a cancellation is an error here.
    """

    __slots__ = (
        "backend_pid",
        "duration",
        "error",
        "parameter_types",
        "parameters",
        "query",
        "row_count",
    )

    def __init__(
        self,
        query: str,
        parameters: Sequence[object],
        duration: float,
        row_count: int | None,
        error: BaseException | None,
        backend_pid: int,
    ) -> None:
        self.query: str = query
        self.parameter_types: tuple[str, ...] = tuple(type(value).__name__ for value in parameters)
        self.parameters: Sequence[object] | None = parameters
        self.duration: float = duration
        self.row_count: int | None = row_count
        self.error: BaseException | None = error
        self.backend_pid: int = backend_pid

    def __repr__(self) -> str:
        ended = "failed" if self.error is not None else f"{self.row_count} rows"
        return f"<QueryEvent {self.query!r}: {self.duration:.6f} s, {ended}>"
