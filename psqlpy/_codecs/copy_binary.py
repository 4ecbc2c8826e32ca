"""Values in binary, as COPY takes them: what a codec sends as text for a statement's parameter is converted.

In COPY the server parses no text for us: a str for a date is read here, and numeric gets its digits here.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from struct import Struct
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import array, interval, oids
from psqlpy._codecs.codec import TEXT, Codec
from psqlpy._codecs.plan import Unfit, dump

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

_pack_length = Struct(">i").pack
_pack_int8 = Struct(">Q").pack
_pack_numeric_head = Struct(">HhHH").pack  # groups of four digits, weight, sign, scale
_pack_array_head = Struct(">iiI").pack  # dimensions, 1 if there are NULLs, element type
_pack_dimension = Struct(">ii").pack  # size, lower bound

NULL = _pack_length(-1)

# numeric.c: NUMERIC_POS, _NEG, _NAN, _PINF, _NINF
_SIGNS = (0x0000, 0x4000)
_NAN, _INFINITIES = 0xC000, (0xD000, 0xF000)
_MAX_SCALE = 0x3FFF

Pack = Callable[[Any], bytes]


class NoBinary(Exception):
    """A type whose binary form we don't know."""


def item_packer(codec: Codec, registry: Registry) -> Pack:
    """Make what packs any value but None: its int32 length and its bytes. Raises Unfit; NoBinary if all is in vain."""

    def pack_item(value: Any) -> bytes:
        data = to_binary(codec, value, registry)
        return NULL if data is None else _pack_length(len(data)) + data

    return pack_item


def to_binary(codec: Codec, value: Any, registry: Registry) -> bytes | None:
    """The binary form of a value, None for NULL. Raises Unfit and NoBinary."""
    if codec.element_oid:
        if isinstance(value, str):
            value = _parsed(codec, value)
        if isinstance(value, (list, tuple)):
            return _array(codec, value, registry)
    format, data = dump(codec, value, registry)
    if data is None or format != TEXT or codec.textual:
        return data
    convert = _FROM_TEXT.get(codec.oid)
    try:
        if convert is not None:
            return convert(data.decode())
    except (ValueError, ArithmeticError) as error:
        raise Unfit(value, str(error) or _unreadable(codec), wrong_type=False) from None
    if not isinstance(value, str) or codec.from_text is None:
        raise NoBinary(codec.name)
    parsed = _parsed(codec, value)
    if isinstance(parsed, str):
        raise NoBinary(codec.name)
    return to_binary(codec, parsed, registry)


def _parsed(codec: Codec, text: str) -> Any:
    """What a text in PostgreSQL's output form means."""
    if codec.from_text is None:
        raise NoBinary(codec.name)
    try:
        return codec.from_text(text.strip())
    except (ValueError, ArithmeticError, LookupError):
        raise Unfit(text, _unreadable(codec), wrong_type=False) from None


def _unreadable(codec: Codec) -> str:
    return f"the text isn't {codec.name} as PostgreSQL prints it"


def _array(codec: Codec, value: list[Any] | tuple[Any, ...], registry: Registry) -> bytes:
    element = registry.codec(codec.element_oid)
    if element is None:
        raise NoBinary(codec.name)
    try:
        sizes, leaves = array.shape(value, element)
    except ValueError as error:
        raise Unfit(value, str(error), wrong_type=False) from None
    if not leaves:
        return _pack_array_head(0, 0, element.oid)
    pack_item = item_packer(element, registry)
    items = [NULL if leaf is None else pack_item(leaf) for leaf in leaves]
    head = _pack_array_head(len(sizes), None in leaves, element.oid)
    return head + b"".join(_pack_dimension(size, 1) for size in sizes) + b"".join(items)


def numeric(text: str) -> bytes:
    """numeric_recv's form of a number in text: base 10,000, the scale kept (src/backend/utils/adt/numeric.c)."""
    value = Decimal(text.strip())
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        return _pack_numeric_head(0, 0, _INFINITIES[sign] if exponent == "F" else _NAN, 0)
    scale = max(0, -exponent)
    padding = exponent % 4
    text = "".join(map(str, digits)) + "0" * padding
    weight = (exponent - padding) // 4
    text = text.zfill(-(-len(text) // 4) * 4)
    groups = [int(text[start : start + 4]) for start in range(0, len(text), 4)]
    weight += len(groups) - 1
    while groups and not groups[0]:
        groups.pop(0)
        weight -= 1
    while groups and not groups[-1]:
        groups.pop()
    if not groups:
        sign = weight = 0
    if scale > _MAX_SCALE or not -0x8000 <= weight <= 0x7FFF:
        raise ValueError("numeric has at most 131072 digits before the point and 16383 behind it")
    head = _pack_numeric_head(len(groups), weight, _SIGNS[sign], scale)
    return head + Struct(f">{len(groups)}H").pack(*groups)


def _jsonb(text: str) -> bytes:
    return b"\x01" + text.encode()


def _uuid(text: str) -> bytes:
    # As uuid_in, but for where the hyphens are.
    digits = text.strip().strip("{}").replace("-", "")
    if len(digits) != 32:
        raise ValueError
    return bytes.fromhex(digits)


def _xid8(text: str) -> bytes:
    return _pack_int8(int(text))


def _boolean(text: str) -> bytes:
    word = text.strip().lower()
    if (word and any(name.startswith(word) for name in ("true", "yes"))) or word in ("on", "1"):
        return b"\x01"
    if (word and any(name.startswith(word) for name in ("false", "no"))) or word in ("of", "off", "0"):
        return b"\0"
    raise ValueError


def _interval(text: str) -> bytes:
    # Not by way of timedelta, which has no months. Infinite ones only newer servers know.
    if text.strip().lower().endswith("infinity"):
        raise NoBinary("interval")
    return interval.binary_of(text.strip())


_FROM_TEXT: dict[int, Callable[[str], bytes]] = {
    oids.NUMERIC: numeric,
    oids.JSON: str.encode,
    oids.JSONB: _jsonb,
    oids.UUID: _uuid,
    oids.XID8: _xid8,
    oids.BOOL: _boolean,
    oids.INTERVAL: _interval,
}
