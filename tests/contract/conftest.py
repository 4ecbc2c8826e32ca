"""What programs written for psqlpy 0.7 to 0.13 rely on, shown with a pool in threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from psqlpy import sync


@pytest.fixture(scope="module")
def sync_pool(dsn: str) -> Iterator[sync.ConnectionPool]:
    with sync.ConnectionPool(dsn, max_db_pool_size=2) as pool:
        yield pool
