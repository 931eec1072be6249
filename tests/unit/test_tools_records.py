"""Records as people read and mend them."""

import json

import pytest
from google.protobuf.message import Message
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.runtime.errors import ConfigError, Poison
from services.runtime.topics import CASE, CONTACT_ACCEPTED, RECEIPT, TOPICS, partition_of
from services.tools import records
from tests.fixtures.events_v1.make import EVENTS, examples

ALL = [(topic, name, made) for topic, e in EVENTS.items() for name, made in examples(e.DESCRIPTOR)]


def test_every_topic_has_its_message() -> None:
    assert dict(records.EVENTS) == EVENTS
    assert set(records.EVENTS) == {topic.name for topic in TOPICS}


@pytest.mark.parametrize(("topic", "name", "made"), ALL, ids=lambda x: str(x)[:40])
def test_what_is_shown_can_be_given_back(topic: str, name: str, made: Message) -> None:
    value = made.SerializeToString(deterministic=True)
    said = json.loads(json.dumps(records.shown(made)))
    event = records.EVENTS[topic]
    assert event.FromString(records.read(topic, said)) == made
    assert event.FromString(records.read(topic, {"record": said, "source": {}})) == made
    assert records.decode(topic, value) == made


def test_what_is_sealed_is_shown_as_sealed_wherever_it_stands() -> None:
    case = dedup_pb2.CaseDecision(
        case=dedup_pb2.Case(sealed_number=b"\x01\x02"),
        note=dedup_pb2.Note(sealed_text=b"\x03"),
    )
    said = records.shown(case)
    assert said["case"]["sealed_number"] == "sealed:AQI="
    assert said["note"]["sealed_text"] == "sealed:Aw=="

    def unseal(field: str, value: bytes) -> str:
        if (field, value) in {("number", b"\x01\x02"), ("note", b"\x03")}:
            return f"opened as {field}"
        raise Poison("damaged")

    said = records.shown(case, unseal)
    assert said["case"]["sealed_number"] == "opened as number"
    assert said["note"]["sealed_text"] == "opened as note"


def test_what_cannot_be_opened_says_why() -> None:
    def unseal(field: str, _: bytes) -> str:
        raise Poison(f"{field}: the key of its month is gone")

    said = records.shown(intake_pb2.ContactAccepted(sealed_text=b"x"), unseal)
    assert said["sealed_text"] == "(text: the key of its month is gone)"


@pytest.mark.parametrize(
    ("topic", "said", "why"),
    [
        (CONTACT_ACCEPTED.name, [], "must be an object"),
        (CONTACT_ACCEPTED.name, {"nonsense": 1}, "no field named"),
        (CONTACT_ACCEPTED.name, {"event_ms": "soon"}, "event_ms"),
        (CONTACT_ACCEPTED.name, {"sealed_text": "hello"}, "without --unmask"),
        (CONTACT_ACCEPTED.name, {"sealed_text": "sealed:%"}, "sealed_text"),
        (CASE.name, {"case": {"sealed_number": 7}}, "without --unmask"),
        ("no.such-topic.v1", {}, "must be an object"),
    ],
)
def test_json_that_is_no_record_is_refused(topic: str, said: object, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        records.read(topic, said)


def test_a_refusal_does_not_repeat_a_value() -> None:
    with pytest.raises(ConfigError) as refused:
        records.read(CONTACT_ACCEPTED.name, {"event_ms": "call +999512345678"})
    assert "+999512345678" not in str(refused.value)


def test_what_cannot_be_worked_is_told() -> None:
    person = bytes(range(16))
    good = intake_pb2.ContactAccepted(
        person=person, channel=common_pb2.CHANNEL_VOICE
    ).SerializeToString()
    at = partition_of(person, 8)
    assert records.obstacle(CONTACT_ACCEPTED.name, good, at, 8) == ""
    elsewhere = records.obstacle(CONTACT_ACCEPTED.name, good, (at + 1) % 8, 8)
    assert elsewhere == "is about a person of another partition"
    assert records.obstacle(RECEIPT.name, b"\xff", 0, 8) == "is not a Receipt"
    assert records.obstacle(RECEIPT.name, b"", 0, 8) == "is not a Receipt"
    assert "topic that is known" in records.obstacle("x", b"", 0, 8)
