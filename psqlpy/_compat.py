"""Other names for things of ours, from the generations of the Rust driver. An alias is the thing itself.

Not here: methods with two names, which are where the method is, and exceptions, whose two old names are in
psqlpy.exceptions.
"""

from __future__ import annotations

from psqlpy import _geometry, _wrappers

# Extra types, until 0.8. Its documentation uses them, so they don't warn.
PyText = _wrappers.Text
PyVarChar = _wrappers.VarChar
PyJSON = _wrappers.JSON
PyJSONB = _wrappers.JSONB
PyMacAddr6 = _wrappers.MacAddr6
PyMacAddr8 = _wrappers.MacAddr8
PyCustomType = _wrappers.CustomType
PyPoint = _geometry.Point
PyBox = _geometry.Box
PyPath = _geometry.Path
PyLine = _geometry.Line
PyLineSegment = _geometry.LineSegment
PyCircle = _geometry.Circle

# What the extension module of the Rust driver held; psqlpy._internal passes them on.
# fmt: off
INTERNAL_NAMES = frozenset((
    "Column", "ConnRecyclingMethod", "Connection", "ConnectionPool", "ConnectionPoolBuilder",
    "ConnectionPoolStatus", "Cursor", "IsolationLevel", "KeepaliveConfig", "Listener",
    "ListenerNotificationMsg", "LoadBalanceHosts", "PreparedStatement", "QueryResult", "ReadVariant",
    "Record", "SingleQueryResult", "SslMode", "SynchronousCommit", "TargetSessionAttrs", "Transaction", "connect",
    "connect_pool",
))
# fmt: on
