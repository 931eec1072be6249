"""Records that nobody can read: one in a hundred, and then nothing else."""

import random
from collections import Counter
from pathlib import Path

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup_pb2

from services.runtime.own import Record
from services.runtime.scan import Lag, Scan
from services.runtime.topics import (
    BROADCAST_COMMAND,
    BROADCAST_DEAD,
    CALL_EVENT,
    CAMPAIGN_COMMAND,
    CASE,
    CONTACT_ACCEPTED,
    DEDUP_COMMAND,
    DEDUP_DEAD,
    INBOUND_MESSAGE,
    INTAKE_DEAD,
    MESSAGE_REQUESTED,
    OUTREACH_DEAD,
    QUEUED_NORMAL,
    RECEIPT,
    Topic,
)
from tests.faults.stage import Size, Stage, stage
from tests.faults.table import Row

pytestmark = pytest.mark.faults
PARTITIONS = 8
LIMIT = 150
READ_BY = {
    CONTACT_ACCEPTED: ("dedup", DEDUP_DEAD),
    CALL_EVENT: ("dedup", DEDUP_DEAD),
    DEDUP_COMMAND: ("dedup", DEDUP_DEAD),
    CASE: ("outreach", OUTREACH_DEAD),
    MESSAGE_REQUESTED: ("broadcast", BROADCAST_DEAD),
    BROADCAST_COMMAND: ("broadcast", BROADCAST_DEAD),
    QUEUED_NORMAL: ("broadcast", BROADCAST_DEAD),
    RECEIPT: ("broadcast", BROADCAST_DEAD),
    CAMPAIGN_COMMAND: ("broadcast-campaigns", BROADCAST_DEAD),
    INBOUND_MESSAGE: ("intake", INTAKE_DEAD),
}
"""Every topic that a worker reads, by which group, and where that sets aside what it can't read."""
FLOODED = (CONTACT_ACCEPTED, CASE, RECEIPT, INBOUND_MESSAGE)
"""One topic of each worker."""


def garbage(rng: random.Random) -> bytes:
    """Bytes that are no message: a field of wire type 7, which protobuf does not have."""
    return b"\x0f" + rng.randbytes(rng.randrange(0, 200))


class Dead:
    """The dead letters, by the topic that they came from."""

    def __init__(self, kafka: str) -> None:
        self.of: Counter[str] = Counter()
        self.at: Counter[tuple[str, int]] = Counter()
        topics = [INTAKE_DEAD, DEDUP_DEAD, OUTREACH_DEAD, BROADCAST_DEAD]
        with Scan(kafka, topics) as scan:
            scan.advance(self._take)

    def _take(self, record: Record) -> None:
        letter = common_pb2.DeadLetter.FromString(record.value or b"")
        self.of[letter.topic] += 1
        self.at[record.topic, record.partition] += 1


def decided(kafka: str) -> tuple[Counter[str], Counter[str]]:
    """What stands in dedup's inputs, and what dedup has decided on, by topic."""
    read: Counter[str] = Counter()
    made: Counter[str] = Counter()

    def take(record: Record) -> None:
        if record.topic == CASE.name:
            made[dedup_pb2.CaseDecision.FromString(record.value or b"").input.topic] += 1
        else:
            read[record.topic] += 1

    with Scan(kafka, [CONTACT_ACCEPTED, CALL_EVENT, CASE]) as scan:
        scan.advance(take)
    return read, made


def flood(on: Stage, topic: Topic, partition: int, count: int) -> int:
    """Writes only garbage into a partition; gives the offset of the first."""
    producer = KafkaProducer(bootstrap_servers=on.parts.kafka, acks="all")
    try:
        sent = [
            producer.send(topic.name, partition=partition, value=garbage(on.rng))
            for _ in range(count)
        ]
        producer.flush(30)
        return min(int(future.get(10).offset) for future in sent)
    finally:
        producer.close()


def committed(kafka: str, group: str, topic: Topic, partition: int) -> int:
    """How far a group has committed a partition; 0: it never had anything there to commit."""
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    try:
        offsets = admin.list_group_offsets({group: None})[group]
        found = offsets.get(TopicPartition(topic.name, partition))
        return 0 if found is None else int(found.offset)
    finally:
        admin.close()


@pytest.mark.timeout(300)
@pytest.mark.row(
    "1 % poison records, then 100 %",
    must="in = processed + dead-lettered; stops at the limit, commits nothing past it, says so",
)
def test_poison(row: Row, size: Size, seed: int, tmp_path: Path) -> None:
    each = size.calls // 100
    env = {"MAWJA_DEAD_LETTER_LIMIT": str(LIMIT)}
    with stage(tmp_path, calls=size.calls, over_s=size.over_s, seed=seed, env=env) as on:
        kafka = on.parts.kafka

        def poison() -> None:
            producer = KafkaProducer(bootstrap_servers=kafka, acks="all")
            moments = sorted(on.rng.uniform(1, size.over_s - 1) for _ in range(each))
            for moment in moments:
                on.sleep_until(moment)
                for topic in READ_BY:
                    partition = on.rng.randrange(PARTITIONS)
                    producer.send(topic.name, partition=partition, value=garbage(on.rng))
            producer.flush(30)
            producer.close()

        report = on.surge(poison)
        lag = Lag(kafka)
        on.wait(
            lambda: all(lag.of(group, [topic]) == 0 for topic, (group, _) in READ_BY.items()),
            30,
            "everything is read",
        )
        lag.close()
        dead = Dead(kafka)
        row.figure("poison", each * len(READ_BY))
        row.same("dead letters", sum(dead.of.values()), each * len(READ_BY))
        assert dead.of == Counter({topic.name: each for topic in READ_BY})
        read, made = decided(kafka)
        for topic in (CONTACT_ACCEPTED, CALL_EVENT):
            assert read[topic.name] == made[topic.name] + dead.of[topic.name]
        assert report["crashes"] == []
        row.account(report, allowed=("set aside",))

        # Nothing but poison, more than the limit, for one partition of each worker.
        stopped = 0
        for partition, topic in enumerate(FLOODED):
            group, dead_topic = READ_BY[topic]
            before = dead.at[dead_topic.name, partition]
            first = flood(on, topic, partition, LIMIT + 50)
            replica = on.replica(group)
            ends = len(replica.process.exits)
            on.wait(lambda: len(replica.process.exits) >= ends + 2, 60, f"{group} stops, twice")  # noqa: B023
            said = replica.process.child.log.read_text()
            assert "MAWJA_DEAD_LETTER_LIMIT" in said, f"{group} does not say why it stops"
            found = Dead(kafka).at[dead_topic.name, partition]
            assert found == LIMIT, f"{group}: {found} dead letters"
            at = committed(kafka, group, topic, partition)
            assert at <= first + LIMIT - before, f"{group} committed past the limit"
            stopped += 1
        row.same("workers that stopped at the limit", stopped, len(FLOODED))
