"""A room's worker: works through the inputs of the partitions that it owns, then commits.

For every partition number p that the group gives this replica, the worker holds partition p of all
the room's input topics together (range assignment, same counts). How p is taken over is told in
`takeover`, what is committed in `offsets`, what is set aside and replayed in `dead`. What a room
decides lives in its `PartitionWork`, which never sees a consumer.
"""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError

from services.runtime import kafka_tls, log, metrics, offsets, stop
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.config import Settings
from services.runtime.dead import DeadLetters
from services.runtime.errors import Away, Poison
from services.runtime.offsets import Owned
from services.runtime.oldest import Oldest
from services.runtime.own import Epochs, LogReader, Record, admitted
from services.runtime.produce import Producer
from services.runtime.takeover import Takeover
from services.runtime.tasks import together
from services.runtime.work import Context, PartitionWork, Plan

_log = log.get("worker")
_POLL_INTERVAL_MS = 120_000
_SESSION_MS = 10_000
_FINISH_S = 15.0
"""How long the records in hand may take once the worker was asked to stop."""
_IDLE_S = 0.5
"""The same, when no partition is owned: nothing is in hand."""
_COMMIT_EVERY_S = 0.1
"""While records keep coming. A commit costs as much as very many records; what was done and not
committed is done again by the next owner, and changes nothing."""
_LEAVE_S = 10.0
"""How long leaving the group may take."""


