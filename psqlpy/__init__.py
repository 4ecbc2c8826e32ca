"""psqlpy: a PostgreSQL driver on libpq, for asyncio and trio; its synchronous mirror is psqlpy.sync."""

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
    TargetSessionAttrs,
)
from psqlpy._connect import connect, connect_pool
from psqlpy._pq.capabilities import capabilities
from psqlpy._record import Record
from psqlpy._result import QueryResult, SingleQueryResult
from psqlpy._status import ConnectionPoolStatus
from psqlpy._version import __version__
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
    "__version__",
    "capabilities",
    "connect",
    "connect_pool",
    "exceptions",
    "types",
]
