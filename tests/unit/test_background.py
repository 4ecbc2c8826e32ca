"""The daemon threads for calls that block: one that can't be started costs nobody the next."""

from __future__ import annotations

import threading

import pytest

from psqlpy._io import background


def test_a_thread_that_does_not_start_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    done = [threading.Event() for _ in range(background.THREADS + 2)]
    monkeypatch.setattr(background, "_resolving", background._Pool())
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail)
        for event in done[:-1]:
            background.start(event.set)
    assert not any(event.is_set() for event in done)
    background.start(done[-1].set)
    # What was left waiting is done as well.
    assert all(event.wait(5) for event in done)
