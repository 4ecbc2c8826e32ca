"""What a dialogue that can't go on waits for."""

from __future__ import annotations

from enum import IntFlag


class Want(IntFlag):
    """Socket directions; the bits are those of the C helpers."""

    READ = 1
    WRITE = 2
    READ_WRITE = 3
