"""Subinterpreters: psqlpy refuses to be imported there, and the main interpreter doesn't notice."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

# What it would do: the first notice waits for ever for a state of this thread that belongs to the main interpreter.
INSIDE = """
    import sys
    sys.path[:] = {path!r}
    try:
        import psqlpy
    except ImportError as error:
        assert "can't be used in a subinterpreter" in str(error), error
        assert "main interpreter" in str(error), error
    else:
        raise AssertionError("imported")
    assert "psqlpy._pq.module" not in sys.modules
"""

PROGRAM = """
    import sys
    {first}
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    for _ in range(2):
        interpreter = interpreters.create()
        failure = interpreters.run_string(interpreter, sys.argv[2])
        assert not failure, failure
        interpreters.destroy(interpreter)
    from psqlpy import sync
    notices = []
    with sync.ConnectionPool(sys.argv[1], on_notice=notices.append) as pool:
        pool.execute("DROP TABLE IF EXISTS psqlpy_no_such_table")
    assert len(notices) == 1, notices
"""


@pytest.mark.parametrize(
    "first",
    [
        pytest.param("", id="before the main one", marks=pytest.mark.long),
        pytest.param("import psqlpy", id="after the main one"),
    ],
)
def test_it_refuses(dsn: str, first: str) -> None:
    inside = textwrap.dedent(INSIDE.format(path=sys.path))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(PROGRAM.format(first=first)), dsn, inside],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    # Not more of stderr: Python's own modules warn of being loaded twice.
    assert done.returncode == 0, done.stderr
