"""A campaign from an alert, and as one: what is said stays as it is, and a drill stays a drill."""

import pytest
from mawja.broadcast.v1 import campaigns_pb2, events_pb2
from mawja.broadcast.v1.campaigns_pb2 import Campaign, CampaignDeed, CampaignPlan, CampaignText

from services.broadcast.campaigns.alerts import USUAL_MS, Event, alert_from, plan_of
from services.broadcast.cap.drafts import draft_of
from services.broadcast.cap.model import CapError, MsgType, Status
from services.broadcast.cap.reading import parse
from services.broadcast.cap.writing import write
from services.broadcast.texts.template import parse as template
from services.tools.campaigns.authoring import EXAMPLE
from services.tools.campaigns.plan import read

STARTED, ENDED, ENDS = 1_800_000_000_000, 1_800_000_600_000, 1_800_003_600_000
SENDER = "alerts@ncema.example"
EVENT = Event({"ar": "فيضان", "en": "Flood"})
ARABIC, ENGLISH = "ارتفع منسوب المياه في الوادي، ابتعدوا عنه.", "The wadi is flooding. Stay away."


def campaign(
    state: int = campaigns_pb2.CAMPAIGN_STATE_RUNNING, *, drill: bool = False, text: str = ARABIC
) -> Campaign:
    return Campaign(
        campaign_id="6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        state=campaigns_pb2.CampaignState.ValueType(state),
        plan=CampaignPlan(
            name="Wadi",
            agency="ncema",
            drill=drill,
            kind=events_pb2.CAMPAIGN_KIND_EMERGENCY,
            texts=[
                CampaignText(language="ar", template=text),
                CampaignText(language="en", template=ENGLISH),
            ],
            corrections=[CampaignText(language="ar", template="انتهى الخطر.")],
            language="ar",
            expires_ms=ENDS,
        ),
        started=CampaignDeed(subject="khalid", done_ms=STARTED),
        ended=CampaignDeed(subject="khalid", done_ms=ENDED),
    )


def test_there_and_back_it_says_the_same() -> None:
    alert = parse(write(alert_from(campaign(), SENDER, EVENT)))
    assert (alert.status, alert.msg_type) == (Status.ACTUAL, MsgType.ALERT)
    plan = plan_of(draft_of(alert), STARTED)
    assert {one.language for one in plan.texts} == {"ar", "en"}
    assert ARABIC in str(template("ar", plan.texts[0].template).pieces[0])
    assert (plan.language, plan.expires_ms, plan.drill) == ("ar", ENDS, False)
    assert not plan.corrections
    assert not plan.HasField("audience")


def test_a_drill_is_an_exercise_and_comes_back_as_a_drill() -> None:
    alert = parse(write(alert_from(campaign(drill=True), SENDER, EVENT)))
    assert alert.status is Status.EXERCISE
    assert plan_of(draft_of(alert), STARTED).drill


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (campaigns_pb2.CAMPAIGN_STATE_RECALLED, MsgType.UPDATE),
        (campaigns_pb2.CAMPAIGN_STATE_CANCELLED, MsgType.CANCEL),
    ],
)
def test_what_ended_refers_to_what_went_out(state: int, kind: MsgType) -> None:
    first = alert_from(campaign(), SENDER, EVENT)
    ended = parse(write(alert_from(campaign(state), SENDER, EVENT)))
    assert ended.msg_type is kind
    assert ended.references == (first.reference(),)
    assert ended.identifier != first.identifier
    assert alert_from(campaign(state), SENDER, EVENT, first=True) == first


def test_braces_of_an_alert_are_braces() -> None:
    alert = alert_from(campaign(text="رقم {{١}}"), SENDER, EVENT)
    plan = plan_of(draft_of(alert), STARTED)
    [piece, *rest] = template("ar", plan.texts[0].template).pieces
    assert not rest
    assert "رقم {١}" in str(piece)


def test_what_is_said_to_each_alone_is_no_alert() -> None:
    with pytest.raises(CapError, match=r"asks for \{name\}, which differs"):
        alert_from(campaign(text="عزيزي {name}"), SENDER, EVENT)


def test_what_was_never_sent_is_no_alert() -> None:
    draft = campaign()
    draft.ClearField("started")
    with pytest.raises(CapError, match="never sent"):
        alert_from(draft, SENDER, EVENT)


def test_without_an_end_it_runs_for_a_day() -> None:
    wanted = campaign()
    wanted.plan.ClearField("expires_ms")
    draft = draft_of(alert_from(campaign(), SENDER, EVENT))
    object.__setattr__(draft, "expires_ms", None)
    assert plan_of(draft, STARTED).expires_ms == STARTED + USUAL_MS


def test_an_alert_says_to_everybody_what_stands_behind_the_bar() -> None:
    told = alert_from(campaign(text="الملجأ {place|الأقرب إليك} مفتوح"), SENDER, EVENT)
    assert told.infos[0].description == "الملجأ الأقرب إليك مفتوح"
    with pytest.raises(CapError, match=r"write \{place\|…\}"):
        alert_from(campaign(text="الملجأ {place|}"), SENDER, EVENT)


def test_the_example_of_a_plan_can_become_an_alert() -> None:
    made = campaign(campaigns_pb2.CAMPAIGN_STATE_RECALLED)
    made.plan.CopyFrom(read(EXAMPLE, "plan.yaml", STARTED, audience=made.campaign_id).plan)
    said = [
        alert_from(made, SENDER, EVENT, first=first).infos[1].description for first in (True, False)
    ]
    assert "Shelter nearest to you is open now." in said[0]
    assert "Correction: shelter nearest to you is closed." in said[1]
