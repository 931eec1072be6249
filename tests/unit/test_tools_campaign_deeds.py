"""What people are kept from before the service is asked."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import BucketCount, Campaign, GetCampaignResponse, Rehearsal

from services.runtime.errors import ConfigError, NotInState
from services.tools.campaigns import deeds

ID = "3f0c5a52-7c1e-5d0e-9a53-0d6f3c1b2a44"


def desk(campaign: Campaign, *buckets: BucketCount) -> tuple[Any, list[str]]:
    """The service as khalid sees it, and what it was asked to do."""
    done: list[str] = []

    def do(deed: str, campaign_id: str, **given: object) -> Campaign:
        done.append(deed)
        return campaign

    campaign.campaign_id = ID
    campaign.made.subject = "maryam"
    office = SimpleNamespace(
        subject="khalid",
        id_of=lambda given: ID,
        get=lambda name: GetCampaignResponse(campaign=campaign, buckets=buckets),
        do=do,
    )
    return cast(Any, office), done


def rehearsed(bucket: int, recipients: int) -> Campaign:
    count = BucketCount(bucket=bucket, recipients=recipients)  # type: ignore[arg-type]
    return Campaign(
        state=campaigns_pb2.CAMPAIGN_STATE_REHEARSED, rehearsal=Rehearsal(buckets=[count])
    )


def test_what_nobody_would_get_is_not_approved() -> None:
    office, done = desk(rehearsed(campaigns_pb2.BUCKET_OPTED_OUT, 5))
    with pytest.raises(NotInState, match="nobody would get it"):
        deeds.approve_command(office, ID, yes=True)
    assert done == []
    office, done = desk(rehearsed(campaigns_pb2.BUCKET_WAITING, 5))
    deeds.approve_command(office, ID, yes=True, as_json=True)
    assert done == ["Approve"]


@pytest.mark.parametrize("deed", ["cancel", "recall"])
def test_without_a_terminal_nothing_is_ended_unasked(
    deed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: False))
    running = Campaign(state=campaigns_pb2.CAMPAIGN_STATE_RUNNING)
    running.plan.corrections.add(language="ar", template="تصحيح")
    office, done = desk(running)
    command = getattr(deeds, f"{deed}_command")
    with pytest.raises(ConfigError, match=r"nobody is here to be asked: .*--yes"):
        command(office, ID, reason="closed")
    assert done == []
    command(office, ID, reason="closed", yes=True, as_json=True)
    assert done == [deed.capitalize()]


def test_what_has_ended_is_left_to_the_service_to_refuse() -> None:
    office, done = desk(Campaign(state=campaigns_pb2.CAMPAIGN_STATE_COMPLETED))
    deeds.cancel_command(office, ID, reason="enough", as_json=True)
    assert done == ["Cancel"]
