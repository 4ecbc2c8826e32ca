"""The tree of exceptions, the leaf class of each SQLSTATE, and server errors made of both.

Long, since it is tables of classes.
"""

from __future__ import annotations

import builtins
import copy
import itertools
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from psqlpy import _sqlstates, exceptions
from psqlpy.exceptions import (
    DeadlockDetected,
    Error,
    UniqueViolation,
    combine,
    lookup,
    server_error,
)

ROOT = Path(__file__).resolve().parents[2]
STATIC = {
    name: value
    for name, value in vars(exceptions).items()
    if isinstance(value, type)
    and issubclass(value, Error)
    and value.__name__ == name
    and name not in _sqlstates.LEAVES.values()
}
FIELDS: dict[str, str | None] = {
    "sqlstate": "23505",
    "severity": "ERROR",
    "message_primary": 'duplicate key value violates unique constraint "users_email_key"',
    "detail": "Key (email)=(a@b.c) already exists.",
    "hint": "pick another one",
    "position": None,
    "schema_name": "public",
    "table_name": "users",
    "column_name": "email",
    "datatype_name": "text",
    "constraint_name": "users_email_key",
    "context": "SQL statement in a function",
    "source_function": "_bt_check_unique",
}
ATTRIBUTES = [*FIELDS.keys() - {"message_primary"}, "message"]

# child: its ancestors that a program for psqlpy 0.7 to 0.13, or for PEP 249, may name in `except`
TREE = {
    "InterfaceError": "Error RustPSQLDriverPyBaseError",
    "DatabaseError": "Error RustPSQLDriverPyBaseError DriverError",
    "DataError": "DatabaseError",
    "OperationalError": "DatabaseError",
    "IntegrityError": "DatabaseError",
    "InternalError": "DatabaseError",
    "ProgrammingError": "DatabaseError",
    "NotSupportedError": "DatabaseError",
    "BaseConnectionPoolError": "InterfaceError",
    "ConnectionPoolBuildError": "BaseConnectionPoolError",
    "ConnectionPoolConfigurationError": "BaseConnectionPoolError ValueError",
    "ConnectionPoolExecuteError": "BaseConnectionPoolError",
    "PoolTimeoutError": "BaseConnectionPoolError TimeoutError",
    "ConnectTimeoutError": "BaseConnectionPoolError TimeoutError",
    "SSLError": "BaseConnectionPoolError",
    "BaseConnectionError": "InterfaceError",
    "ConnectionExecuteError": "BaseConnectionError",
    "NoRowsError": "ConnectionExecuteError",
    "TooManyRowsError": "ConnectionExecuteError",
    "ConnectionClosedError": "BaseConnectionError",
    "ConnectionLostError": "ConnectionClosedError OperationalError",
    "QueryTimeoutError": "OperationalError TimeoutError",
    "BaseTransactionError": "InterfaceError",
    "TransactionBeginError": "BaseTransactionError",
    "TransactionCommitError": "BaseTransactionError",
    "TransactionRollbackError": "BaseTransactionError",
    "TransactionSavepointError": "BaseTransactionError",
    "TransactionExecuteError": "BaseTransactionError ConnectionExecuteError",
    "TransactionClosedError": "BaseTransactionError",
    "TransactionFinishedError": "TransactionClosedError TransactionBeginError",
    "BaseCursorError": "InterfaceError",
    "CursorStartError": "BaseCursorError",
    "CursorCloseError": "BaseCursorError",
    "CursorFetchError": "BaseCursorError",
    "CursorClosedError": "BaseCursorError",
    "CursorNotOpenError": "CursorClosedError CursorFetchError TransactionClosedError",
    "BaseListenerError": "InterfaceError",
    "ListenerStartError": "BaseListenerError",
    "ListenerClosedError": "BaseListenerError",
    "ListenerCallbackError": "BaseListenerError",
    "UUIDValueConvertError": "DataError",
    "MacAddrConversionError": "DataError",
    "MacAddrParseError": "MacAddrConversionError ValueError",
    "RustToPyValueMappingError": "DataError",
    "PyToRustValueMappingError": "DataError",
    "ParameterTypeError": "PyToRustValueMappingError TypeError",
    "ParameterValueError": "PyToRustValueMappingError ValueError",
}


def class_named(name: str) -> type[BaseException]:
    """The exception class of psqlpy, else the built-in one."""
    found = STATIC.get(name) or vars(exceptions).get(name) or getattr(builtins, name)
    assert isinstance(found, type) and issubclass(found, BaseException)
    return found


@pytest.mark.parametrize("name", TREE)
def test_tree(name: str) -> None:
    for ancestor in TREE[name].split():
        assert issubclass(class_named(name), class_named(ancestor)), ancestor


