"""What libpq calls back: notices. The receiver only collects; nothing runs inside libpq's call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psqlpy._pq.module import ffi
from psqlpy._pq.result import diagnostics

# A server that floods notices must not fill our memory: the newest are kept.
NOTICES_KEPT = 100

# "there is no transaction in progress", a WARNING.
_NO_TRANSACTION = "25P01"

Fields = dict[str, str | None]


class NoticeBox:
    """Notices of one connection, oldest first."""

    __slots__ = ("notices", "on_notice", "rolling_back")

    def __init__(self) -> None:
        self.notices: list[Fields] = []
        # Called in the middle of libpq's reading, for each: it may only note them.
        self.on_notice: Callable[[Fields], None] | None = None
        # How many ROLLBACKs are on their way that nobody asked for, and for which there may be no transaction.
        self.rolling_back = 0

    def handle(self) -> Any:
        """The address for libpq; whoever keeps it keeps the box alive."""
        return ffi.new_handle(self)

    def take(self) -> list[Fields]:
        notices, self.notices = self.notices, []
        return notices


@ffi.def_extern()  # type: ignore[untyped-decorator,unused-ignore]
def psq_on_notice(handle: Any, notice: Any) -> None:
    box = ffi.from_handle(handle)
    fields = diagnostics(notice)
    if box.rolling_back and fields.get("sqlstate") == _NO_TRANSACTION:
        return
    box.notices.append(fields)
    if len(box.notices) > NOTICES_KEPT:
        del box.notices[0]
    if box.on_notice is not None:
        box.on_notice(fields)
