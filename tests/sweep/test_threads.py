"""Every operation, interrupted by signals or out of time at each of its waits, in threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweep.threads import WAYS

ROOT = Path(__file__).parent.parent.parent
# For `make test`: the ways that connections are taken, used and given back in.
FEW = ["acquire(), Fast", "cursor in a transaction", "begin(), commit()", "copy_in() from a path"]


def swept(dsn: str, way: str, *names: str) -> dict[str, dict[str, int]]:
    """Sweep in a process of its own; returns each operation's tally."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.sweep.threads", dsn, way, *names],
        capture_output=True,
        text=True,
        timeout=1700,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    tallies = {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}
    failures = [f"{name}: {tally['failure']}" for name, tally in tallies.items() if "failure" in tally]
    assert not failures, "\n".join(failures)
    return tallies


@pytest.mark.parametrize("way", ["interrupted", "out of time"])
def test_a_few_at_every_wait(dsn: str, way: str) -> None:
    tallies = swept(dsn, way, *FEW)
    assert list(tallies) == FEW
    assert all(tally["broken_off"] > 0 for tally in tallies.values())


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("way", WAYS)
def test_all(dsn: str, way: str) -> None:
    tallies = swept(dsn, way)
    assert len(tallies) > 70
    assert sum(tally["broken_off"] for tally in tallies.values()) > 300
