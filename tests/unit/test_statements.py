"""The statement cache."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psqlpy._protocol.statements import Statement, StatementCache


def ready(cache: StatementCache, text: str) -> Statement:
    statement = cache.get(text)
    statement.state = "ready"
    return statement


def test_the_same_text_is_the_same_statement() -> None:
    cache = StatementCache()
    statement = cache.get("SELECT 1")
    assert cache.get("SELECT " + str(1)) is statement
    assert statement.text == "SELECT 1"
    assert statement.state == "new"
    assert statement.traits.keyword == "SELECT"
    assert cache.get("SELECT 2") is not statement
    assert len(cache) == 2
    assert "SELECT 1" in cache
    assert "SELECT 3" not in cache


def test_names_differ_within_and_between_caches() -> None:
    first, second = StatementCache(), StatementCache()
    names = [cache.get(f"SELECT {number}").name for cache in (first, second) for number in range(50)]
    assert len(set(names)) == 100
    assert all(name.startswith(b"psqlpy_") and len(name) < 63 for name in names)


def test_the_least_recently_used_goes_first() -> None:
    cache = StatementCache(2)
    a, b = ready(cache, "a"), ready(cache, "b")
    assert cache.get("a") is a
    ready(cache, "c")
    assert cache.evicted() == [b]
    assert cache.evicted() == []
    assert cache.get("a") is a
    assert cache.get("b").name != b.name


def test_only_what_is_on_the_server_is_to_be_closed() -> None:
    cache = StatementCache(2)
    cache.get("never sent")
    cache.get("failed").state = "failed"
    a = ready(cache, "a")
    ready(cache, "b")
    ready(cache, "c")
    assert cache.evicted() == [a]


def test_what_is_in_use_stays() -> None:
    cache = StatementCache(2)
    pinned, preparing = ready(cache, "pinned"), cache.get("preparing")
    pinned.pin_count += 1
    preparing.state = "preparing"
    c = ready(cache, "c")
    assert len(cache) == 3
    assert cache.evicted() == []
    preparing.state = "ready"
    ready(cache, "d")  # makes room for itself and for what was too much
    assert len(cache) == 2
    assert cache.evicted() == [preparing, c]
    assert cache.get("pinned") is pinned


def test_invalidated_statements_are_closed_when_they_are_free() -> None:
    cache = StatementCache()
    free, used = ready(cache, "free"), ready(cache, "used")
    used.pin_count += 2
    cache.invalidate(free)
    cache.invalidate("used")
    assert len(cache) == 0
    assert cache.evicted() == [free]
    used.pin_count -= 1
    assert cache.evicted() == []
    used.pin_count -= 1
    assert cache.evicted() == [used]
    assert cache.get("used").name != used.name


def test_invalidate_leaves_others_alone() -> None:
    cache = StatementCache()
    old = ready(cache, "x")
    cache.invalidate(old)
    new = ready(cache, "x")
    cache.invalidate(old)  # a second one that failed with the same statement
    cache.invalidate("unknown")
    assert cache.get("x") is new
    assert cache.evicted() == [old]


def test_what_the_server_does_not_know_is_not_closed() -> None:
    cache = StatementCache()
    cache.invalidate(ready(cache, "x"), still_on_server=False)
    assert cache.evicted() == []
    assert "x" not in cache


def test_clear_forgets_all_but_what_was_sent_behind_it() -> None:
    cache = StatementCache()
    old, closing, behind = ready(cache, "old"), ready(cache, "closing"), cache.get("behind")
    cache.invalidate(closing)
    behind.state = "preparing"
    cache.clear()
    assert cache.evicted() == []
    assert len(cache) == 1
    assert cache.get("behind") is behind
    assert cache.get("old").name != old.name


@pytest.mark.parametrize(("capacity", "text"), [(0, "SELECT 1"), (256, "SELECT " + "1" * 17_000)])
def test_what_is_not_cached_is_unnamed(capacity: int, text: str) -> None:
    cache = StatementCache(capacity)
    statement = cache.get(text)
    assert statement.name == b""
    assert statement.traits.keyword == "SELECT"
    assert cache.get(text) is not statement
    assert len(cache) == 0


def test_a_negative_capacity_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more, not -1"):
        StatementCache(-1)


def test_averages_follow_the_executions() -> None:
    statement = StatementCache().get("SELECT 1")
    assert (statement.use_count, statement.average_seconds, statement.average_bytes) == (0, 0.0, 0.0)
    statement.record(2.0, 100)
    assert (statement.use_count, statement.average_seconds, statement.average_bytes) == (1, 2.0, 100.0)
    statement.record(1.0, 200)
    assert statement.average_seconds == pytest.approx(1.8)
    assert statement.average_bytes == pytest.approx(120)
    for _ in range(50):
        statement.record(0.001, 10)
    assert statement.average_seconds == pytest.approx(0.001, rel=0.1)
    assert statement.use_count == 52


def test_repr_shows_state_and_no_more_than_a_line() -> None:
    cache = StatementCache(5)
    statement = ready(cache, "SELECT " + "x" * 500)
    assert repr(cache) == "<StatementCache 1 of 5, 0 to close>"
    assert "ready" in repr(statement)
    assert len(repr(statement)) < 200


@given(st.lists(st.tuples(st.sampled_from(["get", "pin", "unpin", "invalidate"]), st.sampled_from("abcdef"))))
def test_behaves_like_a_plain_lru(calls: list[tuple[str, str]]) -> None:
    cache = StatementCache(3)
    model: OrderedDict[str, Statement] = OrderedDict()
    seen: dict[bytes, Statement] = {}
    closed: list[Statement] = []
    for call, text in calls:
        if call == "get":
            statement = ready(cache, text)
            assert statement is model.get(text, statement)
            if text not in model:
                assert statement.name not in seen  # names aren't used again
                seen[statement.name] = statement
                while len(model) >= 3 and any(not known.pin_count for known in model.values()):
                    del model[next(key for key, known in model.items() if not known.pin_count)]
            model[text] = statement
            model.move_to_end(text)
        elif call == "invalidate":
            cache.invalidate(text)
            model.pop(text, None)
        elif text in model:
            model[text].pin_count = call == "pin"
        for statement in cache.evicted():
            assert not statement.pin_count
            assert statement not in closed
            closed.append(statement)
        assert len(cache) == len(model)
        assert all(text in cache for text in model)
    for statement in seen.values():
        statement.pin_count = 0
    closed += cache.evicted()
    # Each statement is in the cache or was handed out to be closed, once.
    assert sorted(s.name for s in closed) == sorted(s.name for s in seen.values() if s not in model.values())