def test_tree_is_complete() -> None:
    assert set(TREE) | {"Error"} == set(STATIC)
    assert set(exceptions.__all__) == {*STATIC, "WarningError", "RustPSQLDriverPyBaseError", "DriverError"}
    assert exceptions.Warning is exceptions.WarningError
    assert not issubclass(exceptions.WarningError, Error)


def test_using_what_was_closed_is_no_operational_error() -> None:
    assert not issubclass(exceptions.ConnectionClosedError, exceptions.OperationalError)


def test_a_star_import_hides_no_builtin() -> None:
    namespace: dict[str, object] = {}
    exec("from psqlpy.exceptions import *", namespace)
    assert "UniqueViolation" not in namespace and "ConnectionExecuteError" in namespace
    assert not {name for name in namespace if hasattr(builtins, name) and not name.startswith("__")}


@pytest.mark.parametrize("cls", STATIC.values(), ids=STATIC)
def test_client_errors_are_made_from_a_message(cls: type[Error]) -> None:
    error = cls("connection is closed: acquire another one from the pool")
    assert str(error) == "connection is closed: acquire another one from the pool"
    assert error.args == (str(error),)
    assert [getattr(error, name) for name in ATTRIBUTES] == [None] * len(ATTRIBUTES)
    assert error.may_have_committed is False
    assert error.safe_to_retry is isinstance(
        error, exceptions.PoolTimeoutError | exceptions.ConnectTimeoutError
    )
    assert cls.__module__ == "psqlpy.exceptions" and cls.__doc__


@pytest.mark.parametrize("cls", STATIC.values(), ids=STATIC)
def test_client_errors_are_pickled_with_their_attributes(cls: type[Error]) -> None:
    error = cls("nothing came back")
    error.may_have_committed = True
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        twin = pickle.loads(pickle.dumps(error, protocol))
        assert type(twin) is cls and twin.args == error.args and twin.may_have_committed is True


@pytest.mark.parametrize(
    ("sqlstate", "name", "category"),
    [
        ("02000", "NoData", "DatabaseError"),
        ("08006", "ConnectionFailure", "OperationalError"),
        ("0A000", "FeatureNotSupported", "NotSupportedError"),
        ("22012", "DivisionByZero", "DataError"),
        ("23505", "UniqueViolation", "IntegrityError"),
        ("23P01", "ExclusionViolation", "IntegrityError"),
        ("25P02", "InFailedSqlTransaction", "InternalError"),
        ("26000", "InvalidSqlStatementName", "ProgrammingError"),
        ("28P01", "InvalidPassword", "OperationalError"),
        ("38002", "ModifyingSqlDataNotPermittedExt", "OperationalError"),
        ("39004", "NullValueNotAllowedExt", "OperationalError"),
        ("40001", "SerializationFailure", "OperationalError"),
        ("40P01", "DeadlockDetected", "OperationalError"),
        ("42601", "SyntaxError", "ProgrammingError"),
        ("42P01", "UndefinedTable", "ProgrammingError"),
        ("53300", "TooManyConnections", "OperationalError"),
        ("55P03", "LockNotAvailable", "OperationalError"),
        ("57014", "QueryCanceled", "OperationalError"),
        ("58000", "SystemError", "OperationalError"),
        ("72000", "SnapshotTooOld", "OperationalError"),
        ("P0001", "RaiseException", "ProgrammingError"),
        ("XX000", "InternalError_", "InternalError"),
    ],
)
def test_leaves(sqlstate: str, name: str, category: str) -> None:
    leaf = lookup(sqlstate)
    assert leaf.__bases__ == (STATIC[category],)
    assert (leaf.__name__, leaf.__module__, leaf.sqlstate) == (name, "psqlpy.exceptions", sqlstate)
    assert getattr(exceptions, name) is leaf
    assert name in dir(exceptions)
    assert leaf.__doc__ and sqlstate in leaf.__doc__


def test_every_leaf_has_a_name_of_its_own() -> None:
    names = list(_sqlstates.LEAVES.values())
    assert len(names) == len(set(names)) > 250
    assert not set(names) & {*STATIC, *exceptions.__all__, "Warning"}
    for sqlstate, name in _sqlstates.LEAVES.items():
        assert getattr(exceptions, name).sqlstate == sqlstate


