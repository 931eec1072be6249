"""One partition of broadcast: requests in, claims before the carrier is called, results after.

A request is judged once and waits in its lane's topic until the lane's memory has room. From there
it is claimed, sent and settled; its offset is committed only when the log says that the carrier has
it, may have it, or never will. Whatever is lost with this process is found again by the next owner:
a waiting message by its offset, a claim without result in the log, where it becomes unknown.
"""

import asyncio
from collections.abc import Iterator, Sequence

from google.protobuf.message import DecodeError
from mawja.broadcast.v1 import events_pb2

from services.broadcast import shown
from services.broadcast.admission import Admission, Turn
from services.broadcast.answers import Answers
from services.broadcast.books import LANE_TOPICS, Books
from services.broadcast.campaigns.tally import Tally
from services.broadcast.carriers.base import LateAnswer
from services.broadcast.changes import next_change
from services.broadcast.desk import Desk
from services.broadcast.lanes import LANES, Lane, Waiting
from services.broadcast.messages import UNKNOWN, State, lane_name, state_name
from services.broadcast.receipts import receipts_in
from services.broadcast.rerouting import Rerouting
from services.broadcast.sender import LOOKED_UP, Out
from services.broadcast.sending import Sending
from services.broadcast.status_log import Decided, StatusLog
from services.broadcast.tracing import Traces
from services.runtime import log as logs
from services.runtime import metrics, stop, trace
from services.runtime.clock import now_ms
from services.runtime.errors import Poison, Stop
from services.runtime.letters import source_of
from services.runtime.own import NO_EPOCH, Record
from services.runtime.produce import acknowledged
from services.runtime.store import Item
from services.runtime.topics import (
    BROADCAST_COMMAND,
    BROADCAST_DEAD,
    BY_NAME,
    MESSAGE_REQUESTED,
    MESSAGE_STATUS,
    OPT_OUT,
    RECEIPT,
    RESTORATION,
)
from services.runtime.work import Context, Plan

_log = logs.get("broadcast")
_LANE_OF = {topic.name: lane for lane, topic in LANE_TOPICS.items()}
PLAN = Plan(
    group="broadcast",
    inputs=(MESSAGE_REQUESTED, BROADCAST_COMMAND, *LANE_TOPICS.values(), RECEIPT),
    logs=(MESSAGE_STATUS,),
    dead=BROADCAST_DEAD,
    tables=(OPT_OUT, RESTORATION),
)

_SWEEP_S = 0.5
_YIELD_EVERY = 100


