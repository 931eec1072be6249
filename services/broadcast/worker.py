"""One partition of broadcast: requests in, claims before the carrier is called, results after.

A request is judged once and waits in its lane's topic until the lane's memory has room. From there
it is claimed, sent and settled; its offset is committed only when the log says that the carrier has
it, may have it, or never will. Whatever is lost with this process is found again by the next owner:
a waiting message by its offset, a claim without result in the log, where it becomes unknown.

Everyone's wish not to be written to holds for every lane. (Overriding it for life-safety needs a
recorded legal basis, which no request carries yet.)
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from google.protobuf.message import DecodeError
from mawja.broadcast.v1 import events_pb2, service_pb2
from mawja.broadcast.v1.events_pb2 import MessageChange, QueuedMessage
from mawja.outreach.v1 import events_pb2 as outreach_pb2

from services.broadcast import numbers, outcome, segments, shown, wording
from services.broadcast.carriers.base import Accepted, LateAnswer, OutPart, SubmitOutcome
from services.broadcast.lanes import BULK, LANES, NORMAL, URGENT, Held, Lane, Lanes, Waiting
from services.broadcast.messages import (
    EXPIRED,
    FAILED,
    FINAL,
    MAY_BE_CLAIMED,
    QUEUED,
    RELEASED,
    SUPPRESSED,
    UNKNOWN,
    WITH_CARRIER,
    Message,
    Messages,
    State,
    claim,
    ending,
    first_change,
    lane_name,
    next_change,
    state_name,
)
from services.broadcast.receipts import Kept, Receipts
from services.broadcast.routes import CarrierSpec, Routes
from services.broadcast.sender import Out, Sender
from services.broadcast.status_log import Decided, StatusLog
from services.runtime import metrics, trace
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.consume import Context, Plan
from services.runtime.errors import Poison
from services.runtime.own import NO_EPOCH, Record
from services.runtime.privacy import PERSON_BYTES, Erased, Keyring
from services.runtime.produce import Producer, acknowledged
from services.runtime.store import Item, PartitionView, Replies, Views
from services.runtime.topics import (
    BROADCAST_COMMAND,
    BROADCAST_DEAD,
    MESSAGE_REQUESTED,
    MESSAGE_STATUS,
    OPT_OUT,
    QUEUED_BULK,
    QUEUED_NORMAL,
    QUEUED_URGENT,
    RECEIPT,
    Topic,
)

LANE_TOPICS: dict[Lane, Topic] = {
    URGENT: QUEUED_URGENT,
    NORMAL: QUEUED_NORMAL,
    BULK: QUEUED_BULK,
}
_LANE_OF = {topic.name: lane for lane, topic in LANE_TOPICS.items()}
PLAN = Plan(
    group="broadcast",
    inputs=(MESSAGE_REQUESTED, BROADCAST_COMMAND, *LANE_TOPICS.values(), RECEIPT),
    logs=(MESSAGE_STATUS,),
    dead=BROADCAST_DEAD,
    tables=(OPT_OUT,),
)

CLAIM_S = 5.0
"""A claim is not used when it is older, by the clock that never steps."""
DRAIN_S = 12.0
"""How long a partition that is given up waits for the carriers' answers: longer than they are
given, so that an orderly stop leaves nothing unknown."""
_PART_AGAIN_S = 0.2
_URGENT_AGAIN_S = 0.5
_SWEEP_S = 1.0
_YIELD_EVERY = 100
_MAX_VALIDITY_S = 31 * 86_400


@dataclass(frozen=True, slots=True)
class Desk:
    """What the partitions of a process share."""

    keyring: Keyring
    producer: Producer
    routes: Routes
    sender: Sender
    replies: Replies
    views: Views
    view: Callable[[int, int, Callable[[], Iterable[Item]]], PartitionView]
    fail: Callable[[BaseException], None]


@dataclass(slots=True)
class _Turn:
    """The effects of one call of `work`."""

    sent: list["asyncio.Future[Any]"] = field(default_factory=list)
    decided: list["asyncio.Future[None]"] = field(default_factory=list)
    dead: list["asyncio.Future[None]"] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    replies: list[shown.Reply] = field(default_factory=list)
    stopped: set[bytes] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A claimed message, ready for its carrier."""

    waiting: Waiting
    message: Message
    parts: list[OutPart]


