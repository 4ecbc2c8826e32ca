"""The benchmark that the documentation's figures are from: it runs, and writes them where they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"

ROW = re.compile(r"^\| (\w+) \| ([\w–]+) \| (?:\*\*(\d\.\d\d)\*\*|–) \|", re.MULTILINE)
PAIRS = [
    ("asyncio", "asyncpg"),
    ("asyncio", "psycopg"),
    ("uvloop", "asyncpg"),
    ("uvloop", "psycopg"),
    ("sync", "psycopg"),
    ("sync", "psycopg2"),
    ("trio", "–"),
]


def rows(text: str) -> dict[tuple[str, str], str]:
    return {(waiting, peer): ratio for waiting, peer, ratio in ROW.findall(text)}


def test_the_page_has_each_pair_and_the_command() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert list(rows(text)) == PAIRS
    assert "`python benchmarks/roundtrip.py --rounds 100 --queries 100 --write docs/benchmarks.md`" in text


@pytest.mark.long
def test_round_trips_are_measured_and_written(dsn: str, tmp_path: Path) -> None:
    """Interleaved with every peer; the figures of so few queries say nothing."""
    page = tmp_path / "page.md"
    shutil.copy(PAGE, page)
    script = [sys.executable, str(ROOT / "benchmarks" / "roundtrip.py")]
    done = subprocess.run(
        [*script, "--rounds", "3", "--queries", "5", "--anywhere", "--write", str(page)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PSQLPY_TEST_DSN": dsn},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert list(rows(done.stdout)) == PAIRS
    written = page.read_text(encoding="utf-8")
    assert rows(written) == rows(done.stdout)
    assert (
        written.partition("<!-- roundtrip -->")[0]
        == PAGE.read_text(encoding="utf-8").partition("<!-- roundtrip -->")[0]
    )
