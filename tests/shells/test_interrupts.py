"""Ctrl-C in plain synchronous code, wherever it strikes."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import json, os, random, signal, sys, threading, time
import psqlpy, psqlpy.sync

end = time.monotonic() + 4

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

threading.Thread(target=strike, daemon=True).start()
until_done(use)
until_done(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
seen["last"] = pool.fetch_val("SELECT 7::int4", timeout=5)
print(json.dumps(seen))
"""


def test_a_storm_of_interrupts(dsn: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, dsn],
        capture_output=True,
        text=True,
        timeout=50,
        start_new_session=True,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["wrong"] == 0 and seen["errors"] == []
    assert seen["interrupted"] > 10 and seen["right"] > 10
    assert seen["last"] == 7
