"""inet and cidr as the objects of ipaddress, macaddr and macaddr8 as str.

inet is an address where the mask covers all of it, an interface (address and mask) otherwise; cidr is a network.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.codec import BINARY, Codec, Dumped
from psqlpy._pq.result import Kind

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

# src/backend/utils/adt/network.c, network_send: family, bits of the mask, whether it is cidr, bytes of the address.
_HEAD_SIZE = 4
_FAMILIES = {2: 4, 3: 16}  # family: bytes
_MALFORMED = "the value isn't in the type's binary format"


@cache
def _ipaddress() -> Any:
    """The module, which programs without addresses don't load."""
    import ipaddress

    return ipaddress


def _parts(data: bytes) -> tuple[bytes, int]:
    """The address and the bits of its mask."""
    address = data[_HEAD_SIZE:]
    if len(data) < _HEAD_SIZE or _FAMILIES.get(data[0]) != len(address) or data[1] > 8 * len(address):
        raise ValueError(_MALFORMED)
    return address, data[1]


def _inet(data: bytes) -> Any:
    address, bits = _parts(data)
    module = _ipaddress()
    if len(address) == 4:
        return module.IPv4Address(address) if bits == 32 else module.IPv4Interface((address, bits))
    return module.IPv6Address(address) if bits == 128 else module.IPv6Interface((address, bits))


def _inet_from_text(text: str) -> Any:
    return _ipaddress().ip_interface(text) if "/" in text else _ipaddress().ip_address(text)


def _cidr(data: bytes) -> Any:
    module = _ipaddress()
    return (module.IPv4Network if len(data) == _HEAD_SIZE + 4 else module.IPv6Network)(_parts(data))


def _cidr_from_text(text: str) -> Any:
    return _ipaddress().ip_network(text)


def _given(value: Any) -> tuple[Any, int]:
    """The address and the bits of the mask of any object of ipaddress."""
    module = _ipaddress()
    if isinstance(value, (module.IPv4Network, module.IPv6Network)):
        return value.network_address, value.prefixlen
    if isinstance(value, (module.IPv4Interface, module.IPv6Interface)):
        return value, value.network.prefixlen  # .ip would lose the scope
    if isinstance(value, (module.IPv4Address, module.IPv6Address)):
        return value, value.max_prefixlen
    raise TypeError


def _packed(address: Any, bits: int, is_cidr: bool) -> bytes:
    if getattr(address, "scope_id", None) is not None:
        raise ValueError("PostgreSQL's addresses have no scope, and this one's would be lost")
    data: bytes = address.packed
    return bytes((2 if len(data) == 4 else 3, bits, is_cidr, len(data))) + data


def _dump_inet(value: Any) -> Dumped:
    return BINARY, _packed(*_given(value), False)


def _dump_cidr(value: Any) -> Dumped:
    address, bits = _given(value)
    if int(address) & ((1 << (address.max_prefixlen - bits)) - 1):
        raise ValueError("it has bits to the right of its mask: give its .network, or use inet")
    return BINARY, _packed(address, bits, True)


def _mac_reader(size: int) -> Callable[[bytes], str]:
    def convert(data: bytes) -> str:
        if len(data) != size:
            raise ValueError(_MALFORMED)
        return data.hex(":").upper()

    return convert


def _dump_mac(value: Any) -> Dumped:
    raise TypeError  # a str goes as it is, and MacAddr6 and MacAddr8 are reduced to one


def register(registry: Registry) -> None:
    for oid, convert, from_text, dump in (
        (oids.INET, _inet, _inet_from_text, _dump_inet),
        (oids.CIDR, _cidr, _cidr_from_text, _dump_cidr),
        (oids.MACADDR, _mac_reader(6), str.upper, _dump_mac),
        (oids.MACADDR8, _mac_reader(8), str.upper, _dump_mac),
    ):
        name = oids.TYPES[oid][0]
        registry.add(Codec(oid, name, kind=Kind.BYTES, convert=convert, from_text=from_text, dump=dump))
