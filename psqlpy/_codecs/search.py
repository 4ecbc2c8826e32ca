"""tsvector and tsquery, as the str that PostgreSQL prints."""

from __future__ import annotations

from struct import Struct
from struct import error as StructError
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.codec import Codec, Dumped
from psqlpy._pq.result import Kind

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

_count = Struct(">i")
_uint16 = Struct(">H")

_VALUE, _OPERATOR = 1, 2
_NOT, _AND, _OR, _PHRASE = 1, 2, 3, 4
# The ones that bind more tightly have the higher number; a lexeme needs no parentheses anywhere.
_PRIORITIES = {_OR: 1, _AND: 2, _PHRASE: 3, _NOT: 4}
_LEXEME = 5
_SIGNS = {_AND: "&", _OR: "|"}
_WEIGHTS = "DCBA"


class _Bytes:
    """Reads a value from its beginning to its end. Raises ValueError where that comes too early."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def number(self, form: Struct) -> int:
        found: int = form.unpack_from(self.data, self.at)[0]
        self.at += form.size
        return found

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def lexeme(self) -> str:
        """A quoted lexeme."""
        end = self.data.index(b"\0", self.at)
        text = self.data[self.at : end].decode()
        self.at = end + 1
        return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"

    def check_end(self) -> None:
        if self.at != len(self.data):
            raise ValueError


def _malformed() -> ValueError:
    return ValueError("the value isn't in the type's binary format")


def _vector(data: bytes) -> str:
    """src/backend/utils/adt/tsvector.c, tsvectorsend: lexemes, each with its positions and their weights."""
    source = _Bytes(data)
    try:
        parts = [_vector_entry(source) for _ in range(source.number(_count))]
        source.check_end()
    except (StructError, ValueError):
        raise _malformed() from None
    return " ".join(parts)


def _vector_entry(source: _Bytes) -> str:
    lexeme = source.lexeme()
    positions = [source.number(_uint16) for _ in range(source.number(_uint16))]
    if not positions:
        return lexeme
    shown = [f"{number & 0x3FFF}{_WEIGHTS[number >> 14] if number >> 14 else ''}" for number in positions]
    return f"{lexeme}:{','.join(shown)}"


# A part of a query: its text, the priority of its operator, and that operator.
_Part = tuple[str, int, int]


def _query(data: bytes) -> str:
    """src/backend/utils/adt/tsquery.c, tsquerysend: operators in front of their operands, the right one first."""
    source = _Bytes(data)
    try:
        items = [_query_item(source) for _ in range(source.number(_count))]
        source.check_end()
        parts: list[_Part] = []
        # From the end, so that operands are there before their operator: without recursion, however deep it is.
        for text, operator, distance in reversed(items):
            parts.append((text, _LEXEME, 0) if not operator else _combined(operator, distance, parts))
    except (StructError, LookupError, ValueError):
        raise _malformed() from None
    if len(parts) > 1:
        raise _malformed()
    return parts[0][0] if parts else ""


def _query_item(source: _Bytes) -> tuple[str, int, int]:
    """A lexeme with its flags, or an operator and its distance."""
    kind = source.byte()
    if kind == _OPERATOR:
        operator = source.byte()
        return "", operator, source.number(_uint16) if operator == _PHRASE else 0
    if kind != _VALUE:
        raise ValueError
    weights, is_prefix = source.byte(), source.byte()
    flags = "*" if is_prefix else ""
    flags += "".join(_WEIGHTS[bit] for bit in (3, 2, 1, 0) if weights & 1 << bit)
    lexeme = source.lexeme()
    return f"{lexeme}:{flags}" if flags else lexeme, 0, 0


def _combined(operator: int, distance: int, parts: list[_Part]) -> _Part:
    priority = _PRIORITIES[operator]

    def operand(is_right: bool) -> str:
        text, own_priority, own_operator = parts.pop()
        # Phrases can't be regrouped: 'a' <-> ( 'b' <-> 'c' ) means something else.
        is_phrase_of_phrase = is_right and operator == own_operator == _PHRASE
        return f"( {text} )" if own_priority < priority or is_phrase_of_phrase else text

    if operator == _NOT:
        return "!" + operand(is_right=False), priority, operator
    right = operand(is_right=True)
    left = operand(is_right=False)
    sign = _SIGNS.get(operator) or ("<->" if distance == 1 else f"<{distance}>")
    return f"{left} {sign} {right}", priority, operator


def _dump(value: Any) -> Dumped:
    raise TypeError("a str in PostgreSQL's notation is needed")  # which goes as it is


def register(registry: Registry) -> None:
    for oid, convert in ((oids.TSVECTOR, _vector), (oids.TSQUERY, _query)):
        registry.add(Codec(oid, oids.TYPES[oid][0], kind=Kind.BYTES, convert=convert, dump=_dump))
