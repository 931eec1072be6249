"""What the tests of the dedup room share: a stand-in for intake, callers, and the account of the
room's log and tallies, read from outside."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from kafka.admin import KafkaAdminClient
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2, incidents_pb2, service_pb2_grpc
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.dedup import data
from services.dedup.cases import Cases, Decision
from services.runtime import clock, ids, rpc, topics
from services.runtime.config import Settings
from services.runtime.identity import Role, issue
from services.runtime.own import Epochs, LogReader, Record, admitted
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import (
    CALL_EVENT,
    CASE,
    CONTACT_ACCEPTED,
    DEDUP_COMMAND,
    INCIDENT,
    TALLY,
)
from tests.room_process import Room

INPUTS = (CONTACT_ACCEPTED, CALL_EVENT, DEDUP_COMMAND)
HEALTH = "health"


class Intake:
    """Writes contacts and calls as intake would."""

    def __init__(self, producer: Producer, settings: Settings) -> None:
        self.producer = producer
        self._partitions = settings.partitions
        self.keyring = Keyring(settings.keys)

    def _person(self, number: str) -> bytes:
        return self.keyring.person(number) if number else b""

    def contact(self, name: str, number: str = "", text: str = "", **given: Any) -> bytes:
        now = clock.now_ms()
        fields: dict[str, Any] = {
            "contact_id": ids.contact_id("test", name),
            "source": "test",
            "person": self._person(number),
            "channel": common_pb2.CHANNEL_VOICE,
            "line": "109",
            "agency": HEALTH,
            "drill": True,
            "event_ms": now,
            "accepted_ms": now,
            "sealed_number": self.keyring.seal("number", number, now, self._person(number)),
            "sealed_text": self.keyring.seal("text", text, now, self._person(number)),
            **given,
        }
        return intake_pb2.ContactAccepted(**fields).SerializeToString()

    def call(
        self, name: str, state: int, number: str = "", *, at_ms: int = 0, **given: Any
    ) -> bytes:
        return intake_pb2.CallEvent(
            contact_id=ids.contact_id("test", name),
            person=self.keyring.person(number) if number else b"",
            state=intake_pb2.CallState.ValueType(state),
            event_ms=at_ms or clock.now_ms(),
            accepted_ms=clock.now_ms(),
            **given,
        ).SerializeToString()

    async def send(
        self,
        topic: topics.Topic,
        values: Sequence[bytes],
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> None:
        futures = []
        for value in values:
            key = b""
            if partition is None:
                kind = (
                    intake_pb2.ContactAccepted
                    if topic is CONTACT_ACCEPTED
                    else intake_pb2.CallEvent
                )
                read = kind.FromString(value)
                key = read.person or bytes.fromhex(read.contact_id.replace("-", ""))
            to = topics.partition_of(key, self._partitions) if partition is None else partition
            futures.append(await self.producer.send(topic, to, value, key=key, headers=headers))
        await acknowledged(futures)


@asynccontextmanager
async def writing(settings: Settings) -> AsyncIterator[Intake]:
    """An intake for as long as the block lasts."""
    producer = Producer(settings.kafka, "test-intake")
    await producer.start()
    try:
        yield Intake(producer, settings)
    finally:
        await producer.stop()


@asynccontextmanager
async def calling(
    target: str, settings: Settings, *roles: Role, agency: str = ""
) -> AsyncIterator[tuple[Any, tuple[tuple[str, str], ...]]]:
    """The service, and the metadata of a caller with `roles`."""
    token = issue(settings.keys, "ag-1", frozenset(roles), now=clock.now_ms(), agency=agency)
    async with rpc.channel(target) as channel:
        yield service_pb2_grpc.DedupServiceStub(channel), rpc.bearer(token)


async def worked_through(settings: Settings, room: Room | None = None) -> None:
    """Waits until the group has committed everything: decided, stated, shown."""
    reader = LogReader(settings.kafka, "test-ends")
    partitions = range(settings.partitions)
    ends = {
        (topic.name, p): end
        for topic in INPUTS
        for p, end in (await reader.end(topic, partitions)).items()
        if end
    }
    deadline = time.monotonic() + 60
    while True:
        committed = await asyncio.to_thread(committed_of, settings)
        if all(committed.get(place, 0) >= end for place, end in ends.items()):
            return
        assert time.monotonic() < deadline, (ends, committed, room.said if room else "")
        await asyncio.sleep(0.2)


def committed_of(settings: Settings) -> dict[tuple[str, int], int]:
    """(topic, partition) to what the group has committed there."""
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka)
    try:
        found = admin.list_group_offsets({"dedup": None})["dedup"]
        return {(tp.topic, tp.partition): at.offset for tp, at in found.items()}
    finally:
        admin.close()


async def records_of(
    settings: Settings, topic: topics.Topic, rightful: bool = False
) -> list[Record]:
    """Every record of a topic; `rightful`: without those of past owners and the owners' markers."""
    reader, epochs = LogReader(settings.kafka, "test-records"), Epochs()
    found: list[Record] = []

    def take(record: Record) -> None:
        if not rightful or admitted(epochs, record):
            found.append(record)

    ends = await reader.end(topic, range(settings.partitions))
    await reader.read_many({(topic, p): (0, end) for p, end in ends.items()}, take)
    return found


