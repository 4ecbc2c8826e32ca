"""pg_lsn, tid, the reg… types, int2vector and oidvector: what system catalogs are made of.

Not here: oid, xid, cid and xid8, which are integers, and name and "char", which are text.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.codec import TEXT, Codec, Dumped
from psqlpy._pq.result import Kind

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

REG_TYPES = (
    oids.REGPROC,
    oids.REGPROCEDURE,
    oids.REGOPER,
    oids.REGOPERATOR,
    oids.REGCLASS,
    oids.REGTYPE,
    oids.REGCONFIG,
    oids.REGDICTIONARY,
    oids.REGNAMESPACE,
    oids.REGROLE,
    oids.REGCOLLATION,
)
_MALFORMED = "the value isn't in the type's binary format"

_tid = Struct(">IH")
_VECTOR_HEAD = 20  # of an array of one dimension


def _whole(value: Any, limit: int) -> int:
    if not isinstance(value, int):
        raise TypeError
    if not 0 <= value < limit:
        raise ValueError(f"out of range, 0 to {limit - 1}")
    return int.__int__(value)


# pg_lsn: two hexadecimal numbers, as PostgreSQL prints it and everybody writes it


def _lsn(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def _dump_lsn(value: Any) -> Dumped:
    """An int is the position in bytes."""
    return TEXT, _lsn(_whole(value, 2**64)).encode()


# tid: as text, since all it is good for is to be given back, and a tuple in a list would be an array in an array


def _tid_text(data: bytes) -> str:
    if len(data) != _tid.size:
        raise ValueError(_MALFORMED)
    return "({},{})".format(*_tid.unpack(data))


def _dump_tid(value: Any) -> Dumped:
    if not isinstance(value, (tuple, list)):
        raise TypeError
    if len(value) != 2:
        raise ValueError("a tid has two numbers, of its block and in it")
    return TEXT, f"({_whole(value[0], 2**32)},{_whole(value[1], 2**16)})".encode()


# reg…: the name, which only the server knows. So results with them come in text as a whole


def _dump_reg(value: Any) -> Dumped:
    return TEXT, str(_whole(value, 2**32)).encode()


# int2vector and oidvector: lists. Not through C's arrays: those of the server never have a dimension of 0


def _vector_reader(element_oid: int, form: Struct) -> Callable[[bytes], list[int]]:
    def convert(data: bytes) -> list[int]:
        head = Struct(">iiIii")
        if len(data) < _VECTOR_HEAD or (len(data) - _VECTOR_HEAD) % form.size:
            raise ValueError(_MALFORMED)
        dimensions, _, oid, count, _ = head.unpack_from(data)
        items = list(form.iter_unpack(data[_VECTOR_HEAD:]))
        if dimensions != 1 or oid != element_oid or count != len(items):
            raise ValueError(_MALFORMED)
        return [item for _, item in items]

    return convert


def _vector_from_text(text: str) -> list[int]:
    return [int(item) for item in text.split()]


def _is_vector(value: Any) -> bool:
    """An empty one too: the innermost lists of an array are vectors."""
    return not value or isinstance(value[0], int)


def _vector_dumper(low: int, high: int) -> Callable[[Any], Dumped]:
    def dump(value: Any) -> Dumped:
        if not isinstance(value, (list, tuple)):
            raise TypeError
        for item in value:
            if not isinstance(item, int):
                raise TypeError(f"{type(item).__name__} in it: it takes int only")
            if not low <= item <= high:
                raise ValueError(f"out of range, {low} to {high}")
        return TEXT, " ".join(str(int(item)) for item in value).encode()

    return dump


def register(registry: Registry) -> None:
    registry.add(Codec(oids.PG_LSN, "pg_lsn", kind=Kind.UINT8, convert=_lsn, dump=_dump_lsn))
    registry.add(Codec(oids.TID, "tid", kind=Kind.BYTES, convert=_tid_text, dump=_dump_tid))
    for oid in REG_TYPES:
        registry.add(Codec(oid, oids.TYPES[oid][0], dump=_dump_reg))
    for oid, element, letter, low, high in (
        (oids.INT2VECTOR, oids.INT2, "h", -(2**15), 2**15 - 1),
        (oids.OIDVECTOR, oids.OID, "I", 0, 2**32 - 1),
    ):
        registry.add(
            Codec(
                oid,
                oids.TYPES[oid][0],
                kind=Kind.BYTES,
                convert=_vector_reader(element, Struct(">i" + letter)),
                from_text=_vector_from_text,
                dump=_vector_dumper(low, high),
                is_item=_is_vector,
            )
        )
