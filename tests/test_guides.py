"""Each code block of the guides runs, on asyncio and in threads, and prints what the comments behind its prints say."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

import psqlpy
from psqlpy import sync
from tests.test_user_page import in_threads

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = ["transaction.md", "results.md", "coming-from.md", "cursor.md", "prepared-statements.md"]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXPECTED = re.compile(r"print\(.*\)  # (.+)$", re.MULTILINE)


def cases() -> list[Any]:
    found = []
    for page in PAGES:
        for number, text in enumerate(BLOCK.findall((DOCS / page).read_text(encoding="utf-8")), 1):
            for shell in ("asyncio", "threads"):
                mark = pytest.mark.backend("sync" if shell == "threads" else shell)
                found.append(pytest.param(text, shell, id=f"{page}-{number}-{shell}", marks=mark))
    return found


@pytest.fixture
def guide_dsn(dsn: str) -> Iterator[str]:
    """The server, with the tables that the guides speak of in a schema of its own."""
    schema = f"guide_{uuid4().hex}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        connection.execute(f"CREATE TABLE {schema}.users (id int4 PRIMARY KEY, username text)")
        connection.execute(f"INSERT INTO {schema}.users VALUES (100, 'Alex'), (7, 'Robin')")
        connection.execute(f"CREATE TABLE {schema}.accounts (id int4, balance int4)")
        connection.execute(f"INSERT INTO {schema}.accounts VALUES (1, 100), (2, 100)")
        yield f"{dsn}{'&' if '?' in dsn else '?'}options=-csearch_path%3D{schema}"
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.mark.parametrize(("text", "shell"), cases())
def test_a_block_runs(guide_dsn: str, text: str, shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    for needed in ("msgspec", "pydantic"):
        if re.search(rf"^(?:import|from) {needed}\b", text, re.MULTILINE):
            pytest.importorskip(needed)
    is_sync = shell == "threads"
    pool: Any = (sync if is_sync else psqlpy).ConnectionPool(guide_dsn)
    namespace: dict[str, Any] = {"pool": pool, "psqlpy": psqlpy, "__name__": "guide"}
    exec(compile(in_threads(text) if is_sync else text, "guide", "exec", dont_inherit=True), namespace)
    done = namespace["main"]()
    if not is_sync:
        asyncio.run(done)
    printed = capsys.readouterr().out.splitlines()
    assert printed == EXPECTED.findall(text)
    assert pool.status().available == pool.status().size
    pool.close()
