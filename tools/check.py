"""Run every linter and drift check, as many at a time as there are processors; one line each, failures in full.

`make check` and CI run this; the versions of the tools are pinned in pyproject.toml.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PYTHON = sys.executable


def checks() -> dict[str, list[str]]:
    """Name and command, the slow ones first."""
    c_files = sorted(
        str(path.relative_to(ROOT))
        for directory in ("psqlpy/_ffi", "fuzz")
        for path in (ROOT / directory).glob("*.[ch]")
    )
    found = {
        "mypy --strict": [PYTHON, "-m", "mypy"],
        "documentation": [PYTHON, "-m", "mkdocs", "build", "--strict", "--quiet"],
        "C module with -Werror": [PYTHON, "build_ffi.py", "--check"],
        "instructions": [PYTHON, "-m", "benchmarks.instructions", "--check"],
        "import-linter": [str(BIN / "lint-imports"), "--no-logo"],
        "ruff check": [PYTHON, "-m", "ruff", "check", "--quiet", "."],
        "ruff format": [PYTHON, "-m", "ruff", "format", "--check", "--quiet", "."],
        "codespell": [PYTHON, "-m", "codespell_lib"],
        "clang-format": [
            str(BIN / "clang-format"),
            "--dry-run",
            "-Werror",
            *(path for path in c_files if not path.endswith("cdef.h")),  # cffi's C, with dots
        ],
        "file lengths": [PYTHON, "tools/check_lengths.py"],
        "mirror up to date": [PYTHON, "tools/make_sync.py", "--check"],
    }
    for name in ("sqlstates", "oids", "functions", "picture"):
        found[f"{name} up to date"] = [PYTHON, f"tools/make_{name}.py", "--check"]
    return found


def run(command: list[str]) -> tuple[bool, str, float]:
    begun = time.monotonic()
    environment = {**os.environ, "PSQLPY_WERROR": "1", "NO_COLOR": "1", "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.returncode == 0, done.stdout.decode(errors="replace"), time.monotonic() - begun


def main() -> None:
    failed = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as executor:
        running = {executor.submit(run, command): name for name, command in checks().items()}
        for done in as_completed(running):
            passed, output, seconds = done.result()
            name = running[done]
            print(f"{'ok' if passed else 'FAILED':6}  {seconds:5.1f} s  {name}", flush=True)
            if not passed:
                failed.append(name)
                print(output.rstrip(), end="\n\n", flush=True)
    if failed:
        raise SystemExit(f"failed: {', '.join(sorted(failed))}")


if __name__ == "__main__":
    main()
