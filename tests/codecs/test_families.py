"""Any value of any family goes to the server and comes back the same, whichever way it goes.

Rows are made of the values: each of them alone, and a few together in arrays of the type, of its ranges and of a
composite type, in domains and multiranges, in arrays of these and of two dimensions. They travel

- as parameters of a statement and as records of a copy, in binary and, in a table with a column of a type that has
  only text, in text; and as the texts that the server itself prints;
- back in rows of a result and of a copy, in binary and in text.

What has come there is read here once; that the other ways brought the same, the server says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from psqlpy.exceptions import FeatureNotSupported, ParameterTypeError
from psqlpy.extra_types import Multirange, Range
from psqlpy.sync import Connection, ConnectionPool
from tests.codecs.extensions import need_extension
from tests.codecs.families import FAMILIES, Family

AMOUNTS = [
    pytest.param(1, 12, id="12"),
    *(pytest.param(10, 50, id=f"500, {part}", marks=pytest.mark.long) for part in range(1, 5)),
]
AWKWARD = 'a "b",\\(c) {d}\n'
COLUMNS = {
    "v": "{type}",
    "d": "dom",
    "r": "{table}_span",
    "m": "{table}_spans",
    "c": "{table}_comp",
    "a": "{type}[]",
    "n": "{type}[]",
    "e": "dom[]",
    "q": "{table}_span[]",
    "o": "{table}_spans[]",
    "k": "{table}_comp[]",
}
OF_RANGES = "rmqo"
ATTRIBUTES = "vdrmna"
TOGETHER = 6
EMPTY = Range[Any](empty=True)


class Trip:
    """The tables of a family: `plain`, and `texts`, which like its composite type ends with what goes in text only."""

    def __init__(self, connection: Connection, family: Family) -> None:
        self.connection = connection
        self.family = family
        self.columns = [name for name in COLUMNS if family.ranged or name not in OF_RANGES]
        connection.execute_batch(f"SET search_path = pg_temp, public; SET TimeZone = 'UTC'; {family.setup}")
        connection.execute_batch(f"CREATE DOMAIN dom AS {family.type}")
        for table in ("plain", "texts"):
            self._create(table)

    def _create(self, table: str) -> None:
        type_name, script = self.family.type, self.connection.execute_batch
        types = {name: COLUMNS[name].format(type=type_name, table=table) for name in self.columns}
        if self.family.ranged:
            query = "SELECT typcollation <> 0 FROM pg_type WHERE oid = $1::text::regtype"
            options = f"subtype = {type_name}, multirange_type_name = {table}_spans"
            if self.connection.fetch_val(query, [type_name]):
                options += ', collation = "C"'
            script(f"CREATE TYPE {table}_span AS RANGE ({options})")
        attributes = ", ".join(f"{name} {types[name]}" for name in ATTRIBUTES if name in types)
        number, snapshot = (", z numeric", ", s txid_snapshot") if table == "texts" else ("", "")
        script(f"CREATE TYPE {table}_comp AS ({attributes}, t text{number})")
        columns = ", ".join(f"{name} {type_name}" for name, type_name in types.items())
        script(f"CREATE TABLE {table} (i int4, {columns}{snapshot})")

    def columns_of(self, table: str) -> list[str]:
        if table == "plain":
            return ["i", *self.columns]
        return ["i", *(name for name in self.columns if self.family.printable or name not in "ck"), "s"]

    def rows(self, values: list[Any], table: str) -> list[tuple[Any, ...]]:
        names = self.columns_of(table)
        cells: list[dict[str, Any]] = [{"v": value, "s": "1:2:"} for value in values]
        for start in range(0, len(values), TOGETHER):
            cells[start] |= self._containers(values[start : start + TOGETHER], table)
        rows = [(number, *(cell.get(name) for name in names[1:])) for number, cell in enumerate(cells)]
        return [*rows, (len(rows), *[None] * (len(names) - 1))]

    def _containers(self, values: list[Any], table: str) -> dict[str, Any]:
        """What is made of some values together, and of the first of them."""
        first = values[0]
        spans = list(map(span, values))
        multi = Multirange(spans[:1])
        cells = {
            "d": first,
            "r": Range(first),
            "m": multi,
            "a": [*values, None],
            "n": [[first, None], [None, first]],
            "e": [None, first],
            "q": [*spans, None, EMPTY, Range()],
            "o": [multi, None, Multirange([])],
        }
        full = {name: cells.get(name, first) for name in ATTRIBUTES if name in self.columns} | {"t": AWKWARD}
        if table == "texts":
            full["z"] = Decimal(1)
        sparse = dict.fromkeys(full)
        return cells | {"c": full, "k": [full, *(sparse | {"v": value} for value in values[1:]), None]}

    def check(self, values: list[Any]) -> None:
        family = self.family
        if family.canonical:
            values = self._canonical(values)
        stored = list(map(family.stored, values))
        for table in ("plain", "texts"):
            names = self.columns_of(table)
            rows, wanted = self.rows(values, table), self.rows(stored, table)
            self._insert(table, names, rows)
            query = f"SELECT {', '.join(names)} FROM {table} ORDER BY i"
            check_same(names, self.connection.fetch(query).result(as_tuple=True), wanted)
            check_same(names, list(self.connection.copy_out(query=query)), wanted)
            kept = self._content(table)
            # format() prints as the type's output function does; a cast to text may not.
            printed = ", ".join(
                f"CASE WHEN num_nulls({name}) = 0 THEN format('%s', {name}) END" for name in names[1:]
            )
            texts = self.connection.fetch(f"SELECT i, {printed} FROM {table} ORDER BY i").result(
                as_tuple=True
            )
            # Records that begin with NULLs don't show what the others need.
            backward, texts_backward = rows[::-1], texts[::-1]
            for send, sent in (
                (self._copy, rows),
                (self._copy, backward),
                (self._insert, texts),
                (self._copy, texts_backward),
            ):
                if (sent is rows or sent is backward) and table == "texts" and not family.printable:
                    with pytest.raises(
                        ParameterTypeError, match="beside a column whose type has no binary form"
                    ):
                        send(table, names, sent)
                    continue
                send(table, names, sent)
                assert self._content(table) == kept, send
            for format in ("text", "csv", "binary"):
                data = list(self.connection.copy_out(table, columns=names, format=format))
                self._empty(table)
                self.connection.copy_in(table, data, names, format=format)
                assert self._content(table) == kept, format

    def _canonical(self, values: list[str]) -> list[str]:
        cast = f"unnest($1::text[])::{self.family.type}"
        return [
            text for (text,) in self.connection.fetch(f"SELECT {cast}::text", [values]).result(as_tuple=True)
        ]

    def _empty(self, table: str) -> None:
        self.connection.execute_batch(f"TRUNCATE {table}")

    def _insert(self, table: str, names: list[str], rows: list[Any]) -> None:
        self._empty(table)
        numbers = ", ".join(f"${number}" for number in range(1, len(names) + 1))
        self.connection.execute_many(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({numbers})", rows)

    def _copy(self, table: str, names: list[str], rows: list[Any]) -> None:
        self._empty(table)
        self.connection.copy_records_to_table(table, rows, names)

    def _content(self, table: str) -> list[str]:
        """What the server has, as it prints it."""
        query = f"SELECT array_agg({table}::text ORDER BY i) FROM {table}"
        content: list[str] = self.connection.fetch_val(query)
        return content


def span(value: Any) -> Range[Any]:
    try:
        return Range(value, value, "[]")
    except TypeError:  # dicts have no order
        return Range(None, value, "(]")


def check_same(names: list[str], found: list[tuple[Any, ...]], wanted: list[tuple[Any, ...]]) -> None:
    assert len(found) == len(wanted)
    for row, expected in zip(found, wanted, strict=True):
        if repr(row) == repr(expected):
            continue
        for name, value, expected_value in zip(names, row, expected, strict=True):
            assert simple(value) == simple(expected_value), (name, value, expected_value)


def simple(value: Any) -> object:
    """What is equal for values that are the same, also as to type, scale, sign and zone; dicts have no order."""
    if isinstance(value, dict):
        return sorted((key, simple(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return type(value).__name__, list(map(simple, value))
    if isinstance(value, Multirange):
        return "multirange", list(map(simple, value))
    if isinstance(value, Range):
        return "range", value.bounds, simple(value.lower), simple(value.upper)
    return repr(value)


@pytest.fixture(scope="module")
def database(dsn: str) -> Iterator[str]:
    """A database of our own, in which we may create extensions."""
    name = f"psqlpy_families_{os.getpid()}"
    with ConnectionPool(dsn) as pool:
        pool.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        yield urlsplit(dsn)._replace(path=f"/{name}").geturl() if "://" in dsn else f"{dsn} dbname={name}"
        pool.execute(f"DROP DATABASE {name} WITH (FORCE)")


def id_of(family: Family) -> str:
    twins = [other for other in FAMILIES if other.type == family.type]
    return family.type + (f" {twins.index(family) + 1}" if len(twins) > 1 else "")


@pytest.mark.parametrize(("examples", "size"), AMOUNTS)
@pytest.mark.parametrize("family", FAMILIES, ids=id_of)
def test_any_value_comes_back(database: str, family: Family, examples: int, size: int) -> None:
    with (
        ConnectionPool(database, types=family.types and family.types()) as pool,
        pool.acquire() as connection,
    ):
        if not is_there(connection, family):
            return
        trip = Trip(connection, family)
        counted = check(trip.check, family, examples, size)
    assert counted >= examples * size


def is_there(connection: Connection, family: Family) -> bool:
    """Skips where an extension isn't available; servers without libxml must say so."""
    if family.extension is not None:
        need_extension(connection, family.extension)
        connection.execute(f"CREATE EXTENSION IF NOT EXISTS {family.extension} SCHEMA public")
    if family.type == "xml":
        try:
            connection.execute("SELECT '<a/>'::xml")
        except FeatureNotSupported:
            return False
    return True


def check(check_values: Callable[[list[Any]], None], family: Family, examples: int, size: int) -> int:
    """Returns how many values were checked."""
    counted = -size

    @settings(
        # The first is the simplest: zeros and empty texts.
        max_examples=examples + 1,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(family.values, min_size=size, max_size=size))
    def run(values: list[Any]) -> None:
        nonlocal counted
        counted += len(values)
        if counted:
            check_values(values)

    run()
    return counted
