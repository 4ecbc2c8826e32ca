"""The codecs against libpq alone: results fetched from a server, or made up cell by cell. No session, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cffi import FFI

from psqlpy._codecs.registry import Registry, default_registry
from psqlpy._codecs.rows import ResultPlan
from psqlpy._ffi import _libpq
from psqlpy._pq.result import PGresult

lib: Any = _libpq.lib
ffi: Any = _libpq.ffi

_abi = FFI()
_abi.cdef(
    """
    typedef unsigned int Oid;
    typedef struct pgresAttDesc {
        char *name; Oid tableid; int columnid; int format; Oid typid; int typlen; int atttypmod;
    } PGresAttDesc;
    void *PQconnectdb(const char *conninfo);
    int PQstatus(const void *conn);
    void PQfinish(void *conn);
    char *PQerrorMessage(const void *conn);
    void *PQexec(void *conn, const char *query);
    void *PQprepare(void *conn, const char *name, const char *query, int count, const Oid *types);
    void *PQdescribePrepared(void *conn, const char *name);
    void *PQmakeEmptyPGresult(void *conn, int status);
    int PQsetResultAttrs(void *res, int count, PGresAttDesc *columns);
    int PQsetvalue(void *res, int row, int column, const char *value, int length);
    """
)
# A handle of our module finds the functions of exactly the libpq that it is linked with.
_pq: Any = _abi.dlopen(_libpq.__file__)

TUPLES_OK = 2

# What every connection of psqlpy starts with.
SETTINGS = (
    "SET client_encoding = 'UTF8'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres';"
    " SET bytea_output = 'hex'; SET extra_float_digits = 1"
)


def _ours(pointer: Any, kind: str = "PGresult *") -> Any:
    return ffi.cast(kind, int(_abi.cast("intptr_t", pointer)))


def make_result(
    columns: Sequence[tuple[str, int]], rows: Sequence[Sequence[bytes | None]], format: int = 1
) -> PGresult:
    """Make a result of (name, oid) columns and raw cells."""
    pointer = _pq.PQmakeEmptyPGresult(_abi.NULL, TUPLES_OK)
    names = [_abi.new("char[]", name.encode()) for name, _ in columns]
    attributes = _abi.new(
        "PGresAttDesc[]",
        [(name, 0, 0, format, oid, -1, -1) for name, (_, oid) in zip(names, columns, strict=True)],
    )
    if columns:
        assert _pq.PQsetResultAttrs(pointer, len(columns), attributes)
    for index, row in enumerate(rows):
        for column, value in enumerate(row):
            data = _abi.NULL if value is None else _abi.new("char[]", value + b"\0")
            assert _pq.PQsetvalue(pointer, index, column, data, -1 if value is None else len(value))
    return PGresult(_ours(pointer), TUPLES_OK)


class ServerError(Exception):
    """What the server answered."""


class Rig:
    """One blocking connection."""

    def __init__(self, dsn: str) -> None:
        self._conn = _pq.PQconnectdb(dsn.encode())
        assert _pq.PQstatus(self._conn) == 0, _abi.string(_pq.PQerrorMessage(self._conn))
        self._pointer = _ours(self._conn, "PGconn *")
        self.script(SETTINGS)

    def close(self) -> None:
        _pq.PQfinish(self._conn)

    def script(self, query: str) -> PGresult:
        """Run statements without parameters; the last one's result, in text."""
        return self._checked(_ours(_pq.PQexec(self._conn, query.encode())))

    def describe(self, query: str) -> PGresult:
        """Prepare the unnamed statement."""
        self._checked(_ours(_pq.PQprepare(self._conn, b"", query.encode(), 0, _abi.NULL)))
        return self._checked(_ours(_pq.PQdescribePrepared(self._conn, b"")))

    def fetch(
        self,
        query: str,
        parameters: Sequence[Any] = (),
        *,
        format: int | None = None,
        registry: Registry = default_registry,
    ) -> list[tuple[Any, ...]]:
        """Run a statement and decode its rows, in a format of our or the plan's choice."""
        plan, result = self.execute(query, parameters, format=format, registry=registry)
        return plan.tuples(result)

    def execute(
        self,
        query: str,
        parameters: Sequence[Any] = (),
        *,
        format: int | None = None,
        registry: Registry = default_registry,
    ) -> tuple[ResultPlan, PGresult]:
        """Run a statement; the result, and the plan to read it with."""
        description = self.describe(query)
        encoder = registry.parameter_plan(description.parameter_oids())
        packed = encoder.encode(parameters)
        plan = registry.result_plan(description.columns(), format)
        assert lib.psq_send_execute(self._pointer, b"", encoder.count, packed, len(packed), plan.format)
        return plan, self._checked(self._result())

    def _result(self) -> Any:
        first = lib.PQgetResult(self._pointer)
        while (more := lib.PQgetResult(self._pointer)) != ffi.NULL:
            lib.PQclear(more)
        return first

    def _checked(self, pointer: Any) -> PGresult:
        result = PGresult(pointer, lib.PQresultStatus(pointer))
        if result.status > TUPLES_OK:
            raise ServerError(result.diagnostics()["message_primary"])
        return result
