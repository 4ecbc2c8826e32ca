"""Codecs made of a user's functions: psqlpy.types.Types.codec says what those do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psqlpy._codecs.codec import BINARY, TEXT, Codec, Dumped, text_bytes
from psqlpy._pq.result import Kind


def make_codec(
    oid: int,
    name: str,
    delimiter: str,
    from_text: Callable[[str], Any],
    to_text: Callable[[Any], str] | None,
    from_binary: Callable[[bytes], Any] | None,
    to_binary: Callable[[Any], bytes] | None,
    accepts: type | tuple[type, ...],
) -> Codec:
    classes = accepts if isinstance(accepts, tuple) else (accepts,)
    takes_str = str in classes
    # Lists are dimensions of arrays unless the type asks for them by name.
    sequences = tuple(cls for cls in classes if issubclass(cls, (list, tuple)))

    def dump(value: Any) -> Dumped:
        if not isinstance(value, classes):
            raise TypeError
        if to_binary is not None:
            data = to_binary(value)
            if not isinstance(data, bytes):
                raise TypeError(f"to_binary returned {type(data).__name__}, not bytes")
            return BINARY, data
        if to_text is None:
            raise TypeError("only a str can be written: its codec has neither to_text nor to_binary")
        text = to_text(value)
        if not isinstance(text, str):
            raise TypeError(f"to_text returned {type(text).__name__}, not str")
        return TEXT, text_bytes(text)

    return Codec(
        oid,
        name,
        kind=None if from_binary is None else Kind.BYTES,
        convert=from_binary,
        from_text=from_text,
        dump=dump,
        # Of a str nobody else knows what it means here.
        fast=_refuse if takes_str else None,
        dumps_str=takes_str,
        delimiter=delimiter,
        is_item=(lambda value: isinstance(value, sequences)) if sequences else None,
    )


def _refuse(value: Any) -> bytes:
    """The fast encoder for usual values takes a str as it is, which isn't right here."""
    raise TypeError
