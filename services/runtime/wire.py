"""Protobuf's wire format, where a message is put together from others that are serialised already:
what they say is not looked at again. Pure.

https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterable

_VARINT, _LENGTH = 0, 2
_LARGEST_OCTET = 0x7F


def varint(value: int) -> bytes:
    """A number from 0 to 2^63 - 1."""
    if value <= _LARGEST_OCTET:
        return bytes((value,))
    octets = bytearray()
    while value > _LARGEST_OCTET:
        octets.append(value & _LARGEST_OCTET | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def messages(field: int, serialised: Iterable[bytes]) -> bytes:
    """A repeated field of messages; of one, a single field."""
    tag = varint(field << 3 | _LENGTH)
    pieces: list[bytes] = []
    for one in serialised:
        pieces += (tag, varint(len(one)), one)
    return b"".join(pieces)


def number(field: int, value: int) -> bytes:
    """A field with a number from 0 to 2^63 - 1; 0 is left out, as proto3 does."""
    return varint(field << 3 | _VARINT) + varint(value) if value else b""
