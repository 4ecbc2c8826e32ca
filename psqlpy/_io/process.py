"""What becomes of connections when their process ends or forks."""

from __future__ import annotations

import atexit
import os
from typing import Protocol
from weakref import WeakSet

from psqlpy._io.cancel import end_with_process
from psqlpy._protocol.session import Session


class Inheriting(Protocol):
    """What a forked child has a copy of, and is to be told so."""

    def inherit(self) -> None: ...


_sessions: WeakSet[Session] = WeakSet()
_pools: WeakSet[Inheriting] = WeakSet()


def watch(session: Session) -> None:
    """See to it that a session ends with this process, and isn't used by a forked one."""
    _sessions.add(session)


def watch_pool(pool: Inheriting) -> None:
    """See to it that a forked child doesn't wait for what only its parent's threads and tasks could give back."""
    _pools.add(pool)


def _disown() -> None:
    """In a forked child: its parent goes on using these connections, so that a word from here would confuse both."""
    for session in list(_sessions):
        session.lost(
            "it belongs to the parent process: what was acquired before a fork can't be used after it"
        )
    for pool in list(_pools):
        pool.inherit()


atexit.register(end_with_process, _sessions)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown)
