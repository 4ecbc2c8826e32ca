"""The servers and certificates of the tests of parameters."""

from __future__ import annotations

from tests.parameters.conftest import certificates, names, observer, primary, relay, server, standby, tls

__all__ = ["certificates", "names", "observer", "primary", "relay", "server", "standby", "tls"]
