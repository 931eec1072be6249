"""A campaign that waits says why, and what ends it."""

from collections import Counter

from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    BucketCount,
    Campaign,
    CampaignWait,
    CarrierWait,
    Rehearse,
    Resend,
    Standing,
    Start,
)

from services.broadcast.campaigns import life, waiting
from services.broadcast.campaigns.counts import waiting_for
from tests.campaign_office import LATER, MAKER, NOW, OTHER, TERMS, Office, plan

NOBODY = waiting.Now()


def waits(campaign: Campaign, now_ms: int = NOW, seen: waiting.Now = NOBODY) -> str:
    return waiting.waits(campaign, seen, TERMS.digest, now_ms)


def test_a_campaign_says_why_it_waits() -> None:
    office = Office()
    office.do(create=plan(starts_ms=NOW + 150_000))
    said = [waits(office.campaign)]
    office.do(rehearse=Rehearse())
    said.append(waits(office.campaign))
    office.shares()
    said.append(waits(office.campaign))
    office.do(OTHER, approve=office.campaign.rehearsal.hash)
    said.append(waits(office.campaign))
    said.append(waiting.waits(office.campaign, NOBODY, b"other rules", NOW))
    office.do(start=Start())
    said.append(waits(office.campaign))
    assert waits(office.campaign, NOW + 150_000) == ""
    office.share(1, life.BRAKE)
    said.append(waits(office.campaign))
    office.do(resume="")
    office.do(pause="")
    said.append(waits(office.campaign))
    assert len(set(said)) == len(said)
    assert all(said)
    assert said[5] == "it begins in 3 min"
    assert MAKER in said[-1]


def test_it_names_the_carriers_that_keep_it_waiting() -> None:
    campaign = Office().running().campaign
    standings = [
        Standing(
            told_ms=NOW,
            carriers=[
                CarrierWait(carrier="one", why="pace", next_ms=5),
                CarrierWait(carrier="two", why="away"),
                CarrierWait(carrier="three", why="throttled", next_ms=1_000),
                CarrierWait(carrier="elsewhere", why="away"),
            ],
        ),
        Standing(
            told_ms=NOW - 1_000,
            carriers=[CarrierWait(carrier="three", why="throttled", next_ms=12_000)],
        ),
        Standing(
            told_ms=NOW - waiting.FRESH_MS - 1,
            carriers=[CarrierWait(carrier="one", why="away")],
        ),
    ]
    seen = waiting.now(campaign, {"one": 5, "two": 7, "three": 3_120}, standings, NOW)
    assert {one.carrier: (one.why, one.recipients) for one in seen.carriers} == {
        "one": ("pace", 5),
        "two": ("away", 7),
        "three": ("throttled", 3_120),
    }
    assert waits(campaign, seen=seen) == (
        "waiting for carrier three: throttled, 3,120 queued, next in 12 s; "
        "waiting for carrier two: not connected, 7 queued"
    )


def test_it_tells_of_rules_that_hold_back_and_of_a_file_that_is_gone() -> None:
    campaign = Office().running().campaign
    name = campaign.campaign_id
    of = [
        CampaignWait(campaign_id=name, deferred=1_200, until_ms=NOW + 60_000),
        CampaignWait(campaign_id=name, deferred=34, until_ms=NOW + 30_000),
        CampaignWait(campaign_id="another", gone=True),
    ]
    seen = waiting.now(campaign, {}, [Standing(told_ms=NOW, campaigns=of)], NOW)
    assert waits(campaign, seen=seen) == (
        "1,234 held back by quiet hours or caps, the first for 30 s"
    )
    of.append(CampaignWait(campaign_id=name, gone=True))
    seen = waiting.now(campaign, {}, [Standing(told_ms=NOW, campaigns=of)], NOW)
    assert "bring the file again" in waits(campaign, seen=seen)


def test_after_a_restore_it_waits_for_somebody_to_resume_before_all_else() -> None:
    campaign = Office().running().campaign
    of = [
        CampaignWait(campaign_id=campaign.campaign_id, deferred=5),
        CampaignWait(campaign_id=campaign.campaign_id, restored=True),
    ]
    seen = waiting.now(campaign, {}, [Standing(told_ms=NOW, campaigns=of)], NOW)
    assert waits(campaign, seen=seen) == waiting.RESTORED
    other = waiting.now(Campaign(campaign_id="x"), {}, [Standing(told_ms=NOW, campaigns=of)], NOW)
    assert not other.restored


def test_once_nothing_of_it_is_sent_it_waits_for_nothing() -> None:
    office = Office().running()
    carriers = [CarrierWait(carrier="one", why="away")]
    slow = waiting.now(office.campaign, {"one": 1}, [Standing(told_ms=NOW, carriers=carriers)], NOW)
    office.shares(life.DONE)
    assert waits(office.campaign, seen=slow) == ""
    office.do(resend=Resend(recipients=1))
    assert waits(office.campaign, seen=slow) != ""
    office.do(recall="wrong")
    assert waits(office.campaign, seen=slow) != ""
    office.shares(life.CORRECTED)
    assert waits(office.campaign, LATER, slow) == ""


def test_who_waits_is_divided_among_carriers_as_rehearsed() -> None:
    waiting_, submitted = campaigns_pb2.BUCKET_WAITING, campaigns_pb2.BUCKET_UNDER_WAY

    def count(bucket: int, language: str, carrier: str, recipients: int) -> BucketCount:
        return BucketCount(
            bucket=bucket,  # type: ignore[arg-type]
            language=language,
            carrier=carrier,
            recipients=recipients,
        )

    found = [
        count(waiting_, "ar", "one", 60),
        count(waiting_, "ar", "two", 40),
        count(waiting_, "en", "two", 10),
        count(campaigns_pb2.BUCKET_OPTED_OUT, "ar", "", 5),
    ]
    now = [
        count(waiting_, "ar", "", 70),
        count(waiting_, "en", "", 10),
        count(submitted, "ar", "one", 30),
        count(campaigns_pb2.BUCKET_OPTED_OUT, "ar", "", 5),
    ]
    assert waiting_for(found, now) == Counter({"one": 30, "two": 50})
