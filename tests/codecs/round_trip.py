"""Values that hypothesis makes, sent to the server and fetched again: 25 of them and, as a long test, 2,000."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

from psqlpy._codecs.registry import Registry, default_registry
from tests.codecs.rig import Rig

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]

AMOUNTS = [
    pytest.param(25, id="25"),
    pytest.param(2000, id="2000", marks=[pytest.mark.long, pytest.mark.timeout(600)]),
]


def run(strategy: SearchStrategy[Any], amount: int, check: Callable[[Any], None]) -> None:
    """Check that many examples of a strategy."""
    settings(max_examples=amount, deadline=None, suppress_health_check=_SLOW, database=None)(
        given(strategy)(check)
    )()


def check_round_trip(
    rig: Rig,
    type_name: str,
    value: Any,
    expected: Any,
    registry: Registry = default_registry,
    same: Callable[[Any], object] = repr,
) -> None:
    """As parameter, in an array and as text that the server printed; each fetched in text and in binary."""
    query = f"SELECT $1::{type_name}, $2::{type_name}[], $3::{type_name}[], $1::{type_name}::text"
    parameters = [value, [value, None], [[value], [value]]]
    row = (expected, [expected, None], [[expected], [expected]])
    for format in (0, 1):
        *found, text = rig.fetch(query, parameters, format=format, registry=registry)[0]
        assert same(tuple(found)) == same(row)
    again = rig.fetch(f"SELECT $1::{type_name}, $2::{type_name}[]", [text, [text]], registry=registry)[0]
    assert same(again) == same((expected, [expected]))
