"""Types of contrib's extensions: hstore as dict, ltree, lquery and ltxtquery as str, citext as str."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from struct import Struct
from typing import Any

from psqlpy._codecs import enum
from psqlpy._codecs.codec import BINARY, Codec, Dumped, text_bytes
from psqlpy._codecs.literal import literal
from psqlpy._codecs.text import dump_text
from psqlpy._pq.result import Kind

Pairs = dict[str, "str | None"]

_pack_int = Struct(">i").pack
_unpack_int = Struct(">i").unpack_from
_NULL = _pack_int(-1)
_PAIR = r'(?s)"((?:[^"\\]|\\.)*)"=>(?:"((?:[^"\\]|\\.)*)"|(NULL))(?:, |$)'
_ESCAPED = r"(?s)\\(.)"


def from_binary(data: bytes) -> Pairs:
    """contrib/hstore/hstore_io.c, hstore_send: how many pairs; of each key and value their lengths and texts."""
    items: list[str | None] = []
    at = 4
    for _ in range(2 * _unpack_int(data)[0] if len(data) >= 4 else 0):
        length = _unpack_int(data, at)[0] if len(data) >= at + 4 else -2
        at += 4
        if length < -1 or at + length > len(data):
            raise ValueError("the value isn't in the type's binary format")
        items.append(None if length < 0 else data[at : at + length].decode())
        at += max(length, 0)
    keys = items[::2]
    if at != len(data) or None in keys:
        raise ValueError("the value isn't in the type's binary format")
    return dict(zip(keys, items[1::2], strict=True))  # type: ignore[arg-type]  # no key is None


def from_text(text: str) -> Pairs:
    pairs: Pairs = {}
    at = 0
    next_pair, unescape = re.compile(_PAIR).match, re.compile(_ESCAPED).sub
    while at < len(text):
        match = next_pair(text, at)
        if match is None:
            raise ValueError("the text isn't an hstore")
        key, value, null = match.groups()
        pairs[unescape(r"\1", key)] = None if null else unescape(r"\1", value)
        at = match.end()
    return pairs


def _dump(value: Any) -> Dumped:
    if not isinstance(value, Mapping):
        raise TypeError
    parts = [_pack_int(len(value))]
    for key, item in value.items():
        if not isinstance(key, str):
            raise TypeError(f"the keys of an hstore are str, not {type(key).__name__}")
        for part in (key, item):
            data = None if part is None else text_bytes(_text(part))
            parts += (_NULL,) if data is None else (_pack_int(len(data)), data)
    return BINARY, b"".join(parts)


def _text(value: object) -> str:
    try:
        return literal(value)
    except TypeError:
        raise TypeError(f"the values of an hstore are str or None, not {type(value).__name__}") from None


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _to_text(data: bytes) -> str:
    pairs = from_binary(data).items()
    return ", ".join(f"{_quoted(key)}=>{'NULL' if value is None else _quoted(value)}" for key, value in pairs)


def hstore(oid: int) -> Codec:
    return Codec(
        oid,
        "hstore",
        kind=Kind.BYTES,
        convert=from_binary,
        from_text=from_text,
        dump=_dump,
        to_text=_to_text,
    )


# contrib/ltree/ltree_io.c: a version, which is 1, and the text.


def versioned(data: bytes) -> str:
    if data[:1] != b"\1":
        raise ValueError("the value is in another version of the type's binary format")
    return data[1:].decode()


def _label_path(name: str) -> Callable[[int], Codec]:
    return lambda oid: Codec(oid, name, kind=Kind.BYTES, convert=versioned, dump=dump_text)


#: Codec for an oid by the type's name.
EXTENSION_CODECS: dict[str, Callable[[int], Codec]] = {
    "citext": enum.citext,
    "hstore": hstore,
    "lquery": _label_path("lquery"),
    "ltree": _label_path("ltree"),
    "ltxtquery": _label_path("ltxtquery"),
}
