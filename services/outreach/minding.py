"""Keeps the watches of a partition for its worker: their log, when time changes them, their view.

Of the view only hand-overs that wait are listed; who confirmed one stands on with it, so that a new
owner can take it off the list.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.outreach.v1 import commands_pb2
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.outreach.v1 import playbooks_pb2 as shown_pb2

from services.outreach.decide import Draft, Messages
from services.outreach.easing import ALWAYS, Easing
from services.outreach.putting_off import of_asks, waits
from services.outreach.rules import Rule
from services.outreach.watching import OPEN, Watches
from services.runtime import ids, metrics
from services.runtime.own import Record
from services.runtime.store import IndexOp, Item

ROOM = "outreach"
_LOOK_MS = 60_000
_DRILLS_LAST_MS = 10**14
"""Later than any time: a page of an exercise must not hide somebody who is in danger."""
_AT_ONCE = 500
"""So many of those that wait for room are looked at together."""


def key(case_id: str) -> str:
    """Where the hand-over of a case stands."""
    return f"{ROOM}:hand-over:{case_id}"


def index(agency: str) -> str:
    """The sorted set of the cases of an agency, or of all when it is empty, that were handed over
    and that nobody has confirmed; by when, Unix ms, and drills after all that are real."""
    return f"{ROOM}:hand-overs:{agency}"


class Minding:
    """The watches of one partition. `messages`: what was requested there; `easing`: what may go
    while agents have little room."""

    def __init__(
        self, partition: int, rules: Sequence[Rule], messages: Messages, easing: Easing = ALWAYS
    ) -> None:
        self._partition = partition
        self._messages = messages
        self._easing = easing
        self.watches = Watches(rules)
        self._offsets: dict[str, int] = {}
        self._agencies: dict[str, str] = {}
        self._open: dict[str, bool] = {}
        self._waking: list[tuple[int, str]] = []
        # Cases of which something waits for room, who waits longest first; by whether of drills.
        self._put_off: dict[bool, dict[str, None]] = {False: {}, True: {}}

    def fold(self, record: Record, watch: outreach.Watch) -> None:
        """Takes up a record of the log."""
        self.watches.take(watch)
        self._logged(watch, record.offset)

    def start(self) -> None:
        """Folding is over."""
        for watch in sorted(self.watches.all(), key=_put_off_ms):
            self._wake(watch)
        self._count()

    def stop(self) -> None:
        """Somebody else counts them now."""
        for drill in ("true", "false"):
            metrics.HAND_OVERS.remove(self._partition, drill)
            metrics.PUT_OFF.remove(self._partition, drill)

    def take(self, watch: outreach.Watch) -> None:
        """A watch was decided on."""
        self.watches.take(watch)
        self._wake(watch)

    def passed(self, now_ms: int) -> Iterator[outreach.Watch]:
        """The watches that time changes now; each must be taken before the next is asked for."""
        while self._waking and self._waking[0][0] <= now_ms:
            _, case_id = heapq.heappop(self._waking)
            watch = self.watches.passed(case_id, self._messages.withheld, now_ms, self._behind)
            if watch is not None:
                yield watch
                continue
            held = self.watches.get(case_id)
            if held is not None and 0 < self.watches.wakes_ms(held) <= now_ms:
                # Its playbook is off: it may be on again when it is looked at next.
                heapq.heappush(self._waking, (now_ms + _LOOK_MS, case_id))
        for queue in self._put_off.values():
            yield from self._let_go(queue, now_ms)

    def _let_go(self, queue: dict[str, None], now_ms: int) -> Iterator[outreach.Watch]:
        """Those that wait for room, as long as there is some."""
        full = False

        def why_not(share: float, drill: bool, at_ms: int) -> str:
            nonlocal full
            why = self._easing.why_not(share, drill, at_ms)
            full = full or bool(why)
            return why

        for case_id in list(queue)[:_AT_ONCE]:
            watch = self.watches.passed(case_id, self._messages.withheld, now_ms, why_not)
            if watch is not None:
                yield watch
            if full:
                return
            if watch is None:
                # Something else keeps it, as the hours of its playbook do.
                queue.pop(case_id, None)
                queue[case_id] = None

    def _behind(self, share: float, drill: bool, now_ms: int) -> str:
        """Why one that is due now waits: also for those that wait already."""
        if self._put_off[drill] and (why := self._easing.why(drill)):
            return why
        return self._easing.why_not(share, drill, now_ms)

    def asked(
        self, decision: dedup.CaseDecision, input: common_pb2.Input, now_ms: int
    ) -> list[tuple[Rule, str]]:
        """What a met need asks for and must wait for room, with why. What goes takes its room."""
        found = []
        case = decision.case
        for rule in self.watches.asks(decision, input):
            if rule.name in of_asks(self.watches.get(case.case_id)):
                continue
            if self._messages.said(ids.message_id(case.case_id, rule.name)):
                continue
            if self._messages.withheld(rule, case.person, decision.decided_ms):
                continue
            if why := self._behind(rule.brings(False), case.drill, now_ms):
                found.append((rule, why))
        return found

    def owed(self, watch: outreach.Watch, now_ms: int) -> Iterator[Draft]:
        """The messages that a watch asks for and that were not requested."""
        for draft in self.watches.owed(watch, now_ms):
            if not self._messages.said(draft.request.message_id):
                yield draft

    def obey(
        self, command: commands_pb2.OutreachCommand, reply: commands_pb2.CallbackReply
    ) -> None:
        """Puts into the reply how what was handed over stands."""
        watch = self.watches.get(command.case_id)
        if watch is not None:
            reply.hand_over.CopyFrom(self.shown(watch))

    def items(self, decided: Sequence[outreach.Watch], first: int) -> list[Item]:
        """What the view gets of records that stand in the log from offset `first` on."""
        items = []
        for i, watch in enumerate(decided):
            before = self._agencies.get(watch.case_id)
            had = watch.hand_over.state or before is not None
            self._logged(watch, first + i)
            if had:
                items.append(self._item(watch, first + i, before))
            if watch.hand_over.state == OPEN:
                metrics.OUTREACH.labels("hand-over").inc()
        self._count()
        return items

    def everything(self) -> Iterable[Item]:
        """The view, whole."""
        for watch in list(self.watches.all()):
            if watch.hand_over.state:
                yield self._item(watch, self._offsets[watch.case_id], None)

    def shown(self, watch: outreach.Watch) -> shown_pb2.WatchedHandOver:
        """What is told of a hand-over."""
        return shown_pb2.WatchedHandOver(
            case_id=watch.case_id,
            case_number=watch.case_number,
            agency=watch.agency,
            language=watch.language,
            line=watch.line,
            drill=watch.drill,
            hand_over=watch.hand_over,
            partition=self._partition,
        )

    def _item(self, watch: outreach.Watch, offset: int, before: str | None) -> Item:
        member = watch.case_id.encode()
        rank = float(watch.hand_over.since_ms + _DRILLS_LAST_MS * watch.drill)
        score = rank if watch.hand_over.state == OPEN else None
        operations = [
            IndexOp(index(agency), member, score) for agency in sorted({"", watch.agency})
        ]
        if before not in (None, "", watch.agency):
            operations.append(IndexOp(index(before or ""), member, None))
        value = self.shown(watch).SerializeToString()
        return Item(key(watch.case_id), value, offset, tuple(operations))

    def _logged(self, watch: outreach.Watch, offset: int) -> None:
        self._offsets[watch.case_id] = offset
        if watch.hand_over.state:
            self._agencies[watch.case_id] = watch.agency
        if watch.hand_over.state == OPEN:
            self._open[watch.case_id] = watch.drill
        else:
            self._open.pop(watch.case_id, None)
        if self.watches.get(watch.case_id) is None:
            self._offsets.pop(watch.case_id, None)
            self._agencies.pop(watch.case_id, None)

    def _wake(self, watch: outreach.Watch) -> None:
        queue = self._put_off[watch.drill]
        if not waits(watch):
            queue.pop(watch.case_id, None)
        elif watch.case_id not in queue:
            queue[watch.case_id] = None
        if wakes_ms := self.watches.wakes_ms(watch):
            heapq.heappush(self._waking, (wakes_ms, watch.case_id))

    def _count(self) -> None:
        drills = sum(self._open.values())
        metrics.HAND_OVERS.labels(self._partition, "true").set(drills)
        metrics.HAND_OVERS.labels(self._partition, "false").set(len(self._open) - drills)
        for drill, queue in self._put_off.items():
            metrics.PUT_OFF.labels(self._partition, str(drill).lower()).set(len(queue))


def _put_off_ms(watch: outreach.Watch) -> int:
    """Since when something of it waits for room."""
    held = [one.held_due_ms for one in (*watch.steps, *watch.asks) if one.held_due_ms]
    return min(held, default=0)
