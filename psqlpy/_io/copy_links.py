"""What links do for a COPY that pauses for its caller: go on with it, or leave it. The rest of them is in links.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psqlpy._io.asyncio_driver import AsyncioDriver
from psqlpy._io.running import enclosing_loop

if TYPE_CHECKING:
    from psqlpy._io.anyio_driver import AnyioDriver
    from psqlpy._io.thread_driver import ThreadDriver
    from psqlpy._protocol.copy import Copy
    from psqlpy._protocol.session import Session


class _CopyLink:
    __slots__ = ()

    if TYPE_CHECKING:
        session: Session

        @property
        def is_closed(self) -> bool: ...

        def cut(self) -> None: ...

    def leave(self, copy: Copy) -> None:
        """Break off a paused dialogue; each side has its own way."""
        raise NotImplementedError

    def leave_copy(self) -> None:
        """Break off a COPY that waits for its caller, who gives the connection back instead."""
        copy = self.session.dialogue
        if self.session.is_held and copy is not None:
            self.leave(copy)  # type: ignore[arg-type]  # nothing else holds a session


class AsyncCopyLink(_CopyLink):
    __slots__ = ()

    if TYPE_CHECKING:
        driver: AsyncioDriver | AnyioDriver | None

        async def move_here(self) -> None: ...

    async def go_on(self, copy: Copy, deadline: float | None) -> None:
        """Run a dialogue that has paused for its caller, until it pauses again or ends; raises as `run` does."""
        await self.move_here()
        assert self.driver is not None
        await self.driver.go_on(copy, deadline)

    def leave(self, copy: Copy) -> None:
        """Break off a paused dialogue, from any thread; waits for nothing."""
        driver = self.driver
        if driver is None or not copy.paused or self.is_closed:
            return
        try:
            if not isinstance(driver, AsyncioDriver):
                driver.leave_copy(copy)
            elif driver.is_alive and driver.loop is not enclosing_loop():
                driver.loop.call_soon_threadsafe(self._leave_here, driver, copy)
            else:
                driver.leave_copy(copy)
        except RuntimeError:
            # The event loop has ended.
            self.cut()

    def _leave_here(self, driver: AsyncioDriver, copy: Copy) -> None:
        if copy.paused and not self.is_closed:
            driver.leave_copy(copy)


class SyncCopyLink(_CopyLink):
    __slots__ = ()

    if TYPE_CHECKING:
        driver: ThreadDriver

        @property
        def is_inside(self) -> bool: ...

    def leave(self, copy: Copy) -> None:
        """Break off a paused dialogue, which takes a tenth of a second at most."""
        if self.is_inside:
            # Perhaps a garbage collection in this very thread, in the middle of a call.
            self.cut()
        elif copy.paused and not self.is_closed:
            self.driver.leave_copy(copy)
