"""What the sweep looks at after each attempt: the server, the pools, what was stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psqlpy import ConnectionPool, exceptions
from tests._async.sweep_rig import Operation, Rig, ask
from tests.concurrency import async_wait_until
from tests.shells.observing import Observer

# How long it may take until everything is as before. Seconds.
SOON = 10.0

BUSY = """
SELECT string_agg(a.state || ': ' || a.query || coalesce(' holds ' || l.mode, ''), '; ')
FROM pg_stat_activity AS a LEFT JOIN pg_locks AS l ON l.pid = a.pid
WHERE a.application_name LIKE %s AND (a.state <> 'idle' OR l.pid IS NOT NULL)
"""


async def wait_for(predicate: Callable[[], bool], what: str) -> None:
    try:
        await async_wait_until(predicate, SOON)
    except TimeoutError:
        raise AssertionError(f"after {SOON} s: {what}") from None


def count_sessions(observer: Observer, app: str) -> int:
    count: int = observer.value(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE %s", [f"{app}%"]
    )
    return count


async def wait_clean(rig: Rig, observer: Observer) -> None:
    """Until the server does nothing for us any more, and holds nothing, and the pools have all their connections."""
    busy: Any = None

    def is_idle() -> bool:
        nonlocal busy
        busy = observer.value(BUSY, [f"{rig.app}%"])
        return busy is None

    try:
        await async_wait_until(is_idle, SOON)
    except TimeoutError:
        raise AssertionError(f"the server still has {busy}") from None
    for pool in rig.pools:
        await wait_for(lambda: is_whole(pool), f"{pool!r} is not whole")  # noqa: B023  # waited for in the same turn
    # A backend whose connection was closed may still have something to read, and then to execute.
    await wait_for(
        lambda: count_sessions(observer, rig.app) == sum(pool.status().size for pool in rig.pools),
        "a session is left on the server",
    )


def is_whole(pool: Any) -> bool:
    """Whether all connections of a pool are back, and none was lost count of."""
    status, stats = pool.status(), pool.stats()
    return bool(
        status.waiting == 0
        and status.available == status.size <= status.max_size
        and stats.opened - sum(stats.closed.values()) == status.size
    )


async def check_pool(pool: ConnectionPool) -> None:
    """Each connection is clean and gets its own answers; where none is left, another one is made."""
    if pool._policy.closed:
        assert pool.status().size == 0
        return
    held = [await pool.connection() for _ in range(max(1, pool.status().size))]
    for connection in held:
        assert not await connection.in_transaction()
        await ask(connection)
        await ask(connection, prepared=False)
        left = "SELECT concat(current_setting('psqlpy.left', true), current_setting('application_name'))"
        found = await connection.fetch_val(left)
        assert not found.startswith("yes") and not found.endswith("left"), found
        connection.close()
    await wait_for(lambda: is_whole(pool), f"{pool!r} is not whole")


def check_stored(
    operation: Operation, rig: Rig, is_broken_off: bool, error: exceptions.Error | None, found: int
) -> int:
    """What was stored is all or nothing; nothing, before what stores it was sent. Returns the number of rows."""
    if not is_broken_off:
        assert found == operation.rows, f"{found} rows are stored, not {operation.rows}"
    elif not rig.may_store or _is_undone(error):
        assert found == 0, f"{found} rows are stored, and none should be: {error!r}"
    else:
        assert found in (0, operation.rows), f"{found} of {operation.rows} rows are stored"
    return found


def _is_undone(error: exceptions.Error | None) -> bool:
    """Whether an error says that nothing was stored."""
    return error is not None and not error.may_have_committed
