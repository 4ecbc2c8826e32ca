"""The synchronous mirror of psqlpy: the same names and results, without an event loop."""

from psqlpy import exceptions, types
from psqlpy._column import Column
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
from psqlpy._keepalive import KeepaliveConfig
from psqlpy._naming import name_public
from psqlpy._notice import Notice
from psqlpy._notification import ListenerNotificationMsg
from psqlpy._pq.capabilities import capabilities
from psqlpy._query_event import QueryEvent
from psqlpy._record import Record
from psqlpy._result import QueryResult, SingleQueryResult
from psqlpy._status import ConnectionPoolStats, ConnectionPoolStatus
from psqlpy._sync.builder import ConnectionPoolBuilder
from psqlpy._sync.connection import Connection
from psqlpy._sync.cursor import Cursor
from psqlpy._sync.listener import Listener
from psqlpy._sync.pool import ConnectionPool
from psqlpy._sync.prepared import PreparedStatement
from psqlpy._sync.transaction import Transaction
from psqlpy.exceptions import Error

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
