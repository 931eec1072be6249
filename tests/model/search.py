"""Every interleaving of owners, their log, the carrier and its receipts, breadth first.

A state is what the log and the carrier hold, and the history of each owner. Owners share nothing
else, and each is a function of its history, so the state tells everything and equal states go on
equally: each is visited once. A history is run once too, on a fresh process, however many states
it is part of.

Two steps are not interleaved, since nothing can tell: reading records that stand in the log already
(they never change), and what a process does between two things that reach it.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

from mawja.broadcast.v1 import events_pb2

from services.broadcast.messages import (
    CLAIMED,
    DELIVERED,
    FINAL,
    QUEUED,
    RELEASED,
    SUBMITTED,
    UNKNOWN,
)
from services.runtime.own import EPOCH, MARKER
from tests.model.facts import Facts, facts_of
from tests.model.loop import wall_clock_at
from tests.model.process import SHIPPED, Process, Shipped
from tests.model.state import (
    ANSWERED,
    GONE,
    LOST,
    NOTHING,
    REFUSED,
    TAKEN,
    TIMED_OUT,
    TOLD,
    Bounds,
    Broken,
    Own,
    Sent,
    State,
    Step,
    carrier_id,
    with_owner,
    with_sent,
)
from tests.model.world import NOW_MS, Event, Raw, View, World


class Search:
    """Visits every state within `bounds`."""

    def __init__(self, world: World, bounds: Bounds, shipped: Shipped = SHIPPED) -> None:
        self._world = world
        self._bounds = bounds
        self._shipped = shipped
        self._records: list[Raw] = []
        self._record_ids: dict[Raw, int] = {}
        self._events: list[tuple[int, Event]] = []
        self._histories: dict[tuple[int, Event], int] = {}
        self._views: dict[int, View] = {}
        self._facts: dict[tuple[int, ...], Facts] = {}
        self._came: dict[State, tuple[State | None, str]] = {}
        self.states = 0
        self.steps = 0
        self.ends = 0

    @property
    def histories(self) -> int:
        """How many different owners were met."""
        return len(self._views)

    def run(self) -> None:
        """Visits. Raises Broken."""
        with wall_clock_at(NOW_MS):
            self._run()

    def _run(self) -> None:
        start = State((), (), (), ())
        self._came[start] = (None, "")
        while self._bounds.settled and not (
            start.owners and self._view(start.owners[0].history).idle
        ):
            _, name, following = next(
                step for step in self._steps(start) if step[0] in (len(start.owners), 0)
            )
            self._came[following] = (start, name)
            start = following
        queue = deque([start])
        while queue:
            state = queue.popleft()
            self.states += 1
            try:
                self._check(state)
                ended = True
                for by, name, following in self._steps(state):
                    # Whoever is followed by another may be dead by now: then nothing comes of it.
                    ended &= by < len(state.owners) - 1
                    self.steps += 1
                    if following not in self._came:
                        self._came[following] = (state, name)
                        queue.append(following)
                if ended:
                    self.ends += 1
                    self._check_end(state)
            except AssertionError as error:
                raise Broken(f"{error}\n{self._way(state)}") from error

    def _way(self, state: State | None) -> str:
        names = []
        while state is not None:
            before, name = self._came[state]
            names.append(name)
            state = before
        return "\n".join(f"  {number}. {name}" for number, name in enumerate(names[-2::-1], 1))

    # What may happen.

    def _steps(self, state: State) -> Iterator[Step]:
        for number, own in enumerate(state.owners):
            span = self._view(own.history).read
            if span is not None:
                # The records stand; when they are read makes no difference, so it is now.
                records = tuple(self._records[one] for one in state.log[span[0] : span[1]])
                # Nobody else's step, so that it counts as one that must come.
                _, name, following = self._reached(state, number, "reads", ("read", records))
                yield len(state.owners), name, following
                return
        for number, own in enumerate(state.owners):
            view = self._view(own.history)
            yield from self._log_steps(state, number, own, view)
            yield from self._input_steps(state, number, own, view)
            yield from self._call_steps(state, number, view)
            if not self._last(number):
                yield from self._troubles(state, number, own, view)
        if len(state.owners) < self._bounds.owners or (
            # Whoever stops is started again.
            state.owners and self._view(state.owners[-1].history).failed
        ):
            yield from self._takeovers(state)

    def _last(self, number: int) -> bool:
        return number >= self._bounds.owners - 1

    def _takeovers(self, state: State) -> Iterator[Step]:
        starts = {(0, 0)}
        for own in state.owners:
            # Any offset up to here may have been committed; the furthest skips the most.
            view = self._view(own.history)
            starts.add((own.lane, own.receipt) if own.history == GONE else view.committable)
        number = len(state.owners)
        for lane, receipt in sorted(starts):
            history = self._history(-1, ("given", lane, receipt, len(state.log)))
            own = Own(history, -1, (), 0, lane, receipt, False)
            name = f"owner {number} is given the partition at {lane}, {receipt}"
            yield number, name, state._replace(owners=(*state.owners, own))

    def _log_steps(self, state: State, number: int, own: Own, view: View) -> Iterator[Step]:
        """Appends land, however late; their acknowledgements arrive."""
        if len(own.landed) < len(view.sends):
            record = self._record(view.sends[len(own.landed)])
            offset = len(state.log)
            landed = own._replace(
                landed=(*own.landed, offset), epoch=own.epoch if own.landed else offset
            )
            name = f"append stands at {offset}: {self._told(record)}"
            after = with_owner(state, number, landed)._replace(log=(*state.log, record))
            if self._last(number) and own.acked == len(own.landed) and not view.failed:
                # Nobody takes over from it: what could come between can as well come before.
                event: Event = ("acked", own.acked, offset)
                yield self._reached(after, number, name, event, acked=own.acked + 1)
                return
            yield number, f"owner {number}: {name}", after
        if own.acked < len(own.landed) and not view.failed:
            event = ("acked", own.acked, own.landed[own.acked])
            yield self._reached(state, number, "is told so", event, acked=own.acked + 1)

    def _input_steps(self, state: State, number: int, own: Own, view: View) -> Iterator[Step]:
        """It reads what it has not read, and its sender takes what is due."""
        if view.idle and own.lane < self._bounds.copies:
            event: Event = ("input", "lane", own.lane, self._world.lane)
            yield self._reached(state, number, "reads the lane", event, lane=own.lane + 1)
        if view.idle:
            for after in self._reports(state, own):
                of = after.sent[after.receipts[own.receipt]]
                reference = of.reference if self._bounds.references else 0
                delivered = events_pb2.RECEIPT_STATE_DELIVERED
                value = self._world.receipt(reference, carrier_id(of), delivered)
                event = ("input", "receipt", own.receipt, value)
                yield self._reached(
                    after, number, "reads a receipt", event, receipt=own.receipt + 1
                )
        if view.due and not view.stopped:
            yield self._reached(state, number, "sends what is due", ("send",))

    def _reports(self, state: State, own: Own) -> Iterator[State]:
        """The receipt that an owner reads next, if there is one. When the carrier gave it cannot
        be told until somebody reads it: it is given now."""
        if own.receipt < len(state.receipts):
            yield state
            return
        for at, sent in enumerate(state.sent):
            if sent.fate not in (REFUSED, LOST) and sent.receipts < self._bounds.receipts:
                yield state._replace(
                    sent=with_sent(state.sent, at, receipts=sent.receipts + 1),
                    receipts=(*state.receipts, at),
                )

    def _troubles(self, state: State, number: int, own: Own, view: View) -> Iterator[Step]:
        if view.failed:
            return
        if self._bounds.silence and view.waiting:
            yield self._reached(state, number, "is never told", ("silence",))
        written = {one.call for one in state.sent if one.owner == number}
        unused = [n for n, call in enumerate(view.calls) if call.open and n not in written]
        # At any other time nothing of it is too old when it wakes up.
        if self._bounds.frozen and not own.frozen and (view.waiting or unused):
            yield self._reached(state, number, "sleeps and wakes up", ("frozen",), frozen=True)
        if self._bounds.revoked and view.idle and not view.waiting:
            yield self._reached(state, number, "is asked to go", ("revoked",))

    def _call_steps(self, state: State, number: int, view: View) -> Iterator[Step]:
        written = {one.call: at for at, one in enumerate(state.sent) if one.owner == number}
        for call, asked in enumerate(view.calls):
            at = written.get(call)
            if at is None:
                if asked.open and asked.late:
                    # The carrier's interface promises that what is too old is not written.
                    event: Event = ("answer", call, "not-sent")
                    yield self._reached(state, number, "finds its claim too old", event)
                elif asked.open:
                    yield from self._written(state, number, call, asked.reference)
            elif asked.open and state.sent[at].fate == TAKEN:
                for fate, answer in (
                    (ANSWERED, carrier_id(state.sent[at])),
                    (TIMED_OUT, "timeout"),
                ):
                    after = state._replace(sent=with_sent(state.sent, at, fate=fate))
                    yield self._reached(after, number, f"hears: {fate}", ("answer", call, answer))
            elif state.sent[at].fate == TIMED_OUT and not view.stopped and not view.failed:
                after = state._replace(sent=with_sent(state.sent, at, fate=TOLD))
                event = ("late", call, carrier_id(state.sent[at]))
                yield self._reached(after, number, "hears late", event)

    def _written(self, state: State, number: int, call: int, reference: int) -> Iterator[Step]:
        """The carrier gets the part: takes it, refuses it, or the bind is lost with it."""
        attempt, part = self._authorised(state, number, reference)
        sent = Sent(number, call, attempt, part, reference, TAKEN, 0)
        after = state._replace(sent=(*state.sent, sent))
        name = f"sends attempt {attempt}"
        yield number, f"owner {number} {name}; the carrier takes it", after
        fates = [one.fate for one in state.sent]
        for fate, answer, left in (
            (REFUSED, "throttled", self._bounds.refusals - fates.count(REFUSED)),
            (REFUSED, "invalid", self._bounds.refusals - fates.count(REFUSED)),
            (LOST, "bind-lost", self._bounds.losses - fates.count(LOST)),
        ):
            if left > 0:
                fated = state._replace(sent=(*state.sent, sent._replace(fate=fate)))
                yield self._reached(fated, number, f"{name}: {answer}", ("answer", call, answer))

    # Invariants.

    def _authorised(self, state: State, number: int, reference: int) -> tuple[int, int]:
        """The attempt and part that owner `number` sends under `reference`; it may."""
        epoch = state.owners[number].epoch
        authorised = [
            (attempt, reference - first)
            for of, attempt, first, parts in self._read(state.log).claims
            if of == epoch and first <= reference < first + parts
        ]
        assert authorised, f"owner {number} sends what no reader knows a claim of"
        attempt, part = max(authorised)
        for before in state.sent:
            same_claim = before.attempt == attempt and before.owner == number
            if not same_claim or before.part == part:
                assert before.fate == REFUSED, (
                    f"owner {number} sends attempt {attempt}: the carrier may have what owner "
                    f"{before.owner} sent as attempt {before.attempt}"
                )
        return attempt, part

    def _read(self, log: tuple[int, ...]) -> Facts:
        known = self._facts.get(log)
        if known is not None:
            return known
        facts = facts_of([self._records[number] for number in log], self._world.message_id)
        self._facts[log] = facts
        return facts

    def _check(self, state: State) -> None:
        facts = self._read(state.log)
        if facts.state in (DELIVERED, SUBMITTED):
            assert any(sent.fate not in (REFUSED, LOST) for sent in state.sent), "sent by nobody"
        for number, own in enumerate(state.owners):
            view = self._view(own.history)
            caught_up = not view.waiting and view.read is None
            newest = all(own.epoch >= other.epoch for other in state.owners)
            if view.idle and caught_up and newest:
                assert (view.shown or {QUEUED}) == {facts.state}, (
                    f"owner {number} shows what the log does not say"
                )

    def _check_end(self, state: State) -> None:
        """Nothing more can happen: everything has come to rest as it must."""
        last = state.owners[-1]
        view = self._view(last.history)
        assert view.idle, f"the last owner does not work: {view.failed}"
        assert view.done == (self._bounds.copies, len(state.receipts)), "input was left"
        facts = self._read(state.log)
        taken = [sent for sent in state.sent if sent.fate not in (REFUSED, LOST)]
        parts = self._world.parts
        told = {sent.part for sent in taken if sent.receipts}
        known = {sent.part for sent in taken if sent.fate in (ANSWERED, TOLD)}
        recognised = self._bounds.references or facts.state != UNKNOWN or known == told
        assert facts.state not in (QUEUED, CLAIMED, RELEASED), "the message was forgotten"
        if len(told) == parts and self._bounds.references:
            assert facts.state == DELIVERED, "a receipt did not settle it"
        assert recognised or facts.state in FINAL or facts.state == UNKNOWN

    # Histories.

    def _record(self, raw: Raw) -> int:
        number = self._record_ids.setdefault(raw, len(self._records))
        if number == len(self._records):
            self._records.append(raw)
        return number

    def _told(self, record: int) -> str:
        headers, value = self._records[record]
        if headers[0][0] == MARKER:
            return "marker"
        epoch = int.from_bytes(dict(headers)[EPOCH], "big")
        changes = events_pb2.StatusRecord.FromString(value).changes
        names = [events_pb2.MessageState.Name(one.state).split("_", 2)[2] for one in changes]
        return f"{', '.join(names)} of epoch {epoch}"

    def _history(self, before: int, event: Event) -> int:
        number = self._histories.setdefault((before, event), len(self._events))
        if number == len(self._events):
            self._events.append((before, event))
        return number

    def _reached(self, state: State, number: int, name: str, event: Event, **changed: Any) -> Step:
        own = state.owners[number]
        after = own._replace(history=self._history(own.history, event), **changed)
        view = self._view(after.history)
        over = view.failed or view.stopped
        if over and len(after.landed) == len(view.sends) and not any(c.open for c in view.calls):
            # Nothing of it can be told any more, but for what it left in the log.
            after = Own(GONE, after.epoch, (), 0, *view.committable, False)
        return number, f"owner {number} {name}", with_owner(state, number, after)

    def _view(self, history: int) -> View:
        if history == GONE:
            return NOTHING
        known = self._views.get(history)
        if known is not None:
            return known
        events = []
        at = history
        while at >= 0:
            at, event = self._events[at]
            events.append(event)
        process = Process(self._world, self._shipped)
        try:
            for event in reversed(events):
                process.reach(event)
            view = self._views[history] = process.view()
        finally:
            process.close()
        return view
