"""Types made by CREATE TYPE or by an extension: looked up at first use, written and read; and psqlpy.types.

Long, since each kind of statement meets each kind of type.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID, uuid4

import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from psqlpy._codecs import catalog
from psqlpy._protocol.request import Request
from psqlpy._protocol.session import Session
from psqlpy._protocol.type_lookup import TypeLookup
from psqlpy.extra_types import Multirange, Range
from psqlpy.types import Types
from tests._async.usable import ensure_usable
from tests.concurrency import AsyncGroup

pytestmark = pytest.mark.loops(1)

TYPES = """
CREATE SCHEMA {0};
CREATE TYPE {0}.mood AS ENUM ('happy', 'it''s "sad"');
CREATE DOMAIN {0}.age AS int4 CHECK (value > 0);
CREATE TYPE {0}.address AS (street text, number int4, since date, price numeric);
CREATE TYPE {0}.person AS (name text, mood {0}.mood, age {0}.age, home {0}.address, others {0}.address[], data jsonb,
    seen timestamptz, "Odd, ""n"" x" bytea);
CREATE DOMAIN {0}.resident AS {0}.address;
CREATE TABLE {0}.people (id int4, person {0}.person, moods {0}.mood[]);
"""


@pytest.fixture
async def schema(dsn: str) -> AsyncIterator[str]:
    """The name of a schema with types."""
    name = f"types_{uuid4().hex}"
    async with ConnectionPool(dsn, max_db_pool_size=1) as pool, pool.acquire() as conn:
        await conn.execute_batch(TYPES.format(name))
        yield name
        await conn.execute_batch(f"SET client_min_messages = warning; DROP SCHEMA {name} CASCADE")


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Every look-up of types that is sent from now on."""
    sent: list[Request] = []
    fly = Session.fly

    def count(session: Session, request: Request, flushed: int) -> None:
        if isinstance(request, TypeLookup):
            sent.append(request)
        fly(session, request, flushed)

    monkeypatch.setattr(Session, "fly", count)
    return sent


PREPARED = pytest.mark.parametrize("prepared", [True, False], ids=["prepared", "unprepared"])

HOME = {"street": "Élan 1, \\", "number": 5, "since": date(2020, 1, 2), "price": Decimal("1.50")}
PERSON = {
    "name": 'Robin "R" O\'Neill',
    "mood": 'it\'s "sad"',
    "age": 33,
    "home": HOME,
    "others": [HOME, None, {"street": "", "number": None, "since": None, "price": None}],
    "data": {"a": [1, None, "x"]},
    "seen": datetime(2024, 2, 29, 12, 0, 0, 1, tzinfo=timezone.utc),
    'Odd, "n" x': b"\x00\xff",
}


# Values


@PREPARED
async def test_composite_values_are_dicts(conn: Connection, schema: str, prepared: bool) -> None:
    found = await conn.fetch_row(
        f"SELECT $1::{schema}.address AS address, $2::{schema}.person AS person, $2::{schema}.person::text AS text",
        [HOME, PERSON],
        prepared,
    )
    assert found.result()["address"] == HOME
    assert found.result()["person"] == PERSON
    again = await conn.fetch_val(f"SELECT $1::{schema}.person", [found.result()["text"]], prepared)
    assert again == PERSON


@PREPARED
async def test_composite_values_are_read_from_text_too(conn: Connection, schema: str, prepared: bool) -> None:
    """Beside a type that has no binary format everything comes in text."""
    found = await conn.fetch_row(
        f"SELECT $1::{schema}.person AS person, $2::{schema}.mood AS mood, NULL::pg_node_tree AS only_text",
        [PERSON, "happy"],
        prepared,
    )
    assert found.result() == {"person": PERSON, "mood": "happy", "only_text": None}


