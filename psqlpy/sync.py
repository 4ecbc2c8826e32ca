"""The synchronous mirror of psqlpy: the same names and results, without an event loop."""

from psqlpy import exceptions, types
from psqlpy._config import (
    ConnRecyclingMethod,
    IsolationLevel,
    LoadBalanceHosts,
    ReadVariant,
    SslMode,
    TargetSessionAttrs,
)
from psqlpy._connect import MAKES_POOL, like
from psqlpy._pq.capabilities import capabilities
from psqlpy._record import Record
from psqlpy._result import QueryResult, SingleQueryResult
from psqlpy._status import ConnectionPoolStatus
from psqlpy._sync.connection import Connection
from psqlpy._sync.pool import ConnectionPool
from psqlpy._sync.transaction import Transaction
from psqlpy.exceptions import Error

__all__ = [
    "ConnRecyclingMethod",
    "Connection",
    "ConnectionPool",
    "ConnectionPoolStatus",
    "Error",
    "IsolationLevel",
    "LoadBalanceHosts",
    "QueryResult",
    "ReadVariant",
    "Record",
    "SingleQueryResult",
    "SslMode",
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
