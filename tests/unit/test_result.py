"""Results, records and row factories on stand-ins for libpq's result and for the plan that decodes it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from psqlpy._record import Record, record_type
from psqlpy._result import QueryResult, SingleQueryResult
from psqlpy.exceptions import DataError
from psqlpy.row_factories import class_row, tuple_row

BAD = object()


class FakeResult:
    """Cells as Python values; on the wire they are their repr."""

    def __init__(self, rows: list[tuple[Any, ...]], command_tag: str, affected_count: int | None) -> None:
        self.rows = rows
        self.row_count = len(rows)
        self.command_tag = command_tag
        self.affected_count = affected_count

    def value_bytes(self, row: int, column: int) -> bytes | None:
        value = self.rows[row][column]
        return None if value is None else repr(value).encode()


class FakePlan:
    def __init__(self, *columns: tuple[str, str]) -> None:
        self.names = tuple(name for name, _ in columns)
        self.type_names = tuple(type_name for _, type_name in columns)
        self.seen: list[tuple[int, int]] = []

    def value(self, result: FakeResult, row: int, column: int) -> Any:
        self.seen.append((row, column))
        value = result.rows[row][column]
        if value is BAD:
            raise DataError(f"can't decode row {row}, column {column} <&>")
        return value

    def tuples(self, result: FakeResult, start: int = 0, stop: int | None = None) -> list[tuple[Any, ...]]:
        assert self.names, "a plan without columns has nothing to decode"
        rows = range(len(result.rows))[start:stop]
        return [tuple(self.value(result, row, column) for column in range(len(self.names))) for row in rows]

    def dicts(self, result: FakeResult, start: int = 0, stop: int | None = None) -> list[dict[str, Any]]:
        return [dict(zip(self.names, row, strict=True)) for row in self.tuples(result, start, stop)]

    def records(self, result: FakeResult) -> list[Record]:
        return list(map(record_type(self.names), self.tuples(result)))

    def row_dict(self, result: FakeResult, row: int = 0) -> dict[str, Any]:
        return self.dicts(result, row, row + 1)[0]


def fake_select(rows: list[tuple[Any, ...]], *columns: tuple[str, str]) -> tuple[FakeResult, FakePlan]:
    return FakeResult(rows, f"SELECT {len(rows)}", len(rows)), FakePlan(*columns)


PEOPLE: list[tuple[Any, ...]] = [(1, "Ada"), (2, None), (3, "Grace")]
PEOPLE_COLUMNS = (("id", "int4"), ("Name", "text"))


def people() -> QueryResult:
    return QueryResult(*fake_select(PEOPLE, *PEOPLE_COLUMNS))


class Person:
    def __init__(self, id: int, Name: str | None) -> None:
        self.fields = (id, Name)


# Shapes


def test_rows_as_dicts_and_tuples() -> None:
    result = people()
    assert result.result() == [
        {"id": 1, "Name": "Ada"},
        {"id": 2, "Name": None},
        {"id": 3, "Name": "Grace"},
    ]
    assert result.result(as_tuple=True) == PEOPLE
    assert result.result(None, True) == PEOPLE
    for as_tuple in (True, False):
        assert isinstance(result.result(as_tuple=as_tuple)[0], tuple if as_tuple else dict)
    assert list(result) == result.result()
    assert len(result) == 3
    assert (result.rowcount, result.command_tag) == (3, "SELECT 3")
    assert result.columns == PEOPLE_COLUMNS


def test_rows_as_classes_and_by_factories() -> None:
    result = people()
    assert [person.fields for person in result.as_class(Person)] == PEOPLE
    assert [person.fields for person in result.row_factory(class_row(Person))] == PEOPLE
    assert result.row_factory(tuple_row)[0] == (("id", 1), ("Name", "Ada"))


def test_one_row_in_all_shapes() -> None:
    raw, plan = fake_select(PEOPLE, *PEOPLE_COLUMNS)
    single = SingleQueryResult(raw, plan, 2)
    assert single.result() == {"id": 3, "Name": "Grace"}
    assert single.result(as_tuple=True) == (3, "Grace")
    assert single.record()["Name"] == "Grace"
    assert single.as_class(Person).fields == (3, "Grace")
    assert single.row_factory(tuple_row) == (("id", 3), ("Name", "Grace"))
    assert {row for row, _ in plan.seen} == {2}
    assert SingleQueryResult(raw, plan).result(as_tuple=True) == (1, "Ada")


def test_each_call_decodes_anew() -> None:
    raw, plan = fake_select(PEOPLE, *PEOPLE_COLUMNS)
    result = QueryResult(raw, plan)
    assert plan.seen == []
    assert result.result() == result.result()
    assert len(plan.seen) == 12
    result.result()[0]["id"] = 100
    assert result.result()[0]["id"] == 1


def test_statement_without_rows() -> None:
    result = QueryResult(FakeResult([], "CREATE TABLE", None), FakePlan())
    for rows in (result.result(), result.result(as_tuple=True), result.records(), list(result)):
        assert rows == []
    assert (len(result), result.rowcount, result.columns) == (0, -1, ())
    assert bool(result) is True
    assert QueryResult(FakeResult([], "INSERT 0 3", 3), FakePlan()).rowcount == 3


def test_select_without_columns() -> None:
    raw, plan = fake_select([(), ()])
    result = QueryResult(raw, plan)
    assert result.result() == [{}, {}]
    assert result.result({"a": bytes}) == [{}, {}]
    assert result.result(as_tuple=True) == [(), ()]
    assert result.records() == [(), ()]
    assert repr(result.records()[0]) == "<Record>"
    assert SingleQueryResult(raw, plan, 1).result() == {}


def test_of_columns_with_one_name_dicts_have_the_last() -> None:
    result = QueryResult(*fake_select([(1, 2)], ("a", "int4"), ("a", "int4")))
    assert result.result() == result.result({"b": bytes}) == [{"a": 2}]
    assert result.result(as_tuple=True) == [(1, 2)]
    record = result.records()[0]
    assert (record["a"], record.keys(), record.items()) == (2, ["a", "a"], [("a", 1), ("a", 2)])
    assert dict(record) == {"a": 2}


def test_iteration_passes_the_end_of_a_chunk() -> None:
    rows = [(number,) for number in range(2001)]
    result = QueryResult(*fake_select(rows, ("n", "int4")))
    assert [row["n"] for row in result] == list(range(2001))


# Custom decoders


@pytest.mark.parametrize("key", ["Name", "name"])
def test_custom_decoder_is_found_by_exact_and_by_lower_case_name(key: str) -> None:
    decoders: dict[str, Callable[[bytes], Any]] = {key: bytes.upper}
    result = people()
    assert [row["Name"] for row in result.result(decoders)] == [b"'ADA'", None, b"'GRACE'"]
    assert result.result(decoders, as_tuple=True) == [(1, b"'ADA'"), (2, None), (3, b"'GRACE'")]
    assert result.row_factory(dict, decoders)[0] == {"id": 1, "Name": b"'ADA'"}
    fields: tuple[Any, ...] = result.as_class(Person, decoders)[2].fields
    assert fields == (3, b"'GRACE'")


def test_the_exact_name_goes_first_and_unknown_names_are_ignored() -> None:
    decoders: dict[str, Callable[[bytes], Any]] = {
        "name": lambda raw: "lower",
        "Name": lambda raw: "exact",
        "zz": bytes,
    }
    assert people().result(decoders)[0] == {"id": 1, "Name": "exact"}
    assert people().result({"NAME": bytes}) == people().result()


def test_custom_decoder_of_one_row_gets_that_row() -> None:
    single = SingleQueryResult(*fake_select(PEOPLE, *PEOPLE_COLUMNS), 2)
    assert single.result({"name": bytes.decode}) == {"id": 3, "Name": "'Grace'"}
    assert single.result({"name": bytes.decode}, as_tuple=True) == (3, "'Grace'")
    assert single.row_factory(dict, {"id": int}) == {"id": 3, "Name": "Grace"}


def test_custom_decoder_helps_where_the_plan_can_not_decode() -> None:
    result = QueryResult(*fake_select([(1, BAD), (2, BAD)], ("a", "int4"), ("b", "date")))
    with pytest.raises(DataError, match="row 0, column 1"):
        result.result()
    assert result.result({"b": lambda raw: "mine"}) == [{"a": 1, "b": "mine"}, {"a": 2, "b": "mine"}]
    with pytest.raises(DataError, match="row 0, column 1"):
        result.result({"a": int})


@pytest.mark.parametrize("error", [DataError("mine"), KeyError("mine"), ZeroDivisionError()])
def test_what_callables_raise_is_passed_on(error: Exception) -> None:
    calls = []

    def fail(*arguments: object, **keywords: object) -> None:
        calls.append(arguments)
        raise error

    result = people()
    for call in (
        lambda: result.result({"id": fail}),
        lambda: result.row_factory(fail),
        lambda: result.as_class(fail),
    ):
        with pytest.raises(type(error)) as caught:
            call()
        assert caught.value is error
    assert len(calls) == 3


# Records


def record(**values: Any) -> Record:
    return record_type(tuple(values))(values.values())


def test_record_by_position_name_and_slice() -> None:
    row = record(a=1, b="x", c=None)
    assert (row[0], row[-1], row["b"], row[True]) == (1, None, "x", "x")
    assert row[0:2] == [1, "x"]
    assert row[::-1] == [None, "x", 1]
    assert isinstance(row[:], list)
    assert len(row) == 3


def test_record_as_a_mapping() -> None:
    row = record(a=1, keys="x")
    assert (row.keys(), row.values(), row.items()) == (["a", "keys"], [1, "x"], [("a", 1), ("keys", "x")])
    assert dict(row) == {"a": 1, "keys": "x"}
    assert {**row} == {"a": 1, "keys": "x"}
    assert (row.get("a"), row.get("zz"), row.get("zz", 5)) == (1, None, 5)
    assert record(a=None).get("a", 5) is None


def test_record_as_a_tuple() -> None:
    row = record(a=1, b="x")
    assert row == (1, "x")
    assert hash(row) == hash((1, "x"))
    assert row in {(1, "x")}
    assert list(row) == [1, "x"]
    assert "x" in row and "a" in row and "zz" not in row
    assert row < (2, "")
    first, second = row
    assert (first, second) == (1, "x")


def test_record_errors() -> None:
    row = record(a=1)
    with pytest.raises(IndexError, match=r"^record index 9 out of range$"):
        row[9]
    with pytest.raises(IndexError, match=r"^record index -2 out of range$"):
        row[-2]
    with pytest.raises(KeyError) as caught:
        row["zz"]
    assert caught.value.args == ("zz",)
    with pytest.raises(TypeError, match="record key must be an int, a slice or a str, not float"):
        row[1.0]  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        row[0] = 5  # type: ignore[index]


def test_record_repr_copy_and_pickle() -> None:
    row = record(a=1, b="x")
    assert repr(row) == "<Record a: 1, b: 'x'>"
    for other in (copy.copy(row), copy.deepcopy(row), pickle.loads(pickle.dumps(row))):
        assert isinstance(other, Record)
        assert other == row and other["b"] == "x"


def test_records_of_a_result() -> None:
    rows = people().records()
    assert rows == PEOPLE
    assert [row["Name"] for row in rows] == ["Ada", None, "Grace"]
    assert all(isinstance(row, Record) for row in rows)


# What a notebook and a terminal show


def test_repr_shows_state_and_is_bounded() -> None:
    assert repr(people()) == "<QueryResult SELECT 3 rows=3 columns=(id int4, Name text)>"
    single = SingleQueryResult(*fake_select(PEOPLE, *PEOPLE_COLUMNS))
    assert repr(single) == "<SingleQueryResult SELECT 3 columns=(id int4, Name text)>"
    assert repr(QueryResult(FakeResult([], "INSERT 0 3", 3), FakePlan())) == "<QueryResult INSERT 0 3>"
    assert repr(QueryResult(FakeResult([], "", None), FakePlan())) == "<QueryResult>"
    wide = QueryResult(*fake_select([], *((f"column_{number}", "int4") for number in range(1600))))
    assert len(repr(wide)) <= 200
    assert repr(wide).endswith("more)>") and "column_0 int4, column_1 int4" in repr(wide)
    odd = QueryResult(*fake_select([], ("a\nb", "text")))
    assert "\n" not in repr(odd)


def test_repr_decodes_nothing() -> None:
    raw, plan = fake_select([(BAD,)], ("a", "text"))
    assert "rows=1" in repr(QueryResult(raw, plan))
    assert plan.seen == []


def test_html_is_bounded_and_decodes_only_what_it_shows() -> None:
    names = [(f"c{number}", "int4") for number in range(45)]
    raw, plan = fake_select([tuple(range(row, row + 45)) for row in range(3000)], *names)
    html = QueryResult(raw, plan)._repr_html_()
    assert "first 20 of 3,000 rows" in html
    assert "first 30 of 45 columns (15 more)" in html
    assert html.count("<tr>") == 21 and html.count("<th ") == 30 and html.count("<td ") == 600
    assert set(plan.seen) == {(row, column) for row in range(20) for column in range(30)}
    assert len(plan.seen) == 600


@pytest.mark.parametrize(
    ("count", "caption"), [(0, ">no rows<"), (1, ">1 row<"), (20, ">20 rows<"), (21, "first 20 of 21 rows")]
)
def test_html_caption(count: int, caption: str) -> None:
    result = QueryResult(*fake_select([(1,)] * count, ("a", "int4")))
    assert caption in result._repr_html_()
    assert "column" not in result._repr_html_()


def test_html_consumes_nothing() -> None:
    result = people()
    html = result._repr_html_()
    assert html == result._repr_html_()
    rows = result.result()
    assert result._repr_html_() == html
    assert result.result() == rows


def test_html_cuts_cells() -> None:
    rows: list[tuple[Any, ...]] = [("x" * 100, "y" * 101, b"\0" * 10_000_000, "<" * 500)]
    columns = [("a", "text"), ("b", "text"), ("c", "bytea"), ("d" * 200, "text")]
    html = QueryResult(*fake_select(rows, *columns))._repr_html_()
    assert ">" + "x" * 100 + "<" in html
    assert ">" + "y" * 100 + "…<" in html
    assert ">" + "&lt;" * 100 + "…<" in html
    assert ">" + "d" * 100 + "…<" in html
    assert len(html) < 3000


def test_html_escapes_everything() -> None:
    evil = "<script>alert('\"')</script>&"
    result = QueryResult(*fake_select([(evil, [evil]), (BAD, None)], (evil, evil), ("b", "text[]")))
    html = result._repr_html_()
    assert "<script" not in html and "'\"'" not in html
    assert html.count("&lt;script&gt;alert(") == 4
    assert "column 0 &lt;&amp;&gt;" in html
    tag = QueryResult(FakeResult([], evil, None), FakePlan())._repr_html_()
    assert "<script" not in tag


def test_html_tells_null_from_its_name() -> None:
    html = QueryResult(*fake_select([(None,), ("NULL",), ("",)], ("a", "text")))._repr_html_()
    assert html.count(">NULL</em></td>") == 1
    assert html.count('pre-wrap">NULL</td>') == 1
    assert html.count('pre-wrap"></td>') == 1


def test_html_shows_a_cell_that_can_not_be_decoded() -> None:
    class Rude:
        def __str__(self) -> str:
            raise ZeroDivisionError

    html = QueryResult(
        *fake_select([(1, BAD), (2, Rude()), (3, "x")], ("a", "int4"), ("b", "text"))
    )._repr_html_()
    assert html.count(">can't be decoded<") == 2
    assert ">1<" in html and ">2<" in html and ">x<" in html


def test_html_aligns_numbers_right() -> None:
    row = (1, Decimal("1.50"), "x")
    html = QueryResult(*fake_select([row], ("a", "int4"), ("b", "numeric"), ("c", "text")))._repr_html_()
    assert html.count('<th style="text-align:right') == html.count('<td style="text-align:right') == 2
    assert html.count('<td style="text-align:left') == 1
    assert ">1.50<" in html and ">numeric<" in html


def test_html_of_one_row_and_of_a_statement_without_rows() -> None:
    raw, plan = fake_select(PEOPLE, *PEOPLE_COLUMNS)
    html = SingleQueryResult(raw, plan, 2)._repr_html_()
    assert ">Grace<" in html and ">Ada<" not in html
    assert html.count("<td ") == 2 and set(plan.seen) == {(2, 0), (2, 1)}
    assert (
        QueryResult(FakeResult([], "CREATE TABLE", None), FakePlan())._repr_html_()
        == "<code>CREATE TABLE</code>"
    )
    assert "empty statement" in QueryResult(FakeResult([], "", None), FakePlan())._repr_html_()
