"""PausingDialogue: a dialogue that pauses for its caller. COPY and streams do, in either direction.

The contract:
- It pauses where its talk yields `Want.CALLER`. A dialogue that is paused is `done`: its caller has what it waited for.
  `session.is_paused` then, and no driver reads: libpq's buffer and the socket's fill up, and the server waits.
- To go on, its caller has its driver `go_on` with it: `resume`, then `submit` in its turn, which comes to `write`.
- Who gives it up has `let_go` called: it ends without its caller then, and the driver asks the server to cancel it.
- The caller's own statements would wait for their own caller: they are refused. Others' wait until it has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from psqlpy import exceptions
from psqlpy._protocol.dialogue import Dialogue
from psqlpy._protocol.failures import closed

if TYPE_CHECKING:
    from psqlpy._protocol.request import Request
    from psqlpy._protocol.session import Session


class PausingDialogue(Dialogue):
    """Has the connection for itself, in one run after the other, until it has ended."""

    # What its caller hears whose statement is refused.
    in_the_way = "the connection is in use"
    # It waits for its caller, not for the socket: nobody is to read.
    paused = False
    # Its caller doesn't want to hear more, or has nothing more to say.
    stopped = False
    # Its caller is gone without a word: whoever comes next has it end.
    orphaned = False

    def __init__(self, text: str) -> None:
        # Not Dialogue's: its `talk` as an attribute would be a cycle.
        self.text = text
        # Whether who calls now is who goes on with it: set by whoever begins it.
        self.is_own_caller: Callable[[], bool] = bool

    @property
    def ended(self) -> bool:
        return self.done and not self.paused

    @property
    def is_left(self) -> bool:
        """Whether nobody will go on with it."""
        return self.stopped or self.abandoned

    # From its caller's side

    def resume(self, session: Session) -> None:
        """Make it one that runs, before it is submitted again."""
        if self.paused and session.dialogue is self:
            self.paused = self.done = session.has_more = False

    def write(self, session: Session) -> None:
        if session.dialogue is self:
            # Once more.
            self._go_on(session)
        elif not self.written:
            super().write(session)
        elif self.paused:
            raise closed(session.close_reason, written=True)

    def let_go(self, session: Session) -> bool:
        """Have it end without its caller; False if it has ended. Its request is to be cancelled then."""
        self.stopped = True
        if self.paused and session.dialogue is self:
            self.resume(session)
            self._go_on(session)
            # A driver that has stopped reading looks up, and asks for `advance`, which finds out what to do.
            session.wants_write = session.wants_write or session.dialogue is self
        return not self.ended

    def _go_on(self, session: Session) -> None:
        try:
            self.advance(session, 0)
        except BaseException:
            session.lost("interrupted in the middle of a dialogue")
            raise

    def meets(self, session: Session, request: Request) -> bool:
        if request.silent or not self.paused:
            return False
        if self.orphaned:
            if self.let_go(session):
                return False
            session.submit(request)
            return True
        if not self.is_own_caller():
            return False
        error = exceptions.InterfaceError(self.in_the_way)
        error.safe_to_retry = True
        request.fail(error)
        return True

    # From the session's side

    def advance(self, session: Session, ready: int) -> None:
        if self.paused:
            # Whoever sees that there is something to read is to look elsewhere until this goes on.
            session.has_more = True
        else:
            super().advance(session, ready)

    def pause(self, session: Session) -> None:
        self.paused = True
        # libpq closes the socket of a broken connection by itself, though it still has rows: another one's soon has the
        # number, so that a driver that looks there has to be told.
        session.has_more = session.pgconn.fd < 0
        self.finish()

    def finish(self) -> None:
        if not self.paused:
            self._forget_caller()
        super().finish()

    def fail(self, error: BaseException) -> None:
        """A paused one stays so: who goes on with it finds out."""
        self._forget_caller()
        super().fail(error)

    def _forget_caller(self) -> None:
        # Its task has frames that have the connection, which must not refer back.
        self.is_own_caller = bool
