"""Registry: which codec reads and writes which type, and the plans made from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psqlpy._codecs import boolean, float, integer, oids, text
from psqlpy._codecs.codec import Codec, pack_text
from psqlpy._codecs.plan import MAX_PARAMETERS, ParameterPlan, unwrap_known
from psqlpy._codecs.rows import ResultPlan
from psqlpy.exceptions import ParameterValueError

_FAMILIES = (boolean, float, integer, text)
_MAX_PLANS = 1000

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
        self._wrappers: dict[type, Callable[[Any, int], Any]] = {}
        self._result_plans: dict[tuple[Columns, int | None], ResultPlan] = {}
        self._parameter_plans: dict[tuple[int, ...], ParameterPlan] = {}

    def add(self, codec: Codec) -> None:
        """Use a codec for its type from the next plan on."""
        self._codecs[codec.oid] = codec
        self._result_plans.clear()
        self._parameter_plans.clear()

    def codec(self, oid: int) -> Codec | None:
        """Return the codec for a type, None for a type that we don't know."""
        codec = self._codecs.get(oid)
        if codec is None and self.parent is not None:
            return self.parent.codec(oid)
        return codec

    def type_name(self, oid: int) -> str:
        """Name a type for display: `int4`, `text[]`, `oid 12345`."""
        codec = self.codec(oid)
        return type_name(oid) if codec is None else codec.name

    def add_wrapper(self, cls: type, unwrap: Callable[[Any, int], Any]) -> None:
        """Take values of a class, and of its subclasses, as parameters.

        `unwrap(value, oid)` returns what to send for the server's type: another value, or Raw. TypeError refuses.
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
            codecs = [self.codec(oid) or unknown_codec(oid) for oid in types]
            plan = self._parameter_plans[types] = ParameterPlan(types, codecs, self)
        return plan


def type_name(oid: int) -> str:
    """Name a type for display: `int4`, `text[]`, `oid 12345`."""
    if oid in oids.TYPES:
        return oids.TYPES[oid][0]
    element_oid = oids.ELEMENTS.get(oid)
    return f"oid {oid}" if element_oid is None else f"{oids.TYPES[element_oid][0]}[]"


def unknown_codec(oid: int) -> Codec:
    """Make the codec of a type without one: text to read, and to write what the server can parse."""
    return Codec(oid, type_name(oid), dump=text.dump_unknown, fast=pack_text)


default_registry = Registry()
for _family in _FAMILIES:
    _family.register(default_registry)