class Partition:
    """The work of one partition."""

    def __init__(self, context: Context, desk: Desk) -> None:
        self._context = context
        self._desk = desk
        self._books = Books()
        self._answers = Answers(self._books)
        self._tally = Tally()
        # By campaign, the turn in which its counts were given to the view.
        self._counts_told: dict[str, int] = {}
        self._part = desk.part(context.partition, self._books, self._tally)
        self._rerouting = Rerouting(desk.keyring, desk.routes, desk.sender.shares)
        self._sending = Sending(
            desk.keyring,
            self._books,
            self._answers,
            self._rerouting,
            self._part.held_back,
            desk.fail,
        )
        self._started = False
        self._stopping = False
        self._admission: Admission
        self._shown: shown.Shown
        self._sweeping: asyncio.Task[None]

    # --- taking over -----------------------------------------------------------------------------

    def fold(self, record: Record) -> None:
        """Takes up the status log and the opt-outs."""
        if record.topic == OPT_OUT.name:
            self._books.take_opt_out(record)
            return
        if record.topic == RESTORATION.name:
            self._books.restorations.take(record.value)
            return
        status = events_pb2.StatusRecord.FromString(record.value or b"")
        for change in status.changes:
            if self._books.messages.fold(change, status.decided_ms, record.offset):
                self._part.folded(change, status.decided_ms)

    def resume(self, topic: str) -> tuple[int, int]:
        """Reading goes on at the committed offset; doing a record twice changes nothing."""
        return (0, NO_EPOCH)

    async def start(self) -> None:
        """The last owner's claims without result become unknown; then sending may begin."""
        desk, number, messages = self._desk, self._context.partition, self._books.messages
        since_ms = now_ms()
        messages.forget(since_ms)
        log = self._context.logs[MESSAGE_STATUS.name]
        self._traces = Traces()
        self._admission = Admission(desk, self._books, number, log.epoch, since_ms)
        upto = await shown.written_up_to(desk.views, number)
        if upto > log.epoch:
            raise Stop(
                f"Redis knows more of partition {number} than Kafka: Kafka was restored from a "
                "backup, and what is queued may have been sent; see runbooks/restore-kafka.md"
            )
        if self._books.restorations.paused:
            _log.warning(
                "Kafka was restored: nothing is sent until somebody resumes, see `mawja restored`",
                partition=number,
            )
        view = desk.view(number, log.epoch, self._everything)
        await view.start()
        self._shown = shown.Shown(view, desk.replies, number, desk.fail)
        oldest = since_ms - shown.TTL_S * 1000
        unwritten = [
            message
            for message in messages.all()
            if message.offset > upto and message.durable_ms >= oldest
        ]
        if unwritten:
            self._shown.written(unwritten, max(message.offset for message in unwritten))
        self._books.status = StatusLog(log, messages, self._written, desk.fail)
        orphans = [next_change(message, UNKNOWN, "takeover") for message in messages.claimed()]
        if orphans:
            await asyncio.shield(self._books.status.put(orphans, hurry=True))
        self._sweeping = asyncio.create_task(self._sweep())
        self._show_pause()
        self._started = True
        self._part.start(self._counts_shown)
        desk.sender.add(self)

    def _everything(self) -> Iterator[Item]:
        oldest = now_ms() - shown.TTL_S * 1000
        messages = self._books.messages
        # Copies of the lists: the view is written piece by piece, and things go on meanwhile.
        for message in list(messages.all()):
            if message.offset >= 0 and message.durable_ms >= oldest:
                yield shown.item(message)
        for waiting in self._books.lanes:
            if messages.get(waiting.message.message_id) is None:
                yield self._admission.queued_item(waiting.message)
        yield from self._tally.items(self._context.partition, list(self._tally.campaigns))

    # --- giving up -------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Waits for the answers to what was sent, writes them, and decides nothing more."""
        self._stopping = True
        self._sending.end()
        if not self._started:
            return
        # Whoever takes over says it then.
        metrics.SENDING_PAUSED.remove(str(self._context.partition))
        self._desk.sender.remove(self)
        await self._part.stop()
        await stop.cancelled([self._sweeping])
        await self._sending.drain()
        await self._books.status.close()
        await self._shown.stop()

    # --- reading ---------------------------------------------------------------------------------

    def wants(self, topic: str) -> bool:
        """A lane whose memory is full is read no further; the others are."""
        lane = _LANE_OF.get(topic)
        return lane is None or not self._books.lanes.full(lane)

    def committable(self, topic: str, offset: int) -> int:
        """Lanes: up to the first message that is not settled. Receipts: up to the first that
        still waits for its message. Everything else is done when `work` returns."""
        held = self._books.held.get(topic)
        return offset if held is None else held.up_to(offset)

    async def work(self, records: Sequence[Record]) -> None:
        """Judges requests, fills lanes, applies receipts and opt-outs."""
        turn = Turn()
        for count, record in enumerate(records, start=1):
            try:
                await self._take(record, turn)
            except (Poison, DecodeError) as error:
                why = str(error) if isinstance(error, Poison) else "not what its topic holds"
                turn.dead.append(self._context.dead(record, why))
            if count % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        if turn.stopped:
            self._books.end(self._books.lanes.remove_people(turn.stopped), "opt-out")
        await acknowledged(turn.sent)
        for future in (*turn.decided, *turn.dead):
            await asyncio.shield(future)
        self._shown.queued(turn.items, turn.replies)
        self._desk.sender.wake()

    async def _take(self, record: Record, turn: Turn) -> None:
        value, source = record.value or b"", source_of(record)
        if source != record.topic and (source in _LANE_OF or source == RECEIPT.name):
            # Through its own topic, where its place is held until it is settled: a message that
            # stands there twice is sent once, and a receipt counts once.
            turn.sent.append(
                await self._desk.producer.send(
                    BY_NAME[source], record.partition, value, key=record.key
                )
            )
        elif source in _LANE_OF:
            traceparent = trace.of(record.headers)
            if traceparent is not None:
                queued = events_pb2.QueuedMessage.FromString(value)
                self._traces.begin(queued.message_id, traceparent)
            self._admission.lane(record, turn)
        elif source == RECEIPT.name:
            await self._receipts(events_pb2.Receipt.FromString(value), record.offset, turn)
        elif source == OPT_OUT.name:
            person = self._books.take_opt_out(record)
            if person is not None:
                turn.stopped.add(person)
        elif source == RESTORATION.name:
            if self._books.restorations.take(value):
                _log.info("sending was resumed", partition=self._context.partition)
            self._show_pause()
        elif source == MESSAGE_REQUESTED.name:
            await self._admission.request(record, turn)
        else:
            command = events_pb2.BroadcastCommand.FromString(value)
            await self._admission.command(command, turn)

    async def _receipts(self, record: events_pb2.Receipt, offset: int, turn: Turn) -> None:
        """Takes the receipts of the record at `offset`; one that is damaged keeps back no other.
        Raises Poison."""
        damaged: Poison | None = None
        for receipt in receipts_in(record):
            try:
                decided = self._answers.receive(receipt, offset)
            except Poison as error:
                damaged = error
                continue
            if decided is not None:
                turn.decided.add(decided)
        if record.receipts:
            await asyncio.sleep(0)
        if damaged is not None:
            raise damaged

    def _show_pause(self) -> None:
        paused = metrics.SENDING_PAUSED.labels(str(self._context.partition))
        paused.set(self._books.restorations.paused)

    def _show_counts(self) -> None:
        changed, self._tally.changed = self._tally.changed, set()
        if changed:
            turn = self._shown.queued(self._tally.items(self._context.partition, changed), ())
            self._counts_told.update(dict.fromkeys(changed, turn))

    def _counts_shown(self, campaign_id: str) -> bool:
        """Whether the view has the counts of a campaign as they are now."""
        told = self._counts_told.get(campaign_id, 0)
        return campaign_id not in self._tally.changed and self._shown.has(told)

    async def _sweep(self) -> None:
        try:
            while True:
                await asyncio.sleep(_SWEEP_S)
                now = now_ms()
                self._books.end(self._books.lanes.expire(now), "expired")
                self._answers.sweep(now)
                self._books.messages.forget(now)
                self._show_counts()
                await self._shown.keep()
        except Exception as error:
            self._desk.fail(error)

    # --- what the sender and the carriers ask ----------------------------------------------------

    def count(self, lane: Lane) -> int:
        """Messages of a lane that wait in memory."""
        return self._books.lanes.count(lane)

    def waits(self, lane: Lane, carrier: str) -> bool:
        """Whether a queue has a message."""
        return self._books.lanes.first(lane, carrier) is not None

    def wake(self, now_s: float) -> None:
        """Brings back what was put off until now."""
        self._books.lanes.away = self._desk.sender.away
        self._rerouting.left = LOOKED_UP
        self._books.lanes.wake(now_s)

    def next_due(self, lane: Lane, carrier: str) -> Waiting | None:
        """The next message of a queue that may go."""
        lanes, rerouting = self._books.lanes, self._rerouting
        if self._books.restorations.paused:
            return None
        while (waiting := lanes.first(lane, carrier)) is not None:
            if self._part.held_back(waiting.message):
                # Its audience has it still.
                lanes.take(lane, carrier)
                continue
            reason = self._books.forbidden(waiting.message)
            if reason:
                lanes.take(lane, carrier)
                self._books.end([waiting], reason)
            elif rerouting.settled(waiting):
                return waiting
            elif rerouting.left <= 0:
                # In the next round: whether it may go here has to be looked up.
                return None
            elif other := rerouting.better(waiting):
                lanes.take(lane, carrier)
                waiting.carrier = other
                lanes.add(waiting)
        return None

    def reroute(self, lane: Lane, carrier: str, most: int) -> int:
        """Gives messages of a queue to other carriers, where its own is not well."""
        self._rerouting.left = most
        self._books.lanes.move(lane, carrier, self._rerouting.better)
        return most - self._rerouting.left

    def take(self, lane: Lane, carrier: str) -> Waiting:
        """Takes out the message that `next_due` gave."""
        return self._books.lanes.take(lane, carrier)

    def send(self, out: Out, batch: list[Waiting]) -> None:
        """Claims and sends `batch`."""
        self._sending.send(out, batch)

    def late(self, carrier: str, person: bytes, answer: LateAnswer) -> None:
        """The carrier answered after its message had become unknown."""
        if self._started and not self._stopping:
            self._answers.late(carrier, person, answer)

    # --- after the log has it --------------------------------------------------------------------

    def _written(self, decided: Sequence[Decided], decided_ms: int, offset: int) -> None:
        self._shown.written([one.message for one in decided], offset)
        self._tally.through = offset
        for one in decided:
            self._part.written(one.change, decided_ms)
            _MESSAGES.inc(one.change.lane, one.change.state)
            self._books.settled(one.change)
            self._traces.changed(one.change)


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
