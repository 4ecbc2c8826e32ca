"""How a run of the tests is reported: counts by backend, skips and their refusal, the name of a test that crashes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

TESTS = """
import os, signal
import pytest

@pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True}), ("trio", {})],
)
async def test_waits(anyio_backend): pass

@pytest.mark.backend("sync")
def test_marked(): pass

def test_plain(): pass

@pytest.mark.skip(reason="no such server")
def test_skipped(): pass

@pytest.mark.xfail(reason="known")
def test_known(): assert False
"""


def run(directory: Path, tests: str, settings: str = "", **environment: str) -> tuple[int, str]:
    """Exit code and output of tools/run_tests.py on one file of tests."""
    (directory / "test_it.py").write_text(tests, encoding="utf-8")
    (directory / "pytest.ini").write_text(
        f"[pytest]\nanyio_mode = auto\nmarkers = backend(name): x\n{settings}", encoding="utf-8"
    )
    (directory / "conftest.py").write_text("pytest_plugins = ['tests.reporting']\n", encoding="utf-8")
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PSQLPY_")}
    variables |= {"PYTHONPATH": str(ROOT), "PSQLPY_TEST_PROCESSES": "0", **environment}
    options = ["-p", "no:asyncio", "-p", "no:trio", "-p", "no:cacheprovider"]
    command = [
        sys.executable,
        str(ROOT / "tools/run_tests.py"),
        "-c",
        str(directory / "pytest.ini"),
        *options,
    ]
    done = subprocess.run(
        [*command, str(directory)], env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.returncode, done.stdout


def rows(output: str) -> dict[str, list[str]]:
    lines = output.partition("tests by backend")[2].splitlines()[1:]
    return {line.split()[0]: line.split()[1:] for line in lines if line.strip()}


def test_the_summary_counts_by_backend(tmp_path: Path) -> None:
    code, output = run(tmp_path, TESTS)
    table = rows(output)
    assert code == 0, output
    assert table["passed"] == ["failed", "skipped", "xfailed"]  # the heading
    assert table["asyncio"] == table["uvloop"] == table["trio"] == table["sync"] == ["1", "0", "0", "0"]
    assert table["none"] == ["1", "0", "1", "1"]


def test_a_test_is_counted_by_what_it_uses(tmp_path: Path, dsn: str) -> None:
    tests = """
import asyncio, trio, uvloop
import psqlpy, pytest
from psqlpy import sync

DSN = %r

@pytest.fixture(scope="module")
def pool():
    with sync.ConnectionPool(DSN) as pool:
        pool.execute("SELECT 1")
        yield pool

async def main():
    async with psqlpy.ConnectionPool(DSN) as pool:
        await pool.execute("SELECT 1")

def test_first(pool): pass
def test_sync(pool): pool.execute("SELECT 1")
def test_nothing(pool): pass
def test_asyncio(pool): asyncio.run(main()); pool.execute("SELECT 1")
def test_uvloop(): uvloop.run(main())
def test_trio(): trio.run(main)
"""
    code, output = run(tmp_path, tests % dsn)
    table = rows(output)
    assert code == 0, output
    assert [table[name][0] for name in ("asyncio", "uvloop", "trio", "sync", "none")] == list("11121")


def test_the_summary_lists_skips_with_reasons(tmp_path: Path) -> None:
    _, output = run(tmp_path, TESTS)
    [line] = [line for line in output.splitlines() if line.startswith("skipped: ")]
    assert line.endswith("test_it.py::test_skipped: no such server")


@pytest.mark.parametrize(
    "tests",
    [
        TESTS,
        "import pytest\ndef test_it():\n    pytest.skip('no such server')",
        "import pytest\npytest.skip('no such server', allow_module_level=True)",
        "import pytest\n@pytest.fixture\ndef f():\n    pytest.skip('no such server')\ndef test_it(f): pass",
    ],
    ids=["mark", "call", "module", "fixture"],
)
def test_no_skip_makes_skips_failures(tmp_path: Path, tests: str) -> None:
    code, output = run(tmp_path, tests, PSQLPY_NO_SKIP="1")
    assert code != 0
    assert "skipped, which PSQLPY_NO_SKIP makes a failure: no such server" in output


def test_no_skip_leaves_expected_failures_alone(tmp_path: Path) -> None:
    code, output = run(
        tmp_path, TESTS.replace("@pytest.mark.skip(", "@pytest.mark.xfail("), PSQLPY_NO_SKIP="1"
    )
    assert rows(output)["none"][1] == "0", output
    assert code == 0


def test_an_exit_names_the_test(tmp_path: Path) -> None:
    code, output = run(tmp_path, "import os\ndef test_bad(): os._exit(0)\n")
    assert code == 1
    [line] = [line for line in output.splitlines() if line.startswith("FAILED ")]
    assert line.endswith("test_it.py::test_bad: the test process ended with exit code 0")


def test_a_crash_names_the_test(tmp_path: Path) -> None:
    crash = "import os, signal\ndef test_good(): pass\ndef test_bad(): os.kill(os.getpid(), signal.SIGSEGV)\n"
    code, output = run(tmp_path, crash)
    assert code == 1
    [line] = [line for line in output.splitlines() if line.startswith("FAILED ")]
    assert line.endswith("test_it.py::test_bad: the test process died of SIGSEGV")


def test_a_test_may_have_a_longer_time_than_the_others(tmp_path: Path) -> None:
    settings = "timeout = 5\nfaulthandler_timeout = 0.5\nfaulthandler_exit_on_timeout = true\n"
    slow = "import pytest, time\n@pytest.mark.timeout(20)\ndef test_slow(): time.sleep(0.8)\n"
    code, output = run(tmp_path, slow, settings)
    assert code == 0, output
