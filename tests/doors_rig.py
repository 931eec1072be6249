"""The whole system behind its doors, what was thrown at it, and the account of that: each record
that was given is found again, done or set aside."""

import contextlib
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
import yaml
from kafka import KafkaConsumer, TopicPartition
from mawja.broadcast.v1 import events_pb2 as broadcast
from mawja.common.v1 import common_pb2 as common
from mawja.intake.v1 import service_pb2 as intake
from mawja.intake.v1 import service_pb2_grpc as intake_grpc
from mawja.outreach.v1 import events_pb2 as outreach

from services.local.progress import Silent
from services.local.system import System, token
from services.runtime import rpc, topics
from services.runtime.errors import Poison
from services.runtime.identity import Role
from services.runtime.own import Record
from services.runtime.privacy import Keyring
from services.runtime.scan import Scan
from services.runtime.topics import Topic, partition_of
from services.tools.local import make_parts, make_system
from tests.broadcast_rig import wait_until
from tests.garbage import MadCentre

PARTITIONS = 2
READ: dict[str, tuple[Topic, ...]] = {
    "intake": (topics.INBOUND_MESSAGE,),
    "dedup": (topics.CONTACT_ACCEPTED, topics.CALL_EVENT, topics.DEDUP_COMMAND),
    "outreach": (topics.CASE,),
    "broadcast": (
        topics.MESSAGE_REQUESTED,
        topics.BROADCAST_COMMAND,
        topics.QUEUED_URGENT,
        topics.QUEUED_NORMAL,
        topics.QUEUED_BULK,
        topics.RECEIPT,
    ),
    "broadcast-campaigns": (topics.CAMPAIGN_COMMAND,),
}
"""What the workers read, record by record: by their consumer groups."""
DEAD = {
    "intake": topics.INTAKE_DEAD,
    "dedup": topics.DEDUP_DEAD,
    "outreach": topics.OUTREACH_DEAD,
    "broadcast": topics.BROADCAST_DEAD,
    "broadcast-campaigns": topics.BROADCAST_DEAD,
}
ALSO = (
    topics.TALLY,
    topics.OPT_OUT,
    topics.CALLBACK,
    topics.MESSAGE_STATUS,
    topics.CAMPAIGN,
    topics.AUDIENCE,
    topics.SUBSCRIPTION,
)
"""What else somebody reads: wave, and broadcast its tables and the files of recipients, outside of
the accounts; logs when their owners take over, and those who watch."""


@dataclass(frozen=True, slots=True)
class Given:
    """A record of garbage. `certain`: no version can read it."""

    topic: str
    partition: int
    offset: int
    value: bytes
    certain: bool


@dataclass(slots=True)
class Doors:
    """The whole system, with everything that was thrown at it."""

    system: System
    mad: MadCentre
    keyring: Keyring
    given: list[Given] = field(default_factory=list)
    sent: int = 0

    def numbers(self) -> list[str]:
        """A synthetic mobile in each partition, not used before."""
        found: dict[int, str] = {}
        while len(found) < PARTITIONS:
            self.sent += 1
            number = f"+9995{self.sent:08}"
            found.setdefault(partition_of(self.keyring.person(number), PARTITIONS), number)
        return list(found.values())

    def contact(self, number: str) -> None:
        """A person writes; intake must take it."""
        metadata = rpc.bearer(token(self.system.keys, "door", Role.LOAD_TESTER))
        request = intake.SubmitContactRequest(
            contact=intake.Contact(
                source="door",
                idempotency_key=number,
                channel=common.CHANNEL_SMS,
                agency="moh",
                number=number,
                text="help",
                event_ms=int(time.time() * 1000),
                drill=True,
            )
        )
        with grpc.insecure_channel(self.system.target("intake")) as channel:
            stub = intake_grpc.IntakeServiceStub(channel)

            def taken() -> bool:
                try:
                    stub.SubmitContact(request, metadata=metadata, timeout=30, wait_for_ready=True)
                except grpc.RpcError as error:
                    # Told to come again, as after a flush.
                    if error.code() is grpc.StatusCode.UNAVAILABLE:
                        return False
                    raise
                return True

            wait_until(taken, 60, 0.2)

    def whole_way(self) -> None:
        """In each partition somebody writes, and the answer is on their phone."""
        people = {self.keyring.person(number) for number in self._write()}
        delivered: set[bytes] = set()

        def take(record: Record) -> None:
            for change in broadcast.StatusRecord.FromString(record.value or b"").changes:
                if change.state == broadcast.MESSAGE_STATE_DELIVERED:
                    delivered.add(change.person)

        with Scan(self.system.parts.kafka, [topics.MESSAGE_STATUS]) as scan:

            def all_delivered() -> bool:
                scan.advance(take)
                return people <= delivered

            wait_until(all_delivered, 120, 0.2)

    def _write(self) -> list[str]:
        numbers = self.numbers()
        for number in numbers:
            self.contact(number)
        return numbers

    def exits(self) -> dict[str, list[int]]:
        """The exit codes of every process that has ended."""
        return {
            replica.name: [ended.code for ended in replica.process.exits]
            for replica in self.system.running
            if replica.process.exits
        }

    def nobody_died(self) -> None:
        assert self.exits() == {}
        assert self.system.crashes == []
        for replica in self.system.running:
            said = replica.process.child.log.read_text()
            for sign in ("Traceback", "nobody foresaw", "was destroyed but it is pending"):
                assert sign not in said, f"{replica.name}:\n{said[-3000:]}"


