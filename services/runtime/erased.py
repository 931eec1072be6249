"""Who was erased, and until when: what every reader of sealed values obeys. Pure.

A value that is about a person says whose it is and when it was sealed (`sealed`). It is gone when
it was sealed before the person's last erasure, or in that very millisecond; what is sealed later is
a new beginning.
"""

from dataclasses import dataclass

from mawja.dedup.v1 import erasures_pb2

from services.runtime import sealed


@dataclass(frozen=True, slots=True)
class Erasure:
    """The last erasure of a person. `at_ms`: Unix ms."""

    erasure_id: str
    at_ms: int


class ErasedPersons:
    """The list. Records may come again and in any order: the latest erasure of a person holds."""

    def __init__(self) -> None:
        self._last: dict[bytes, Erasure] = {}
        self.changes = 0
        """Goes up with each erasure that was not known: who keeps things looks through them."""

    def __contains__(self, person: bytes) -> bool:
        return person in self._last

    def take(self, record: erasures_pb2.PersonErased) -> None:
        """Takes up a record of the list."""
        known = self._last.get(record.person)
        if known is None or record.erased_ms > known.at_ms:
            self._last[record.person] = Erasure(record.erasure_id, record.erased_ms)
            self.changes += 1

    def last(self, person: bytes) -> Erasure | None:
        """The last erasure of a person; None when there was none."""
        return self._last.get(person)

    def gone(self, value: bytes) -> bool:
        """Whether the person that a sealed value is about was erased after it was sealed."""
        if not self._last:
            return False
        found = sealed.about(sealed.header_of(value))
        if found is None:
            return False
        person, sealed_ms = found
        last = self._last.get(person)
        return last is not None and sealed_ms <= last.at_ms
