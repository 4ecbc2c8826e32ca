"""One connection for all tests of codecs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.codecs.rig import Rig


@pytest.fixture(scope="package")
def rig(dsn: str) -> Iterator[Rig]:
    rig = Rig(dsn)
    yield rig
    rig.close()
