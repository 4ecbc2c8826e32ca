"""One soak: who takes part, how long, and what has to hold at the end."""

from __future__ import annotations

import faulthandler
import logging
import platform
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from random import Random
from typing import Any

import psycopg

import psqlpy
from soak.adversary import Opponent
from soak.ledger import SPAN, TABLE, Ledger
from soak.process import descriptors, opened
from soak.runtimes import RUNTIMES, Runtime, settle, until
from soak.samples import Recorder
from soak.watch import Watch
from soak.work import TIMEOUT, Channel, User, first_success, work_all

POOL_SIZE = 8
POOLED = "PgBouncer"
USERS = {"asyncio": 12, "uvloop": 12, "trio": 12, "threads": 8, POOLED: 6}
# What one pool has that the others haven't.
OPTIONS: dict[str, dict[str, Any]] = {
    "asyncio": {},
    "uvloop": {"max_lifetime": 10.0, "conn_recycling_method": "clean"},
    "trio": {"max_idle": 1.0, "acquire_timeout": 0.5},
    "threads": {"max_lifetime": 20.0},
    # Whose sessions are its own: it keeps them.
    POOLED: {"application_name": "pooled"},
}
# How long after the last fault everything has to be as it was. Seconds.
HEALED_WITHIN = 3.0
ENDED_WITHIN = 20.0


class Participant:
    """One runtime in a thread of its own, with a pool and its users."""

    def __init__(self, name: str, dsn: str, ledger: Ledger, writers: range, random: Random) -> None:
        self.runtime = Runtime(POOLED, "asyncio") if name == POOLED else RUNTIMES[name]()
        self.watch = Watch(name)
        self.pool = self.runtime.api.ConnectionPool(
            dsn,
            max_db_pool_size=POOL_SIZE,
            **{"application_name": f"soak-{name}", "timeout": TIMEOUT, **OPTIONS[name]},
        )
        self.channel = Channel(self.runtime, self.pool, self.watch)
        self.users = [
            User(writer, self.runtime, self.pool, self.watch, ledger, Random(random.random()))
            for writer in writers
        ]
        self.first_success = 0.0
        self.thread = threading.Thread(target=self._run, name=f"soak-{name}", daemon=True)

    def _run(self) -> None:
        try:
            self.runtime.run(self._main)
        except BaseException as error:
            self.watch.find(f"ended with {error!r}")
            self.watch.over = True

    async def _main(self) -> None:
        tasks = self.runtime.task_count()
        await work_all(self.runtime, self.pool, self.watch, self.users, self.channel)
        self.first_success = await first_success(self.runtime, self.pool, self.watch, HEALED_WITHIN)
        await self._check_pool()
        await settle(self.pool.aclose(timeout=TIMEOUT))
        status = self.pool.status()
        if status.size or status.waiting:
            self.watch.find(f"after its end: {status}")
        if not await until(self.runtime, lambda: self.runtime.task_count() <= tasks, HEALED_WITHIN):
            self.watch.find(f"{self.runtime.task_count() - tasks} tasks are left")

    async def _check_pool(self) -> None:
        """Every connection can be had, works and comes back."""

        def whole() -> bool:
            status = self.pool.status()
            return status.available == status.size <= POOL_SIZE and not status.waiting

        if not await until(self.runtime, whole, HEALED_WITHIN):
            self.watch.find(f"the pool isn't whole: {self.pool.status()}")
        held = [await settle(self.pool.connection()) for _ in range(POOL_SIZE)]
        for number, connection in enumerate(held):
            query = "SELECT $1::int4 + pg_backend_pid() * 0"
            if await settle(connection.fetch_val(query, [number])) != number:
                self.watch.find("a connection gives what wasn't asked for")
            connection.close()
        if not await until(self.runtime, whole, HEALED_WITHIN):
            self.watch.find(f"connections didn't come back: {self.pool.status()}")


