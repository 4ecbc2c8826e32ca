"""The contract's tests behind PgBouncer, in both modes; behind.py says which of them can't work there, and why."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.poolers.programs import PgBouncer

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_the_contract(request: pytest.FixtureRequest, mode: str) -> None:
    bouncer: PgBouncer = request.getfixturevalue(f"{mode}_mode")
    where = conninfo_to_dict(bouncer.dsn)
    user, password, database = (quote(str(where[name])) for name in ("user", "password", "dbname"))
    environment = {
        **os.environ,
        "PSQLPY_TEST_DSN": f"postgresql://{user}:{password}@127.0.0.1:{bouncer.port}/{database}",
        "PSQLPY_TEST_POOLER": mode,
    }
    command = [sys.executable, "-m", "pytest", "tests/contract", "-q", "-p", "no:cacheprovider", "--tb=short"]
    done = subprocess.run(
        [*command, "-p", "tests.poolers.behind"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=870,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None and int(passed[1]) > 1000