@PREPARED
async def test_arrays_of_user_types(conn: Connection, schema: str, prepared: bool) -> None:
    found = await conn.fetch_row(
        f"SELECT $1::{schema}.mood[] a, $2::{schema}.age[] b, $3::{schema}.person[] c, $4::{schema}.address[] d",
        [[["happy"], [None]], [1, 2], [PERSON, None], [[HOME, HOME]]],
        prepared,
    )
    assert found.result() == {
        "a": [["happy"], [None]],
        "b": [1, 2],
        "c": [PERSON, None],
        "d": [[HOME, HOME]],
    }


@PREPARED
async def test_domains_are_written_as_what_they_are_made_of(
    conn: Connection, schema: str, prepared: bool
) -> None:
    found = await conn.fetch_row(
        f"SELECT $1::{schema}.age AS age, $2::{schema}.resident AS resident", [7, HOME], prepared
    )
    assert found.result() == {"age": 7, "resident": HOME}
    with pytest.raises(exceptions.IntegrityError, match="check constraint"):
        await conn.fetch_val(f"SELECT $1::{schema}.age", [-1], prepared)
    await ensure_usable(conn)


async def test_composite_values_are_taken_from_sequences(conn: Connection, schema: str) -> None:
    values = tuple(HOME.values())
    query = f"SELECT $1::{schema}.address"
    assert await conn.fetch_val(query, [values]) == HOME
    assert await conn.fetch_val(query, [list(values)]) == HOME
    # A list in a list is a dimension.
    assert await conn.fetch_val(f"SELECT $1::{schema}.address[]", [[values, values]]) == [HOME, HOME]
    # What the server parses, beside what it doesn't have to.
    assert await conn.fetch_val(query, [("x", "6", "2020-01-02", "2")]) == {
        "street": "x",
        "number": 6,
        "since": date(2020, 1, 2),
        "price": Decimal(2),
    }


async def test_rows_of_tables(conn: Connection, schema: str) -> None:
    await conn.execute(f"INSERT INTO {schema}.people VALUES ($1, $2, $3)", [1, PERSON, ["happy"]])
    found = await conn.fetch_val(f"SELECT p FROM {schema}.people p")
    assert found == {"id": 1, "person": PERSON, "moods": ["happy"]}


@PREPARED
async def test_records_are_tuples(conn: Connection, schema: str, prepared: bool) -> None:
    query = (
        f"SELECT ROW(1, 'x', NULL, 1.50, ARRAY[1, NULL]), ARRAY[ROW(1), ROW(2)], $1::{schema}.mood AS mood"
    )
    [(record, records, mood)] = (await conn.fetch(query, ["happy"], prepared)).result(as_tuple=True)
    assert record == (1, "x", None, Decimal("1.50"), [1, None])
    assert records == [(1,), (2,)]
    assert mood == "happy"


async def test_a_record_is_no_parameter(conn: Connection) -> None:
    with pytest.raises(exceptions.ParameterTypeError, match="composite type"):
        await conn.fetch_val("SELECT $1::record", [(1, 2)])
    await ensure_usable(conn)


async def test_extensions(conn: Connection) -> None:
    await conn.execute_batch(
        "CREATE EXTENSION IF NOT EXISTS hstore; CREATE EXTENSION IF NOT EXISTS citext;"
        "CREATE EXTENSION IF NOT EXISTS ltree"
    )
    pairs = {"a": "1", "": 'quo"ted\\', "null": None, "é, =>": "NULL"}
    query = "SELECT $1::hstore h, $2::citext c, $3::ltree l, $4::hstore[] a, $5::citext[] b, $6::ltree[] d"
    values = [pairs, "Ää", "Top.Science", [pairs, None, {}], ["a", None], ["Top", "Top.A"]]
    expected = dict(zip("hclabd", values, strict=True))
    for prepared in (True, False):
        assert (await conn.fetch_row(query, values, prepared)).result() == expected
        in_text = await conn.fetch_row(f"{query}, NULL::pg_node_tree t", values, prepared)
        assert in_text.result() == {**expected, "t": None}
    assert await conn.fetch_val("SELECT $1::citext = 'ABC'", ["abc"]) is True
    assert await conn.fetch_val("SELECT $1::hstore", [{"n": 1, "t": True}]) == {"n": "1", "t": "true"}


