"""Ends the callbacks of who was erased: nobody can be called. Pure.

It follows from the list of erased persons and from what stands in the log of callbacks, so a new
owner finds what the last one had not ended.
"""

from mawja.outreach.v1 import events_pb2 as outreach

from services.outreach.callbacks import Callbacks
from services.outreach.working import OPEN
from services.runtime.erased import ErasedPersons

_NEVER = -1


class Ending:
    """Of one partition. Callbacks are looked through only when there is something to be found."""

    def __init__(self, callbacks: Callbacks, erased: ErasedPersons) -> None:
        self._callbacks = callbacks
        self._erased = erased
        self._looked_at = _NEVER

    def take(self, callback: outreach.Callback) -> None:
        """A callback was decided on: maybe of a case from before an erasure that is known."""
        if callback.state in OPEN and self._erased.gone(callback.sealed_number):
            self._looked_at = _NEVER

    def ended(self, now_ms: int) -> list[outreach.Callback]:
        """The callbacks that end now, as they are afterwards."""
        if self._looked_at == self._erased.changes:
            return []
        self._looked_at = self._erased.changes
        gone = [
            held.callback_id
            for held in self._callbacks.all()
            if held.state in OPEN and self._erased.gone(held.sealed_number)
        ]
        return [self._callbacks.withdrawn(callback_id, now_ms) for callback_id in gone]
