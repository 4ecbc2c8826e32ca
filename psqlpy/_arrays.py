"""Wrappers for arrays, one per element type; psqlpy.extra_types is where they are public."""

from __future__ import annotations

from psqlpy._wrappers import Array, BigInt, Float32, Float64, Integer, MacAddr6, MacAddr8, Money, SmallInt


class BoolArray(Array):
    """boolean[]"""

    __slots__ = ()
    _psqlpy_type = "_bool"


class UUIDArray(Array):
    """uuid[]"""

    __slots__ = ()
    _psqlpy_type = "_uuid"


class VarCharArray(Array):
    """varchar[]"""

    __slots__ = ()
    _psqlpy_type = "_varchar"


class TextArray(Array):
    """text[]"""

    __slots__ = ()
    _psqlpy_type = "_text"


class Int16Array(Array):
    """smallint[]"""

    __slots__ = ()
    _psqlpy_type = "_int2"
    _element = SmallInt


class Int32Array(Array):
    """integer[]"""

    __slots__ = ()
    _psqlpy_type = "_int4"
    _element = Integer


class Int64Array(Array):
    """bigint[]"""

    __slots__ = ()
    _psqlpy_type = "_int8"
    _element = BigInt


class Float32Array(Array):
    """real[]"""

    __slots__ = ()
    _psqlpy_type = "_float4"
    _element = Float32


class Float64Array(Array):
    """double precision[]"""

    __slots__ = ()
    _psqlpy_type = "_float8"
    _element = Float64


class MoneyArray(Array):
    """money[]"""

    __slots__ = ()
    _psqlpy_type = "_money"
    _element = Money


class IpAddressArray(Array):
    """inet[]"""

    __slots__ = ()
    _psqlpy_type = "_inet"


class JSONBArray(Array):
    """jsonb[]"""

    __slots__ = ()
    _psqlpy_type = "_jsonb"


class JSONArray(Array):
    """json[]"""

    __slots__ = ()
    _psqlpy_type = "_json"


class DateArray(Array):
    """date[]"""

    __slots__ = ()
    _psqlpy_type = "_date"


class TimeArray(Array):
    """time[]"""

    __slots__ = ()
    _psqlpy_type = "_time"


class DateTimeArray(Array):
    """timestamp[]"""

    __slots__ = ()
    _psqlpy_type = "_timestamp"


class DateTimeTZArray(Array):
    """timestamptz[]"""

    __slots__ = ()
    _psqlpy_type = "_timestamptz"


class MacAddr6Array(Array):
    """macaddr[]"""

    __slots__ = ()
    _psqlpy_type = "_macaddr"
    _element = MacAddr6


class MacAddr8Array(Array):
    """macaddr8[]"""

    __slots__ = ()
    _psqlpy_type = "_macaddr8"
    _element = MacAddr8


class NumericArray(Array):
    """numeric[]"""

    __slots__ = ()
    _psqlpy_type = "_numeric"


class PointArray(Array):
    """point[]"""

    __slots__ = ()
    _psqlpy_type = "_point"


class BoxArray(Array):
    """box[]"""

    __slots__ = ()
    _psqlpy_type = "_box"


class PathArray(Array):
    """path[]"""

    __slots__ = ()
    _psqlpy_type = "_path"


class LineArray(Array):
    """line[]"""

    __slots__ = ()
    _psqlpy_type = "_line"


class LsegArray(Array):
    """lseg[]"""

    __slots__ = ()
    _psqlpy_type = "_lseg"


class CircleArray(Array):
    """circle[]"""

    __slots__ = ()
    _psqlpy_type = "_circle"


class IntervalArray(Array):
    """interval[]"""

    __slots__ = ()
    _psqlpy_type = "_interval"
