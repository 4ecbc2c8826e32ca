"""A second Ctrl-C while the first one's statement is being cancelled: who waits on that connection gets the answer."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from psqlpy import sync
from psqlpy._io import thread_driver
from psqlpy._pq.connection import wait
from tests.concurrency import sync_wait_until

pytestmark = pytest.mark.backend("sync")


@pytest.mark.parametrize("others", [0, 1, 3])
def test_interrupted_while_cancelling(dsn: str, monkeypatch: pytest.MonkeyPatch, others: int) -> None:
    strikes = 0

    def waits(*arguments: Any) -> Any:
        nonlocal strikes
        if threading.current_thread() is not threading.main_thread() or strikes == 2:
            return wait(*arguments)
        if not strikes:
            sync_wait_until(lambda: len(connection.link.driver.waiting) == others)
        strikes += 1
        raise KeyboardInterrupt

    with sync.ConnectionPool(dsn, max_db_pool_size=1) as pool:
        with pool.acquire() as connection:
            pid, answers = connection.backend_pid, []
            threads = [
                threading.Thread(
                    target=lambda: answers.append(connection.fetch_val("SELECT pg_backend_pid()"))
                )
                for _ in range(others)
            ]

            def begin_others() -> None:
                sync_wait_until(lambda: bool(connection.link.session.flights))
                for thread in threads:
                    thread.start()

            beginning = threading.Thread(target=begin_others if others else time.time)
            beginning.start()
            monkeypatch.setattr(thread_driver, "wait", waits)
            begun = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                connection.execute("SELECT pg_sleep(60)")
            assert strikes == 2 and time.monotonic() - begun < 1
            beginning.join()
            for thread in threads:
                thread.join(5)
            assert answers == [pid] * others
            # Nobody would have read on.
            assert connection.is_closed() is (not others)
        assert pool.fetch_val("SELECT 1", timeout=5) == 1
        assert pool.status() == (1, 1, 1, 0)
