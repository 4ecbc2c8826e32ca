"""Every exception of psqlpy: psqlpy's own families, PEP 249's classes, and one leaf class per SQLSTATE.

A server error is an instance of all three: a unique violation in `execute` is a `ConnectionExecuteError`,
an `IntegrityError` and a `UniqueViolation`. The leaf classes are made at their first use, from the table in
psqlpy._sqlstates. Not here: when which one is raised.

Long, since it is one list of small classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psqlpy._sqlstates as _sqlstates  # so written, pyright finds its __all__
    from psqlpy._sqlstates import *  # noqa: F403  (type checkers see the leaf classes; __getattr__ makes them)

# Neither leaf classes nor Warning: a star import must not hide the built-in SyntaxError or Warning.
# fmt: off
__all__ = [
    "BaseConnectionError", "BaseConnectionPoolError", "BaseCursorError", "BaseListenerError",
    "BaseTransactionError", "ConnectTimeoutError", "ConnectionClosedError", "ConnectionExecuteError",
    "ConnectionLostError", "ConnectionPoolBuildError", "ConnectionPoolConfigurationError",
    "ConnectionPoolExecuteError", "CursorCloseError", "CursorClosedError", "CursorFetchError",
    "CursorNotOpenError", "CursorStartError", "DataError", "DatabaseError", "DriverError", "Error", "IntegrityError",
    "InterfaceError", "InternalError", "ListenerCallbackError", "ListenerClosedError", "ListenerStartError",
    "MacAddrConversionError", "MacAddrParseError", "NoRowsError", "NotSupportedError", "OperationalError",
    "ParameterTypeError", "ParameterValueError", "PoolTimeoutError", "ProgrammingError",
    "PyToRustValueMappingError", "QueryTimeoutError", "RustPSQLDriverPyBaseError",
    "RustToPyValueMappingError", "SSLError", "TooManyRowsError", "TransactionBeginError",
    "TransactionClosedError", "TransactionCommitError", "TransactionExecuteError",
    "TransactionFinishedError", "TransactionRollbackError", "TransactionSavepointError",
    "UUIDValueConvertError", "WarningError",
]
# fmt: on

if TYPE_CHECKING:
    __all__ += _sqlstates.__all__  # else pyright takes them for private


class WarningError(Exception):
    """An important warning (PEP 249's Warning). psqlpy never raises it."""


Warning = WarningError  # PEP 249's name


class Error(Exception):
    """The root of all errors of psqlpy.

    The attributes are those of an error message of the server (manual, section "Error and Notice Message
    Fields") and None on an error that psqlpy raises itself. `position` counts characters of the query from 1.
    `safe_to_retry` is True if the server has executed nothing, `may_have_committed` if the work of the failed
    call may be stored nevertheless; both are False where that isn't known.
    """

    sqlstate: str | None = None
    severity: str | None = None
    message: str | None = None
    detail: str | None = None
    hint: str | None = None
    position: int | None = None
    schema_name: str | None = None
    table_name: str | None = None
    column_name: str | None = None
    datatype_name: str | None = None
    constraint_name: str | None = None
    context: str | None = None
    source_function: str | None = None
    safe_to_retry: bool = False
    may_have_committed: bool = False


RustPSQLDriverPyBaseError = Error  # its name until 0.8


# PEP 249


class InterfaceError(Error):
    """Something about the driver, not about the database, failed (PEP 249)."""


class DatabaseError(Error):
    """Something about the database failed (PEP 249); every error that the server reports is one."""


class DataError(DatabaseError):
    """A value can't be processed: out of range, malformed, division by zero (PEP 249)."""


class OperationalError(DatabaseError):
    """The database can't do it now: lost connection, shortage, deadlock, cancellation (PEP 249)."""


class IntegrityError(DatabaseError):
    """A constraint would be violated (PEP 249)."""


class InternalError(DatabaseError):
    """The database or the state of the transaction is out of order (PEP 249)."""


class ProgrammingError(DatabaseError):
    """The statement is wrong: syntax, unknown table, missing privilege (PEP 249)."""


class NotSupportedError(DatabaseError):
    """The database doesn't support this (PEP 249)."""


DriverError = DatabaseError  # what 0.8 raised where 0.13 raises a plain DatabaseError


# Pool


class BaseConnectionPoolError(InterfaceError):
    """The pool can't give a connection: it is closed, or connecting failed."""


class ConnectionPoolBuildError(BaseConnectionPoolError):
    """The connection string can't be understood."""


class ConnectionPoolConfigurationError(BaseConnectionPoolError, ValueError):
    """A parameter of the pool has a value it can't have."""


class ConnectionPoolExecuteError(BaseConnectionPoolError):
    """A statement that the pool itself was asked to execute failed."""


class PoolTimeoutError(BaseConnectionPoolError, TimeoutError):
    """No connection of the pool became free in time; nothing was sent."""

    safe_to_retry = True


class ConnectTimeoutError(BaseConnectionPoolError, TimeoutError):
    """No connection to the server was made in time; nothing was executed."""

    safe_to_retry = True


class SSLError(BaseConnectionPoolError):
    """TLS can't be set up: no usable CA file, or no encryption where it is required."""


# Connection


class BaseConnectionError(InterfaceError):
    """Something about a connection failed."""


class ConnectionExecuteError(BaseConnectionError):
    """A statement failed."""


class NoRowsError(ConnectionExecuteError):
    """`fetch_row` or `fetch_val` got no row."""


class TooManyRowsError(ConnectionExecuteError):
    """`fetch_row` or `fetch_val` got more than one row."""


class ConnectionClosedError(BaseConnectionError):
    """The connection can't be used: it was closed, or given back to the pool."""


class ConnectionLostError(ConnectionClosedError, ConnectionExecuteError, OperationalError):
    """The connection broke: unlike ConnectionClosedError, which is the caller's own doing, an OperationalError."""


class QueryTimeoutError(OperationalError, TimeoutError):
    """A call didn't end within its `timeout`."""


# Transaction


class BaseTransactionError(InterfaceError):
    """Something about a transaction failed."""


class TransactionBeginError(BaseTransactionError):
    """The transaction can't begin, or wasn't begun."""


class TransactionCommitError(BaseTransactionError):
    """The transaction can't be committed."""


class TransactionRollbackError(BaseTransactionError):
    """The transaction can't be rolled back."""


class TransactionSavepointError(BaseTransactionError):
    """A savepoint can't be made, released or rolled back to."""


class TransactionExecuteError(BaseTransactionError, ConnectionExecuteError):
    """A statement in a transaction failed: until 0.8 this was its class, in 0.13 ConnectionExecuteError."""


class TransactionClosedError(BaseTransactionError):
    """The transaction, or a cursor's transaction, can't be used any more."""


class TransactionFinishedError(TransactionClosedError, TransactionBeginError):
    """The transaction was already committed or rolled back: until 0.8 this was a TransactionBeginError."""


# Cursor


class BaseCursorError(InterfaceError):
    """Something about a cursor failed."""


class CursorStartError(BaseCursorError):
    """The cursor can't be opened."""


class CursorCloseError(BaseCursorError):
    """The cursor can't be closed."""


class CursorFetchError(BaseCursorError):
    """Rows can't be fetched from the cursor."""


class CursorClosedError(BaseCursorError):
    """The cursor was closed."""


class CursorNotOpenError(CursorClosedError, CursorFetchError, TransactionClosedError):
    """The cursor isn't started yet, was closed, or is gone with its transaction.

    It is all that the Rust driver raised then: until 0.8 a CursorFetchError, in 0.13 a TransactionClosedError.
    """


# Listener


class BaseListenerError(InterfaceError):
    """Something about a listener failed."""


class ListenerStartError(BaseListenerError):
    """The listener can't start, or wasn't started."""


class ListenerClosedError(BaseListenerError):
    """The listener was shut down."""


class ListenerCallbackError(BaseListenerError):
    """A callback is not an async callable."""


# Values


class UUIDValueConvertError(DataError):
    """A value is not a UUID."""


class MacAddrConversionError(DataError):
    """A value is not a MAC address."""


class MacAddrParseError(MacAddrConversionError, ValueError):
    """A string is not a MAC address."""


class RustToPyValueMappingError(DataError):
    """A value of the database can't become a Python value."""


class PyToRustValueMappingError(DataError):
    """A Python value can't become a value of the database; nothing was executed."""


class ParameterTypeError(PyToRustValueMappingError, TypeError):
    """A parameter, or the list of parameters, is of a type that doesn't fit."""


class ParameterValueError(PyToRustValueMappingError, ValueError):
    """A parameter is of a type that fits, its value doesn't."""


# Leaves and what puts them together

# These two say by their definition that nobody knows whether the transaction took place.
_OUTCOME_UNKNOWN = ("08007", "40003")

_combined: dict[tuple[type[Error], type[Error]], type[Error]] = {}


def lookup(sqlstate: str | None) -> type[DatabaseError]:
    """Return the class for an SQLSTATE.

    For a code that isn't in PostgreSQL's list it is the PEP 249 class of the code's first two characters,
    else DatabaseError. None, as on an error that libpq reports itself, is OperationalError.
    """
    if sqlstate is None:
        return OperationalError
    from psqlpy._sqlstates import CLASSES, LEAVES

    category, title = CLASSES.get(sqlstate[:2], ("DatabaseError", ""))
    base: type[DatabaseError] = globals()[category]
    name = LEAVES.get(sqlstate)
    if name is None:
        return base
    if name not in globals():
        namespace: dict[str, Any] = {
            "__module__": __name__,
            "__doc__": f"SQLSTATE {sqlstate}, of class {sqlstate[:2]}: {title}.",
            "sqlstate": sqlstate,
        }
        if sqlstate in _OUTCOME_UNKNOWN:
            namespace["may_have_committed"] = True
        # setdefault: of two threads that make the class at once, both must get the same one
        globals().setdefault(name, type(name, (base,), namespace))
    leaf: type[DatabaseError] = globals()[name]
    return leaf


def combine(leaf: type[Error], family: type[Error]) -> type[Error]:
    """Return a class that is both, with the leaf's name; one of the two where that is enough.

    Both must be attributes of this module, so that instances can be pickled.
    """
    if issubclass(leaf, family):
        return leaf
    if issubclass(family, leaf):
        return family
    key = (leaf, family)
    if key not in _combined:
        namespace = {
            "__module__": __name__,
            "__doc__": leaf.__doc__,
            "__reduce__": _reduce_combined,
            "_parts": key,
        }
        _combined.setdefault(key, type(leaf.__name__, key, namespace))
    return _combined[key]


def _reduce_combined(error: Any) -> tuple[Any, ...]:
    return _rebuild_combined, (_split(type(error)), error.args), vars(error)


def _split(combined: Any) -> Any:
    """A class as what it was put together from: only attributes of this module can be pickled."""
    return tuple(_split(part) for part in combined._parts) if "_parts" in vars(combined) else combined


def _join(parts: Any) -> type[Error]:
    return combine(_join(parts[0]), _join(parts[1])) if isinstance(parts, tuple) else parts


def _rebuild_combined(parts: Any, args: tuple[Any, ...]) -> Error:
    return _join(parts)(*args)


def server_error(
    fields: Mapping[str, str | None],
    family: type[Error] = ConnectionExecuteError,
    message_prefix: str = "",
    query: str | None = None,
) -> Error:
    """Make the exception for an error message of the server: one of `family` and of its SQLSTATE's class.

    `fields` are named as the attributes of Error, the message itself `message_primary`. The text is prefix
    and message, with `query` the line the error points at, then DETAIL and HINT.
    """
    values: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    values["message"] = values.pop("message_primary", "the server sent no message")
    position = values.pop("position", "")
    lines = [message_prefix + values["message"]]
    if position.isdecimal() and int(position) > 0:
        values["position"] = int(position)
        if query is not None:
            from psqlpy._excerpt import excerpt

            lines += excerpt(query, values["position"])
    lines += [f"{name.upper()}: {values[name]}" for name in ("detail", "hint") if name in values]
    error = combine(lookup(values.get("sqlstate")), family)("\n".join(lines))
    vars(error).update(values)
    return error


if not TYPE_CHECKING:  # else every misspelt name would be a class for type checkers

    def __getattr__(name: str) -> type[DatabaseError]:
        if not name.startswith("_"):
            from psqlpy._sqlstates import LEAVES

            for sqlstate, leaf in LEAVES.items():
                if leaf == name:
                    return lookup(sqlstate)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        from psqlpy._sqlstates import LEAVES

        return sorted({*globals(), *LEAVES.values()})
