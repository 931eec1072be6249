"""What nobody should give to campaigns: records that are none, plans that no version should have
taken, texts and files that are broken, and a file that vanishes."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    Audience,
    AudienceSlice,
    CampaignCommand,
    CampaignPlan,
    CampaignShare,
    CampaignText,
    Recipient,
    UploadAudienceRequest,
)

from services.broadcast.campaigns.register import partition_of_campaign
from services.local.parts import Parts
from services.local.smsc.record import duplicates
from services.runtime import ids, topics
from tests.broadcast_rig import PARTITIONS, Rig, digits, drilled, numbers, wait_until
from tests.campaigns_rig import (
    COMPLETED,
    INVALID,
    Office,
    agrees,
    by_bucket,
    code_of,
    listed,
    plan,
    refusal,
    started,
    texts,
    two_speeds,
)

REHEARSING = campaigns_pb2.CAMPAIGN_STATE_REHEARSING
LANGUAGES = [
    *("ar", "en", "ur", "hi", "bn", "ml", "ta", "te", "fil", "ne", "si", "ps", "fa", "fr", "de"),
    *("es", "it", "pt", "ru", "uk", "tr", "sw", "am", "so", "ti", "ha", "yo", "zh", "ja", "ko"),
    *("th", "vi"),
]


@pytest.fixture(scope="module")
def rig(parts: Parts) -> Iterator[Rig]:
    with two_speeds(parts, "campaigns-garbage") as made:
        yield made


# Records.


@dataclass
class Foreign:
    """Writes what its topic does not hold, with no epoch."""

    kafka: str

    def __call__(self, topic: topics.Topic, *values: bytes, partition: int | None = None) -> None:
        producer = KafkaProducer(bootstrap_servers=self.kafka, acks="all")
        try:
            for value in values:
                for one in range(PARTITIONS) if partition is None else (partition,):
                    producer.send(topic.name, partition=one, value=value)
            producer.flush(30)
        finally:
            producer.close()


def test_foreign_records_on_every_topic_are_passed_over(
    rig: Rig, maker: Office, other: Office
) -> None:
    foreign = Foreign(rig.parts.kafka)
    noise = (b"", b"\xff\xff", b"\x0f" * 40)
    nobodys = AudienceSlice(audience_id=ids.derive("audience", "x"), recipients=[Recipient()])
    foreign(topics.AUDIENCE, *noise)
    foreign(topics.CAMPAIGN_COMMAND, *noise)
    foreign(topics.CAMPAIGN, *noise)
    people = numbers("41", 2_400)
    content = listed(people)
    half = len(content) // 2

    def pieces() -> Iterator[UploadAudienceRequest]:
        yield maker.start_of()
        yield UploadAudienceRequest(data=content[:half])
        # Among the slices of the file.
        foreign(topics.AUDIENCE, *noise, nobodys.SerializeToString())
        yield UploadAudienceRequest(data=content[half:])

    taken = maker.stub.UploadAudience(pieces(), timeout=60)
    campaign_id = maker.create(plan(taken.audience_id)).campaign_id
    at = partition_of_campaign(campaign_id, PARTITIONS)

    def told(name: str, **action: Any) -> bytes:
        command = CampaignCommand(campaign_id=campaign_id, **action)
        command.envelope.command_id = name
        return command.SerializeToString()

    # Its campaign, as nobody may write of it: in another's partition, of no partition, without id.
    foreign(topics.CAMPAIGN_COMMAND, told("a", cancel="why"), partition=(at + 1) % PARTITIONS)
    foreign(
        topics.CAMPAIGN_COMMAND,
        *(
            told(f"b{stage}", share=CampaignShare(partition=PARTITIONS, revision=2, stage=stage))
            for stage in campaigns_pb2.ShareStage.values()
        ),
        told("", cancel="why"),
        told("c", share=CampaignShare(partition=0, revision=2**63)),
        partition=at,
    )
    other.approve(maker.rehearsed(campaign_id))
    maker.do("Start", campaign_id)
    maker.until(campaign_id, COMPLETED)
    assert agrees(rig, maker, campaign_id, 2_400) == {"DELIVERED": 2_400}
    assert duplicates(rig.smsc["fast"].submits()) == []


def test_a_campaign_that_no_version_should_have_taken_keeps_no_other_waiting(
    rig: Rig, maker: Office, other: Office
) -> None:
    foreign = Foreign(rig.parts.kafka)
    taken = maker.upload(listed(numbers("42", 20)))
    for number, spoilt in enumerate(
        (
            CampaignPlan(),
            plan(ids.derive("audience", "nobody's")),
            plan(taken.audience_id, texts=[]),
            plan(taken.audience_id, texts=[CampaignText(language="ar", template="{")]),
            plan(taken.audience_id, kind=77),
            plan(taken.audience_id, most_parts_per_second=-1.0, brake_at=-1.0),
            plan(Audience()),
        )
    ):
        name = ids.derive("campaign", f"spoilt/{number}")
        for action in ({"create": spoilt}, {"rehearse": campaigns_pb2.Rehearse()}):
            command = CampaignCommand(campaign_id=name, **action)
            command.envelope.command_id = f"{name}/{next(iter(action))}"
            foreign(
                topics.CAMPAIGN_COMMAND,
                command.SerializeToString(),
                partition=partition_of_campaign(name, PARTITIONS),
            )
    campaign_id = started(maker, other, plan(taken.audience_id))
    maker.until(campaign_id, COMPLETED)
    assert agrees(rig, maker, campaign_id, 20) == {"DELIVERED": 20}


# Texts.


def test_as_many_languages_as_there_may_be(rig: Rig, maker: Office, other: Office) -> None:
    people = numbers("43", len(LANGUAGES))
    rows = "\n".join(f"{one},{code}" for one, code in zip(people, LANGUAGES, strict=True))
    taken = maker.upload(f"number,language\n{rows}\n".encode())
    said = [CampaignText(language=code, template=f"text {code}") for code in LANGUAGES]
    more = CampaignText(language="el", template="one too many")
    code, why = refusal(lambda: maker.create(plan(taken.audience_id, texts=[*said, more])))
    assert code is INVALID
    assert "plan.texts" in why
    campaign_id = started(maker, other, plan(taken.audience_id, texts=said))
    maker.until(campaign_id, COMPLETED)
    got = texts(rig, "fast")
    for number, language in zip(people, LANGUAGES, strict=True):
        assert got[digits(number)] == drilled(f"text {language}")
    told = maker.get(campaign_id)
    assert {one.language for one in told.buckets} == set(LANGUAGES)


@pytest.mark.parametrize(
    "template", ["{", "}", "{place", "{}", "{0}", "{place!r}", "a\x07b", "\u202eabc", "\u2067abc"]
)
def test_a_template_that_can_not_be_used_is_told_by_its_place(maker: Office, template: str) -> None:
    wanted = plan(
        ids.derive("audience", "x"),
        texts=[
            CampaignText(language="ar", template="نص"),
            CampaignText(language="en", template=template),
        ],
    )
    if template == "{0}":
        # A column may be called so.
        maker.create(wanted)
        return
    code, why = refusal(lambda: maker.create(wanted))
    assert code is INVALID
    assert "plan.texts[1].template" in why


def test_a_field_that_the_file_does_not_have_is_seen_before_anything_goes(maker: Office) -> None:
    taken = maker.upload(listed(numbers("44", 5)))
    wanted = plan(taken.audience_id, texts=[CampaignText(language="ar", template="{nobody}")])
    seen = maker.rehearsed(maker.create(wanted).campaign_id)
    [bucket] = seen.rehearsal.buckets
    assert (bucket.recipients, bucket.reason) == (5, "field-missing")
    assert by_bucket(seen.rehearsal.buckets) == {"SUPPRESSED": 5}
    [gap] = seen.rehearsal.gaps
    assert (gap.field, gap.language, gap.recipients) == ("nobody", "ar", 5)


def test_arabic_emoji_and_direction_marks_arrive_letter_for_letter(
    rig: Rig, maker: Office, other: Office
) -> None:
    people = numbers("45", 2)
    said = (
        "تنبيه\u200f: مركز \u2067الإيواء\u2069 (Al\u200c-Noor) "
        "🏥👨‍👩‍👧‍👦 مفتوح، الهاتف \u200e800 123\u200f. "
        "يرجى إحضار الهوية والأدوية، واصطحاب كبار السن؛ الطابق ٣ — شكرًا"
    )
    taken = maker.upload(listed(people))
    campaign_id = started(
        maker,
        other,
        plan(taken.audience_id, texts=[CampaignText(language="ar", template=said)]),
    )
    maker.until(campaign_id, COMPLETED)
    got = texts(rig, "fast")
    assert {got[digits(one)] for one in people} == {drilled(said)}


# Files.


def test_an_empty_file_is_none(maker: Office) -> None:
    for content in (b"", b"\n\n", "\ufeff".encode(), b"\x00" * 100):
        code, why = refusal(lambda content=content: maker.upload(content))  # type: ignore[misc]
        assert code is INVALID, (content, why)


def test_a_file_of_only_bad_rows_reaches_nobody_and_adds_up(
    rig: Rig, maker: Office, other: Office
) -> None:
    before = len(rig.smsc["fast"].submits())
    taken = maker.upload(b"number,language\nx,ar\n12,ar\n+97150,ar\n+971501234567,ar\n")
    assert (taken.recipients, taken.bad) == (0, 4)
    assert [row.line for row in taken.bad_rows] == [2, 3, 4, 5]
    campaign_id = started(maker, other, plan(taken.audience_id))
    done = maker.until(campaign_id, COMPLETED)
    assert by_bucket(done.buckets) == {"INVALID": 4}
    assert done.recipients == 4
    assert len(rig.smsc["fast"].submits()) == before


def test_pieces_that_are_no_file_are_refused(maker: Office) -> None:
    data = UploadAudienceRequest(data=b"number\n+999512345678\n")
    for pieces in (
        [],
        [data],
        [maker.start_of(), data, maker.start_of()],
        [UploadAudienceRequest()],
        [maker.start_of(), UploadAudienceRequest()],
    ):
        code = code_of(lambda pieces=pieces: maker.stub.UploadAudience(iter(pieces), timeout=20))  # type: ignore[misc]
        assert code is INVALID


def test_a_file_that_broke_off_may_be_sent_again_also_another(
    rig: Rig, maker: Office, other: Office
) -> None:
    first, second = listed(numbers("46", 2_000)), listed(numbers("47", 2_000))

    def broken_off(request_id: str) -> None:
        """Half of the first file comes, slices of it stand in Kafka, and the caller is gone."""
        ended = threading.Event()

        def pieces() -> Iterator[UploadAudienceRequest]:
            yield maker.start_of(request_id=request_id)
            yield UploadAudienceRequest(data=first[: len(first) // 3 * 2])
            ended.wait(20)

        call = maker.stub.UploadAudience.future(pieces(), timeout=30)
        time.sleep(1.5)
        call.cancel()
        ended.set()

    broken_off("again")
    taken = maker.upload(first, request_id="again")
    assert (taken.recipients, taken.bad) == (2_000, 0)
    assert maker.upload(first, request_id="again").audience_id == taken.audience_id
    broken_off("another")
    taken = maker.upload(second, request_id="another")
    campaign_id = started(maker, other, plan(taken.audience_id))
    maker.until(campaign_id, COMPLETED)
    assert agrees(rig, maker, campaign_id, 2_000) == {"DELIVERED": 2_000}
    got = texts(rig, "fast")
    assert {digits(one) for one in numbers("47", 2_000)} <= got.keys()
    assert not any(digits(one) in got for one in numbers("46", 2_000))


def test_a_plan_may_name_only_a_file_that_is_there(maker: Office) -> None:
    campaign = maker.create(plan(ids.derive("audience", "never came")))
    code, why = refusal(lambda: maker.do("Rehearse", campaign.campaign_id))
    assert code is INVALID
    assert "plan.audience" in why
    live = maker.upload(b"number\n+971501234567\n", drill=False)
    drill = maker.create(plan(live.audience_id, texts=[CampaignText(language="ar", template="x")]))
    assert refusal(lambda: maker.do("Rehearse", drill.campaign_id))[0] is INVALID


# Last: every file is gone afterwards.


def test_a_campaign_whose_file_vanished_waits_and_is_ended_by_a_person(
    rig: Rig, maker: Office, other: Office
) -> None:
    taken = maker.upload(listed(numbers("51", 100)))
    campaign_id = maker.create(plan(taken.audience_id)).campaign_id
    admin = KafkaAdminClient(bootstrap_servers=rig.parts.kafka)
    try:
        admin.delete_records(
            {TopicPartition(topics.AUDIENCE.name, one): -1 for one in range(PARTITIONS)}
        )
    finally:
        admin.close()
    maker.do("Rehearse", campaign_id)
    wait_until(lambda: "can't be worked on" in rig.log() and "can be read" in rig.log())
    # Others are not kept waiting.
    again = maker.upload(listed(numbers("51", 100)))
    sent = started(maker, other, plan(again.audience_id))
    maker.until(sent, COMPLETED)
    assert maker.get(campaign_id).campaign.state == REHEARSING
    maker.do("Cancel", campaign_id, reason="bring the file again")
    assert maker.get(campaign_id).campaign.state == campaigns_pb2.CAMPAIGN_STATE_CANCELLED
