"""tsvector and tsquery, as the str that PostgreSQL prints."""

from __future__ import annotations

import re
from functools import cache
from struct import Struct
from struct import error as StructError
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.codec import Codec, Dumped, text_bytes
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
_LAST_POSITION = (1 << 14) - 1
_MAX_POSITIONS = 256
_MAX_DIGITS = 9  # of longer numbers the server takes what is left of them in 32 bits


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


@cache
def _word() -> re.Pattern[str]:
    """A lexeme, in quotes or without, and its positions. Without quotes it may begin with a colon."""
    positions = r"\d+[A-Da-d*]?"
    return re.compile(
        r"(?:'((?:[^'\\]|''|\\.)+)'(?!')|((?:[^'\\\s]|\\.)(?:[^\\\s:]|\\.)*)(?=[\s:]|\Z))"
        rf"(?::({positions}(?:,{positions})*)(?=\s|\Z)|(?!:))\s*",
        re.ASCII | re.DOTALL,
    )


def _read_vector(text: str) -> dict[bytes, dict[int, int]]:
    """Lexemes, their positions and the weights of these, as src/backend/utils/adt/tsvector_parser.c has them."""
    entries: dict[bytes, dict[int, int]] = {}
    at = len(text) - len(text.lstrip(" \t\n\v\f\r"))
    while at < len(text):
        word = _word().match(text, at)
        # What else is a space the server's locale says.
        if word is None or any(map(str.isspace, (word[2] or "").replace("\\ ", ""))):
            raise ValueError("the text isn't in tsvector's notation: put lexemes into quotes")
        at = word.end()
        quoted, plain, positions = word.groups()
        escaped, shown = (r"\\(.)", plain) if quoted is None else (r"\\(.)|''", quoted)
        lexeme = text_bytes(re.sub(escaped, lambda found: found[1] or "'", shown, flags=re.DOTALL))
        places = entries.setdefault(lexeme, {})
        for position in positions.split(",") if positions else ():
            number = position.rstrip("ABCDabcd*")
            weight = _WEIGHTS.index(position[len(number) :].upper().replace("*", "A") or "D")
            place = min(int(number), _LAST_POSITION)
            if not place or len(number) > _MAX_DIGITS:
                raise ValueError(f"positions in a tsvector are from 1 to {_LAST_POSITION}")
            places[place] = max(weight, places.get(place, 0))
    return entries


def vector_binary(text: str) -> bytes:
    """The binary form of a text. Raises ValueError."""
    entries = _read_vector(text)
    parts = [_count.pack(len(entries))]
    for lexeme, places in sorted(entries.items()):
        found = sorted(places.items())[:_MAX_POSITIONS]
        numbers = [weight << 14 | place for place, weight in found]
        parts += (lexeme, b"\0", *map(_uint16.pack, (len(numbers), *numbers)))
    return b"".join(parts)


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
