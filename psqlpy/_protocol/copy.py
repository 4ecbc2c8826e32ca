"""COPY FROM STDIN and COPY TO STDOUT as dialogues that pause: for more data, or for what has arrived to be taken.

Source: PostgreSQL manual, sections "Message Flow: COPY Operations" and "Functions Associated with the COPY Command".
Not here: the statement's text (copy_text.py), and where data comes from and goes to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psqlpy import exceptions
from psqlpy._pq.connection import PGconn
from psqlpy._pq.copy import BROKEN, END, FULL, CopyBuffer
from psqlpy._pq.enums import ExecStatus
from psqlpy._protocol.dialogue import Talk
from psqlpy._protocol.failures import OUT_OF_STEP
from psqlpy._protocol.outage import COPYING
from psqlpy._protocol.pausing import PausingDialogue
from psqlpy._protocol.want import Want

if TYPE_CHECKING:
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.session import Session

# What one turn takes at most: a loop isn't held for longer than that takes to handle.
CHUNK = 128 * 1024

_LEFT = b"the source of the data has failed"
_REFUSED = "the server has refused the data"


class Copy(PausingDialogue):
    """One COPY. After each run it is paused, or `value` is its last result, an error's if it has failed."""

    in_the_way = (
        "COPY is under way on this connection: use another one for what its loop, source or callback "
        "executes, or wait for its end"
    )

    def __init__(self, query: bytes) -> None:
        super().__init__(query.decode())
        self.query = query

    def refused(self) -> bool:
        """Whether the server has said no, or has broken off."""
        return self.value is not None and self.value.status != ExecStatus.COMMAND_OK

    def begin(self, pgconn: PGconn, expected: ExecStatus) -> Talk:
        """Send the statement; False if the server doesn't carry it out, and then `value` says why."""
        if not pgconn.send_query(self.query):
            raise exceptions.ConnectionLostError(pgconn.error_message)
        yield from self.flush(pgconn)
        result = yield from next_result(pgconn)
        if result is not None and result.status == expected:
            return True
        yield from self.end(pgconn, result)
        return False

    def end(self, pgconn: PGconn, result: PGresult | None = None) -> Talk:
        """Read what is left, and keep the result that matters: the first error, or the last."""
        while True:
            following = yield from next_result(pgconn)
            if following is None:
                break
            if following.status in COPYING:
                # libpq would say so for ever.
                raise exceptions.ConnectionLostError(OUT_OF_STEP)
            if result is None or result.status != ExecStatus.FATAL_ERROR:
                result = following
        if result is None:
            raise exceptions.ConnectionLostError(pgconn.error_message)
        if result.status == ExecStatus.TUPLES_OK:
            raise exceptions.ConnectionLostError(OUT_OF_STEP)
        self.value = result

    def flush(self, pgconn: PGconn) -> Talk:
        """Send all, reading meanwhile: a server whose notices nobody takes stops reading."""
        while left := pgconn.flush():
            if left < 0:
                raise exceptions.ConnectionLostError(pgconn.error_message)
            ready = yield Want.READ_WRITE
            if ready and ready & Want.READ and not pgconn.consume(copy_out=True):
                raise exceptions.ConnectionLostError(pgconn.error_message)


class CopyIn(Copy):
    """COPY FROM STDIN: `data` is what to send with the next run; None, or `stop`, ends it."""

    def __init__(self, query: bytes) -> None:
        super().__init__(query)
        self.data: bytes | memoryview | None = None
        self.reason: bytes | None = None
        # The server was told that this is all: it may store the rows.
        self.completed = False

    def talk(self, pgconn: PGconn) -> Talk:
        if not (yield from self.begin(pgconn, ExecStatus.COPY_IN)):
            return self.value
        while True:
            if not self.is_left:
                yield Want.CALLER
            data, self.data = self.data, None
            # What is left of the part before: it was on its way while this one was made.
            yield from self._flush_data(pgconn)
            if data is None or self.is_left:
                break
            if not pgconn.put_copy_data(data) or pgconn.flush() < 0:
                raise exceptions.ConnectionLostError(pgconn.error_message)
        self.completed = not self.is_left
        if pgconn.put_copy_end(self.reason or (_LEFT if self.is_left else None)) < 0:
            raise exceptions.ConnectionLostError(pgconn.error_message)
        yield from self.flush(pgconn)
        yield from self.end(pgconn)
        return self.value

    def _flush_data(self, pgconn: PGconn) -> Talk:
        """Send all as `flush` does, unless the server has refused the data: then nobody need make more of it."""
        while True:
            if pgconn.refuses_copy():
                self.stop(_REFUSED)
                return
            left = pgconn.flush()
            if left < 0:
                raise exceptions.ConnectionLostError(pgconn.error_message)
            if not left:
                return
            ready = yield Want.READ_WRITE
            if (
                ready
                and ready & Want.READ
                and not pgconn.refuses_copy()
                and not pgconn.consume(copy_out=True)
            ):
                raise exceptions.ConnectionLostError(pgconn.error_message)

    def is_refused(self, session: Session) -> bool:
        """Look whether there is any use in waiting for more data, and send what is left of that before."""
        if not self.paused or session.is_closed:
            return True
        if not session.pgconn.refuses_copy() and session.pgconn.flush() >= 0:
            return False
        self.stop(_REFUSED)
        return True

    def stop(self, reason: str) -> None:
        """End it with the next run, as failed."""
        self.stopped = True
        self.reason = reason.encode("utf-8", "replace").replace(b"\0", b"?")


class CopyOut(Copy):
    """COPY TO STDOUT: after each run `buffer` has rows, until it has ended."""

    def __init__(self, query: bytes) -> None:
        super().__init__(query)
        self.buffer = CopyBuffer(CHUNK)

    def talk(self, pgconn: PGconn) -> Talk:
        if not (yield from self.begin(pgconn, ExecStatus.COPY_OUT)):
            return self.value
        state = FULL
        while state != END:
            if self.is_left:
                self.buffer = CopyBuffer(0)
            state = self.buffer.take(pgconn)
            if state == BROKEN:
                raise exceptions.ConnectionLostError(pgconn.error_message)
            if self.buffer.row_count and not self.is_left:
                yield Want.CALLER
            elif self.is_left and state == FULL:
                # However much there is to be dropped.
                yield Want.TURN
            elif state not in (END, FULL):
                yield Want.READ
        yield from self.end(pgconn)
        return self.value


def next_result(pgconn: PGconn) -> Talk:
    """Wait for the next result; None when there are no more."""
    while pgconn.is_busy:
        yield Want.READ
        if not pgconn.consume():
            break
    return pgconn.get_result()
