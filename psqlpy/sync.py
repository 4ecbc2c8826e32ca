"""The synchronous mirror of psqlpy: the same names and results, without an event loop."""

from typing import TYPE_CHECKING

from psqlpy import exceptions, types
from psqlpy._config import (
    ConnRecyclingMethod,
    IsolationLevel,
    LoadBalanceHosts,
    ReadVariant,
    SslMode,
    SynchronousCommit,
    TargetSessionAttrs,
)
from psqlpy._connect import MAKES_POOL, like
from psqlpy._naming import later, name_public
from psqlpy._record import Record
from psqlpy._result import QueryResult, SingleQueryResult
from psqlpy._sync.connection import Connection
from psqlpy._sync.pool import ConnectionPool
from psqlpy._sync.transaction import Transaction
from psqlpy.exceptions import Error

if TYPE_CHECKING:
    from psqlpy._column import Column
    from psqlpy._keepalive import KeepaliveConfig
    from psqlpy._notice import Notice
    from psqlpy._notification import ListenerNotificationMsg
    from psqlpy._pq.capabilities import capabilities
    from psqlpy._query_event import QueryEvent
    from psqlpy._status import ConnectionPoolStats, ConnectionPoolStatus
    from psqlpy._sync.builder import ConnectionPoolBuilder
    from psqlpy._sync.cursor import Cursor
    from psqlpy._sync.listener import Listener
    from psqlpy._sync.prepared import PreparedStatement

__all__ = [
    "Column",
    "ConnRecyclingMethod",
    "Connection",
    "ConnectionPool",
    "ConnectionPoolBuilder",
    "ConnectionPoolStats",
    "ConnectionPoolStatus",
    "Cursor",
    "Error",
    "IsolationLevel",
    "KeepaliveConfig",
    "Listener",
    "ListenerNotificationMsg",
    "LoadBalanceHosts",
    "Notice",
    "PreparedStatement",
    "QueryEvent",
    "QueryResult",
    "ReadVariant",
    "Record",
    "SingleQueryResult",
    "SslMode",
    "SynchronousCommit",
    "TargetSessionAttrs",
    "Transaction",
    "capabilities",
    "connect",
    "connect_pool",
    "exceptions",
    "types",
]


connect = like(ConnectionPool, ConnectionPool, "connect", MAKES_POOL)
connect_pool = like(ConnectionPool, ConnectionPool, "connect_pool", MAKES_POOL)

name_public(__name__, __all__)

# What only some programs name; type checkers have it from above.
_HOMES = {
    "Column": "psqlpy._column",
    "ConnectionPoolBuilder": "psqlpy._sync.builder",
    "ConnectionPoolStats": "psqlpy._status",
    "ConnectionPoolStatus": "psqlpy._status",
    "Cursor": "psqlpy._sync.cursor",
    "KeepaliveConfig": "psqlpy._keepalive",
    "Listener": "psqlpy._sync.listener",
    "ListenerNotificationMsg": "psqlpy._notification",
    "Notice": "psqlpy._notice",
    "PreparedStatement": "psqlpy._sync.prepared",
    "QueryEvent": "psqlpy._query_event",
    "capabilities": "psqlpy._pq.capabilities",
}

if not TYPE_CHECKING:  # else every misspelt name would be there for type checkers
    __getattr__ = later(__name__, _HOMES)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
