"""What docs/connection-pool.md says besides its programs, which test_pages.py runs."""

from __future__ import annotations

import inspect
import re

import psqlpy
from psqlpy import sync
from tests.docs.pages import ROOT, blocks_of
from tests.docs.user_page import CHECKS, PAGE

TEXT = (ROOT / PAGE).read_text(encoding="utf-8")
BLOCKS = blocks_of(PAGE, TEXT)


def test_every_block_has_a_check() -> None:
    assert [block.name for block in BLOCKS if block.language] == list(CHECKS)


def test_the_example_dsns_are_understood() -> None:
    [examples] = [block for block in BLOCKS if not block.language]
    dsns = examples.text.split()
    assert len(dsns) == 4
    for dsn in dsns:
        for pool in (psqlpy.ConnectionPool(dsn), sync.ConnectionPool(dsn), psqlpy.connect(dsn)):
            pool.close()
    assert "port 1234" in repr(psqlpy.ConnectionPool(dsns[2]))


def test_all_parameters_of_the_page_are_there() -> None:
    """In the page's order but for `dsn`, which is first in both."""
    section = TEXT.split("### All available ConnectionPool parameters")[1]
    named = re.findall(r"^- `(\w+)`:", section.split("Example of possible")[0], flags=re.MULTILINE)
    for make in (psqlpy.ConnectionPool, psqlpy.connect, sync.ConnectionPool, sync.connect):
        assert list(inspect.signature(make).parameters)[: len(named)] == named
