"""Closing, as a pair: what is closed by a plain call under event loops too, and may be waited for."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias

from psqlpy import exceptions
from psqlpy._io.links import AsyncLink, SyncLink, is_asyncio
from psqlpy._protocol.commands import Commands
from psqlpy._protocol.request import Request


class AsyncClosed:
    """Something is being closed; awaiting it waits until that has happened, and raises what the server says."""

    __slots__ = ("_deadline", "_link", "_request")

    def __init__(
        self, link: AsyncLink | None, request: Request | None = None, deadline: float | None = None
    ) -> None:
        self._link = link
        self._request = request
        self._deadline = deadline

    def __await__(self) -> Generator[Any, Any, None]:
        return self._wait().__await__()

    async def _wait(self) -> None:
        link, request = self._link, self._request
        if link is None:
            return
        if request is None or not request.done:
            try:
                # It lands behind what was sent before.
                await link.run(Commands(()), self._deadline)
            except exceptions.ConnectionClosedError:
                # And everything on it.
                return
        if request is not None and request.error is not None:
            raise request.take_error()


SyncClosed: TypeAlias = None


def async_close(link: AsyncLink | None, request: Request | None, deadline: float | None) -> AsyncClosed:
    """Send at once what closes something on the server; without a link there is nothing to be closed."""
    if link is not None and request is not None and not link.is_closed:
        link.send(request)
        return AsyncClosed(link, request, deadline)
    return AsyncClosed(None)


def sync_close(link: SyncLink | None, request: Request | None, deadline: float | None) -> None:
    """Close something on the server; without a link there is nothing to be closed."""
    if link is not None and request is not None:
        try:
            link.run(request, deadline)
        except exceptions.ConnectionClosedError:
            # And everything on it.
            pass


def async_write_rest(link: AsyncLink) -> None:
    """See that what waits behind an answer is written, though nobody waits for that; asyncio's loop reads anyway."""
    driver = link.driver
    if driver is not None and not is_asyncio(driver):
        driver.write_rest()


def sync_write_rest(link: SyncLink) -> None:
    """See that what waits behind an answer is written, though nobody waits for that; a tenth of a second at most."""
    link.driver.write_rest()
