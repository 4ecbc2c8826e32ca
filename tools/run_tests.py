"""Run pytest in a process of its own and name the test in which that process died, should the C code crash or hang.

Arguments are pytest's. The tests run in several processes, each with a server of its own, since they wait more than
they compute; PSQLPY_TEST_PROCESSES says in how many, 0 in this one, and tests/distribution.py which go together.
tests/reporting.py keeps the name of the test that is running in $PSQLPY_RUNNING_TEST.

Many tests are about time, which they have less of in company. So a handful that failed is tried once more, alone; both
reports are printed, and what fails alone too has failed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


# More than so many failures aren't for lack of time.
FEW = 5


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="psqlpy-tests-") as directory:
        processes = os.environ.get("PSQLPY_TEST_PROCESSES", str((os.cpu_count() or 1) + 2))
        code = run(Path(directory), "-n", processes, "--dist", "loadscope", "--no-loadscope-reorder")
        failed = Path(directory, "cache", "v", "cache", "lastfailed")
        died = Path(directory, "running-test").exists()
        if (
            code == 1
            and not died
            and failed.exists()
            and len(json.loads(failed.read_text(encoding="utf-8"))) <= FEW
        ):
            print("\nThose that failed once more, alone:", flush=True)
            code = run(Path(directory), "-n", "0", "--last-failed")
    return code


def run(directory: Path, *options: str) -> int:
    """Run pytest; what failed is noted in `directory`."""
    running = directory / "running-test"
    environment = {**os.environ, "PSQLPY_RUNNING_TEST": str(running), "PYTHONFAULTHANDLER": "1"}
    # Without it each process would compile all the tests again, in every run.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    cache = ["-o", f"cache_dir={directory / 'cache'}"]
    command = [sys.executable, "-m", "pytest", *options, *cache, *sys.argv[1:]]
    with subprocess.Popen(command, cwd=ROOT, env=environment) as tests:
        while True:
            try:
                code = tests.wait()
                break
            except KeyboardInterrupt:
                pass  # pytest got it too: it ends by itself and says what it has done so far
    if code >= 0 and not running.exists():
        return code
    test = running.read_text(encoding="utf-8") if running.exists() else "outside of any test"
    cause = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    print(f"\nFAILED {test}: the test process {cause}", file=sys.stderr)
    return code if code > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