async def log_of(settings: Settings) -> dict[int, list[tuple[int, Decision, Record]]]:
    """The decisions that count, by partition, with their offsets."""
    found: dict[int, list[tuple[int, Decision, Record]]] = {
        p: [] for p in range(settings.partitions)
    }
    for record in await records_of(settings, CASE, rightful=True):
        decision = Decision.FromString(record.value or b"")
        found[record.partition].append((record.offset, decision, record))
    return found


async def tallies_of(settings: Settings) -> dict[tuple[int, int], events_pb2.Tally]:
    """The tallies as a reader has them: of each bucket the one that counts furthest."""
    found: dict[tuple[int, int], events_pb2.Tally] = {}
    for record in await records_of(settings, TALLY):
        stated = events_pb2.Tally.FromString(record.value or b"")
        before = found.get((stated.partition, stated.bucket_ms))
        if before is None or stated.through_offset >= before.through_offset:
            found[stated.partition, stated.bucket_ms] = stated
    return found


async def incidents_of(settings: Settings) -> list[incidents_pb2.IncidentDecision]:
    """What counts of the log of incidents."""
    log = await records_of(settings, INCIDENT, rightful=True)
    return [incidents_pb2.IncidentDecision.FromString(record.value or b"") for record in log]


async def seen(ask: Callable[[], Any], right: Callable[[Any], bool], within_s: float = 30) -> Any:
    """The answer, once it is right."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            answer = await ask()
        except grpc.aio.AioRpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND):
                raise
            answer = None
        if answer is not None and right(answer):
            return answer
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.2)


async def check_log_and_tallies(settings: Settings) -> dict[int, Cases]:
    """One decision for each input, and tallies as counted from the log alone."""
    log = await log_of(settings)
    stated = await tallies_of(settings)
    states = {}
    for partition, decisions in log.items():
        inputs = [(d.input.topic, d.input.offset) for _, d, _ in decisions]
        assert len(inputs) == len(set(inputs))
        cases = states[partition] = Cases(data.rules())
        for offset, decision, _ in decisions:
            cases.fold(decision, offset)
        counted = {t.bucket_ms: t for t in cases.tallies.every(partition, 0)}
        seen = {bucket: t for (p, bucket), t in stated.items() if p == partition}
        assert seen.keys() == counted.keys()
        for bucket, tally in counted.items():
            assert list(seen[bucket].rows) == list(tally.rows)
            assert seen[bucket].through_offset <= cases.through
    return states


def contact_id(name: str) -> str:
    return ids.contact_id("test", name)


def case_id(name: str) -> str:
    return ids.case_id(contact_id(name))


def numbers(settings: Settings, first: int) -> tuple[str, str]:
    """Two numbers whose people are in different partitions."""
    keyring = Keyring(settings.keys)

    def partition(number: str) -> int:
        return topics.partition_of(keyring.person(number), settings.partitions)

    one = f"+99950{first:07d}"
    others = (f"+99950{first + n:07d}" for n in range(1, 100))
    return one, next(number for number in others if partition(number) != partition(one))
