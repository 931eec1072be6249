"""How far a group has come: reading, deciding and writing its offsets.

An offset is committed only after the effects of the records below it. That of a decision log is
committed together with the epoch that holds there, so that what is void stays void for whoever
goes on from it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata

from services.runtime import kafka_tls, log
from services.runtime.errors import Away
from services.runtime.own import NO_EPOCH, Epochs
from services.runtime.work import PartitionWork, Plan

_log = log.get("worker")
_COMMIT_S = 10.0


@dataclass(slots=True)
class Owned:
    """An owned partition: its work, and by topic how far it was read, given to the work, and
    committed."""

    work: PartitionWork
    positions: dict[str, int] = field(default_factory=dict)
    given: dict[str, int] = field(default_factory=dict)
    committed: dict[str, int] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)


def committed(
    bootstrap: str, group: str, partitions: Sequence[int]
) -> dict[int, dict[str, tuple[int, int]]]:
    """(offset, epoch) committed by the group, by partition and topic. Blocks. Raises Away."""
    # aiokafka hands back no metadata of a commit; the administrative client does.
    from kafka.admin import KafkaAdminClient
    from kafka.errors import KafkaError as AdminError

    try:
        # In a thread that cannot be stopped: the process waits for it when it ends.
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap,
            **kafka_tls.options(),
            bootstrap_timeout_ms=10_000,
            request_timeout_ms=10_000,
        )
        try:
            found = admin.list_group_offsets({group: None})[group]
        finally:
            admin.close()
    except AdminError as error:
        raise Away(f"Kafka does not tell offsets: {type(error).__name__}") from error
    read: dict[int, dict[str, tuple[int, int]]] = {p: {} for p in partitions}
    for tp, value in found.items():
        if tp.partition in read and value.offset >= 0:
            epoch = int(value.metadata) if value.metadata else NO_EPOCH
            read[tp.partition][tp.topic] = (value.offset, epoch)
    return read


def due(
    plan: Plan, epochs: Mapping[str, Epochs], partitions: Mapping[int, Owned]
) -> dict[TopicPartition, OffsetAndMetadata]:
    """What is to be committed now. `epochs`: of the inputs that are decision logs."""
    offsets: dict[TopicPartition, OffsetAndMetadata] = {}
    for partition, owned in partitions.items():
        for topic in plan.reads:
            position, given = owned.positions[topic.name], owned.given[topic.name]
            offset = owned.work.committable(topic.name, given)
            if offset >= given:
                # What came after it was nothing to work on.
                offset = position
            if offset <= owned.committed[topic.name]:
                continue
            of_log = epochs.get(topic.name)
            if offset == position:
                metadata = str(of_log.epoch(partition) if of_log else NO_EPOCH)
            elif of_log is None:
                metadata = ""
            else:
                # The epoch known here is that of `position`. At `offset` a lower one may hold, and
                # what counts between the two would be void for whoever began with this one.
                continue
            offsets[TopicPartition(topic.name, partition)] = OffsetAndMetadata(offset, metadata)
    return offsets


async def commit(
    consumer: "AIOKafkaConsumer[bytes, bytes]",
    offsets: Mapping[TopicPartition, OffsetAndMetadata],
    partitions: Mapping[int, Owned],
) -> None:
    """Commits `offsets` and notes them in `partitions`. What does not go through is tried again
    with the next ones, or the next owner does these records once more."""
    if not offsets:
        return
    try:
        # By itself it waits for as long as Kafka is away.
        await asyncio.wait_for(consumer.commit(dict(offsets)), _COMMIT_S)
    except (CommitFailedError, IllegalStateError) as error:
        # The group has moved on; the next owner does these records again: no harm.
        _log.info("commit refused: the partitions have moved", error=type(error).__name__)
        return
    except (KafkaError, TimeoutError) as error:
        _log.warning("commit did not go through; it is tried again", error=type(error).__name__)
        return
    for tp, done in offsets.items():
        partitions[tp.partition].committed[tp.topic] = done.offset
