"""What a partition remembers of every contact, in about 200 bytes: a column for each thing.

Contacts of one case hang together in a chain, the last decided first. A person's merge or split
hangs contacts into another case; where they were before stays known.
"""

from array import array
from collections.abc import Iterator, Sequence
from itertools import islice

OFFERED = 1
QUEUED = 2
ANSWERED = 4
ABANDONED = 8
ENDED = 16
RESOLVED = 32
RECONNECT = 64
VOICE = 128

NONE = -1
_CHAIN = 64
"""Contacts of a case that are looked back on for reconnects: whoever dials more often in minutes is
a machine, and must not make every call slower than the one before."""


class Contacts:
    """Columns by contact number. Times are Unix ms, 0 where there is none."""

    def __init__(self) -> None:
        self.number_of: dict[bytes, int] = {}
        self.id: list[bytes] = []
        self.case = array("i")
        self.event_ms = array("q")
        self.ended_ms = array("q")
        self.outcome_ms = array("q")
        """When its call was answered or abandoned."""
        self.row = array("i")
        self.steps = array("B")
        self.level = array("B")
        self.percent = array("B")
        self.reason = array("i")
        self.reasons: list[str] = []
        self.been: dict[int, list[int]] = {}
        """The cases that a contact hung in before, the first one first."""
        self._before = array("i")
        self._head = array("i")
        self._reason_index: dict[str, int] = {}

    def add(
        self,
        contact: bytes,
        case: int,
        event_ms: int,
        row: int,
        voice: bool,
        level: int,
        score: float,
        reason: str,
    ) -> int:
        """Remembers a contact of `case`, which is known or the next one. Returns its number."""
        number = len(self.id)
        self.number_of[contact] = number
        self.id.append(contact)
        self.case.append(case)
        self.event_ms.append(event_ms)
        self.ended_ms.append(0)
        self.outcome_ms.append(0)
        self.row.append(row)
        self.steps.append(VOICE if voice else 0)
        self.level.append(level)
        self.percent.append(round(score * 100))
        index = self._reason_index.get(reason)
        if index is None:
            index = self._reason_index[reason] = len(self.reasons)
            self.reasons.append(reason)
        self.reason.append(index)
        self.room_for(case)
        self._before.append(self._head[case])
        self._head[case] = number
        return number

    def room_for(self, case: int) -> None:
        """A case, which is known or the next one, may have contacts from now on."""
        if case == len(self._head):
            self._head.append(NONE)

    def move(self, moving: Sequence[int], to: int) -> None:
        """These contacts hang in the case `to` from now on, which is known or the next one."""
        self.room_for(to)
        left = {self.case[contact] for contact in moving} - {to}
        for contact in moving:
            self.been.setdefault(contact, []).append(self.case[contact])
            self.case[contact] = to
        gone = set(moving)
        for case in left:
            self._hang(case, [contact for contact in self.of_case(case) if contact not in gone])
        self._hang(to, sorted(gone.union(self.of_case(to)), reverse=True))

    def _hang(self, case: int, contacts: Sequence[int]) -> None:
        """The chain of a case is this one, the last decided first."""
        self._head[case] = contacts[0] if contacts else NONE
        for contact, before in zip(contacts, [*contacts[1:], NONE], strict=False):
            self._before[contact] = before

    def of_case(self, case: int) -> Iterator[int]:
        """The contacts of a case, the last decided first."""
        number = self._head[case]
        while number != NONE:
            yield number
            number = self._before[number]

    def recent(self, case: int) -> Iterator[int]:
        """The contacts of a case that were decided last, at most 64."""
        return islice(self.of_case(case), _CHAIN)
