"""Ctrl-C in plain synchronous code, wherever it strikes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from psqlpy import sync

BEGINNING = """
import json, os, random, signal, sys, threading, time
import psqlpy, psqlpy.sync

end = time.monotonic() + float(sys.argv[2])

def strike():
    while time.monotonic() < end:
        time.sleep(random.random() * 0.06)
        os.kill(os.getpid(), signal.SIGINT)

def until_done(step):
    while True:
        try:
            return step()
        except KeyboardInterrupt:
            pass

pool = psqlpy.sync.ConnectionPool(sys.argv[1], max_db_pool_size=2)
seen = {"right": 0, "wrong": 0, "interrupted": 0, "errors": []}
"""

QUERIES = """
def use():
    while time.monotonic() < end:
        try:
            connection = pool.connection()
            try:
                while time.monotonic() < end:
                    token = random.random()
                    if connection.fetch_val("SELECT $1::float8", [token], timeout=5) == token:
                        seen["right"] += 1
                    else:
                        seen["wrong"] += 1
            finally:
                connection.close()
        except KeyboardInterrupt:
            seen["interrupted"] += 1
        except psqlpy.exceptions.ConnectionClosedError:
            pass
        except psqlpy.Error as error:
            seen["errors"].append(repr(error))
"""

STREAMS = """
def use():
    # Its connection is used on, as long as it lives.
    while time.monotonic() < end:
        connection = pool.connection()
        while time.monotonic() < end and not connection.is_closed():
            try:
                read(connection, random.random() < 0.5)
            except KeyboardInterrupt:
                seen["interrupted"] += 1
            except psqlpy.exceptions.ConnectionClosedError:
                pass
            except psqlpy.Error as error:
                seen["errors"].append(repr(error))
        until_done(connection.close)

def read(connection, by_block):
    token = random.random()
    rows = connection.stream("SELECT g, $1::float8 AS token FROM generate_series(1, 2000) AS g", [token], timeout=5)
    count = 0
    if by_block:
        with rows:
            for row in rows:
                count += 1
                seen["wrong"] += row != {"g": count, "token": token}
    else:
        for row in rows:
            count += 1
            seen["wrong"] += row != {"g": count, "token": token}
    seen["wrong"] += count != 2000
    seen["wrong"] += connection.fetch_val("SELECT $1::float8", [token], timeout=5) != token
    seen["right"] += 1
"""

ENDING = """
threading.Thread(target=strike, daemon=True).start()
until_done(use)
until_done(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
seen["last"] = pool.fetch_val("SELECT 7::int4", timeout=5)
print(json.dumps(seen))
"""


@pytest.mark.parametrize(
    ("use", "seconds", "least"),
    [(QUERIES, "4", 10), (STREAMS, "2", 2)],
    ids=["queries", "streams"],
)
def test_a_storm_of_interrupts(dsn: str, use: str, seconds: str, least: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING + use + ENDING, dsn, seconds],
        capture_output=True,
        text=True,
        timeout=50,
        start_new_session=True,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["wrong"] == 0 and seen["errors"] == []
    assert seen["interrupted"] > least and seen["right"] > least
    assert seen["last"] == 7


@pytest.mark.backend("sync")
def test_a_rollback_that_is_interrupted_is_sent_by_the_block(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = sync.Transaction._tell_rollback
    struck: list[sync.Transaction] = []

    def strike_once(transaction: sync.Transaction) -> None:
        struck.append(transaction)
        if len(struck) == 1:
            raise KeyboardInterrupt
        tell(transaction)

    monkeypatch.setattr(sync.Transaction, "_tell_rollback", strike_once)
    with sync.ConnectionPool(dsn, max_db_pool_size=1) as pool, pool.acquire() as connection:
        with pytest.raises(KeyboardInterrupt):
            connection.pipeline([("SELECT 1 / 0",)])
        assert len(struck) == 2
        assert not connection.in_transaction()
        assert connection.fetch_val("SELECT 1") == 1
