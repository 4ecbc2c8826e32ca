"""Request: what one caller wants of a session. The kinds are in query.py, batch.py, commands.py and dialogue.py.

The contract, for a request R in a session S:
- S calls `R.write(S)` when it is R's turn; R encodes, sets `written` if the flight executes something, writes one
  flight that ends with exactly one Sync, and hands it to `S.fly`. What fails does so before anything is written.
- S calls `R.receive(status, result)` for each result of the flight, in order and `R.land(S)` when its Sync was
  read; `R.receive_count` instead of `receive` of those that R wants to be only counted.
  `land` returns True when R has ended; with False S calls `write` again, before anyone else's.
- For rows with the Sync behind them S calls `R.take(S, rows)` instead of both.
- `holds_followers` is looked at after each write: True keeps everything behind R unwritten until R has landed.
- R ends exactly once, by `finish` or `fail`; then `wake(None)` is called, by whichever thread read the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from psqlpy import exceptions
from psqlpy._pq.enums import ExecStatus

if TYPE_CHECKING:
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.failures import Fields
    from psqlpy._protocol.session import Session


TUPLES_OK = int(ExecStatus.TUPLES_OK)


class Displaced(Exception):
    """Raised to the caller of a request that is to be run on another connection. Never leaves the pool."""


class Request:
    """One caller's wish, from submission to its end."""

    # What its failures are, besides what they are by themselves.
    family: type[exceptions.Error] = exceptions.ConnectionExecuteError
    # Commands that travel in front (BEGIN).
    before: tuple[bytes, ...] = ()
    # The error that the server answered with.
    failure: Fields | None = None

    # What a request starts with stands in its class: it is made for every query, and most of this never changes.
    done = False
    error: BaseException | None = None
    # Nobody waits for it any more: its answers are read and dropped.
    abandoned = False
    # A flight that executes something was written: it may have had an effect on the server.
    written = False
    holds_followers = False
    # The flight executes an everyday statement: its rows are all there is to it.
    everyday = False
    # A long answer's rows are to come in chunks, as results of status TUPLES_CHUNK.
    gathers = False
    # Nobody ever waits for it: housekeeping.
    silent = False
    # The request that waits for the end of this one; with its caller gone nobody needs this.
    serves: Request | None = None
    # Its caller is to run it elsewhere, since what is in front of it doesn't end.
    displaced = False
    wake: Callable[[None], object] | None = None
    # What `wake` raises when nobody waits any more, as the drivers know: asyncio's says so of its futures.
    TOO_LATE: tuple[type[Exception], ...] = ()

    def write(self, session: Session) -> None:
        raise NotImplementedError

    def receive(self, session: Session, status: int, result: PGresult) -> None:
        raise NotImplementedError

    def receive_count(self, count: int) -> None:
        """Take the number of results that weren't kept; only where the flight has asked for that."""
        raise NotImplementedError

    def land(self, session: Session) -> bool:
        raise NotImplementedError

    def take(self, session: Session, rows: PGresult) -> bool:
        """Take the everyday answer, rows and the Sync behind them: `receive` and `land` in one."""
        self.receive(session, TUPLES_OK, rows)
        return self.land(session)

    def more(self, session: Session) -> None:
        """Write on, called when everything written so far was sent; only where the flight was left open."""

    def finish(self) -> None:
        self.done = True
        self.stir()

    def stir(self) -> None:
        """Have whoever waits look around."""
        if self.wake is not None:
            try:
                self.wake(None)
            except self.TOO_LATE:
                pass

    def fail(self, error: BaseException) -> None:
        if not self.done:
            self.error = error
            self.finish()

    def take_error(self) -> BaseException:
        """The error, to be raised. Its traceback refers to the frames that have the request, which must not refer back.

        In a cycle they would keep the caller's connection from going back to the pool until the garbage collector
        comes.
        """
        error, self.error = self.error, None
        assert error is not None
        return error