# The look-up


@PREPARED
async def test_asked_once_per_database(
    dsn: str, pool: ConnectionPool, schema: str, lookups: list[Request], prepared: bool
) -> None:
    query = f"SELECT $1::{schema}.person, $2::{schema}.address, $3::{schema}.mood[]"
    async with pool.acquire() as first, pool.acquire() as second:
        for conn in (first, first, second):
            await conn.execute(query, [PERSON, HOME, []], prepared)
        # What the types are made of is known too.
        await second.execute(f"SELECT $1::{schema}.mood", ["happy"], prepared)
        async with ConnectionPool(dsn) as another:
            await another.execute(query, [PERSON, HOME, []], prepared)
    assert len(lookups) == 1


@PREPARED
async def test_nobody_asks_about_built_in_types(
    conn: Connection, lookups: list[Request], prepared: bool
) -> None:
    await conn.execute("SELECT $1::int4, ROW(1), ARRAY[1], now(), NULL::pg_node_tree", [1], prepared)
    await conn.execute_many("SELECT $1::text", [["a"], ["b"]])
    assert lookups == []


@pytest.mark.loops(3)
async def test_concurrent_first_uses(pool: ConnectionPool, schema: str) -> None:
    async with AsyncGroup() as group:
        calls = [
            group.start(pool.fetch_val, f"SELECT $1::{schema}.person -- {number % 2}", [PERSON])
            for number in range(8)
        ]
    assert [call.result() for call in calls] == [PERSON] * 8


async def test_statements_behind_a_first_use(conn: Connection, schema: str) -> None:
    """They are held back, in order."""
    async with AsyncGroup() as group:
        first = group.start(conn.fetch_val, f"SELECT $1::{schema}.mood", ["happy"])
        others = [group.start(conn.fetch_val, "SELECT $1::int4", [number]) for number in range(5)]
    assert first.result() == "happy"
    assert [call.result() for call in others] == list(range(5))


@PREPARED
async def test_in_a_transaction(conn: Connection, schema: str, prepared: bool) -> None:
    async with conn.transaction() as transaction:
        found = await transaction.fetch_val(f"SELECT $1::{schema}.person", [PERSON], prepared)
        await transaction.execute(f"INSERT INTO {schema}.people (person) VALUES ($1)", [PERSON], prepared)
    assert found == PERSON
    assert await conn.fetch_val(f"SELECT person FROM {schema}.people") == PERSON


@PREPARED
async def test_types_of_the_same_transaction(conn: Connection, schema: str, prepared: bool) -> None:
    async with conn.transaction() as transaction:
        await transaction.execute(f"CREATE TYPE {schema}.pair AS (a int4, b int4)")
        query = f"SELECT $1::{schema}.pair"
        assert await transaction.fetch_val(query, [(1, 2)], prepared) == {"a": 1, "b": 2}


async def test_with_an_empty_search_path(conn: Connection, schema: str) -> None:
    await conn.execute("SET search_path = ''")
    assert await conn.fetch_val(f"SELECT $1::{schema}.person", [PERSON]) == PERSON


async def test_in_execute_many(conn: Connection, schema: str) -> None:
    rows = [[number, PERSON, ["happy", None]] for number in range(100)]
    await conn.execute_many(f"INSERT INTO {schema}.people VALUES ($1, $2, $3)", rows)
    found = await conn.fetch(f"SELECT * FROM {schema}.people ORDER BY id")
    assert found.result(as_tuple=True) == [(*row,) for row in rows]


