"""Values in binary, as COPY takes them: what a codec sends as text for a statement's parameter is converted.

In COPY the server parses no text for us: a str for a date is read here, and numeric gets its digits here. A registry
that writes binary (Registry.writing_binary) has codecs that do so, and what it makes of them (arrays, composite types,
domains, ranges) does it too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from struct import Struct
from struct import error as StructError
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import hstore, interval, money, oids, search
from psqlpy._codecs.codec import BINARY, TEXT, Codec, Dumped, text_bytes
from psqlpy._codecs.datetime import date_number, time_number, timestamp_number, timestamptz_number
from psqlpy._codecs.plan import dump

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

_pack_length = Struct(">i").pack
_pack_int8 = Struct(">Q").pack
_pack_numeric_head = Struct(">HhHH").pack  # groups of four digits, weight, sign, scale
_pack_vector_head = Struct(">iiIii").pack  # dimensions, 1 if there are NULLs, element type, size, lower bound
_pack_tid = Struct(">IH").pack

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
        format, data = dump(codec, value, registry)
        if format == TEXT and data is not None and not codec.textual:
            # A user's own text of it.
            _, data = dump(codec, data.decode(), registry)
        return NULL if data is None else _pack_length(len(data)) + data

    return pack_item


def in_binary(codec: Codec, registry: Registry, is_container: bool) -> Codec:
    """The same type, written in binary whatever its values are given as. Its `dump` also raises NoBinary."""
    if codec.kind is None or codec.textual or codec.writes_binary:
        return codec
    from_text = _from_text(codec, registry)

    def dump_binary(value: Any) -> Dumped:
        if isinstance(value, str) and not codec.dumps_str:
            text = value
        else:
            format, data = codec.dump(value)
            if data is None or format == BINARY:
                return BINARY, data
            text = data.decode()
        if from_text is not None:
            return BINARY, _read(from_text, text, codec.name, tells=True)
        if codec.from_text is None:
            raise NoBinary(codec.name)
        parsed = _read(codec.from_text, text.strip(), codec.name)
        format, data = (TEXT, None) if isinstance(parsed, str) else dump(codec, parsed, registry)
        if format == TEXT:
            raise NoBinary(codec.name)
        return format, data

    found = codec.renamed(codec.oid, codec.name)
    found.dump, found.dumps_str, found.writes_binary = dump_binary, True, True
    if not is_container:
        # A str within a container's text stays one: what it means is dump_binary's to say.
        found.from_text = None
    return found


def is_only_text(codec: Codec) -> bool:
    """Whether nothing makes a binary form of the texts that are all that is ever given for a type."""
    has_binary = codec.writes_binary or codec.textual or codec.from_text is not None or codec.kind is None
    return not has_binary and _from_text(codec, None) is None


def _from_text(codec: Codec, registry: Registry | None) -> Callable[[str], bytes] | None:
    if codec.oid == oids.INTERVAL and registry is not None and registry.writes_infinite_intervals:
        return _interval_or_infinity
    # An extension's type has no oid of its own.
    return _versioned if codec.convert is hstore.versioned else _FROM_TEXT.get(codec.oid)


def _read(read: Callable[[str], Any], text: str, name: str, *, tells: bool = False) -> Any:
    """`tells`: what it raises says what is wrong."""
    try:
        return read(text)
    except (ValueError, ArithmeticError, LookupError) as error:
        reason = str(error) if tells and isinstance(error, ValueError) else ""
        raise ValueError(reason or f"the text isn't {name} as PostgreSQL prints it") from None


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


def _wordless(convert: Callable[[str], bytes]) -> Callable[[str], bytes]:
    """The same without the words of what it is made of, which are about other things."""

    def convert_wordless(text: str) -> bytes:
        try:
            return convert(text.strip())
        except (ValueError, StructError):
            raise ValueError from None

    return convert_wordless


def _moment(number: Callable[[str], int], letter: str) -> Callable[[str], bytes]:
    """Those too that Python hasn't, whatever becomes of them when they are read."""
    pack = Struct(">" + letter).pack
    return _wordless(lambda text: pack(number(text)))


def _interval(text: str) -> bytes:
    # Not by way of timedelta, which has no months.
    if _is_infinite(text):
        raise ValueError("infinite intervals need PostgreSQL 17 or newer")
    return interval.binary_of(text.strip())


