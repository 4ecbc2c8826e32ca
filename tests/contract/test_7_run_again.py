"""The pauses between two runs of a transaction; what is run again is in tests/_async/test_pool_transaction.py."""

from __future__ import annotations

from typing import Any

import pytest

from psqlpy import ConnectionPool, exceptions
from psqlpy._async import transacting


async def test_pauses_are_random_grow_and_are_bounded(
    pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    parts = [1.0] * 8 + [0.5, 0.25, 0.0]

    async def note(seconds: float) -> None:
        # The connection is the others' meanwhile.
        assert pool.status().available == pool.status().size == 1
        pauses.append(seconds)

    async def fail(transaction: Any) -> None:
        await transaction.execute("DO $$ BEGIN RAISE serialization_failure; END $$")

    monkeypatch.setattr(transacting, "async_sleep", note)
    monkeypatch.setattr("random.random", iter(parts).__next__)
    with pytest.raises(exceptions.SerializationFailure):
        await pool.run_transaction(fail, max_attempts=11)
    assert pauses == [0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0, 1.0, 0.5, 0.25]
