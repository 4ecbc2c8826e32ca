"""The pool where the loop runs only while a cell does: IPython's terminal; and in `python -m asyncio`."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.notebook.kernels import Watch, environment


def session(*command: str, cells: list[str]) -> list[str]:
    """Type the cells into an interactive session; returns the answers, each printed behind `said:`."""
    finished = subprocess.run(
        [sys.executable, "-m", *command],
        input="\n".join(cells) + "\n",
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, **environment()},
    )
    assert finished.returncode == 0, finished.stderr
    output = finished.stdout + finished.stderr
    assert "Traceback" not in output and "Error" not in output, output
    return [line.split("said:")[1].strip() for line in output.splitlines() if "said:" in line]


def start(dsn: str, app: str) -> list[str]:
    return [
        "from psqlpy import ConnectionPool, sync",
        f"options = dict(dsn={dsn!r}, application_name={app!r})",
        "pool = ConnectionPool(**options); plain = sync.ConnectionPool(**options)",
    ]


AROUND = [
    "print('said:', await pool.fetch_val('SELECT 1'))",
    "print('said:', plain.fetch_val('SELECT 2'))",
    "connection = await pool.connection()",
    "print('said:', await connection.fetch_val('SELECT 3'))",
    "pid = connection.backend_pid; connection.close()",
    # The loop hears nothing of it before the next input is awaited.
    "done = plain.fetch_val('SELECT pg_terminate_backend($1, 5000)', [pid])",
    "print('said:', done, await pool.fetch_val('SELECT pg_backend_pid()') != pid)",
]

IPYTHON = ["IPython", "--simple-prompt", "--no-confirm-exit", "--no-banner", "--colors=nocolor"]


def test_ipython(dsn: str, watch: Watch) -> None:
    """Under asyncio, under trio, under asyncio again; and what is left when the pools are replaced."""
    ask = "'SELECT count(*) FROM pg_stat_activity WHERE application_name = $1', ['ipython']"
    count = f"sync.ConnectionPool({dsn!r}).fetch_val({ask})"
    cells = [
        *start(dsn, "ipython"),
        *AROUND,
        "%autoawait trio",
        *AROUND,
        "%autoawait asyncio",
        AROUND[0],
        "done = await pool.execute('SELECT 1'), plain.execute('SELECT 1')",
        f"print('said:', {count})",
        "pool = plain = connection = None",
        f"import time; print('said:', any({count} == 0 or time.sleep(0.05) for _ in range(20)))",
    ]
    answers = ["1", "2", "3", "True True"]
    assert session(*IPYTHON, cells=cells) == [*answers, *answers, "1", "2", "True"]
    assert not watch.backends("ipython")


def test_python_m_asyncio(dsn: str) -> None:
    cells = [*start(dsn, "python -m asyncio"), *AROUND]
    assert session("asyncio", cells=cells) == ["1", "2", "3", "True True"]
