"""The ways to run an async function from plain code, for tests in which event loops come and go."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

T = TypeVar("T")
Main = Callable[[], Awaitable[T]]


def run_asyncio(main: Main[T]) -> T:
    async def call() -> T:
        return await main()

    return asyncio.run(call())


def run_uvloop(main: Main[T]) -> T:
    uvloop = pytest.importorskip("uvloop")

    async def call() -> T:
        return await main()

    result: T = uvloop.run(call())
    return result


def run_trio(main: Main[T]) -> T:
    trio = pytest.importorskip("trio")
    result: T = trio.run(main)
    return result


RUNNERS: dict[str, Callable[[Main[Any]], Any]] = {
    "asyncio": run_asyncio,
    "uvloop": run_uvloop,
    "trio": run_trio,
}

each_runner = pytest.mark.parametrize(
    "run",
    [pytest.param(run, id=name, marks=pytest.mark.backend(name)) for name, run in RUNNERS.items()],
)


def run_in_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    """A started thread, and where its error will be."""
    errors: list[BaseException] = []

    def target() -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread, errors


def join(thread: threading.Thread, errors: list[BaseException], within: float = 20) -> None:
    thread.join(within)
    assert not thread.is_alive(), "the thread hangs"
    assert errors == []
