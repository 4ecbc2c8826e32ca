"""Which driver serves whom, and how what needs no session is run: connecting, in pairs."""

from __future__ import annotations

import time
from sys import modules
from typing import TYPE_CHECKING, Any

from psqlpy._io.aside import Aside
from psqlpy._io.resolve import Resolver
from psqlpy._io.running import running_loop
from psqlpy._io.thread_driver import drive as drive_in_thread
from psqlpy._io.turns import drive_in_turns
from psqlpy._pq.connection import PGconn
from psqlpy._protocol.connect import connect
from psqlpy._protocol.session import Session

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from psqlpy._config import ConnectPlan
    from psqlpy._io.anyio_driver import AnyioDriver
    from psqlpy._io.asyncio_driver import AsyncioDriver


def make_driver(session: Session, loop: AbstractEventLoop | None) -> AsyncioDriver | AnyioDriver:
    if loop is not None and not _is_proactor(loop):
        from psqlpy._io.asyncio_driver import AsyncioDriver

        return AsyncioDriver(session, loop)
    from psqlpy._io.anyio_driver import AnyioDriver

    return AnyioDriver(session)


def _is_proactor(loop: AbstractEventLoop) -> bool:
    proactor = getattr(modules["asyncio"], "ProactorEventLoop", None)
    return proactor is not None and isinstance(loop, proactor)


async def async_drive(dialogue: Any) -> Any:
    """Run a generator of `Wait` under whatever event loop runs."""
    loop = running_loop()
    if loop is not None and not _is_proactor(loop):
        from psqlpy._io.asyncio_driver import wait_any
    else:
        from psqlpy._io.anyio_driver import wait_any
    return await drive_in_turns(dialogue, wait_any)


sync_drive = drive_in_thread


async def async_connect(plan: ConnectPlan, deadline: float | None) -> PGconn:
    """Connect to the first host that will have us."""
    connected: PGconn = await async_drive(connect(plan, time.monotonic, Resolver(), deadline, aside=Aside))
    return connected


def sync_connect(plan: ConnectPlan, deadline: float | None) -> PGconn:
    """Connect to the first host that will have us."""
    connected: PGconn = sync_drive(connect(plan, time.monotonic, Resolver(), deadline))
    return connected
