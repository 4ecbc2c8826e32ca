"""Every family of types, with the values that hypothesis makes for it: what test_families.py sends round.

Long, since it is a table, and the strategies that its rows name.
"""

from __future__ import annotations

import enum
import ipaddress
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from psqlpy.extra_types import ClosedPath, Multirange, Range, SparseVector
from psqlpy.types import Types

Values = st.SearchStrategy[Any]
UTC = timezone.utc


def unchanged(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Family:
    """Values of one type.

    type: as it is written in SQL.
    stored: what comes back for a value, where the server has a form of its own for it.
    canonical: the server has a form of its own that only it can make: values are asked for there before they are sent.
    extension: which the type belongs to. setup: SQL that makes it.
    ranged: the type can be ordered, so there may be ranges of it.
    printable: False if its text is only the server's to make.
    types: how a pool reads it.
    """

    type: str
    values: Values
    stored: Callable[[Any], Any] = unchanged
    canonical: bool = False
    extension: str | None = None
    setup: str = ""
    ranged: bool = True
    printable: bool = True
    types: Callable[[], Types] | None = None


# Numbers


def ints(bits: int, *, is_signed: bool = True) -> st.SearchStrategy[int]:
    low = -(2 ** (bits - 1)) if is_signed else 0
    high = low + 2**bits - 1
    return st.integers(low, high) | st.sampled_from([low, low + 1, 0, 1, high - 1, high])


def is_numeric(value: Decimal) -> bool:
    """PostgreSQL's numeric has neither a negative zero nor a signalling NaN."""
    return not value.is_snan() and not (value.is_signed() and (value.is_nan() or value == 0))


NUMBERS = st.integers(0, 9).flatmap(lambda places: st.decimals(places=places)).filter(is_numeric) | st.builds(
    lambda digits, scale: Decimal((int(digits < 0), tuple(map(int, str(abs(digits)))), -scale)),
    st.integers(1, 10**60) | st.integers(-(10**60), -1),
    st.integers(0, 70),
)
CENTS = st.decimals("-92233720368547758.08", "92233720368547758.07", places=2).filter(is_numeric)

# Text

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
AWKWARD = [
    "", " ", "a,b", 'a"b', "a\\b", "'", "(", ")", "[", "]", "{", "}", "()", "{}", '""', "\\\\", "\\N", "\\.", "empty",
    "NULL", "null", "ü\n\t\r", "\b\f\v", ";", "$1", "=>", "\N{GRINNING FACE}", "\x7f", "\ufeff", "\u2028",
]  # fmt: skip
TEXTS = st.text(CHARACTERS, max_size=20) | st.sampled_from(AWKWARD)
SHORT_TEXTS = st.text(CHARACTERS, max_size=8) | st.sampled_from(AWKWARD)
LABELS = [
    "plain",
    "",
    "with space",
    "it's",
    'a "quoted" one',
    "back\\slash",
    "a,b",
    "(x)",
    "{x}",
    "NULL",
    "ü\n",
    "x" * 63,
]
LABEL_LIST = ", ".join("'" + label.replace("'", "''") + "'" for label in LABELS)


class Label(enum.Enum):
    """Members whose values are the labels."""

    PLAIN = "plain"
    EMPTY = ""
    QUOTED = 'a "quoted" one'
    ESCAPED = "back\\slash"
    LISTED = "a,b"
    NULL = "NULL"


def of_labels() -> Types:
    types = Types()
    types.enum("label", Label)
    return types


# What has a form of its own on the server

WORDS = st.text(
    st.characters(categories=["Ll", "Lu", "Nd"]) | st.sampled_from("'\\ :*<&|!()"), min_size=1, max_size=6
)


def lexeme(word: str) -> str:
    return "'" + word.replace("\\", "\\\\").replace("'", "''") + "'"


LEXEMES = WORDS.map(lexeme)
POSITIONS = st.lists(st.tuples(st.integers(1, 16383), st.sampled_from(["", "A", "B", "C", "D"])), max_size=4)


def entry(word: str, positions: list[tuple[int, str]]) -> str:
    return word + (":" if positions else "") + ",".join(f"{number}{weight}" for number, weight in positions)


DOCUMENTS = st.lists(st.builds(entry, LEXEMES, POSITIONS), max_size=6).map(" ".join)
QUERIES = st.recursive(
    st.builds(
        lambda word, flags: f"{word}:{flags}" if flags else word,
        LEXEMES,
        st.sampled_from(["", "*", "A", "BD", "*C"]),
    ),
    lambda inner: (
        inner.map(lambda query: f"!({query})")
        | st.builds(
            lambda left, sign, right: f"({left}) {sign} ({right})",
            inner,
            st.sampled_from(["&", "|", "<->", "<7>", "<0>"]),
            inner,
        )
    ),
    max_leaves=12,
)
JSON_PATHS = st.builds(
    lambda mode, key, number: f'{mode} $."{key}"[{number}]?(@ > {number})',
    st.sampled_from(["", "strict", "lax"]),
    st.text("abcä. []$", max_size=5),
    st.integers(0, 99),
)
PATH_LABELS = st.lists(st.text("abcXYZ_019", min_size=1, max_size=5), min_size=1, max_size=4)
REG_TYPES = st.sampled_from(
    ["integer", "text[]", '"char"', "timestamp with time zone", "pg_class", "interval"]
)

# Dates and times


def offset(seconds: int) -> timezone:
    return timezone(timedelta(seconds=seconds))


def unfolded(value: Any) -> Any:
    """The second of two equal hours in a zone is something that only times in that zone need."""
    return value.replace(fold=0)


MOMENTS = st.datetimes().map(unfolded)
AWARE = st.datetimes(timezones=st.just(UTC)).map(unfolded)
BEYOND_DATES = st.sampled_from(
    ["infinity", "-infinity", "0044-03-15 BC", "4713-01-01 BC", "10000-01-01", "5874897-12-31"]
)
BEYOND_MOMENTS = st.sampled_from(
    [
        "infinity",
        "-infinity",
        "0044-03-15 12:00:00 BC",
        "0001-12-31 23:59:59.999999 BC",
        "294276-12-31 23:59:59.999999",
    ]
)
BEYOND_INTERVALS = st.sampled_from(
    ["178000000 years", "-178000000 years", "178956970 years 7 mons 2147483647 days"]
)


CLOCKS = st.builds(
    lambda clock, seconds: clock.replace(tzinfo=offset(seconds), fold=0),
    st.times(),
    st.integers(-57599, 57599),
)


def in_utc(text: str) -> str:
    if "infinity" in text:
        return text
    return text.replace(" BC", "+00 BC") if text.endswith("BC") else f"{text}+00"


def in_text() -> Types:
    return Types(out_of_range_dates="text")


# Network addresses

ADDRESSES = st.ip_addresses()


@st.composite
def interfaces(draw: st.DrawFn) -> Any:
    address = draw(ADDRESSES)
    bits = draw(st.integers(0, address.max_prefixlen))
    # A mask that covers all of it is none.
    return address if bits == address.max_prefixlen else ipaddress.ip_interface(f"{address}/{bits}")


@st.composite
def networks(draw: st.DrawFn) -> Any:
    address = draw(ADDRESSES)
    return ipaddress.ip_network(f"{address}/{draw(st.integers(0, address.max_prefixlen))}", strict=False)


def hexadecimal(size: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=size, max_size=size).map(lambda data: data.hex(":").upper())


# JSON: objects, since a list would be one more dimension of an array

JSON = st.dictionaries(
    SHORT_TEXTS,
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**100), 2**100) | SHORT_TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SHORT_TEXTS, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)
DOCUMENT_PARTS = st.text(
    st.characters(categories=["Ll", "Lu", "Nd", "Zs"]) | st.sampled_from("'\\\",(){}"), max_size=8
)
XML = DOCUMENT_PARTS.map(lambda text: f'<a b="1">{text}&amp;</a>')

