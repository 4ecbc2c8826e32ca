"""A stream of millions of rows grows the process by next to nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

ROWS = 5_000_000
LIMIT_KB = 30 * 1024

READ = """
    query = "SELECT generate_series(1, $1::int4) AS g, 'some text' AS t, now() AS at"
    assert len([row ASYNC for row in connection.stream(query, [10_000])]) == 10_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    last = count = 0
    ASYNC for row in connection.stream(query, [int(sys.argv[2])]):
        count += 1
        last = row["g"]
    assert last == count == int(sys.argv[2])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
SCRIPTS = {
    "asyncio": """
import asyncio, resource, sys
from psqlpy import ConnectionPool

async def main():
  async with ConnectionPool(sys.argv[1]) as pool, pool.acquire() as connection:"""
    + READ.replace("[row ASYNC for", "[row async for").replace("ASYNC for", "async for")
    + """
asyncio.run(main())
""",
    "threads": """
import resource, sys
from psqlpy.sync import ConnectionPool

with ConnectionPool(sys.argv[1]) as pool, pool.acquire() as connection:"""
    + READ.replace("ASYNC for", "for"),
}


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("shell", SCRIPTS)
def test_five_million_rows(dsn: str, shell: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPTS[shell], dsn, str(ROWS)], check=True, capture_output=True, text=True
    )
    assert int(run.stdout) < LIMIT_KB
