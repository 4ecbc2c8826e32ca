"""What libpq calls back: notices. The receiver only collects; nothing runs inside libpq's call."""

from __future__ import annotations

from typing import Any

from psqlpy._pq.module import ffi
from psqlpy._pq.result import diagnostics

# A server that floods notices must not fill our memory: the newest are kept.
NOTICES_KEPT = 100


class NoticeBox:
    """Notices of one connection, oldest first."""

    __slots__ = ("notices",)

    def __init__(self) -> None:
        self.notices: list[dict[str, str | None]] = []

    def handle(self) -> Any:
        """The address for libpq; whoever keeps it keeps the box alive."""
        return ffi.new_handle(self)

    def take(self) -> list[dict[str, str | None]]:
        notices, self.notices = self.notices, []
        return notices


@ffi.def_extern()  # type: ignore[untyped-decorator,unused-ignore]
def psq_on_notice(handle: Any, notice: Any) -> None:
    notices = ffi.from_handle(handle).notices
    notices.append(diagnostics(notice))
    if len(notices) > NOTICES_KEPT:
        del notices[0]
