"""Type checkers accept typical user code in their strict modes, and notice mistakes in it, for both mirrors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TYPICAL = ["typical_async.py", "typical_sync.py"]

# Each marked line is a mistake.
WRONG = """
from psqlpy import ConnectionPool, embedded
from psqlpy.sync import ConnectionPool as SyncPool
from psqlpy.row_factories import class_row

async def asynchronous(pool: ConnectionPool) -> None:
    pool.fetch("SELECT 1").result()  # not awaited
    text: str = (await pool.fetch("SELECT 1")).result()  # a list
    await pool.execute(5, [text])  # no statement
    ConnectionPool(prot=5432)  # misspelt
    (await pool.fetch_row("SELECT 1", default=None)).result()  # may be None
    numbers: list[int] = (await pool.fetch("SELECT 1")).row_factory(class_row(str))  # of str
    with pool.acquire() as connection:  # needs async
        print(connection, numbers)
    async with pool.acquire() as connection, connection.cursor("SELECT 1") as cursor:
        for result in cursor:  # needs async
            print(result)
        print((await cursor.fetchone()).nothing)  # no such attribute
        async for row in connection.stream("SELECT 1"):
            row.upper()  # a dict
        async for part in pool.copy_out("users", format="csv"):
            part.items()  # bytes

def synchronous(pool: SyncPool) -> None:
    number: int = pool.run_transaction(lambda transaction: "text")  # of str
    print(number)
    pool.fetch_row("SELECT 1", default="").result()  # may be str
    pool.notify("channel", 5)  # no text
    with embedded.server() as dsn:
        SyncPool(dsn.port)  # dsn is a str
"""
WRONG_LINES = {number for number, line in enumerate(WRONG.splitlines(), 1) if "  # " in line}

Found = dict[str, set[int]]


def run(directory: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def mypy(directory: Path) -> Found:
    """The lines with errors in each file. The cache, and the settings that it depends on, are those of `make check`."""
    files = sorted(str(path) for path in directory.glob("*.py"))
    settings = ("--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache"))
    found: Found = {}
    for line in run(
        ROOT, "mypy", *settings, "--no-error-summary", "--show-absolute-path", *files
    ).splitlines():
        name, number, kind = line.split(":")[:3]
        if kind.strip() == "error":
            found.setdefault(Path(name).name, set()).add(int(number))
    return found


def pyright(directory: Path) -> Found:
    """The lines with errors in each file. psqlpy is found by PYTHONPATH: pyright sees no editable installations."""
    settings = {"typeCheckingMode": "strict", "include": ["."]}
    (directory / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    output = run(directory, "pyright", "--pythonpath", sys.executable, "--outputjson")
    found: Found = {}
    for error in json.loads(output)["generalDiagnostics"]:
        name, line = Path(error["file"]).name, error["range"]["start"]["line"] + 1
        # What follows from a mistake is unknown too, some lines later.
        if name in TYPICAL or not error["rule"].startswith("reportUnknown"):
            found.setdefault(name, set()).add(line)
    return found


@pytest.mark.timeout(320)
@pytest.mark.parametrize("checker", [mypy, pyright], ids=lambda checker: checker.__name__)
def test_typical_code_is_accepted_and_mistakes_are_noticed(
    checker: Callable[[Path], Found], tmp_path: Path
) -> None:
    pytest.importorskip(checker.__name__)
    for name in TYPICAL:
        (tmp_path / name).write_text((HERE / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "wrong.py").write_text(WRONG, encoding="utf-8")
    assert checker(tmp_path) == {"wrong.py": WRONG_LINES}


@pytest.mark.long
@pytest.mark.timeout(320)
def test_what_users_touch_is_typed_without_inference(tmp_path: Path) -> None:
    """pyright's own measure of a typed package; attributes of what isn't for users may be inferred."""
    pytest.importorskip("pyright")
    output = run(
        tmp_path,
        "pyright",
        "--pythonpath",
        sys.executable,
        "--verifytypes",
        "psqlpy",
        "--ignoreexternal",
        "--outputjson",
    )
    report = json.loads(output)["typeCompleteness"]
    assert len(report["symbols"]) > 1000
    inferred = {
        symbol["name"]
        for symbol in report["symbols"]
        for diagnostic in symbol["diagnostics"]
        if "missing type annotation" in diagnostic["message"]
    }
    parts = ("_pq", "_codecs", "_protocol", "_pooling", "_io", "_plan")
    inside = tuple(f"psqlpy.{part}." for part in parts)
    ours = {name for name in inferred if not name.startswith(inside) and ".hooks.Hooks." not in name}
    # Made by a function that keeps the signature of the pool's class.
    made = {
        f"{module}.{name}" for module in ("psqlpy", "psqlpy.sync") for name in ("connect", "connect_pool")
    }
    assert ours - made == set()
    assert report["exportedSymbolCounts"]["withUnknownType"] == 0