class Worker:
    """Runs a room's partitions on this replica until stopped."""

    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        producer: Producer,
        make: Callable[[Context], PartitionWork],
        replica: str,
    ) -> None:
        self._plan = plan
        reader = LogReader(settings.kafka, f"{plan.group}-reader")
        self._dead = DeadLetters(plan, producer, settings.dead_letter_limit)
        self._taking = Takeover(settings.kafka, plan, producer, reader, make, replica, self._dead)
        self._owned: dict[int, Owned] = {}
        self._oldest = Oldest()
        self._epochs = {topic.name: Epochs() for topic in plan.inputs if topic.log}
        # Held while records are worked through and while partitions change hands.
        self._busy = asyncio.Lock()
        self._failure: BaseException | None = None
        # Raised when partitions change hands: what was read before belongs to nobody any more.
        self._generation = 0
        # What is being worked on did not end well: no position may be committed.
        self._broken = False
        self._leaving = False
        self._committed_s = float("-inf")
        self._takeover: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._assigned_once = asyncio.Event()
        self._consumer: AIOKafkaConsumer[bytes, bytes] = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka,
            **kafka_tls.options(),
            group_id=plan.group,
            client_id=f"{plan.group}-{replica}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            partition_assignment_strategy=[RangePartitionAssignor],
            session_timeout_ms=_SESSION_MS,
            heartbeat_interval_ms=1_000,
            max_poll_interval_ms=_POLL_INTERVAL_MS,
            rebalance_timeout_ms=60_000,
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=1024 * 1024,
            metadata_max_age_ms=60_000,
        )

    @property
    def ready(self) -> bool:
        """Whether this replica has been given its partitions (maybe none) and works."""
        return self._assigned_once.is_set() and self._failure is None

    @property
    def partitions(self) -> list[int]:
        """The partition numbers that this replica owns."""
        return sorted(self._owned)

    def owned(self, partition: int) -> PartitionWork | None:
        """The work of an owned partition, for reading its state within this process."""
        owned = self._owned.get(partition)
        return owned.work if owned else None

    def stop(self) -> None:
        """Asks `run` to finish the records in hand, commit, leave the group and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Works until `stop`. Raises Stop or Away when the process must not go on."""
        listener = _Listener(self)
        self._consumer.subscribe(
            [topic.name for topic in (*self._plan.reads, *self._plan.tables)], listener=listener
        )
        lag = asyncio.create_task(self._watch_lag())
        try:
            try:
                await self._work_until_stopped()
            except BaseException:
                self._broken = True
                raise
            finally:
                # Before leaving the group: afterwards no commit counts.
                self._leaving = True
                await self._take_no_more()
                await self._give_up(list(self._owned))
        finally:
            lag.cancel()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._consumer.stop(), _LEAVE_S)
        if self._failure is not None:
            raise self._failure

    async def _work_until_stopped(self) -> None:
        working = asyncio.create_task(self._steps())
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((working, stopped), return_when=asyncio.FIRST_COMPLETED)
            # What waits for a part that is away must not keep the process from ending.
            await asyncio.wait((working,), timeout=_FINISH_S if self._owned else _IDLE_S)
            if working.done():
                await working
            else:
                self._broken = True
                _log.warning("the next owner does the records in hand", group=self._plan.group)
        finally:
            stopped.cancel()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def _steps(self) -> None:
        # Returns only when the group has given this replica its partitions.
        try:
            await self._consumer.start()
        except KafkaError as error:
            raise Away(f"Kafka does not answer: {type(error).__name__}") from error
        while not self._stopping.is_set():
            await self._step()

    async def _step(self) -> None:
        generation = self._generation
        try:
            batches = await self._consumer.getmany(
                timeout_ms=100, max_records=self._plan.max_records
            )
        except KafkaError as error:
            raise Away(f"Kafka does not give records: {type(error).__name__}") from error
        if self._failure is not None:
            raise self._failure
        async with self._busy:
            if self._failure is not None:
                raise self._failure
            if generation != self._generation:
                self._read_again(batches)
                return
            by_partition: dict[int, list[Record]] = defaultdict(list)
            for tp, records in batches.items():
                if tp.partition not in self._owned or not records:
                    continue
                for record in records:
                    given = await self._to_work_on(record)
                    if given is not None:
                        by_partition[tp.partition].append(given)
                metrics.RECORDS.labels(self._plan.group, tp.topic).inc(len(records))
                self._oldest.worked(tp, records[-1].timestamp)
            if by_partition:
                await together(
                    self._owned[partition].work.work(records)
                    for partition, records in by_partition.items()
                )
            # Not before: a position says what is done.
            for partition, worked in by_partition.items():
                for record in worked:
                    self._owned[partition].given[record.topic] = record.offset + 1
            for tp, records in batches.items():
                owned = self._owned.get(tp.partition)
                if owned is not None and records:
                    owned.positions[tp.topic] = records[-1].offset + 1
            if not by_partition or monotonic_s() - self._committed_s >= _COMMIT_EVERY_S:
                self._committed_s = monotonic_s()
                await self._commit(self._owned)
            self._throttle()

    def _read_again(self, batches: Mapping[TopicPartition, Sequence[Record]]) -> None:
        """Puts reading back to where the work stands. Records that were read while partitions were
        changing hands may stand before it: reading begins at the group's committed offset before a
        takeover can say where."""
        for tp in batches:
            owned = self._owned.get(tp.partition)
            if owned is not None:
                # Refused when they are changing hands once more; then the next owner seeks.
                with contextlib.suppress(IllegalStateError):
                    self._consumer.seek(tp, owned.positions[tp.topic])

    async def _to_work_on(self, record: Record) -> Record | None:
        """What the room is given for a record that was read; None for nothing."""
        if record.topic == self._plan.dead.name:
            replayed = self._dead.replayed(record)
            return None if replayed is None or self._dead.hold(replayed) else replayed
        epochs = self._epochs.get(record.topic)
        try:
            counts = epochs is None or admitted(epochs, record)
        except Poison as error:
            await self._dead.set_aside(record, str(error), foreign=True)
            return None
        return record if counts and not self._dead.hold(record) else None

    def _throttle(self) -> None:
        """Reads on where the work wants more, and stops reading where it does not."""
        for partition, owned in self._owned.items():
            for topic in self._plan.inputs:
                tp = TopicPartition(topic.name, partition)
                if owned.work.wants(topic.name):
                    if topic.name in owned.paused:
                        owned.paused.discard(topic.name)
                        self._consumer.resume(tp)
                elif topic.name not in owned.paused:
                    owned.paused.add(topic.name)
                    self._consumer.pause(tp)

    async def _commit(self, partitions: Mapping[int, Owned]) -> None:
        due = offsets.due(self._plan, self._epochs, partitions)
        await offsets.commit(self._consumer, due, partitions)

    # Partitions change hands.

    async def _take(self, assigned: set[TopicPartition]) -> None:
        whole = len(self._plan.reads) + len(self._plan.tables)
        counts = Counter(tp.partition for tp in assigned)
        # Members of two versions may read different topics while one replaces the other: then a
        # part of a partition may be given to one that does not get the rest.
        partitions = sorted(p for p, n in counts.items() if n == whole and p not in self._owned)
        started = monotonic_s()
        if partitions and not self._leaving:
            await self._take_over(partitions)
            metrics.TAKEOVER_SECONDS.labels(self._plan.group).observe(monotonic_s() - started)
        metrics.PARTITIONS.labels(self._plan.group).set(len(self._owned))
        self._assigned_once.set()
        _log.info(
            "partitions taken over",
            group=self._plan.group,
            partitions=partitions,
            seconds=round(monotonic_s() - started, 3),
        )

    async def _take_over(self, partitions: Sequence[int]) -> None:
        taken = await self._taking.take(partitions)
        async with self._changing_hands():
            for p, one in taken.items():
                for topic, position in one.owned.positions.items():
                    self._consumer.seek(TopicPartition(topic, p), position)
                    self._consumer.resume(TopicPartition(topic, p))
                for topic, epochs in self._epochs.items():
                    epochs.start(p, one.epochs[topic])
                self._owned[p] = one.owned
            try:
                await together(one.owned.work.start() for one in taken.values())
            except Exception as error:
                # Before anybody works on what did not begin.
                self.fail(error)
                raise

    async def _take_no_more(self) -> None:
        if self._takeover is not None:
            await stop.cancelled([self._takeover])
            self._takeover = None

    async def _give_up(self, partitions: Sequence[int]) -> None:
        async with self._changing_hands():
            leaving = {p: self._owned.pop(p) for p in partitions if p in self._owned}
            if not leaving:
                return
            if self._broken or self._failure is not None:
                stopping = [owned.work.stop() for owned in leaving.values()]
                for result in await asyncio.gather(*stopping, return_exceptions=True):
                    if isinstance(result, Exception):
                        _log.warning("giving up failed as well", error=type(result).__name__)
            else:
                await together(owned.work.stop() for owned in leaving.values())
                await self._commit(leaving)
            metrics.PARTITIONS.labels(self._plan.group).set(len(self._owned))
            _log.info("partitions given up", group=self._plan.group, partitions=sorted(leaving))

    @asynccontextmanager
    async def _changing_hands(self) -> AsyncIterator[None]:
        async with self._busy:
            self._generation += 1
            try:
                yield
            finally:
                self._generation += 1

    def fail(self, error: BaseException) -> None:
        """A task of the room failed in a way that must end the process."""
        if self._failure is None:
            self._failure = error

    async def _watch_lag(self) -> None:
        while True:
            await asyncio.sleep(1)
            group, places = self._plan.group, set()
            for partition, owned in list(self._owned.items()):
                for topic in self._plan.reads:
                    place = TopicPartition(topic.name, partition)
                    places.add(place)
                    highwater = self._consumer.highwater(place)
                    if highwater is not None:
                        behind = max(0, highwater - owned.committed[topic.name])
                        metrics.LAG.labels(group, topic.name, partition).set(behind)
                        self._oldest.look(place, behind, now_ms())
            self._oldest.keep(places)
            metrics.OLDEST_S.labels(group).set(self._oldest.age_s(now_ms()))
            waiting = self._dead.waiting(self._owned)
            metrics.DEAD_WAITING.labels(group).set(waiting)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Hands partitions to the worker; what goes wrong here ends the worker (aiokafka only logs)."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        try:
            await self._worker._take_no_more()
            await self._worker._give_up(sorted({tp.partition for tp in revoked}))
        except Exception as error:
            self._worker.fail(_as_ours(error))

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        # Nothing is done with them before they are taken over, so nothing of them need be read.
        self._worker._consumer.pause(*assigned)
        # A task of its own: only when this has returned does aiokafka send heartbeats, and folding
        # the logs of a large campaign takes longer than a session.
        takeover = self._worker._takeover = asyncio.create_task(self._worker._take(assigned))
        takeover.add_done_callback(self._taken)

    def _taken(self, takeover: asyncio.Task[None]) -> None:
        error = None if takeover.cancelled() else takeover.exception()
        if isinstance(error, Exception):
            self._worker.fail(_as_ours(error))


def _as_ours(error: Exception) -> BaseException:
    if isinstance(error, KafkaError):
        away = Away(f"Kafka failed during a takeover: {type(error).__name__}")
        away.__cause__ = error
        return away
    return error
