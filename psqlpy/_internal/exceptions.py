"""psqlpy.exceptions, under its path in the Rust driver."""

from psqlpy.exceptions import *  # noqa: F403  (an alias of the whole module)
