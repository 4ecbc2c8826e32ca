"""Whatever a server sends: each codec makes a value of it or a DataError, in binary and in text, nothing else.

Cells that the server has printed, and a few of types that it doesn't have, are changed at random. tools/fuzz.py does
the same to the C alone, far more often; this is about the codecs in Python.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from struct import pack

import pytest

from psqlpy._codecs import oids
from psqlpy._codecs.catalog import Catalog, TypeInfo
from psqlpy._codecs.registry import Registry, default_registry
from psqlpy.exceptions import DataError
from tests.codecs.rig import Rig, make_result

SAMPLES = {
    "bool": "t", "int2": "-5", "int4": "70000", "int8": "-5000000000", "oid": "4000000000", "xid8": "7",
    "money": "12.34", "float4": "1.5e10", "float8": "-Infinity", "numeric": "-12345.6789", "text": "grün",
    "name": "pg_class", '"char"': "x", "bytea": "\\x00ff41", "date": "2024-02-29", "time": "23:59:59.000001",
    "timetz": "12:00:00.5-03:30", "timestamp": "1999-12-31 23:59:59.999999", "timestamptz": "2024-01-02 03:04:05+02",
    "interval": "1 year -2 days 03:04:05.006", "uuid": "01234567-89ab-cdef-0123-456789abcdef",
    "json": '{"a": [1, null, "b"]}', "jsonb": '[{"a": 1.5}, true]', "jsonpath": "$.a[*] ? (@ > 1)",
    "inet": "2001:db8::1/64", "cidr": "10.0.0.0/8", "macaddr": "08:00:2b:01:02:03", "macaddr8": "08002b0102030405",
    "bit(5)": "10101", "varbit": "1011001110", "pg_lsn": "16/B374D848", "tid": "(5,6)", "txid_snapshot": "10:20:10,14",
    "pg_snapshot": "10:20:10,14", "int2vector": "1 2 3", "oidvector": "1 2", "tsvector": "'a':1A 'fat':2,4 'b'",
    "tsquery": "'a' & !'b':*A | 'c' <2> 'd'", "point": "(1,2)", "box": "(3,4),(1,2)", "path": "[(1,2),(3,4)]",
    "lseg": "[(1,2),(3,4)]", "line": "{1,2,3}", "circle": "<(1,2),3>", "polygon": "((1,2),(3,4),(5,6))",
    "int4[]": "{{1,NULL},{3,4}}", "text[]": '{a,"b \\"c",NULL,""}', "numeric[]": "{1.5,NaN}", "date[]": "{2024-01-01}",
    "box[]": "{(1,1),(0,0);(2,2),(1,1)}", "jsonb[]": '{"{\\"a\\": 1}"}', "int4range": "[1,10)", "numrange": "(,5.5]",
    "tstzrange": '["2024-01-01 00:00+00",)', "daterange": "empty", "int8multirange": "{[1,5),[7,9)}",
    "int4range[]": '{"[1,2)",empty}', "tsmultirange[]": '{"{[2024-01-01,2024-01-02)}"}', "regtype": "int4",
}  # fmt: skip


def sized(data: bytes | None) -> bytes:
    return pack(">i", -1) if data is None else pack(">i", len(data)) + data


def fields(*parts: tuple[int, bytes | None]) -> bytes:
    return pack(">i", len(parts)) + b"".join(pack(">I", oid) + sized(data) for oid, data in parts)


PAIR = fields((oids.INT4, b"\0\0\0\1"), (oids.TEXT, b"x"))
NESTED = fields((20001, PAIR), (20003, b"red"), (20004, pack(">i", 1) + sized(b"k") + sized(None)))
VECTOR = pack(">HHff", 2, 0, 1.5, -2)
TYPES = (
    TypeInfo(20001, "public", "pair", "c", attributes=(("a", oids.INT4), ("b", oids.TEXT))),
    TypeInfo(20002, "public", "nested", "c", attributes=(("p", 20001), ("e", 20003), ("h", 20004))),
    TypeInfo(20003, "public", "colour", "e"),
    TypeInfo(20004, "public", "hstore", "b"),
    TypeInfo(20005, "public", "vector", "b"),
    TypeInfo(20006, "public", "halfvec", "b"),
    TypeInfo(20007, "public", "sparsevec", "b"),
    TypeInfo(20008, "public", "nested[]", "b", element=20002),
    TypeInfo(20009, "public", "vector[]", "b", element=20005),
    TypeInfo(20010, "public", "positive", "d", base=oids.INT4),
    TypeInfo(20011, "public", "colours", "r", subtype=20003),
    TypeInfo(20012, "public", "colours_multi", "m", range=20011),
    TypeInfo(20013, "public", "of_ranges", "r", subtype=3904),
)
# Type, in binary, in text.
MADE = [
    (20001, PAIR, b'(1,"x y")'),
    (20002, NESTED, b'("(1,x)",red,"""k""=>NULL")'),
    (20003, b"red", b"red"),
    (20004, pack(">i", 2) + sized(b"a") + sized(b"b") + sized(b"c") + sized(None), b'"a"=>"b", "c"=>NULL'),
    (20005, VECTOR, b"[1.5,-2]"),
    (20006, pack(">HHee", 2, 0, 1.5, -2), b"[1.5,-2]"),
    (20007, pack(">iiiif", 5, 1, 0, 2, 1.5), b"{3:1.5}/5"),
    (20008, pack(">iiIii", 1, 0, 20002, 1, 1) + sized(NESTED), b'{"(\\"(1,x)\\",red,)"}'),
    (20009, pack(">iiIii", 1, 0, 20005, 1, 1) + sized(VECTOR), b'{"[1.5,-2]"}'),
    (20010, b"\0\0\0\7", b"7"),
    (20011, b"\2" + sized(b"blue") + sized(b"red"), b"[blue,red)"),
    (20012, pack(">i", 1) + sized(b"\2" + sized(b"blue") + sized(b"red")), b"{[blue,red)}"),
    (20013, b"\2" + sized(b"\1") + sized(b"\1"), b"[empty,empty)"),
    (oids.RECORD, fields((oids.INT4, b"\0\0\0\1"), (oids.RECORD, PAIR)), b'(1,"(1,x)")'),
]


