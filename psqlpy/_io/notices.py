"""Notices on their way from libpq to a user's function and to `logging`.

libpq hands them over in the middle of reading, under the connection's lock, where nothing of the user's may run. So
they are told as soon as that is over: before the call whose statement caused them returns, and under an event loop
even while the statement runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import ref

from psqlpy._io.links import AsyncLink, SyncLink
from psqlpy._io.logs import logger
from psqlpy._io.primitives import both
from psqlpy._io.running import running_loop
from psqlpy._io.system_task import call_soon_in_trio
from psqlpy._pq.callbacks import Fields

if TYPE_CHECKING:
    from psqlpy._notice import Notice

_LOG = "psqlpy.notices"

# The levels of `logging`.
_DEBUG = 10
_LEVELS = {
    "LOG": 20,
    "INFO": 20,
    "NOTICE": 20,
    "WARNING": 30,
    "ERROR": 40,
    "FATAL": 40,
    "PANIC": 50,
}

# Of one connection, untold: a server that floods us mustn't fill the memory. The newest are told.
_KEPT = 1000

OnNotice = Callable[["Notice"], object]


class _Courier:
    """One connection's notices that nobody was told yet."""

    __slots__ = ("_backend_pid", "_fresh", "_is_due", "_link", "_on_notice", "_settles_with")

    def __init__(self, link: AsyncLink | SyncLink, on_notice: OnNotice | None) -> None:
        # Weak: the connection refers to us.
        self._link = ref(link)
        self._on_notice = on_notice
        self._backend_pid = link.session.pgconn.backend_pid
        self._fresh: deque[Fields] = deque(maxlen=_KEPT)
        # Whether the event loop will call `tell`, and which driver (its `id`) when its connection has settled.
        self._is_due = False
        self._settles_with = 0

    def take(self, fields: Fields) -> None:
        """Note a notice; called by libpq."""
        self._fresh.append(fields)
        link = self._link()
        driver: Any = None if link is None else link.driver
        if driver is None:
            return
        if self._settles_with != id(driver):
            self._settles_with = id(driver)
            driver.on_settled = both(driver.on_settled, self._settled)
        if isinstance(link, AsyncLink) and not self._is_due:
            loop = running_loop()
            self._is_due = True
            if loop is not None and loop is driver.loop:
                loop.call_soon(self.tell)
            elif loop is None:
                call_soon_in_trio(self.tell)

    def _settled(self) -> None:
        self._settles_with = 0
        self.tell()

    def tell(self) -> None:
        """Tell what nobody was told yet."""
        self._is_due = False
        if not self._fresh:
            return
        from psqlpy._notice import Notice

        while self._fresh:
            try:
                notice = Notice(self._fresh.popleft(), self._backend_pid)
            except IndexError:
                # Another thread has told it.
                return
            level = _LEVELS.get(notice.level or "", _DEBUG)
            if logger(_LOG).isEnabledFor(level):
                logger(_LOG).log(level, "%s", notice, extra={"notice": notice})
            if self._on_notice is not None:
                try:
                    self._on_notice(notice)
                except Exception:
                    logger(_LOG).exception("on_notice failed for %r", notice)


def deliver_notices(link: AsyncLink | SyncLink, on_notice: OnNotice | None) -> None:
    """Tell a new connection's notices, those that came while it was made too, to `logging` and to a function."""
    courier = _Courier(link, on_notice)
    box = link.session.pgconn.notice_box
    for fields in box.notices:
        courier.take(fields)
    courier.tell()
    box.on_notice = courier.take
