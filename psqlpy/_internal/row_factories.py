"""psqlpy.row_factories, under its path in the Rust driver."""

from psqlpy.row_factories import *  # noqa: F403  (an alias of the whole module)
