"""What may become of a campaign that runs, and who may decide on one."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from mawja.broadcast.v1 import campaigns_pb2, service_pb2, service_pb2_grpc

from services.local.parts import Parts
from services.local.system import token
from services.runtime import rpc
from services.runtime.clock import now_ms
from services.runtime.identity import Role
from tests.broadcast_rig import Rig, digits, numbers, wait_until
from tests.campaigns_rig import (
    COMPLETED,
    DENIED,
    INVALID,
    NOT_FOUND,
    PRECONDITION,
    Office,
    agrees,
    by_bucket,
    code_of,
    listed,
    plan,
    refusal,
    started,
    two_speeds,
)


@pytest.fixture(scope="module")
def rig(parts: Parts) -> Iterator[Rig]:
    with two_speeds(parts, "campaigns-people") as made:
        yield made


# Decisions.


def test_an_old_hash_approves_nothing(maker: Office, other: Office) -> None:
    taken = maker.upload(listed(numbers("48", 10)))
    campaign_id = maker.create(plan(taken.audience_id)).campaign_id
    old = maker.rehearsed(campaign_id)
    assert refusal(lambda: maker.do("Start", campaign_id))[0] is PRECONDITION
    maker.update(old, plan(taken.audience_id, name="Another"))
    assert refusal(lambda: other.approve(old))[0] is PRECONDITION
    new = maker.rehearsed(campaign_id)
    assert new.rehearsal.hash != old.rehearsal.hash
    assert refusal(lambda: other.approve(old))[0] is PRECONDITION
    assert refusal(lambda: maker.approve(new))[0] is DENIED
    other.approve(new)
    # Rehearsed once more it waits for another approval.
    maker.rehearsed(campaign_id)
    assert refusal(lambda: maker.do("Start", campaign_id))[0] is PRECONDITION
    maker.do("Cancel", campaign_id, reason="over")


@pytest.mark.parametrize("most", [0.0, 4.0])
def test_who_is_left_at_the_end_expires(
    rig: Rig, maker: Office, other: Office, most: float
) -> None:
    people = numbers("21" if most else "22", 600)
    taken = maker.upload(listed(people))
    wanted = plan(taken.audience_id, most_parts_per_second=most)
    campaign = maker.create(wanted)
    # It takes some seconds to get so far.
    wanted.expires_ms = now_ms() + 9_000
    maker.update(campaign, wanted)
    other.approve(maker.rehearsed(campaign.campaign_id))
    maker.do("Start", campaign.campaign_id)
    maker.until(campaign.campaign_id, COMPLETED, timeout_s=40)
    assert now_ms() - wanted.expires_ms < 15_000
    found = agrees(rig, maker, campaign.campaign_id, 600)
    # What a carrier got in the last moment it may fail to deliver in time.
    assert found["DELIVERED"] + found["EXPIRED"] + found["FAILED"] == 600
    assert found["EXPIRED"] > 100
    assert found["FAILED"] <= 40
    late = [one for one in rig.smsc["slow"].submits() if one.t * 1000 > wanted.expires_ms + 1_000]
    assert not {digits(one) for one in people} & {one.destination for one in late}


def test_who_opts_out_while_queued_gets_nothing(rig: Rig, maker: Office, other: Office) -> None:
    people = numbers("23", 600)
    campaign_id = started(maker, other, plan(maker.upload(listed(people)).audience_id))
    wait_until(lambda: by_bucket(maker.get(campaign_id).buckets)["DELIVERED"] > 40)
    got = {one.destination for one in rig.smsc["slow"].submits()}
    gone = [one for one in people if digits(one) not in got][-20:]
    metadata = rpc.bearer(token(rig.system.keys, "agent", Role.AGENT))
    with grpc.insecure_channel(rig.system.target("broadcast")) as channel:
        stub: Any = service_pb2_grpc.BroadcastServiceStub(channel)
        # Each of ten people has two numbers.
        for first, second in zip(gone[::2], gone[1::2], strict=True):
            request = service_pb2.OptOutRequest(number=first, other_numbers=[second])
            stub.OptOut(request, metadata=metadata, timeout=20)
    wait_until(lambda: by_bucket(maker.get(campaign_id).buckets)["OPTED_OUT"] == 20, 5)
    maker.do("Cancel", campaign_id, reason="seen enough")
    wait_until(lambda: agrees(rig, maker, campaign_id, 600)["UNDER_WAY"] == 0, 30, 0.5)
    assert agrees(rig, maker, campaign_id, 600)["OPTED_OUT"] == 20
    sent = {one.destination for one in rig.smsc["slow"].submits()}
    assert not sent & {digits(one) for one in gone}


# People.


def test_only_the_right_people_may(rig: Rig, maker: Office) -> None:
    taken = maker.upload(listed(numbers("49", 5)))
    campaign = maker.create(plan(taken.audience_id))
    for role in (Role.AGENT, Role.LIAISON, Role.APPROVER, Role.AUDITOR, Role.ADMINISTRATOR):
        one = Office(rig.system, f"some-{role}", role)
        assert code_of(lambda one=one: one.upload(b"number\n")) is DENIED  # type: ignore[misc]
        assert code_of(lambda one=one: one.create(campaign.plan)) is DENIED  # type: ignore[misc]
        assert code_of(lambda one=one: one.do("Start", campaign.campaign_id)) is DENIED  # type: ignore[misc]
    for role in (Role.GATEWAY, Role.LOAD_TESTER):
        one = Office(rig.system, f"some-{role}", role)
        assert code_of(lambda one=one: one.get(campaign.campaign_id)) is DENIED  # type: ignore[misc]
    liaison = Office(rig.system, "nobody's", Role.LIAISON)
    assert code_of(lambda: liaison.get(campaign.campaign_id)) is NOT_FOUND


def test_an_agency_sees_and_touches_its_own(rig: Rig, maker: Office, other: Office) -> None:
    theirs = Office(rig.system, "moe-author", Role.COORDINATOR, "moe")
    ours = Office(rig.system, "moi-author", Role.COORDINATOR, "moi")
    liaison = Office(rig.system, "moi-liaison", Role.LIAISON, "moi")
    stranger = Office(rig.system, "moe-liaison", Role.LIAISON, "moe")
    content = listed(numbers("50", 5))
    assert code_of(lambda: theirs.upload(content, agency="moi")) is DENIED
    file = ours.upload(content, agency="moi").audience_id
    assert code_of(lambda: theirs.create(plan(file, agency="moi"))) is DENIED
    campaign = ours.create(plan(file, agency="moi"))
    name = campaign.campaign_id
    assert liaison.get(name).campaign.plan.agency == "moi"
    assert code_of(lambda: stranger.get(name)) is NOT_FOUND
    get = campaigns_pb2.GetAudienceRequest(audience_id=file)
    assert code_of(lambda: liaison.stub.GetAudience(get, timeout=20)) is grpc.StatusCode.OK
    assert code_of(lambda: stranger.stub.GetAudience(get, timeout=20)) is NOT_FOUND
    # Another agency's file is not there for a campaign.
    stolen = theirs.create(plan(file, agency="moe")).campaign_id
    assert code_of(lambda: theirs.do("Rehearse", stolen)) is INVALID
    for deed in ("Pause", "Cancel", "Recall"):
        assert code_of(lambda deed=deed: theirs.do(deed, name, reason="why")) is NOT_FOUND  # type: ignore[misc]
    listing = campaigns_pb2.ListCampaignsRequest()
    found = liaison.stub.ListCampaigns(listing, timeout=20).campaigns
    assert [one.campaign_id for one in found] == [name]
    listing.agency = "moe"
    assert code_of(lambda: liaison.stub.ListCampaigns(listing, timeout=20)) is DENIED
    watch = liaison.stub.WatchCampaign(
        campaigns_pb2.WatchCampaignRequest(campaign_id=name), timeout=20
    )
    assert next(watch).campaign.campaign_id == name
    watch.cancel()
    with pytest.raises(grpc.RpcError) as refused:
        next(
            stranger.stub.WatchCampaign(
                campaigns_pb2.WatchCampaignRequest(campaign_id=name), timeout=20
            )
        )
    said: Any = refused.value
    assert said.code() is NOT_FOUND
    seen = ours.rehearsed(name)
    assert refusal(lambda: ours.approve(seen))[0] is DENIED
    assert refusal(lambda: theirs.approve(seen))[0] is NOT_FOUND
    other.approve(seen)
