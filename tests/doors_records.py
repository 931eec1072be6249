"""Records to throw at topics: those that stand there, and whole ones with a thing that can't be."""

import random
from collections.abc import Iterator, Sequence

from mawja.broadcast.v1 import events_pb2 as broadcast
from mawja.broadcast.v1.campaigns_pb2 import CampaignCommand
from mawja.common.v1 import common_pb2 as common

from services.broadcast.campaigns.register import partition_of_campaign
from services.runtime import ids, topics
from services.runtime.own import Record
from services.runtime.scan import Scan
from services.runtime.topics import Topic
from tests.doors_rig import PARTITIONS, Doors
from tests.fixtures.events_v1.make import EVENTS, examples
from tests.garbage import wild


def real_records(doors: Doors, wanted: Sequence[Topic]) -> dict[str, list[bytes]]:
    """What stands in each topic; examples where nothing does."""
    found: dict[str, list[bytes]] = {topic.name: [] for topic in wanted}

    def take(record: Record) -> None:
        found[record.topic].append(record.value or b"")

    with Scan(doors.system.parts.kafka, wanted) as scan:
        scan.advance(take)
    for name, values in found.items():
        if not values:
            event = EVENTS[name].DESCRIPTOR
            values += [example.SerializeToString() for _, example in examples(event)]
    return found


def campaigns_of(draw: random.Random, partition: int) -> Iterator[bytes]:
    """Campaigns of a partition, that are made, rehearsed and told of as nobody would."""
    for number in range(40):
        name = ids.derive("doors", str(number))
        if partition_of_campaign(name, PARTITIONS) != partition:
            continue
        for what in ("create", "rehearse", "update", "rehearse", "share", "start", "recall"):
            action = CampaignCommand()
            if what == "recall":
                action.recall = "why"
            else:
                held = getattr(action, what)
                held.SetInParent()
                wild(draw, held)
            action.campaign_id = name
            action.envelope.command_id = f"{what}/{draw.random()}"
            action.envelope.subject = draw.choice(["", "a", "b"])
            yield action.SerializeToString()


def crafted(topic: Topic, real: dict[str, list[bytes]]) -> Iterator[bytes]:
    """Whole records with right seals, and one thing in them that cannot be."""
    if topic is topics.QUEUED_NORMAL:
        for change in (
            {"lane": 0},
            {"lane": 9},
            {"lane": common.LANE_BULK},
            {"parts": 0},
            {"parts": 2**31},
            {"person": b"short"},
            {"expires_ms": 2**63 - 1},
            {"message_id": "not-hex-" + "0" * 28},
        ):
            queued = broadcast.QueuedMessage.FromString(real[topic.name][0])
            queued.message_id = ids.derive("doors", str(change))
            queued.expires_ms += 3_600_000
            for name, value in change.items():
                setattr(queued, name, value)
            yield queued.SerializeToString()
    elif topic is topics.RECEIPT:
        yield broadcast.Receipt(
            carrier="local",
            person=b"p" * 16,
            reference=2**31,
            state=broadcast.RECEIPT_STATE_DELIVERED,
        ).SerializeToString()
