"""What a dialogue that can't go on waits for."""

from __future__ import annotations

from enum import IntFlag


class Want(IntFlag):
    """Socket directions; the bits are those of the C helpers."""

    CALLER = 0  # not for the socket: for whoever the dialogue is with
    READ = 1
    WRITE = 2
    READ_WRITE = 3
    TURN = 4  # for nothing: others are to have their turn
