"""The same work again and again: memory, objects, descriptors and threads stay as they are."""

from __future__ import annotations

import os

import pytest

from soak import leaks
from soak.runtimes import RUNTIMES

SOME = {"queries": 1600, "connects": 80, "cancellations": 160, "errors": 800}


@pytest.mark.parametrize(
    "runtime",
    [
        pytest.param("asyncio", marks=pytest.mark.backend("asyncio")),
        pytest.param("threads", marks=pytest.mark.backend("sync")),
    ],
)
def test_some_of_each(dsn: str, runtime: str) -> None:
    found = leaks.run(runtime, SOME, dsn)
    assert [growth.times for growth in found] == list(SOME.values())
    assert {growth.work: growth.too_much for growth in found if growth.too_much} == {}


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("work", leaks.WORKS)
@pytest.mark.parametrize(
    "runtime",
    [
        pytest.param(name, marks=pytest.mark.backend("sync" if name == "threads" else name))
        for name in RUNTIMES
    ],
)
def test_a_tenth_of_each(dsn: str, runtime: str, work: str) -> None:
    [growth] = leaks.run(runtime, {work: leaks.COUNTS[work] // 10}, dsn)
    assert not growth.too_much


def test_a_leak_is_seen(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an object, a descriptor and some memory."""
    kept: list[object] = []
    files: list[int] = []

    async def leaking(place: leaks.Place, count: int) -> None:
        for _ in range(count):
            kept.append([bytes(16 * 1024)])
            files.append(os.dup(0))

    monkeypatch.setitem(leaks.WORKS, "errors", leaking)
    try:
        growth = leaks.measure(RUNTIMES["threads"](), "errors", 400, dsn)
    finally:
        for file in files:
            os.close(file)
    seen = {said.partition(":")[0] for said in growth.too_much}
    assert seen >= {"rss", "objects", "descriptors"}
