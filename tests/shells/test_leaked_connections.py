"""In debug mode the warning about a connection that was not given back says where that was acquired."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from psqlpy import ConnectionPool, sync
from psqlpy._io import debugging
from tests.shells.running import Main, each_runner

Run = Callable[[Main[Any]], Any]


@pytest.fixture
def debug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debugging, "ALWAYS", True)


@pytest.fixture
def leaks() -> Iterator[list[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        yield caught


async def acquire_and_forget(pool: ConnectionPool) -> None:
    await pool.connection()


async def never_left(pool: ConnectionPool) -> None:
    await pool.acquire().__aenter__()


async def never_ended(pool: ConnectionPool) -> None:
    await pool.transaction().__aenter__()


@each_runner
@pytest.mark.parametrize("leak", [acquire_and_forget, never_left, never_ended])
@pytest.mark.usefixtures("debug")
def test_the_warning_names_the_place(
    dsn: str, run: Run, leak: Callable[[ConnectionPool], Any], leaks: list[warnings.WarningMessage]
) -> None:
    async def main() -> None:
        async with ConnectionPool(dsn, max_db_pool_size=1) as pool:
            await leak(pool)
            gc.collect()
            assert await pool.fetch_val("SELECT 1", timeout=20) == 1
            assert pool.status() == (1, 1, 1, 0)

    run(main)
    [message] = [str(warning.message) for warning in leaks]
    assert message.startswith(
        "a connection was not given back: close it, or use it as a block; it was acquired here:\n"
    )
    assert f"in {leak.__name__}\n    await pool." in message
    # With who called that, the innermost last, and nothing of psqlpy's own.
    assert message.index("in main\n    await leak(pool)") < message.index(f"in {leak.__name__}\n")
    assert message.endswith(("connection()", "__aenter__()"))


@pytest.mark.backend("sync")
@pytest.mark.usefixtures("debug")
def test_a_threads_connection(sync_pool: sync.ConnectionPool, leaks: list[warnings.WarningMessage]) -> None:
    sync_pool.resize(1)

    def forget() -> None:
        sync_pool.connection()
        sync_pool.acquire().__enter__()

    forget()
    assert sync_pool.fetch_val("SELECT 1") == 1
    first, second = (str(warning.message) for warning in leaks)
    assert first.endswith("in forget\n    sync_pool.connection()")
    assert second.endswith("in forget\n    sync_pool.acquire().__enter__()")


@pytest.mark.backend("asyncio")
def test_asyncios_debug_mode_is_enough(dsn: str, leaks: list[warnings.WarningMessage]) -> None:
    async def main() -> None:
        async with ConnectionPool(dsn) as pool:
            await acquire_and_forget(pool)

    asyncio.run(main(), debug=True)
    asyncio.run(main(), debug=False)
    first, second = (str(warning.message) for warning in leaks)
    assert "in acquire_and_forget\n" in first
    assert second.endswith("; PSQLPY_DEBUG=1 tells where it was acquired")


def test_what_is_noted_keeps_nothing_alive(
    dsn: str, debug: None, leaks: list[warnings.WarningMessage]
) -> None:
    """No frame, whose variables would include the handle itself."""
    gc.disable()
    try:
        with sync.ConnectionPool(dsn, max_db_pool_size=1) as pool:

            def forget() -> None:
                connection = pool.connection()
                assert not connection.is_closed()

            forget()
            assert len(leaks) == 1
            assert pool.status() == (1, 1, 1, 0)
    finally:
        gc.enable()


PROGRAM = """
    import sys
    from psqlpy import sync
    pool = sync.ConnectionPool(sys.argv[1], max_db_pool_size=2)
    def leak():
        pool.connection()
    leak()
    assert pool.fetch_val("SELECT 1") == 1
    # One that is still there when the process ends.
    kept = pool.connection()
    print("the end")
"""


@pytest.mark.backend("sync")
@pytest.mark.parametrize(
    ("options", "environment", "is_on"),
    [
        (["-W", "always"], {}, False),
        (["-X", "dev"], {}, True),
        (["-W", "always"], {"PSQLPY_DEBUG": "1"}, True),
        pytest.param(["-W", "always"], {"PSQLPY_DEBUG": "0"}, False, marks=pytest.mark.long),
    ],
)
def test_what_switches_it_on(
    dsn: str, options: list[str], environment: dict[str, str], is_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PSQLPY_DEBUG", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(PROGRAM), dsn],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "the end\n"), done.stderr
    assert "ResourceWarning: a connection was not given back" in done.stderr
    assert ('File "<string>", line 6, in leak' in done.stderr) == is_on
    assert ("PSQLPY_DEBUG=1 tells" in done.stderr) != is_on
    assert "Exception ignored" not in done.stderr
