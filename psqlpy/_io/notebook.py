"""What notebooks and other interactive sessions need: a stop button that works, and old pools that go.

ipykernel (6 and 7) cancels an awaiting cell from a signal handler, with `call_soon`: nothing wakes the loop from its
wait for sockets, and the interrupt takes effect with whatever happens next, such as the end of a statement of 60 s.
While a call waits on that loop, it is woken twenty times a second. No other loop has a timer.

A session keeps the last uncaught error for its debugger, and the error's traceback keeps the pool it came out of.

A kernel is restarted when it hangs, that is in the middle of a statement, and killed if need be. The server would
notice at the statement's end: sessions of a kernel ask it to look every second (PostgreSQL 14 and later; manual,
"client_connection_check_interval").
"""

from __future__ import annotations

import sys
from sys import modules
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

    from psqlpy._pq.connection import PGconn

# Seconds. The cell ends this much, and as long as IPython takes to format the traceback, after the button was pressed.
_INTERVAL = 0.05


_KERNEL = "ipykernel.kernelbase"
# Whoever has set it themselves knows better.
_WATCH_THE_CLIENT = (
    b"SELECT pg_catalog.set_config('client_connection_check_interval', '1000', false)"
    b" WHERE pg_catalog.current_setting('client_connection_check_interval') = '0'"
)


class _Ticker:
    """The timer of the kernel's loop; runs while one of the futures isn't done."""

    __slots__ = ("_futures", "_runs", "loop")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = loop
        self._futures: list[Future[None]] = []
        self._runs = False

    def watch(self, future: Future[None]) -> None:
        self._futures.append(future)
        if not self._runs:
            self._runs = True
            self.loop.call_later(_INTERVAL, self._tick)

    def _tick(self) -> None:
        self._futures = [future for future in self._futures if not future.done()]
        self._runs = bool(self._futures)
        if self._runs:
            self.loop.call_later(_INTERVAL, self._tick)


_ticker: _Ticker | None = None


def keep_interruptible(loop: AbstractEventLoop, future: Future[None]) -> None:
    """Wake a kernel's loop regularly until the future is done; with any other loop, do nothing.

    To be called only if "ipykernel" is in sys.modules, as nothing else need pay for the question.
    """
    global _ticker
    if _ticker is None or _ticker.loop is not loop:
        if _kernel_loop() is not loop:
            return
        _ticker = _Ticker(loop)
    _ticker.watch(future)


def _kernel() -> Any:
    """The kernel that this process is; None if there is no kernel, only the package."""
    kernelbase = modules.get(_KERNEL)
    kernel_class = getattr(kernelbase, "Kernel", None)
    if kernel_class is None or not kernel_class.initialized():
        return None
    return kernel_class.instance()


def _kernel_loop() -> Any:
    """The loop that executes this process's cells."""
    return getattr(getattr(_kernel(), "io_loop", None), "asyncio_loop", None)


def session_settings(pgconn: PGconn) -> tuple[bytes, ...]:
    """What is said to a new session, or one that was reset, in a kernel: nothing anywhere else."""
    if _KERNEL not in modules or _kernel() is None or pgconn.server_version < 140000:
        return ()
    return (_WATCH_THE_CLIENT,)


def forget_last_error() -> None:
    """Drop what the session's last uncaught error holds of this package's own: its frames lose their variables.

    For the moment a pool is made, which in a session is when its predecessor should close.
    """
    error = getattr(sys, "last_value", None)
    errors = [error] if isinstance(error, BaseException) else []
    for error in errors:
        step = error.__traceback__
        while step is not None:
            if step.tb_frame.f_globals.get("__name__", "").startswith("psqlpy."):
                _empty(step.tb_frame)
            step = step.tb_next
        related = (error.__cause__, error.__context__, *getattr(error, "exceptions", ()))
        errors.extend(other for other in related if other is not None and other not in errors)


def _empty(frame: FrameType) -> None:
    try:
        frame.clear()
    except RuntimeError:
        # Still running: the error was caught and goes on living somewhere.
        return
    # Up to CPython 3.12 whoever has looked at the variables left a copy in the frame; looking again renews it.
    _ = frame.f_locals
