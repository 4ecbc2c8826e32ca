"""trio and asyncio in two threads on one pool: what one leaves is undone before the other gets the connection."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, json, random, sys, threading, time
import trio
from psqlpy import ConnectionPool
sys.setswitchinterval(1e-6)
pool = ConnectionPool(sys.argv[1], max_db_pool_size=5, timeout=20)
end, wrong, done = time.monotonic() + float(sys.argv[2]), [], {}

async def share(number):
    for _ in range(8):
        if await pool.fetch_val("SELECT $1::int", [number]) != number:
            wrong.append("another's answer")

async def leave_cursor(number):
    cursor = (await pool.connection()).cursor("SELECT generate_series(1, 30)")
    await cursor.start()
    await cursor.fetchone()

async def leave_stream(number):
    stream = (await pool.connection()).stream("SELECT generate_series(1, 300)", as_tuple=True)
    total = 0
    async with stream:
        async for row in stream:
            total += row[0]
    if total != 45150:
        wrong.append("another's rows")

async def use(name):
    count = 0
    while time.monotonic() < end and not wrong:
        count += 1
        try:
            await random.choice([share, leave_cursor, leave_stream])(count)
        except Exception as error:
            wrong.append(repr(error))
    done[name] = done.get(name, 0) + count

async def with_trio():
    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(use, "trio")

async def with_asyncio():
    await asyncio.gather(*(use("asyncio") for number in range(5)))

threads = [
    threading.Thread(target=trio.run, args=(with_trio,)),
    threading.Thread(target=lambda: asyncio.run(with_asyncio())),
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
status = pool.status()
print(json.dumps({"wrong": wrong[:5], "done": done, "whole": status.size == status.available}))
"""


@pytest.mark.backend("trio")
def test_what_one_leaves_the_other_does_not_find(dsn: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, dsn, "4"], capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout)
    assert seen["wrong"] == []
    assert min(seen["done"].values()) > 5 and len(seen["done"]) == 2
    assert seen["whole"]
