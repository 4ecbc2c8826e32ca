"""Nothing: a semaphore instead of a pool, a turn of the loop instead of a query. What tasks cost by themselves."""

from __future__ import annotations

import asyncio
import platform


class Pool:
    def __init__(self, size: int) -> None:
        self._places = asyncio.Semaphore(size)

    async def acquired_pair(self, query: str, key: int) -> tuple[int, str]:
        async with self._places:
            await asyncio.sleep(0)
            return key, f"name {key}"

    async def close(self) -> None: ...


class Driver:
    def versions(self) -> dict[str, str]:
        return {"CPython": platform.python_version()}

    async def pool(self, dsn: str, size: int) -> Pool:
        return Pool(size)


def make(loop: str) -> Driver:
    return Driver()