class Soak:
    def __init__(self, seed: int, seconds: float, pause: float) -> None:
        self.seed = seed
        self.seconds = seconds
        self.pause = pause
        self.findings: list[str] = []

    def run(self) -> dict[str, Any]:
        """Returns what report.py shows; "findings" should be empty."""
        for make in RUNTIMES.values():
            # libuv opens a pipe when it is used first, for ever.
            make().run(_nothing)
        before = (descriptors(), threading.active_count())
        with self._complaints(), Opponent(self.seed, self.pause) as opponent:
            with psycopg.connect(opponent.direct, autocommit=True) as connection:
                connection.execute(TABLE.encode())
            ledger = Ledger(sum(USERS.values()))
            participants = self._participants(opponent.dsn, opponent.pooled, ledger)
            recorder = Recorder({one.runtime.name: (one.watch, one.pool) for one in participants})
            for one in participants:
                one.thread.start()
            opponent.begin()
            self._record(recorder, self.seconds)
            opponent.calm()
            # Until everybody has seen that all is well again.
            self._record(recorder, HEALED_WITHIN)
            self._end(participants)
            self._compare(opponent.direct, ledger)
            faults = opponent.faults
        self._look_for_leftovers(before)
        for one in participants:
            self.findings += one.watch.findings
        return self._summary(participants, ledger, recorder, faults)

    def _participants(self, dsn: str, pooled: str | None, ledger: Ledger) -> list[Participant]:
        random, found, first = Random(self.seed), [], 0
        for name, count in USERS.items():
            there = pooled if name == POOLED else dsn
            if there is not None:
                found.append(Participant(name, there, ledger, range(first, first + count), random))
            first += count
        return found

    def _record(self, recorder: Recorder, seconds: float) -> None:
        """At most some hundred samples."""
        until, interval = time.monotonic() + seconds, max(1.0, self.seconds / 400)
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(interval, left))
            recorder.take()

    def _end(self, participants: list[Participant]) -> None:
        for one in participants:
            one.watch.over = True
        deadline = time.monotonic() + ENDED_WITHIN
        for one in participants:
            one.thread.join(max(0.0, deadline - time.monotonic()))
            if one.thread.is_alive():
                self.findings.append(f"{one.runtime.name} hangs")
                faulthandler.dump_traceback()

    # The end

    def _compare(self, dsn: str, ledger: Ledger) -> None:
        with psycopg.connect(dsn) as connection:
            sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'soak-%'"
            deadline = time.monotonic() + HEALED_WITHIN
            while (row := connection.execute(sessions.encode()).fetchone()) and row[0]:
                connection.rollback()
                if time.monotonic() > deadline:
                    self.findings.append(f"{row[0]} sessions are left on the server")
                    break
                time.sleep(0.05)
            with connection.cursor("entries") as cursor:
                cursor.execute(b"SELECT entry, count(*) FROM ledger GROUP BY entry")
                self.findings += ledger.disagreements(
                    (int(str(entry)), int(str(rows))) for entry, rows in cursor
                )

    def _look_for_leftovers(self, before: tuple[int, int]) -> None:
        # Threads for names and cancel requests end when they had nothing to do for ten seconds.
        deadline = time.monotonic() + 15
        while True:
            now = (descriptors(), threading.active_count())
            if now <= before or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        if now[0] > before[0]:
            self.findings.append(f"{now[0] - before[0]} descriptors are left, among {opened()}")
        if now[1] > before[1]:
            names = [thread.name for thread in threading.enumerate()]
            self.findings.append(f"{now[1] - before[1]} threads are left: {names}")

    @contextmanager
    def _complaints(self) -> Iterator[None]:
        """What Python and the loops complain about is a finding."""
        complain = self.findings.append

        class Complaints(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                complain(f"{record.name}: {record.getMessage()}")

        handler, hook, thread_hook = Complaints(logging.WARNING), sys.unraisablehook, threading.excepthook
        loggers = [logging.getLogger(name) for name in ("asyncio", "trio")]
        # Says of each connection that it is lost, and made again.
        logging.getLogger("psqlpy").addHandler(logging.NullHandler())
        for logger in loggers:
            logger.addHandler(handler)
        sys.unraisablehook = lambda what: complain(f"unraisable: {what.exc_value!r} in {what.object!r}")
        threading.excepthook = lambda what: complain(f"in {what.thread}: {what.exc_value!r}")
        with warnings.catch_warnings():
            warnings.simplefilter("always", ResourceWarning)
            warnings.simplefilter("always", RuntimeWarning)
            warnings.showwarning = lambda message, *_, **__: complain(f"warning: {message}")
            try:
                yield
            finally:
                sys.unraisablehook, threading.excepthook = hook, thread_hook
                for logger in loggers:
                    logger.removeHandler(handler)

    def _summary(
        self, participants: list[Participant], ledger: Ledger, recorder: Recorder, faults: list[Any]
    ) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "seconds": self.seconds,
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
            "where": f"psqlpy {psqlpy.__version__}, CPython {platform.python_version()}, {platform.system()}",
            "findings": self.findings,
            "faults": dict(Counter(fault.name for fault in faults).most_common()),
            "moments": [
                (fault.name, fault.begun - recorder.begun, fault.ended - recorder.begun) for fault in faults
            ],
            "ledger": dict(ledger.totals()),
            "runtimes": {one.runtime.name: _figures(one) for one in participants},
            "samples": recorder.samples,
            "process": recorder.process,
        }


async def _nothing() -> None:
    pass


def _figures(one: Participant) -> dict[str, Any]:
    watch = one.watch
    return {
        "calls": watch.kinds.total(),
        "kinds": dict(watch.kinds.most_common()),
        "errors": dict(watch.outcomes.most_common()),
        "late": watch.late,
        "latest": watch.latest,
        "latest_net": watch.latest_net,
        "first_success": one.first_success,
        "entries": sum(one.users[0].ledger.count(user.number) for user in one.users),
        "sent": len(one.channel.told),
        "received": one.channel.received,
        "reconnects": one.channel.reconnects,
        "stats": one.pool.stats()._asdict(),
    }


assert SPAN < 2**40  # so that nonces and entries are different numbers
