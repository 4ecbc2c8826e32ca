"""The reference shows every public name, and nothing that only psqlpy's own modules call."""

from __future__ import annotations

import inspect
import re

import pytest

import psqlpy
from psqlpy import embedded, exceptions, sync, types
from psqlpy._async.copy_out import CopyOut
from psqlpy._async.kept import KeptConnection
from psqlpy._async.stream import RowStream
from tests.docs.pages import ROOT

SHOWN = {
    name
    for page in (ROOT / "docs" / "reference").glob("*.md")
    for name in re.findall(r"^::: ([\w.]+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
}
# Those whose page speaks of them in words.
IN_WORDS = {"__version__", "capabilities", "connect", "connect_pool", "Error"}
MODULES = {"embedded", "exceptions", "extra_types", "row_factories", "types"}
HIDDEN = {
    name
    for names in re.findall(r'"!\^\((.+)\)\$"', (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    for name in names.split("|")
}


def test_every_public_name_is_in_the_reference() -> None:
    assert {f"psqlpy.{name}" for name in MODULES} <= SHOWN
    assert {f"psqlpy.{name}" for name in set(psqlpy.__all__) - IN_WORDS} <= SHOWN
    mirrored = {name for name in sync.__all__ if getattr(sync, name) is not getattr(psqlpy, name)}
    assert {f"psqlpy.sync.{name}" for name in mirrored - IN_WORDS} <= SHOWN


def test_every_page_of_the_reference_can_be_reached() -> None:
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    index = (ROOT / "docs" / "reference" / "index.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs" / "reference").glob("*.md"):
        assert f"- reference/{page.name}\n" in settings
        assert page.name == "index.md" or f"]({page.name})" in index


def test_what_is_hidden_is_there_and_is_nobodys_to_call() -> None:
    classes = [value for name in psqlpy.__all__ if inspect.isclass(value := getattr(psqlpy, name))]
    places: list[object] = [*classes, embedded, exceptions, types, KeptConnection, CopyOut, RowStream]
    for name in HIDDEN:
        assert any(hasattr(place, name) for place in places), name
    guides = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))
    for name in HIDDEN:
        assert not re.search(rf"\b(?:pool|connection|transaction)\.{name}\(", guides), name


def test_lines_that_begin_with_names_become_lists() -> None:
    pytest.importorskip("griffe")
    from tools.site_docstrings import with_lists

    text = "Do it.\n\none: the first,\nand more.\ntwo, three: others.\n\nNote: no list."
    assert with_lists(text) == (
        "Do it.\n\n- `one`: the first,\nand more.\n- `two`, `three`: others.\n\nNote: no list."
    )
    assert with_lists("Ends in words, such\nas: these.") == "Ends in words, such\nas: these."


def test_boxes_of_the_users_page_are_boxes_here() -> None:
    from tools.site_hooks import on_page_markdown

    text = (ROOT / "docs" / "connection-pool.md").read_text(encoding="utf-8")
    shown = on_page_markdown(text)
    assert ":::" in text and ":::" not in shown
    assert '!!! tip "Cool tip"\n\n    This is' in shown
    assert "introduction/components" not in shown


def test_the_table_of_sqlstates_has_them_all() -> None:
    from tools.site_hooks import on_page_markdown

    page = (ROOT / "docs" / "reference" / "exceptions.md").read_text(encoding="utf-8")
    assert "| 23505 | `UniqueViolation` | `IntegrityError` |\n" in on_page_markdown(page)
