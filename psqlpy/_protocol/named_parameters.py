"""Parameters as callers give them: `$(name)p` becomes `$1…`, a mapping becomes a sequence.

Which types the values have, and how many of them the server expects, isn't known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psqlpy._protocol.sql_text import tokenize
from psqlpy.exceptions import ParameterTypeError, ParameterValueError

_REMEMBERED_COUNT = 1024
_REMEMBERED_LENGTH = 16_384  # characters; a longer text costs more to keep than to look through


class NamedQuery:
    """A query whose named placeholders became numbered ones.

    `names[i]` is the name behind `$i+1`.
    """

    __slots__ = ("names", "text")

    def __init__(self, text: str, names: tuple[str, ...]) -> None:
        self.text = text
        self.names = names

    def __repr__(self) -> str:
        return f"NamedQuery({self.text!r}, {self.names!r})"


# Query text → its named form, or None where it has none. Looking through a text of 2 kB takes 2 µs, which
# would be paid by every call; the look-up takes 30 ns.
_remembered: dict[str, NamedQuery | None] = {}


def bind_named(query: str) -> NamedQuery | None:
    """Return `query` with `$(name)p` replaced by `$1`, `$2`, … or None if there is no such placeholder.

    Numbers go by first appearance, and one name has one number. Names are compared exactly, spaces count.
    Literals, comments and quoted identifiers stay as they are.

    Raises ParameterValueError for a query that has both `$(name)p` and `$1`: the numbers would collide.
    """
    if "$(" not in query:
        return None
    numbers: dict[str, int] = {}
    pieces: list[str] = []
    copied, has_numbered = 0, False
    for kind, start, end in tokenize(query):
        if kind == "placeholder":
            number = numbers.setdefault(query[start + 2 : end - 2], len(numbers) + 1)
            pieces += (query[copied:start], f"${number}")
            if _continues_word(query[end : end + 1]):
                pieces.append(" ")  # $(a)p1 must not become $11
            copied = end
        elif kind == "parameter":
            has_numbered = True
    if not numbers:
        return None
    if has_numbered:
        raise ParameterValueError("query has both $(name)p and $1 placeholders: use one kind only")
    pieces.append(query[copied:])
    return NamedQuery("".join(pieces), tuple(numbers))


def resolve_parameters(query: str, parameters: object) -> tuple[str, Sequence[Any]]:
    """Return the text to send and the values for `$1…`, in order.

    `parameters` is None, a sequence (not a str) or a mapping, which needs named placeholders; keys that the
    query doesn't name are ignored. A sequence for named placeholders goes by their first appearance. A
    sequence is passed on as it is, not copied.

    Raises ParameterTypeError for any other type and for a mapping without named placeholders, and
    ParameterValueError for a missing name or a wrong number of values for named placeholders.
    """
    try:
        named = _remembered[query]
    except (KeyError, TypeError):
        named = _look_through(query)
    if named is None:
        # Exact types first: isinstance() with an abstract class takes longer than all the rest of this.
        if type(parameters) is list or type(parameters) is tuple:
            return query, parameters
        return query, _positional(parameters)
    if type(parameters) is dict or isinstance(parameters, Mapping):
        return named.text, _by_name(named.names, parameters)
    values = _positional(parameters)
    if len(values) != len(named.names):
        raise ParameterValueError(
            f"query names {len(named.names)} parameters, but {len(values)} values were given: "
            "pass a mapping, or one value for each name in order of first appearance"
        )
    return named.text, values


def check_query(query: str) -> NamedQuery | None:
    """Return what `bind_named` does; raises what is wrong with a query whatever its parameters are."""
    if not isinstance(query, str):
        raise ParameterTypeError(f"the query must be a str, not {type(query).__name__}")
    return bind_named(query)


def _look_through(query: str) -> NamedQuery | None:
    named = check_query(query)
    if len(query) <= _REMEMBERED_LENGTH:
        if len(_remembered) >= _REMEMBERED_COUNT:
            # All at once: taking out the oldest needs an iterator, which another thread's insertion would
            # break.
            _remembered.clear()
        _remembered[query] = named
    return named


def _continues_word(character: str) -> bool:
    return character != "" and (character.isalnum() or character == "_" or not character.isascii())


def _by_name(names: tuple[str, ...], parameters: Mapping[Any, Any]) -> tuple[Any, ...]:
    values = []
    for name in names:
        try:
            values.append(parameters[name])
        except KeyError:
            raise ParameterValueError(
                f"cannot find parameter with name <{name}>: add it to the mapping of parameters"
            ) from None
    return tuple(values)


def _positional(parameters: object) -> Sequence[Any]:
    if parameters is None:
        return ()
    if isinstance(parameters, Sequence) and not isinstance(parameters, str):
        return parameters
    if isinstance(parameters, Mapping):
        raise ParameterTypeError(
            "parameters must be sequence or mapping, and the query has no named placeholders for a mapping: "
            f"write $(name)p in the query or pass a list instead of {type(parameters).__name__}"
        )
    raise ParameterTypeError(
        f"parameters must be sequence or mapping, not {type(parameters).__name__}: "
        "pass a list or tuple of values, or a dict with $(name)p in the query"
    )
