"""Reach: whether a statement that looks harmless may run a user's own code, which only the server's catalogs know.

A text doesn't show what views, row level security, operators, casts, domains and `row.function` call, nor whether a
name stands for a built-in function or a user's of the same name. So the server is asked, once for each statement and
again after a while, whether anything of a user's has one of the names that are in the text, in any schema, and whether
the database has operators, casts, operator classes or domains, which come without a name, whose functions are a user's.
A user's is what was made after the database was; functions of extensions count as built in unless they are volatile,
and those in C, which only a superuser can make, are trusted where they come without a name. Nor does a text show that
`(1::int8).pg_advisory_lock` calls a built-in function of one argument: any volatile one's name counts. Where a
backslash escapes in plain literals, the text was read in another way than the server does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from psqlpy._protocol.commands import Commands
from psqlpy._protocol.query import FATAL_ERROR
from psqlpy._protocol.sql_text import tokenize

if TYPE_CHECKING:
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.session import Session

# As long as the server's own: longer ones are cut off there (NAMEDATALEN).
_LONGEST_NAME = 63
_MOST_NAMES = 300

# 16384 is FirstNormalObjectId, 2281 the type `internal`. The language 13 is C, 12 `internal`: that of range types'
# constructors and of every aggregate. `current_setting` and those for XML are stable, and tell of the session or run
# queries. pg_node_tree says what a domain's constraint calls; pg_depend doesn't, where that is built in. The answer's
# first line: a pooler announces itself instead of the backend that executes this, and what is set for one statement
# would be set for another client's, too.
_QUESTION = """\
WITH extended AS (
  SELECT d.objid AS oid FROM pg_catalog.pg_depend d
  WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.deptype = 'e'
), acting AS (
  SELECT p.oid FROM pg_catalog.pg_proc p WHERE p.prolang <> 13
    AND (p.provolatile = 'v' OR p.proname = 'current_setting' OR p.proname ~ '^(database|schema|table)_to_xml'
      OR (p.oid >= 16384 AND p.prolang <> 12 AND p.oid NOT IN (SELECT e.oid FROM extended e)))
), unnamed(oid) AS (
  SELECT o.oprcode::pg_catalog.oid FROM pg_catalog.pg_operator o WHERE o.oid >= 16384
  UNION ALL SELECT c.castfunc FROM pg_catalog.pg_cast c WHERE c.oid >= 16384
  UNION ALL SELECT a.amproc::pg_catalog.oid FROM pg_catalog.pg_amproc a WHERE a.oid >= 16384
  UNION ALL SELECT p.oid FROM pg_catalog.pg_proc p
    WHERE p.oid >= 16384 AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
  UNION ALL SELECT f.found[1]::pg_catalog.oid
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_constraint c ON c.contypid = t.oid
    CROSS JOIN LATERAL pg_catalog.regexp_matches(c.conbin::pg_catalog.text, 'funcid ([0-9]+)', 'g') AS f(found)
    WHERE t.oid >= 16384 AND t.typtype = 'd'
)
SELECT pg_catalog.pg_backend_pid() = %d AND pg_catalog.current_setting('standard_conforming_strings') = 'on'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relname = ANY ('{%s}'::pg_catalog.name[])
    AND ((c.oid >= 16384 AND c.relkind IN ('v', 'f')) OR c.relrowsecurity))
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.proname = ANY ('{%s}'::pg_catalog.name[])
    AND (p.oid >= 16384 OR (p.pronargs > 0 AND p.pronargs - p.pronargdefaults <= 1 AND p.proargtypes[0] <> 2281))
    AND (p.provolatile = 'v' OR (p.oid >= 16384 AND (p.prolang <> 12 OR p.prokind <> 'f')
      AND p.oid NOT IN (SELECT e.oid FROM extended e))))
  AND NOT EXISTS (SELECT FROM unnamed u WHERE u.oid IN (SELECT a.oid FROM acting a))
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_foreign_table f
    JOIN pg_catalog.pg_inherits i ON i.inhrelid = f.ftrelid)"""


def names_in(query: str) -> list[str] | None:
    """All that may name something in a statement, as the server folds it; None if that isn't certain."""
    names = set()
    for kind, start, end in tokenize(query):
        if kind == "word":
            name = query[start:end]
            # Not of any other: to Python U+212A is a K, to the server it is not.
            name = name.lower() if name.isascii() else name
        elif kind == "quoted":
            if query[start] != '"':
                # U&"…" has escapes.
                return None
            name = query[start + 1 : end - 1].replace('""', '"')
        else:
            continue
        # How a server folds and cuts off others depends on its encoding, how it reads quotes on its settings.
        if not name.isascii() or len(name) > _LONGEST_NAME or not _PLAIN.issuperset(name):
            return None
        names.add(name)
    return sorted(names) if len(names) <= _MOST_NAMES else None


_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$ .-:/")


class AskReach(Commands):
    """Asks the server about the names in one statement. Nobody waits for it.

    `tell` is called with whether a user's code is out of reach; not at all if that couldn't be found out.
    """

    def __init__(self, names: list[str], tell: Callable[[bool], object]) -> None:
        super().__init__((), holds_followers=False)
        self._names = names
        self._tell = tell

    def write(self, session: Session) -> None:
        # In quotes, as NULL and names with spaces need them.
        names = ",".join(f'"{name}"' for name in self._names)
        self.commands = ((_QUESTION % (session.pgconn.backend_pid, names, names)).encode("ascii"),)
        super().write(session)

    def receive(self, session: Session, status: int, result: PGresult) -> None:
        super().receive(session, status, result)
        if status != FATAL_ERROR and result.row_count == 1:
            self._tell(result.value_bytes(0, 0) in (b"t", b"\x01"))
