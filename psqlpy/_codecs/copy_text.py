"""Values in COPY's text format, for tables with a column whose type has no binary form that we know."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from psqlpy._codecs.as_text import text_of
from psqlpy._codecs.codec import Codec
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
    format, data = dump(codec, value, registry)
    if data is None:
        return None
    try:
        return text_of(codec, (format, data))
    except ValueError:
        reason = "a value of this type can't be copied beside a column whose type has no binary form"
        raise Unfit(value, reason, wrong_type=True) from None
