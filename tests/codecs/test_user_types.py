"""Composite types, records and hstore: text of what was dumped in binary, and what isn't a value."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from struct import pack
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from psqlpy._codecs import hstore, oids, record
from psqlpy._codecs.as_text import renderer
from psqlpy._codecs.catalog import Catalog, TypeInfo, answer, question
from psqlpy._codecs.composite import parse
from psqlpy._codecs.registry import Registry, default_registry
from psqlpy.exceptions import DataError
from tests.codecs.rig import Rig, make_result

SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)

LEAVES: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int2": st.integers(-(2**15), 2**15 - 1),
    "int4": st.integers(-(2**31), 2**31 - 1),
    "int8": st.integers(-(2**63), 2**63 - 1),
    "float4": st.floats(width=32, allow_nan=False),
    "float8": st.floats(allow_nan=False),
    "numeric": st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30),
    "text": TEXTS,
    "bytea": st.binary(max_size=8),
    "date": st.dates(),
    "time": st.times(),
    "timestamp": st.datetimes(),
    "timestamptz": st.datetimes(timezones=st.just(timezone.utc)),
    "interval": st.timedeltas(timedelta(-100_000), timedelta(100_000)),
    "uuid": st.uuids().map(str),
    "jsonb": st.dictionaries(TEXTS, st.integers(-5, 5) | TEXTS, max_size=2),
}
INNER = st.fixed_dictionaries({f"f_{name}": st.none() | values for name, values in LEAVES.items()})


@pytest.fixture(scope="module")
def schema(rig: Rig) -> Iterator[str]:
    name = f"codecs_{uuid4().hex}"
    attributes = ", ".join(f"f_{leaf} {leaf}" for leaf in LEAVES)
    rig.script(
        "SET client_min_messages = warning; "
        f"CREATE SCHEMA {name}; CREATE TYPE {name}.inner AS ({attributes});"
    )
    yield name
    rig.script(f"DROP SCHEMA {name} CASCADE; RESET client_min_messages")


@pytest.fixture(scope="module")
def registry(rig: Rig, schema: str) -> Registry:
    """That knows the schema's types."""
    made = Registry(default_registry)
    made.catalog = Catalog()
    rows = rig.script(f"SELECT oid FROM pg_type WHERE typnamespace = '{schema}'::regnamespace")
    types = [int(rows.value_bytes(row, 0) or b"") for row in range(rows.row_count)]
    made.learn(answer(rig.script(question(types, 150000).decode())))
    assert made.unknown(types) == []
    return made


def test_the_text_of_what_was_dumped_in_binary(rig: Rig, schema: str, registry: Registry) -> None:
    """A composite value goes in text as soon as one attribute does; the server must read the same out of it."""

    @SETTINGS
    @given(value=INNER.filter(lambda value: value["f_numeric"] is not None or value["f_jsonb"] is not None))
    def is_the_same(value: dict[str, Any]) -> None:
        for style in ("ISO, MDY", "German", "SQL, DMY", "Postgres, YMD"):
            rig.script(f"SET DateStyle = '{style}'; SET IntervalStyle = 'sql_standard'")
            [(found,)] = rig.fetch(f"SELECT $1::{schema}.inner", [value], format=1, registry=registry)
            assert found == value

    try:
        is_the_same()
    finally:
        rig.script("SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'")


