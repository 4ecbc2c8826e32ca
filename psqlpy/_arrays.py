"""Wrappers for arrays, one per element type; psqlpy.extra_types is where they are public."""

from __future__ import annotations

from psqlpy._wrappers import Array, BigInt, Float32, Float64, Integer, MacAddr6, MacAddr8, Money, SmallInt


class BoolArray(Array):
    """A sequence for boolean[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_bool"


class UUIDArray(Array):
    """A sequence for uuid[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_uuid"


class VarCharArray(Array):
    """A sequence for varchar[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_varchar"


class TextArray(Array):
    """A sequence for text[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_text"


class Int16Array(Array):
    """A sequence for smallint[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_int2"
    _element = SmallInt


class Int32Array(Array):
    """A sequence for integer[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_int4"
    _element = Integer


class Int64Array(Array):
    """A sequence for bigint[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_int8"
    _element = BigInt


class Float32Array(Array):
    """A sequence for real[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_float4"
    _element = Float32


class Float64Array(Array):
    """A sequence for double precision[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_float8"
    _element = Float64


class MoneyArray(Array):
    """A sequence for money[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_money"
    _element = Money


class IpAddressArray(Array):
    """A sequence for inet[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_inet"


class JSONBArray(Array):
    """A sequence for jsonb[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_jsonb"


class JSONArray(Array):
    """A sequence for json[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_json"


class DateArray(Array):
    """A sequence for date[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_date"


class TimeArray(Array):
    """A sequence for time[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_time"


class DateTimeArray(Array):
    """A sequence for timestamp[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_timestamp"


class DateTimeTZArray(Array):
    """A sequence for timestamptz[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_timestamptz"


class MacAddr6Array(Array):
    """A sequence for macaddr[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_macaddr"
    _element = MacAddr6


class MacAddr8Array(Array):
    """A sequence for macaddr8[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_macaddr8"
    _element = MacAddr8


class NumericArray(Array):
    """A sequence for numeric[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_numeric"


class PointArray(Array):
    """A sequence for point[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_point"


class BoxArray(Array):
    """A sequence for box[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_box"


class PathArray(Array):
    """A sequence for path[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_path"


class LineArray(Array):
    """A sequence for line[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_line"


class LsegArray(Array):
    """A sequence for lseg[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_lseg"


class CircleArray(Array):
    """A sequence for circle[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_circle"


class IntervalArray(Array):
    """A sequence for interval[]; nested for more dimensions, None for NULL."""

    __slots__ = ()
    _psqlpy_type = "_interval"
