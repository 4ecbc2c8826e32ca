"""A long answer is decoded in turns: whatever else runs on the event loop runs between them."""

from __future__ import annotations

from collections import Counter

import anyio
import pytest

from psqlpy import ConnectionPool
from psqlpy._codecs.gathered import Gathered
from psqlpy._pq.result import PGresult

CHUNKS_PER_TURN = 2
ROWS = 100_000


async def test_others_run_between_the_chunks_of_an_answer(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = 0
    decoded: Counter[int] = Counter()
    add = Gathered.add

    def counted(self: Gathered, chunk: PGresult) -> None:
        decoded[turn] += 1
        assert chunk.row_count <= 512
        add(self, chunk)

    async def count_turns() -> None:
        nonlocal turn
        while True:
            await anyio.lowlevel.checkpoint()
            turn += 1

    monkeypatch.setattr(Gathered, "add", counted)
    async with ConnectionPool(dsn) as pool, anyio.create_task_group() as group:
        group.start_soon(count_turns)
        result = await pool.fetch(f"SELECT g, 'text ' || g FROM generate_series(1, {ROWS}) AS g")
        group.cancel_scope.cancel()
    assert decoded.total() == -(-ROWS // 512)
    # Twice, where the turn of a task may come before and after the reader's in one round of the loop.
    assert max(decoded.values()) <= 2 * CHUNKS_PER_TURN
    assert len(result) == ROWS
