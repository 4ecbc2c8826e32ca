"""Any value of any family goes to the server and comes back the same: in both formats, alone and in an array.

And what the server prints of it is what we read from its binary form, as far as that is text too.
"""

from __future__ import annotations

import ipaddress
from datetime import timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from psqlpy._codecs.registry import Registry, default_registry
from tests.codecs.rig import Rig

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
LATIN = st.characters(max_codepoint=255, exclude_characters="\0")


def ints(bits: int, *, is_signed: bool) -> st.SearchStrategy[int]:
    low = -(2 ** (bits - 1)) if is_signed else 0
    high = low + 2**bits - 1
    return st.integers(low, high) | st.sampled_from([low, low + 1, 0, 1, high - 1, high])


def hexadecimal(size: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=size, max_size=size).map(lambda data: data.hex(":").upper())


def offset(seconds: int) -> timezone:
    return timezone(timedelta(seconds=seconds))


JSON = st.dictionaries(
    TEXTS,
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**100), 2**100) | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)
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


def fits_name(text: str) -> bool:
    return len(text.encode()) < 64


def is_numeric(value: Decimal) -> bool:
    """PostgreSQL's numeric has neither a negative zero nor a signalling NaN."""
    return not value.is_snan() and not (value.is_signed() and (value.is_nan() or value == 0))


def unfolded(value: Any) -> Any:
    """The second of two equal hours in a zone is something that only times in that zone need."""
    return value.replace(fold=0)


FAMILIES: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int2": ints(16, is_signed=True),
    "int4": ints(32, is_signed=True),
    "int8": ints(64, is_signed=True),
    "oid": ints(32, is_signed=False),
    "xid": ints(32, is_signed=False),
    "cid": ints(32, is_signed=False),
    "xid8": ints(64, is_signed=False),
    "money": ints(64, is_signed=True),
    "float4": st.floats(width=32),
    "float8": st.floats(),
    "numeric": st.integers(0, 9).flatmap(lambda places: st.decimals(places=places)).filter(is_numeric),
    "text": TEXTS,
    "varchar": TEXTS,
    "bpchar": TEXTS.filter(lambda text: not text.endswith(" ")),  # which its cast to text drops
    "name": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40).filter(fits_name),
    '"char"': LATIN,
    "bytea": st.binary(max_size=300),
    "date": st.dates(),
    "time": st.times().map(unfolded),
    "timetz": st.builds(
        lambda clock, seconds: clock.replace(tzinfo=offset(seconds), fold=0), st.times(), st.integers(-57599, 57599)
    ),
    "timestamp": st.datetimes().map(unfolded),
    "timestamptz": st.datetimes(timezones=st.just(timezone.utc)).map(unfolded),
    "interval": st.timedeltas(),
    "uuid": st.uuids().map(str),
    "json": JSON,
    "jsonb": JSON,
    "inet": interfaces(),
    "cidr": networks(),
    "macaddr": hexadecimal(6),
    "macaddr8": hexadecimal(8),
    "varbit": st.text("01", max_size=70),
    "pg_lsn": ints(64, is_signed=False).map(lambda number: f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"),
    "tid": st.tuples(ints(32, is_signed=False), ints(16, is_signed=False)).map(lambda pair: f"({pair[0]},{pair[1]})"),
    "int2vector": st.lists(ints(16, is_signed=True), max_size=10),
    "oidvector": st.lists(ints(32, is_signed=False), max_size=10),
}  # fmt: skip

# What has a form of its own on the server: texts of these come back in that form, and then as they are.
WORDS = st.text(
    st.characters(categories=["Ll", "Lu", "Nd"]) | st.sampled_from("'\\ :*<&|!()"), min_size=1, max_size=6
)


def lexeme(word: str) -> str:
    return "'" + word.replace("\\", "\\\\").replace("'", "''") + "'"


LEXEMES = WORDS.map(lexeme)
POSITIONS = st.lists(st.tuples(st.integers(1, 16383), st.sampled_from(["", "A", "B", "C", "D"])), max_size=4)


