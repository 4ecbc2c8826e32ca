"""Families of codecs are imported one by one: the table says of each what it has."""

from __future__ import annotations

import subprocess
import sys

import pytest

from psqlpy._codecs.families import FAMILIES, Register
from psqlpy._codecs.registry import Registry, default_registry


@pytest.mark.parametrize("register", dict.fromkeys(FAMILIES.values()), ids=lambda register: register.__name__)
def test_the_table_has_every_type_of_a_family(register: Register) -> None:
    family = Registry()
    register(family)
    assert set(family._codecs) == {oid for oid, listed in FAMILIES.items() if listed is register}


def test_a_family_comes_once() -> None:
    for oid in FAMILIES:
        codec = default_registry.codec(oid)
        assert codec is not None and codec is default_registry.codec(oid) is Registry(default_registry).codec(
            oid
        )


def test_a_family_brings_no_other() -> None:
    code = (
        "import sys\n"
        "from psqlpy._codecs import oids\n"
        "from psqlpy._codecs.registry import default_registry\n"
        "assert 'psqlpy._codecs.integer' not in sys.modules\n"
        "default_registry.result_plan((('a', oids.INT4, -1, 1), ('b', oids.TEXT, -1, 1)))\n"
        "default_registry.parameter_plan((oids.INT8, oids.BOOL, oids.FLOAT8, oids.BYTEA)).encode([1, True, 1.0, b''])\n"
        "print(*sorted(set(sys.modules) & {'decimal', 'datetime', 'json', 'uuid', 'psqlpy._codecs.literal',\n"
        "    'psqlpy._codecs.array', 'psqlpy._codecs.datetime', 'psqlpy._codecs.numeric'}))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.split() == []
