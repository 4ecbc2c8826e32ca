"""uuid, as str; as uuid.UUID if the registry is asked to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.codec import BINARY, Codec, Dumped
from psqlpy._pq.records import Column
from psqlpy._pq.result import Kind

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry


def _dump(value: Any) -> Dumped:
    # By its module, so that a program without UUIDs doesn't import it.
    if any(cls.__name__ == "UUID" and cls.__module__ == "uuid" for cls in type(value).__mro__):
        return BINARY, value.bytes
    raise TypeError


def register(registry: Registry, as_object: bool = False) -> None:
    convert = None
    if as_object:
        from uuid import UUID

        convert = UUID
    registry.add(
        Codec(
            oids.UUID,
            "uuid",
            kind=Kind.UUID,
            convert=convert,
            from_text=convert,
            dump=_dump,
            column=Column.UUID,
        )
    )
