"""Two SMS centres behind the same routes: what one refuses, or is not there for, the other sends;
it has its share again when it is well, and nobody gets anything twice."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from mawja.broadcast.v1 import campaigns_pb2, events_pb2
from mawja.common.v1 import common_pb2

from services.broadcast.routes import Route, shared
from services.local.parts import Parts
from services.local.smsc.record import duplicates
from tests.broadcast_rig import LONG_ARABIC, Rig, digits, numbers, running, wait_until
from tests.campaigns_rig import Office, by_bucket, listed, plan

URGENT = common_pb2.LANE_URGENT
WEIGHTS = {"main": 3.0, "side": 1.0}
ROUTES = [Route("+99953", "", name, weight) for name, weight in WEIGHTS.items()]


@pytest.fixture(scope="module")
def rig(parts: Parts) -> Iterator[Rig]:
    """`main` and `side` share; `spare` is the next rank of `main` alone, `live` nobody's here."""
    quick = {"response_timeout_s": 2}
    with running(
        parts,
        "failover",
        {
            "main": (quick, {}),
            "side": ({**quick, "alphabet": "latin1"}, {"alphabet": "latin1"}),
            "only": (quick, {}),
            "spare": (quick, {}),
            "live": ({"declared": "live"}, {}),
        },
        [
            *(
                {"prefix": route.prefix, "carrier": route.carrier, "weight": str(route.weight)}
                for route in ROUTES
            ),
            {"prefix": "+99954", "carrier": "only"},
            {"prefix": "+99956", "carrier": "only", "fallback": "none"},
            {"prefix": "+9995", "carrier": "spare"},
            {"prefix": "+", "carrier": "live"},
        ],
    ) as started:
        yield started


def ask(rig: Rig, people: Sequence[str], text: str, **more: int) -> list[str]:
    asked = [rig.outreach.request(number, text, **more) for number in people]  # type: ignore[arg-type]
    rig.outreach.flush()
    return asked


def got(rig: Rig, name: str) -> set[tuple[str, str]]:
    """Who got which text by a centre, as far as it took every part."""
    return {(one.destination, one.text or "") for one in rig.smsc[name].messages() if one.complete}


def check_once(rig: Rig) -> None:
    """Nobody got anything twice, by whichever centre; and no drill reached the live one."""
    every = [one for name in rig.smsc for one in rig.smsc[name].submits()]
    assert duplicates(every) == []
    names = ["main", "side", "only", "spare"]
    assert sum(len(got(rig, name)) for name in names) == len(
        set().union(*(got(rig, name) for name in names))
    )
    assert rig.smsc["live"].submits() == []


def count(rig: Rig, name: str, people: Sequence[str]) -> int:
    taken = {one for one, _ in got(rig, name)}
    return sum(digits(number) in taken for number in people)


def test_equal_routes_share_by_weight_and_person(rig: Rig) -> None:
    people = numbers("30", 400)
    rig.ledger.wait_for(ask(rig, people, "by weight"), "DELIVERED")
    for number in people:
        carrier = shared(ROUTES, rig.keyring.person(number))
        assert digits(number) in {one for one, _ in got(rig, carrier)}
    assert 260 < count(rig, "main", people) < 340
    check_once(rig)


def test_what_one_refuses_the_other_sends_in_its_own_parts(rig: Rig) -> None:
    rig.smsc["main"].set(refuse={"ESME_RSYSERR": 1.0})
    people = numbers("31", 300)
    asked = ask(rig, people[:200], "é" * 150) + ask(rig, people[200:], LONG_ARABIC)
    rig.ledger.wait_for(asked, "DELIVERED")
    assert count(rig, "side", people) == 300
    refused = [one for one in asked if rig.ledger.last[one].attempt > 1]
    assert refused
    for one in refused:
        changes = rig.ledger.history[one]
        carriers = [c.carrier for c in changes if c.state == events_pb2.MESSAGE_STATE_CLAIMED]
        assert carriers[0] == "main"
        assert carriers[-1] == "side"
    tried = {submit.destination for submit in rig.smsc["main"].submits()} & set(map(digits, people))
    assert len(tried) < 200, "most were not even tried there"
    check_once(rig)


def test_it_is_well_again_and_has_its_share(rig: Rig) -> None:
    rig.smsc["main"].set(refuse={})
    begun, share, rounds = time.monotonic(), 0.0, 0
    while share < 0.5:
        assert time.monotonic() < begun + 60, f"it had {share:.0%} in the end"
        people = [f"+99953{rounds:03d}{index:04d}" for index in range(100)]
        rig.ledger.wait_for(ask(rig, people, f"heal {rounds}"), "DELIVERED")
        texts = [who for who, text in got(rig, "main") if text.endswith(f"heal {rounds}")]
        share, rounds = len(texts) / 100, rounds + 1
    check_once(rig)


