"""Composite types, those of tables too: as dict by attribute name, or as objects of a registered class.

Source of both formats: src/backend/utils/adt/rowtypes.c. Not here: anonymous records, which are in record.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any

from psqlpy._codecs.as_text import text_of
from psqlpy._codecs.codec import BINARY, TEXT, Codec, Dumped
from psqlpy._codecs.copy_binary import NoBinary
from psqlpy._codecs.plan import Unfit, dump
from psqlpy._codecs.rows import REASONS
from psqlpy._pq.fields import FieldsDecoder
from psqlpy._pq.result import Cell, Kind

if TYPE_CHECKING:
    from psqlpy._codecs.catalog import TypeInfo
    from psqlpy._codecs.registry import Registry

Make = Callable[[dict[str, Any]], Any]
Convert = Callable[[Any], Any]

_pack_count = Struct(">i").pack
_pack_head = Struct(">Ii").pack  # type, length
_unpack_head = Struct(">Ii").unpack_from

# A quoted attribute, a plain one (nothing is NULL), and what follows it.
_ATTRIBUTE = re.compile(r'(?:"((?:[^"\\]|\\.|"")*)"|([^"\\,()]*))([,)])', re.DOTALL)
_ESCAPED = re.compile(r'\\(.)|""', re.DOTALL)


class Composite:
    """One type; the codec's functions are its methods.

    cls, make, fields: what values are read as, see psqlpy.types.
    """

    __slots__ = ("_codecs", "_converts", "_decoder", "_registry", "cls", "fields", "info", "make", "names")

    def __init__(
        self,
        info: TypeInfo,
        codecs: Sequence[Codec],
        registry: Registry,
        cls: type | None = None,
        make: Make | None = None,
        fields: Callable[[Any], Any] | None = None,
    ) -> None:
        self.info = info
        self.names = [name for name, _ in info.attributes]
        self.cls = cls
        # What is only written is read as far as its attributes.
        self.make = None if registry.writes_binary else make
        self.fields = fields
        self._codecs = codecs
        self._registry = registry
        self._decoder, self._converts = fields_decoder(
            [oid for _, oid in info.attributes],
            [codec if codec.kind is not None else None for codec in codecs],
        )

    def from_binary(self, data: bytes) -> Any:
        reason, index, values = self._decoder.decode(data)
        if reason == Cell.MISMATCH:
            self._registry.forget(self.info.oid)
            raise ValueError(
                "the type has other attributes than when it was looked up: execute the statement again"
            )
        if reason != Cell.DECODED:
            where = f'attribute "{self.names[index]}": ' if index >= 0 else ""
            raise ValueError(where + REASONS[reason])
        return self._made(self._converted(values, self._converts))

    def from_text(self, text: str) -> Any:
        values = parse(text)
        if not self.names and values == [None]:
            values = []
        if len(values) != len(self.names):
            self._registry.forget(self.info.oid)
            raise ValueError(
                "the type has other attributes than when it was looked up: execute the statement again"
            )
        converts = [(index, codec.from_text) for index, codec in enumerate(self._codecs) if codec.from_text]
        return self._made(self._converted(values, converts))

    def _converted(self, values: Sequence[Any], converts: Sequence[tuple[int, Convert]]) -> list[Any]:
        changed = list(values)
        for index, convert in converts:
            value = changed[index]
            if value is not None:
                try:
                    changed[index] = convert(value)
                except ValueError as error:
                    raise ValueError(f'attribute "{self.names[index]}": {error}') from error
        return changed

    def _made(self, values: list[Any]) -> Any:
        attributes = dict(zip(self.names, values, strict=True))
        return attributes if self.make is None else self.make(attributes)

    def dump(self, value: Any) -> Dumped:
        dumped: list[Dumped] = []
        items = self._items(value)
        for name, codec, item in zip(self.names, self._codecs, items, strict=True):
            try:
                dumped.append(dump(codec, item, self._registry))
            except Unfit as error:
                reason = error.reason or f"a value of this type can't become {codec.name}"
                raise Unfit(error.value, f'attribute "{name}": {reason}', error.wrong_type) from None
        if all(map(_goes_in_binary, self._codecs, dumped)):
            return BINARY, self._in_binary(dumped)
        try:
            return TEXT, self._in_text(dumped).encode()
        except ValueError:
            # money's text is the server's to make: beside it the others have to do without theirs.
            try:
                binary = self._registry.writing_binary().codec(self.info.oid)
                if binary is not None and binary.writes_binary:
                    return binary.dump(value)
            except (NoBinary, Unfit):
                pass
            raise

    def _items(self, value: Any) -> Sequence[Any]:
        """The attributes' values in their order."""
        if self.cls is not None and isinstance(value, self.cls):
            value = self._fields_of(value)
        if isinstance(value, Mapping):
            unknown = [name for name in value if name not in self.names]
            missing = [name for name in self.names if name not in value]
            if unknown or missing:
                raise ValueError(f"{self._whose(missing, 'is missing')}{self._whose(unknown, 'is unknown')}")
            return [value[name] for name in self.names]
        if not isinstance(value, (list, tuple)):
            raise TypeError
        if len(value) != len(self.names):
            raise ValueError(f"{self.info.name} has {len(self.names)} attributes, {len(value)} values given")
        return value

    def _fields_of(self, value: Any) -> Any:
        if self.fields is not None:
            return self.fields(value)
        try:
            return {name: getattr(value, name) for name in self.names}
        except AttributeError as error:
            raise ValueError(str(error)) from None

    def _whose(self, names: list[str], what: str) -> str:
        if not names:
            return ""
        return f"{self.info.name}: attribute {names[0]!r} {what}; it has {', '.join(self.names) or 'none'}. "

    def _in_binary(self, dumped: list[Dumped]) -> bytes:
        parts = [_pack_count(len(dumped))]
        for (_, oid), (_, data) in zip(self.info.attributes, dumped, strict=True):
            parts += (_pack_head(oid, -1),) if data is None else (_pack_head(oid, len(data)), data)
        return b"".join(parts)

    def _in_text(self, dumped: Sequence[Dumped]) -> str:
        texts = [
            "" if item[1] is None else _quoted(text_of(codec, item))
            for codec, item in zip(self._codecs, dumped, strict=True)
        ]
        return f"({','.join(texts)})"

    def to_text(self, data: bytes) -> str:
        """What was dumped in binary, in text after all: see as_text.py."""
        dumped: list[Dumped] = []
        at = 4
        while at < len(data):
            _, length = _unpack_head(data, at)
            at += 8
            dumped.append((BINARY, None if length < 0 else data[at : at + length]))
            at += max(length, 0)
        return self._in_text(dumped)


