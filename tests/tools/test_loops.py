"""On which event loops a test runs: all, or as many as its mark says; what is left out is a long test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

TESTS = """
import pytest

pytestmark = pytest.mark.loops(1)

@pytest.mark.parametrize("case", range(30))
async def test_one(anyio_backend, case): pass

@pytest.mark.loops(2)
@pytest.mark.parametrize("case", range(30))
async def test_two(anyio_backend, case): pass

@pytest.mark.loops(3)
async def test_three(anyio_backend): pass

def test_plain(): pass
"""


def collected(directory: Path, *options: str) -> list[str]:
    """The tests that are found, by name."""
    (directory / "test_it.py").write_text(TESTS, encoding="utf-8")
    (directory / "pytest.ini").write_text(
        "[pytest]\nanyio_mode = auto\nmarkers =\n    loops(number): x\n    long: x\n", encoding="utf-8"
    )
    (directory / "conftest.py").write_text("pytest_plugins = ['tests.loops']\n", encoding="utf-8")
    plugins = ["-p", "no:asyncio", "-p", "no:trio", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-c", str(directory / "pytest.ini"), *plugins, *options]
    done = subprocess.run(
        [*command, "--collect-only", "-q", str(directory)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.partition("::")[2] for line in done.stdout.splitlines() if "::" in line]


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return collected(tmp_path_factory.mktemp("short"), "-m", "not long")


def loops_of(names: list[str], test: str) -> Counter[str]:
    return Counter(name.split("[")[1].rstrip("]").split("-")[0] for name in names if f"{test}[" in name)


def test_each_case_of_one_runs_once_and_each_loop_has_some(short: list[str]) -> None:
    loops = loops_of(short, "test_one")
    assert set(loops) == {"asyncio", "uvloop", "trio"} and loops.total() == 30
    cases = {name.rstrip("]").split("-")[-1] for name in short if name.startswith("test_one")}
    assert len(cases) == 30


def test_each_case_of_two_runs_on_trio_and_on_one_of_those_that_share_a_driver(short: list[str]) -> None:
    loops = loops_of(short, "test_two")
    assert loops["trio"] == 30
    assert loops["asyncio"] > 0 and loops["uvloop"] > 0 and loops["asyncio"] + loops["uvloop"] == 30


def test_a_tests_mark_goes_before_its_modules(short: list[str]) -> None:
    assert loops_of(short, "test_three") == {"asyncio": 1, "uvloop": 1, "trio": 1}


def test_the_others_are_long(short: list[str], tmp_path: Path) -> None:
    long = collected(tmp_path, "-m", "long")
    assert not set(short) & set(long)
    for test in ("test_one", "test_two"):
        assert loops_of([*short, *long], test) == {"asyncio": 30, "uvloop": 30, "trio": 30}
    assert loops_of(long, "test_three").total() == 0
    assert "test_plain" in short


def test_a_case_runs_where_it_runs_whatever_else_was_asked_for(short: list[str], tmp_path: Path) -> None:
    some = collected(tmp_path, "-m", "not long", "-k", "test_one and 7")
    assert some == [name for name in short if name.startswith("test_one") and "7" in name]
