"""A room's worker: owns partitions, folds their logs, works through their inputs, then commits.

For every partition number p that the group gives this replica, the worker holds partition p of all
the room's input topics together (range assignment, same counts). Taking over p means: append owner
markers to the room's logs, fold the logs, read the tables (compacted topics) whole, then work.
Offsets are committed only after the effects of the records below them; auto-commit is off.

What a room decides lives in its `PartitionWork`, which never sees a consumer.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from mawja.common.v1 import common_pb2

from services.runtime import log, metrics, stop
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.config import Settings
from services.runtime.errors import Away, MawjaError, Poison, Stop
from services.runtime.own import NO_EPOCH, Epochs, LogReader, OwnedLog, Record, admitted, counted
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import BY_NAME, Topic

_log = log.get("worker")
_POLL_INTERVAL_MS = 120_000
_SESSION_MS = 10_000
_FINISH_S = 15.0
_IDLE_S = 0.5
_COMMIT_S = 10.0
_LEAVE_S = 10.0
"""How long the records in hand may take once the worker was asked to stop."""


class PartitionWork(Protocol):
    """What a room does with one partition while it owns it."""

    def fold(self, record: Record) -> None:
        """Takes up one record of the room's own logs or tables. In order within a topic; pure."""

    def resume(self, topic: str) -> tuple[int, int]:
        """(offset, epoch) at which reading `topic` must go on, from what was folded; (0, NO_EPOCH)
        when the logs do not say. The group's committed offset is used when it is higher."""

    async def start(self) -> None:
        """Folding is over: settle what the last owner left, bring views up to date."""

    async def work(self, records: Sequence[Record]) -> None:
        """Decides and effects `records` (markers and void records are left out). When it returns,
        their effects are done, but for what `committable` holds back."""

    def committable(self, topic: str, offset: int) -> int:
        """How far (at most `offset`) the input `topic` may be committed now."""

    def wants(self, topic: str) -> bool:
        """Whether more records of `topic` are welcome; False pauses reading it."""

    async def stop(self) -> None:
        """The partition is being given up; nothing may be decided after this returns."""


@dataclass(slots=True)
class Context:
    """What a partition's work is given."""

    partition: int
    logs: Mapping[str, OwnedLog]
    committed: Mapping[str, int]
    dead: Callable[[Record, str], "asyncio.Future[None]"]