def _interval_or_infinity(text: str) -> bytes:
    if _is_infinite(text):
        text = text.strip().lower().removeprefix("+")
    return interval.binary_of(text.strip())


def _is_infinite(text: str) -> bool:
    # To older servers the same bytes are 178 million years.
    return text.strip().lower() in ("infinity", "+infinity", "-infinity")


@cache
def _printed_money() -> re.Pattern[str]:
    return re.compile(r"[^\d.,]*\d{1,3}(?:[.,' \xa0\u202f]?\d{3})*[.,]\d\d[^\d.,]*", re.ASCII)


def _money(text: str) -> bytes:
    # '5' is 500 cents, or 5 yen: only the server knows. With two digits behind the point every digit counts.
    if not _printed_money().fullmatch(text):
        raise ValueError("the text isn't money with two digits behind the point: give what it is read as")
    return money.binary_of(text)


def _versioned(text: str) -> bytes:
    return b"\x01" + text_bytes(text)


def _bits(text: str) -> bytes:
    # As bit_in: x in front of hexadecimal digits, b in front of the others or nothing.
    text = text.strip()
    is_hexadecimal = text[:1] in ("x", "X")
    digits = text[1:] if is_hexadecimal or text[:1] in ("b", "B") else text
    if not set(digits) <= set("0123456789abcdefABCDEF" if is_hexadecimal else "01"):
        raise ValueError("a bit string consists of 0 and 1")
    length = len(digits) * (4 if is_hexadecimal else 1)
    size = (length + 7) // 8
    number = int(digits, 16 if is_hexadecimal else 2) if digits else 0
    return _pack_length(length) + (number << (8 * size - length)).to_bytes(size, "big")


def _mac(text: str) -> bytes:
    # As macaddr_in and macaddr8_in: six or eight numbers, or all digits with separators anywhere.
    parts = text.replace("-", ":").split(":")
    if len(parts) in (6, 8):
        text = "".join(part.zfill(2) for part in parts)
    data = bytes.fromhex(text.replace(":", "").replace("-", "").replace(".", ""))
    if len(data) not in (6, 8):
        raise ValueError
    return data


def _mac6(text: str) -> bytes:
    data = _mac(text)
    if len(data) != 6:
        raise ValueError
    return data


def _mac8(text: str) -> bytes:
    data = _mac(text)
    return data if len(data) == 8 else data[:3] + b"\xff\xfe" + data[3:]


def _lsn(text: str) -> bytes:
    high, low = (int(part, 16) for part in text.split("/"))
    if not (0 <= high < 1 << 32 and 0 <= low < 1 << 32):
        raise ValueError
    return _pack_int8(high << 32 | low)


def _tid(text: str) -> bytes:
    block, offset = map(int, text.removeprefix("(").removesuffix(")").split(","))
    if not (0 <= block < 1 << 32 and 0 <= offset < 1 << 16):
        raise ValueError
    return _pack_tid(block, offset)


def _vector(element: int, letter: str) -> Callable[[str], bytes]:
    item = Struct(">i" + letter)

    def vector(text: str) -> bytes:
        items = list(map(int, text.split()))
        head = _pack_vector_head(1, 0, element, len(items), 0)
        return head + b"".join(item.pack(item.size - 4, number) for number in items)

    return vector


_FROM_TEXT: dict[int, Callable[[str], bytes]] = {
    oids.NUMERIC: numeric,
    oids.JSON: text_bytes,
    oids.JSONB: _versioned,
    oids.JSONPATH: _versioned,
    oids.UUID: _uuid,
    oids.XID8: _wordless(_xid8),
    oids.BOOL: _boolean,
    oids.DATE: _moment(date_number, "i"),
    oids.TIME: _moment(time_number, "q"),
    oids.TIMESTAMP: _moment(timestamp_number, "q"),
    oids.TIMESTAMPTZ: _moment(timestamptz_number, "q"),
    oids.INTERVAL: _interval,
    oids.MONEY: _money,
    oids.BIT: _bits,
    oids.VARBIT: _bits,
    oids.MACADDR: _wordless(_mac6),
    oids.MACADDR8: _wordless(_mac8),
    oids.PG_LSN: _wordless(_lsn),
    oids.TID: _wordless(_tid),
    oids.TSVECTOR: search.vector_binary,
    oids.INT2VECTOR: _wordless(_vector(oids.INT2, "h")),
    oids.OIDVECTOR: _wordless(_vector(oids.OID, "I")),
}
