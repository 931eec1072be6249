"""What nobody knows the end of, and what keeps a campaign waiting, on real Kafka, Valkey and SMS
centres: nothing is sent again without a person's decision, and a carrier that is away is named."""

from collections import Counter
from collections.abc import Iterator

import grpc
import pytest
from mawja.broadcast.v1 import campaigns_pb2

from services.local.parts import Parts
from tests.broadcast_rig import Rig, numbers, running, wait_until
from tests.campaigns_rig import (
    MAKER,
    OTHER,
    Office,
    agrees,
    by_bucket,
    listed,
    plan,
    refusal,
    started,
)

COMPLETED = campaigns_pb2.CAMPAIGN_STATE_COMPLETED
MUTE = {"accept_silently": 0.5, "receipt_never": 1.0}


@pytest.fixture(scope="module")
def rig(parts: Parts) -> Iterator[Rig]:
    with running(
        parts,
        "unknown",
        {
            "mute": ({"response_timeout_s": 1, "price": {"currency": "AED", "milli": 45}}, MUTE),
            "gone": ({}, {}),
        },
        [{"prefix": "+", "carrier": "mute"}, {"prefix": "+999531", "carrier": "gone"}],
    ) as made:
        yield made


@pytest.fixture(scope="module")
def other(rig: Rig) -> Office:
    return Office(rig.system, OTHER)


def resend(office: Office, campaign_id: str, recipients: int) -> campaigns_pb2.Campaign:
    request = campaigns_pb2.ResendUnknownRequest(
        request_id=office.request_id(),
        campaign_id=campaign_id,
        recipients=recipients,
        reason="the carrier says that it lost them",
    )
    campaign: campaigns_pb2.Campaign = office.stub.ResendUnknown(request, timeout=20).campaign
    return campaign


def unknown(office: Office, campaign_id: str) -> tuple[int, int]:
    """How many, and since when the oldest (Unix ms)."""
    found = [
        one for one in office.get(campaign_id).buckets if one.bucket == campaigns_pb2.BUCKET_UNKNOWN
    ]
    return sum(one.recipients for one in found), min((one.oldest_ms for one in found), default=0)


def test_the_unknown_is_sent_once_more_only_by_a_persons_decision(
    rig: Rig, maker: Office, other: Office
) -> None:
    people = numbers("32", 60)
    campaign_id = maker.create(plan(maker.upload(listed(people)).audience_id)).campaign_id
    rehearsed = maker.rehearsed(campaign_id).rehearsal
    parts = sum(one.parts for one in rehearsed.buckets)
    assert dict(rehearsed.cost_milli) == {"AED": 45 * parts}
    assert [(one.carrier, one.language, one.parts) for one in rehearsed.etas] == [
        ("mute", "", parts),
        ("mute", "ar", parts),
    ]
    other.approve(maker.get(campaign_id).campaign)
    maker.do("Start", campaign_id)
    wait_until(lambda: by_bucket(maker.get(campaign_id).buckets)["UNKNOWN"] > 10)
    wait_until(lambda: by_bucket(maker.get(campaign_id).buckets)["WAITING"] == 0)
    wait_until(lambda: len({one.destination for one in rig.smsc["mute"].submits()}) == 60)
    lost, since_ms = unknown(maker, campaign_id)
    campaign = maker.get(campaign_id).campaign
    assert campaign.started.done_ms <= since_ms
    # The others have been taken, and their receipts are owed.
    assert lost + by_bucket(maker.get(campaign_id).buckets)["UNDER_WAY"] == 60
    told = Counter(one.destination for one in rig.smsc["mute"].submits())
    assert set(told.values()) == {1}

    code, why = refusal(lambda: resend(maker, campaign_id, lost - 1))
    assert (code, why) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        f"{lost} are unknown by now: look at it again",
    )
    rig.smsc["mute"].set(accept_silently=0.0, receipt_never=0.0)
    done = resend(maker, campaign_id, lost)
    [decision] = done.resends
    assert (decision.by.subject, decision.recipients) == (MAKER, lost)
    wait_until(lambda: by_bucket(maker.get(campaign_id).buckets)["DELIVERED"] == lost)
    assert unknown(maker, campaign_id) == (0, 0)
    told = Counter(one.destination for one in rig.smsc["mute"].submits())
    assert Counter(told.values()) == {1: 60 - lost, 2: lost}
    counts = by_bucket(maker.get(campaign_id).buckets)
    assert counts == {"DELIVERED": lost, "UNDER_WAY": 60 - lost}


def test_a_carrier_that_is_away_is_named_and_counted(
    rig: Rig, maker: Office, other: Office
) -> None:
    rig.smsc["gone"].stop()
    people = [*numbers("31", 40), *numbers("33", 5)]
    campaign_id = started(maker, other, plan(maker.upload(listed(people)).audience_id))
    wait_until(lambda: by_bucket(maker.get(campaign_id).buckets)["DELIVERED"] == 5)
    wanted = "waiting for carrier gone: not connected, 40 queued"
    wait_until(lambda: maker.get(campaign_id).campaign.waits == wanted)
    watching = maker.stub.WatchCampaign(
        campaigns_pb2.WatchCampaignRequest(campaign_id=campaign_id), timeout=20
    )
    seen = next(watching)
    watching.cancel()
    assert [(one.carrier, one.why, one.recipients) for one in seen.carriers] == [
        ("gone", "away", 40)
    ]
    rig.smsc["gone"].start()
    done = maker.until(campaign_id, COMPLETED)
    assert done.campaign.waits == ""
    assert agrees(rig, maker, campaign_id, 45) == {"DELIVERED": 45}


def test_a_recall_comes_to_its_end(rig: Rig, maker: Office, other: Office) -> None:
    people = numbers("34", 30)
    campaign_id = started(maker, other, plan(maker.upload(listed(people)).audience_id))
    maker.until(campaign_id, COMPLETED)
    maker.do("Recall", campaign_id, reason="the shelter is closed")
    wait_until(lambda: maker.get(campaign_id).campaign.corrected_ms > 0)
    recalled = maker.get(campaign_id)
    assert by_bucket(recalled.corrections) == {"DELIVERED": 30}
    assert recalled.campaign.waits == ""


def test_a_legal_basis_that_the_rules_do_not_know_is_refused(maker: Office) -> None:
    wanted = plan(
        maker.upload(listed(numbers("35", 2))).audience_id,
        drill=False,
        kind="CAMPAIGN_KIND_EMERGENCY",
        override=campaigns_pb2.Override(legal_basis="because", order="no. 5 of today"),
    )
    code, why = refusal(lambda: maker.create(wanted))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "plan.override.legal_basis" in why
