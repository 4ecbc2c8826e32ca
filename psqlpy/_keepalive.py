"""KeepaliveConfig: the settings of TCP keepalive as one value."""

from __future__ import annotations

from psqlpy._checks import MAX_KEEPALIVES_COUNT, MAX_KEEPALIVES_TIME, whole_number
from psqlpy._naming import public


@public
class KeepaliveConfig:
    """TCP keepalive: seconds until the first probe and between probes, and how many may stay unanswered.

    Immutable, equal by value; for ConnectionPoolBuilder.keepalives. None leaves a setting to the system.
    """

    __slots__ = ("idle", "interval", "retries")

    idle: int
    interval: int | None
    retries: int | None

    def __init__(self, idle: int, interval: int | None = None, retries: int | None = None) -> None:
        whole_number(idle, "idle", 0, MAX_KEEPALIVES_TIME)
        if interval is not None:
            whole_number(interval, "interval", 0, MAX_KEEPALIVES_TIME)
        if retries is not None:
            whole_number(retries, "retries", 0, MAX_KEEPALIVES_COUNT)
        for name, value in (("idle", idle), ("interval", interval), ("retries", retries)):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"KeepaliveConfig is immutable, {name} can't be set")

    def _key(self) -> tuple[int, int | None, int | None]:
        return self.idle, self.interval, self.retries

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, KeepaliveConfig) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> tuple[object, ...]:
        return KeepaliveConfig, self._key()

    def __repr__(self) -> str:
        return f"KeepaliveConfig(idle={self.idle}, interval={self.interval}, retries={self.retries})"
