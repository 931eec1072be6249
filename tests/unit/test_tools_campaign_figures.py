"""What is told of a campaign while it runs: its line, its pace, who is out, when it is over."""

import pytest
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    BucketCount,
    GetCampaignResponse,
    WatchCampaignResponse,
)

from services.tools.campaigns import live
from tests.campaigns_shown import (
    AT,
    DELIVERED,
    FAILED,
    GULF,
    UNDER_WAY,
    UNKNOWN,
    WAITING,
    campaign,
    count,
    printed,
)


def watched(state: int, *buckets: BucketCount, corrections: int = 0) -> WatchCampaignResponse:
    return WatchCampaignResponse(
        campaign=campaign(state),
        buckets=buckets,
        recipients=sum(one.recipients for one in buckets),
        corrections=[count(DELIVERED, corrections)] if corrections else [],
        recipients_per_second=41.6,
        eta_ms=90_000,
    )


def test_watching_ends_when_nothing_moves_by_itself() -> None:
    running, completed, cancelled, recalled = (
        campaigns_pb2.CAMPAIGN_STATE_RUNNING,
        campaigns_pb2.CAMPAIGN_STATE_COMPLETED,
        campaigns_pb2.CAMPAIGN_STATE_CANCELLED,
        campaigns_pb2.CAMPAIGN_STATE_RECALLED,
    )
    assert not live.over(watched(running, count(DELIVERED, 5)))
    assert live.over(watched(completed, count(UNKNOWN, 5)))
    assert not live.over(watched(cancelled, count(UNDER_WAY, 1), count(DELIVERED, 5)))
    assert live.over(watched(cancelled, count(DELIVERED, 5)))
    # All who got it or may have must have the correction: the service says when they have.
    corrected = watched(recalled, count(DELIVERED, 5), count(UNKNOWN, 1), corrections=6)
    assert not live.over(corrected)
    corrected.campaign.corrected_ms = AT
    assert live.over(corrected)
    for counted_ms in (-1, AT):
        # What is under way is not known now.
        corrected.counted_ms = counted_ms
        assert not live.over(corrected)
    assert live.over(watched(completed))


def test_a_line_says_all_of_it() -> None:
    seen = watched(campaigns_pb2.CAMPAIGN_STATE_RUNNING, count(WAITING, 60), count(DELIVERED, 40))
    assert live.line(seen, AT, GULF) == (
        "18:00:00 +04 · running · waiting 60, delivered 40 of 100 · 42/s · "
        "all given to carriers in 2 min"
    )
    seen.counted_ms = AT - 20_000
    assert live.line(seen, AT, GULF) == (
        "18:00:00 +04 · running · waiting 60, delivered 40 of 100 · where its recipients are is "
        "known as of 17:59:40 +04 only: the counts can't be read now"
    )
    assert "17:59:40" in "".join(printed(live.screen(seen, AT, GULF), width=100))
    nothing = watched(campaigns_pb2.CAMPAIGN_STATE_PAUSED)
    nothing.counted_ms = -1
    not_known = "where its recipients are is not known: the counts can't be read now"
    assert live.line(nothing, AT, GULF).endswith(not_known)
    assert "of 0" not in live.line(nothing, AT, GULF)
    assert not_known in printed(live.screen(nothing, AT, GULF), width=100)


def test_who_ends_a_campaign_is_told_how_many_are_out_and_how_many_wait() -> None:
    buckets = [count(WAITING, 324), count(UNDER_WAY, 769), count(DELIVERED, 1_907)]
    buckets += [count(FAILED, 5), count(UNKNOWN, 2), count(campaigns_pb2.BUCKET_EXPIRED, 9)]
    found = GetCampaignResponse(campaign=campaign(), buckets=buckets)
    assert live.out_and_waiting(found) == "Nothing of it was sent"
    found.campaign.started.done_ms = AT
    told = "2,683 were given to carriers and stay sent; 324 wait and never go"
    assert live.out_and_waiting(found) == told


@pytest.mark.parametrize(("rate", "told"), [(0.0, ""), (0.3, "0.3/s"), (41.6, "42/s")])
def test_no_rate_is_told_before_there_is_one(rate: float, told: str) -> None:
    seen = WatchCampaignResponse(campaign=campaign(), recipients_per_second=rate, eta_ms=-1)
    assert live.line(seen, AT, GULF).split(" · ")[3:] == ([told] if told else [])
