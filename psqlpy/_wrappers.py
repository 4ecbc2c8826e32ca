"""Values that say which type of PostgreSQL they are meant for; psqlpy.extra_types is where they are public.

Values are checked when they are wrapped. Codecs read two attributes: `_psqlpy_type`, the type's name in
pg_type ("" for CustomType), and `_psqlpy_value`, in the form that the type has in results. No wire formats.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, SupportsFloat, SupportsIndex

from psqlpy.exceptions import MacAddrParseError, ParameterTypeError, ParameterValueError

_FLOAT4_MAX = 3.4028235677973366e38  # where rounding to float4 gives infinity


class Wrapper:
    """A value together with the name of its type: equal to one of the same class with an equal value."""

    __slots__ = ("_psqlpy_value",)
    _psqlpy_type: ClassVar[str] = ""
    _psqlpy_value: Any

    def __init_subclass__(cls) -> None:
        # Where users import them from and pickle finds them.
        cls.__module__ = "psqlpy.extra_types"

    @property
    def value(self) -> Any:
        """The wrapped value, in the form that it has in results."""
        return self._psqlpy_value

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return bool(self._psqlpy_value == other._psqlpy_value)

    def __hash__(self) -> int:
        # A dict or list in JSON and in arrays counts with its present contents.
        return hash((type(self), frozen(self._psqlpy_value)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._psqlpy_value!r})"


def frozen(value: Any) -> Any:
    """Return something hashable; the same for equal values made of dicts, lists, tuples and scalars."""
    if isinstance(value, Mapping):
        return frozenset((key, frozen(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(frozen(item) for item in value)
    return value


def wrong_type(wrapper: type[Wrapper], expected: str, value: Any) -> ParameterTypeError:
    return ParameterTypeError(f"{wrapper.__name__} takes {expected}, not {type(value).__name__}")


def real(wrapper: type[Wrapper], value: Any) -> float:
    # float() alone would take text as well.
    kind = type(value)
    if hasattr(kind, "__float__") or hasattr(kind, "__index__"):
        return float(value)
    raise wrong_type(wrapper, "real numbers", value)


def is_number(value: object) -> bool:
    """Whether a value is a single real number. NumPy's arrays have `__float__` too."""
    kind = type(value)
    return (hasattr(kind, "__float__") or hasattr(kind, "__index__")) and not hasattr(kind, "__len__")


class _BoundedInteger(Wrapper):
    __slots__ = ()
    _bits: ClassVar[int]

    def __init__(self, inner_value: int) -> None:
        self._psqlpy_value = self._checked(inner_value)

    @classmethod
    def _checked(cls, value: Any) -> int:
        try:
            number = int(operator.index(value))
        except TypeError:
            raise wrong_type(cls, "an int", value) from None
        limit = 1 << (cls._bits - 1)
        if not -limit <= number < limit:
            # Without the number: a very long one has no text (sys.set_int_max_str_digits).
            raise OverflowError(f"{cls.__name__} holds integers from {-limit} to {limit - 1}")
        return number


class SmallInt(_BoundedInteger):
    """An int for smallint. OverflowError beyond 16 bits."""

    __slots__ = ()
    _psqlpy_type = "int2"
    _bits = 16


class Integer(_BoundedInteger):
    """An int for integer. OverflowError beyond 32 bits."""

    __slots__ = ()
    _psqlpy_type = "int4"
    _bits = 32


class BigInt(_BoundedInteger):
    """An int for bigint. OverflowError beyond 64 bits."""

    __slots__ = ()
    _psqlpy_type = "int8"
    _bits = 64


class Money(_BoundedInteger):
    """An amount for money, as an int of its smallest unit (cents). OverflowError beyond 64 bits."""

    __slots__ = ()
    _psqlpy_type = "money"
    _bits = 64


class Float32(Wrapper):
    """A float for real. OverflowError for finite values that real can't hold."""

    __slots__ = ()
    _psqlpy_type = "float4"

    def __init__(self, inner_value: SupportsFloat | SupportsIndex) -> None:
        number = real(type(self), inner_value)
        if math.isfinite(number) and abs(number) >= _FLOAT4_MAX:
            raise OverflowError(f"Float32 holds numbers up to 3.4028235e38, {number!r} is out of range")
        self._psqlpy_value = number


class Float64(Wrapper):
    """A float for double precision."""

    __slots__ = ()
    _psqlpy_type = "float8"

    def __init__(self, inner_value: SupportsFloat | SupportsIndex) -> None:
        self._psqlpy_value = real(type(self), inner_value)


