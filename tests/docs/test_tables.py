"""What tables in the pages name is there."""

from __future__ import annotations

import re
from typing import Any

import psqlpy
from psqlpy import exceptions, extra_types, sync
from psqlpy._codecs.registry import Registry, default_registry
from tests.docs.pages import ROOT

DOCS = ROOT / "docs"


def test_the_switches_are_those_that_there_are() -> None:
    text = (DOCS / "types.md").read_text(encoding="utf-8")
    section = text[text.index("## Switches") : text.index("## Wrappers")]
    for keyword in re.findall(r"`(\w+)=", section):
        values = {"uuid_as_object": True, "money_digits": 2, "out_of_range_dates": "clamp"}
        arguments: dict[str, Any] = {keyword: values.get(keyword, str)}
        Registry(default_registry, **arguments)
    assert "out_of_range_dates=" in section


def test_exceptions_are_of_the_families_that_the_page_puts_them_in() -> None:
    text = (DOCS / "exceptions.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+Error)` \| (.+?) \|", text, re.MULTILINE)
    assert len(rows) == 6
    for family, members in rows:
        for name in re.findall(r"`(\w+)`", members):
            assert issubclass(getattr(exceptions, name), getattr(exceptions, family)), name
    for name in re.findall(r"`(\w+Error|[A-Z]\w+(?:Violation|Table|Detected))`", text):
        assert hasattr(exceptions, name) or name in ("ValueError", "TypeError", "TimeoutError"), name


def test_whatever_was_tried_names_the_test_that_shows_it() -> None:
    """Each part of the page on reliability has a table for that, and what its rows name is there."""
    text = (DOCS / "reliability.md").read_text(encoding="utf-8")
    targets = set(
        re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    sections = {section.partition("\n")[0]: section for section in text.split("\n## ")[1:]}
    assert sections.keys() >= {"Poolers", "Memory safety", "Security"}
    for title, section in sections.items():
        directory, named = "", 0
        for name in re.findall(r"`([\w/]+\.py)`", section):
            directory = name.rpartition("/")[0] or directory
            assert (ROOT / directory / name.rpartition("/")[2]).is_file(), (title, name)
            named += 1
        for command in re.findall(r"`make ([a-z0-9-]+)", section):
            assert command in targets, (title, command)
        assert named, title
        # A table whose last column says what shows it has that in each row.
        for table in re.findall(r"^\|.*\| (?:by|test) \|\n\|[-|]+\|\n((?:\|.*\n?)+)", section, re.MULTILINE):
            for row in table.splitlines():
                shown = row.rstrip("| ").rpartition("|")[2]
                assert re.search(r"test_\w+\.py|make ", shown) or "untested" in row, row


def test_names_of_both_generations_are_there() -> None:
    text = (DOCS / "coming-from.md").read_text(encoding="utf-8")
    table = text[text.index("| 0.7 and 0.8 |") : text.index("New here:")]
    owners = {
        "pool": psqlpy.ConnectionPool,
        "connection": psqlpy.Connection,
        "cursor": psqlpy.Cursor,
        "result": psqlpy.QueryResult,
        "exceptions": exceptions,
    }
    places = (psqlpy, exceptions, extra_types, *owners.values())
    names = re.findall(r"`(?:(\w+)\.)?(\w+)", table)
    assert len(names) > 50
    for owner, name in names:
        assert any(hasattr(place, name) for place in ([owners[owner]] if owner else places)), name


def test_methods_that_the_connection_page_names_are_there() -> None:
    text = (DOCS / "connection.md").read_text(encoding="utf-8")
    section = text[text.index("| method | executes") : text.index("Parameters are never")]
    rows = re.findall(r"^\| (`.+?) \| (.+?) \|", section, re.MULTILINE)
    assert len(rows) > 8
    for methods, what in rows:
        for name in re.findall(r"`(\w+)`", methods):
            for module in (psqlpy, sync):
                assert hasattr(module.Connection, name) and hasattr(module.Transaction, name)
                assert hasattr(module.ConnectionPool, name) is ("not on the pool" not in what), name
    about = text[text.index("## About") :]
    for name in re.findall(r"`(?:await )?(\w+)(?:\(\w*\))?`", about.split("What happens")[0]):
        assert hasattr(psqlpy.Connection, name) or name in ("pg_stat_activity", "TimeZone"), name
