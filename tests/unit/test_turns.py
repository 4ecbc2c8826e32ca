"""Steps that many tasks come to at once: how many are made in one turn of the loop. The clock is made up."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from psqlpy._io import turns as module
from psqlpy._io.turns import turns

COUNT = 30


class Clock:
    """A step is as long as it says."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "perf_counter", clock)
    return clock


@pytest.mark.parametrize(("length", "most"), [(0.00045, 5), (0.001, 2), (0.005, 1)])
async def test_a_turn_has_as_many_steps_as_it_has_time_for(clock: Clock, length: float, most: int) -> None:
    made: list[int] = []
    per_turn: list[int] = []

    def make(number: int) -> None:
        clock.now += length
        made.append(number)

    async def come(number: int) -> None:
        for _ in range(2):
            await turns().run(lambda: make(number))

    async with anyio.create_task_group() as group:
        for number in range(COUNT):
            group.start_soon(come, number)
        before = 0
        while before < 2 * COUNT:
            # Another task of this loop, which has its turn in each turn.
            await anyio.lowlevel.checkpoint()
            per_turn.append(len(made) - before)
            before = len(made)
    # Between two of its own turns may be the end of one of the loop's and the beginning of the next.
    assert max(per_turn) <= 2 * most
    assert sorted(made) == sorted([*range(COUNT)] * 2)
    # First come, first served: nobody but the very first has had both before somebody else had one.
    assert len(set(made[:COUNT])) >= COUNT - 1


async def test_one_alone_needn_t_wait(clock: Clock) -> None:
    order: list[str] = []

    async def other() -> None:
        order.append("another task")

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        await turns().run(lambda: order.append("step"))
        assert order == ["step"]


async def test_who_is_cancelled_before_its_turn_makes_no_step(clock: Clock) -> None:
    came: list[int] = []
    made: list[int] = []

    def make(number: int) -> None:
        clock.now += 1.0
        made.append(number)

    async def come(number: int, scope: anyio.CancelScope) -> None:
        came.append(number)
        with scope:
            await turns().run(lambda: make(number))

    scopes = [anyio.CancelScope() for _ in range(10)]
    async with anyio.create_task_group() as group:
        for number, scope in enumerate(scopes):
            group.start_soon(come, number, scope)
        while len(came) < 10:
            await anyio.lowlevel.checkpoint()
        late = came[-3:]
        assert made and not set(late) & set(made)
        for number in late:
            scopes[number].cancel()
    assert sorted(made) == [number for number in range(10) if number not in late]


async def test_an_error_is_for_whoever_came_with_it(clock: Clock) -> None:
    outcomes: list[str] = []

    def make(number: int) -> str:
        clock.now += 1.0
        if number % 2:
            raise ValueError(f"{number}")
        return f"{number}"

    async def come(number: int) -> None:
        try:
            outcomes.append(await turns().run(lambda: make(number)))
        except ValueError as error:
            outcomes.append(f"error {error}")

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(come, number)
    assert sorted(outcomes) == ["0", "2", "error 1", "error 3"]