EXTREMES = [
    (oids.DATE, "date", pack(">i", 2**31 - 1), "infinity"),
    (oids.DATE, "date", pack(">i", -(2**31)), "-infinity"),
    (oids.DATE, "date", pack(">i", 5_000_000), "15689-07-14"),
    (oids.DATE, "date", pack(">i", -1_000_000), "0739-02-03 BC"),
    (oids.TIMESTAMP, "timestamp", pack(">q", 2**63 - 1), "infinity"),
    (oids.TIMESTAMPTZ, "timestamptz", pack(">q", -(2**63)), "-infinity"),
    (oids.TIMETZ, "timetz", pack(">qi", 3_600_000_000, -5400), "01:00:00+01:30"),
    (oids.TIMETZ, "timetz", pack(">qi", 0, 3600), "00:00:00-01"),
    (oids.CHAR, "char", b"\x80", "\\200"),
    (oids.CHAR, "char", b"a", "a"),
    (oids.XID8, "xid8", pack(">Q", 2**64 - 1), str(2**64 - 1)),
    (oids.FLOAT4, "float4", pack(">f", 1.1), "1.1"),
    (oids.POINT, "point", pack(">2d", 1.5, -2), "(1.5,-2)"),
    (oids.LSEG, "lseg", pack(">4d", 1, 2, 3, 4), "[(1,2),(3,4)]"),
    (oids.BOX, "box", pack(">4d", 3, 4, 1, 2), "(3,4),(1,2)"),
    (oids.PATH, "path", pack(">Bi4d", 0, 2, 1, 2, 3, 4), "[(1,2),(3,4)]"),
    (oids.PATH, "path", pack(">Bi4d", 1, 2, 1, 2, 3, 4), "((1,2),(3,4))"),
    (oids.POLYGON, "polygon", pack(">i4d", 2, 1, 2, 3, 4), "((1,2),(3,4))"),
    (oids.LINE, "line", pack(">3d", 1, 2, 3), "{1,2,3}"),
    (oids.CIRCLE, "circle", pack(">3d", 1, 2, 3), "<(1,2),3>"),
    (oids.INET, "inet", bytes((2, 24, 0, 4, 10, 0, 0, 1)), "10.0.0.1/24"),
    (oids.CIDR, "cidr", bytes((3, 64, 1, 16, 0x20, 1)) + bytes(14), "2001::/64"),
    (oids.INTERVAL, "interval", pack(">qii", -1, 2, -3), "-3 mons +2 days -00:00:00.000001"),
]


@pytest.mark.parametrize(("oid", "name", "data", "expected"), EXTREMES, ids=[case[3] for case in EXTREMES])
def test_the_text_of_extreme_values(rig: Rig, oid: int, name: str, data: bytes, expected: str) -> None:
    codec = default_registry.codec_or_unknown(oid)
    to_text = renderer(codec)
    assert to_text is not None
    text = to_text(data)
    result = rig.script(f"SET TimeZone = 'UTC'; SELECT $q${text}$q$::\"{name}\"::text")
    assert (result.value_bytes(0, 0) or b"").decode() == expected


# Not from a server


def known(*types: TypeInfo) -> Registry:
    made = Registry(default_registry)
    made.catalog = Catalog()
    made.learn(types)
    return made


PAIR = TypeInfo(20001, "public", "pair", "c", attributes=(("a", oids.INT4), ("b", oids.TEXT)))


def read(registry: Registry, oid: int, data: bytes, format: int = 1) -> Any:
    columns = [("c", oid)]
    result = make_result(columns, [[data]], format)
    return registry.result_plan(((("c", oid, -1, format)),), format).tuples(result)[0][0]


def field(oid: int, data: bytes | None) -> bytes:
    return pack(">Ii", oid, -1) if data is None else pack(">Ii", oid, len(data)) + data


GOOD = pack(">i", 2) + field(oids.INT4, b"\0\0\0\1") + field(oids.TEXT, b"x")


