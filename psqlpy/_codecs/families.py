"""The codecs of PostgreSQL's own types, by family. A family is imported when one of its types is first met.

What most programs never meet (geometry, text search, money) would be a tenth of the import. Each import is written
out, so that tools which follow imports, such as those that make one file of a program, find it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from psqlpy._codecs import oids

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

Register = Callable[["Registry"], None]


def _bits(registry: Registry) -> None:
    from psqlpy._codecs import bits

    bits.register(registry)


def _boolean(registry: Registry) -> None:
    from psqlpy._codecs import boolean

    boolean.register(registry)


def _bytea(registry: Registry) -> None:
    from psqlpy._codecs import bytea

    bytea.register(registry)


def _datetime(registry: Registry) -> None:
    from psqlpy._codecs import datetime

    datetime.register(registry)


def _float(registry: Registry) -> None:
    from psqlpy._codecs import float

    float.register(registry)


def _geometry(registry: Registry) -> None:
    from psqlpy._codecs import geometry

    geometry.register(registry)


def _integer(registry: Registry) -> None:
    from psqlpy._codecs import integer

    integer.register(registry)


def _interval(registry: Registry) -> None:
    from psqlpy._codecs import interval

    interval.register(registry)


def _json(registry: Registry) -> None:
    from psqlpy._codecs import json

    json.register(registry)


def _money(registry: Registry) -> None:
    from psqlpy._codecs import money

    money.register(registry)


def _network(registry: Registry) -> None:
    from psqlpy._codecs import network

    network.register(registry)


def _numeric(registry: Registry) -> None:
    from psqlpy._codecs import numeric

    numeric.register(registry)


def _search(registry: Registry) -> None:
    from psqlpy._codecs import search

    search.register(registry)


def _system(registry: Registry) -> None:
    from psqlpy._codecs import system

    system.register(registry)


def _text(registry: Registry) -> None:
    from psqlpy._codecs import text

    text.register(registry)


def _uuid(registry: Registry) -> None:
    from psqlpy._codecs import uuid

    uuid.register(registry)


# fmt: off
_TYPES: dict[Register, tuple[int, ...]] = {
    _bits: (oids.BIT, oids.VARBIT),
    _boolean: (oids.BOOL,),
    _bytea: (oids.BYTEA,),
    _datetime: (oids.DATE, oids.TIME, oids.TIMESTAMP, oids.TIMESTAMPTZ, oids.TIMETZ),
    _float: (oids.FLOAT4, oids.FLOAT8),
    _geometry: (oids.POINT, oids.BOX, oids.LSEG, oids.LINE, oids.CIRCLE, oids.POLYGON, oids.PATH),
    _integer: (oids.INT2, oids.INT4, oids.INT8, oids.OID, oids.XID, oids.CID, oids.XID8),
    _interval: (oids.INTERVAL,),
    _json: (oids.JSON, oids.JSONB, oids.JSONPATH),
    _money: (oids.MONEY,),
    _network: (oids.INET, oids.CIDR, oids.MACADDR, oids.MACADDR8),
    _numeric: (oids.NUMERIC,),
    _search: (oids.TSVECTOR, oids.TSQUERY),
    _system: (
        oids.PG_LSN, oids.TID, oids.REGPROC, oids.REGPROCEDURE, oids.REGOPER, oids.REGOPERATOR, oids.REGCLASS,
        oids.REGTYPE, oids.REGCONFIG, oids.REGDICTIONARY, oids.REGNAMESPACE, oids.REGROLE, oids.REGCOLLATION,
        oids.INT2VECTOR, oids.OIDVECTOR,
    ),
    _text: (
        oids.TEXT, oids.VARCHAR, oids.BPCHAR, oids.NAME, oids.XML, oids.UNKNOWN, oids.CSTRING, oids.REFCURSOR,
        oids.CHAR, oids.VOID,
    ),
    _uuid: (oids.UUID,),
}
# fmt: on

#: Of a range's type, its bounds' type.
RANGE_BOUNDS = {
    oids.INT4RANGE: oids.INT4,
    oids.INT8RANGE: oids.INT8,
    oids.NUMRANGE: oids.NUMERIC,
    oids.TSRANGE: oids.TIMESTAMP,
    oids.TSTZRANGE: oids.TIMESTAMPTZ,
    oids.DATERANGE: oids.DATE,
}
_RANGES = {
    oids.INT4MULTIRANGE: oids.INT4RANGE,
    oids.INT8MULTIRANGE: oids.INT8RANGE,
    oids.NUMMULTIRANGE: oids.NUMRANGE,
    oids.TSMULTIRANGE: oids.TSRANGE,
    oids.TSTZMULTIRANGE: oids.TSTZRANGE,
    oids.DATEMULTIRANGE: oids.DATERANGE,
}
#: The same, and of a multirange's, its ranges' type.
RANGE_PARTS = RANGE_BOUNDS | _RANGES

#: What registers the codec of a type, and those of the rest of its family.
FAMILIES: dict[int, Register] = {oid: register for register, types in _TYPES.items() for oid in types}
