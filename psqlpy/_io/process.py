"""What becomes of connections when their process ends or forks."""

from __future__ import annotations

import atexit
import os
from weakref import WeakSet

from psqlpy._io.cancel import end_with_process
from psqlpy._protocol.session import Session

_sessions: WeakSet[Session] = WeakSet()


def watch(session: Session) -> None:
    """See to it that a session ends with this process, and isn't used by a forked one."""
    _sessions.add(session)


def _disown() -> None:
    """In a forked child: its parent goes on using these connections, so that a word from here would confuse both."""
    for session in list(_sessions):
        session.lost(
            "it belongs to the parent process: what was acquired before a fork can't be used after it"
        )


atexit.register(end_with_process, _sessions)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown)
