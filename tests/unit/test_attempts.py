"""Which address is tried when: the policy alone, with made-up times."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from psqlpy._plan import Endpoint
from psqlpy._protocol.attempts import HEDGE_DELAY, Attempt, Attempts, Phase


def endpoints(*hosts: str) -> list[Endpoint]:
    return [Endpoint(host, 5432) for host in hosts]


def make(*hosts: str, **options: object) -> Attempts:
    return Attempts(endpoints(*hosts), **options)  # type: ignore[arg-type]


def start(attempts: Attempts, now: float) -> Attempt:
    attempt = attempts.start(now)
    assert attempt is not None
    return attempt


def test_the_next_starts_when_the_one_before_failed() -> None:
    attempts = make("10.0.0.1", "10.0.0.2", "10.0.0.3")
    first = start(attempts, 0)
    assert first.endpoint.host == "10.0.0.1" and first.phase is Phase.CONNECTING
    assert attempts.start(0.1) is None
    attempts.failed(first)
    second = start(attempts, 0.1)
    assert second.endpoint.host == "10.0.0.2"
    attempts.failed(second)
    attempts.failed(start(attempts, 0.2))
    assert attempts.is_over
    assert attempts.start(9) is None
    assert attempts.wake_at() == float("inf")


def test_a_silent_one_costs_a_quarter_of_a_second() -> None:
    attempts = make("10.0.0.1", "10.0.0.2", "10.0.0.3")
    start(attempts, 0)
    assert attempts.wake_at() == HEDGE_DELAY == 0.25
    assert attempts.start(0.249) is None
    second = start(attempts, 0.25)
    assert second.endpoint.host == "10.0.0.2"
    assert attempts.start(0.25) is None
    assert attempts.wake_at() == 0.5
    # An older one that fails gives the newest no less time.
    attempts.failed(attempts.running[0])
    assert attempts.start(0.3) is None
    assert start(attempts, 0.5).endpoint.host == "10.0.0.3"


def test_a_slow_one_that_lives_is_not_overtaken() -> None:
    attempts = make("10.0.0.1", "10.0.0.2")
    slow = start(attempts, 0)
    assert attempts.reached(slow, Phase.CONNECTED) == []
    assert attempts.start(60) is None
    assert attempts.wake_at() == float("inf")
    attempts.failed(slow)
    assert start(attempts, 60).endpoint.host == "10.0.0.2"


def test_a_late_connection_stops_further_starts_and_races_the_others() -> None:
    attempts = make("10.0.0.1", "10.0.0.2", "10.0.0.3")
    first = start(attempts, 0)
    second = start(attempts, 0.25)
    attempts.reached(first, Phase.CONNECTED)
    assert attempts.start(5) is None
    assert attempts.running == [first, second]


def test_who_answers_first_has_the_others_closed() -> None:
    attempts = make("10.0.0.1", "10.0.0.2", "10.0.0.3")
    first, second = start(attempts, 0), start(attempts, 0.25)
    attempts.reached(second, Phase.CONNECTED)
    assert attempts.reached(second, Phase.ANSWERED) == [first]
    assert attempts.running == [second]
    assert attempts.reached(second, Phase.AUTHENTICATED) == []
    assert attempts.start(9) is None
    # It comes to nothing after all: the others come back in their order.
    attempts.failed(second)
    assert start(attempts, 9) is first
    assert first.phase is Phase.CONNECTING
    assert start(attempts, 9.25).endpoint.host == "10.0.0.3"


def test_a_refused_password_ends_it() -> None:
    attempts = make("10.0.0.1", "10.0.0.2", target="prefer-standby")
    first = start(attempts, 0)
    attempts.reached(first, Phase.ANSWERED)
    attempts.failed(first, is_final=True)
    assert attempts.is_over and attempts.start(9) is None


def test_a_names_addresses_take_its_place() -> None:
    attempts = make("db1", "10.0.0.9")
    name = start(attempts, 0)
    assert name.phase is Phase.RESOLVING
    attempts.resolved(name, ["10.0.0.2", "10.0.0.1", "10.0.0.2"])
    one = start(attempts, 0.1)
    assert (one.address, one.endpoint.host) == ("10.0.0.2", "db1")
    assert attempts.start(0.1) is None
    attempts.failed(one)
    two = start(attempts, 0.1)
    assert two.address == "10.0.0.1"
    attempts.failed(two)
    assert start(attempts, 0.1).endpoint.host == "10.0.0.9"


def test_a_name_that_takes_long_to_resolve_is_silent_too() -> None:
    attempts = make("db1", "10.0.0.9")
    name = start(attempts, 0)
    assert start(attempts, 0.25).endpoint.host == "10.0.0.9"
    attempts.resolved(name, ["10.0.0.1"])
    # Its turn was before: it doesn't wait for the other to be silent.
    assert start(attempts, 0.3).address == "10.0.0.1"


def test_a_name_resolved_after_another_connected_waits() -> None:
    attempts = make("db1", "10.0.0.9")
    name, other = start(attempts, 0), start(attempts, 0.25)
    attempts.reached(other, Phase.CONNECTED)
    attempts.resolved(name, ["10.0.0.1"])
    assert attempts.start(5) is None
    attempts.failed(other)
    assert start(attempts, 5).address == "10.0.0.1"


def test_each_address_has_the_time_of_connect_timeout() -> None:
    attempts = make("10.0.0.1", "10.0.0.2", connect_timeout=1.0)
    first, second = start(attempts, 0), start(attempts, 0.25)
    assert attempts.wake_at() == 1.0
    assert attempts.expired(0.999) == []
    assert attempts.expired(1.0) == [first]
    attempts.failed(first)
    assert attempts.wake_at() == 1.25
    assert attempts.expired(1.25) == [second]


def test_prefer_standby_is_two_passes() -> None:
    attempts = make("10.0.0.1", "10.0.0.2", "10.0.0.3", target="prefer-standby")
    for host in ("10.0.0.1", "10.0.0.2", "10.0.0.3"):
        attempt = start(attempts, 0)
        assert (attempt.endpoint.host, attempt.target) == (host, "standby")
        if host != "10.0.0.1":
            attempts.reached(attempt, Phase.ANSWERED)
        attempts.failed(attempt)
    assert not attempts.is_over
    # The dead one isn't tried a second time.
    again = start(attempts, 1)
    assert (again.endpoint.host, again.target) == ("10.0.0.2", "any")
    attempts.failed(again)
    last = start(attempts, 1)
    attempts.reached(last, Phase.ANSWERED)
    attempts.failed(last)
    assert attempts.is_over


def test_load_balancing_shuffles_hosts_and_addresses() -> None:
    first_hosts: Counter[str] = Counter()
    first_addresses: Counter[str | None] = Counter()
    rng = random.Random(7)
    for _ in range(400):
        attempts = make("a", "b", load_balance=True, rng=rng)
        name = start(attempts, 0)
        first_hosts[name.endpoint.host] += 1
        attempts.resolved(name, ["10.0.0.1", "10.0.0.2"])
        first_addresses[start(attempts, 0).address] += 1
    assert 150 < first_hosts["a"] < 250
    assert 150 < first_addresses["10.0.0.1"] < 250


def test_load_balancing_needs_no_seed() -> None:
    orders = set()
    for _ in range(200):
        attempts = make("10.0.0.1", "10.0.0.2", load_balance=True)
        orders.add(start(attempts, 0).endpoint.host)
    assert orders == {"10.0.0.1", "10.0.0.2"}


def test_without_it_the_order_is_kept() -> None:
    assert {start(make("b", "a"), 0).endpoint.host for _ in range(50)} == {"b"}


@given(
    hosts=st.integers(1, 5),
    target=st.sampled_from(["any", "prefer-standby"]),
    balance=st.booleans(),
    data=st.data(),
)
def test_whatever_happens_it_ends_and_keeps_its_rules(
    hosts: int, target: str, balance: bool, data: st.DataObject
) -> None:
    names = [f"db{index}" if index % 2 else f"10.0.0.{index}" for index in range(hosts)]
    attempts = make(*names, target=target, load_balance=balance, rng=random.Random(1))
    now = 0.0
    started: Counter[tuple[str, str | None, str, Phase]] = Counter()
    for step in range(300):
        while (attempt := attempts.start(now)) is not None:
            assert not any(
                other.phase >= Phase.CONNECTED for other in attempts.running if other is not attempt
            )
            started[attempt.endpoint.host, attempt.address, attempt.target, attempt.phase] += 1
        if attempts.is_over:
            break
        assert attempts.running
        answered = [one for one in attempts.running if one.phase >= Phase.ANSWERED]
        assert not answered or attempts.running == answered
        now += data.draw(st.sampled_from([0.0, 0.1, 0.25]))
        attempt = data.draw(st.sampled_from(attempts.running))
        if attempt.phase is Phase.RESOLVING:
            attempts.resolved(attempt, ["10.1.0.1", "10.1.0.2"])
        elif step <= 50 and attempt.phase is Phase.CONNECTING and data.draw(st.booleans()):
            attempts.reached(attempt, Phase.CONNECTED)
        elif step <= 50 and attempt.phase is Phase.CONNECTED and data.draw(st.booleans()):
            running = set(attempts.running)
            assert set(attempts.reached(attempt, Phase.ANSWERED)) == running - {attempt}
        elif step > 50 or data.draw(st.booleans()):
            attempts.failed(attempt)
    assert attempts.is_over
    # Every host was tried.
    assert {host for host, _, _, _ in started} == set(names)
