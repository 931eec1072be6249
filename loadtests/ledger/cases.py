"""The cases as dedup states them, beside what their contacts say of themselves."""

from array import array
from collections.abc import Collection

from loadtests.ledger.account import Problems
from loadtests.ledger.columns import Numbers, key_of

_NEVER = 2**63 - 1


class Cases:
    """Columns by case. Times are Unix ms."""

    def __init__(self) -> None:
        self._numbers = Numbers()
        self.decided = bytearray()
        """Whether a decision stated it; others may speak of a case that is not there."""
        self.drill = bytearray()
        self.opened = array("I")
        self.version = array("Q")
        self.contacts = array("I")
        """How many contacts it says are in it."""
        self.linked = array("I")
        """How many are."""
        self.opening_ms = array("q")
        self.first_ms = array("q")
        """The first arrival that it states."""
        self.lowest_ms = array("q")
        """The earliest that it, or a case that it was one with, ever stated: a callback may keep it
        when a person splits its contact off."""
        self._earliest_ms = array("q")

    def number(self, case_id: str) -> int:
        """The number of a case, whether it is there or not."""
        number, new = self._numbers.add(key_of(case_id))
        if new:
            self.decided.append(0)
            self.drill.append(0)
            self.opened.append(0)
            self.version.append(0)
            self.contacts.append(0)
            self.linked.append(0)
            self.opening_ms.append(0)
            self.first_ms.append(0)
            self.lowest_ms.append(_NEVER)
            self._earliest_ms.append(_NEVER)
        return number

    def arrived(self, case: int, event_ms: int) -> None:
        """A contact of the case came at `event_ms`, by its own account."""
        self._earliest_ms[case] = min(self._earliest_ms[case], event_ms)

    def anew(self, cases: Collection[int]) -> None:
        """The contacts of these cases are other ones: who has `arrived` is told again."""
        for case in cases:
            self._earliest_ms[case] = _NEVER

    def hold(self, problems: Problems) -> None:
        """What must hold of cases."""
        problems.note(
            sum(d and not o for d, o in zip(self.decided, self.opened, strict=True)),
            "cases have decisions and were never opened",
        )
        problems.note(
            sum(said != are for said, are in zip(self.contacts, self.linked, strict=True)),
            "cases count other contacts than are in them",
        )
        problems.note(
            sum(
                earliest not in (stated, _NEVER)
                for stated, earliest in zip(self.first_ms, self._earliest_ms, strict=True)
            ),
            "cases do not keep the first arrival of their contacts",
        )