class Partition:
    """The work of one partition."""

    def __init__(self, context: Context, desk: Desk) -> None:
        self._context = context
        self._desk = desk
        self._messages = Messages()
        self._receipts = Receipts(self._messages)
        self._lanes = Lanes()
        self._held: dict[str, Held] = {
            topic.name: Held() for topic in (*LANE_TOPICS.values(), RECEIPT)
        }
        # Where the lane record of a message stands that has not been settled.
        self._places: dict[str, tuple[str, int]] = {}
        self._opted_out: set[bytes] = set()
        self._sending: set[asyncio.Task[None]] = set()
        self._started = False
        self._stopping = False
        self._since_ms = 0
        self._status: StatusLog
        self._shown: shown.Shown
        self._sweeping: asyncio.Task[None]

    # --- taking over -----------------------------------------------------------------------------

    def fold(self, record: Record) -> None:
        """Takes up the status log and the opt-outs."""
        if record.topic == OPT_OUT.name:
            self._take_opt_out(record)
            return
        status = events_pb2.StatusRecord.FromString(record.value or b"")
        for change in status.changes:
            self._messages.fold(change, status.decided_ms, record.offset)

    def resume(self, topic: str) -> tuple[int, int]:
        """Reading goes on at the committed offset; doing a record twice changes nothing."""
        return (0, NO_EPOCH)

    async def start(self) -> None:
        """The last owner's claims without result become unknown; then sending may begin."""
        desk, number = self._desk, self._context.partition
        self._since_ms = now_ms()
        self._messages.forget(self._since_ms)
        log = self._context.logs[MESSAGE_STATUS.name]
        upto = await shown.written_up_to(desk.views, number)
        view = desk.view(number, log.epoch, self._everything)
        await view.start()
        self._shown = shown.Shown(view, desk.replies, number, desk.fail)
        oldest = self._since_ms - shown.TTL_S * 1000
        unwritten = [
            message
            for message in self._messages.all()
            if message.offset > upto and message.durable_ms >= oldest
        ]
        if unwritten:
            self._shown.written(unwritten, max(message.offset for message in unwritten))
        self._status = StatusLog(log, self._messages, self._written, desk.fail)
        orphans = [
            next_change(message, UNKNOWN, "takeover") for message in self._messages.claimed()
        ]
        if orphans:
            await asyncio.shield(self._status.put(orphans, hurry=True))
        self._sweeping = asyncio.create_task(self._sweep())
        self._started = True
        desk.sender.add(self)

    def _everything(self) -> Iterator[Item]:
        oldest = now_ms() - shown.TTL_S * 1000
        # Copies of the lists: the view is written piece by piece, and things go on meanwhile.
        for message in list(self._messages.all()):
            if message.offset >= 0 and message.durable_ms >= oldest:
                yield shown.item(message)
        for waiting in self._lanes:
            if self._messages.get(waiting.message.message_id) is None:
                yield self._queued_item(waiting.message)

    def _queued_item(self, queued: QueuedMessage) -> Item:
        epoch = self._context.logs[MESSAGE_STATUS.name].epoch
        return shown.queued_item(first_change(queued, QUEUED), queued.requested_ms, epoch)

    # --- giving up -------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Waits for the answers to what was sent, writes them, and decides nothing more."""
        self._stopping = True
        if not self._started:
            return
        self._desk.sender.remove(self)
        self._sweeping.cancel()
        if self._sending and not self._status.failed:
            await asyncio.wait(self._sending, timeout=DRAIN_S)
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, self._sweeping, return_exceptions=True)
        await self._status.close()
        await self._shown.stop()

    # --- reading ---------------------------------------------------------------------------------

    def wants(self, topic: str) -> bool:
        """A lane whose memory is full is read no further; the others are."""
        lane = _LANE_OF.get(topic)
        return lane is None or not self._lanes.full(lane)

    def committable(self, topic: str, offset: int) -> int:
        """Lanes: up to the first message that is not settled. Receipts: up to the first that
        still waits for its message. Everything else is done when `work` returns."""
        held = self._held.get(topic)
        return offset if held is None else held.up_to(offset)

    async def work(self, records: Sequence[Record]) -> None:
        """Judges requests, fills lanes, applies receipts and opt-outs."""
        turn = _Turn()
        for count, record in enumerate(records, start=1):
            try:
                await self._take(record, turn)
            except (Poison, DecodeError) as error:
                why = str(error) if isinstance(error, Poison) else "not what its topic holds"
                turn.dead.append(self._context.dead(record, why))
            if count % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        if turn.stopped:
            self._end_all(self._lanes.remove_people(turn.stopped), SUPPRESSED, "opt-out")
        await acknowledged(turn.sent)
        for future in (*turn.decided, *turn.dead):
            await asyncio.shield(future)
        self._shown.queued(turn.items, turn.replies)
        self._desk.sender.wake()

    async def _take(self, record: Record, turn: _Turn) -> None:
        value = record.value or b""
        lane = _LANE_OF.get(record.topic)
        if lane is not None:
            self._queue(QueuedMessage.FromString(value), record, turn)
        elif record.topic == RECEIPT.name:
            self._receive(events_pb2.Receipt.FromString(value), record.offset, turn)
        elif record.topic == OPT_OUT.name:
            person = self._take_opt_out(record)
            if person is not None:
                turn.stopped.add(person)
        elif record.topic == MESSAGE_REQUESTED.name:
            queued = _queued(outreach_pb2.MessageRequested.FromString(value))
            parent = trace.of(record.headers)
            if parent is None:
                # Whether a contact is traced was decided at the door.
                await self._admit(queued, turn, None)
            else:
                with trace.span("broadcast.admit", parent) as traceparent:
                    await self._admit(queued, turn, traceparent)
        else:
            command = events_pb2.BroadcastCommand.FromString(value)
            await self._command(command, turn)

    def _take_opt_out(self, record: Record) -> bytes | None:
        """Takes up one record of the table. Gives the person who has just opted out."""
        person = record.key or b""
        if record.value is None:
            self._opted_out.discard(person)
            return None
        try:
            opted_out = events_pb2.OptOut.FromString(record.value).opted_out
        except DecodeError:
            # What it says cannot be read; who it is about can. Not writing is the safe side.
            opted_out = True
        if not opted_out:
            self._opted_out.discard(person)
            return None
        self._opted_out.add(person)
        return person

    # --- admission -------------------------------------------------------------------------------

    async def _command(self, command: events_pb2.BroadcastCommand, turn: _Turn) -> None:
        if command.WhichOneof("action") != "queue":
            raise Poison("a command without an action that this version knows")
        answer = await self._admit(command.queue, turn, None)
        envelope = command.envelope
        turn.replies.append(
            shown.Reply(envelope.reply_to, envelope.command_id, answer.SerializeToString())
        )

    async def _admit(
        self, queued: QueuedMessage, turn: _Turn, traceparent: str | None
    ) -> service_pb2.QueueMessageResponse:
        """Ends a message that may not go, or puts it into its lane's topic; once."""
        if (
            not queued.message_id
            or len(queued.person) != PERSON_BYTES
            or queued.lane not in LANE_TOPICS
            or not queued.sealed_number
        ):
            raise Poison("a message without id, person, lane or number")
        answer = service_pb2.QueueMessageResponse(message_id=queued.message_id, state=QUEUED)
        known = self._messages.get(queued.message_id)
        if known is not None:
            change = known.change()
            if change.state == SUPPRESSED:
                answer.state, answer.reason = SUPPRESSED, change.reason
            answer.parts = change.parts
            return answer
        if self._messages.settled_long_ago(queued.expires_ms, now_ms()):
            return answer
        route = self._route(queued)
        if isinstance(route, CarrierSpec):
            parts, reason = self._parts(queued, route)
            queued.parts = answer.parts = parts
        else:
            reason = route
        if reason:
            state: State = EXPIRED if reason == "expired" else SUPPRESSED
            turn.decided.append(self._status.put([first_change(queued, state, reason)]))
            answer.state, answer.reason = state, reason
        elif queued.message_id not in self._lanes:
            headers = [] if traceparent is None else [(trace.HEADER, traceparent.encode())]
            turn.sent.append(
                await self._desk.producer.send(
                    LANE_TOPICS[queued.lane],
                    self._context.partition,
                    queued.SerializeToString(),
                    key=queued.person,
                    headers=headers,
                )
            )
            turn.items.append(self._queued_item(queued))
        return answer

    def _route(self, queued: QueuedMessage) -> CarrierSpec | str:
        """The carrier that the message may go to, or why it may not go."""
        if queued.expires_ms <= now_ms():
            return "expired"
        if queued.person in self._opted_out:
            return "opt-out"
        try:
            number = self._desk.keyring.unseal("number", queued.sealed_number)
        except Erased:
            return "erased"
        return numbers.obstacle(number) or self._desk.routes.choose(
            number, queued.language, queued.drill
        )

    def _parts(self, queued: QueuedMessage, carrier: CarrierSpec) -> tuple[int, str]:
        """How many parts the text takes at `carrier`, or why it cannot be sent."""
        try:
            text = self._desk.keyring.unseal("text", queued.sealed_text)
            if not text:
                return 0, "no-text"
            text = wording.shown(text, queued.drill, carrier.dialect.alphabet)
            return segments.split(text, alphabet=carrier.dialect.alphabet).part_count, ""
        except Erased:
            return 0, "erased"
        except segments.TextError:
            return 0, "text-not-sendable"

    # --- lanes -----------------------------------------------------------------------------------

    def _queue(self, queued: QueuedMessage, record: Record, turn: _Turn) -> None:
        """Takes a message from its lane's topic into memory, unless it is settled or here."""
        message_id = queued.message_id
        if (
            self._messages.state(message_id) not in MAY_BE_CLAIMED
            or message_id in self._places
            or self._messages.settled_long_ago(queued.expires_ms, now_ms())
        ):
            return
        self._places[message_id] = (record.topic, record.offset)
        self._held[record.topic].hold(record.offset)
        route = self._route(queued)
        if isinstance(route, CarrierSpec):
            self._lanes.add(Waiting(queued, record.offset, route.name))
            if record.timestamp < self._since_ms and self._messages.get(message_id) is None:
                # Another owner queued it and may not have come to show it.
                turn.items.append(self._queued_item(queued))
        else:
            state: State = EXPIRED if route == "expired" else SUPPRESSED
            self._status.put([ending(self._messages, queued, state, route)])

    def _end_all(self, gone: Sequence[Waiting], state: State, reason: str) -> None:
        if gone:
            self._status.put(
                [ending(self._messages, waiting.message, state, reason) for waiting in gone]
            )

    async def _sweep(self) -> None:
        try:
            while True:
                await asyncio.sleep(_SWEEP_S)
                now = now_ms()
                self._end_all(self._lanes.expire(now), EXPIRED, "expired")
                late = [
                    next_change(message, UNKNOWN, "no-receipt")
                    for message in self._messages.overdue(now)
                ]
                if late:
                    self._status.put(late)
                for kept in self._receipts.give_up(now):
                    metrics.RECEIPTS_UNMATCHED.labels(kept.receipt.carrier).inc()
                    self._held[RECEIPT.name].release(kept.offset)
                self._messages.forget(now)
                await self._shown.keep()
        except Exception as error:
            self._desk.fail(error)

    # --- what the sender asks --------------------------------------------------------------------

    def count(self, lane: Lane) -> int:
        """Messages of a lane that wait in memory."""
        return self._lanes.count(lane)

    def wake(self, now_s: float) -> None:
        """Brings back what was put off until now."""
        self._lanes.wake(now_s)

    def next_due(self, lane: Lane, carrier: str) -> Waiting | None:
        """The next message of a queue that may go."""
        while (waiting := self._lanes.first(lane, carrier)) is not None:
            reason = self._forbidden(waiting)
            if not reason:
                return waiting
            self._lanes.take(lane, carrier)
            self._end_all([waiting], EXPIRED if reason == "expired" else SUPPRESSED, reason)
        return None

    def _forbidden(self, waiting: Waiting) -> str:
        if waiting.message.expires_ms <= now_ms():
            return "expired"
        return "opt-out" if waiting.message.person in self._opted_out else ""

    def take(self, lane: Lane, carrier: str) -> Waiting:
        """Takes out the message that `next_due` gave."""
        return self._lanes.take(lane, carrier)

    # --- sending ---------------------------------------------------------------------------------

    def send(self, out: Out, batch: list[Waiting]) -> None:
        """Claims and sends `batch`."""
        task = asyncio.create_task(self._send(out, batch))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, out: Out, batch: list[Waiting]) -> None:
        under_way = sum(waiting.message.parts for waiting in batch)
        try:
            made_s = monotonic_s()
            ready = self._claim(out, batch)
            # `put` has been confirmed when this returns: nobody else owns the partition.
            await asyncio.shield(self._status.put((), hurry=True))
            if self._stopping or monotonic_s() - made_s > CLAIM_S:
                for one in ready:
                    self._release(one, "claim-too-old" if not self._stopping else "stopping")
                return
            tasks = []
            for one in ready:
                if self._may_be_used(one):
                    task = asyncio.create_task(self._submit(out, one, made_s))
                    parts = one.waiting.message.parts
                    under_way -= parts
                    # Not in the task itself: one that is cancelled before it began does nothing.
                    task.add_done_callback(partial(_leave, out, parts))
                    tasks.append(task)
            out.leave(under_way)
            under_way = 0
            await asyncio.gather(*tasks)
        except Exception as error:
            self._desk.fail(error)
        finally:
            out.leave(under_way)

    def _claim(self, out: Out, batch: list[Waiting]) -> list[_Ready]:
        """Decides the claims of `batch`; what turns out to be unsendable comes to its end."""
        ready = []
        for waiting in batch:
            queued = waiting.message
            try:
                number = self._desk.keyring.unseal("number", queued.sealed_number)
                text = self._desk.keyring.unseal("text", queued.sealed_text)
                text = wording.shown(text, queued.drill, out.spec.dialect.alphabet)
                cut = segments.split(text, alphabet=out.spec.dialect.alphabet)
            except (Poison, segments.TextError) as error:
                reason = "erased" if isinstance(error, Erased) else "text-not-sendable"
                self._end_all([waiting], SUPPRESSED, reason)
                continue
            not_after_ms = min(queued.expires_ms, now_ms() + int(CLAIM_S * 1000))
            change = claim(self._messages, queued, out.spec.name, cut.part_count, not_after_ms)
            self._status.put([change], hurry=True)
            message = self._messages.get(queued.message_id)
            assert message is not None, "a claimed message is known"
            ready.append(_Ready(waiting, message, _out_parts(out, queued, number, cut, change)))
        return ready

    def _may_be_used(self, one: _Ready) -> bool:
        """Looks once more at what may have changed while the claim was written."""
        reason = self._forbidden(one.waiting)
        if not reason:
            return True
        self._status.put([next_change(one.message, RELEASED, reason)])
        self._end_all([one.waiting], EXPIRED if reason == "expired" else SUPPRESSED, reason)
        return False

    def _release(self, one: _Ready, reason: str, too_fast: bool = False) -> None:
        self._status.put([next_change(one.message, RELEASED, reason)])
        again_s = outcome.wait_s(one.message.attempt, too_fast)
        if one.waiting.message.lane == URGENT:
            again_s = min(again_s, _URGENT_AGAIN_S)
        self._lanes.put_back(one.waiting, monotonic_s() + again_s)

    async def _submit(self, out: Out, one: _Ready, made_s: float) -> None:
        """Gives the parts to the carrier and decides what became of the message."""
        name, use_by_s = out.spec.name, made_s + CLAIM_S
        started_s = monotonic_s()
        outcomes = await out.carrier.submit_many(one.parts, write_by=use_by_s)
        metrics.CARRIER_SECONDS.labels(name).observe(monotonic_s() - started_s)
        _count(name, outcomes)
        while (again := outcome.once_more(outcomes)) and (monotonic_s() + _PART_AGAIN_S < use_by_s):
            self._slow_down(out, outcomes)
            await asyncio.sleep(_PART_AGAIN_S)
            answers = await out.carrier.submit_many(
                [one.parts[index] for index in again], write_by=use_by_s
            )
            _count(name, answers)
            for index, answer in zip(again, answers, strict=True):
                outcomes[index] = answer
        self._slow_down(out, outcomes)
        result = outcome.verdict(outcomes)
        if result.state == RELEASED:
            self._release(one, result.reason, outcome.throttled(outcomes))
            return
        change = next_change(one.message, result.state, result.reason)
        change.carrier_ids.extend(result.carrier_ids)
        change.part_outcomes = result.part_outcomes
        self._answered(change)

    def _slow_down(self, out: Out, outcomes: Sequence[SubmitOutcome]) -> None:
        if outcome.throttled(outcomes):
            out.bucket.throttled(monotonic_s())

    def _answered(self, change: MessageChange) -> None:
        """Decides a result, then what the receipts say that came before it."""
        self._status.put([change])
        message = self._messages.get(change.message_id)
        assert message is not None, "a decided message is known"
        for kept in self._receipts.answered(message):
            self._apply_kept(kept)

    def late(self, carrier: str, person: bytes, answer: LateAnswer) -> None:
        """The carrier answered after its message had become unknown."""
        if self._stopping:
            return
        found = self._messages.find(carrier, "", person, answer.part.reference)
        if found is None or found[0].state != UNKNOWN:
            return
        message, part = found
        if isinstance(answer.outcome, Accepted):
            if not answer.outcome.carrier_id:
                return
            change = next_change(message, UNKNOWN, message.change().reason)
            carrier_ids = list(change.carrier_ids) or [""] * change.parts
            carrier_ids[part] = answer.outcome.carrier_id
            del change.carrier_ids[:]
            change.carrier_ids.extend(carrier_ids)
        else:
            # Definitely refused after all. Its text is gone from here, so there is no next attempt.
            change = next_change(message, FAILED, outcome.reason_of(answer.outcome.error))
        self._answered(change)

    # --- receipts --------------------------------------------------------------------------------

    def _receive(self, receipt: events_pb2.Receipt, offset: int, turn: _Turn) -> None:
        change, keep = self._receipts.take(receipt, offset)
        if keep:
            self._held[RECEIPT.name].hold(offset)
        elif change is not None:
            turn.decided.append(self._status.put([change]))

    def _apply_kept(self, kept: Kept) -> None:
        held = self._held[RECEIPT.name]
        change, keep = self._receipts.take(kept.receipt, kept.offset)
        if keep:
            # Held already, from when it came.
            return
        if change is None:
            held.release(kept.offset)
            return
        # Committed only when the log has what it says.
        self._status.put([change]).add_done_callback(
            lambda done: held.release(kept.offset) if done.exception() is None else None
        )

    # --- after the log has it --------------------------------------------------------------------

    def _written(self, decided: Sequence[Decided], decided_ms: int, offset: int) -> None:
        self._shown.written([one.message for one in decided], offset)
        for one in decided:
            change = one.change
            _MESSAGES.inc(change.lane, change.state)
            if change.state in FINAL or change.state in WITH_CARRIER:
                place = self._places.pop(change.message_id, None)
                if place is not None:
                    self._held[place[0]].release(place[1])