# Geometry

FLOATS = st.floats()
COMPARABLE = st.floats(allow_nan=False)
POINTS = st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=5)
CORNERS = st.tuples(COMPARABLE, COMPARABLE)
LARGE = st.floats(min_value=1e-5, allow_infinity=False)  # the server takes less than 1e-6 for 0


def upper_corner_first(value: Any) -> Any:
    (x1, y1), (x2, y2) = value
    if x1 < x2:
        x1, x2 = x2, x1
    if y1 < y2:
        y1, y2 = y2, y1
    return (x1, y1), (x2, y2)


CUBES = st.lists(st.integers(-9, 9).map(str), min_size=1, max_size=4).map(
    lambda numbers: f"({', '.join(numbers)})"
)

# Vectors

FLOAT4 = st.floats(width=32, allow_nan=False, allow_infinity=False)
# All finite ones, by their bits: of floats(width=16) hypothesis draws so much that it gives up after a few lists.
FLOAT2 = st.just(-0.0) | st.integers(-0x7BFF, 0x7BFF).map(
    lambda bits: math.copysign(struct.unpack("e", struct.pack("H", abs(bits)))[0], bits)
)
SPARSE = st.builds(
    lambda numbers, more: SparseVector(numbers, max(numbers, default=0) + more),
    st.dictionaries(st.integers(0, 100), FLOAT4, max_size=8),
    st.integers(1, 9),
)

# Ranges