def entry(word: str, positions: list[tuple[int, str]]) -> str:
    return word + (":" if positions else "") + ",".join(f"{number}{weight}" for number, weight in positions)


VECTORS = st.lists(st.builds(entry, LEXEMES, POSITIONS), max_size=6).map(" ".join)
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
PATHS = st.builds(
    lambda mode, key, number: f'{mode} $."{key}"[{number}]?(@ > {number})',
    st.sampled_from(["", "strict", "lax"]),
    st.text("abcä. []$", max_size=5),
    st.integers(0, 99),
)
CANONICAL = {"tsvector": VECTORS, "tsquery": QUERIES, "jsonpath": PATHS}


def same(value: Any, expected: Any) -> bool:
    """Also as to type, scale, sign and zone, which repr shows; but the keys of a jsonb come in another order."""
    return repr(value) == repr(expected) or (isinstance(expected, dict) and value == expected)


def check_family(rig: Rig, type_name: str, strategy: st.SearchStrategy[Any], examples: int) -> None:
    registry = Registry(default_registry)

    @settings(deadline=None, max_examples=examples, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(strategy, min_size=1, max_size=5))
    def check(values: list[Any]) -> None:
        value = values[0]
        # A list in a list would be one more dimension.
        elements = values if not isinstance(value, list) else []
        array = [*elements, None]
        query = f"SELECT $1::{type_name}, $2::{type_name}[], $1::{type_name}::text"
        rows = [rig.fetch(query, [value, array], format=format, registry=registry)[0] for format in (0, 1)]
        for found, found_array, _ in rows:
            assert same(found, value)
            assert len(found_array) == len(array)
            assert all(same(one, given) for one, given in zip(found_array, array, strict=True))
        # In the other format of parameters: the server's own text.
        printed = rows[0][2]
        if type_name != '"char"':  # which has no text for NUL, and \\ooo only from 15 on
            again = rig.fetch(query, [printed, [printed]], format=1, registry=registry)[0]
            assert same(again[0], value) and again[2] == printed
            assert same(again[1][0], value)

    check()


def check_canonical(rig: Rig, type_name: str, strategy: st.SearchStrategy[str], examples: int) -> None:
    @settings(deadline=None, max_examples=examples, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(strategy, min_size=1, max_size=5))
    def check(texts: list[str]) -> None:
        query = f"SELECT $1::{type_name}, $2::{type_name}[], $1::{type_name}::text, $2::{type_name}[]::text[]"
        one, many, printed, all_printed = rig.fetch(query, [texts[0], texts], format=1)[0]
        assert (one, many) == (printed, all_printed)
        for format in (0, 1):
            assert rig.fetch(query, [one, many], format=format) == [(one, many, one, many)]

    check()


def check_type(rig: Rig, type_name: str, examples: int) -> None:
    if type_name in CANONICAL:
        check_canonical(rig, type_name, CANONICAL[type_name], examples)
    else:
        check_family(rig, type_name, FAMILIES[type_name], examples)


TYPES = [*FAMILIES, *CANONICAL]


@pytest.mark.parametrize("type_name", TYPES)
def test_round_trip(rig: Rig, type_name: str) -> None:
    check_type(rig, type_name, 25)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("type_name", TYPES)
def test_long_round_trip(rig: Rig, type_name: str) -> None:
    check_type(rig, type_name, 2000)


def test_round_trip_of_what_registries_switch_to(rig: Rig) -> None:
    registry = Registry(default_registry, uuid_as_object=True, money_digits=2)

    @settings(deadline=None, max_examples=50)
    @given(st.uuids(), st.decimals("-92233720368547758.08", "92233720368547758.07", places=2))
    def check(number: UUID, amount: Any) -> None:
        amount = abs(amount) if amount == 0 else amount
        query = "SELECT $1::uuid, $2::money, $3::uuid[], $4::money[]"
        row = (number, amount, [number, None], [amount, None])
        for format in (0, 1):
            assert repr(rig.fetch(query, row, format=format, registry=registry)) == repr([row])

    check()
