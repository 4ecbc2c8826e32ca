"""What a tool that reports errors could show of one: the variables of psqlpy's frames, and what they hold."""

from __future__ import annotations

import gc
import os
import traceback
from collections.abc import Iterable, Iterator
from types import FrameType, FunctionType, ModuleType
from typing import Any

import psqlpy

_PACKAGE = os.path.dirname(psqlpy.__file__) + os.sep
# Those lead to everything.
_NOT_FOLLOWED = (type, ModuleType, FunctionType, FrameType)
_ENOUGH = 20_000


def chain(error: BaseException) -> list[BaseException]:
    """An exception, its causes, its contexts, and those in groups of them."""
    found: list[BaseException] = []
    pending = [error]
    while pending:
        one = pending.pop()
        if one in found:
            continue
        found.append(one)
        pending += [other for other in (one.__cause__, one.__context__) if other is not None]
        pending += getattr(one, "exceptions", ())
    return found


def frames(error: BaseException) -> list[FrameType]:
    """Psqlpy's frames in the tracebacks of an exception and those behind it."""
    steps = [step for one in chain(error) for step, _ in traceback.walk_tb(one.__traceback__)]
    return [frame for frame in steps if frame.f_code.co_filename.startswith(_PACKAGE)]


def words(error: BaseException) -> str:
    """The text of it all, with notes, attributes and the reprs of the frames' variables."""
    shown = []
    for one in chain(error):
        shown += [str(one), repr(one), repr(one.args), *map(str, getattr(one, "__notes__", ()))]
        shown += [repr(value) for value in getattr(one, "__dict__", {}).values()]
    shown += traceback.TracebackException.from_exception(error).format()
    shown += [repr(value) for frame in frames(error) for value in frame.f_locals.values()]
    return "\n".join(shown)


def plain_texts(roots: Iterable[object]) -> Iterator[str]:
    """Every str and bytes that can be reached from there, but for those whose type hides them."""
    seen: set[int] = set()
    pending: list[Any] = list(roots)
    while pending:
        one = pending.pop()
        if id(one) in seen or isinstance(one, _NOT_FOLLOWED):
            continue
        seen.add(id(one))
        if isinstance(one, str):
            # Not what a Secret holds, but what it shows.
            yield repr(one)
        elif isinstance(one, bytes):
            yield one.decode("utf-8", "replace")
        elif len(seen) < _ENOUGH:
            pending += gc.get_referents(one)


def held(error: BaseException) -> str:
    """What the variables of psqlpy's frames lead to."""
    return "\n".join(plain_texts(value for frame in frames(error) for value in frame.f_locals.values()))
