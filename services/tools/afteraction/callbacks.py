"""What became of those who were to be called back. Pure.

Each decision states the callback whole, so the last one says it all.
"""

from collections.abc import Iterator
from typing import NamedTuple

from mawja.outreach.v1 import events_pb2
from mawja.outreach.v1.events_pb2 import Callback

from loadtests.ledger.columns import key_of

STATES = {
    events_pb2.CALLBACK_STATE_COMPLETED: "completed",
    events_pb2.CALLBACK_STATE_WITHDRAWN: "withdrawn",
    events_pb2.CALLBACK_STATE_GIVEN_UP: "given_up",
    events_pb2.CALLBACK_STATE_CLAIMED: "claimed",
    events_pb2.CALLBACK_STATE_LATER: "later",
    events_pb2.CALLBACK_STATE_DUE: "due",
}
"""In the order in which they are told."""
OPEN = frozenset({"due", "claimed", "later"})


class Owed(NamedTuple):
    """One callback. `place_ms`: when the person first reached out; `abandoned_ms`: when they last
    hung up; `decided_ms`: of the last decision: all Unix ms. `tries`: calls back that nobody
    answered; `moved`: a promised time could not be kept. `case`: 16 bytes."""

    state: str
    place_ms: int
    abandoned_ms: int
    decided_ms: int
    life_safety: bool
    promises: int
    moved: bool
    tries: int
    resolved: bool
    case: bytes


class Callbacks:
    """Those of rehearsals if `drill`, else real ones; without what agents practise on."""

    def __init__(self, drill: bool = False) -> None:
        self._drill = drill
        self._all: dict[bytes, Owed] = {}
        self._version: dict[bytes, int] = {}

    def take(self, callback: Callback) -> None:
        """A record of outreach.callback.v1."""
        exercise = callback.HasField("exercise")
        if callback.drill != self._drill or exercise or callback.state not in STATES:
            return
        key = key_of(callback.callback_id)
        if callback.version <= self._version.get(key, 0):
            return
        self._version[key] = callback.version
        self._all[key] = Owed(
            state=STATES[callback.state],
            place_ms=callback.place_ms,
            abandoned_ms=callback.abandoned_ms,
            decided_ms=callback.decided_ms,
            life_safety=callback.life_safety,
            promises=callback.promises,
            moved=callback.moved,
            tries=len(callback.tried_ms),
            resolved=callback.outcome == events_pb2.CALLBACK_OUTCOME_RESOLVED,
            case=key_of(callback.case_id),
        )

    def all(self, since_ms: int = 0, until_ms: int = 0) -> Iterator[Owed]:
        """Those whose person hung up in [since_ms, until_ms); `until_ms` 0 is no end."""
        for owed in self._all.values():
            if owed.abandoned_ms >= since_ms and not (until_ms and owed.abandoned_ms >= until_ms):
                yield owed
