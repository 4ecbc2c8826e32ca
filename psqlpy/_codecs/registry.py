"""Registry: which codec reads and writes which type, and the plans made from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psqlpy._codecs import (
    array,
    boolean,
    bytea,
    datetime,
    float,
    geometry,
    integer,
    interval,
    json,
    numeric,
    oids,
    range,
    text,
    uuid,
)
from psqlpy._codecs import date_style as _date_style
from psqlpy._codecs.codec import Codec, pack_text
from psqlpy._codecs.plan import MAX_PARAMETERS, ParameterPlan, unwrap_known
from psqlpy._codecs.rows import ResultPlan
from psqlpy.exceptions import ParameterValueError

_FAMILIES = (boolean, bytea, datetime, float, geometry, integer, interval, json, numeric, text, uuid)
_MAX_PLANS = 1000
_MAX_STYLES = 20

Columns = tuple[tuple[str, int, int, int], ...]


class Registry:
    """Codecs by type oid. A child sees its parent's, and may replace them and add others.

    uuid_as_object: uuid values become uuid.UUID instead of str.
    json_loads, json_dumps: used instead of the json module's.
    """

    def __init__(
        self,
        parent: Registry | None = None,
        *,
        uuid_as_object: bool | None = None,
        json_loads: Callable[[str], Any] | None = None,
        json_dumps: Callable[[Any], str] | None = None,
    ) -> None:
        self.parent = parent
        self._codecs: dict[int, Codec] = {}
        self._made: dict[int, Codec] = {}  # from those of elements and bounds
        self._wrappers: dict[type, Callable[[Any, int], Any]] = {}
        self._result_plans: dict[tuple[Columns, int | None], ResultPlan] = {}
        self._parameter_plans: dict[tuple[int, ...], ParameterPlan] = {}
        self._styled: dict[tuple[str, str], Registry] = {}
        if uuid_as_object is not None:
            uuid.register(self, uuid_as_object)
        if json_loads is not None or json_dumps is not None:
            json.register(self, json_loads, json_dumps)

    def add(self, codec: Codec) -> None:
        """Use a codec for its type from the next plan on."""
        self._codecs[codec.oid] = codec
        self._made.clear()
        self._result_plans.clear()
        self._parameter_plans.clear()

    def codec(self, oid: int) -> Codec | None:
        """Return the codec for a type, None for a type that we don't know."""
        codec = self._made.get(oid) or self._added(oid)
        if codec is not None:
            return codec
        element_oid = oids.ELEMENTS.get(oid)
        part_oid = range.PARTS.get(oid) if element_oid is None else element_oid
        if part_oid is not None:
            # Made here, not in the parent: the elements may be read in another way here.
            part = self.codec(part_oid) or self._unknown_codec(part_oid)
            make = range.make_codec if element_oid is None else array.make_codec
            codec = self._made[oid] = make(oid, part, self)
        return codec

    def _added(self, oid: int) -> Codec | None:
        codec = self._codecs.get(oid)
        return self.parent._added(oid) if codec is None and self.parent is not None else codec

    def _unknown_codec(self, oid: int) -> Codec:
        """Make the codec of a type without one: text to read, and to write what the server can parse."""
        name, _, delimiter = oids.TYPES.get(oid, (f"oid {oid}", 0, ","))
        return Codec(oid, name, dump=array.unknown_dumper(self), fast=pack_text, delimiter=delimiter)

    def type_name(self, oid: int) -> str:
        """Name a type for display: `int4`, `text[]`, `oid 12345`."""
        return (self.codec(oid) or self._unknown_codec(oid)).name

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
            plan = self._result_plans[key] = ResultPlan(
                tuple(column[0] for column in columns),
                tuple(column[1] for column in columns),
                tuple(self.type_name(column[1]) for column in columns),
                [self.codec(column[1]) for column in columns],
                table_format,
            )
        return plan

    def in_style(self, date_style: str, time_zone: str) -> Registry:
        """Return a child that reads dates in text as a session prints them that has these settings."""
        style = (date_style, time_zone)
        styled = self._styled.get(style)
        if styled is None:
            if len(self._styled) >= _MAX_STYLES:
                self._styled.clear()
            styled = self._styled[style] = Registry(self)
            _date_style.register(styled, date_style, time_zone)
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
            codecs = [self.codec(oid) or self._unknown_codec(oid) for oid in types]
            plan = self._parameter_plans[types] = ParameterPlan(types, codecs, self)
        return plan


default_registry = Registry()
for _family in _FAMILIES:
    _family.register(default_registry)