def registry(**choices: object) -> Registry:
    made = Registry(default_registry, **choices)  # type: ignore[arg-type]  # by name, from the table below
    made.catalog = Catalog()
    made.learn(TYPES)
    return made


REGISTRIES: dict[str, Callable[[], Registry]] = {
    "plain": registry,
    "choices": partial(registry, uuid_as_object=True, money_digits=2, out_of_range_dates="text"),
    "styles": lambda: registry().in_style("SQL, DMY", "Europe/Berlin"),
}

NUMBERS = [0, 1, 2, 3, 4, 7, 8, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 23, 25, 2249]
WORDS = [
    *"{}[]()<>,;:.\"'\\/|&!-+ \t\0eEnN0129", "NULL", "empty", "infinity", "-infinity", "NaN", "=>",
    "99999999999999999999", "BC", "AD", "24:00:00", "+15:59:59", "1e999999999", "\\x", "::", "$$",
    " years", "mons", "é", "\u0663",
]  # fmt: skip


def changed(chance: random.Random, sample: bytes, is_binary: bool) -> bytes:
    """The sample with something at random put in, taken out or overwritten, a few times."""
    cell = bytearray(sample)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randint(0, len(cell))
        what = chance.randrange(5)
        if what == 0:
            piece = chance.randbytes(chance.choice((1, 1, 2, 4)))
        elif what < 3:
            size = chance.choice((1, 2, 4))
            number = chance.choice(NUMBERS).to_bytes(4, "big")[-size:]
            piece = number if is_binary else chance.choice(WORDS).encode()
        else:
            start = chance.randint(0, len(cell))
            piece = bytes(cell[start : start + chance.choice((0, 1, 4, 8))]) * chance.choice((1, 1, 2))
        cell[at : at + chance.choice((0, len(piece), 1))] = piece
    return bytes(cell)


def read(registry: Registry, oid: int, cell: bytes, format: int) -> None:
    result = make_result([("x", oid)], [[cell], [None]], format)
    try:
        assert registry.result_plan(result.columns(), format).tuples(result)[1] == (None,)
    except DataError:
        # A plan that is told of another type forgets it.
        registry.learn(TYPES)


@pytest.fixture(scope="module")
def samples(rig: Rig) -> list[tuple[int, int, bytes]]:
    """(type, format, cell)"""
    found = [(oid, format, cell) for oid, *cells in MADE for format, cell in zip((1, 0), cells, strict=True)]
    for format in (0, 1):
        for name, text in SAMPLES.items():
            _, result = rig.execute(f"SELECT $1::text::{name}", [text], format=format)
            cell = result.value_bytes(0, 0)
            assert cell is not None
            found.append((result.columns()[0][1], format, cell))
    return found


@pytest.mark.parametrize(
    "amount", [8, pytest.param(1000, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
)
@pytest.mark.parametrize("choices", REGISTRIES)
def test_any_bytes_are_a_value_or_a_data_error(
    samples: list[tuple[int, int, bytes]], choices: str, amount: int
) -> None:
    chance = random.Random(f"{choices} {amount}")
    registry = REGISTRIES[choices]()
    for oid, format, sample in samples:
        for _ in range(amount):
            cell = changed(chance, sample, bool(format))
            try:
                read(registry, oid, cell, format)
            except BaseException as error:
                pytest.fail(f"type {oid}, format {format}, {cell!r}: {error!r}")
