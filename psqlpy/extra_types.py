"""Wrappers that say which type of PostgreSQL a parameter is meant for.

They are rarely needed: the server says which types it expects, and plain values are converted to them. `Py…`
are the names until 0.8.
"""

from __future__ import annotations

from psqlpy._arrays import (
    BoolArray,
    BoxArray,
    CircleArray,
    DateArray,
    DateTimeArray,
    DateTimeTZArray,
    Float32Array,
    Float64Array,
    Int16Array,
    Int32Array,
    Int64Array,
    IntervalArray,
    IpAddressArray,
    JSONArray,
    JSONBArray,
    LineArray,
    LsegArray,
    MacAddr6Array,
    MacAddr8Array,
    MoneyArray,
    NumericArray,
    PathArray,
    PointArray,
    TextArray,
    TimeArray,
    UUIDArray,
    VarCharArray,
)
from psqlpy._compat import (
    PyBox,
    PyCircle,
    PyCustomType,
    PyJSON,
    PyJSONB,
    PyLine,
    PyLineSegment,
    PyMacAddr6,
    PyMacAddr8,
    PyPath,
    PyPoint,
    PyText,
    PyVarChar,
)
from psqlpy._geometry import Box, Circle, ClosedPath, Line, LineSegment, Path, Point, Polygon
from psqlpy._ranges import Multirange, Range
from psqlpy._vectors import SparseVector
from psqlpy._wrappers import (
    JSON,
    JSONB,
    BigInt,
    CustomType,
    Float32,
    Float64,
    Integer,
    MacAddr6,
    MacAddr8,
    Money,
    PgVector,
    SmallInt,
    Text,
    VarChar,
)

# fmt: off
__all__ = [
    "JSON", "JSONB", "BigInt", "BoolArray", "Box", "BoxArray", "Circle", "CircleArray", "ClosedPath", "CustomType",
    "DateArray", "DateTimeArray", "DateTimeTZArray", "Float32", "Float32Array", "Float64", "Float64Array",
    "Int16Array", "Int32Array", "Int64Array", "Integer", "IntervalArray", "IpAddressArray", "JSONArray",
    "JSONBArray", "Line", "LineArray", "LineSegment", "LsegArray", "MacAddr6", "MacAddr6Array", "MacAddr8",
    "MacAddr8Array", "Money", "MoneyArray", "Multirange", "NumericArray", "Path", "PathArray", "PgVector", "Point",
    "PointArray", "Polygon", "PyBox", "PyCircle", "PyCustomType", "PyJSON", "PyJSONB", "PyLine", "PyLineSegment",
    "PyMacAddr6", "PyMacAddr8", "PyPath", "PyPoint", "PyText", "PyVarChar", "Range", "SmallInt", "SparseVector",
    "Text", "TextArray", "TimeArray", "UUIDArray", "VarChar", "VarCharArray",
]
# fmt: on
