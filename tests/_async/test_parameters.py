"""Parameters as callers give them: sequences for `$1`, mappings for `$(name)p`."""

from __future__ import annotations

from collections import OrderedDict
from types import MappingProxyType
from typing import Any

import pytest

from psqlpy import Connection, exceptions
from tests._async.usable import ensure_usable

pytestmark = pytest.mark.loops(1)


@pytest.mark.parametrize("prepared", [True, False])
async def test_sequences(conn: Connection, prepared: bool) -> None:
    given: list[Any] = [[1, 2], (1, 2), range(1, 3)]
    for parameters in given:
        row = await conn.fetch_row("SELECT $1::int4 AS a, $2::int4 AS b", parameters, prepared)
        assert row.result() == {"a": 1, "b": 2}
    await ensure_usable(conn)


@pytest.mark.parametrize("prepared", [True, False])
async def test_mappings(conn: Connection, prepared: bool) -> None:
    query = "SELECT $(a)p::int4 AS a, $(b)p::text AS b, $(a)p::int4 + 1 AS c"
    values: dict[str, Any] = {"b": "x", "a": 1, "not named": object()}
    given: list[Any] = [values, MappingProxyType(values), OrderedDict(values)]
    for parameters in given:
        row = await conn.fetch_row(query, parameters, prepared)
        assert row.result() == {"a": 1, "b": "x", "c": 2}
    # A sequence goes by their first appearance.
    assert (await conn.fetch_row(query, [1, "x"], prepared)).result() == {"a": 1, "b": "x", "c": 2}
    await ensure_usable(conn)


@pytest.mark.parametrize("prepared", [True, False])
async def test_placeholders_are_not_found_in_literals_and_comments(conn: Connection, prepared: bool) -> None:
    query = """SELECT '$(a)p' AS l, $$ $(a)p $$ AS d, E'\\'$(a)p' AS e, $(a)p::int4 AS "$(a)p" -- $(b)p
        /* $(c)p /* $(d)p */ */"""
    row = await conn.fetch_row(query, {"a": 5}, prepared)
    assert row.result() == {"l": "$(a)p", "d": " $(a)p ", "e": "'$(a)p", "$(a)p": 5}
    await ensure_usable(conn)


@pytest.mark.parametrize("prepared", [True, False])
async def test_names_that_do_not_match(conn: Connection, prepared: bool) -> None:
    refused: list[tuple[str, Any, str]] = [
        ("SELECT $(a)p::int4", {"b": 1}, "cannot find parameter with name <a>"),
        ("SELECT $(a)p::int4", {"A": 1}, "<a>"),
        ("SELECT $( a)p::int4", {"a": 1}, "< a>"),
        ("SELECT $(a)p::int4", {}, "<a>"),
        ("SELECT $(a)p::int4", [1, 2], "names 1 parameters, but 2 values"),
        ("SELECT $(a)p::int4", None, "names 1 parameters, but 0 values"),
        ("SELECT $(a)p::int4, $1::int4", {"a": 1}, "both"),
        ("SELECT $1::int4", {"a": 1}, "no named placeholders"),
        ("SELECT 1", {}, "no named placeholders"),
    ]
    for query, parameters, said in refused:
        with pytest.raises(exceptions.PyToRustValueMappingError, match=said):
            await conn.execute(query, parameters, prepared)
        await ensure_usable(conn)
