"""Values in COPY's text format, for tables with a column whose type has no binary form that we know."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import array, oids
from psqlpy._codecs.codec import TEXT, Codec
from psqlpy._codecs.literal import literal
from psqlpy._codecs.plan import Unfit, dump

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

NULL = b"\\N"

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def item_packer(codec: Codec, registry: Registry) -> Callable[[Any], bytes]:
    """Make what writes any value but None as a cell. Raises Unfit."""

    def pack_item(value: Any) -> bytes:
        text = to_text(codec, value, registry)
        return NULL if text is None else text.translate(_ESCAPES).encode()

    return pack_item


def to_text(codec: Codec, value: Any, registry: Registry) -> str | None:
    """The text that the server reads as the value, None for NULL. Raises Unfit."""
    element = registry.codec(codec.element_oid) if codec.element_oid else None
    if element is not None and isinstance(value, (list, tuple)):
        return _array(element, value, registry)
    format, data = dump(codec, value, registry)
    if data is None:
        return None
    if format == TEXT or codec.textual:
        return data.decode()
    plain = value
    while (reduced := registry.unwrap(plain, codec.oid)) is not plain:
        plain = reduced
    return _binary_as_text(codec, plain)


def _binary_as_text(codec: Codec, value: Any) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)) and codec.oid == oids.BYTEA:
        return "\\x" + bytes(value).hex()
    if isinstance(value, datetime):
        aware = value.tzinfo is not None and value.utcoffset() is not None
        if codec.oid == oids.DATE:
            value = value.date()
        elif codec.oid == oids.TIMESTAMP and aware:
            value = value.astimezone(timezone.utc).replace(tzinfo=None)
        elif codec.oid == oids.TIMESTAMPTZ and not aware:
            value = value.replace(tzinfo=timezone.utc)
    elif isinstance(value, date) and codec.oid == oids.TIMESTAMPTZ:
        return f"{value.isoformat()} 00:00:00+00"
    try:
        if codec.oid == oids.MONEY:
            # The server would take an int for dollars, or whatever its locale says.
            raise TypeError
        return literal(value)
    except TypeError:
        reason = "a value of this type can't be copied beside a column whose type has no binary form"
        raise Unfit(value, reason, wrong_type=True) from None


def _array(element: Codec, value: list[Any] | tuple[Any, ...], registry: Registry) -> str:
    try:
        sizes = list(array._sizes(value, element))
        leaves = list(array._leaves(value, sizes, element))
    except ValueError as error:
        raise Unfit(value, str(error), wrong_type=False) from None
    if not leaves:
        return "{}"
    texts = [None if leaf is None else to_text(element, leaf, registry) for leaf in leaves]
    return array._array_literal(texts, sizes, element.delimiter)
