"""psqlpy.extra_types, under its path in the Rust driver."""

from psqlpy.extra_types import *  # noqa: F403  (an alias of the whole module)
