"""Campaigns on real Kafka, Valkey and SMS centres: what people decide, and what telephones get."""

import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from mawja.broadcast.v1 import campaigns_pb2, events_pb2
from mawja.broadcast.v1.campaigns_pb2 import Audience, AudienceSet

from services.local.parts import Parts
from services.local.smsc.record import duplicates
from tests.broadcast_rig import Rig, digits, drilled, numbers, running, wait_until
from tests.campaigns_rig import Office, by_bucket, listed, plan, started


@pytest.fixture(scope="module")
def rig(parts: Parts) -> Iterator[Rig]:
    with running(
        parts,
        "campaigns",
        {
            "fast": ({}, {}),
            "slow": ({"parts_per_second": 40}, {}),
            "poor": ({}, {"undelivered": 0.9}),
        },
        [
            {"prefix": "+", "carrier": "fast"},
            {"prefix": "+999521", "carrier": "slow"},
            {"prefix": "+999522", "carrier": "poor"},
        ],
    ) as made:
        yield made


def test_from_a_file_to_every_telephone(rig: Rig, maker: Office, other: Office) -> None:
    people = numbers("23", 1_500)
    content = listed([*people, people[0], "12", "+99941234567890", "لا رقم"])
    taken = maker.upload(content)
    assert taken.recipients + taken.bad == 1_504
    assert [row.line for row in taken.bad_rows] == [1_503, 1_504, 1_505]
    assert all("12" not in row.rule for row in taken.bad_rows)
    campaign = maker.create(plan(taken.audience_id))
    rehearsed = maker.rehearsed(campaign.campaign_id)
    assert by_bucket(rehearsed.rehearsal.buckets) == {"WAITING": 1_500, "DUPLICATE": 1}
    before = len(rig.smsc["fast"].submits())
    with pytest.raises(grpc.RpcError) as refused:
        maker.approve(rehearsed)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert len(rig.smsc["fast"].submits()) == before
    other.approve(rehearsed)
    maker.do("Start", campaign.campaign_id)
    done = maker.until(campaign.campaign_id, campaigns_pb2.CAMPAIGN_STATE_COMPLETED)
    assert by_bucket(done.buckets) == {"DELIVERED": 1_500, "DUPLICATE": 1, "INVALID": 3}
    assert done.recipients == 1_504
    got = {m.destination: m.text for m in rig.smsc["fast"].messages() if m.complete}
    for place, number in enumerate(people):
        assert got[digits(number)] == drilled(f"الملجأ رقم {place} مفتوح الآن")
    assert duplicates(rig.smsc["fast"].submits()) == []


def test_a_paused_campaign_sends_nothing_and_goes_on(
    rig: Rig, maker: Office, other: Office
) -> None:
    people = numbers("21", 600)
    campaign_id = started(maker, other, plan(maker.upload(listed(people)).audience_id))
    wait_until(lambda: by_bucket(maker.get(campaign_id).buckets)["DELIVERED"] > 40)
    maker.do("Pause", campaign_id, reason="look at the text")
    time.sleep(1.0)
    held = len(rig.smsc["slow"].submits())
    time.sleep(2.0)
    assert len(rig.smsc["slow"].submits()) == held
    seen = maker.get(campaign_id)
    assert by_bucket(seen.buckets)["WAITING"] == 600 - held
    assert seen.recipients == 600
    maker.do("Resume", campaign_id)
    wait_until(lambda: by_bucket(maker.get(campaign_id).buckets)["DELIVERED"] > held + 40)
    maker.do("Cancel", campaign_id, reason="enough")
    time.sleep(1.5)
    ended = maker.get(campaign_id)
    counts = by_bucket(ended.buckets)
    assert counts["CANCELLED"] == 600 - len(rig.smsc["slow"].submits())
    assert ended.recipients == 600
    # The correction goes to those who got it, and to nobody else.
    got = {one.destination for one in rig.smsc["slow"].submits()}
    maker.do("Recall", campaign_id, reason="the shelter is closed")
    wait_until(lambda: by_bucket(maker.get(campaign_id).corrections)["DELIVERED"] == len(got), 60)
    corrected = [
        m.destination
        for m in rig.smsc["slow"].messages()
        if m.text == drilled("تصحيح: الملجأ مغلق")
    ]
    assert sorted(corrected) == sorted(got)


