"""pytest plugin: on which event loops a test runs.

A coroutine function runs on asyncio, uvloop and trio, unless `@pytest.mark.loops(...)` on it, or `pytestmark` in its
module, says that fewer are enough:

- `loops(2)`: on trio, and on one of asyncio and uvloop, which share a driver. For tests that are about the order of
  what is sent and read, not about waiting.
- `loops(1)`: on one of them. For tests that are about values, errors and what the server keeps.
- `loops(3)`: on all, for a test in a module that says otherwise.

Which one it is depends on the name of the test and of its case, so that a module runs on all of them. The others are no
tests less: they become long ones.
"""

from __future__ import annotations

import importlib.util
import zlib
from typing import Any

import pytest

_HAS_UVLOOP = importlib.util.find_spec("uvloop") is not None

BACKENDS = [
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(
        ("asyncio", {"use_uvloop": True}),
        id="uvloop",
        marks=pytest.mark.skipif(not _HAS_UVLOOP, reason="uvloop is not installed"),
    ),
    pytest.param(("trio", {}), id="trio"),
]
_ONE_DRIVER = ["asyncio", "uvloop"] if _HAS_UVLOOP else ["asyncio"]
# What there is to choose from, for each number of loops.
CHOICES: dict[int, list[set[str]]] = {
    1: [{"trio"}, *({name} for name in _ONE_DRIVER)],
    2: [{"trio", name} for name in _ONE_DRIVER],
    3: [{"trio", "asyncio", "uvloop"}],
}


@pytest.fixture(scope="module", params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Every test that is a coroutine function asks for it."""
    backend: tuple[str, dict[str, Any]] = request.param
    return backend


def loop_of(item: pytest.Item) -> str | None:
    """The event loop of a test; None if it has none, or always the same."""
    callspec = getattr(item, "callspec", None)
    if callspec is None or "anyio_backend" not in callspec.params:
        return None
    name, options = callspec.params["anyio_backend"]
    return "uvloop" if options.get("use_uvloop") else str(name)


def chosen(item: pytest.Item, loop: str, number: int) -> bool:
    """Whether a test is to run on its loop although so many are enough."""
    name, _, case = item.name.removesuffix("]").partition("[")
    parts = case.split("-")
    parts.remove(loop)
    choices = CHOICES[number]
    return loop in choices[zlib.crc32("-".join([name, *parts]).encode()) % len(choices)]


@pytest.hookimpl(tryfirst=True)  # before the long ones are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        loop, mark = loop_of(item), item.get_closest_marker("loops")
        if loop is not None and mark is not None and not chosen(item, loop, *mark.args):
            item.add_marker(pytest.mark.long)
