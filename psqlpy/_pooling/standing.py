"""Standing: what a pool has learnt of a statement's text, to decide whether it rides with others. No clock."""

from __future__ import annotations

from math import inf
from typing import Final

# Nothing joins behind statements that take so much longer than others of the pool, or return more. Seconds; bytes.
LONGEST: Final = 0.001
LARGEST: Final = 262_144
# Of the last execution in the averages: many, since a busy process makes any one of them look slow.
_WEIGHT: Final = 0.05
_SIZE_WEIGHT: Final = 0.2
# One that took longer says no more than this. Seconds.
_SAMPLE_LIMIT: Final = 0.05
# Each time that a statement turned out to be slow it must do so many times more by itself.
_PENALTY_FACTOR: Final = 8
_LARGEST_PENALTY: Final = 512
# How long what the server's catalogs said of a statement holds, and after which time they are asked again. Seconds.
_HOLDS: Final = 60.0
_ASKED_AFTER: Final = 30.0


class Usual:
    """What is usual in a pool. Seconds.

    `floor`: the shortest time of a statement by itself, mostly the network's; `average`: of those in company, each from
    the answer before it, and so without the network's.
    """

    __slots__ = ("average", "floor")

    def __init__(self) -> None:
        self.floor = inf
        self.average = 0.0


class Standing:
    """One text. `is_light`: known, fast and small, so that others may wait behind it.

    `is_shareable`: as far as is known, it runs nobody's own code and changes nothing.
    """

    __slots__ = (
        "_alone",
        "_average",
        "_fastest",
        "_holds_until",
        "_penalty",
        "_size",
        "_usual",
        "ask_at",
        "is_light",
        "is_shareable",
    )

    def __init__(self, usual: Usual, is_shareable: bool) -> None:
        self.is_shareable = is_shareable
        self.is_light = False
        self._usual = usual
        self._size = 0.0
        # Of executions by itself: the fastest, since others' work in the same process makes them longer, never shorter.
        self._fastest = inf
        self._alone = 0
        # Of those in company.
        self._average = 0.0
        self._penalty = 1
        # What the catalogs said, and when somebody is to ask them again.
        self.ask_at = -inf
        self._holds_until = -inf

    def __repr__(self) -> str:
        state = "light" if self.is_light else "heavy" if self.is_shareable else "not shareable"
        return f"<Standing {state} fastest={self._fastest:.6f} average={self._average:.6f} size={self._size:.0f}>"

    def refuse(self) -> None:
        """It turned out to write, or to reach a user's code: it is never shared again."""
        self.is_shareable = self.is_light = False

    def may_ride(self, now: float) -> bool:
        """Whether it may be run in company."""
        return self.is_light and now < self._holds_until

    def is_to_ask(self, now: float) -> bool:
        """Whether its caller is to ask the catalogs; one caller is."""
        if not self.is_light or now < self.ask_at:
            return False
        # Should the answer never come, this is the time until the next question.
        self.ask_at = now + _ASKED_AFTER
        return True

    def may_repeat(self, now: float) -> bool:
        """Whether it may be run twice: it is known to change nothing, and to call nothing that might."""
        return self.is_shareable and now < self._holds_until

    def learn(self, asked_at: float, harmless: bool) -> None:
        """Note what the catalogs said, asked then."""
        if harmless:
            self._holds_until = asked_at + _HOLDS
        else:
            self.refuse()

    def ran_alone(self, seconds: float, size: float) -> None:
        """It took so long, having been known to the server, on a connection of its own."""
        self._measure(size)
        self._alone += 1
        self._fastest = min(self._fastest, seconds)
        if 0.0 < seconds < self._usual.floor:
            self._usual.floor = seconds
        self.is_light = (
            self.is_shareable
            and self._size <= LARGEST
            and self._alone >= self._penalty
            and self._fastest - self._usual.floor <= LONGEST
        )

    def ran_shared(self, seconds: float, size: float) -> None:
        """It took so long after the one before it on its connection was answered."""
        self._measure(size)
        seconds = min(seconds, _SAMPLE_LIMIT)
        usual = self._usual
        # Compared with the others', in the same company: when the process or the server is busy all are slow.
        usual.average += _WEIGHT * (seconds - usual.average)
        self._average += _WEIGHT * (seconds - self._average)
        if self._average > LONGEST + usual.average or self._size > LARGEST:
            self.was_slow()

    def was_slow(self) -> None:
        """It was slower than others, or those behind it had to be sent elsewhere: by itself, for now."""
        if self.is_light:
            self.is_light = False
            self._fastest = inf
            self._alone = 0
            self._average = 0.0
            self._penalty = min(self._penalty * _PENALTY_FACTOR, _LARGEST_PENALTY)

    def _measure(self, size: float) -> None:
        # One large result is enough, and it is soon forgotten.
        self._size = size if size > self._size else self._size + _SIZE_WEIGHT * (size - self._size)