@PREPARED
async def test_a_type_made_again(pool: ConnectionPool, schema: str, prepared: bool) -> None:
    """Under another oid, with other attributes, on connections that know statements with the old one."""
    query = f"SELECT $1::{schema}.pair"
    async with pool.acquire() as conn:
        await conn.execute(f"CREATE TYPE {schema}.pair AS (a int4, b int4)")
        assert await conn.fetch_val(query, [(1, 2)], prepared) == {"a": 1, "b": 2}
        async with pool.acquire() as other:
            await other.execute_batch(f"DROP TYPE {schema}.pair; CREATE TYPE {schema}.pair AS (c text)")
        assert await conn.fetch_val(query, [{"c": "x"}], prepared) == {"c": "x"}


@PREPARED
async def test_a_look_up_that_fails(
    conn: Connection, schema: str, monkeypatch: pytest.MonkeyPatch, prepared: bool
) -> None:
    """Values come as text, and are written as text; a transaction goes on."""
    for number, question in enumerate((b"SELECT 1/0", b"SELECT", b"SELECT WHERE false", b"nonsense")):
        monkeypatch.setattr(catalog, "question", lambda types, version, known, question=question: question)
        # Each with a type that nobody has asked about.
        await conn.execute(f"CREATE TYPE {schema}.like{number} AS (street text, number int4)")
        query = f"SELECT $1::{schema}.like{number}"
        async with conn.transaction() as transaction:
            assert await transaction.fetch_val(query, ["(x,1)"], prepared) == "(x,1)"
            await transaction.execute(f"INSERT INTO {schema}.people (id) VALUES ({number})")
        assert await conn.fetch_val(query, ["(x,1)"], prepared) == "(x,1)"
        await ensure_usable(conn)
    assert await conn.fetch_val(f"SELECT count(*) FROM {schema}.people") == 4


@PREPARED
async def test_after_a_passing_failure_it_is_asked_again(
    conn: Connection, schema: str, monkeypatch: pytest.MonkeyPatch, prepared: bool
) -> None:
    await conn.execute_batch(
        f"CREATE FUNCTION {schema}.fail() RETURNS int LANGUAGE plpgsql AS "
        "$$BEGIN RAISE 'canceled' USING ERRCODE = '57014'; END$$"
    )
    question = catalog.question
    monkeypatch.setattr(catalog, "question", lambda types, version, known: f"SELECT {schema}.fail()".encode())
    query = f"SELECT ROW('x', 1, NULL, NULL)::{schema}.address"
    assert await conn.fetch_val(query, None, prepared) == "(x,1,,)"
    monkeypatch.setattr(catalog, "question", question)
    assert await conn.fetch_val(query, None, prepared) == {
        "street": "x",
        "number": 1,
        "since": None,
        "price": None,
    }


@pytest.mark.loops(3)
@PREPARED
async def test_a_timeout_during_the_look_up(
    conn: Connection, schema: str, monkeypatch: pytest.MonkeyPatch, prepared: bool
) -> None:
    question = catalog.question
    monkeypatch.setattr(catalog, "question", lambda types, version, known: b"SELECT pg_sleep(3600)")
    with pytest.raises(exceptions.QueryTimeoutError):
        await conn.fetch_val(f"SELECT $1::{schema}.mood", ["happy"], prepared, timeout=0.1)
    async with conn.transaction() as transaction:
        await transaction.execute("SELECT 1")
        with pytest.raises(exceptions.QueryTimeoutError):
            await transaction.fetch_val(f"SELECT $1::{schema}.mood", ["happy"], prepared, timeout=0.1)
        await transaction.rollback()
    monkeypatch.setattr(catalog, "question", question)
    assert await conn.fetch_val(f"SELECT $1::{schema}.address", [HOME], prepared) == HOME
    await ensure_usable(conn)


# What isn't taken


