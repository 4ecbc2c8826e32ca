"""Instructions counted against the committed table."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from benchmarks import instructions

MADE = {"python": "3.11.7 GCC 12.2.0", "libpq": "150018"}
TABLE = {"made_with": MADE, "instructions": {"fetch_row, uvloop": 60_000, "COPY, asyncio": 1_000_000}}


@pytest.mark.parametrize(
    ("found", "failed", "told"),
    [
        ({"fetch_row, uvloop": 63_000, "COPY, asyncio": 900_000}, False, "+5.0 %  fetch_row, uvloop"),
        ({"fetch_row, uvloop": 63_001, "COPY, asyncio": 1_000_000}, True, "table: fetch_row, uvloop."),
        ({"fetch_row, uvloop": 60_000, "COPY, asyncio": 1_000_000, "more": 1}, True, "table: more."),
        ({"fetch_row, uvloop": 60_000}, False, "gone  COPY, asyncio"),
    ],
    ids=["at the limit", "grown", "new", "gone"],
)
def test_what_grows_fails(found: dict[str, int], failed: bool, told: str) -> None:
    text, verdict = instructions.compare(TABLE, MADE, found)
    assert verdict is failed
    assert told in text


def test_another_python_is_told_and_does_not_fail() -> None:
    found = {"fetch_row, uvloop": 90_000, "COPY, asyncio": 1_000_000}
    text, verdict = instructions.compare(TABLE, {**MADE, "python": "3.13.1 GCC 14.2.0"}, found)
    assert not verdict
    assert "+50.0 %  fetch_row, uvloop" in text and "no verdict" in text


def test_the_table_has_every_operation() -> None:
    table = json.loads(instructions.TABLE.read_text(encoding="utf-8"))
    wanted = {f"{name}, {loop}" for loop in instructions.LOOPS for name in instructions.counts(loop)}
    assert set(table["instructions"]) == wanted
    assert set(table["made_with"]) == set(instructions.made_with())


def test_a_dump_is_divided_among_the_libraries() -> None:
    names: dict[str, str] = {}
    first = "ob=(1) /usr/lib/libpq.so.5\nfn=(1) f\n1 10\ncob=(2) /lib/libc.so.6\ncfn=(2) g\ncalls=3 7\n1 500\n+1 5\n"
    assert instructions.by_library(first, names) == {"libpq": 15}
    assert instructions.by_library("ob=(2)\nfn=(2)\n* 7\n", names) == {"libc": 7}
    line = instructions.markdown({"call, asyncio": (30, Counter({"libpq": 15, "libc": 7}))})
    assert "| call, asyncio | 30 | 0 | 15 | 0 | 0 | 7 | 8 |" in line


def test_without_valgrind_ci_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("sys.argv", ["instructions.py", "--check"])
    monkeypatch.delenv("PSQLPY_NO_SKIP", raising=False)
    assert instructions.main() == 0
    monkeypatch.setenv("PSQLPY_NO_SKIP", "1")
    assert instructions.main() == 1
