"""Type checkers accept typical user code, and notice mistakes in it, for both mirrors."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TYPICAL = ["typical_async.py", "typical_sync.py"]

WRONG = """
from psqlpy import ConnectionPool
from psqlpy.sync import ConnectionPool as SyncPool

async def asynchronous(pool: ConnectionPool) -> None:
    pool.fetch("SELECT 1").result()
    text: str = (await pool.fetch("SELECT 1")).result()
    await pool.execute(5, [text])
    ConnectionPool(prot=5432)

def synchronous(pool: SyncPool) -> None:
    number: int = pool.run_transaction(lambda transaction: "text")
    print(number)
"""
WRONG_LINES = ["6", "7", "8", "9", "12"]

CHECKERS = {
    "mypy": ["-m", "mypy", "--strict", "--config-file=", "--no-error-summary"],
    "pyright": ["-m", "pyright", "--pythonpath", sys.executable],
}


def check(checker: str, tmp_path: Path, files: list[Path]) -> subprocess.CompletedProcess[str]:
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed")
    command = [sys.executable, *CHECKERS[checker]]
    if checker == "mypy":
        command += [f"--cache-dir={ROOT / '.mypy_cache' / 'user_code'}"]
    else:
        settings = tmp_path / "pyrightconfig.json"
        settings.write_text(f'{{"typeCheckingMode": "strict", "extraPaths": ["{ROOT}"], "include": ["."]}}')
        command += ["--project", str(settings)]
        files = []
    environment = {**os.environ, "MYPYPATH": str(ROOT), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    return subprocess.run(
        [*command, *map(str, files)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.long
@pytest.mark.timeout(320)
@pytest.mark.parametrize("checker", CHECKERS)
def test_typical_code_is_accepted(checker: str, tmp_path: Path) -> None:
    files = [tmp_path / name for name in TYPICAL]
    for file in files:
        file.write_text((HERE / file.name).read_text(encoding="utf-8"), encoding="utf-8")
    done = check(checker, tmp_path, files)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.timeout(320)
@pytest.mark.parametrize("checker", CHECKERS)
def test_mistakes_are_noticed(checker: str, tmp_path: Path) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(WRONG, encoding="utf-8")
    done = check(checker, tmp_path, [file])
    assert done.returncode == 1, done.stdout + done.stderr
    noticed = {
        line.split("wrong.py:")[1].split(":")[0] for line in done.stdout.splitlines() if "error:" in line
    }
    assert noticed == set(WRONG_LINES), done.stdout