BOUNDS = st.sampled_from(["[)", "[]", "(]", "()"])


def ranges(values: Values) -> st.SearchStrategy[Range[Any]]:
    def make(one: Any, other: Any, bounds: str) -> Range[Any]:
        if one is None or other is None:
            return Range(one, other, bounds)
        try:
            return Range(one, other, bounds)
        except ValueError:
            return Range(other, one, bounds)

    bound = st.none() | values
    return st.just(Range[Any](empty=True)) | st.builds(make, bound, bound, BOUNDS)


def counted(step: Any) -> Callable[[Range[Any]], Range[Any]]:
    """As the server keeps ranges of what can be counted."""

    def stored(value: Range[Any]) -> Range[Any]:
        if value.isempty:
            return value
        lower = value.lower if value.lower is None or value.lower_inc else value.lower + step
        upper = value.upper + step if value.upper_inc else value.upper
        is_empty = lower is not None and upper is not None and lower >= upper
        return Range(empty=True) if is_empty else Range(lower, upper)

    return stored


def range_families(prefix: str, values: Values, step: Any = None) -> list[Family]:
    stored = unchanged if step is None else counted(step)

    def united(value: Any) -> Any:
        return Multirange(map(stored, value))

    several = st.lists(ranges(values), max_size=4).map(Multirange)
    return [
        Family(f"{prefix}range", ranges(values), stored),
        Family(f"{prefix}multirange", several, united),
    ]


# Of bounds that are equal but for their scale a multirange keeps either.
WHOLE_NUMBERS = st.integers(-(10**20), 10**20).map(Decimal) | st.sampled_from(
    [Decimal("NaN"), Decimal("Infinity")]
)
DAYS = st.dates(date(2, 1, 1), date(9998, 12, 30))

# Types that users make

INNER = st.fixed_dictionaries(
    {
        "f_bool": st.none() | st.booleans(),
        "f_int8": st.none() | ints(64),
        "f_float8": st.none() | COMPARABLE,
        "f_numeric": st.none() | NUMBERS,
        "f_text": st.none() | SHORT_TEXTS,
        "f_bytea": st.none() | st.binary(max_size=8),
        "f_date": st.none() | st.dates(),
        "f_timetz": st.none() | st.times().map(lambda clock: clock.replace(tzinfo=offset(5400), fold=0)),
        "f_timestamptz": st.none() | AWARE,
        "f_interval": st.none() | st.timedeltas(),
        "f_jsonb": st.none() | JSON,
    }
)
MAKE_INNER = "CREATE TYPE inside AS ({});".format(
    ", ".join(
        f"f_{name} {name}"
        for name in (
            "bool", "int8", "float8", "numeric", "text", "bytea", "date", "timetz", "timestamptz", "interval", "jsonb"
        )
    )
)  # fmt: skip
OUTER = st.fixed_dictionaries(
    {
        "a": st.none() | INNER,
        "b": st.none() | st.lists(st.none() | INNER, max_size=2),
        "odd name\"'": st.none() | st.lists(st.none() | SHORT_TEXTS, max_size=3),
        "d": st.none() | st.lists(st.sampled_from(LABELS), max_size=2),
    }
)
MAKE_OUTER = (
    f"{MAKE_INNER} CREATE TYPE word AS ENUM ({LABEL_LIST}); CREATE DOMAIN words AS word[];"
    'CREATE TYPE outside AS (a inside, b inside[], "odd name""\'" text[], d words)'
)


def rounded(value: list[float]) -> list[float]:
    return [struct.unpack("f", struct.pack("f", number))[0] for number in value]