UNFIT: list[tuple[Any, type[Exception], str]] = [
    ({"street": "x"}, exceptions.ParameterValueError, "'number' is missing"),
    ({**HOME, "sreet": "x"}, exceptions.ParameterValueError, "'sreet' is unknown"),
    (("x", 1), exceptions.ParameterValueError, "4 attributes, 2 values"),
    (5, exceptions.ParameterTypeError, "int for address"),
    ({**HOME, "number": 2**31}, exceptions.ParameterValueError, 'attribute "number": .*out of range'),
    ({**HOME, "number": 1.5}, exceptions.ParameterTypeError, 'attribute "number"'),
    ({**HOME, "since": 5}, exceptions.ParameterTypeError, 'attribute "since"'),
    ({**HOME, "street": "\0"}, exceptions.ParameterValueError, 'attribute "street": .*NUL'),
    ("(x,y,,)", exceptions.ParameterValueError, "invalid input syntax for type integer"),
]


@PREPARED
async def test_values_that_do_not_fit(conn: Connection, schema: str, prepared: bool) -> None:
    for value, error, message in UNFIT:
        with pytest.raises(error, match=message):
            await conn.fetch_val(f"SELECT $1::{schema}.address", [value], prepared)
        await ensure_usable(conn)


async def test_labels_that_are_none(conn: Connection, schema: str) -> None:
    with pytest.raises(exceptions.ParameterValueError, match="invalid input value for enum"):
        await conn.fetch_val(f"SELECT $1::{schema}.mood", ["cheerful"])
    await ensure_usable(conn)


# psqlpy.types


class Mood(Enum):
    GOOD = "happy"
    BAD = 'it\'s "sad"'


class Address:
    def __init__(self, street: str, number: int, since: date, price: Decimal) -> None:
        self.street = street
        self.number = number
        self.since = since
        self.price = price

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and vars(self) == vars(other)


async def test_registered_classes(dsn: str, schema: str) -> None:
    types = Types()
    types.enum("mood", Mood)
    types.composite(f"{schema}.address", Address)
    home = Address("x", 1, date(2020, 1, 1), Decimal(3))
    person = {**PERSON, "mood": Mood.BAD, "home": home, "others": [home, None]}
    query = (
        f"SELECT $1::{schema}.mood m, $2::{schema}.mood[] ms, $3::{schema}.address a, $4::{schema}.person p"
    )
    async with ConnectionPool(dsn, types=types) as pool:
        for prepared in (True, False):
            found = await pool.fetch_row(query, [Mood.GOOD, [Mood.BAD, None], home, person], prepared)
            assert found.result() == {"m": Mood.GOOD, "ms": [Mood.BAD, None], "a": home, "p": person}
            in_text = await pool.fetch_row(
                f"{query}, NULL::pg_node_tree", ["happy", [], HOME, person], prepared
            )
            assert in_text.result()["m"] is Mood.GOOD
            assert in_text.result()["p"] == person
        with pytest.raises(exceptions.ParameterTypeError, match="UUID for mood"):
            await pool.fetch_val(f"SELECT $1::{schema}.mood", [uuid4()])


async def test_other_pools_know_nothing_of_them(dsn: str, pool: ConnectionPool, schema: str) -> None:
    types = Types()
    types.enum("mood", Mood)
    async with ConnectionPool(dsn, types=types) as own:
        query = f"SELECT $1::{schema}.mood"
        assert await own.fetch_val(query, [Mood.GOOD]) is Mood.GOOD
        assert await pool.fetch_val(query, [Mood.GOOD]) == "happy"


async def test_enum_by_name(dsn: str, schema: str) -> None:
    class Size(str, Enum):
        small = "S"
        large = "L"

    types = Types()
    types.enum("size", Size, by_name=True)
    async with ConnectionPool(dsn, types=types) as pool:
        await pool.execute(f"CREATE TYPE {schema}.size AS ENUM ('small', 'large', 'huge')")
        query = f"SELECT $1::{schema}.size"
        assert await pool.fetch_val(query, [Size.large]) is Size.large
        assert await pool.fetch_val(f"SELECT $1::{schema}.size[]", [[Size.small]]) == [Size.small]
        with pytest.raises(exceptions.DataError, match="Size has no member for 'huge'"):
            await pool.fetch_val(query, ["huge"])


