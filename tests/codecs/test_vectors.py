"""pgvector's vector, halfvec and sparsevec: with the extension, and without it bytes and text that it sent."""

from __future__ import annotations

import copy
import os
import pickle
import struct
from array import array
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest

from psqlpy._codecs import vector
from psqlpy._codecs.array import make_codec as make_array_codec
from psqlpy._codecs.registry import Registry, default_registry
from psqlpy.exceptions import DataError, ParameterTypeError, ParameterValueError
from psqlpy.extra_types import PgVector, SparseVector
from psqlpy.sync import ConnectionPool
from tests.codecs.extensions import need_extension
from tests.codecs.rig import Rig, ServerError, make_result
from tests.codecs.round_trip import check_round_trip

NAMES = list(vector.EXTENSION_CODECS)
# Where there is no server to ask: any that no type has.
OIDS = {name: 4_000_000_000 + 2 * number for number, name in enumerate(NAMES)}


def make_registry(oids: dict[str, tuple[int, int]]) -> Registry:
    """What knows the types by these oids, their own and their arrays'."""
    registry = Registry(default_registry)
    for name, (oid, array_oid) in oids.items():
        codec = vector.EXTENSION_CODECS[name](oid)
        registry.add(codec)
        registry.add(make_array_codec(array_oid, codec, registry))
    return registry


MADE_UP = make_registry({name: (oid, oid + 1) for name, oid in OIDS.items()})


@pytest.fixture(scope="module")
def database(dsn: str, rig: Rig) -> Iterator[tuple[Rig, Registry]]:
    """A database that has the extension."""
    with ConnectionPool(dsn) as pool:
        need_extension(pool, "vector")
    name = f"psqlpy_vectors_{os.getpid()}"
    rig.script(f"CREATE DATABASE {name}")
    there = Rig(urlsplit(dsn)._replace(path=f"/{name}").geturl() if "://" in dsn else f"{dsn} dbname={name}")
    there.script("CREATE EXTENSION vector")
    rows = there.fetch(
        "SELECT typname::text, oid::int8, typarray::int8 FROM pg_type WHERE typname = ANY($1)", [NAMES]
    )
    yield there, make_registry({name: (oid, array_oid) for name, oid, array_oid in rows})
    there.close()
    rig.script(f"DROP DATABASE {name}")


# What pgvector 0.8 sends.
VALUES: list[tuple[str, str, bytes, Any]] = [
    ("vector", "[1,-2.5,0]", struct.pack(">HH3f", 3, 0, 1, -2.5, 0), [1.0, -2.5, 0.0]),
    ("vector", "[0.1]", struct.pack(">HHf", 1, 0, 0.1), [0.10000000149011612]),
    ("vector", "[3e+38,1e-40]", struct.pack(">HH2f", 2, 0, 3e38, 1e-40), [3e38, 1e-40]),
    ("halfvec", "[1,-2.5,0]", struct.pack(">HH3e", 3, 0, 1, -2.5, 0), [1.0, -2.5, 0.0]),
    ("halfvec", "[65504,0.099975586]", struct.pack(">HH2e", 2, 0, 65504, 0.1), [65504.0, 0.0999755859375]),
    (
        "sparsevec",
        "{1:1.5,4:-2}/5",
        struct.pack(">iii2i2f", 5, 2, 0, 0, 3, 1.5, -2),
        SparseVector({0: 1.5, 3: -2}, 5),
    ),
    ("sparsevec", "{}/3", struct.pack(">iii", 3, 0, 0), SparseVector({}, 3)),
]


def rounded(value: Any) -> Any:
    return (
        value
        if isinstance(value, SparseVector)
        else [struct.unpack("f", struct.pack("f", x))[0] for x in value]
    )


@pytest.mark.parametrize(("type_name", "text", "data", "expected"), VALUES)
def test_bytes_and_text(type_name: str, text: str, data: bytes, expected: Any) -> None:
    oid = OIDS[type_name]
    for format, cell in ((0, text.encode()), (1, data)):
        result = make_result([("x", oid)], [[cell], [None]], format)
        plan = MADE_UP.result_plan(result.columns(), format)
        assert repr(plan.tuples(result)) == repr([(rounded(expected),), (None,)])
    codec = MADE_UP.codec(oid)
    assert codec is not None and codec.dump(expected) == (1, data)


