"""COPY of text: str has no encoding, which files take it, and that nothing yet isn't the end."""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable
from functools import partial
from io import FileIO, StringIO
from pathlib import Path
from tempfile import NamedTemporaryFile, SpooledTemporaryFile
from typing import Any

import pytest

from psqlpy import Connection, exceptions
from tests._async.usable import ensure_usable

pytestmark = pytest.mark.loops(1)


@pytest.fixture
async def notes(conn: Connection) -> str:
    await conn.execute("CREATE TEMP TABLE notes (id int4, note text)")
    return "notes"


async def test_a_str_has_no_encoding(conn: Connection, notes: str) -> None:
    for source in (StringIO("1\té\n"), ["1\t", "é\n"]):
        with pytest.raises(
            exceptions.ParameterValueError, match="str, which has no encoding: leave encoding out"
        ):
            await conn.copy_in(notes, source, encoding="latin1")
        assert await conn.fetch_val("SELECT count(*) FROM notes") == 0
    assert await conn.copy_in(notes, b"1\t\xe9\n", encoding="latin1") == 1
    assert await conn.copy_in(notes, [b"2\t\xe9\n"], encoding="LATIN1") == 1
    # Characters that all encodings have in common.
    assert await conn.copy_in(notes, "3\te\n".splitlines(keepends=True), encoding="latin1") == 1
    for number, encoding in enumerate(("UTF8", "utf-8", "Unicode", None), 4):
        assert await conn.copy_in(notes, StringIO(f"{number}\té\n"), encoding=encoding) == 1
    assert await conn.fetch_val("SELECT string_agg(note, '' ORDER BY id) FROM notes") == "ééeéééé"
    await ensure_usable(conn)


async def test_a_text_file_takes_text(conn: Connection, notes: str) -> None:
    await conn.copy_records_to_table(notes, [(1, "é")])
    for options in ({"format": "binary"}, {"encoding": "latin1"}):
        file = StringIO()
        with pytest.raises(
            exceptions.ParameterValueError, match="text, which has no encoding: open it for bytes"
        ):
            await conn.copy_out(notes, file, **options)  # type: ignore[call-overload]  # any of them
        assert not file.getvalue()
    assert await conn.copy_out(notes, file, encoding="utf8", format="csv") == 1
    assert file.getvalue() == "1,é\n"
    await ensure_usable(conn)


async def test_text_files_of_any_class(conn: Connection, notes: str, tmp_path: Path) -> None:
    await conn.copy_records_to_table(notes, [(1, "é")])
    files: list[Callable[[], Any]] = [
        partial(NamedTemporaryFile, "w+", encoding="utf8"),
        partial(NamedTemporaryFile, "w+b"),
        partial(SpooledTemporaryFile, mode="w+", encoding="utf8"),
        SpooledTemporaryFile,
        partial(codecs.open, str(tmp_path / "text"), "w+", "utf8"),
    ]
    for opened in files:
        with opened() as file:
            assert await conn.copy_out(notes, file) == 1
            file.seek(0)
            assert await conn.copy_in(notes, file) == 1
            assert await conn.fetch_val("SELECT count(*) FROM notes WHERE note = 'é'") == 2
        await conn.execute("DELETE FROM notes WHERE ctid <> (SELECT min(ctid) FROM notes)")
    await ensure_usable(conn)


async def test_nothing_yet_is_not_the_end(conn: Connection, notes: str) -> None:
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.write(writable, b"1\tone\n")
    with FileIO(readable) as source, FileIO(writable, "w"):
        waiting: Any = source
        with pytest.raises(exceptions.ParameterValueError, match="nothing to read yet: it must block"):
            await conn.copy_in(notes, waiting)
    assert await conn.fetch_val("SELECT count(*) FROM notes") == 0
    await ensure_usable(conn)


async def test_a_file_that_takes_nothing_now_is_refused(conn: Connection) -> None:
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    refused = pytest.raises(exceptions.ParameterValueError, match="takes nothing now: it must block")
    with FileIO(readable), FileIO(writable, "w") as full, refused:
        await conn.copy_out(query="SELECT repeat('x', 1000) FROM generate_series(1, 10000)", destination=full)
    await ensure_usable(conn)
