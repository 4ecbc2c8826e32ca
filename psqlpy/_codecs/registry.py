"""Registry: which codec reads and writes which type, and the plans made from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.catalog import FIRST_USER_OID, Catalog, TypeInfo, catalog_of, made_of_themselves
from psqlpy._codecs.codec import Codec, pack_text
from psqlpy._codecs.families import FAMILIES, RANGE_PARTS
from psqlpy._codecs.plan import MAX_PARAMETERS, ParameterPlan, unwrap_known
from psqlpy._codecs.rows import ResultPlan
from psqlpy.exceptions import ParameterValueError

if TYPE_CHECKING:
    from psqlpy._codecs.user_types import Maker

_MAX_PLANS = 1000
_MAX_STYLES = 20

Columns = tuple[tuple[str, int, int, int], ...]


class Registry:
    """Codecs by type oid. A child sees its parent's, and may replace them and add others.

    uuid_as_object: uuid values become uuid.UUID instead of str.
    json_loads, json_dumps: used instead of the json module's.
    money_digits: money becomes Decimal with so many digits after the point, which lc_monetary has too, instead of int.
    out_of_range_dates: what becomes of infinite and BC dates and the like, see psqlpy/_codecs/beyond.py.
    """

    def __init__(
        self,
        parent: Registry | None = None,
        *,
        uuid_as_object: bool | None = None,
        json_loads: Callable[[str], Any] | None = None,
        json_dumps: Callable[[Any], str | bytes] | None = None,
        money_digits: int | None = None,
        out_of_range_dates: str | None = None,
    ) -> None:
        self.parent = parent
        self.writes_binary = False
        # Only if the server has such.
        self.writes_infinite_intervals = False
        # Whether one of its codecs can write nothing in binary after all.
        self.has_text_only = False
        # The types of the one database that this is for, if it is.
        self.catalog: Catalog | None = None if parent is None else parent.catalog
        self._codecs: dict[int, Codec] = {}
        # Made here from other codecs: of arrays, and of what the catalog knows.
        self._made: dict[int, Codec] = {}
        self._makers: dict[int | tuple[str | None, str], Maker] = {}
        self._databases: dict[tuple[str, ...], Registry] = {}
        self._wrappers: dict[type, Callable[[Any, int], Any]] = {}
        self._result_plans: dict[tuple[Columns, int | None], ResultPlan] = {}
        self._parameter_plans: dict[tuple[int, ...], ParameterPlan] = {}
        self._styled: dict[tuple[str, str], Registry] = {}
        if uuid_as_object is not None:
            from psqlpy._codecs import uuid

            uuid.register(self, uuid_as_object)
        if json_loads is not None or json_dumps is not None:
            from psqlpy._codecs import json

            json.register(self, json_loads, json_dumps)
        if money_digits is not None:
            from psqlpy._codecs import money

            money.register(self, money_digits)
        self.out_of_range_dates: str = "raise" if parent is None else parent.out_of_range_dates
        if out_of_range_dates is not None:
            self._set_policy(out_of_range_dates)

    def _set_policy(self, policy: str) -> None:
        from psqlpy._codecs import beyond, datetime, interval

        self.out_of_range_dates = beyond.check_policy(policy)
        datetime.register(self, policy)
        interval.register(self, policy)

    def add(self, codec: Codec) -> None:
        """Use a codec for its type from the next plan on."""
        self._codecs[codec.oid] = codec
        self._made.clear()  # some may have been made from the codec that is now replaced
        self._result_plans.clear()
        self._parameter_plans.clear()

    def codec(self, oid: int) -> Codec | None:
        """Return the codec for a type, None for a type that we don't know."""
        codec = self._made.get(oid)
        if codec is None:
            codec = added = self._added(oid)
            if added is not None and not self.writes_binary:
                return added
            # Made here, not in the parent: what it is made of may be read in another way here.
            codec = added or self._make(oid)
            if codec is not None:
                self._made[oid] = codec = self._written(codec, is_container=added is None)
        return codec

    def _written(self, codec: Codec, is_container: bool) -> Codec:
        if not self.writes_binary:
            return codec
        from psqlpy._codecs import copy_binary

        self.has_text_only = self.has_text_only or copy_binary.is_only_text(codec)
        return copy_binary.in_binary(codec, self, is_container)

    def writing_binary(self, *, infinite_intervals: bool = False) -> Registry:
        """Return a child that writes all values in binary, as COPY needs them, see copy_binary.py."""
        child = Registry(self)
        child.writes_binary = True
        child.writes_infinite_intervals = infinite_intervals
        return child

    def _added(self, oid: int) -> Codec | None:
        registry = self
        while True:
            codec = registry._codecs.get(oid)
            if codec is not None:
                return codec
            if registry.parent is None:
                return registry._built_in(oid)
            registry = registry.parent

    def _built_in(self, oid: int) -> Codec | None:
        """A codec of PostgreSQL's own types: the default registry's alone."""
        return None

    def _make(self, oid: int) -> Codec | None:
        element_oid = oids.ELEMENTS.get(oid)
        if element_oid is not None:
            from psqlpy._codecs import array

            return array.make_codec(oid, self.codec_or_unknown(element_oid), self)
        part_oid = RANGE_PARTS.get(oid)
        if part_oid is not None:
            from psqlpy._codecs import range

            return range.make_codec(oid, self.codec_or_unknown(part_oid), self)
        if oid == oids.RECORD:
            from psqlpy._codecs import record

            return record.make_codec(self)
        info = self._info(oid)
        if info is None:
            return None
        from psqlpy._codecs import user_types

        return user_types.make_codec(info, self)

    def codec_or_unknown(self, oid: int) -> Codec:
        """Return the codec for a type, of one that we don't know: text to read, to write what the server can parse."""
        codec = self.codec(oid)
        if codec is not None:
            return codec
        name, _, delimiter = oids.TYPES.get(oid, (f"oid {oid}", 0, ","))
        info = self._info(oid)
        if info is not None:
            name, delimiter = info.name, info.delimiter
        from psqlpy._codecs import array

        return Codec(oid, name, dump=array.unknown_dumper(self), fast=pack_text, delimiter=delimiter)

    # Types that PostgreSQL wasn't born with

    def for_database(self, database: tuple[str, ...]) -> Registry:
        """Return the child for the sessions of one database, whose types it learns."""
        child = self._databases.get(database)
        if child is None:
            child = Registry(self)
            child.catalog = catalog_of(database)
            child = self._databases.setdefault(database, child)
        return child

    def _info(self, oid: int) -> TypeInfo | None:
        return None if self.catalog is None else self.catalog.types.get(oid)

    def unknown(self, types: Iterable[int]) -> list[int]:
        """Return which of these types the server has to be asked about."""
        wanted = sorted({oid for oid in types if oid >= FIRST_USER_OID})
        catalog = self.catalog
        if not wanted or catalog is None:
            return []
        return [
            oid
            for oid in wanted
            if oid not in catalog.types and oid not in catalog.unknowable and self._added(oid) is None
        ]

    def learn(self, types: Iterable[TypeInfo]) -> None:
        """Take what the server has answered."""
        if self.catalog is not None:
            learnt = {info.oid: info for info in types}
            # No server has such types, but one may say so.
            endless = made_of_themselves({**self.catalog.types, **learnt}, learnt)
            self.catalog.unknowable.update(endless)
            self.catalog.types.update((oid, info) for oid, info in learnt.items() if oid not in endless)

    def give_up(self, types: Iterable[int]) -> None:
        """Ask about these types no more: the server won't tell."""
        if self.catalog is not None:
            self.catalog.unknowable.update(types)

    def attribute_types(self, oid: int) -> list[int] | None:
        """The types of a composite type's attributes, None of any other."""
        info = self._info(oid)
        return None if info is None or info.kind != "c" else [attribute for _, attribute in info.attributes]

    def forget_composites(self, types: Iterable[int]) -> bool:
        """Ask again about these types and what they are made of, if composite types are among them."""
        reached: dict[int, TypeInfo] = {}
        waiting = list(types)
        while waiting:
            oid = waiting.pop()
            info = self._info(oid)
            if info is not None and oid not in reached:
                reached[oid] = info
                waiting += info.parts
        if all(info.kind != "c" for info in reached.values()):
            return False
        for oid in reached:
            self.forget(oid)
        return True

    def forget(self, oid: int) -> None:
        """Ask about a type again, which has changed."""
        if self.catalog is not None:
            self.catalog.types.pop(oid, None)
        self._made.clear()
        self._result_plans.clear()
        self._parameter_plans.clear()
        self._styled.clear()

    def add_maker(self, key: int | tuple[str | None, str], make: Maker) -> None:
        """Have a type's codec made by `make`: of the type with an oid, or a name in a schema or, None, in any."""
        self._makers[key] = make

    def maker(self, oid: int, schema: str, name: str) -> Maker | None:
        """Return what was added for a type, the nearest first."""
        for key in (oid, (schema, name), (None, name)):
            make = self._makers.get(key)
            if make is not None:
                return make
        return None if self.parent is None else self.parent.maker(oid, schema, name)

    def type_name(self, oid: int) -> str:
        """Name a type for display: `int4`, `text[]`, `oid 12345`."""
        return self.codec_or_unknown(oid).name

    def add_wrapper(self, cls: type, unwrap: Callable[[Any, int], Any]) -> None:
        """Take values of a class, and of its subclasses, as parameters.

        `unwrap(value, oid)` returns what to send for the server's type: another value, or Raw. TypeError and
        ValueError refuse.
        """
        self._wrappers[cls] = unwrap

    def unwrap(self, value: Any, oid: int) -> Any:
        """Reduce a value that no codec knows to another one; returns the same object where there is nothing to do."""
        for cls in type(value).__mro__:
            wrapper = self._wrappers.get(cls)
            if wrapper is not None:
                return wrapper(value, oid)
        return unwrap_known(value) if self.parent is None else self.parent.unwrap(value, oid)

    def result_plan(self, columns: Columns, table_format: int | None = None) -> ResultPlan:
        """Return how rows with these columns (name, type oid, typmod, format) are received and decoded.

        `table_format`: None asks for binary if every column's type has a binary decoder, and for text otherwise; 1 asks
        for binary, and types without a decoder are bytes.
        """
        key = (columns, table_format)
        plan = self._result_plans.get(key)
        if plan is None:
            if len(self._result_plans) >= _MAX_PLANS:
                self._result_plans.clear()
            types = tuple(column[1] for column in columns)
            plan = ResultPlan(
                tuple(column[0] for column in columns),
                types,
                tuple(map(self.type_name, types)),
                list(map(self.codec, types)),
                table_format,
            )
            if not self.unknown(types):
                self._result_plans[key] = plan
        return plan

    def in_style(self, date_style: str, time_zone: str) -> Registry:
        """Return a child that reads dates in text as a session prints them that has these settings."""
        style = (date_style, time_zone)
        styled = self._styled.get(style)
        if styled is None:
            if len(self._styled) >= _MAX_STYLES:
                self._styled.clear()
            from psqlpy._codecs import date_style as dates

            styled = self._styled[style] = Registry(self)
            dates.register(styled, date_style, time_zone)
        return styled

    def parameter_plan(self, types: tuple[int, ...]) -> ParameterPlan:
        """Return how parameters of these types are encoded."""
        plan = self._parameter_plans.get(types)
        if plan is None:
            if len(types) > MAX_PARAMETERS:
                raise ParameterValueError(
                    f"a statement can have {MAX_PARAMETERS} parameters, this has {len(types)}"
                )
            if len(self._parameter_plans) >= _MAX_PLANS:
                self._parameter_plans.clear()
            plan = ParameterPlan(types, [self.codec_or_unknown(oid) for oid in types], self)
            if not self.unknown(types):
                self._parameter_plans[types] = plan
        return plan


class _BuiltIn(Registry):
    """The codecs of PostgreSQL's own types, family by family as they are met."""

    def _built_in(self, oid: int) -> Codec | None:
        register = FAMILIES.get(oid)
        if register is None:
            return None
        family = Registry()
        register(family)
        # Two threads may do this at once: both are to get the same codecs.
        return {oid: self._codecs.setdefault(oid, codec) for oid, codec in family._codecs.items()}[oid]


default_registry: Registry = _BuiltIn()