FAMILIES = [
    Family("bool", st.booleans()),
    Family("int2", ints(16)),
    Family("int4", ints(32)),
    Family("int8", ints(64)),
    Family("oid", ints(32, is_signed=False)),
    Family("xid", ints(32, is_signed=False), ranged=False),
    Family("cid", ints(32, is_signed=False), ranged=False),
    Family("xid8", ints(64, is_signed=False)),
    # With lc_monetary's point, or without any.
    Family("money", ints(64), printable=False),
    Family("money", CENTS, types=lambda: Types(money_digits=2), printable=False),
    Family("float4", st.floats(width=32)),
    Family("float8", FLOATS),
    Family("numeric", NUMBERS),
    Family("text", TEXTS),
    Family("varchar", TEXTS),
    Family("bpchar", TEXTS.map(lambda text: text.rstrip(" "))),  # which it doesn't compare
    Family("name", st.text(CHARACTERS, max_size=15)),
    Family('"char"', st.characters(max_codepoint=255, exclude_characters="\0")),
    Family("bytea", st.binary(max_size=50)),
    Family("date", st.dates()),
    Family("date", st.dates() | BEYOND_DATES, types=in_text),
    Family("time", st.times().map(unfolded)),
    Family("timetz", CLOCKS),
    Family("timestamp", MOMENTS),
    Family("timestamp", MOMENTS | BEYOND_MOMENTS, types=in_text),
    Family("timestamptz", AWARE),
    Family("timestamptz", AWARE | BEYOND_MOMENTS.map(in_utc), types=in_text),
    Family("interval", st.timedeltas()),
    Family("interval", st.timedeltas() | BEYOND_INTERVALS, types=in_text),
    Family("uuid", st.uuids().map(str)),
    Family("uuid", st.uuids(), types=lambda: Types(uuid_as_object=True)),
    Family("json", JSON, ranged=False),
    Family("jsonb", JSON),
    Family("xml", XML, ranged=False),
    Family("inet", interfaces()),
    Family("cidr", networks()),
    Family("macaddr", hexadecimal(6)),
    Family("macaddr8", hexadecimal(8)),
    Family("varbit", st.text("01", max_size=70)),
    Family("bit(7)", st.text("01", min_size=7, max_size=7)),
    Family("pg_lsn", ints(64, is_signed=False).map(lambda number: f"{number >> 32:X}/{number & 0xFFFFFFFF:X}")),
    Family("tid", st.builds("({},{})".format, ints(32, is_signed=False), ints(16, is_signed=False))),
    Family("regtype", REG_TYPES, ranged=False),
    Family("regclass", st.sampled_from(["pg_class", "pg_type", "pg_toast.pg_toast_1255"]), ranged=False),
    Family("txid_snapshot", st.sampled_from(["1:2:", "10:20:10,14,15"]), ranged=False),
    # The server refuses the binary form of an empty one that it has sent itself.
    Family("int2vector", st.lists(ints(16), min_size=1, max_size=10), ranged=False),
    Family("oidvector", st.lists(ints(32, is_signed=False), min_size=1, max_size=10)),
    Family("tsvector", DOCUMENTS, canonical=True),
    Family("tsquery", QUERIES, canonical=True),
    Family("jsonpath", JSON_PATHS, canonical=True, ranged=False),
    Family("point", st.tuples(FLOATS, FLOATS), ranged=False),
    Family("box", st.tuples(CORNERS, CORNERS), upper_corner_first, ranged=False),
    Family("path", POINTS | POINTS.map(ClosedPath), ranged=False),
    Family("lseg", st.lists(st.tuples(FLOATS, FLOATS), min_size=2, max_size=2), ranged=False),
    Family("line", st.tuples(LARGE, COMPARABLE, COMPARABLE) | st.tuples(COMPARABLE, LARGE, COMPARABLE), ranged=False),
    Family("circle", st.tuples(st.tuples(FLOATS, FLOATS), st.floats(min_value=0)), ranged=False),
    Family("polygon", POINTS, ranged=False),
    *range_families("int4", st.integers(-(2**31) + 2, 2**31 - 2) | st.integers(-9, 9), 1),
    *range_families("int8", st.integers(-(2**63) + 2, 2**63 - 2), 1),
    *range_families("num", WHOLE_NUMBERS),
    *range_families("date", DAYS, timedelta(1)),
    *range_families("ts", MOMENTS),
    *range_families("tstz", AWARE),
    Family("citext", TEXTS, extension="citext"),
    Family("hstore", st.dictionaries(SHORT_TEXTS, st.none() | SHORT_TEXTS, max_size=4), extension="hstore"),
    Family("ltree", PATH_LABELS.map(".".join), extension="ltree"),
    Family("lquery", PATH_LABELS.map(".*{1,2}.".join), extension="ltree", canonical=True, ranged=False),
    Family("ltxtquery", PATH_LABELS.map(" & ".join), extension="ltree", canonical=True, ranged=False),
    Family("cube", CUBES, extension="cube"),
    Family("vector", st.lists(FLOAT4, min_size=1, max_size=8), extension="vector"),
    Family("halfvec", st.lists(FLOAT2, min_size=1, max_size=8), extension="vector"),
    Family("sparsevec", SPARSE, extension="vector"),
    Family("label", st.sampled_from(LABELS), setup=f"CREATE TYPE label AS ENUM ({LABEL_LIST})"),
    Family("label", st.sampled_from(Label), setup=f"CREATE TYPE label AS ENUM ({LABEL_LIST})", types=of_labels),
    Family("count", ints(32), setup="CREATE DOMAIN number AS int4; CREATE DOMAIN count AS number"),
    Family("inside", INNER, setup=MAKE_INNER, ranged=False),
    Family("outside", OUTER, setup=MAKE_OUTER, ranged=False),
]  # fmt: skip
