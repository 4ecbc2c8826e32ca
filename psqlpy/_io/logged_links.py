"""Links that tell a function about every statement, as a pair. Pools without such a function have plain links."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from psqlpy._io.links import AsyncLink, SyncLink
from psqlpy._io.logs import logger
from psqlpy._io.thread_driver import Lease
from psqlpy._io.thread_link import Run
from psqlpy._protocol.batch import Batch
from psqlpy._protocol.commands import Commands
from psqlpy._protocol.cursor import CloseCursor, Fetch
from psqlpy._protocol.describe import Describe
from psqlpy._protocol.notifications import Attention
from psqlpy._protocol.pausing import PausingDialogue
from psqlpy._protocol.pipeline import Pipeline
from psqlpy._protocol.request import Displaced, Request
from psqlpy._protocol.session import Session
from psqlpy._query_event import QueryEvent

_LOG = "psqlpy.queries"

OnQuery = Callable[[QueryEvent], object]


def _describe(request: Any) -> tuple[str, Sequence[object]]:
    """What is executed, in SQL if that is known, and the values that travel with it."""
    if isinstance(request, Attention):
        return "", ()
    if isinstance(request, Commands):
        # Of a question there are none.
        return "; ".join(command.decode() for command in request.commands), ()
    if isinstance(request, Pipeline):
        texts = "; ".join(text for text, _ in request.queries)
        return texts, [value for _, values in request.queries for value in values]
    if isinstance(request, Fetch):
        return request.command.decode(), ()
    if isinstance(request, CloseCursor):
        return f'CLOSE "{request.name.decode()}"', ()
    text = getattr(request, "text", None) or type(request).__name__
    if isinstance(request, Batch):
        return text, request.rows[0] if isinstance(request.rows, Sequence) and request.rows else ()
    return text, getattr(request, "parameters", ())


def _row_count(request: Any) -> int | None:
    if isinstance(request, Batch):
        return request.landed
    result = getattr(request, "result", None)
    if result is None:
        return None
    count: int | None = result.row_count if result.column_count else result.affected_count
    return count


class _Report:
    """One statement that is under way."""

    __slots__ = ("_backend_pid", "_began", "_link", "_parameters", "_query", "_request")

    def __init__(self, link: AsyncLoggedLink | SyncLoggedLink, request: Request) -> None:
        self._link = link
        self._request = request
        # Before it is written: a request forgets what it has no use for any more.
        self._query, self._parameters = _describe(request)
        self._backend_pid = link.backend_pid
        self._began = time.monotonic()

    def end(self, error: BaseException | None) -> None:
        duration = time.monotonic() - self._began
        # A question is of interest if it fails.
        if not self._query or (error is None and isinstance(self._request, Describe)):
            return
        rows = None if error is not None else _row_count(self._request)
        event = QueryEvent(self._query, self._parameters, duration, rows, error, self._backend_pid)
        if not self._link.with_values:
            event.parameters = None
        try:
            self._link.on_query(event)
        except Exception:
            # A log is read by others than a function of the user's is.
            shown = "a statement about a password" if "passw" in self._query.lower() else repr(self._query)
            logger(_LOG).exception("on_query failed for %s", shown)


class AsyncLoggedLink(AsyncLink):
    """A link whose statements are reported."""

    __slots__ = ("backend_pid", "on_query", "with_values")

    def __init__(self, session: Session, on_query: OnQuery, with_values: bool) -> None:
        super().__init__(session)
        self.on_query = on_query
        self.with_values = with_values
        self.backend_pid = session.pgconn.backend_pid

    def run(self, request: Request, deadline: float | None = None) -> Coroutine[Any, Any, None]:
        """Submit a request, wait until it has ended, and report it."""
        return self._run_reported(request, deadline)

    async def _run_reported(self, request: Request, deadline: float | None) -> None:
        report = _Report(self, request)
        try:
            await AsyncLink.run(self, request, deadline)
        except Displaced:
            # It is run again, and reported then.
            raise
        except BaseException as error:
            report.end(error)
            raise
        report.end(None)

    async def go_on(self, dialogue: PausingDialogue, deadline: float | None) -> None:
        """Go on with what was reported when it had begun; an error is reported, too."""
        report = _Report(self, dialogue)
        try:
            await AsyncLink.go_on(self, dialogue, deadline)
        except BaseException as error:
            report.end(error)
            raise


class SyncLoggedLink(SyncLink):
    """A link whose statements are reported."""

    __slots__ = ("backend_pid", "on_query", "with_values")

    def __init__(self, session: Session, on_query: OnQuery, with_values: bool) -> None:
        super().__init__(session)
        self.on_query = on_query
        self.with_values = with_values
        self.backend_pid = session.pgconn.backend_pid

    def runners(self, lease: Lease) -> tuple[Run, Run]:
        """What runs requests and reports them, for as long as a lease lasts."""
        return partial(self._run_reported, lease), partial(self._go_on_reported, lease)

    def _run_reported(self, lease: Lease, request: Request, deadline: float | None = None) -> None:
        report = _Report(self, request)
        try:
            lease.run(request, deadline)
        except Displaced:
            raise
        except BaseException as error:
            report.end(error)
            raise
        report.end(None)

    def _go_on_reported(self, lease: Lease, dialogue: PausingDialogue, deadline: float | None) -> None:
        report = _Report(self, dialogue)
        try:
            lease.go_on(dialogue, deadline)
        except BaseException as error:
            report.end(error)
            raise
