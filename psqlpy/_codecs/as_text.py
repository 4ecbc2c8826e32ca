"""What a dumped value is in text: for containers whose parts were dumped in both formats, as only one may travel.

From the binary form, not from the Python value: what a naive datetime means, say, was settled when that was made.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from struct import Struct, unpack

from psqlpy._codecs import oids
from psqlpy._codecs.codec import BINARY, Codec, Dumped
from psqlpy._codecs.literal import float_literal

_EPOCH = datetime(2000, 1, 1)
_EPOCH_DAY = _EPOCH.toordinal()
_EPOCH_JULIAN = 2451545  # what PostgreSQL takes as the date J2451545
_LAST_DAY = date.max.toordinal() - _EPOCH_DAY
_DAY = 86_400_000_000

_float4 = Struct(">f").unpack
_float8 = Struct(">d").unpack
_interval = Struct(">qii").unpack


def text_of(codec: Codec, dumped: Dumped) -> str:
    """A dumped value in text. Raises ValueError where only the server knows how to read the bytes."""
    format, data = dumped
    assert data is not None
    if format != BINARY or codec.textual:
        return data.decode()
    if data in codec.texts:
        return codec.texts[data].decode()
    to_text = renderer(codec)
    if to_text is None:
        raise ValueError(
            f"of several values some are str or go as text, and one of type {codec.name} goes in binary: give all of "
            "them as str, or none"
        )
    return to_text(data)


def renderer(codec: Codec) -> Callable[[bytes], str] | None:
    """What makes text of the binary form, None where nothing does."""
    return codec.to_text or _RENDERERS.get(codec.oid)


def _int(data: bytes) -> str:
    return str(int.from_bytes(data, "big", signed=True))


def _unsigned(data: bytes) -> str:
    return str(int.from_bytes(data, "big"))


def _float(data: bytes) -> str:
    [number] = _float4(data) if len(data) == 4 else _float8(data)
    return float_literal(number)


def _day(days: int) -> str:
    """ISO as far as Python's dates reach, the Julian day beyond."""
    if -_EPOCH_DAY < days <= _LAST_DAY:
        return date.fromordinal(_EPOCH_DAY + days).isoformat()
    return f"J{_EPOCH_JULIAN + days}"


def _date(data: bytes) -> str:
    days = int.from_bytes(data, "big", signed=True)
    return {2**31 - 1: "infinity", -(2**31): "-infinity"}.get(days) or _day(days)


def _time_of_day(microseconds: int) -> str:
    seconds, fraction = divmod(microseconds, 1_000_000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:06}"


def _time(data: bytes) -> str:
    return _time_of_day(int.from_bytes(data, "big"))


def _timestamp(data: bytes) -> str:
    moment = int.from_bytes(data, "big", signed=True)
    if moment in (2**63 - 1, -(2**63)):
        return "infinity" if moment > 0 else "-infinity"
    days, microseconds = divmod(moment, _DAY)
    return f"{_day(days)} {_time_of_day(microseconds)}"


def _timestamptz(data: bytes) -> str:
    text = _timestamp(data)
    return text if text.endswith("infinity") else f"{text}+00"


def _timetz(data: bytes) -> str:
    west = int.from_bytes(data[8:], "big", signed=True)
    sign = "-" if west > 0 else "+"
    return f"{_time(data[:8])}{sign}{timedelta(seconds=abs(west))}"


def _interval_text(data: bytes) -> str:
    # Each with its sign: where IntervalStyle is sql_standard, one in front would be everything's.
    microseconds, days, months = _interval(data)
    return f"{months:+} mons {days:+} days {microseconds:+} microseconds"


def _points(data: bytes) -> str:
    """Any number of points."""
    numbers = [float_literal(number) for number in unpack(f">{len(data) // 8}d", data)]
    return ",".join(f"({x},{y})" for x, y in zip(numbers[::2], numbers[1::2], strict=True))


def _path(data: bytes) -> str:
    return f"({_points(data[5:])})" if data[0] else f"[{_points(data[5:])}]"


def _line(data: bytes) -> str:
    return f"{{{','.join(map(float_literal, unpack('>3d', data)))}}}"


def _circle(data: bytes) -> str:
    [radius] = _float8(data[16:])
    return f"<{_points(data[:16])},{float_literal(radius)}>"


def _inet(data: bytes) -> str:
    """Family, bits of the mask, whether it is cidr, length, address (src/backend/utils/adt/network.c, network_send)."""
    from ipaddress import ip_address

    return f"{ip_address(data[4:])}/{data[1]}"


_RENDERERS: dict[int, Callable[[bytes], str]] = {
    oids.BOOL: lambda data: "t" if data == b"\1" else "f",
    oids.BYTEA: lambda data: f"\\x{data.hex()}",
    oids.INT2: _int,
    oids.INT4: _int,
    oids.INT8: _int,
    oids.OID: _unsigned,
    oids.XID: _unsigned,
    oids.CID: _unsigned,
    oids.XID8: _unsigned,
    oids.FLOAT4: _float,
    oids.FLOAT8: _float,
    oids.CHAR: lambda data: data.decode("latin-1") if data < b"\x80" else f"\\{data[0]:03o}",
    oids.DATE: _date,
    oids.TIME: _time,
    oids.TIMETZ: _timetz,
    oids.TIMESTAMP: _timestamp,
    oids.TIMESTAMPTZ: _timestamptz,
    oids.INTERVAL: _interval_text,
    oids.POINT: _points,
    oids.LSEG: lambda data: f"[{_points(data)}]",
    oids.BOX: _points,
    oids.PATH: _path,
    oids.POLYGON: lambda data: f"({_points(data[4:])})",
    oids.LINE: _line,
    oids.CIRCLE: _circle,
    oids.INET: _inet,
    oids.CIDR: _inet,
    oids.UUID: lambda data: data.hex(),
}
