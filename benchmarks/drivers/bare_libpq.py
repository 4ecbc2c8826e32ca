"""libpq by itself, through ctypes: what there is to gain for any driver on top of it. No driver, and decodes no rows.

PSQLPY_BENCH_LIBPQ is the library's path. Results are binary and statements prepared, as with the drivers.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from ctypes import c_char_p, c_int, c_void_p, string_at
from typing import Any

from benchmarks.drivers import Shape

PGRES_COMMAND_OK, PGRES_TUPLES_OK = 1, 2

pq = ctypes.CDLL(os.environ["PSQLPY_BENCH_LIBPQ"])
pq.PQconnectdb.restype = c_void_p
pq.PQconnectdb.argtypes = [c_char_p]
pq.PQprepare.restype = c_void_p
pq.PQprepare.argtypes = [c_void_p, c_char_p, c_char_p, c_int, c_void_p]
pq.PQexecPrepared.restype = c_void_p
pq.PQexecPrepared.argtypes = [
    c_void_p,
    c_char_p,
    c_int,
    ctypes.POINTER(c_char_p),
    ctypes.POINTER(c_int),
    ctypes.POINTER(c_int),
    c_int,
]
pq.PQerrorMessage.restype = c_char_p
pq.PQgetvalue.restype = c_void_p
for _name, _count in {
    "PQstatus": 0,
    "PQerrorMessage": 0,
    "PQfinish": 0,
    "PQresultStatus": 0,
    "PQntuples": 0,
    "PQclear": 0,
    "PQgetvalue": 2,
    "PQgetlength": 2,
}.items():
    getattr(pq, _name).argtypes = [c_void_p, *[c_int] * _count]


class Connection:
    def __init__(self, dsn: str) -> None:
        self._connection = pq.PQconnectdb(dsn.encode())
        if pq.PQstatus(self._connection) != 0:
            raise ConnectionError(pq.PQerrorMessage(self._connection).decode())
        self._names: dict[str, bytes] = {}
        self._value = (c_char_p * 1)()
        self._length = (c_int * 1)(4)
        self._format = (c_int * 1)(1)

    def _execute(self, query: str, parameters: int) -> Any:
        name = self._names.get(query)
        if name is None:
            name = self._names[query] = b"s%d" % len(self._names)
            prepared = pq.PQprepare(self._connection, name, query.encode(), 0, None)
            self._check(prepared, PGRES_COMMAND_OK)
            pq.PQclear(prepared)
        result = pq.PQexecPrepared(
            self._connection, name, parameters, self._value, self._length, self._format, 1
        )
        self._check(result, PGRES_TUPLES_OK)
        return result

    def _check(self, result: Any, status: int) -> None:
        if pq.PQresultStatus(result) != status:
            pq.PQclear(result)
            raise RuntimeError(pq.PQerrorMessage(self._connection).decode())

    async def pair(self, query: str, key: int) -> tuple[Any, Any]:
        self._value[0] = key.to_bytes(4, "big")
        result = self._execute(query, 1)
        id = int.from_bytes(string_at(pq.PQgetvalue(result, 0, 0), 4), "big")
        name = string_at(pq.PQgetvalue(result, 0, 1), pq.PQgetlength(result, 0, 1)).decode()
        pq.PQclear(result)
        return id, name

    async def rows(self, query: str, values: Sequence[Any], shape: Shape) -> Sequence[Any]:
        """Only received: a number for each row."""
        result = self._execute(query, 0)
        count = pq.PQntuples(result)
        pq.PQclear(result)
        return range(count)

    async def close(self) -> None:
        pq.PQfinish(self._connection)


class Driver:
    def versions(self) -> dict[str, str]:
        number = pq.PQlibVersion()
        return {"libpq": f"{number // 10000}.{number % 10000}"}

    async def connect(self, dsn: str) -> Connection:
        return Connection(dsn)


def make(loop: str) -> Driver:
    return Driver()
