"""What a pool learns of a statement: when others may wait behind it, and for how long the catalogs' word holds."""

from __future__ import annotations

from psqlpy._pooling.standing import LARGEST, Standing, Usual


def light(usual: Usual | None = None) -> Standing:
    standing = Standing(usual or Usual(), is_shareable=True)
    standing.ran_alone(0.001, 100)
    assert standing.is_light
    return standing


def test_nobody_waits_behind_what_takes_a_millisecond_longer_than_others() -> None:
    usual = Usual()
    light(usual)
    slow, fast = Standing(usual, True), Standing(usual, True)
    slow.ran_alone(0.00201, 100)
    fast.ran_alone(0.00199, 100)
    assert (slow.is_light, fast.is_light) == (False, True)


def test_what_the_network_takes_is_told_by_those_alone() -> None:
    """In company an answer comes right behind the one before, however far away the server is."""
    usual = Usual()
    first, second = Standing(usual, True), Standing(usual, True)
    first.ran_alone(0.011, 100)
    first.ran_shared(0.00001, 100)
    second.ran_alone(0.0115, 100)
    assert second.is_light


def test_nobody_waits_behind_what_is_not_known() -> None:
    assert not Standing(Usual(), is_shareable=True).is_light


def test_nobody_waits_behind_large_results() -> None:
    large, fits = Standing(Usual(), True), Standing(Usual(), True)
    large.ran_alone(0.001, LARGEST + 1)
    fits.ran_alone(0.001, LARGEST)
    assert (large.is_light, fits.is_light) == (False, True)
    fits.ran_shared(0.001, LARGEST * 4)
    assert not fits.is_light


def test_what_becomes_slow_in_company_is_left_alone_and_has_to_earn_it_again() -> None:
    usual = Usual()
    slow, other = light(usual), light(usual)
    for _ in range(100):
        slow.ran_shared(0.02, 100)
        other.ran_shared(0.0001, 100)
    assert (slow.is_light, other.is_light) == (False, True)
    slow.ran_alone(0.001, 100)
    assert not slow.is_light
    for _ in range(7):
        slow.ran_alone(0.001, 100)
    assert slow.is_light


def test_all_are_slow_in_a_busy_process() -> None:
    usual = Usual()
    some = [light(usual) for _ in range(3)]
    for _ in range(100):
        for standing in some:
            standing.ran_shared(0.02, 100)
    assert all(standing.is_light for standing in some)


def test_it_rides_when_the_catalogs_have_said_so_for_a_minute() -> None:
    standing = light()
    assert not standing.may_ride(0.0)
    assert standing.is_to_ask(0.0)
    assert not standing.may_ride(1.0)
    standing.learn(1.0, True)
    assert standing.may_ride(2.0)
    assert standing.may_ride(60.9)
    assert not standing.may_ride(61.0)


def test_one_caller_asks_again_before_that_is_over() -> None:
    standing = light()
    assert [standing.is_to_ask(0.0), standing.is_to_ask(29.9)] == [True, False]
    standing.learn(0.0, True)
    assert [standing.is_to_ask(30.0), standing.is_to_ask(30.0)] == [True, False]
    assert standing.may_ride(30.0)
    # No answer: asked once more.
    assert [standing.is_to_ask(59.9), standing.is_to_ask(60.0)] == [False, True]


def test_what_the_catalogs_refuse_never_rides() -> None:
    standing = light()
    standing.learn(0.0, False)
    standing.learn(1.0, True)
    standing.ran_alone(0.001, 100)
    assert not (
        standing.is_shareable or standing.is_light or standing.may_ride(2.0) or standing.is_to_ask(100.0)
    )
