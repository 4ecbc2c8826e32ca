"""tsvector in binary from text: as the server reads it, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psqlpy._codecs.search import vector_binary
from psqlpy.extra_types import CustomType
from tests.codecs.rig import Rig, ServerError

NOTATIONS = [
    "", " \t", "b a", "b a b", "'it''s' 'a b':3", "a\\ b \\\\ 'x\\'y'", "a:1,3,2 a:2A", "a:1A,1C b:2*,4d",
    "A:16383 é:99999", ":1 :a:1", "'a''b'c'd", "'a' 'a':1 'b'", ("x" * 2046) + ":1",
    ",".join(map(str, range(1, 300))).join(["a:", ""]),
]  # fmt: skip
REFUSED = [
    "a:",
    "a:x",
    "a:0",
    "'a",
    "''",
    "a\\",
    "a:1B2",
    "a:1,",
    "a:1 b:",
    "'a':",
    "a\0b",
    "a\u3000b",
    f"a:{2**32 + 1}",
    "\ud800",
]
PARTS = [
    "'",
    "''",
    "\\",
    ":",
    "a",
    "b",
    "é",
    "0",
    "12",
    "16383",
    "A",
    "*",
    "D",
    ",",
    " ",
    "\t",
    "&",
    ":1",
    ":2B,3",
    "'x y'",
]


def read_by_the_server(rig: Rig, text: str) -> str | None:
    try:
        return str(rig.fetch("SELECT $1::tsvector::text", [text])[0][0])
    except ServerError:
        return None


@pytest.mark.parametrize("text", NOTATIONS, ids=[text[:20] for text in NOTATIONS])
def test_a_tsvector_in_text(rig: Rig, text: str) -> None:
    [(found,)] = rig.fetch("SELECT $1::tsvector::text", [CustomType(vector_binary(text))])
    assert found == read_by_the_server(rig, text)


@pytest.mark.parametrize("text", REFUSED, ids=ascii)
def test_what_is_no_tsvector(text: str) -> None:
    with pytest.raises(ValueError, match="tsvector|NUL|surrogate"):
        vector_binary(text)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(PARTS), max_size=10).map("".join))
def test_any_text_is_read_as_the_server_does_or_refused(rig: Rig, text: str) -> None:
    try:
        data = vector_binary(text)
    except ValueError:
        # The server ignores digits behind a weight.
        return
    [(found,)] = rig.fetch("SELECT $1::tsvector::text", [CustomType(data)])
    assert found == read_by_the_server(rig, text)
