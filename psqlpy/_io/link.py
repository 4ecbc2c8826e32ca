"""Link: what a session has with whoever waits for it, tasks or threads."""

from __future__ import annotations

from psqlpy import exceptions
from psqlpy._io.cancel import break_off, shut_down
from psqlpy._io.process import watch
from psqlpy._pq.connection import look
from psqlpy._protocol.session import CLOSED, Session

# The server's last words and the end of the connection come with two reads.
_READS = 2


class Link:
    """What both have."""

    __slots__ = ("__weakref__", "era", "serves_shared", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        # Its pool's outages before it was opened.
        self.era = 0
        # Set up for statements of several callers, read-only: its next sole user needs it reset.
        self.serves_shared = False
        watch(session)

    @property
    def is_writing_rest(self) -> bool:
        """Whether a task that nobody waits for is still at what undoes the last user's traces."""
        return False

    @property
    def is_closed(self) -> bool:
        return self.session.state is CLOSED

    @property
    def is_sound(self) -> bool:
        """Whether the pool may lend it again: it is open, and its server takes writes as far as is known."""
        return not self.is_closed and not self.session.outage

    @property
    def is_quiet(self) -> bool:
        """Nothing at all is on its way."""
        return self.session.is_quiet

    @property
    def has_input(self) -> bool:
        """Whether something has arrived that wasn't read yet."""
        return not self.is_closed and bool(look(self.session.fd))

    def cut(self) -> None:
        """Break the connection from any thread: whoever waits on it finds out and closes it."""
        pgconn = self.session.pgconn
        if pgconn.is_finished or pgconn.is_inherited:
            return
        # First, or the answer to the cancel request might still arrive. Not PQfinish: that wakes neither a thread in
        # poll() nor a trio task.
        break_off(self.session)
        shut_down(pgconn.fd)


def take_in(session: Session) -> None:
    """Read what has arrived while nobody waited, the end of the connection too."""
    reads = 0
    # Each look is a system call, but the last word of a server that ends may come behind an answer.
    while reads < _READS and session.state is not CLOSED and look(session.fd):
        session.pump(1)
        reads += 1
    if session.state is not CLOSED and session.pgconn.is_dismissed:
        session.lost("the server closed the connection")


def check_cancel(failure: str | None) -> None:
    if failure is not None:
        raise exceptions.OperationalError(f"the server could not be asked to cancel: {failure}")
