"""Broadcast killed while it takes a file, rehearses and sends: everybody gets a message once and is
in one bucket; what was held stays held, and nothing goes before its time."""

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import UploadAudienceRequest

from services.local.parts import Parts
from services.local.smsc.record import duplicates
from services.local.supervised import RestartPolicy
from services.runtime.topics import partition_of
from tests import burying
from tests.broadcast_rig import PARTITIONS, Rig, digits, numbers, running, wait_until
from tests.campaigns_rig import (
    MAKER,
    OTHER,
    Office,
    account,
    again,
    agrees,
    by_bucket,
    code_of,
    listed,
    plan,
    started,
)
from tests.faults.crashing import CODE, GO, command
from tests.faults.points import POINTS
from tests.faults.sending import accepted, caught, left_by_a_kill

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]
PEOPLE = 3_000
COMPLETED = campaigns_pb2.CAMPAIGN_STATE_COMPLETED
PAUSED = campaigns_pb2.CAMPAIGN_STATE_PAUSED
CANCELLED = campaigns_pb2.CAMPAIGN_STATE_CANCELLED


@pytest.fixture
def rig(parts: Parts, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A carrier of 250 parts a second that answers after 20 to 60 ms."""
    with caught(parts, request) as made:
        for replica in made.system.running:
            replica.process.policy = RestartPolicy(factor=1.0)
        yield made


def kill(rig: Rig) -> None:
    """SIGKILL; returns when it serves again, its partitions in hand."""
    burying.kill(rig.parts.kafka, rig.replica)
    wait_until(rig.replica.ready, 60)


def hold(rig: Rig, maker: Office, campaign_id: str, people: list[str]) -> None:
    """The account of a campaign that needs nothing more, and the SMS centre's: nobody got it twice,
    what was delivered was accepted, and nobody else got anything."""
    found = agrees(rig, maker, campaign_id, len(people))
    submits = rig.smsc["local"].submits()
    assert duplicates(submits) == []
    got = {one.destination for one in submits if one.accepted}
    assert got <= {digits(number) for number in people}
    at_rest = found["DELIVERED"] + found["UNKNOWN"] + found["CANCELLED"]
    assert at_rest == len(people), found
    # The SMS centre sends a receipt for all that it accepts.
    assert found["DELIVERED"] == len(got)


def test_kill_9_from_the_file_to_the_last_receipt(rig: Rig) -> None:
    chance = random.Random(1)
    maker, other = Office(rig.system, MAKER), Office(rig.system, OTHER)
    people = numbers("40", PEOPLE)
    content = listed(people)

    # While it takes the file: what came is no file, and the whole is taken once.
    half = threading.Event()

    def pieces() -> Iterator[UploadAudienceRequest]:
        yield maker.start_of(request_id="file")
        middle = len(content) // 2
        yield UploadAudienceRequest(data=content[:middle])
        half.set()
        time.sleep(3)
        yield UploadAudienceRequest(data=content[middle:])

    codes: list[grpc.StatusCode] = []
    sending = threading.Thread(
        target=lambda: codes.append(
            code_of(lambda: maker.stub.UploadAudience(pieces(), timeout=30))
        )
    )
    sending.start()
    half.wait(10)
    time.sleep(0.5)
    kill(rig)
    sending.join()
    assert codes == [grpc.StatusCode.UNAVAILABLE]
    taken = again(lambda: maker.upload(content, request_id="file"))
    assert (taken.recipients, taken.bad) == (PEOPLE, 0)

    # While it rehearses.
    wanted = plan(taken.audience_id)
    campaign_id = again(lambda: maker.create(wanted, "campaign")).campaign_id
    again(lambda: maker.do("Rehearse", campaign_id, request_id="rehearse"))
    kill(rig)
    seen = maker.until(campaign_id, campaigns_pb2.CAMPAIGN_STATE_REHEARSED).campaign
    assert by_bucket(seen.rehearsal.buckets) == {"WAITING": PEOPLE}

    # What nobody approved can't be started, and nothing of it goes, also after a kill.
    refused = code_of(lambda: maker.do("Start", campaign_id))
    assert refused is grpc.StatusCode.FAILED_PRECONDITION
    kill(rig)
    time.sleep(2)
    assert accepted(rig) == 0
    again(lambda: other.approve(seen, "approve"))
    again(lambda: maker.do("Start", campaign_id, request_id="start"))

    outstanding = 0
    for _ in range(3):
        goal = accepted(rig) + chance.randint(150, 400)
        wait_until(lambda goal=goal: accepted(rig) >= goal, 60, 0.01)  # type: ignore[misc]
        outstanding += left_by_a_kill(rig)
        wait_until(rig.replica.ready, 60)
    assert outstanding > 0, "it was not killed in the middle of anything"

    # Held through a kill.
    goal = accepted(rig) + 100
    wait_until(lambda: accepted(rig) >= goal, 60, 0.01)
    again(lambda: maker.do("Pause", campaign_id, request_id="pause", reason="look"))
    time.sleep(1)
    held = accepted(rig)
    kill(rig)
    time.sleep(3)
    assert accepted(rig) == held < PEOPLE
    assert again(lambda: maker.get(campaign_id)).campaign.state == PAUSED
    agrees(rig, maker, campaign_id, PEOPLE)

    again(lambda: maker.do("Resume", campaign_id, request_id="resume"))
    done = maker.until(campaign_id, COMPLETED, timeout_s=120)
    hold(rig, maker, campaign_id, people)
    assert by_bucket(done.buckets)["UNKNOWN"] <= outstanding


def test_what_was_cancelled_stays_cancelled(rig: Rig) -> None:
    maker, other = Office(rig.system, MAKER), Office(rig.system, OTHER)
    people = numbers("41", PEOPLE)
    campaign_id = started(maker, other, plan(maker.upload(listed(people)).audience_id))
    wait_until(lambda: accepted(rig) >= 300, 60, 0.01)
    maker.do("Cancel", campaign_id, reason="wrong town")
    burying.kill(rig.parts.kafka, rig.replica)
    time.sleep(0.5)
    held = accepted(rig)
    wait_until(rig.replica.ready, 60)
    # Receipts that the SMS centre still has.
    wait_until(lambda: agrees(rig, maker, campaign_id, PEOPLE)["UNDER_WAY"] == 0, 60, 0.5)
    assert accepted(rig) == held < PEOPLE
    assert again(lambda: maker.get(campaign_id)).campaign.state == CANCELLED
    hold(rig, maker, campaign_id, people)


@pytest.mark.parametrize("rig", [2], indirect=True)
def test_a_pause_holds_on_every_replica_within_a_second(rig: Rig) -> None:
    maker, other = Office(rig.system, MAKER), Office(rig.system, OTHER)
    people = numbers("42", PEOPLE)
    campaign_id = started(maker, other, plan(maker.upload(listed(people)).audience_id))
    at = {digits(one): partition_of(rig.keyring.person(one), PARTITIONS) for one in people}

    def partitions() -> set[int]:
        return {at[one.destination] for one in rig.smsc["local"].submits()}

    wait_until(lambda: accepted(rig) >= 500 and len(partitions()) == PARTITIONS, 60, 0.01)
    maker.do("Pause", campaign_id, reason="look")
    held_at = time.time()
    time.sleep(4)
    late = [one.t - held_at for one in rig.smsc["local"].submits() if one.t > held_at + 1]
    assert late == []
    assert agrees(rig, maker, campaign_id, PEOPLE)["WAITING"] > 0
    maker.do("Resume", campaign_id)
    # One of the two goes: the other walks through its share, and gives what is left.
    wait_until(lambda: accepted(rig) >= 1_200, 60, 0.01)
    rig.system.running[1].process.stop()
    maker.until(campaign_id, COMPLETED, timeout_s=120)
    hold(rig, maker, campaign_id, people)
    assert agrees(rig, maker, campaign_id, PEOPLE) == {"DELIVERED": PEOPLE}


def test_a_crash_after_everything_that_a_campaign_writes(parts: Parts, tmp_path: Path) -> None:
    points = [
        point
        for point in POINTS
        if point.room == "broadcast"
        and (point.name.startswith(("audience", "campaign")) or point.name == "marker-of-campaigns")
    ]
    assert len(points) == 5
    people = numbers("43", 1_200)
    with running(
        parts,
        "campaign-crashes",
        {"local": ({"parts_per_second": 400}, {})},
        [{"prefix": "+", "carrier": "local"}],
        command=command("broadcast", tmp_path, 1, points),
    ) as rig:
        rig.replica.process.policy = RestartPolicy(factor=1.0)
        maker, other = Office(rig.system, MAKER), Office(rig.system, OTHER)
        (tmp_path / GO).touch()
        content = listed(people)
        taken = again(lambda: maker.upload(content, request_id="another file"), 120)
        wanted = plan(taken.audience_id)
        campaign_id = again(lambda: maker.create(wanted, "new"), 120).campaign_id
        again(lambda: maker.do("Rehearse", campaign_id, request_id="rehearse"), 120)
        seen = maker.until(
            campaign_id, campaigns_pb2.CAMPAIGN_STATE_REHEARSED, timeout_s=120
        ).campaign
        again(lambda: other.approve(seen, "approve"), 120)
        again(lambda: maker.do("Start", campaign_id, request_id="start"), 120)
        for turn in range(20):
            if all((tmp_path / point.flag).exists() for point in points):
                break
            # Commands of people are what is left to crash after.
            deed = ("Pause", "Resume")[turn % 2]
            again(lambda deed=deed: code_of(lambda: maker.do(deed, campaign_id)), 120)  # type: ignore[misc]
            time.sleep(1)
        assert [p.flag for p in points if not (tmp_path / p.flag).exists()] == []
        wait_until(rig.replica.ready, 60)
        if again(lambda: maker.get(campaign_id)).campaign.state == PAUSED:
            again(lambda: maker.do("Resume", campaign_id, request_id="go on"), 120)
        maker.until(campaign_id, COMPLETED, timeout_s=120)
        hold(rig, maker, campaign_id, people)
        assert {ended.code for ended in rig.replica.process.exits} == {CODE}
        assert len(account(rig, campaign_id).people) == len(people)
