"""Ctrl-C in plain synchronous code over TLS: in pipelines and in COPY, wherever it strikes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.parameters.clusters import Cluster

PROGRAM = """
import itertools, json, os, random, signal, sys, threading, time
from psqlpy import exceptions, sync

pool = sync.ConnectionPool(**json.loads(sys.argv[1]), max_db_pool_size=1)
chance = random.Random()
line = b"7\\t" + b"x" * 1000 + b"\\n"

def pipeline(connection):
    while True:
        rows = connection.pipeline([("SELECT $1::text", ["x" * 100_000]), ("SELECT repeat('y', 100000)", [])])
        assert [len(result.result(as_tuple=True)[0][0]) for result in rows] == [100_000, 100_000]

def sleeping(connection):
    connection.pipeline([("SELECT 1", []), ("SELECT pg_sleep(60)", []), ("SELECT 2", [])])

def copy_in(connection):
    connection.copy_in("interrupted", itertools.repeat(line))

def records(connection):
    connection.copy_records_to_table("interrupted", ((number, "x" * 500) for number in itertools.count()))

def copy_out(connection):
    for number, text in connection.copy_out(query="SELECT g, repeat('z', 500) FROM generate_series(1, 100000000) g"):
        assert len(text) == 500 and number > 0

def strike(over, delay):
    # Again, should Python have swallowed it in a __del__.
    while not over.wait(delay):
        struck.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)
        delay = 1

kept, longest, struck = {}, 0.0, []
for call in [pipeline, sleeping, copy_in, records, copy_out] * 3:
    with pool.acquire() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS interrupted (id int4, name text)")
        assert connection.link.session.pgconn.in_tls
        pid, over = connection.backend_pid, threading.Event()
        striker = threading.Thread(target=strike, args=[over, chance.uniform(0.01, 0.1)], daemon=True)
        striker.start()
        try:
            call(connection)
        except KeyboardInterrupt:
            longest = max(longest, time.monotonic() - struck[-1])
        over.set()
        striker.join()
        usable = not connection.is_closed()
        if usable:
            assert connection.fetch_val("SELECT $1::int4", [pid]) == pid == connection.backend_pid
        kept[call.__name__] = kept.get(call.__name__, 0) + usable
    assert pool.fetch_val("SELECT count(*) FROM interrupted", timeout=10) == 0, call
    assert pool.status() == (1, 1, 1, 0)
pool.execute("DROP TABLE interrupted")
asked = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE state = 'active' AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)
until = time.monotonic() + 5
while pool.fetch_val(asked):
    assert time.monotonic() < until, "a statement goes on"
print(json.dumps([kept, longest]))
"""


@pytest.mark.backend("sync")
def test_interrupted(tls: None, primary: Cluster) -> None:
    parameters = json.dumps(primary.parameters(ssl_mode="require"))
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, parameters], capture_output=True, text=True, timeout=50, check=False
    )
    assert process.returncode == 0, process.stderr
    kept, longest = json.loads(process.stdout)
    # Who is interrupted leaves at once; a server that takes its time then costs the connection, not each time.
    assert len(kept) == 5 and any(kept.values()) and longest < 0.5
