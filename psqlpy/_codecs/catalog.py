"""What the server says about types that it wasn't born with: the question, its answer, and where that is kept.

Not here: when it is asked (psqlpy/_protocol/type_lookup.py), and the codecs made from it (user_types.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from psqlpy._codecs import oids

if TYPE_CHECKING:
    from psqlpy._pq.result import PGresult

#: The first oid that isn't PostgreSQL's own (src/include/access/transam.h, FirstNormalObjectId).
FIRST_USER_OID = 16384

# Every name is qualified, as search_path may hold anything, or nothing. All that the types are made of is asked for at
# once. Multiranges are new in PostgreSQL 14.
_QUESTION = """\
WITH RECURSIVE needed(oid) AS (
  SELECT given.oid FROM (SELECT pg_catalog.unnest('{%s}'::pg_catalog.oid[])%s) AS given(oid)
  UNION
  SELECT part.oid FROM needed JOIN pg_catalog.pg_type t ON t.oid = needed.oid CROSS JOIN LATERAL (
    SELECT t.typelem UNION ALL SELECT t.typbasetype
    UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a
      WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid%s
  ) AS part(oid) WHERE part.oid >= 16384
)
SELECT t.oid, n.nspname, t.typname, t.typtype, t.typdelim, t.typsend::pg_catalog.oid <> 0,
  CASE WHEN e.oid IS NULL THEN 0 ELSE t.typelem END, t.typbasetype,
  (SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid),
  %s,
  a.names, a.types
FROM needed JOIN pg_catalog.pg_type t ON t.oid = needed.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
  CROSS JOIN LATERAL (
    SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY a.attnum),
      pg_catalog.array_agg(a.atttypid ORDER BY a.attnum)
    FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
  ) AS a(names, types)"""
_MULTIRANGE_PARTS = """
    UNION ALL SELECT r.rngtypid FROM pg_catalog.pg_range r WHERE r.rngmultitypid = t.oid"""
_MULTIRANGE = "(SELECT r.rngtypid FROM pg_catalog.pg_range r WHERE r.rngmultitypid = t.oid)"
_MULTIRANGES_SINCE = 140000
# What fields of records may be, newest first: those that aren't known, and rows of tables behind all others.
_ALL_OTHERS = """
    UNION ALL (SELECT t.oid FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem
      WHERE t.oid >= 16384 AND t.oid NOT IN (SELECT pg_catalog.unnest('{%s}'::pg_catalog.oid[]))
      ORDER BY EXISTS (SELECT FROM pg_catalog.pg_class c
        WHERE c.oid IN (t.typrelid, e.typrelid) AND c.relkind <> 'c'), t.oid DESC
      LIMIT 20000)"""


class TypeInfo:
    """One type: a row of pg_type, and what it is made of.

    kind: pg_type.typtype: b base, c composite, d domain, e enum, m multirange, r range.
    element: of an array; base: of a domain; subtype: of a range; range: of a multirange. 0 in others.
    attributes: (name, type) of a composite's, in their order.
    """

    __slots__ = (
        "attributes",
        "base",
        "delimiter",
        "element",
        "has_binary",
        "kind",
        "name",
        "oid",
        "range",
        "schema",
        "subtype",
    )

    def __init__(
        self,
        oid: int,
        schema: str,
        name: str,
        kind: str,
        *,
        delimiter: str = ",",
        has_binary: bool = True,
        element: int = 0,
        base: int = 0,
        subtype: int = 0,
        range: int = 0,
        attributes: tuple[tuple[str, int], ...] = (),
    ) -> None:
        self.oid = oid
        self.schema = schema
        self.name = name
        self.kind = kind
        self.delimiter = delimiter
        self.has_binary = has_binary
        self.element = element
        self.base = base
        self.subtype = subtype
        self.range = range
        self.attributes = attributes

    @property
    def parts(self) -> tuple[int, ...]:
        """The types that it is made of."""
        attributes = tuple(attribute for _, attribute in self.attributes)
        return self.element, self.base, self.subtype, self.range, *attributes

    def __repr__(self) -> str:
        return f"<TypeInfo {self.oid} {self.schema}.{self.name} {self.kind!r}>"


def made_of_themselves(types: Mapping[int, TypeInfo], suspects: Iterable[int]) -> set[int]:
    """Which of these are parts of themselves, directly or by others. Codecs for them would have no end."""
    found = set()
    for suspect in suspects:
        reached: set[int] = set()
        waiting = list(types[suspect].parts)
        while waiting:
            oid = waiting.pop()
            if oid in types and oid not in reached:
                reached.add(oid)
                waiting += types[oid].parts
        if suspect in reached:
            found.add(suspect)
    return found


class Catalog:
    """The types of one database, as far as they were asked for. May be shared by threads: dicts change atomically.

    unknowable: what the server would not tell about.
    """

    __slots__ = ("__weakref__", "types", "unknowable")

    def __init__(self) -> None:
        self.types: dict[int, TypeInfo] = {}
        self.unknowable: set[int] = set()


# While anybody uses it. Longer would be wrong: a test's server may follow another one at the same address.
_catalogs: WeakValueDictionary[tuple[str, ...], Catalog] = WeakValueDictionary()


def catalog_of(database: tuple[str, ...]) -> Catalog:
    """The one catalog that this process has of a database, however many pools use it."""
    catalog = _catalogs.get(database)
    if catalog is None:
        catalog = _catalogs.setdefault(database, Catalog())
    return catalog


def question(types: Iterable[int], server_version: int, known: Iterable[int] = ()) -> bytes:
    """The query for these types and for what they are made of.

    With record among them for all that aren't `known`, 20,000 at once.
    """
    types = set(types)
    others = _ALL_OTHERS % _listed(known) if oids.RECORD in types else ""
    parts, multirange = (
        (_MULTIRANGE_PARTS, _MULTIRANGE) if server_version >= _MULTIRANGES_SINCE else ("", "NULL")
    )
    return (_QUESTION % (_listed(types - {oids.RECORD}), others, parts, multirange)).encode()


def _listed(types: Iterable[int]) -> str:
    return ",".join(map(str, types))


def answer(result: PGresult) -> list[TypeInfo]:
    """The types in the answer, which came in text. Raises ValueError for another answer."""
    if result.column_count != 12:
        raise ValueError("the answer has other columns than the question")
    return [_type_info(result, row) for row in range(result.row_count)]


def _type_info(result: PGresult, row: int) -> TypeInfo:
    from psqlpy._codecs.array import parse

    def text(column: int) -> str:
        return (result.value_bytes(row, column) or b"").decode()

    names, types = text(10), text(11)
    return TypeInfo(
        int(text(0)),
        text(1),
        text(2),
        text(3),
        delimiter=text(4),
        has_binary=text(5) == "t",
        element=int(text(6)),
        base=int(text(7)),
        subtype=int(text(8) or 0),
        range=int(text(9) or 0),
        attributes=tuple(zip(parse(names, None, ","), parse(types, int, ","), strict=True)) if names else (),
    )