async def test_composite_by_functions(dsn: str, schema: str) -> None:
    types = Types()
    types.composite(
        "address",
        complex,
        make=lambda attributes: complex(attributes["number"], 0),
        fields=lambda value: ("", int(value.real), None, None),
    )
    async with ConnectionPool(dsn, types=types) as pool:
        assert await pool.fetch_val(f"SELECT $1::{schema}.address", [7 + 0j]) == 7 + 0j


async def test_a_codec_of_ones_own(dsn: str, schema: str) -> None:
    types = Types(uuid_as_object=True, json_loads=lambda text: ("json", text))
    types.codec(
        "age",
        from_text=lambda text: ("years", int(text)),
        to_text=lambda value: str(value[1]),
        accepts=tuple,
    )
    types.codec(
        "point",
        from_text=lambda text: complex(*map(float, text[1:-1].split(","))),
        to_text=lambda value: f"({value.real},{value.imag})",
        accepts=complex,
    )
    types.codec("text", from_text=str.upper, from_binary=lambda data: data.decode().upper())
    async with ConnectionPool(dsn, types=types) as pool:
        query = (
            f"SELECT $1::point p, $2::point[] ps, $3::{schema}.age::int4 a, $4::uuid u, '[1]'::json j, 'x' t"
        )
        uuid = uuid4()
        found = await pool.fetch_row(query, [1 + 2j, [3j, None], ("years", 3), uuid])
        assert found.result() == {
            "p": 1 + 2j,
            "ps": [3j, None],
            "a": 3,
            "u": uuid,
            "j": ("json", "[1]"),
            "t": "X",
        }
        assert isinstance(found.result()["u"], UUID)
        with pytest.raises(exceptions.ParameterTypeError, match="int for point"):
            await pool.fetch_val("SELECT $1::point", [5])
        with pytest.raises(exceptions.ParameterTypeError, match="only a str"):
            await pool.fetch_val("SELECT $1::text", [5])


async def test_types_are_complete_when_a_pool_is_made(dsn: str) -> None:
    types = Types()
    async with ConnectionPool(dsn, types=types):
        with pytest.raises(exceptions.ConnectionPoolConfigurationError, match="comes too late"):
            types.enum("mood", Mood)
    with pytest.raises(exceptions.ConnectionPoolConfigurationError, match="must be a psqlpy.types.Types"):
        ConnectionPool(dsn, types={"mood": Mood})  # type: ignore[arg-type]


# What other families make of them


@PREPARED
async def test_ranges_of_user_types(conn: Connection, schema: str, prepared: bool) -> None:
    await conn.execute_batch(
        f"CREATE TYPE {schema}.moods AS RANGE (subtype = {schema}.mood, multirange_type_name = {schema}.many_moods);"
        f"CREATE TYPE {schema}.period AS (during daterange, price numeric, parts int4multirange)"
    )
    query = f"SELECT $1::{schema}.moods a, $2::{schema}.many_moods b, $3::{schema}.moods[] c, $4::{schema}.period d"
    one = Range("happy", 'it\'s "sad"', "[]")
    period = {
        "during": Range(date(2020, 1, 1), None),
        "price": Decimal(1),
        "parts": Multirange([Range(1, 2), Range(5, None)]),
    }
    found = await conn.fetch_row(query, [one, Multirange([one]), [one, None], period], prepared)
    assert found.result() == {"a": one, "b": Multirange([one]), "c": [one, None], "d": period}
    in_text = await conn.fetch_row(
        f"{query}, NULL::pg_node_tree", [one, Multirange([]), [], period], prepared
    )
    assert in_text.result()["d"] == period


async def test_a_policy_for_dates_holds_in_composite_types(dsn: str, schema: str) -> None:
    async with ConnectionPool(dsn, types=Types(out_of_range_dates="clamp")) as pool:
        query = f"SELECT ROW('', 1, 'infinity', 0)::{schema}.address"
        assert (await pool.fetch_val(query))["since"] == date.max
