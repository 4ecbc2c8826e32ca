"""Debug mode: where a connection was acquired is noted, for the warning about one that was not given back.

It is on in Python's development mode (`-X dev`), with PSQLPY_DEBUG=1 in the environment, and under an asyncio loop in
its debug mode.
"""

from __future__ import annotations

import os
import sys
from itertools import islice
from typing import TYPE_CHECKING

from psqlpy._io.running import running_loop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from traceback import StackSummary
    from types import FrameType

ALWAYS = sys.flags.dev_mode or os.environ.get("PSQLPY_DEBUG", "0") not in ("", "0")

# The innermost callers, as far as they are shown.
_DEPTH = 12
_OURS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")


def callers() -> StackSummary | None:
    """Who called psqlpy, the innermost last; None outside of debug mode. No frame is kept, nor its variables."""
    if not ALWAYS:
        loop = running_loop()
        if loop is None or not loop.get_debug():
            return None
    from traceback import StackSummary

    summary = StackSummary.extract(islice(_walk(sys._getframe(1)), _DEPTH), lookup_lines=False)
    summary.reverse()
    return summary


def _walk(frame: FrameType | None) -> Iterator[tuple[FrameType, int]]:
    while frame is not None:
        if not frame.f_code.co_filename.startswith(_OURS):
            yield frame, frame.f_lineno
        frame = frame.f_back


def describe(summary: StackSummary | None) -> str:
    """What the warning says of them."""
    if summary is None:
        return "; PSQLPY_DEBUG=1 tells where it was acquired"
    return "; it was acquired here:\n" + "".join(summary.format()).rstrip()
