"""Loggers by name. `logging` is loaded when there is something to say, since it is a tenth of importing psqlpy."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger


@cache
def logger(name: str) -> Logger:
    import logging

    found = logging.getLogger(name)
    if name == "psqlpy.notices":
        # Without a handler of the user's a warning of the server isn't for the program's standard error.
        found.addHandler(logging.NullHandler())
    return found
