"""What tests of an extension's types begin with."""

from __future__ import annotations

import pytest

from psqlpy.sync import Connection, ConnectionPool


def need_extension(server: Connection | ConnectionPool, name: str) -> None:
    """Skip where an extension isn't available."""
    if not server.fetch_val("SELECT count(*) FROM pg_available_extensions WHERE name = $1", [name]):
        pytest.skip(f"the server hasn't the extension {name}")
