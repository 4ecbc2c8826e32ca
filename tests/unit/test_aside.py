"""A step of connecting that a thread makes: whose the connection is meanwhile, and who closes it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from psqlpy._io import background
from psqlpy._io.aside import Aside
from psqlpy._pq.enums import PollingStatus


class Conn:
    """Its poll takes until `go` is set."""

    def __init__(self) -> None:
        self.polling = threading.Event()
        self.go = threading.Event()
        self.finished = threading.Event()
        self.thread: threading.Thread | None = None
        self.error: BaseException | None = None

    def poll(self) -> PollingStatus:
        self.thread = threading.current_thread()
        self.polling.set()
        assert self.go.wait(5)
        assert not self.finished.is_set()
        if self.error is not None:
            raise self.error
        return PollingStatus.READING

    def finish(self) -> None:
        assert not self.finished.is_set()
        self.finished.set()


def make() -> tuple[Conn, Any, threading.Event]:
    conn = Conn()
    return conn, Aside(conn), threading.Event()  # type: ignore[arg-type]  # a stand-in


def test_another_thread_makes_it_and_announces_its_end() -> None:
    conn, aside, done = make()
    aside.start(done.set)
    assert conn.polling.wait(5)
    assert not aside.is_done
    conn.go.set()
    assert done.wait(5)
    assert aside.is_done
    assert aside.result() is PollingStatus.READING
    assert conn.thread is not threading.current_thread()
    assert not conn.finished.is_set()


def test_who_waits_again_is_told_instead() -> None:
    conn, aside, first = make()
    second, late = threading.Event(), threading.Event()
    aside.start(first.set)
    aside.start(second.set)
    conn.go.set()
    assert second.wait(5)
    assert not first.is_set()
    aside.start(late.set)
    assert late.is_set()


def test_given_up_in_the_middle_the_thread_closes_the_connection() -> None:
    conn, aside, done = make()
    aside.start(done.set)
    assert conn.polling.wait(5)
    aside.close()
    aside.close()
    assert not conn.finished.is_set()
    conn.go.set()
    assert conn.finished.wait(5)
    assert not done.is_set()


def test_given_up_before_a_thread_is_free_it_is_closed_at_once() -> None:
    busy = [make() for _ in range(background.CALCULATING)]
    for conn, aside, done in busy:
        aside.start(done.set)
        assert conn.polling.wait(5)
    conn, aside, done = make()
    aside.start(done.set)
    aside.close()
    assert conn.finished.is_set()
    for conn_, _, done_ in busy:
        conn_.go.set()
        assert done_.wait(5)
    # Nothing came of it, though the threads went on.
    last, again, done = make()
    last.go.set()
    again.start(done.set)
    assert done.wait(5)
    assert not conn.polling.is_set()


def test_given_up_when_it_is_done_it_is_closed_at_once() -> None:
    conn, aside, done = make()
    conn.go.set()
    aside.start(done.set)
    assert done.wait(5)
    aside.close()
    assert conn.finished.is_set()


def test_an_error_is_raised_where_the_result_is_asked_for() -> None:
    conn, aside, done = make()
    conn.error = MemoryError("no more")
    conn.go.set()
    aside.start(done.set)
    assert done.wait(5)
    with pytest.raises(MemoryError, match="no more"):
        aside.result()


def test_where_no_thread_can_be_had_it_is_made_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(background, "_connecting", background._Pool(background.CALCULATING))
    monkeypatch.setattr(threading.Thread, "start", fail)
    conn, aside, done = make()
    conn.go.set()
    aside.start(done.set)
    assert done.is_set()
    assert conn.thread is threading.current_thread()