@pytest.mark.parametrize(("type_name", "text", "data", "expected"), VALUES)
def test_values(
    database: tuple[Rig, Registry], type_name: str, text: str, data: bytes, expected: Any
) -> None:
    rig, registry = database
    query = f"SELECT {type_name}_send($1::text::{type_name}), ($1::text::{type_name})::text"
    assert rig.fetch(query, [text]) == [(data, text)]
    check_round_trip(rig, type_name, expected, rounded(expected), registry)


class FakeArray:
    """What NumPy's arrays have; NumPy itself is no dependency of the tests."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __len__(self) -> int:
        return len(self.value)

    def __float__(self) -> float:
        raise TypeError("only arrays of one number can be converted to Python's numbers")

    def tolist(self) -> Any:
        return self.value


FakeArray.__module__ = "numpy"

ACCEPTED: list[tuple[str, Any, str]] = [
    ("vector", (1, 2.5), "[1,2.5]"),
    ("vector", [True, Decimal("1.5")], "[1,1.5]"),
    ("vector", PgVector([1, 2]), "[1,2]"),
    ("vector", FakeArray([1, 2]), "[1,2]"),
    ("vector", array("f", [1, 2]), "[1,2]"),
    ("vector", SparseVector({1: 2}, 3), "[0,2,0]"),
    ("vector", "[1,2]", "[1,2]"),
    ("halfvec", PgVector([1, 2]), "[1,2]"),
    ("halfvec", (1, 2), "[1,2]"),
    ("sparsevec", [0, 2.5, 0], "{2:2.5}/3"),
    ("sparsevec", [1e-300, 1], "{2:1}/2"),
    ("sparsevec", SparseVector({5: 1, 2: 0}, 9), "{6:1}/9"),
    ("sparsevec", FakeArray([0, 1]), "{2:1}/2"),
    ("sparsevec", PgVector([0, 1]), "{2:1}/2"),
    ("vector[]", [[1, 2], None, PgVector([3]), (4,)], '{"[1,2]",NULL,[3],[4]}'),
    ("vector[]", FakeArray([[1, 2], [3, 4]]), '{"[1,2]","[3,4]"}'),
    ("vector[]", [FakeArray([1, 2]), FakeArray([3])], '{"[1,2]",[3]}'),
    ("sparsevec[]", [SparseVector({0: 1}, 2), [0, 3]], '{"{1:1}/2","{2:3}/2"}'),
]


@pytest.mark.parametrize(("type_name", "value", "expected"), ACCEPTED)
def test_accepted(database: tuple[Rig, Registry], type_name: str, value: Any, expected: str) -> None:
    rig, registry = database
    assert rig.fetch(f"SELECT $1::{type_name}::text", [value], registry=registry) == [(expected,)]


REFUSED: list[tuple[str, Any, type[Exception], str]] = [
    ("vector", [], ParameterValueError, "list for vector.*at least one dimension"),
    ("vector", [1, "2"], ParameterTypeError, "real numbers only"),
    ("vector", [1, None], ParameterTypeError, "real numbers only"),
    ("vector", [[1, 2]], ParameterTypeError, "real numbers only"),
    ("vector", [1e300], ParameterValueError, "out of the range of float4"),
    ("vector", [float("nan")], ParameterValueError, "finite numbers only"),
    ("vector", [0] * 70_000, ParameterValueError, "70000 dimensions is too long"),
    ("vector", 5, ParameterTypeError, "int for vector"),
    ("vector", {1: 2}, ParameterTypeError, "dict for vector"),
    ("halfvec", [70_000], ParameterValueError, "out of the range of float2"),
    ("halfvec", [float("inf")], ParameterValueError, "finite numbers only"),
    ("sparsevec", [], ParameterValueError, "from 1 to"),
    ("sparsevec", ["1"], ParameterTypeError, "real numbers only"),
    ("sparsevec", {0: 1}, ParameterTypeError, "dict for sparsevec"),
    ("sparsevec", SparseVector({0: 1e300}, 1), ParameterValueError, "out of the range of float4"),
]


@pytest.mark.parametrize(("type_name", "value", "error", "message"), REFUSED)
def test_refused(type_name: str, value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        MADE_UP.parameter_plan((OIDS[type_name],)).encode([value])


def test_a_single_vector_is_no_array_of_them() -> None:
    with pytest.raises(ParameterValueError, match="single vector: put it into a list"):
        MADE_UP.parameter_plan((OIDS["vector"] + 1,)).encode([[1, 2]])


def test_what_only_the_server_refuses(database: tuple[Rig, Registry]) -> None:
    rig, registry = database
    with pytest.raises(ServerError, match="16000 dimensions"):
        rig.fetch("SELECT $1::vector", [[0.5] * 16_001], registry=registry)
    with pytest.raises(ServerError, match="expected 3 dimensions, not 2"):
        rig.fetch("SELECT $1::vector::vector(3)", [[1, 2]], registry=registry)
    assert rig.fetch("SELECT $1::vector", [[0.5] * 16_000], registry=registry) == [([0.5] * 16_000,)]


MALFORMED: list[tuple[str, int, bytes]] = [
    ("vector", 1, b"\0"),
    ("vector", 1, struct.pack(">HHf", 2, 0, 1)),
    ("vector", 1, struct.pack(">HHf", 1, 0, 1) + b"\0"),
    ("halfvec", 1, b""),
    ("halfvec", 1, struct.pack(">HHe", 2, 0, 1)),
    ("sparsevec", 1, b"\0" * 11),
    ("sparsevec", 1, struct.pack(">iii", 3, -1, 0)),
    ("sparsevec", 1, struct.pack(">iii", 3, 2**30, 0)),
    ("sparsevec", 1, struct.pack(">iiiif", 3, 1, 0, 3, 1.5)),
    ("vector", 0, b"1,2"),
    ("vector", 0, b"[1,2"),
    ("vector", 0, b"[]"),
    ("halfvec", 0, b"[x]"),
    ("sparsevec", 0, b"{1:2}"),
    ("sparsevec", 0, b"1:2}/3"),
    ("sparsevec", 0, b"{4:2}/3"),
    ("sparsevec", 0, b"{1:x}/3"),
    ("sparsevec", 0, b"{1:2,3}/3"),
]


@pytest.mark.parametrize(("type_name", "format", "cell"), MALFORMED)
def test_malformed(type_name: str, format: int, cell: bytes) -> None:
    result = make_result([("x", OIDS[type_name])], [[cell]], format)
    with pytest.raises(DataError, match='row 1, column 1 "x"'):
        MADE_UP.result_plan(result.columns(), format).tuples(result)


def test_sparse_vectors() -> None:
    value = SparseVector({3: 2, 0: 1.5, 1: 0}, 5)
    assert (value.dimensions, value.elements, len(value)) == (5, {0: 1.5, 3: 2.0}, 5)
    assert value.to_list() == [1.5, 0, 0, 2, 0]
    assert repr(value) == "SparseVector({0: 1.5, 3: 2.0}, 5)" and eval(repr(value)) == value
    assert value != SparseVector({3: 2, 0: 1.5}, 6) and value != [1.5, 0, 0, 2, 0]
    for other in (copy.deepcopy(value), pickle.loads(pickle.dumps(value)), SparseVector({0: 1.5, 3: 2}, 5)):
        assert other == value and hash(other) == hash(value)
    value.elements[1] = 5
    assert value.elements == {0: 1.5, 3: 2.0}
    assert SparseVector.__module__ == "psqlpy.extra_types"


@pytest.mark.parametrize(
    ("elements", "dimensions", "error", "message"),
    [
        ({5: 1}, 5, ValueError, "no index 5"),
        ({-1: 1}, 5, ValueError, "no index -1"),
        ({0: float("nan")}, 5, ValueError, "finite"),
        ({}, 0, ValueError, "from 1 to"),
        ({}, 10**10, ValueError, "from 1 to"),
        ({0: "1"}, 5, TypeError, "numbers, not str"),
        ({"a": 1}, 5, TypeError, "integer"),
        ([1, 2], 2, TypeError, "dict of numbers by their index, not list"),
        ({}, 1.5, TypeError, "integer"),
    ],
)
def test_sparse_vectors_refuse(elements: Any, dimensions: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SparseVector(elements, dimensions)
