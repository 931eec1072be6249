"""What outreach keeps of those who are to be called back."""

from array import array
from collections import Counter

from mawja.outreach.v1 import events_pb2 as outreach_pb2

from loadtests.ledger.account import Account, Problems
from loadtests.ledger.cases import Cases
from loadtests.ledger.columns import Numbers, key_of

# How far the clocks of a telephone system and of a channel may lie apart.
_CLOCKS_MS = 1_000
_FINAL = frozenset(
    {
        outreach_pb2.CALLBACK_STATE_WITHDRAWN,
        outreach_pb2.CALLBACK_STATE_COMPLETED,
        outreach_pb2.CALLBACK_STATE_GIVEN_UP,
    }
)
STATES = {
    outreach_pb2.CALLBACK_STATE_DUE: "due",
    outreach_pb2.CALLBACK_STATE_CLAIMED: "claimed",
    outreach_pb2.CALLBACK_STATE_LATER: "waiting for later",
    outreach_pb2.CALLBACK_STATE_COMPLETED: "completed",
    outreach_pb2.CALLBACK_STATE_GIVEN_UP: "given up",
    outreach_pb2.CALLBACK_STATE_WITHDRAWN: "withdrawn",
}
"""Every callback is in exactly one of these."""


class CallbackBook:
    """Columns by callback, each as the last decision on it left it. Times are Unix ms."""

    def __init__(self, cases: Cases) -> None:
        self.state = array("i")
        self._numbers = Numbers()
        self._case = array("i")
        self._version = array("Q")
        self._place_ms = array("q")
        self._cases = cases
        self._broken: Counter[str] = Counter()

    def take(self, callback: outreach_pb2.Callback) -> None:
        """Outreach decided."""
        number, new = self._numbers.add(key_of(callback.callback_id))
        if new:
            self.state.append(0)
            self._case.append(0)
            self._version.append(0)
            self._place_ms.append(0)
        if callback.version != self._version[number] + 1:
            self._broken["decisions on a callback are missing, or stand twice"] += 1
        if self.state[number] in _FINAL:
            self._broken["decisions on a callback come after its end"] += 1
        self.state[number] = callback.state
        self._case[number] = self._cases.number(callback.case_id)
        self._version[number] = callback.version
        self._place_ms[number] = callback.place_ms

    def count(self, account: Account) -> None:
        """Fills the account in."""
        account.callbacks = len(self._numbers)

    def hold(self, problems: Problems) -> None:
        """What must hold of callbacks."""
        cases, moved, nowhere = self._cases, 0, 0
        for case, place_ms in zip(self._case, self._place_ms, strict=True):
            if not cases.decided[case]:
                nowhere += 1
            elif not cases.lowest_ms[case] - _CLOCKS_MS <= place_ms <= cases.opening_ms[case]:
                moved += 1
        problems.note(moved, "callbacks do not keep the caller's place")
        problems.note(nowhere, "callbacks are for cases that are not there")
        for sentence, count in self._broken.items():
            problems.note(count, sentence)
