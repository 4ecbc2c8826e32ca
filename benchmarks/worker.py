"""One driver at work: `python -m benchmarks.worker DRIVER LOOP`, asked by the conductor, see channel.py.

{"do": "open", "work", "dsn", "options"} makes the connections; {"do": "turn", "heartbeat"} does the work once and says
how long it took, by the clock and on the processor; {"do": "close"} closes them and says how much memory it took.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from time import perf_counter, process_time
from typing import Any

from benchmarks import memory
from benchmarks.channel import Channel, Message
from benchmarks.drivers import Driver, load
from benchmarks.work import WORKS, Work

# How often the heartbeat means to beat. Seconds.
BEAT = 0.001


class Heartbeat:
    """A task that only sleeps: how much too late it wakes up at most is how long nobody else had their turn."""

    def __init__(self) -> None:
        self.stall = 0.0

    async def __aenter__(self) -> Heartbeat:
        self._task = asyncio.ensure_future(self._beat())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        # It is due by now, if the work has held the loop to its very end.
        await asyncio.sleep(BEAT)
        self._task.cancel()

    async def _beat(self) -> None:
        while True:
            before = perf_counter()
            await asyncio.sleep(BEAT)
            self.stall = max(self.stall, perf_counter() - before - BEAT)


class Worker:
    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._work: Work | None = None

    async def answer(self, message: Message) -> Message:
        answers: dict[str, Callable[[Message], Awaitable[Message]]] = {
            "open": self.open,
            "turn": self.turn,
            "close": self.close,
        }
        return await answers[message["do"]](message)

    async def open(self, message: Message) -> Message:
        self._work = WORKS[message["work"]](self._driver, message["dsn"], message["options"])
        await self._work.open()
        return {}

    async def turn(self, message: Message) -> Message:
        work = self._work
        assert work is not None
        await work.prepare()
        work.latencies = []
        gc.collect()
        stall = None
        if message["heartbeat"]:
            async with Heartbeat() as heartbeat:
                answer = await self._timed(work)
            stall = heartbeat.stall
        else:
            answer = await self._timed(work)
        return {**answer, "stall": stall, "latencies": work.latencies, "extra": await work.finish()}

    async def _timed(self, work: Work) -> Message:
        began, cpu = perf_counter(), process_time()
        operations = await work.turn()
        wall, cpu = perf_counter() - began, process_time() - cpu
        return {"wall": wall, "cpu": cpu, "operations": operations}

    async def close(self, message: Message) -> Message:
        peak = memory.peak()
        if self._work is not None:
            await self._work.close()
        self._work = None
        return {"peak": peak}


async def serve(channel: Channel, driver: Driver) -> None:
    worker = Worker(driver)
    channel.send({"pid": os.getpid(), "versions": driver.versions()})
    while (message := channel.receive()) is not None:
        try:
            answer = await worker.answer(message)
        except Exception as error:
            channel.send_error(error)
        else:
            channel.send(answer)


def run_sync(main: Coroutine[Any, Any, None]) -> None:
    """Synchronous drivers' adapters are coroutines that never wait: no loop, the same works."""
    try:
        main.send(None)
    except StopIteration:
        return
    raise RuntimeError("a synchronous driver waited")


def run_uvloop(main: Coroutine[Any, Any, None]) -> None:
    import uvloop

    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(main)
    finally:
        loop.close()


def main() -> None:
    name, loop = sys.argv[1:]
    channel = Channel()
    serving = serve(channel, load(name, loop))
    if loop == "trio":
        import trio

        async def run() -> None:
            await serving

        trio.run(run)
    else:
        {"asyncio": asyncio.run, "uvloop": run_uvloop, "sync": run_sync}[loop](serving)


if __name__ == "__main__":
    main()
