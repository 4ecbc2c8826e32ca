"""psqlpy: a PostgreSQL driver on libpq, for asyncio and trio; its synchronous mirror is psqlpy.sync."""

from typing import TYPE_CHECKING

from psqlpy import exceptions, types
from psqlpy._async.connection import Connection
from psqlpy._async.pool import ConnectionPool
from psqlpy._async.transaction import Transaction
from psqlpy._config import (
    ConnRecyclingMethod,
    IsolationLevel,
    LoadBalanceHosts,
    ReadVariant,
    SslMode,
    SynchronousCommit,
    TargetSessionAttrs,
)
from psqlpy._connect import connect, connect_pool
from psqlpy._naming import later, name_public
from psqlpy._record import Record
from psqlpy._result import QueryResult, SingleQueryResult
from psqlpy._version import __version__
from psqlpy.exceptions import Error

if TYPE_CHECKING:
    from psqlpy._async.builder import ConnectionPoolBuilder
    from psqlpy._async.cursor import Cursor
    from psqlpy._async.listener import Listener
    from psqlpy._async.prepared import PreparedStatement
    from psqlpy._column import Column
    from psqlpy._keepalive import KeepaliveConfig
    from psqlpy._notice import Notice
    from psqlpy._notification import ListenerNotificationMsg
    from psqlpy._pq.capabilities import capabilities
    from psqlpy._query_event import QueryEvent
    from psqlpy._status import ConnectionPoolStats, ConnectionPoolStatus

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
    "__version__",
    "capabilities",
    "connect",
    "connect_pool",
    "exceptions",
    "types",
]

name_public(__name__, __all__)

# What only some programs name; type checkers have it from above.
_HOMES = {
    "Column": "psqlpy._column",
    "ConnectionPoolBuilder": "psqlpy._async.builder",
    "ConnectionPoolStats": "psqlpy._status",
    "ConnectionPoolStatus": "psqlpy._status",
    "Cursor": "psqlpy._async.cursor",
    "KeepaliveConfig": "psqlpy._keepalive",
    "Listener": "psqlpy._async.listener",
    "ListenerNotificationMsg": "psqlpy._notification",
    "Notice": "psqlpy._notice",
    "PreparedStatement": "psqlpy._async.prepared",
    "QueryEvent": "psqlpy._query_event",
    "_internal": "psqlpy._internal",
    "capabilities": "psqlpy._pq.capabilities",
    "extra_types": "psqlpy.extra_types",
    "row_factories": "psqlpy.row_factories",
}

if not TYPE_CHECKING:  # else every misspelt name would be there for type checkers
    __getattr__ = later(__name__, _HOMES)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
