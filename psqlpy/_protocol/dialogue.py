"""Dialogue: a request that needs the connection outside the pipeline, for a simple query or COPY.

The dialogue itself is a generator that yields `Want`, is sent what is ready, and returns the request's value.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from psqlpy import exceptions
from psqlpy._pq.connection import PGconn
from psqlpy._protocol.classify import may_prepare
from psqlpy._protocol.outage import BAD_RESPONSE, FATAL_ERROR, heed_error
from psqlpy._protocol.request import Request
from psqlpy._protocol.want import Want

if TYPE_CHECKING:
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.session import Session

# Command tags after which nothing is prepared on the server.
_DROPPED_ALL = ("DISCARD ALL", "DEALLOCATE ALL")

Talk = Generator[Want, int | None, Any]


class Dialogue(Request):
    """Runs when everything before it has landed; everything behind it waits."""

    # It waits for its caller, not for the socket: nobody is to read.
    paused = False
    # What runs may remove prepared statements, ours too: its results will tell.
    drops_prepared = False
    value: Any = None
    # For those who are told what is executed.
    text = ""

    def __init__(
        self, talk: Callable[[PGconn], Talk], *, drops_prepared: bool = False, text: str = ""
    ) -> None:
        self._talk = talk
        self.text = text
        self.drops_prepared = drops_prepared

    def talk(self, pgconn: PGconn) -> Talk:
        """What is said, from its beginning to its end."""
        return self._talk(pgconn)

    def write(self, session: Session) -> None:
        self.holds_followers = True
        if session.flights:
            session.wait_until_quiet(self)
            return
        self.written = True
        # What a script of any statements leaves behind, or ends, isn't known.
        session.leaves_state = session.in_doubt = True
        if may_prepare(self.text):
            session.statements.has_others = True
        self.going = self.talk(session.pgconn)
        session.start_dialogue(self)

    def advance(self, session: Session, ready: int) -> None:
        """Go on until the dialogue waits again, or ends."""
        try:
            want = self.going.send(ready or None)
        except StopIteration as ended:
            self.value = ended.value
            results = ended.value if isinstance(ended.value, list) else [ended.value]
            for result in results:
                if result is not None and result.status in (FATAL_ERROR, BAD_RESPONSE):
                    heed_error(session, result)
            if session.is_closed:
                return
            if self.drops_prepared and any(result.command_tag in _DROPPED_ALL for result in self.value):
                session.statements.clear()
            self._end(session, None)
        except exceptions.ConnectionClosedError as error:
            session.lost(str(error))
        except Exception as error:
            self._end(session, error)
        else:
            session.wants_write = bool(want & Want.WRITE)
            if want is Want.CALLER:
                self.pause(session)
            elif want is Want.TURN:
                session.has_more = True

    def pause(self, session: Session) -> None:
        raise AssertionError("this dialogue has nobody to wait for")

    def _end(self, session: Session, error: Exception | None) -> None:
        session.end_dialogue(error)
        # Notifications that came meanwhile are with libpq: nothing will make the socket readable again.
        session.has_more = session.on_notification is not None

    def meets(self, session: Session, request: Request) -> bool:
        """Deal with a request that is submitted meanwhile; False leaves it to the queue."""
        return False

    def receive(self, session: Session, status: int, result: PGresult) -> None:
        raise AssertionError("a dialogue reads its own results")

    def land(self, session: Session) -> bool:
        raise AssertionError("a dialogue has no Sync")