def test_the_brake_holds_what_fails(rig: Rig, maker: Office, other: Office) -> None:
    people = numbers("22", 3_000)
    campaign_id = started(
        maker,
        other,
        plan(maker.upload(listed(people)).audience_id, most_parts_per_second=200),
    )
    held = maker.until(campaign_id, campaigns_pb2.CAMPAIGN_STATE_PAUSED)
    assert held.campaign.paused.subject == "brake"
    assert by_bucket(held.buckets)["WAITING"] > 1_000


def test_sets_are_put_together_by_person(maker: Office) -> None:
    first, second = numbers("24", 30), numbers("24", 50)[20:]
    one = maker.upload(listed(first)).audience_id
    two = maker.upload(listed(second)).audience_id
    leaves = AudienceSet(audiences=[Audience(upload=one), Audience(upload=two)])
    found = {}
    less: dict[str, Any] = {"except": leaves}
    for name, audience in (
        ("all", Audience(all_of=leaves)),
        ("any", Audience(any_of=leaves)),
        ("except", Audience(**less)),
    ):
        campaign = maker.rehearsed(maker.create(plan(audience)).campaign_id)
        found[name] = by_bucket(campaign.rehearsal.buckets)["WAITING"]
    assert found == {"all": 10, "any": 50, "except": 20}


def test_a_language_that_is_not_written_is_refused_or_accepted_openly(maker: Office) -> None:
    audience_id = maker.upload(listed(numbers("25", 3), "hi")).audience_id
    campaign = maker.create(plan(audience_id))
    with pytest.raises(grpc.RpcError) as refused:
        maker.rehearsed(campaign.campaign_id)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "hi" in str(refused.value.details())
    open_ = maker.create(plan(audience_id, accept_missing=True))
    assert maker.rehearsed(open_.campaign_id).rehearsal.buckets[0].language == "ar"


def test_the_languages_of_a_set_are_those_of_who_is_in_it(maker: Office, other: Office) -> None:
    people = numbers("28", 6)
    urdu = Audience(upload=maker.upload(listed(people[:4], "ur")).audience_id)
    few = Audience(upload=maker.upload(listed(people[:1])).audience_id)
    rest = Audience(upload=maker.upload(listed(people[4:])).audience_id)
    nobody = maker.create(plan(Audience(all_of=AudienceSet(audiences=[urdu, rest]))))
    assert not maker.rehearsed(nobody.campaign_id).rehearsal.without_text
    some = maker.create(plan(Audience(any_of=AudienceSet(audiences=[few, urdu, rest]))))
    seen = maker.rehearsed(some.campaign_id)
    assert dict(seen.rehearsal.without_text) == {"ur": 3}
    with pytest.raises(grpc.RpcError) as refused:
        other.approve(seen)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "write ur" in str(refused.value.details())


def test_the_same_file_again_is_the_same_audience(maker: Office) -> None:
    content = listed(numbers("26", 20))
    first = maker.upload(content, request_id="once")
    assert maker.upload(content, request_id="once") == first
    with pytest.raises(grpc.RpcError) as refused:
        maker.upload(listed(numbers("27", 20)), request_id="once")
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS


def test_what_is_urgent_overtakes_the_bulk_of_its_own_agency_within_a_second(
    rig: Rig, maker: Office, other: Office
) -> None:
    people = numbers("21", 8_620)[600:]
    bulk = maker.upload(listed(people[20:])).audience_id
    warned = people[:20]
    warning = plan(
        maker.upload(listed(warned)).audience_id, kind=events_pb2.CAMPAIGN_KIND_EMERGENCY
    )
    urgent = maker.create(warning).campaign_id
    other.approve(maker.rehearsed(urgent))
    behind = started(maker, other, plan(bulk))
    wait_until(lambda: by_bucket(maker.get(behind).buckets)["DELIVERED"] > 40)
    began_ms = maker.do("Start", urgent).started.done_ms
    maker.until(urgent, campaigns_pb2.CAMPAIGN_STATE_COMPLETED)
    maker.do("Cancel", behind, reason="seen enough")
    to = {digits(number) for number in warned}
    submits = rig.smsc["slow"].submits()
    times = sorted(one.t for one in submits if one.destination in to)
    assert len(times) == 20
    # 20 parts at 40 a second take half of it.
    assert times[-1] - began_ms / 1000 < 1.5
    since = [one for one in submits if times[0] < one.t < times[-1] and one.destination not in to]
    assert len(since) <= 2
