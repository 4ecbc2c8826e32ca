"""What a handle has of a pooled connection, in pairs, until it gives it back: where threads use it, a lease.

Another thread may then be on its way into the connection; what it brings must not reach the next user. Of tasks on one
event loop none is ever on its way.
"""

from __future__ import annotations

from psqlpy._io.links import AsyncLink, SyncLink
from psqlpy._io.thread_link import SyncLease


def async_lend(link: AsyncLink) -> AsyncLink:
    return link


def async_end_lease(link: AsyncLink) -> AsyncLink:
    """The pooled connection, which nothing of its user's reaches any more."""
    return link


def async_pooled(link: AsyncLink) -> AsyncLink:
    """The pooled connection behind what a handle has."""
    return link


def sync_lend(link: SyncLink) -> SyncLink:
    return SyncLease(link)


def sync_end_lease(link: SyncLink) -> SyncLink:
    """The pooled connection, which nothing of its user's reaches any more."""
    if not isinstance(link, SyncLease):
        return link
    link.end()
    return link.pooled


def sync_pooled(link: SyncLink) -> SyncLink:
    """The pooled connection behind what a handle has."""
    return link.pooled if isinstance(link, SyncLease) else link
