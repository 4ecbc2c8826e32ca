"""Sending: COPY FROM STDIN, part by part. Where the parts come from: copy_sources.py."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from psqlpy import exceptions
from psqlpy._async.copy_sources import Part, Source, check_progress
from psqlpy._io.pausing import async_attach, async_leave, async_turn
from psqlpy._io.primitives import monotonic
from psqlpy._io.streams import async_unless, out_of_time
from psqlpy._io.timeouts import query_timeout
from psqlpy._protocol.copy import CopyIn
from psqlpy._protocol.copy_text import Options, column_list, copy_from_stdin
from psqlpy._protocol.failures import closed, failed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psqlpy._async.connection import Connection

    Progress = Callable[[int, int], object]

# What is sent at once. Bytes.
_PART = 1 << 20
# How long the server may take to agree that a copy has failed, before the connection is left to clean up by itself.
_PATIENCE = 2.0


class Sending:
    """One COPY FROM STDIN on a connection: the statement, the data, the end, whatever that is."""

    def __init__(
        self,
        connection: Connection,
        family: type[exceptions.Error],
        deadline: float | None,
        progress: Progress | None,
    ) -> None:
        self._connection = connection
        self._link = connection.link
        self._family = family
        self._deadline = deadline
        self._progress = check_progress(progress)
        self._began = monotonic()
        self._rows = 0

    async def run(self, target: str, columns: Sequence[str] | None, options: Options, source: Source) -> int:
        """Copy everything; returns the number of rows. After an error nothing is stored."""
        query = copy_from_stdin(target + column_list(columns), options)
        copy = self._connection.pausing = CopyIn(query)
        async_attach(copy)
        try:
            part = await source.take(self._deadline)
            await self._connection.begin_now(self._deadline)
            await self._link.run(copy, self._deadline)
            while part is not None and copy.paused:
                await self._send(copy, *part)
                part = await self._next_part(copy, source)
            if copy.paused:
                await self._link.go_on(copy, self._deadline)
        except exceptions.QueryTimeoutError:
            async_leave(self._link, copy)
            error = query_timeout(self._began, copy)
            error.may_have_committed = copy.completed
            raise error from None
        except Exception as error:
            await self._break_off(copy, error)
            raise
        except BaseException:
            async_leave(self._link, copy)
            raise
        finally:
            source.close()
        return self._finish(copy)

    async def _next_part(self, copy: CopyIn, source: Source) -> Part | None:
        """None at the end, and when the server has refused what it was sent: the source may take its time."""
        if not source.waits or not copy.paused:
            return await source.take(self._deadline)
        return await async_unless(source.take, self._deadline, partial(copy.is_refused, self._link.session))

    async def _send(self, copy: CopyIn, data: bytes | memoryview, rows: int) -> None:
        for start in range(0, len(data), _PART):
            copy.data = data if len(data) <= _PART else data[start : start + _PART]
            await self._link.go_on(copy, self._deadline)
            if not copy.paused:
                return
        self._rows += rows
        if self._progress is not None:
            self._progress(rows, len(data))
        if self._deadline is not None and monotonic() >= self._deadline:
            raise out_of_time()
        await async_turn()

    async def _break_off(self, copy: CopyIn, error: Exception) -> None:
        """Tell the server that the copy has failed, and wait until it agrees: the connection is usable then."""
        if not copy.paused:
            return
        copy.stop(f"{type(error).__name__}: {error}")
        latest = monotonic() + _PATIENCE
        deadline = latest if self._deadline is None else min(self._deadline, latest)
        try:
            await self._link.go_on(copy, deadline)
        except exceptions.Error:
            # What happened before is the error to see.
            pass

    def _finish(self, copy: CopyIn) -> int:
        result = copy.value
        if result is None:
            # The connection was given back before it was the copy's turn.
            raise closed(None)
        if copy.refused():
            raise failed(result.diagnostics(), self._family, copy.text)
        count = result.affected_count or 0
        if self._progress is not None and count != self._rows:
            # Of data that was given as bytes the server alone has counted the rows.
            self._progress(count - self._rows, 0)
        return count
