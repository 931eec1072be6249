"""Where the recipients of campaigns are, as a metric tells it."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from mawja.broadcast.v1.campaigns_pb2 import (
    BUCKET_INVALID,
    BUCKET_WAITING,
    BucketCount,
    Campaign,
    CampaignPlan,
    CampaignShare,
)
from mawja.broadcast.v1.events_pb2 import MessageChange
from prometheus_client import REGISTRY

from services.broadcast.campaigns import gauging, life
from services.broadcast.campaigns.board import Board
from services.broadcast.campaigns.gauging import Gauges
from services.broadcast.campaigns.tally import Tally
from services.broadcast.messages import CLAIMED, DELIVERED

PARTITION = 71


def told(bucket: str, drill: str = "false") -> float | None:
    labels = {"partition": str(PARTITION), "bucket": bucket, "drill": drill}
    return REGISTRY.get_sample_value("mawja_broadcast_campaign_recipients", labels)


def campaign(board: Board, name: str, state: life.State, people: int, drill: bool = False) -> None:
    board.campaigns[name] = Campaign(
        campaign_id=name, state=state, revision=1, plan=CampaignPlan(drill=drill)
    )
    board.rehearsed[name, PARTITION] = CampaignShare(
        buckets=[
            BucketCount(bucket=BUCKET_WAITING, language="ar", recipients=people - 1),
            BucketCount(bucket=BUCKET_INVALID, recipients=1),
        ]
    )


def change(name: str, message: str, state: "Any") -> MessageChange:
    return MessageChange(campaign_id=name, message_id=message, state=state, language="ar", parts=1)


@pytest.fixture
def board() -> Board:
    return Board(cast(Any, SimpleNamespace(partitions=1)), "test")


def test_everybody_of_a_campaign_that_is_not_over_is_in_one_bucket(board: Board) -> None:
    tally = Tally()
    campaign(board, "runs", life.RUNNING, 10)
    campaign(board, "rests", life.PAUSED, 5)
    campaign(board, "drill", life.RUNNING, 3, drill=True)
    campaign(board, "over", life.COMPLETED, 100)
    tally.take(change("runs", "a", CLAIMED), 1)
    tally.take(change("runs", "b", CLAIMED), 1)
    tally.take(change("runs", "b", DELIVERED), 2)
    gauges = Gauges(PARTITION, board, tally)
    gauges.look()
    assert (told("waiting"), told("under-way"), told("delivered"), told("invalid")) == (11, 1, 1, 2)
    assert (told("waiting", "true"), told("invalid", "true")) == (2, 1)
    said = sum(told(bucket) or 0 for bucket in gauging._BUCKETS.values())
    assert said == 15
    gauges.leave()


def test_it_falls_to_nothing_with_the_last_campaign(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gauging, "_EVERY_S", 0.0)
    campaign(board, "runs", life.RUNNING, 10)
    gauges = Gauges(PARTITION, board, Tally())
    gauges.look()
    assert told("waiting") == 9
    campaign(board, "runs", life.COMPLETED, 10)
    gauges.look()
    assert told("waiting") == 0
    gauges.leave()


def test_who_takes_the_partition_over_counts_alone(board: Board) -> None:
    campaign(board, "runs", life.RUNNING, 10)
    gauges = Gauges(PARTITION, board, Tally())
    gauges.look()
    gauges.leave()
    assert told("waiting") is None
