"""Calls that a campaign brings back: what a rehearsal says, and how slowly it goes for them."""

import pytest
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st
from mawja.broadcast.v1 import campaigns_pb2, events_pb2
from mawja.broadcast.v1.campaigns_pb2 import BucketCount, Campaign, CampaignCommand, Slowed
from mawja.wave.v1.events_pb2 import Counts

from services.broadcast.campaigns import life
from services.broadcast.campaigns.returning import (
    Share,
    Shares,
    calls_back,
    differs,
    parse,
    slowed,
)
from services.broadcast.campaigns.waiting import Now, waits
from services.broadcast.campaigns.watching import shares_of
from services.runtime import erlang
from services.runtime.errors import ConfigError
from services.runtime.floor import ANSWERED, WITHIN_S, Floor, room
from tests.campaign_office import CAMPAIGN_ID, NOW, TERMS, Office, plan

WIDTH = 900_000
INFORMATION = events_pb2.CAMPAIGN_KIND_INFORMATION
EMERGENCY = events_pb2.CAMPAIGN_KIND_EMERGENCY
SHARES: Shares = {
    (INFORMATION, None): Share(0.05, "measured"),
    (EMERGENCY, None): Share(0.2, "assumed"),
}


def floor(
    offered: int = 300, aht_s: float = 240, agents: int | None = 100, waiting: int = 0
) -> Floor:
    """`offered` calls in 15 minutes, all of them handled."""
    counts = Counts(offered=offered, handled=offered, handling_ms=int(offered * aht_s * 1000))
    return Floor(agents, counts, WIDTH, waiting)


def test_what_is_free_is_what_erlang_says_less_what_comes_and_waits() -> None:
    free = room(floor())
    assert free is not None
    load = (free + 20) * 240 / 60
    assert erlang.service_level(100, load, 240, WITHIN_S) == pytest.approx(ANSWERED, abs=1e-6)
    assert room(floor(waiting=30)) == pytest.approx(free - 2)
    assert room(floor(offered=600)) == 0.0
    assert room(floor(waiting=3_000)) == 0.0


def test_where_nobody_says_how_many_agents_there_are_those_who_wait_do() -> None:
    assert room(floor(agents=None)) is None
    assert room(floor(agents=None, waiting=5)) == 0.0
    assert room(floor(offered=0)) is None


def test_a_campaign_is_slowed_to_what_agents_can_take_and_says_why() -> None:
    full = floor(offered=330, waiting=80)
    free = room(full)
    assert free is not None
    found = slowed(plan(), SHARES, full, 1, 1_000.0, NOW)
    assert found is not None
    assert found.recipients_per_second == pytest.approx(free / 60 / 0.05)
    assert found.reason == f"80 people wait, room for {free:,.0f} calls/min"
    shared = slowed(plan(), SHARES, full, 2, 1_000.0, NOW)
    assert shared is not None
    assert shared.recipients_per_second == pytest.approx(found.recipients_per_second / 2)


def test_nothing_is_slowed_that_carriers_slow_more_or_of_which_nobody_can_tell() -> None:
    assert slowed(plan(), SHARES, floor(), 1, 0.1, NOW) is None
    assert slowed(plan(), SHARES, floor(agents=None), 1, 1_000.0, NOW) is None
    assert slowed(plan(), {}, floor(waiting=3_000), 1, 1_000.0, NOW) is None


def test_an_emergency_is_never_slowed() -> None:
    urgent = plan(kind=EMERGENCY)
    assert slowed(urgent, SHARES, floor(waiting=3_000), 1, 1_000.0, NOW) is None
    command = CampaignCommand(campaign_id=CAMPAIGN_ID, slow=Slowed(reason="80 people wait"))
    running = Campaign(campaign_id=CAMPAIGN_ID, state=life.RUNNING, plan=urgent)
    with pytest.raises(life.Refused, match="never slowed") as refused:
        life.done(running, command, life.Shares(), 1, TERMS, NOW)
    assert refused.value.code == code_pb2.FAILED_PRECONDITION


@given(st.integers(0, 2_000), st.integers(1, 400), st.integers(0, 500))
def test_more_who_come_or_wait_never_leave_more_room(
    offered: int, agents: int, waiting: int
) -> None:
    one = room(floor(offered + 1, agents=agents, waiting=waiting))
    more = room(floor(offered + 2, agents=agents, waiting=waiting + 1))
    assert one is not None
    assert more is not None
    assert 0 <= more <= one


def test_a_pace_is_decided_anew_only_when_it_is_another() -> None:
    slow, slower = Slowed(recipients_per_second=10), Slowed(recipients_per_second=7)
    assert differs(None, slow)
    assert differs(slow, None)
    assert differs(slow, slower)
    assert not differs(slow, Slowed(recipients_per_second=9, reason="other words"))
    assert not differs(None, None)
    assert not differs(Slowed(), Slowed())


def test_it_is_a_decision_that_says_why_and_ends() -> None:
    office = Office().running()
    first = office.do(
        subject="service", slow=Slowed(recipients_per_second=2, reason="80 people wait")
    ).campaign
    assert (first.slowed.reason, first.slowed.since_ms) == ("80 people wait", NOW)
    assert waits(first, Now(), TERMS.digest, NOW).startswith("slowed: 80 people wait")
    again = office.do(
        subject="service", now_ms=NOW + 9, slow=Slowed(recipients_per_second=1, reason="more")
    ).campaign
    assert (again.slowed.reason, again.slowed.since_ms) == ("more", NOW)
    assert again.revision == first.revision
    let_go = office.do(subject="service", slow=Slowed()).campaign
    assert not let_go.HasField("slowed")
    assert waits(let_go, Now(), TERMS.digest, NOW) == ""
    assert let_go.state == life.RUNNING


def test_a_rehearsal_says_how_many_call_and_by_what_it_reckons() -> None:
    found = calls_back(
        plan(),
        [
            BucketCount(bucket=campaigns_pb2.BUCKET_WAITING, recipients=900),
            BucketCount(bucket=campaigns_pb2.BUCKET_HELD_BACK, recipients=100),
            BucketCount(bucket=campaigns_pb2.BUCKET_OPTED_OUT, recipients=7),
        ],
        SHARES,
    )
    assert found is not None
    assert (found.recipients, found.source) == (900, "measured")
    assert found.calls == pytest.approx(45)
    assert calls_back(plan(), [], {}) is None


def test_the_shipped_shares_say_where_they_are_from_and_a_wrong_file_names_its_line() -> None:
    assert all(0 < one.value < 1 and len(one.source) > 20 for one in shares_of(None).values())
    wrong = "information: {share: 2, source: x}\nmarketing: {share: 0, source: x}\n"
    with pytest.raises(ConfigError, match=r"back.yaml, line 1: information.share"):
        parse(wrong, "back.yaml")