def test_importing_makes_no_leaf() -> None:
    code = (
        "import sys, psqlpy.exceptions as e\n"
        "assert 'psqlpy._sqlstates' not in sys.modules\n"
        "assert not e.IntegrityError.__subclasses__()\n"
        "assert e.UniqueViolation is e.UniqueViolation\n"
        "assert e.IntegrityError.__subclasses__() == [e.UniqueViolation]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_threads_get_the_same_leaf() -> None:
    # in an interpreter of their own: in this one the classes may exist already
    code = (
        "import threading, psqlpy.exceptions as e\n"
        "gate = threading.Barrier(8)\n"
        "found = []\n"
        "def look():\n"
        "    gate.wait()\n"
        "    found.append((e.lookup('23505'), type(e.server_error({'sqlstate': '40001'}))))\n"
        "threads = [threading.Thread(target=look) for _ in range(8)]\n"
        "[t.start() for t in threads]\n"
        "[t.join() for t in threads]\n"
        "assert len(found) == 8 and len(set(found)) == 1, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_unknown_names_and_codes() -> None:
    with pytest.raises(AttributeError, match="no attribute 'UniqueViolatoin'"):
        getattr(exceptions, "UniqueViolatoin")  # noqa: B009
    with pytest.raises(ImportError):
        exec("from psqlpy.exceptions import Nothing")
    assert lookup("23ABC") is exceptions.IntegrityError
    assert lookup("ZZ123") is exceptions.DatabaseError
    assert lookup("01000") is exceptions.DatabaseError
    assert lookup("") is exceptions.DatabaseError
    assert lookup(None) is exceptions.OperationalError


def test_server_error_is_its_family_and_its_leaf() -> None:
    with pytest.raises(UniqueViolation) as caught:
        raise server_error(FIELDS)
    error = caught.value
    for cls in (
        UniqueViolation,
        exceptions.IntegrityError,
        exceptions.DatabaseError,
        exceptions.ConnectionExecuteError,
        exceptions.InterfaceError,
        exceptions.RustPSQLDriverPyBaseError,
    ):
        assert isinstance(error, cls)
    assert (type(error).__name__, type(error).__module__) == ("UniqueViolation", "psqlpy.exceptions")
    assert type(error) is type(server_error(FIELDS))
    assert str(error) == (
        'duplicate key value violates unique constraint "users_email_key"\n'
        "DETAIL: Key (email)=(a@b.c) already exists.\n"
        "HINT: pick another one"
    )
    assert error.args == (str(error),)
    assert error.message == FIELDS["message_primary"]
    for name in FIELDS.keys() - {"message_primary"}:
        assert getattr(error, name) == FIELDS[name]
    assert (error.safe_to_retry, error.may_have_committed) == (False, False)


def test_message_prefix_is_not_part_of_the_message() -> None:
    fields = {"sqlstate": "40P01", "message_primary": "deadlock detected"}
    error = server_error(fields, exceptions.TransactionCommitError, "cannot commit: ")
    assert isinstance(error, DeadlockDetected) and isinstance(error, exceptions.TransactionCommitError)
    assert str(error) == "cannot commit: deadlock detected"
    assert error.message == "deadlock detected"


def test_server_error_of_an_unknown_code() -> None:
    error = server_error({"sqlstate": "23ABC", "message_primary": "no"})
    assert isinstance(error, exceptions.IntegrityError)
    assert isinstance(error, exceptions.ConnectionExecuteError)
    assert (type(error).__name__, error.sqlstate) == ("IntegrityError", "23ABC")
    assert pickle.loads(pickle.dumps(error)).sqlstate == "23ABC"


def test_server_error_without_any_field() -> None:
    error = server_error({})
    assert isinstance(error, exceptions.OperationalError)
    assert str(error) == "the server sent no message"
    assert error.sqlstate is None


@pytest.mark.parametrize("sqlstate", ["08007", "40003"])
def test_unknown_outcomes_may_have_committed(sqlstate: str) -> None:
    assert server_error({"sqlstate": sqlstate}, exceptions.TransactionCommitError).may_have_committed is True


def test_every_family_with_every_leaf() -> None:
    for sqlstate, (name, family) in itertools.product(_sqlstates.LEAVES, STATIC.items()):
        error = server_error({"sqlstate": sqlstate, "message_primary": "no"}, family)
        leaf = lookup(sqlstate)
        assert isinstance(error, leaf) and isinstance(error, family), (sqlstate, name)
        assert (type(error).__name__, error.sqlstate, str(error)) == (leaf.__name__, sqlstate, "no")


def test_every_family_with_every_family() -> None:
    for first, second in itertools.product(STATIC.values(), repeat=2):
        error = combine(first, second)("gone")
        assert isinstance(error, first) and isinstance(error, second)
        assert error.args == ("gone",)
        assert type(pickle.loads(pickle.dumps(error))) is type(error)


def test_a_lost_connection_while_beginning() -> None:
    cls = combine(exceptions.ConnectionLostError, exceptions.TransactionBeginError)
    assert cls.__name__ == "ConnectionLostError"
    assert issubclass(cls, exceptions.OperationalError) and issubclass(cls, exceptions.TransactionBeginError)


def test_combine_makes_no_class_where_one_is_enough() -> None:
    assert combine(UniqueViolation, exceptions.DatabaseError) is UniqueViolation
    lost = exceptions.ConnectionLostError
    assert combine(exceptions.OperationalError, lost) is lost


@pytest.mark.parametrize("family", STATIC.values(), ids=STATIC)
def test_server_errors_are_pickled_and_copied(family: type[Error]) -> None:
    error = server_error({**FIELDS, "position": "8"}, family, "cannot do it: ")
    error.may_have_committed = True
    twins = [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for twin in [*twins, copy.copy(error), copy.deepcopy(error)]:
        assert type(twin) is type(error)
        assert twin.args == error.args and str(twin) == str(error)
        assert vars(twin) == vars(error) and twin.position == 8


def test_a_server_error_is_unpickled_in_another_process() -> None:
    code = (
        "import pickle, sys\n"
        "error = pickle.load(sys.stdin.buffer)\n"
        "from psqlpy.exceptions import UniqueViolation, TransactionCommitError\n"
        "assert isinstance(error, UniqueViolation) and isinstance(error, TransactionCommitError)\n"
        "print(error.table_name, error.sqlstate)\n"
    )
    data = pickle.dumps(server_error(FIELDS, exceptions.TransactionCommitError))
    run = subprocess.run(
        [sys.executable, "-c", code], input=data, stdout=subprocess.PIPE, check=True, cwd=ROOT
    )
    assert run.stdout.split() == [b"users", b"23505"]


@pytest.mark.parametrize(
    ("query", "position", "lines"),
    [
        ("SELECT foo FRM bar", "12", ["LINE 1: SELECT foo FRM bar", "                   ^"]),
        ("SELECT 1\nFROM\tx WHERE", "15", ["LINE 2: FROM x WHERE", "             ^"]),
        ("SELECT 1\r\nFRM", "11", ["LINE 2: FRM", "        ^"]),
        ("a\rb\n\nc", "6", ["LINE 4: c", "        ^"]),
        ("SELECT", "7", ["LINE 1: SELECT", "              ^"]),
        ("SELECT\n", "8", ["LINE 2: ", "        ^"]),
        ("SELECT\n1", "7", ["LINE 1: SELECT", "              ^"]),
        ("日本 x", "4", ["LINE 1: 日本 x", "             ^"]),
        ("e\u0301 x", "4", ["LINE 1: e\u0301 x", "          ^"]),
        ("a\u2028b\x1b[31m c", "2", ["LINE 1: a b [31m c", "         ^"]),
        ("", "1", ["LINE 1: ", "        ^"]),
    ],
)
def test_excerpt(query: str, position: str, lines: list[str]) -> None:
    fields = {**FIELDS, "message_primary": "no", "position": position, "detail": "d", "hint": None}
    error = server_error(fields, query=query)
    assert str(error).split("\n") == ["no", *lines, "DETAIL: d"]
    assert error.position == int(position)


@pytest.mark.parametrize("offset", [0, 10, 59, 60, 300, 590, 599, 600])
def test_excerpt_of_a_long_line_shows_the_place(offset: int) -> None:
    query = ("x" * offset + "@" + "x" * 600)[:600]
    error = server_error({"position": str(offset + 1)}, query=query)
    _, line, caret = str(error).split("\n")
    assert len(line) <= len("LINE 1: ") + 60 + 6
    assert line.endswith("...") is (offset < 580) and line.startswith("LINE 1: ...") is (offset > 45)
    assert line.find("@") == caret.index("^") if offset < 600 else caret.index("^") == len(line)


@pytest.mark.parametrize(
    ("query", "position", "kept"),
    [
        ("SELECT 1", "0", None),
        ("SELECT 1", "-3", None),
        ("SELECT 1", "x", None),
        ("SELECT 1", None, None),
        ("SELECT 1", "10", 10),
        ("ALTER ROLE a Password\n'hunter2' nonsense", "33", 33),
        (None, "3", 3),
    ],
)
def test_no_excerpt(query: str | None, position: str | None, kept: int | None) -> None:
    error = server_error({"message_primary": "no", "position": position}, query=query)
    assert str(error) == "no"
    assert error.position == kept


def test_a_parameter_that_the_server_refused_pickles_with_all_its_families() -> None:
    family = exceptions.combine(exceptions.ParameterValueError, exceptions.TransactionExecuteError)
    error = exceptions.server_error({"sqlstate": "22P02", "message_primary": "no int"}, family)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert isinstance(again, exceptions.TransactionExecuteError)
    assert isinstance(again, exceptions.ParameterValueError)
    assert (again.sqlstate, str(again)) == ("22P02", "no int")
