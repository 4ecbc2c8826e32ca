"""Waiting: what a call that waits for one of a pool's connections looks after meanwhile.

Connections may be kept by what nobody refers to any more: calls of a closed event loop, handles in reference cycles.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from gc import collect

from psqlpy import exceptions
from psqlpy._async.executor import deadline_after
from psqlpy._io.links import AsyncLink
from psqlpy._io.lookout import AsyncLookout
from psqlpy._io.primitives import AsyncWake, Lock, monotonic
from psqlpy._pooling.lost import find_lost
from psqlpy._pooling.policy import Policy

# While calls wait somebody looks whether the handle of a connection is in garbage that wasn't collected yet: first
# after so long, or up to twice that, then after pauses that grow. Seconds.
_FIRST_PAUSE = 0.5
# Where each looks himself: with each so many who wait the first pause is that much longer once more.
_LOOKERS = 20
# Between two looks at one pool, so that what does nothing at both may be taken for lost. Seconds.
_BETWEEN_LOOKS = 0.4
# Collections for that take this part of the time at most.
_COLLECTING_SHARE = 0.02


class Waiting:
    """The part of a pool that waits. Every call of the policy is made under `_lock`."""

    __slots__ = ("_acquire_timeout", "_dropped", "_lock", "_lookout", "_policy", "_search_at", "_suspects")

    def __init__(self, policy: Policy[AsyncLink], acquire_timeout: float | None) -> None:
        self._policy = policy
        self._acquire_timeout = acquire_timeout
        self._lock = Lock()
        # Of handles that nobody referred to any more: to be given back by whoever comes next.
        self._dropped: deque[AsyncLink] = deque()
        self._lookout = AsyncLookout(self._look_around)
        # When to look for lost handles again, and who did nothing at the last look.
        self._search_at = 0.0
        self._suspects: set[int] = set()

    def _collect(self) -> None:
        """Give back what was dropped."""
        raise NotImplementedError

    def _free_orphans(self) -> None:
        """Let go of calls whose loop was closed while they waited, so that their connections come back."""
        with self._lock:
            held = self._policy.held()
        if sum(link.forget_callers() for link in held):
            # They are in cycles of their own: a task and what it waits for.
            collect()

    async def _wait(self, wake: AsyncWake, deadline: float | None) -> None:
        """Wait for what was asked for, with the lock let go."""
        began = monotonic()
        patience = deadline_after(self._acquire_timeout)
        until = patience if deadline is None else deadline if patience is None else min(deadline, patience)
        lookout = self._lookout
        if lookout.begins(wake, until, _FIRST_PAUSE):
            self._free_orphans()
        if self._dropped:
            # Dropped while the lock was held, by a garbage collection in this very thread for example.
            self._collect()
        for moment in lookout.moments(wake, until, _FIRST_PAUSE * (1 + self._policy.waiting / _LOOKERS)):
            if await wake.wait(moment):
                return
            self._look_around()
        if await wake.wait(until):
            return
        waited = monotonic() - began
        with self._lock:
            self._policy.counts.timed_out += 1
        doing = f"waited {waited:.3f} s for one of the pool's {self._policy.status()[0]} connections to become free"
        if until == patience:
            raise exceptions.PoolTimeoutError(f"acquire_timeout: {doing}")
        raise too_late(doing)

    def _look_around(self) -> bool:
        """Look for connections that nobody will give back; returns whether somebody still waits for one."""
        if not self._policy.waiting:
            return False
        self._free_orphans()
        if monotonic() >= self._search_at:
            self._free_cycles()
        return True

    def _free_cycles(self) -> None:
        """Collect garbage, and look for what nobody has, if a connection in use has done nothing since the last look.

        An exception that went through a function may keep its variables in a cycle, a handle among them, and a process
        in which everybody waits makes no objects and so collects nothing by itself.
        """
        with self._lock:
            # By number: what refers to a ticket, or to its connection, has it, for find_lost.
            unused = {id(ticket) for ticket in self._policy.leases() if _is_quiet(ticket.connection)}
        suspects, self._suspects = self._suspects, unused
        began = ended = monotonic()
        if not suspects.isdisjoint(unused):
            collect()
            ended = monotonic()
            self._free_lost()
        self._search_at = ended + max(_BETWEEN_LOOKS, (ended - began) / _COLLECTING_SHARE)

    def _free_lost(self) -> None:
        """Give back what was dropped, and what nobody has; unless the lock is held, by this very thread for example."""
        # In the queue, which refers to them, nobody finds them once more.
        if self._if_free(lambda: self._dropped.extend(find_lost(self._policy.leases()))) and self._dropped:
            self._collect()

    def _if_free(self, do: Callable[[], None]) -> bool:
        """Call under the lock, unless it is held; whether it was called. An interrupt leaves the lock free."""
        taken: list[bool] = []
        try:
            # In one step: an interrupt that strikes right after it finds it noted.
            taken.extend(map(self._lock.acquire, (False,)))
            if taken[0]:
                do()
            return taken[0]
        finally:
            # No call before it: there another one could strike.
            if taken and taken[0]:
                self._lock.release()


def _is_quiet(link: AsyncLink | None) -> bool:
    return link is not None and link.is_quiet


def too_late(doing: str) -> exceptions.QueryTimeoutError:
    error = exceptions.QueryTimeoutError(f"timeout: {doing}")
    error.safe_to_retry = True
    return error
