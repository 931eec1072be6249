"""Who calls because of campaigns, as earlier ones measured it: kept by a person, told with its
range, and used for campaigns of the same agency and kind."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from mawja.broadcast.v1 import campaigns_pb2, events_pb2
from mawja.broadcast.v1.campaigns_pb2 import BucketCount, Campaign
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.wave.v1.events_pb2 import Counts

from services.broadcast.campaigns import watching
from services.broadcast.campaigns.holding import HELD_BACK
from services.broadcast.campaigns.returning import calls_back, parse, share_of, slowed
from services.runtime import shares
from services.runtime.errors import ConfigError, NotInState
from services.runtime.floor import Floor
from services.tools.effects import keeping
from services.tools.effects.measuring import Measuring
from tests.campaign_office import NOW, plan

SHIPPED = Path(watching.__file__).with_name("calls_back.yaml").read_text("utf-8")
ONE, TWO = "0d3c5f6e-2b6a-5c0e-9a55-1c3f5a7e9b01", "0d3c5f6e-2b6a-5c0e-9a55-1c3f5a7e9b02"
HOUR = 3_600_000


def entry(campaign: str, sent: int, called: int, held: int, also: int, agency: str = "moh") -> str:
    return (
        f'  - {{campaign: {campaign}, kind: information, agency: "{agency}", began: 2026-11-20, '
        f"within: 24h, sent: {sent}, called: {called}, held: {held}, held_called: {also}}}\n"
    )


def of_moh(agency: str = "moh") -> campaigns_pb2.CampaignPlan:
    return plan(agency=agency)


def test_what_earlier_campaigns_measured_goes_before_what_is_assumed() -> None:
    text = SHIPPED + "measured:\n" + entry(ONE, 10_000, 500, 2_000, 40)
    found = share_of(parse(text, "f"), of_moh())
    assert found is not None
    assert found.value == pytest.approx(0.05 - 0.02)
    assert found.low < found.value < found.high
    assert (found.campaigns, found.source[:29]) == (1, "measured in 1 campaign of moh")
    waiting = [BucketCount(bucket=campaigns_pb2.BUCKET_WAITING, recipients=1_000)]
    told = calls_back(of_moh(), waiting, parse(text, "f"))
    assert told is not None
    assert told.calls == pytest.approx(30)
    assert (told.campaigns, told.share_low, told.share_high) == (1, found.low, found.high)
    # Of another agency, or the centre itself, nothing was measured.
    for other in ("police", ""):
        assumed = share_of(parse(text, "f"), of_moh(other))
        assert assumed is not None
        assert (assumed.value, assumed.campaigns) == (0.05, 0)


def test_several_are_one_mean_by_whom_they_were_sent_to_and_surer_together() -> None:
    one = shares.difference(shares.share(500, 10_000), shares.share(40, 2_000))
    two = shares.difference(shares.share(300, 5_000), shares.share(20, 1_000))
    text = SHIPPED + "measured:\n" + entry(ONE, 10_000, 500, 2_000, 40)
    both = share_of(parse(text + entry(TWO, 5_000, 300, 1_000, 20), "f"), of_moh())
    assert both is not None
    assert both.value == pytest.approx((2 * one[0] + two[0]) / 3)
    assert both.high - both.low < one[2] - one[1]
    assert both.campaigns == 2


def test_what_is_not_sure_to_five_points_is_not_used() -> None:
    text = SHIPPED + "measured:\n" + entry(ONE, 60, 6, 40, 2)
    found = share_of(parse(text, "f"), of_moh())
    assert found is not None
    assert (found.value, found.campaigns) == (0.05, 0)


def test_a_campaign_that_saves_calls_is_not_slowed() -> None:
    text = SHIPPED + "measured:\n" + entry(ONE, 10_000, 100, 2_000, 200)
    found = parse(text, "f")
    back = share_of(found, of_moh())
    assert back is not None
    assert (back.value, back.low < 0) == (0.0, True)
    full = Floor(10, Counts(offered=300, handled=300, handling_ms=72_000_000), 900_000, 3_000)
    assert slowed(of_moh(), found, full, 1, 1_000.0, NOW) is None
    assert slowed(of_moh("police"), found, full, 1, 1_000.0, NOW) is not None


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (entry(ONE, 100, 101, 20, 2), r"line \d+: measured\[0\]\.called"),
        (entry(ONE, 0, 0, 20, 2), r"measured\[0\]\.sent"),
        (entry(ONE, 10, 1, 20, 2) * 2, r"measured\[1\]\.campaign: stands twice"),
        (entry("moh-1", 10, 1, 20, 2), "must be a campaign's id"),
        (entry(ONE, 10, 1, 20, 2).replace("}", ", more: 1}"), "more: is not known"),
    ],
)
def test_a_wrong_line_is_named(wrong: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse(SHIPPED + "measured:\n" + wrong, "f")


def measured(*, drill: bool = False, within_ms: int = 24 * HOUR) -> Measuring:
    found = Measuring(ONE, within_ms)
    campaign = Campaign(campaign_id=ONE, plan=replace_drill(drill))
    campaign.started.done_ms = NOW
    found.decided(campaign)
    sent = events_pb2.MESSAGE_STATE_CLAIMED
    held = events_pb2.MESSAGE_STATE_SUPPRESSED
    for i in range(100):
        change = events_pb2.MessageChange(campaign_id=ONE, person=b"%16d" % i)
        change.state = held if i % 5 == 0 else sent
        change.reason = HELD_BACK if i % 5 == 0 else ""
        found.change(change)
    decision = dedup.CaseDecision(change=dedup.CASE_CHANGE_OPENED)
    decision.case.person = b"%16d" % 1
    decision.link.channel = common_pb2.CHANNEL_VOICE
    decision.link.event_ms = NOW + HOUR
    found.case(decision)
    return found


def replace_drill(drill: bool) -> campaigns_pb2.CampaignPlan:
    made = of_moh()
    made.drill = drill
    return made


def test_a_campaign_is_kept_as_one_line_that_the_service_reads() -> None:
    line = keeping.line(measured(), "24h", NOW + 24 * HOUR)
    text = keeping.kept(SHIPPED, "f", ONE, line)
    assert text.startswith(SHIPPED), "what people wrote stays"
    parse(text, "f")
    [one] = yaml.safe_load(text)["measured"]
    assert (one["campaign"], one["kind"], one["agency"]) == (ONE, "information", "moh")
    assert (one["sent"], one["called"], one["held"], one["held_called"]) == (80, 1, 20, 0)
    # Kept again, it takes its own place; another comes behind it.
    later = line.replace("called: 1,", "called: 2,")
    again = keeping.kept(text, "f", ONE, later)
    assert [one["called"] for one in yaml.safe_load(again)["measured"]] == [2]
    both = keeping.kept(again, "f", TWO, line.replace(ONE, TWO))
    assert [one["campaign"] for one in yaml.safe_load(both)["measured"]] == [ONE, TWO]
    parse(both + "# looked at by huda\n", "f")


def test_nothing_is_kept_that_says_nothing_of_others() -> None:
    with pytest.raises(NotInState, match="24h are over at"):
        keeping.line(measured(), "24h", NOW + 24 * HOUR - 1)
    with pytest.raises(NotInState, match="rehearsal"):
        keeping.line(measured(drill=True), "24h", NOW + 24 * HOUR)
    with pytest.raises(NotInState, match="nobody can be compared"):
        keeping.line(replace(measured(), _held=set()), "24h", NOW + 24 * HOUR)
    with pytest.raises(ConfigError, match="must be a list"):
        keeping.kept(SHIPPED + "measured: []\n", "f", ONE, "  - {}")
