"""A few daemon threads for calls that block or take long: resolving names, cancel requests, files, keys and hashes.

Ours, not the event loop's default executor: `asyncio.run` waits for that one, however long a name server is silent.
Each kind has threads of its own: cancel requests that are stuck in a dead network keep nobody from finding another
server.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

# As many blocked calls as may be stuck in a dead network before the next one has to wait.
THREADS = 16
# Those that only calculate are no faster for being many.
CALCULATING = max(1, min(4, os.cpu_count() or 1))
# A thread without work ends after this many seconds.
_LINGER = 10.0

_Job = Callable[[], None]


class _Pool:
    def __init__(self, most: int = THREADS) -> None:
        self.most = most
        self.lock = threading.Lock()
        self.work = threading.Condition(self.lock)
        self.jobs: deque[_Job] = deque()
        self.threads = 0
        self.idle = 0


_resolving = _Pool()
_cancelling = _Pool()
_copying = _Pool()
_connecting = _Pool(CALCULATING)


def _forget_threads() -> None:
    # A forked child has none of its parent's threads.
    global _resolving, _cancelling, _copying, _connecting
    _resolving, _cancelling, _copying, _connecting = _Pool(), _Pool(), _Pool(), _Pool(CALCULATING)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


def start(job: _Job) -> None:
    """Run `job`, which must not raise, in a daemon thread; returns at once."""
    _start(_resolving, job)


def start_cancel(job: _Job) -> None:
    """Run a cancel request likewise."""
    _start(_cancelling, job)


def start_file(job: _Job) -> None:
    """Run a call of a file likewise."""
    _start(_copying, job)


def start_connect(job: _Job) -> bool:
    """Run a step of connecting likewise; False if there is no thread that would."""
    _start(_connecting, job)
    return _connecting.threads > 0


def wait_for_cancels(seconds: float) -> None:
    """Wait until all cancel requests have returned, so long at most."""
    until = time.monotonic() + seconds
    while (_cancelling.jobs or _cancelling.threads > _cancelling.idle) and time.monotonic() < until:
        time.sleep(0.005)


def _start(pool: _Pool, job: _Job) -> None:
    if sys.is_finalizing():
        # A thread that is started now never runs, and its start would be waited for.
        return
    with pool.lock:
        pool.jobs.append(job)
        if pool.idle >= len(pool.jobs) or pool.threads >= pool.most:
            pool.work.notify()
            return
        pool.threads += 1
    try:
        threading.Thread(target=_serve, args=(pool,), name="psqlpy-background", daemon=True).start()
    except RuntimeError:
        # No more threads, of this process or at its end: one that exists, or the next call's, does the job.
        with pool.lock:
            pool.threads -= 1


def _serve(pool: _Pool) -> None:
    while True:
        with pool.lock:
            while not pool.jobs:
                pool.idle += 1
                timely = pool.work.wait(_LINGER)
                pool.idle -= 1
                if not timely and not pool.jobs:
                    pool.threads -= 1
                    return
            job = pool.jobs.popleft()
        job()
        del job