class _Counted:
    """Counts state changes; label look-ups are dear on this path."""

    def __init__(self) -> None:
        self._children = {
            (lane, state): metrics.MESSAGES.labels(lane_name(lane), state_name(state))
            for lane in LANES
            for state in events_pb2.MessageState.values()
            if state
        }

    def inc(self, lane: Lane, state: State) -> None:
        child = self._children.get((lane, state))
        if child is not None:
            child.inc()


_MESSAGES = _Counted()


def _count(carrier: str, outcomes: Sequence[SubmitOutcome]) -> None:
    for one in outcomes:
        metrics.CARRIER_SUBMITS.labels(carrier, type(one).__name__.lower()).inc()


def _leave(out: Out, parts: int, _: "asyncio.Task[None]") -> None:
    out.leave(parts)


def _queued(request: outreach_pb2.MessageRequested) -> QueuedMessage:
    return QueuedMessage(
        message_id=request.message_id,
        person=request.person,
        case_id=request.case_id,
        lane=request.lane,
        language=request.language,
        agency=request.agency,
        drill=request.drill,
        requested_ms=request.requested_ms,
        expires_ms=request.expires_ms,
        accepted_ms=request.accepted_ms,
        sealed_number=request.sealed_number,
        sealed_text=request.sealed_text,
    )


def _out_parts(
    out: Out,
    queued: QueuedMessage,
    number: str,
    cut: segments.Segmentation,
    change: MessageChange,
) -> list[OutPart]:
    spec = out.spec
    not_after = queued.expires_ms / 1000 if spec.validity == "absolute" else None
    validity_s = None
    if spec.validity == "relative":
        left_s = (queued.expires_ms - now_ms()) // 1000
        validity_s = max(1, min(_MAX_VALIDITY_S, left_s))
    return [
        OutPart(
            destination=number,
            sender=spec.sender,
            payload=payload,
            data_coding=cut.data_coding,
            udhi=cut.udhi,
            reference=change.reference + index,
            drill=queued.drill,
            not_after=not_after,
            validity_s=validity_s,
        )
        for index, payload in enumerate(segments.with_udh(cut.parts, change.reference & 0xFF))
    ]
