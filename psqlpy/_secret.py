"""Secret: a password, or what has one in it. Tools that report errors show the repr of each frame's variables.

So what takes a password hides it before it does anything else, and nothing keeps it in another form. Not here: what a
variable of the caller's holds.
"""

from __future__ import annotations

from typing import Any


class Secret(str):
    """A str like any other, but for its repr."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def hide(value: Any) -> Any:
    """A str as a Secret. None and functions stay; of all else, which will be refused, only its type's name does."""
    if isinstance(value, str):
        # What is in it, whatever a class of the user's says that it is shown as.
        return value if type(value) is Secret else Secret(str.__str__(value))
    return value if value is None or callable(value) else type(type(value).__name__, (), {})()


def hide_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of ConnectionPool, in which a dsn may be the first, and a password the third."""
    hidden = tuple(hide(value) if index in (0, 2) else value for index, value in enumerate(args))
    return hidden, {
        name: hide(value) if name in ("dsn", "password") else value for name, value in kwargs.items()
    }
