"""Outage: whether what befell one connection has likely befallen its neighbours in the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psqlpy import exceptions
from psqlpy._pq.enums import ConnStatus, ExecStatus
from psqlpy._protocol.failures import is_last

if TYPE_CHECKING:
    from psqlpy._pq.connection import PGconn
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.session import Session

FATAL_ERROR = int(ExecStatus.FATAL_ERROR)
BAD_RESPONSE = int(ExecStatus.BAD_RESPONSE)
COPYING = (int(ExecStatus.COPY_IN), int(ExecStatus.COPY_OUT), int(ExecStatus.COPY_BOTH))

# The server is shut down, has crashed, doesn't take connections; the network or a proxy says that it is gone.
_ENDS_ALL = ("57P01", "57P02", "57P03")
_READ_ONLY = "25006"


def is_outage(pgconn: PGconn, reason: exceptions.ConnectionLostError) -> bool:
    """Whether a connection that was lost for this reason was ended by something that ends others too.

    Without a word of the server's it has to be libpq that found it broken: what psqlpy gives up says nothing of others.
    """
    sqlstate = reason.sqlstate
    if sqlstate is None:
        return pgconn.status is ConnStatus.BAD
    return ends_all(sqlstate)


def ends_all(sqlstate: str | None) -> bool:
    """Whether a server that says so has no use for its other connections either."""
    return sqlstate is not None and (sqlstate in _ENDS_ALL or sqlstate.startswith("08"))


def heed_error(session: Session, failed: PGresult) -> None:
    """What an error says of the connection and its neighbours. A message that libpq can't read is the last one.

    libpq would go on with what it takes for the next, but nobody knows what that belongs to.
    """
    session.outage |= refuses_writes(session.pgconn, failed)
    if is_last(fields := failed.diagnostics()):
        session.lost(fields["message_primary"] or session.pgconn.error_message, fields)


def refuses_writes(pgconn: PGconn, failed: PGresult) -> bool:
    """Whether a write was refused because of what the server is, not because its transaction was begun read-only."""
    if failed.sqlstate != _READ_ONLY:
        return False
    # Reported since PostgreSQL 14; of an older server nobody knows.
    names = ("in_hot_standby", "default_transaction_read_only")
    return any(pgconn.parameter_status(name) in ("on", None) for name in names)