class _String(Wrapper):
    __slots__ = ()

    def __init__(self, inner_value: str) -> None:
        if not isinstance(inner_value, str):
            raise wrong_type(type(self), "a str", inner_value)
        self._psqlpy_value = str.__str__(inner_value)


class Text(_String):
    """A str for text."""

    __slots__ = ()
    _psqlpy_type = "text"


class VarChar(_String):
    """A str for varchar."""

    __slots__ = ()
    _psqlpy_type = "varchar"


class _Document(Wrapper):
    __slots__ = ()

    def __init__(self, value: Mapping[str, Any] | list[Any] | tuple[Any, ...]) -> None:
        if not isinstance(value, Mapping | list | tuple):
            raise wrong_type(type(self), "a dict, list or tuple", value)
        self._psqlpy_value = value


class JSON(_Document):
    """A dict, list or tuple for json; where a bare list might be taken for an array."""

    __slots__ = ()
    _psqlpy_type = "json"


class JSONB(_Document):
    """A dict, list or tuple for jsonb; where a bare list might be taken for an array."""

    __slots__ = ()
    _psqlpy_type = "jsonb"


class _MacAddress(Wrapper):
    __slots__ = ()
    _bytes: ClassVar[int]

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            raise wrong_type(type(self), "a str", value)
        # Groups of one length with one separator, as the manual's section "Network Address Types" lists them.
        groups = re.split(r"[:.-]", value)
        digits = "".join(groups)
        well_formed = (
            re.fullmatch(rf"[0-9A-Fa-f]{{{2 * self._bytes}}}", digits) is not None
            and len(set(map(len, groups))) == 1
            and len(groups[0]) % 2 == 0
            and len(set(re.findall(r"[:.-]", value))) <= 1
        )
        if not well_formed:
            raise MacAddrParseError(
                f"{type(self).__name__} takes {self._bytes} bytes like 08:00:2b…, not {value[:50]!r}"
            )
        self._psqlpy_value = ":".join(re.findall("..", digits.upper()))


class MacAddr6(_MacAddress):
    """A MAC address of 6 bytes for macaddr, as text. MacAddrParseError if it isn't one."""

    __slots__ = ()
    _psqlpy_type = "macaddr"
    _bytes = 6


class MacAddr8(_MacAddress):
    """A MAC address of 8 bytes (EUI-64) for macaddr8, as text. MacAddrParseError if it isn't one."""

    __slots__ = ()
    _psqlpy_type = "macaddr8"
    _bytes = 8


class CustomType(Wrapper):
    """Bytes for a parameter of any type, sent as they are: they must be in the type's binary format."""

    __slots__ = ()

    def __init__(self, value: bytes | bytearray | memoryview) -> None:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise wrong_type(type(self), "bytes", value)
        self._psqlpy_value = bytes(value)


class PgVector(Wrapper):
    """Finite numbers, at least one, for a vector of the extension pgvector."""

    __slots__ = ()
    _psqlpy_type = "vector"

    def __init__(self, inner_value: Iterable[SupportsFloat | SupportsIndex]) -> None:
        if isinstance(inner_value, str | bytes) or not isinstance(inner_value, Iterable):
            raise wrong_type(type(self), "a sequence of numbers", inner_value)
        numbers = [real(type(self), number) for number in inner_value]
        if not numbers:
            raise ParameterValueError("PgVector takes at least one number, not none")
        if not all(map(math.isfinite, numbers)):
            raise ParameterValueError("PgVector takes finite numbers only")
        self._psqlpy_value = numbers


class Array(Wrapper):
    """A sequence for an array of one type; nested lists or tuples for more dimensions, None for NULL."""

    __slots__ = ()
    # What elements are checked with, where not every value of their Python type is one.
    _element: ClassVar[type[Wrapper] | None] = None

    def __init__(self, inner: Sequence[Any]) -> None:
        if isinstance(inner, str | bytes | bytearray | memoryview) or not isinstance(inner, Sequence):
            raise wrong_type(type(self), "a list or tuple", inner)
        if self._element is not None:
            _check_elements(self._element, inner)
        self._psqlpy_value = list(inner)


def _check_elements(element: Any, values: Sequence[Any]) -> None:
    for value in values:
        if isinstance(value, list | tuple):
            _check_elements(element, value)
        elif value is not None and not isinstance(value, CustomType):
            element(value.value if isinstance(value, Wrapper) else value)
