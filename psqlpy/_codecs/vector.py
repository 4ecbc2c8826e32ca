"""pgvector's types: vector and halfvec as lists of float, sparsevec as SparseVector.

Types of an extension have another oid in each database: who has looked one up registers what EXTENSION_CODECS makes.
"""

from __future__ import annotations

import math
import re
import sys
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from struct import Struct, pack, unpack
from struct import error as StructError
from typing import Any

from psqlpy._codecs.codec import BINARY, Codec, Dumped
from psqlpy._pq.result import Kind
from psqlpy._vectors import SparseVector
from psqlpy._wrappers import is_number

_MALFORMED = "the value isn't in the type's binary format"

_head = Struct(">HH")  # dimensions, and 0
_sparse_head = Struct(">iii")  # dimensions, numbers that aren't 0, and 0


# vector and halfvec differ in the size of a number: struct's letters f and e.


def _floats(data: bytes) -> list[float]:
    """float4s in the server's byte order."""
    numbers = array("f", data)
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers.tolist()


def _convert_vector(data: bytes) -> list[float]:
    if len(data) != 4 + 4 * _head.unpack_from(data)[0]:
        raise ValueError(_MALFORMED)
    return _floats(data[4:])


def _convert_halfvec(data: bytes) -> list[float]:
    count = _head.unpack_from(data)[0]
    return list(unpack(f">4x{count}e", data))


def _rounded(letter: str, numbers: Sequence[float]) -> list[float]:
    """As the binary format has them: a column's values mustn't depend on its neighbours' types."""
    format = f"{len(numbers)}{letter}"
    return list(unpack(format, pack(format, *numbers)))


def _from_text(letter: str, text: str) -> list[float]:
    if not (text.startswith("[") and text.endswith("]")):
        raise ValueError("the text isn't a vector")
    return _rounded(letter, [float(number) for number in text[1:-1].split(",")])


def _dump(letter: str, value: Any) -> Dumped:
    if isinstance(value, SparseVector):
        value = value.to_list()
    if not isinstance(value, (list, tuple, array)):
        raise TypeError
    if not value:
        raise ValueError("a vector has at least one dimension")
    if len(value) > 0xFFFF:
        raise ValueError(f"a vector of {len(value)} dimensions is too long: pgvector has 16,000 at most")
    return BINARY, _head.pack(len(value), 0) + _packed(letter, value)


def _packed(letter: str, value: Sequence[Any]) -> bytes:
    try:
        data = pack(f">{len(value)}{letter}", *value)
    except (StructError, OverflowError):
        if not all(map(is_number, value)):
            raise TypeError("a vector takes real numbers only") from None
        raise ValueError(
            f"a number is out of the range of {'float2' if letter == 'e' else 'float4'}"
        ) from None
    if not all(map(math.isfinite, value)):
        raise ValueError("a vector takes finite numbers only")
    return data


def _as_text(convert: Callable[[bytes], list[float]], data: bytes) -> str:
    return f"[{','.join(map(repr, convert(data)))}]"


def _dense(name: str, letter: str, convert: Callable[[bytes], list[float]], oid: int) -> Codec:
    return Codec(
        oid,
        name,
        kind=Kind.BYTES,
        convert=convert,
        from_text=partial(_from_text, letter),
        dump=partial(_dump, letter),
        is_item=_is_item,
        to_text=partial(_as_text, convert),
    )


def _is_item(value: Any) -> bool:
    return bool(value) and is_number(value[0])


# sparsevec: dimensions, indexes and numbers; in text the indexes are counted from 1


def _convert_sparsevec(data: bytes) -> SparseVector:
    dimensions, count, _ = _sparse_head.unpack_from(data)
    if count < 0 or len(data) != 12 + 8 * count:
        raise ValueError(_MALFORMED)
    indexes = unpack(f">12x{count}i", data[: 12 + 4 * count])
    return SparseVector(dict(zip(indexes, _floats(data[12 + 4 * count :]), strict=True)), dimensions)


def _sparsevec_from_text(text: str) -> SparseVector:
    found = re.fullmatch(r"\{(.*)\}/(\d+)", text, re.ASCII)
    if found is None:
        raise ValueError("the text isn't a sparsevec")
    entries = [entry.split(":") for entry in found[1].split(",") if found[1]]
    numbers = _rounded("f", [float(number) for _, number in entries])
    indexes = [int(index) - 1 for index, _ in entries]
    return SparseVector(dict(zip(indexes, numbers, strict=True)), int(found[2]))


def _dump_sparsevec(value: Any) -> Dumped:
    if isinstance(value, (list, tuple, array)):
        _packed("f", value)  # for what it raises
        value = SparseVector(dict(enumerate(value)), len(value))
    if not isinstance(value, SparseVector):
        raise TypeError
    # What rounds to 0 isn't there: pgvector refuses zeros.
    numbers = dict(zip(value.elements, _floats(_packed("f", list(value.elements.values()))), strict=True))
    stored = {index: number for index, number in numbers.items() if number}
    head = _sparse_head.pack(value.dimensions, len(stored), 0)
    return BINARY, head + pack(f">{len(stored)}i", *stored) + _packed("f", list(stored.values()))


def _sparsevec_as_text(data: bytes) -> str:
    value = _convert_sparsevec(data)
    entries = (f"{index + 1}:{number!r}" for index, number in value.elements.items())
    return f"{{{','.join(entries)}}}/{value.dimensions}"


def _sparse(oid: int) -> Codec:
    return Codec(
        oid,
        "sparsevec",
        kind=Kind.BYTES,
        convert=_convert_sparsevec,
        from_text=_sparsevec_from_text,
        dump=_dump_sparsevec,
        is_item=_is_item,
        to_text=_sparsevec_as_text,
    )


# By the type's name: makes the codec for the oid that the type has in a database.
EXTENSION_CODECS: dict[str, Callable[[int], Codec]] = {
    "vector": partial(_dense, "vector", "f", _convert_vector),
    "halfvec": partial(_dense, "halfvec", "e", _convert_halfvec),
    "sparsevec": _sparse,
}
