"""How types of PostgreSQL are read and written: `Types`, given to a pool as `types=`.

Nothing of this is needed for a type's values to come: enums come as str, composite types as dict, domains as what they
are made of, and types that nobody has heard of as text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids as _oids
from psqlpy._codecs.registry import Registry, default_registry
from psqlpy.exceptions import ConnectionPoolConfigurationError

if TYPE_CHECKING:
    from psqlpy._codecs.user_types import Maker

__all__ = ["Types"]

# What SQL calls types that pg_type has under shorter names.
_SQL_NAMES = {
    "bigint": "int8",
    "bit varying": "varbit",
    "boolean": "bool",
    "character": "bpchar",
    "character varying": "varchar",
    "decimal": "numeric",
    "double precision": "float8",
    "integer": "int4",
    "real": "float4",
    "smallint": "int2",
    "time with time zone": "timetz",
    "time without time zone": "time",
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
}
_OIDS = {name: oid for oid, (name, _, _) in _oids.TYPES.items()}


class Types:
    """Which types are read and written otherwise than by default, for the pools that are given it.

    uuid_as_object: uuid is read as uuid.UUID instead of str.
    json_loads, json_dumps: instead of the json module's; `json_dumps` may return bytes.
    money_digits: money is read as Decimal with so many digits after the point, as lc_monetary has them, instead of int.
    out_of_range_dates: what becomes of dates and times that Python hasn't: "raise", "clamp" or "text".

    Types are named as in `pg_type`, with a schema (`"shop.mood"`) or in any (`"mood"`), or given by oid. Whatever holds
    for a type holds for arrays, ranges and domains of it and within composite types too. It must be complete when the
    first pool is made with it: later calls raise ConnectionPoolConfigurationError.
    """

    __slots__ = ("_in_use", "_registry")

    def __init__(
        self,
        *,
        uuid_as_object: bool | None = None,
        json_loads: Callable[[str], Any] | None = None,
        json_dumps: Callable[[Any], str | bytes] | None = None,
        money_digits: int | None = None,
        out_of_range_dates: str | None = None,
    ) -> None:
        if uuid_as_object not in (None, True, False):
            raise ConnectionPoolConfigurationError(f"uuid_as_object must be a bool, not {uuid_as_object!r}")
        functions = {"json_loads": json_loads, "json_dumps": json_dumps}
        _check_callables(**{name: function for name, function in functions.items() if function is not None})
        self._in_use = False
        self._registry = Registry(
            default_registry,
            uuid_as_object=uuid_as_object,
            json_loads=json_loads,
            json_dumps=json_dumps,
            money_digits=money_digits,
            out_of_range_dates=out_of_range_dates,
        )

    def codec(
        self,
        name: str | int,
        *,
        from_text: Callable[[str], Any],
        to_text: Callable[[Any], str] | None = None,
        from_binary: Callable[[bytes], Any] | None = None,
        to_binary: Callable[[Any], bytes] | None = None,
        accepts: type | tuple[type, ...] = object,
    ) -> None:
        """Read and write a type by functions of your own.

        from_text: makes a value of what the server prints. from_binary: the same of the type's binary format; rows are
        asked for in binary if all their columns can be read so, hence `from_text` is needed in any case.
        to_text, to_binary: make what is sent for a value, which is never None nor, but where `accepts` names it, a str:
        that goes to the server as it is. With both `to_binary` is used; without any only str can be written.
        accepts: the classes of values that they take; others are refused before anything is sent.
        TypeError and ValueError of `to_…` refuse a value, ValueError of `from_…` is a DataError that names the column.
        """
        from psqlpy._codecs.user_codec import make_codec

        _check_callables(from_text=from_text)
        optional = {"to_text": to_text, "from_binary": from_binary, "to_binary": to_binary}
        _check_callables(**{name: function for name, function in optional.items() if function is not None})

        def make(oid: int, type_name: str, delimiter: str = ",") -> Any:
            return make_codec(oid, type_name, delimiter, from_text, to_text, from_binary, to_binary, accepts)

        key = self._key(name)
        built_in = _built_in(key)
        if built_in is not None:
            self._registry.add(make(built_in, *_oids.TYPES[built_in][::2]))
        else:
            self._registry.add_maker(key, lambda info, registry: make(info.oid, info.name, info.delimiter))

    def enum(self, name: str | int, cls: type[Enum], *, by_name: bool = False) -> None:
        """Read an enum type as members of a class, and write them.

        A member stands for the label that is its value or, `by_name`, its name. A label without a member raises
        DataError when it is read. A str is written as it is.
        """
        given: object = cls
        if not (isinstance(given, type) and issubclass(given, Enum)):
            raise ConnectionPoolConfigurationError(f"enum takes a subclass of enum.Enum, not {cls!r}")
        if not by_name and not all(isinstance(member.value, str) for member in cls):
            raise ConnectionPoolConfigurationError(
                f"the values of {cls.__name__} aren't all str: give by_name=True if its names are the labels"
            )
        from psqlpy._codecs import enum

        self._add_maker(name, enum.maker_for(cls, by_name=by_name))

    def composite(
        self,
        name: str | int,
        cls: type,
        *,
        make: Callable[[dict[str, Any]], Any] | None = None,
        fields: Callable[[Any], Mapping[str, Any] | Sequence[Any]] | None = None,
    ) -> None:
        """Read a composite type, or a table's rows, as objects of a class, and write them.

        make: makes one of a dict of all attributes; `cls(**attributes)` by default.
        fields: the attributes of one, by name or in the type's order; those of the same names by default.
        dicts, tuples and lists are written too.
        """
        if not isinstance(cls, type):
            raise ConnectionPoolConfigurationError(f"composite takes a class, not {cls!r}")
        optional = {"make": make, "fields": fields}
        _check_callables(**{name: function for name, function in optional.items() if function is not None})
        from psqlpy._codecs import composite

        self._add_maker(name, composite.maker_for(cls, make, fields))

    def _add_maker(self, name: str | int, make: Maker) -> None:
        key = self._key(name)
        if _built_in(key) is not None:
            raise ConnectionPoolConfigurationError(
                f"{name!r} is a type of PostgreSQL's own, not one of CREATE TYPE"
            )
        self._registry.add_maker(key, make)

    def _key(self, name: str | int) -> int | tuple[str | None, str]:
        if self._in_use:
            raise ConnectionPoolConfigurationError(
                f"type {name!r} comes too late: a pool uses these types already; complete them before it is made"
            )
        if isinstance(name, int) and not isinstance(name, bool) and 0 < name < 2**32:
            return name
        if not isinstance(name, str) or not name.strip("."):
            raise ConnectionPoolConfigurationError(f"a type is given by name or oid, not {name!r}")
        schema, _, plain = name.rpartition(".")
        return schema or None, _SQL_NAMES.get(plain, plain)

    def __repr__(self) -> str:
        return f"<Types {'in use' if self._in_use else 'open'}>"


def registry_of(types: Types | None) -> Registry:
    """What a pool with these types reads and writes by."""
    if types is None:
        return default_registry
    if not isinstance(types, Types):
        raise ConnectionPoolConfigurationError(
            f"types must be a psqlpy.types.Types, not {type(types).__name__}"
        )
    types._in_use = True
    return types._registry


def _built_in(key: int | tuple[str | None, str]) -> int | None:
    """The oid of a type of PostgreSQL's own."""
    if isinstance(key, int):
        return key if key in _oids.TYPES else None
    schema, name = key
    return _OIDS.get(name) if schema in (None, "pg_catalog") else None


def _check_callables(**functions: object) -> None:
    for name, function in functions.items():
        if not callable(function):
            raise ConnectionPoolConfigurationError(f"{name} must be a function, not {function!r}")
