"""Column: what the server says of a prepared statement's column before there are any rows."""

from __future__ import annotations

from typing import NamedTuple

from psqlpy._naming import public


@public
class Column(NamedTuple):
    """A column of a statement's rows. `table_oid` is None where the column isn't a table's."""

    name: str
    table_oid: int | None
    type_oid: int
    type_name: str