def test_a_number_that_one_refuses_is_not_tried_at_the_other(rig: Rig) -> None:
    for name in ("main", "side"):
        rig.smsc[name].set(refuse={"ESME_RINVDSTADR": 1.0})
    people = numbers("33", 60)
    asked = ask(rig, people, "nobody there")
    rig.ledger.wait_for(asked, "FAILED")
    for name in ("main", "side"):
        rig.smsc[name].set(refuse={})
    assert {rig.ledger.last[one].attempt for one in asked} == {1}
    check_once(rig)


def test_who_throttles_everything_for_long_loses_its_messages(rig: Rig) -> None:
    rig.smsc["main"].set(throttle_parts_per_s=1)
    people = numbers("34", 200)
    rig.ledger.wait_for(ask(rig, people, "too fast"), "DELIVERED", timeout_s=40)
    rig.smsc["main"].set(throttle_parts_per_s=None)
    assert count(rig, "side", people) > 150
    check_once(rig)


def test_who_dies_is_gone_round_and_what_it_may_have_is_not_sent_again(rig: Rig) -> None:
    centre = rig.smsc["only"]
    centre.set(answer_delay_ms=800, receipt_never=1.0)
    first = numbers("41", 40)
    asked = ask(rig, first, "before")
    wait_until(lambda: len(centre.submits()) >= 40)
    centre.stop()
    rig.ledger.wait_for(asked, "UNKNOWN")
    later = numbers("42", 300)
    begun = time.monotonic()
    alarm = ask(rig, numbers("43", 5), "leave", lane=URGENT)
    rig.ledger.wait_for(alarm, "DELIVERED", timeout_s=5)
    bulk = ask(rig, later, "after", lane=common_pb2.LANE_BULK)
    rig.ledger.wait_for(bulk, "DELIVERED", timeout_s=20)
    assert time.monotonic() - begun < 20
    assert count(rig, "spare", later) == 300
    assert count(rig, "spare", first) == 0, "it may have arrived"
    assert {rig.ledger.last[one].attempt for one in asked} == {1}
    check_once(rig)


def test_it_comes_back_and_has_its_own_again(rig: Rig) -> None:
    centre = rig.smsc["only"]
    centre.start()
    centre.set(answer_delay_ms=1, receipt_never=0.0)
    begun, share, rounds = time.monotonic(), 0.0, 0
    while share < 0.9:
        assert time.monotonic() < begun + 60, f"it had {share:.0%} in the end"
        people = [f"+99954{rounds:03d}{index:04d}" for index in range(100)]
        rig.ledger.wait_for(ask(rig, people, f"back {rounds}"), "DELIVERED")
        texts = [who for who, text in got(rig, "only") if text.endswith(f"back {rounds}")]
        share, rounds = len(texts) / 100, rounds + 1
    check_once(rig)


def test_a_campaign_rehearsed_for_both_is_sent_by_one(
    rig: Rig, maker: Office, other: Office
) -> None:
    """What was rehearsed for the carrier that is away goes by the other, and it all adds up."""
    people = numbers("37", 400)
    campaign = maker.create(plan(maker.upload(listed(people)).audience_id))
    rehearsed = maker.rehearsed(campaign.campaign_id)
    foreseen = Counter[str]()
    for one in rehearsed.rehearsal.buckets:
        foreseen[one.carrier] += one.recipients
    assert foreseen == Counter(shared(ROUTES, rig.keyring.person(number)) for number in people)
    other.approve(rehearsed)
    rig.smsc["main"].stop()
    try:
        maker.do("Start", campaign.campaign_id)
        done = maker.until(campaign.campaign_id, campaigns_pb2.CAMPAIGN_STATE_COMPLETED)
    finally:
        rig.smsc["main"].start()
    assert by_bucket(done.buckets) == {"DELIVERED": 400}
    assert {one.carrier for one in done.buckets} == {"side"}
    check_once(rig)


def test_who_may_have_no_other_carrier_fails_where_others_go_on(rig: Rig) -> None:
    rig.smsc["only"].set(refuse={"ESME_RINVSRCADR": 1.0})
    alone, others = numbers("61", 20), numbers("41", 20)
    failed, sent = ask(rig, alone, "this one"), ask(rig, others, "or another")
    rig.ledger.wait_for(sent, "DELIVERED")
    rig.ledger.wait_for(failed, "FAILED")
    rig.smsc["only"].set(refuse={})
    assert {rig.ledger.last[one].reason for one in failed} == {"invalid-sender"}
    assert {rig.ledger.last[one].attempt for one in failed} == {1}
    assert (count(rig, "spare", alone), count(rig, "spare", others)) == (0, 20)
    check_once(rig)
