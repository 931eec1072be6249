"""Dead letters of a real broadcast: mended, replayed and sent once, also when it is killed."""

from collections.abc import Iterator

import pytest
from mawja.broadcast.v1 import events_pb2
from mawja.common.v1 import common_pb2
from mawja.outreach.v1 import events_pb2 as outreach_pb2

from services.local.parts import Parts
from services.local.smsc.record import duplicates
from services.runtime import ids, topics
from services.runtime.clock import now_ms
from services.runtime.config import Settings
from services.runtime.scan import Lag
from services.tools.letters import Box, By
from tests import burying
from tests.broadcast_rig import PARTITIONS, Rig, running, wait_until

SOURCES = (topics.MESSAGE_REQUESTED, topics.QUEUED_NORMAL, topics.RECEIPT)
NUMBER = "+999512345678"


@pytest.fixture(scope="module")
def rig(parts: Parts) -> Iterator[Rig]:
    routes = [{"prefix": "+", "carrier": "plain"}]
    with running(parts, "replay", {"plain": ({}, {})}, routes) as started:
        yield started


def mended(rig: Rig, source: topics.Topic) -> bytes:
    now = now_ms()
    person = rig.keyring.person(NUMBER)
    if source is topics.RECEIPT:
        return events_pb2.Receipt(
            carrier="plain",
            carrier_id="nobodys",
            person=person,
            state=events_pb2.RECEIPT_STATE_ACCEPTED,
            received_ms=now,
        ).SerializeToString()
    request = outreach_pb2.MessageRequested(
        message_id=ids.derive("test", source.name),
        person=person,
        lane=common_pb2.LANE_NORMAL,
        language="en",
        drill=True,
        requested_ms=now,
        expires_ms=now + 600_000,
        accepted_ms=now,
        sealed_number=rig.keyring.seal("number", NUMBER, now),
        sealed_text=rig.keyring.seal("text", f"from {source.name}", now),
    )
    if source is topics.MESSAGE_REQUESTED:
        return request.SerializeToString()
    return events_pb2.QueuedMessage(
        message_id=request.message_id,
        person=person,
        lane=request.lane,
        language=request.language,
        drill=True,
        requested_ms=now,
        expires_ms=request.expires_ms,
        accepted_ms=now,
        sealed_number=request.sealed_number,
        sealed_text=request.sealed_text,
        parts=1,
    ).SerializeToString()


def test_what_is_replayed_is_sent_once_through_a_kill(rig: Rig, settings: Settings) -> None:
    partition = topics.partition_of(rig.keyring.person(NUMBER), PARTITIONS)
    for source in SOURCES:
        rig.outreach.raw(source, partition, b"\xff garbage")
    rig.outreach.flush()

    def waiting() -> int:
        with Box(settings, ["broadcast"]) as box:
            return sum(box.waiting("broadcast").values())

    wait_until(lambda: waiting() == len(SOURCES), 60)
    with Box(settings, ["broadcast"]) as box:
        found = {letter.record.topic: letter for letter in box.letters("broadcast")}
        assert set(found) == {source.name for source in SOURCES}
        for source in SOURCES:
            value = mended(rig, source)
            box.replay(found[source.name], value, By("admin", "a test"), rig.keyring)
    asked = [ids.derive("test", source.name) for source in SOURCES if source is not topics.RECEIPT]
    rig.ledger.wait_for(asked, "DELIVERED", timeout_s=90)
    # Before the replays are committed, or after: what was done is not done again.
    burying.kill(rig.parts.kafka, rig.replica)
    wait_until(rig.replica.ready, 60)
    lag = Lag(settings.kafka)
    try:
        wait_until(lambda: lag.of("broadcast", [*SOURCES, topics.BROADCAST_DEAD]) == 0, 60)
    finally:
        lag.close()
    submits = rig.smsc["plain"].submits()
    assert duplicates(submits) == []
    assert len(submits) == len(asked)
    assert waiting() == 0
