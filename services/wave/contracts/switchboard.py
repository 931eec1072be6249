"""What is known of every queue: follows what all replicas state, and states what is told here.

`wave.queue-state.v1` is a table of facts that any replica appends to: the last record of a queue is
the truth, and says itself whether its agency's calls go to us, so that all replicas decide alike
and one that starts goes on where the others are. An agency reports through one telephone system,
one report after another; of two in the same moment the one counts that Kafka has last.
"""

import asyncio
import zlib
from collections import defaultdict

from google.protobuf.message import DecodeError
from mawja.intake.v1.events_pb2 import CallEvent
from mawja.wave.v1.contracts_pb2 import QueueCondition, QueueHolder, QueueState

from services.runtime import log, metrics
from services.runtime.clock import Millis, now_ms
from services.runtime.config import Settings
from services.runtime.errors import Away
from services.runtime.own import Record
from services.runtime.produce import Producer, acknowledged
from services.runtime.tail import whole
from services.runtime.topics import CALL_EVENT, QUEUE_STATE
from services.wave.contracts.taking import Queues, overflowing
from services.wave.contracts.terms import Terms
from services.wave.contracts.waiting import LOST_MS, Key, Waiting

_AGENCY = QueueHolder.QUEUE_HOLDER_AGENCY
_CENTRE = QueueHolder.QUEUE_HOLDER_CENTRE
_FULL = QueueCondition.QUEUE_CONDITION_FULL
_PAUSE_S = 1.0
_STATE_S = 1.0
# Our own queues are told again after this long without a change: silence would be a dead centre.
_AGAIN_MS = 20_000
_log = log.get("wave.contracts")

_Name = tuple[str, "QueueHolder.ValueType", bool]


def key_of(queue: QueueState) -> bytes:
    """The Kafka key of a queue: agency|holder|drill."""
    return f"{queue.agency}|{queue.holder}|{int(queue.drill)}".encode()


def state_of(record: Record) -> QueueState | None:
    """The queue that a record tells of; None for one that tells of none."""
    try:
        return QueueState.FromString(record.value) if record.value else None
    except DecodeError:
        return None


class Switchboard:
    """Every queue that is known. Run `follow`, `count` and `state` as tasks."""

    def __init__(
        self,
        terms: Terms,
        settings: Settings,
        producer: Producer,
        replica: str,
        clock: Millis = now_ms,
    ) -> None:
        self.terms = terms
        self._settings = settings
        self._producer = producer
        self._replica = replica
        self._clock = clock
        self._queues: dict[_Name, QueueState] = {}
        self._waiting = Waiting()
        self._locks: defaultdict[_Name, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._counted = False
        self.read = False
        """Whether all that was told of queues is known here, and is being followed."""

    def queues(self, drill: bool) -> list[QueueState]:
        """Every queue, ours first, then by agency."""
        found = [queue for queue in self._queues.values() if queue.drill == drill]
        return sorted(found, key=lambda queue: (-queue.holder, queue.agency))

    def known(self, agency: str, drill: bool) -> Queues:
        """What a call of `agency` is decided by."""
        return Queues(
            agency=self._queues.get((agency, _AGENCY, drill)),
            ours=self._queues.get(("", _CENTRE, drill)),
            read=self.read,
        )

    async def report(self, told: QueueState) -> QueueState:
        """States what an agency tells of its queue, and gives it as it stands then; nothing is
        stated when something later is known. Raises Away when Kafka may not have it."""
        name = (told.agency, _AGENCY, told.drill)
        async with self._locks[name]:
            if not self.read:
                raise Away("what was told before is being read; report again in a moment")
            before = self._queues.get(name)
            if before is not None and told.event_ms < before.event_ms:
                return before
            contract = self.terms.of(told.agency, told.accepted_ms, told.drill)
            if contract is not None and contract.overflow is not None:
                told.overflowing, told.overflowing_since_ms = overflowing(
                    before, told, contract.overflow
                )
            await self._append([told])
        if before is None or before.overflowing != told.overflowing:
            _log.info(
                "an agency's calls go to us" if told.overflowing else "an agency takes its calls",
                agency=told.agency,
                length=told.queue_length,
                drill=told.drill,
            )
        metrics.QUEUE_REPORTS.labels(QueueCondition.Name(told.state)).inc()
        return told

    async def _append(self, queues: list[QueueState]) -> None:
        sent = []
        for queue in queues:
            key = key_of(queue)
            partition = zlib.crc32(key) % self._settings.partitions
            sent.append(
                await self._producer.send(
                    QUEUE_STATE, partition, queue.SerializeToString(), key=key
                )
            )
        await acknowledged(sent)
        for queue in queues:
            self._take(queue)

    def _take(self, queue: QueueState) -> None:
        name = (queue.agency, queue.holder, queue.drill)
        known = self._queues.get(name)
        # What was stated here is known before it is read back.
        if known is None or queue.accepted_ms >= known.accepted_ms:
            self._queues[name] = queue

    async def follow(self) -> None:
        """Follows what every replica states, until cancelled."""
        while True:
            try:
                async for records, read in whole(
                    self._settings, QUEUE_STATE, f"{self._replica}-queues"
                ):
                    for record in records:
                        queue = state_of(record)
                        if queue is not None:
                            self._take(queue)
                    self.read = read
            except Away as error:
                _log.warning("what is told of queues can't be followed", why=str(error))
            self.read = False
            await asyncio.sleep(_PAUSE_S)

    async def count(self) -> None:
        """Follows calls to know who waits with us, until cancelled."""
        while True:
            since = self._clock() - LOST_MS
            self._waiting = Waiting()
            try:
                async for records, read in whole(
                    self._settings, CALL_EVENT, f"{self._replica}-calls", since
                ):
                    for record in records:
                        self._take_call(record)
                    self._counted = read
            except Away as error:
                _log.warning("calls can't be followed", why=str(error))
            self._counted = False
            await asyncio.sleep(_PAUSE_S)

    def _take_call(self, record: Record) -> None:
        try:
            self._waiting.take(CallEvent.FromString(record.value or b""))
        except DecodeError:
            # Dedup, which must not miss one, sets it aside.
            return

    async def state(self) -> None:
        """States our own queues as they change, until cancelled."""
        while True:
            await asyncio.sleep(_STATE_S)
            # Who has read a part only would tell of queues that are not so long.
            if not (self.read and self._counted):
                continue
            now = self._clock()
            self._waiting.forget(now)
            due = [queue for drill in (False, True) for queue in self._ours(drill, now)]
            try:
                await self._append(due)
            except Away as error:
                _log.warning("our queues are not told: Kafka does not take them", why=str(error))

    def _ours(self, drill: bool, now: int) -> list[QueueState]:
        found = []
        for agency in ("", *self.terms.contracts):
            key: Key = (agency, drill)
            known = self._queues.get((agency, _CENTRE, drill))
            length = self._waiting.length(key)
            # What nobody ever waited in needs no word: but the whole centre's, of real calls.
            if known is None and not length and (agency or drill):
                continue
            was_full = known is not None and known.state == _FULL
            state = self._waiting.state(key, self.terms.most, was_full, now)
            same = known is not None and (known.state, known.queue_length) == (state, length)
            if known is not None and same and now - known.accepted_ms < _AGAIN_MS:
                continue
            found.append(
                QueueState(
                    agency=agency,
                    holder=_CENTRE,
                    state=state,
                    queue_length=length,
                    queue_max_length=self.terms.most,
                    event_ms=now,
                    accepted_ms=now,
                    drill=drill,
                )
            )
        return found
