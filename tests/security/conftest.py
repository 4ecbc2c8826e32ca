"""The servers and certificates of the tests of parameters, and impostors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.parameters.conftest import certificates, observer, server, tls
from tests.security.impostors import Conversation, Impersonate, Impostor

__all__ = ["certificates", "observer", "server", "tls"]


@pytest.fixture
def impersonate() -> Iterator[Impersonate]:
    with ExitStack() as stack:

        def make(conversation: Conversation) -> Impostor:
            impostor = Impostor(conversation)
            stack.callback(impostor.close)
            return impostor

        yield make