@contextlib.contextmanager
def standing(home: Path) -> Iterator[Doors]:
    """The whole system on parts of its own in `home`; its second carrier is the mad one."""
    mad = MadCentre()
    try:
        with make_parts(home, brokers=1, profile="default", progress=Silent()) as parts:
            system = make_system(parts)
            carriers = home / "carriers.yaml"
            file = yaml.safe_load(carriers.read_text())
            second = {**file["carriers"][0], "name": "mad", "port": mad.server_address[1]}
            carriers.write_text(yaml.safe_dump({**file, "carriers": [*file["carriers"], second]}))
            system.env = {**system.env, "MAWJA_DEAD_LETTER_LIMIT": "100000"}
            try:
                system.start(partitions=PARTITIONS)
                made = Doors(system, mad, Keyring(system.keys))
                made.whole_way()
                yield made
            finally:
                system.stop()
    finally:
        mad.end()


def said(doors: Doors, room: str) -> dict[str, float]:
    """What the metrics of a room, or of the room of a group, say now."""
    address = doors.system.metrics_urls()[f"{room.partition('-')[0]}-0"]
    text = urllib.request.urlopen(address).read().decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def all_read(doors: Doors, group: str, read: Sequence[Topic]) -> bool:
    """Whether the worker has been through all that its topics hold."""
    counted = said(doors, group)
    consumer = KafkaConsumer(bootstrap_servers=doors.system.parts.kafka)
    try:
        for topic in read:
            places = [TopicPartition(topic.name, p) for p in range(PARTITIONS)]
            held = sum(consumer.end_offsets(places).values())
            done = f'mawja_worker_records_total{{group="{group}",topic="{topic.name}"}}'
            if counted.get(done, 0) < held:
                return False
        return True
    finally:
        consumer.close()


def account(doors: Doors) -> None:
    """What was set aside is what was given, each once; and all of it that cannot be read."""
    given = {(one.topic, one.partition, one.offset): one for one in doors.given}
    for group, read in READ.items():
        letters: list[common.DeadLetter] = []
        names = {topic.name for topic in read}

        def take(
            record: Record,
            letters: list[common.DeadLetter] = letters,
            names: set[str] = names,
        ) -> None:
            letter = common.DeadLetter.FromString(record.value or b"")
            # Two groups of a room have one topic for theirs.
            if letter.topic in names:
                letters.append(letter)

        with Scan(doors.system.parts.kafka, [DEAD[group]]) as scan:
            scan.advance(take)
        aside = Counter((one.topic, one.partition, one.offset) for one in letters)
        assert max(aside.values()) == 1, "set aside twice"
        for letter in letters:
            one = given.get((letter.topic, letter.partition, letter.offset))
            if one is None:
                follows_from_garbage(doors, letter)
            else:
                assert one.value == letter.value
        certain = {at for at, one in given.items() if one.certain and one.topic in names}
        assert certain <= aside.keys(), f"{group} lost {len(certain - aside.keys())}"
        told = said(doors, group)[f'mawja_worker_dead_letters_total{{group="{group}"}}']
        assert told == len(letters)
    damaged = [one for one in doors.given if one.certain and one.topic == topics.TALLY.name]
    assert said(doors, "wave")['mawja_wave_tallies_total{outcome="damaged"}'] >= len(damaged)


def follows_from_garbage(doors: Doors, letter: common.DeadLetter) -> None:
    """A spoilt number goes through rooms that cannot open it, up to the one that must; and a mad
    centre brings messages from what is no number."""
    if letter.topic == topics.INBOUND_MESSAGE.name:
        assert broadcast.InboundMessage.FromString(letter.value).carrier == "mad"
        return
    assert letter.topic == topics.MESSAGE_REQUESTED.name, f"set aside what was right: {letter}"
    request = outreach.MessageRequested.FromString(letter.value)
    with pytest.raises(Poison):
        doors.keyring.unseal("number", request.sealed_number)