def test_a_value_of_a_composite_type() -> None:
    assert read(known(PAIR), 20001, GOOD) == {"a": 1, "b": "x"}
    assert read(known(PAIR), 20001, b"(,)", 0) == {"a": None, "b": None}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "binary format"),
        (GOOD[:-1], "binary format"),
        (GOOD + b"x", "binary format"),
        (pack(">i", 2) + field(oids.INT4, b"\0") + field(oids.TEXT, b""), 'attribute "a": .*binary format'),
        (pack(">i", 2) + field(oids.INT4, None) + field(oids.TEXT, b"\xff"), 'attribute "b": .*UTF-8'),
        (pack(">i", 2) + pack(">Ii", oids.INT4, -2) + field(oids.TEXT, b""), "binary format"),
        (pack(">i", 1) + field(oids.INT4, None), "other attributes"),
        (pack(">i", 2) + field(oids.INT8, None) + field(oids.TEXT, b""), "other attributes"),
    ],
)
def test_what_is_no_value_of_a_composite_type(data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(known(PAIR), 20001, data)


def test_a_changed_type_is_asked_about_again() -> None:
    registry = known(PAIR)
    assert registry.unknown([20001]) == []
    with pytest.raises(DataError, match="execute the statement again"):
        read(registry, 20001, pack(">i", 0))
    assert registry.unknown([20001]) == [20001]


def test_large_fields() -> None:
    text = "x" * 3_000_000
    data = pack(">i", 2) + field(oids.INT4, None) + field(oids.TEXT, text.encode())
    assert read(known(PAIR), 20001, data) == {"a": None, "b": text}


@pytest.mark.parametrize("text", ["", "(", "(a", "a,b)", "(a,b)c", '("a,b)', "(a)b)", "(a\\,b)"])
def test_what_is_no_composite_value_in_text(text: str) -> None:
    with pytest.raises(ValueError, match="isn't a value of a composite type"):
        parse(text)


def test_composite_text() -> None:
    assert parse('(,"",a b,"q""u\\"o\\\\te")') == [None, "", "a b", 'q"u"o\\te']


@pytest.mark.parametrize("data", [b"", GOOD[:-1], pack(">i", 3) + GOOD[4:], GOOD + b"\0"])
def test_what_is_no_record(data: bytes) -> None:
    with pytest.raises(ValueError, match="binary format"):
        record.field_types(data)


@pytest.mark.parametrize(
    "data", [b"", pack(">i", 1), pack(">iii", 1, -1, -1), pack(">ii", 1, 5) + b"a", b"\0\0\0\0x"]
)
def test_what_is_no_hstore(data: bytes) -> None:
    with pytest.raises(ValueError, match="binary format"):
        hstore.from_binary(data)


def test_types_without_a_binary_format_come_as_text() -> None:
    base = TypeInfo(20002, "public", "shape", "b", has_binary=False)
    holder = TypeInfo(20003, "public", "holder", "c", attributes=(("s", 20002), ("d", oids.DATE)))
    old = TypeInfo(20004, "public", "ltree", "b", has_binary=False)
    registry = known(base, holder, old)
    codec = registry.codec(20003)
    assert codec is not None and codec.kind is None and codec.dated
    assert read(registry, 20003, b'("a b",2020-01-02)', 0) == {"s": "a b", "d": date(2020, 1, 2)}
    ltree = registry.codec(20004)
    assert ltree is not None and ltree.kind is None
    assert registry.type_name(20002) == "shape"


def test_time_and_datetime_of_both_kinds() -> None:
    """What the strategies leave to chance."""
    moment = datetime(1, 1, 1, tzinfo=timezone.utc)
    info = TypeInfo(
        20005, "public", "m", "c", attributes=(("t", oids.TIME), ("z", oids.TIMESTAMPTZ), ("n", oids.NUMERIC))
    )
    codec = known(info).codec_or_unknown(20005)
    assert codec.dump((time(1, 2, 3), moment, Decimal(1))) == (
        0,
        b'("01:02:03.000000","0001-01-01 00:00:00.000000+00","1")',
    )


@pytest.mark.parametrize(
    "infos",
    [
        (TypeInfo(30001, "public", "d", "d", base=30001),),
        (TypeInfo(30001, "public", "a", "b", element=30001),),
        (TypeInfo(30001, "public", "c", "c", attributes=(("i", oids.INT4), ("c", 30001))),),
        (TypeInfo(30001, "public", "r", "r", subtype=30001),),
        (TypeInfo(30001, "public", "m", "m", range=30001),),
        (
            TypeInfo(30001, "public", "d", "d", base=30002),
            TypeInfo(30002, "public", "_d", "b", element=30001),
        ),
    ],
    ids=["domain", "array", "composite", "range", "multirange", "each other"],
)
def test_a_type_that_is_said_to_be_made_of_itself_comes_as_text(infos: tuple[TypeInfo, ...]) -> None:
    holder = TypeInfo(30003, "public", "holder", "c", attributes=(("x", 30001), ("i", oids.INT4)))
    registry = known(*infos, holder)
    assert registry.unknown([30001, 30003]) == []
    assert read(registry, 30001, b"(x)", 0) == "(x)"
    assert read(registry, 30003, b"(x,7)", 0) == {"x": "x", "i": 7}


def test_binary_that_nobody_asked_for_comes_as_bytes() -> None:
    """C knows one kind below a range, so that ranges of ranges are asked for in text."""
    registry = known(TypeInfo(30001, "public", "of_ranges", "r", subtype=3904))  # int4range
    assert read(registry, 30001, b"\1") == b"\1"
    assert read(registry, 30001, b"abc") == b"abc"
