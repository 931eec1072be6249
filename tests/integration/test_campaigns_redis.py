"""Campaigns while Redis hangs, and without any: what people decide stands and is told at once, on
whichever replica they ask, and what is not known is said not to be."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager

import grpc
import pytest
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import Campaign, WatchCampaignResponse

from services.local.parts import Parts
from services.local.system import token
from services.runtime.errors import Away
from services.runtime.identity import Role
from services.tools.campaigns.office import Office as Desk
from tests.broadcast_rig import Rig, numbers, running, wait_until
from tests.campaigns_rig import MAKER, Office, by_bucket, listed, plan, refusal, started
from tests.freezing import frozen

RUNNING, PAUSED, CANCELLED = (
    campaigns_pb2.CAMPAIGN_STATE_RUNNING,
    campaigns_pb2.CAMPAIGN_STATE_PAUSED,
    campaigns_pb2.CAMPAIGN_STATE_CANCELLED,
)
SHORT = 8


@pytest.fixture(scope="module")
def rig(parts: Parts) -> Iterator[Rig]:
    with running(
        parts,
        "redis",
        {"slow": ({"parts_per_second": 20}, {})},
        [{"prefix": "+", "carrier": "slow"}],
    ) as made:
        yield made
        assert made.replica.process.exits == ()
        assert "Traceback" not in made.log()


def desk(rig: Rig, replica: int = 0) -> Desk:
    """A person at a terminal who asks one replica."""
    address = rig.system.running[replica].address
    shown = token(rig.system.keys, MAKER, Role.COORDINATOR)
    return Desk(f"127.0.0.1:{address.grpc}", shown)


def hanging(rig: Rig) -> AbstractContextManager[None]:
    """Valkey is there and says nothing."""
    assert rig.parts.local_valkey is not None
    return frozen(rig.parts.local_valkey.pid)


class Timed:
    """Does deeds by the short id of a campaign. How long each took: a busy machine makes some of
    them late, a part that all of them wait for makes all late."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.took_s = defaultdict[str, list[float]](list)

    def do(self, deed: str, campaign_id: str) -> Campaign:
        began = time.monotonic()
        found = self.desk.id_of(campaign_id[:SHORT])
        done = self.desk.do(deed, found, reason="the worst day")
        self.took_s[deed].append(time.monotonic() - began)
        return done

    def quickest_s(self) -> dict[str, float]:
        return {deed: min(took) for deed, took in self.took_s.items()}


def watched(desk: Desk, campaign_id: str, state: int) -> WatchCampaignResponse:
    """The first that is told of a campaign in a state."""
    return next(one for one in desk.watch(campaign_id) if one.campaign.state == state)


def test_what_is_decided_stands_at_once_while_redis_hangs(
    rig: Rig, maker: Office, other: Office
) -> None:
    ids = [
        started(maker, other, plan(maker.upload(listed(numbers(f"4{n}", 300))).audience_id))
        for n in range(3)
    ]
    seen, unseen, last = ids
    wait_until(lambda: by_bucket(maker.get(seen).buckets)["DELIVERED"] > 0)
    assert maker.get(seen).counted_ms == 0
    timed = Timed(desk(rig))
    with hanging(rig):
        for campaign_id in ids:
            assert timed.do("Pause", campaign_id).state == PAUSED
        held = len(rig.smsc["slow"].submits())
        old = watched(timed.desk, seen, PAUSED)
        assert by_bucket(old.buckets)["DELIVERED"] > 0
        assert old.campaign.started.done_ms < old.counted_ms <= old.campaign.paused.done_ms
        assert (old.recipients_per_second, old.eta_ms) == (0, -1)
        blank = maker.get(last)
        assert (blank.counted_ms, list(blank.buckets), blank.recipients) == (-1, [], 0)
        with pytest.raises(Away, match="can't be told"):
            timed.desk.resend(seen, 5, "nobody knows how many")
        assert len(rig.smsc["slow"].submits()) <= held + 20
        for campaign_id in ids:
            assert timed.do("Resume", campaign_id).state == RUNNING
        for campaign_id in ids:
            assert timed.do("Cancel", campaign_id).state == CANCELLED
        assert watched(timed.desk, unseen, CANCELLED).counted_ms
        states = {one.campaign_id: one.state for one in timed.desk.all()}
        assert [states[one] for one in ids] == [CANCELLED] * 3
    assert max(timed.quickest_s().values()) < 1, timed.took_s
    for campaign_id in ids:
        wait_until(lambda name=campaign_id: maker.get(name).counted_ms == 0)  # type: ignore[misc]
        assert maker.get(campaign_id).recipients == 300
    people = {one.destination for one in rig.smsc["slow"].submits()}
    wait_until(
        lambda: sum(by_bucket(maker.get(one).buckets)["DELIVERED"] for one in ids) == len(people)
    )


def test_without_any_redis_every_replica_tells_what_another_was_told(
    rig: Rig, maker: Office, other: Office
) -> None:
    campaign_id = started(
        maker, other, plan(maker.upload(listed(numbers("43", 3_000))).audience_id)
    )
    assert rig.parts.local_valkey is not None
    rig.parts.local_valkey.kill9()
    try:
        # Starts without: it serves all the same.
        rig.system.scale("broadcast", 2)
        here, there = Timed(desk(rig, 0)), Timed(desk(rig, 1))
        for doing, looking in ((here, there), (there, here)) * 5:
            assert doing.do("Pause", campaign_id).state == PAUSED
            assert looking.desk.get(campaign_id).campaign.state == PAUSED
            assert doing.do("Resume", campaign_id).state == RUNNING
            [seen] = [one for one in looking.desk.all() if one.campaign_id == campaign_id]
            assert seen.state == RUNNING
        made = maker.create(plan(maker.upload(listed(numbers("44", 3))).audience_id))
        assert maker.rehearsed(made.campaign_id).rehearsal.rehearsed_ms
        code, why = refusal(lambda: maker.do("Start", made.campaign_id))
        assert (code, why) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "it is rehearsed: only an approved campaign can be started",
        )
        assert here.do("Cancel", campaign_id).state == CANCELLED
        for timed in (here, there):
            assert max(timed.quickest_s().values()) < 1, timed.took_s
    finally:
        rig.parts.local_valkey.restart()
    wait_until(lambda: maker.get(campaign_id).counted_ms == 0)
    assert maker.get(campaign_id).recipients == 3_000
    rig.system.scale("broadcast", 1)