@dataclass(slots=True)
class _Owned:
    work: PartitionWork
    positions: dict[str, int] = field(default_factory=dict)
    committed: dict[str, int] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Plan:
    """The topics of one room's worker."""

    group: str
    inputs: tuple[Topic, ...]
    logs: tuple[Topic, ...]
    dead: Topic
    tables: tuple[Topic, ...] = ()
    max_records: int = 2000


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
        self._settings = settings
        self._plan = plan
        self._producer = producer
        self._make = make
        self._replica = replica
        self._reader = LogReader(settings.kafka, f"{plan.group}-reader")
        self._owned: dict[int, _Owned] = {}
        self._epochs = {topic.name: Epochs() for topic in plan.inputs if topic.log}
        self._dead_depth: dict[int, int] = {}
        # Held while records are worked through and while partitions change hands.
        self._busy = asyncio.Lock()
        self._failure: BaseException | None = None
        # Raised when partitions change hands: what was read before belongs to nobody any more.
        self._generation = 0
        # What is being worked on did not end well: no position may be committed.
        self._broken = False
        self._leaving = False
        self._takeover: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._assigned_once = asyncio.Event()
        self._consumer: AIOKafkaConsumer[bytes, bytes] = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka,
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
            [topic.name for topic in (*self._plan.inputs, *self._plan.tables)], listener=listener
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
                if self._takeover is not None:
                    await stop.cancelled([self._takeover])
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
            if generation != self._generation:
                self._read_again(batches)
                return
            by_partition: dict[int, list[Record]] = defaultdict(list)
            for tp, records in batches.items():
                if tp.partition not in self._owned or not records:
                    continue
                for record in records:
                    if await self._counts(record):
                        by_partition[tp.partition].append(record)
                metrics.RECORDS.labels(self._plan.group, tp.topic).inc(len(records))
                age = now_ms() - records[-1].timestamp
                metrics.OLDEST_MS.labels(self._plan.group).set(max(0, age) / 1000)
            if by_partition:
                await _all(
                    self._owned[partition].work.work(records)
                    for partition, records in by_partition.items()
                )
            # Not before: a position says what is done.
            for tp, records in batches.items():
                owned = self._owned.get(tp.partition)
                if owned is not None and records:
                    owned.positions[tp.topic] = records[-1].offset + 1
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

    async def _counts(self, record: Record) -> bool:
        epochs = self._epochs.get(record.topic)
        if epochs is None:
            return True
        try:
            return admitted(epochs, record)
        except Poison as error:
            await self._set_aside(record, str(error))
            return False

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

    async def _commit(self, partitions: Mapping[int, _Owned]) -> None:
        offsets: dict[TopicPartition, OffsetAndMetadata] = {}
        for partition, owned in partitions.items():
            for topic, position in owned.positions.items():
                if topic not in self._input_names:
                    continue
                offset = owned.work.committable(topic, position)
                if offset <= owned.committed.get(topic, -1):
                    continue
                epochs = self._epochs.get(topic)
                epoch = epochs.epoch(partition) if epochs else NO_EPOCH
                # The epoch at `offset` may be lower than the one at `position`: then void records
                # between the two would be let through after a restart, so commit no epoch ahead.
                metadata = str(epoch) if offset == position else ""
                if epochs and not metadata:
                    continue
                offsets[TopicPartition(topic, partition)] = OffsetAndMetadata(offset, metadata)
        if not offsets:
            return
        try:
            # By itself it waits for as long as Kafka is away.
            await asyncio.wait_for(self._consumer.commit(offsets), _COMMIT_S)
        except (CommitFailedError, IllegalStateError) as error:
            # The group has moved on; the next owner does these records again: no harm.
            _log.info("commit refused: the partitions have moved", error=type(error).__name__)
            return
        except (KafkaError, TimeoutError) as error:
            _log.warning("commit did not go through; it is tried again", error=type(error).__name__)
            return
        for tp, committed in offsets.items():
            partitions[tp.partition].committed[tp.topic] = committed.offset

    @property
    def _input_names(self) -> set[str]:
        return {topic.name for topic in self._plan.inputs}

    # Partitions change hands.

    async def _take(self, assigned: set[TopicPartition]) -> None:
        partitions = sorted({tp.partition for tp in assigned} - set(self._owned))
        started = monotonic_s()
        async with self._changing_hands():
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
        plan = self._plan
        committed = await asyncio.to_thread(self._committed, partitions)
        logs = {
            (topic, p): OwnedLog(self._producer, self._reader, topic, p)
            for topic in plan.logs
            for p in partitions
        }
        await _all(owned_log.acquire(self._replica) for owned_log in logs.values())
        for partition, depth in (await self._reader.depth(plan.dead, partitions)).items():
            self._dead_depth[partition] = depth
        works = {
            p: self._make(
                Context(
                    partition=p,
                    logs={topic.name: logs[topic, p] for topic in plan.logs},
                    committed={name: offset for name, (offset, _) in committed[p].items()},
                    dead=self._dead,
                )
            )
            for p in partitions
        }
        table_ends = {
            (topic, p): end
            for topic in plan.tables
            for p, end in (await self._reader.end(topic, partitions)).items()
        }
        spans = {key: (0, owned_log.epoch) for key, owned_log in logs.items()}
        spans |= {key: (0, end) for key, end in table_ends.items()}
        epochs = {topic.name: Epochs() for topic in plan.logs}

        def fold(record: Record) -> None:
            of_log = epochs.get(record.topic)
            if of_log is None or counted(of_log, record):
                works[record.partition].fold(record)

        await self._reader.read_many(spans, fold)
        for p, work in works.items():
            owned = _Owned(work)
            for topic in plan.inputs:
                offset, epoch = max(
                    committed[p].get(topic.name, (0, NO_EPOCH)), work.resume(topic.name)
                )
                self._consumer.seek(TopicPartition(topic.name, p), offset)
                owned.positions[topic.name] = offset
                if topic.name in self._epochs:
                    self._epochs[topic.name].start(p, epoch)
            for topic in plan.tables:
                self._consumer.seek(TopicPartition(topic.name, p), table_ends[topic, p])
                owned.positions[topic.name] = table_ends[topic, p]
            self._owned[p] = owned
        await _all(work.start() for work in works.values())

    def _committed(self, partitions: Sequence[int]) -> dict[int, dict[str, tuple[int, int]]]:
        """(offset, epoch) committed by the group, by partition and topic."""
        # aiokafka hands back no metadata of a commit; the administrative client does.
        from kafka.admin import KafkaAdminClient
        from kafka.errors import KafkaError as AdminError

        try:
            # In a thread that cannot be stopped: the process waits for it when it ends.
            admin = KafkaAdminClient(
                bootstrap_servers=self._settings.kafka,
                bootstrap_timeout_ms=10_000,
                request_timeout_ms=10_000,
            )
            try:
                found = admin.list_group_offsets({self._plan.group: None})[self._plan.group]
            finally:
                admin.close()
        except AdminError as error:
            raise Away(f"Kafka does not tell offsets: {type(error).__name__}") from error
        committed: dict[int, dict[str, tuple[int, int]]] = {p: {} for p in partitions}
        for tp, value in found.items():
            if tp.partition in committed and value.offset >= 0:
                epoch = int(value.metadata) if value.metadata else NO_EPOCH
                committed[tp.partition][tp.topic] = (value.offset, epoch)
        return committed

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
                await _all(owned.work.stop() for owned in leaving.values())
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

    # Dead letters.

    def _dead(self, record: Record, reason: str) -> "asyncio.Future[None]":
        return asyncio.ensure_future(self._set_aside(record, reason))

    async def _set_aside(self, record: Record, reason: str) -> None:
        depth = self._dead_depth.get(record.partition, 0)
        if depth >= self._settings.dead_letter_limit:
            raise Stop(
                f"{self._plan.dead.name} partition {record.partition} holds {depth} dead letters, "
                "the limit (MAWJA_DEAD_LETTER_LIMIT): nothing past here is committed; mend what "
                "writes them, or raise the limit"
            )
        self._dead_depth[record.partition] = depth + 1
        letter = common_pb2.DeadLetter(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            value=record.value or b"",
            reason=reason,
            dead_ms=now_ms(),
        )
        future = await self._producer.send(
            self._plan.dead, record.partition, letter.SerializeToString()
        )
        await acknowledged([future])
        metrics.DEAD_LETTERS.labels(self._plan.group).inc()
        _log.warning("record set aside", topic=record.topic, offset=record.offset, reason=reason)

    async def _watch_lag(self) -> None:
        while True:
            await asyncio.sleep(1)
            for partition, owned in list(self._owned.items()):
                for topic in self._plan.inputs:
                    highwater = self._consumer.highwater(TopicPartition(topic.name, partition))
                    if highwater is not None:
                        behind = highwater - owned.committed.get(
                            topic.name, owned.positions.get(topic.name, 0)
                        )
                        metrics.LAG.labels(self._plan.group, topic.name, partition).set(
                            max(0, behind)
                        )


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Hands partitions to the worker; what goes wrong here ends the worker (aiokafka only logs)."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        try:
            await self._worker._give_up(sorted({tp.partition for tp in revoked}))
        except Exception as error:
            self._worker.fail(_as_ours(error))

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        # A task of its own: with Kafka away it would last, and the process could not end.
        takeover = self._worker._takeover = asyncio.create_task(self._worker._take(assigned))
        await asyncio.wait((takeover,))
        error = None if takeover.cancelled() else takeover.exception()
        if isinstance(error, Exception):
            self._worker.fail(_as_ours(error))


def _as_ours(error: Exception) -> BaseException:
    if isinstance(error, KafkaError):
        away = Away(f"Kafka failed during a takeover: {type(error).__name__}")
        away.__cause__ = error
        return away
    return error


async def _all(tasks: Iterable[Coroutine[object, object, object]]) -> None:
    """Runs them together; when one fails the others are cancelled and awaited."""
    try:
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(task)
    except BaseExceptionGroup as failures:
        # The closed list is told apart by type: a group would hide it.
        first = next((e for e in failures.exceptions if isinstance(e, MawjaError)), None)
        raise first or failures.exceptions[0] from failures


def topic_of(record: Record) -> Topic:
    """The topic of a record, from the one table."""
    return BY_NAME[record.topic]
