"""How many calls wait with us, and in which state our queues are: from the events of calls. Pure.

Two replicas that have read the same events say the same, since nothing but the events counts and
the time at which intake took them.
"""

from collections import Counter
from dataclasses import dataclass

from mawja.intake.v1.events_pb2 import CallEvent, CallState
from mawja.wave.v1.contracts_pb2 import QueueCondition

LOST_MS = 30 * 60_000
"""A call that was offered and of which nothing more is told for this long waits no longer: its
events were lost. Longer than anybody stays on the line."""
UNSERVED_MS = 5 * 60_000
"""With calls waiting and none answered for this long, nobody serves the queue."""
_IN_USE_MS = 60_000
_AGAIN = 0.9
"""A full queue takes calls again when it is down to this share of its length."""
_WAITS = (CallState.CALL_STATE_OFFERED, CallState.CALL_STATE_QUEUED)

Key = tuple[str, bool]
"""Agency ("" for the whole centre) and whether of rehearsals."""


@dataclass(slots=True)
class _Call:
    agency: str
    drill: bool
    since_ms: int
    waits: bool


class Waiting:
    """Calls that wait, by agency; rehearsals apart."""

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}
        self._lengths: Counter[Key] = Counter()
        self._served_ms: dict[Key, int] = {}
        self._begun_ms: dict[Key, int] = {}

    def take(self, event: CallEvent) -> None:
        """Takes up one event. A step that comes after the call's wait was over changes nothing."""
        call = self._calls.get(event.contact_id)
        waits = event.state in _WAITS
        if call is None:
            # Calls that are told of afterwards, from records, wait no longer.
            waits = waits and event.event_ms > event.accepted_ms - LOST_MS
            call = _Call(event.agency, event.drill, event.accepted_ms, waits)
            self._calls[event.contact_id] = call
            if waits:
                self._count(call, 1)
        elif call.waits and not waits:
            call.waits = False
            self._count(call, -1)
        if event.state == CallState.CALL_STATE_ANSWERED:
            for key in _keys(call):
                self._served_ms[key] = max(self._served_ms.get(key, 0), event.accepted_ms)

    def forget(self, now_ms: int) -> None:
        """Leaves out calls of which nothing was told for long. Calls stand in the order in which
        they came, so only those are looked at that go."""
        while self._calls:
            contact, call = next(iter(self._calls.items()))
            if call.since_ms > now_ms - LOST_MS:
                return
            del self._calls[contact]
            if call.waits:
                self._count(call, -1)

    def length(self, key: Key) -> int:
        """Calls that wait."""
        return self._lengths[key]

    def state(self, key: Key, most: int, was_full: bool, now_ms: int) -> "QueueCondition.ValueType":
        """The state of a queue in which `most` calls may wait; `was_full`: what it was before."""
        length, served = self._lengths[key], self._served_ms.get(key, 0)
        if length >= most or (was_full and length > _AGAIN * most):
            return QueueCondition.QUEUE_CONDITION_FULL
        if not length:
            idle = now_ms - served > _IN_USE_MS
            return (
                QueueCondition.QUEUE_CONDITION_STANDBY
                if idle
                else QueueCondition.QUEUE_CONDITION_ACTIVE
            )
        if now_ms - max(served, self._begun_ms.get(key, now_ms)) > UNSERVED_MS:
            return QueueCondition.QUEUE_CONDITION_INACTIVE
        return QueueCondition.QUEUE_CONDITION_ACTIVE

    def _count(self, call: _Call, by: int) -> None:
        for key in _keys(call):
            if by > 0 and not self._lengths[key]:
                self._begun_ms[key] = call.since_ms
            self._lengths[key] += by


def _keys(call: _Call) -> tuple[Key, ...]:
    return (("", call.drill), (call.agency, call.drill)) if call.agency else (("", call.drill),)
