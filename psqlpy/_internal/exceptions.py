"""psqlpy.exceptions, under its path in the Rust driver."""

from psqlpy.exceptions import *  # noqa: F403
