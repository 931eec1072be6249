"""What a sealed value shows of itself without a key. Pure.

Version 1: 1 byte version, 2 bytes month (years since 2000 times 12 plus month, big-endian), then
nonce, ciphertext and tag. Version 2 is about a person: behind the month stand when it was sealed
(8 bytes, Unix ms, big-endian) and the person's keyed hash (16 bytes).
"""

ANYBODY = 1
OF_PERSON = 2
PERSON_BYTES = 16
_SHORT = 3
_LONG = _SHORT + 8 + PERSON_BYTES


def header(month: int, at_ms: int, person: bytes) -> bytes:
    """What stands before the nonce of a value. `person`: a keyed hash, or empty."""
    if not person:
        return bytes((ANYBODY,)) + month.to_bytes(2, "big")
    assert len(person) == PERSON_BYTES, "a person is a keyed hash"
    return bytes((OF_PERSON,)) + month.to_bytes(2, "big") + at_ms.to_bytes(8, "big") + person


def header_of(sealed: bytes) -> bytes:
    """The header of a value; empty when it is of no version that is known, or cut off."""
    length = {ANYBODY: _SHORT, OF_PERSON: _LONG}.get(sealed[0], 0) if sealed else 0
    return sealed[:length] if len(sealed) > length else b""


def month_of(head: bytes) -> int:
    """The month in a header, as it is counted there."""
    return int.from_bytes(head[1:_SHORT], "big")


def about(head: bytes) -> tuple[bytes, int] | None:
    """Whom a header says that its value is about, and when it was sealed (Unix ms); None when that
    is nobody who is known."""
    if len(head) != _LONG:
        return None
    return head[_SHORT + 8 :], int.from_bytes(head[_SHORT : _SHORT + 8], "big")
