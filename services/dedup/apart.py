"""Which cases a person has parted: nothing but a person ever merges them again. Pure.

Folded from the log: a split parts the two, and what one of them was apart from before, both are
apart from afterwards, because nobody can say which of the contacts it was about. A person's merge
lifts it; what goes into another case brings along what it is apart from. Contacts may still join
either of the two: what was parted are the cases, not the person's words.
"""

from collections.abc import Iterator

from services.dedup.known import key_of


class Apart:
    """Pairs of cases of which a person said that they are two needs."""

    def __init__(self) -> None:
        self._from: dict[bytes, set[bytes]] = {}

    def apart(self, case_id: str, other_id: str) -> bool:
        """Whether a person parted these two. UUIDs in text form."""
        return key_of(other_id) in self._from.get(key_of(case_id), ())

    def split(self, case_id: str, other_id: str) -> None:
        """A person parted `other_id` from `case_id`."""
        case, other = key_of(case_id), key_of(other_id)
        for third in (*self._from.get(case, ()),):
            self._part(other, third)
        self._part(case, other)

    def parted(self, case_id: str, other_id: str) -> None:
        """A person parted two cases of two people, each of which kept its contacts."""
        self._part(key_of(case_id), key_of(other_id))

    def merged(self, source_id: str, into_id: str) -> None:
        """A person merged a case into another."""
        self.linked(source_id, into_id)
        for third in (*self._from.get(key_of(source_id), ()),):
            self._part(key_of(into_id), third)

    def linked(self, source_id: str, into_id: str) -> None:
        """A person merged two cases of two people, each of which keeps its contacts."""
        source, into = key_of(source_id), key_of(into_id)
        for case, other in ((source, into), (into, source)):
            others = self._from.get(case)
            if others is not None:
                others.discard(other)
                if not others:
                    del self._from[case]

    def pairs(self) -> Iterator[tuple[bytes, bytes]]:
        """Every pair once, as UUID bytes in order."""
        for case, others in sorted(self._from.items()):
            yield from ((case, other) for other in sorted(others) if case < other)

    def _part(self, case: bytes, other: bytes) -> None:
        if case != other:
            self._from.setdefault(case, set()).add(other)
            self._from.setdefault(other, set()).add(case)
