"""What a partition's owner shows of its callbacks: the view as the log has it, and how many are
due."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mawja.outreach.v1 import events_pb2 as outreach

from services.outreach import views, working
from services.runtime import metrics
from services.runtime.store import Item

_DUE = outreach.CALLBACK_STATE_DUE
_STEPS = {
    working.DUE: "callback-changed",
    working.WITHDRAWN: "callback-withdrawn",
    working.CLAIMED: "callback-claimed",
    working.LATER: "callback-later",
    working.COMPLETED: "callback-completed",
    working.GIVEN_UP: "callback-not-reached",
}


@dataclass(frozen=True, slots=True)
class _Logged:
    """A callback as the log has it, and where."""

    offset: int
    callback: outreach.Callback


class Showing:
    """The callbacks of one partition, as Kafka has them: behind those that are decided on while a
    batch is being appended."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._logged: dict[str, _Logged] = {}
        self._due: dict[working.Work, set[str]] = {work: set() for work in working.NAMES}

    def fold(self, callback: outreach.Callback, offset: int) -> None:
        """Takes up a record of the log."""
        self._logged[callback.callback_id] = _Logged(offset, callback)

    def start(self, unshown: Callable[[outreach.Callback], bool]) -> list[Item]:
        """Folding is over; what the last owner may not have shown."""
        for callback_id, logged in self._logged.items():
            if logged.callback.state == _DUE:
                self._due[working.work_of(logged.callback)].add(callback_id)
        self._count()
        return [
            views.item(logged.callback, logged.offset)
            for logged in self._logged.values()
            if unshown(logged.callback)
        ]

    def stop(self) -> None:
        """Somebody else counts them now."""
        metrics.CALLBACKS_DUE.remove(self._partition)
        metrics.DRILL_CALLBACKS_DUE.remove(self._partition)

    def items(self, decided: Sequence[outreach.Callback], first: int) -> list[Item]:
        """What the view gets of records that stand in the log from offset `first` on."""
        # A past owner's void record may stand between ours: then the offset is too low by it, and
        # still above that of everything logged before.
        items = [self._show(callback, first + i) for i, callback in enumerate(decided)]
        if items:
            self._count()
        return items

    def everything(self) -> Iterable[Item]:
        """The view, whole."""
        # A copy: a rebuild waits for Redis between entries, and work may go on meanwhile.
        for logged in list(self._logged.values()):
            yield views.item(logged.callback, logged.offset)

    def _show(self, callback: outreach.Callback, offset: int) -> Item:
        before = self._logged.get(callback.callback_id)
        self._logged[callback.callback_id] = _Logged(offset, callback)
        due = self._due[working.work_of(callback)]
        if callback.state == _DUE:
            due.add(callback.callback_id)
        else:
            due.discard(callback.callback_id)
        step = "callback-due" if before is None else _STEPS[callback.state]
        metrics.OUTREACH.labels(step).inc()
        return views.item(callback, offset, before.callback if before else None)

    def _count(self) -> None:
        # Apart: whoever is to staff the real ones must not see others.
        metrics.CALLBACKS_DUE.labels(self._partition).set(len(self._due[working.REAL]))
        metrics.DRILL_CALLBACKS_DUE.labels(self._partition).set(
            len(self._due[working.DRILL]) + len(self._due[working.PRACTICE])
        )
