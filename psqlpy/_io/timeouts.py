"""What a call that took too long raises."""

from __future__ import annotations

import time

from psqlpy import exceptions
from psqlpy._protocol.request import Request


def query_timeout(began: float, request: Request) -> exceptions.QueryTimeoutError:
    """A request didn't end in time: says how long was waited, for what, and whether it may have had an effect."""
    waited = time.monotonic() - began
    if request.written:
        doing = "for the server's answer; it was asked to cancel the statement"
    else:
        doing = "before the statement could be executed; it was not"
    error = exceptions.QueryTimeoutError(f"timeout: waited {waited:.3f} s {doing}")
    error.safe_to_retry = not request.written
    error.may_have_committed = request.written
    return error
