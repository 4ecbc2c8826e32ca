"""Each code block of docs/adding-a-type.md runs, on asyncio, against the tests' server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from psqlpy import ConnectionPool, sync

PAGE = Path(__file__).resolve().parent.parent / "docs" / "adding-a-type.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
PAGE_DSN = '"postgresql://localhost/database"'


@pytest.fixture
def page_dsn(dsn: str) -> Iterator[str]:
    """The server, with a schema of its own."""
    schema = f"page_{uuid4().hex}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        yield f"{dsn}{'&' if '?' in dsn else '?'}options=-csearch_path%3D{schema}"
        connection.execute("SET client_min_messages = warning")
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


def execute(block: str, dsn: str) -> dict[str, Any]:
    assert PAGE_DSN in block
    # A dataclass looks its module up.
    namespace: dict[str, Any] = {"__name__": __name__}
    exec(compile(block.replace(PAGE_DSN, repr(dsn)), PAGE.name, "exec"), namespace)
    return namespace


def test_every_block_has_a_test() -> None:
    assert len(BLOCKS) == 3


def test_classes(page_dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    execute(BLOCKS[0], page_dsn)
    assert capsys.readouterr().out == "Mood.HAPPY [Address(street='Main Street 1', city='Springfield')]\n"


def test_codec(page_dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    execute(BLOCKS[1], page_dsn)
    assert capsys.readouterr().out == "3/2\n[Fraction(1, 2), None]\n"


def test_switches(page_dsn: str) -> None:
    found = execute(BLOCKS[2], page_dsn)
    assert isinstance(found["db_pool"], ConnectionPool)
    found["db_pool"].close()
    with sync.ConnectionPool(page_dsn, types=found["types"]) as pool:
        row = pool.fetch_row("SELECT gen_random_uuid() AS id, '[1]'::json AS document").result()
    assert isinstance(row["id"], UUID) and row["document"] == "[1]"
