"""psqlpy.capabilities: which libpq this is, and what it can do."""

from __future__ import annotations

import pytest

import psqlpy
import psqlpy.sync
from psqlpy._pq import capabilities as module

SINCE_17 = ("encrypted_cancel", "chunked_rows", "buffered_sync", "close_prepared")


def test_versions() -> None:
    capabilities = psqlpy.capabilities
    assert 140_000 <= capabilities.libpq_version < 1_000_000
    assert capabilities.built_with is None or 140_000 <= capabilities.built_with < 1_000_000
    assert psqlpy.sync.capabilities is capabilities


def test_what_came_with_which_version() -> None:
    capabilities = psqlpy.capabilities
    for name in SINCE_17:
        assert getattr(capabilities, name) is (capabilities.libpq_version >= 170_000), name
    assert capabilities.full_protocol_version is (capabilities.libpq_version >= 180_000)
    assert type(capabilities.tls) is bool


def test_everything_is_in_the_dict_and_in_the_repr() -> None:
    known = psqlpy.capabilities.as_dict()
    assert set(known) == {"libpq_version", "built_with", "tls", *SINCE_17, "full_protocol_version"}
    shown = repr(psqlpy.capabilities)
    version = psqlpy.capabilities.libpq_version
    assert shown.startswith(f"<libpq {version // 10_000}.{version % 10_000}, built with ")
    has, lacks = shown.rstrip(">").split("; ")[1:]
    for name, value in known.items():
        if name not in ("libpq_version", "built_with"):
            assert name in (has if value else lacks).replace(",", "").split()


def test_a_repr_without_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "lib", _Old())
    assert repr(psqlpy.capabilities).startswith("<libpq 14.5, built with unknown headers; has ")
    assert psqlpy.capabilities.built_with is None
    assert not psqlpy.capabilities.buffered_sync


class _Old:
    PSQ_CAN_CANCEL_ENCRYPTED = PSQ_CAN_CHUNK_ROWS = PSQ_CAN_BUFFER_SYNC = 1
    PSQ_CAN_CLOSE_PREPARED = PSQ_CAN_REPORT_PROTOCOL = 1

    def PQlibVersion(self) -> int:
        return 140_005

    def psq_built_with(self) -> int:
        return 0

    def psq_capabilities(self) -> int:
        return 0
