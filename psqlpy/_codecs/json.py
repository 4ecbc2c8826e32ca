"""json and jsonb, through the json module or what the registry is given instead, and jsonpath as str."""

from __future__ import annotations

from collections.abc import Callable
from json import JSONDecoder, JSONEncoder
from json import loads as json_loads
from math import isinf
from re import compile
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.codec import TEXT, Codec, Dumped, text_bytes
from psqlpy._pq.records import Column
from psqlpy._pq.result import Kind

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

Loads = Callable[[str], Any]
Dumps = Callable[[Any], str | bytes]  # serializers of other libraries return bytes

# NaN isn't JSON, and PostgreSQL would refuse it.
_encode_any = JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_PLAIN = {str, int, float, bool, type(None)}


def _finite(text: str) -> float:
    """A number with a point or an exponent, which json itself would make infinite rather than refuse."""
    number = float(text)
    if isinf(number):
        raise ValueError("a number in it is out of the range of float: cast the column to text to read it")
    return number


_decode_carefully = JSONDecoder(parse_float=_finite).decode
# Shorter texts have no number out of float's range but with an exponent of three digits.
_SHORT = 309
_large_exponent = compile(r"\d[eE]\+?\d{3}").search


def _decode(text: str) -> Any:
    # A function of ours for every number with a point takes twice the time.
    if len(text) < _SHORT and _large_exponent(text) is None:
        return json_loads(text)
    return _decode_carefully(text)


def _encode(document: Any) -> str:
    text = _encode_any(document)  # first: what contains itself isn't seen below
    waiting = [document]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            # json would make str of some others, and of 1 and "1" the same one.
            for cls in set(map(type, item)) - {str}:
                if not issubclass(cls, str):
                    raise TypeError(f"the keys of its objects are str, not {cls.__name__}")
            item = item.values()
        elif not isinstance(item, (list, tuple)):
            continue
        if set(map(type, item)) - _PLAIN:
            waiting += item
    return text


def _dumper(dumps: Dumps | None) -> Callable[[Any], Dumped]:
    def dump(value: Any) -> Dumped:
        """Without `dumps` only what JSON has: an Enum or an array of NumPy is first reduced to that."""
        if dumps is None and not isinstance(value, (dict, list, tuple, int, float, bool)):
            raise TypeError
        try:
            document = (dumps or _encode)(value)
        except TypeError as error:
            raise TypeError(f"it isn't JSON: {error}") from None
        return TEXT, document if isinstance(document, bytes) else text_bytes(document)

    return dump


def _dump_path(value: Any) -> Dumped:
    raise TypeError("a str in PostgreSQL's notation is needed")  # which goes as it is


def register(registry: Registry, loads: Loads | None = None, dumps: Dumps | None = None) -> None:
    convert, dump = loads or _decode, _dumper(dumps)
    for oid, name, kind, column in (
        (oids.JSON, "json", Kind.TEXT, Column.TEXT),
        (oids.JSONB, "jsonb", Kind.JSONB, Column.JSONB),
    ):
        registry.add(
            Codec(oid, name, kind=kind, convert=convert, from_text=convert, dump=dump, column=column)
        )
    # A version and the text, as in jsonb.
    registry.add(Codec(oids.JSONPATH, "jsonpath", kind=Kind.JSONB, dump=_dump_path))