def make_codec(
    info: TypeInfo, registry: Registry, composite: type[Composite] = Composite, **options: Any
) -> Codec:
    """Make the codec of a composite type. `options` are Composite's."""
    codecs = [registry.codec_or_unknown(oid) for _, oid in info.attributes]
    values = composite(info, codecs, registry, **options)
    # Without a binary format of all its attributes it has none itself.
    has_binary = all(codec.kind is not None for codec in codecs)
    return Codec(
        info.oid,
        info.name,
        kind=Kind.BYTES if has_binary else None,
        convert=values.from_binary,
        from_text=values.from_text,
        dump=values.dump,
        dated=any(codec.dated for codec in codecs),
        is_item=_is_tuple,
        to_text=values.to_text,
        self_described=has_binary,
    )


def maker_for(cls: type, make: Make | None, fields: Callable[[Any], Any] | None) -> Callable[..., Codec]:
    """Make what makes the codec of a composite type that is to be read as objects of `cls`."""
    made = make or (lambda attributes: cls(**attributes))
    return lambda info, registry: make_codec(info, registry, cls=cls, make=made, fields=fields)


def fields_decoder(
    types: Sequence[int], codecs: Sequence[Codec | None]
) -> tuple[FieldsDecoder, list[tuple[int, Convert]]]:
    """What decodes fields of these types in binary, and what makes values of that; without a codec they are bytes."""
    columns = [
        (Kind.BYTES, 0, 0)
        if codec is None
        else (codec.kind or Kind.VOID, codec.element_kind, codec.element_oid, codec.bound_kind)
        for codec in codecs
    ]
    converts = [
        (index, codec.convert) for index, codec in enumerate(codecs) if codec is not None and codec.convert
    ]
    return FieldsDecoder(types, columns), converts


def parse(text: str) -> list[str | None]:
    """Parse what record_out prints."""
    values: list[str | None] = []
    at, end = 1, ","
    while end == "," and text.startswith("("):
        match = _ATTRIBUTE.match(text, at)
        if match is None:
            break
        quoted, plain, end = match.groups()
        values.append(
            plain or None if quoted is None else _ESCAPED.sub(lambda found: found[1] or '"', quoted)
        )
        at = match.end()
    if end != ")" or at != len(text):
        raise ValueError("the text isn't a value of a composite type")
    return values


def _goes_in_binary(codec: Codec, dumped: Dumped) -> bool:
    format, data = dumped
    return codec.kind is not None and (data is None or format == BINARY or codec.textual)


def _is_tuple(value: Any) -> bool:
    return isinstance(value, tuple)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
