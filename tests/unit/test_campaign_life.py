"""What may be done with a campaign, by whom, and that nothing is sent without a second person."""

import pytest
from mawja.broadcast.v1.campaigns_pb2 import (
    Audience,
    AudienceFile,
    Campaign,
    CampaignCommand,
    CampaignText,
    Rehearse,
    Resend,
    Start,
)
from mawja.common.v1 import common_pb2

from services.broadcast.campaigns import life
from services.broadcast.campaigns.register import Register
from services.broadcast.campaigns.terms import Terms
from services.runtime import ids
from tests.campaign_office import (
    CAMPAIGN_ID,
    LATER,
    MAKER,
    NOW,
    OTHER,
    PARTITIONS,
    TERMS,
    THIRD,
    Office,
    plan,
)


def test_from_the_draft_to_the_end() -> None:
    office = Office().rehearsed()
    assert office.state == life.REHEARSED
    [count] = office.campaign.rehearsal.buckets
    assert (count.recipients, count.parts) == (6, 6)
    assert office.campaign.rehearsal.cost_milli["AED"] == 30
    for eta in office.campaign.rehearsal.etas:
        assert (eta.carrier, eta.parts, eta.takes_ms) == ("one", 6, 2_000)
    assert [eta.language for eta in office.campaign.rehearsal.etas] == ["", "ar"]
    assert len(office.campaign.rehearsal.samples) == PARTITIONS
    office.do(OTHER, approve=office.campaign.rehearsal.hash)
    office.do(start=Start())
    office.do(pause="wrong time")
    assert (office.state, office.campaign.paused.reason) == (life.PAUSED, "wrong time")
    office.do(resume="")
    office.shares(life.DONE)
    assert office.state == life.COMPLETED
    office.do(recall="the shelter is closed")
    assert (office.state, office.campaign.corrected_ms) == (life.RECALLED, 0)
    office.shares(life.CORRECTED)
    assert (office.state, office.campaign.corrected_ms) == (life.RECALLED, NOW)


@pytest.mark.parametrize("deed", ["approve", "start"])
def test_other_routes_or_rules_than_were_rehearsed_void_the_approval(deed: str) -> None:
    office = Office().rehearsed()
    if deed == "start":
        office.do(OTHER, approve=office.campaign.rehearsal.hash)
    before, now = office.state, Register(PARTITIONS, Terms(b"others", {}, {}))
    for decision in office.log:
        now.fold(decision)
    office.register = now
    action = (
        {"approve": office.campaign.rehearsal.hash} if deed == "approve" else {"start": Start()}
    )
    refused = office.do(OTHER, **action)
    assert (refused.code, office.state) == (9, before)
    assert "rehearse it again" in refused.message


def test_partitions_that_asked_different_rules_rehearsed_nothing_that_can_be_approved() -> None:
    office = Office()
    office.do(create=plan())
    office.do(rehearse=Rehearse())
    office.share(0)
    office.share(1)
    office.share(2, terms=b"of a replica that was not restarted yet")
    assert office.state == life.REHEARSED
    assert office.do(OTHER, approve=office.campaign.rehearsal.hash).code == 9


@pytest.mark.parametrize("accepted", [False, True])
def test_who_has_no_text_is_accepted_openly_or_nobody_approves_it(accepted: bool) -> None:
    office = Office()
    office.do(create=plan(accept_missing=accepted))
    office.do(rehearse=Rehearse())
    for partition in range(PARTITIONS):
        office.share(partition, without_text={"ur": partition, "hi": 1})
    assert dict(office.campaign.rehearsal.without_text) == {"ur": 3, "hi": 3}
    told = office.do(OTHER, approve=office.campaign.rehearsal.hash)
    assert told.code == (0 if accepted else 9)
    assert accepted or "write hi, ur, or set accept_missing" in told.message


def test_what_was_never_started_can_not_be_recalled() -> None:
    office = Office()
    office.do(create=plan())
    office.do(cancel="not needed")
    assert office.do(recall="a mistake").code == 9
    assert office.state == life.CANCELLED


def test_the_unknown_is_sent_once_more_by_a_recorded_decision() -> None:
    office = Office().running()
    office.shares(life.DONE)
    again = Resend(by={"reason": "the carrier lost them"}, recipients=7)  # type: ignore[arg-type]
    assert office.do(OTHER, resend=again).code == 0
    [resend] = office.campaign.resends
    assert (resend.by.subject, resend.by.reason) == (OTHER, "the carrier lost them")
    assert (resend.recipients, office.state) == (7, life.RUNNING)
    # It takes everybody's word once more that nothing is left.
    office.shares(life.DONE)
    assert office.state == life.COMPLETED
    office.do(recall="all of it was wrong")
    assert office.do(OTHER, resend=again).code == 9


def test_who_takes_numbers_out_is_kept_and_changes_nothing_else() -> None:
    office = Office()
    office.do(create=plan())
    assert office.do(OTHER, export="ticket 4711").code == 9
    office.do(cancel="not needed")
    before = Campaign.FromString(office.campaign.SerializeToString())
    assert office.do(OTHER, export="ticket 4711").code == 0
    exported = office.campaign.exported
    assert (exported.subject, exported.reason) == (OTHER, "ticket 4711")
    before.exported.CopyFrom(exported)
    before.version += 1
    assert office.campaign == before


@pytest.mark.parametrize(
    "subject", [MAKER, THIRD, MAKER.upper(), f" {MAKER} ", f"{MAKER}\u200b", f"\uff4d{MAKER[1:]}"]
)
def test_who_made_or_changed_it_can_not_approve_it(subject: str) -> None:
    office = Office()
    office.do(create=plan())
    office.do(THIRD, update=plan(name="Shelter, again"))
    office.do(rehearse=Rehearse())
    office.shares()
    refused = office.do(subject, approve=office.campaign.rehearsal.hash)
    assert refused.code == 7
    assert office.state == life.REHEARSED
    assert office.do(OTHER, approve=office.campaign.rehearsal.hash).code == 0


@pytest.mark.parametrize(
    "change",
    [
        {"texts": [CampaignText(language="ar", template="نص آخر")]},
        {"audience": Audience(upload=ids.derive("audience", "other"))},
        {"expires_ms": LATER + 1},
        {"drill": True},
        {"most_parts_per_second": 5},
    ],
)
def test_a_change_voids_rehearsal_and_approval(change: dict[str, object]) -> None:
    office = Office().rehearsed()
    seen = office.campaign.rehearsal.hash
    office.do(OTHER, approve=seen)
    office.do(update=plan(**change))
    assert office.state == life.DRAFT
    assert not office.campaign.HasField("approved")
    assert office.do(start=Start()).code == 9
    office.do(rehearse=Rehearse())
    office.shares()
    assert office.campaign.rehearsal.hash != seen
    assert office.do(OTHER, approve=seen).code == 9


def test_shares_of_an_earlier_rehearsal_count_for_nothing() -> None:
    office = Office()
    office.do(create=plan())
    office.do(rehearse=Rehearse())
    earlier = office.campaign.revision
    office.share(0)
    office.share(1)
    office.do(update=plan(name="other"))
    office.do(rehearse=Rehearse())
    office.share(2, revision=earlier)
    office.share(2)
    assert office.state == life.REHEARSING
    office.shares()
    assert office.state == life.REHEARSED


def test_what_was_seen_by_somebody_else_meanwhile_is_not_overwritten() -> None:
    office = Office()
    office.do(create=plan())
    seen = office.campaign.version
    office.do(update=plan(name="first"), version=seen)
    assert office.do(update=plan(name="second"), version=seen).code == 9
    assert office.campaign.plan.name == "first"


def test_the_same_command_again_gets_its_first_outcome() -> None:
    office = Office().running()
    once = ids.derive("command", "once")
    assert office.do(pause="a", command_id=once).code == 0
    office.do(resume="b")
    again = office.do(pause="a", command_id=once)
    assert again.code == 0
    assert office.state == life.RUNNING


def test_the_brake_holds_a_campaign_and_a_person_lets_it_go() -> None:
    office = Office().running()
    before = office.campaign.revision
    office.share(1, life.BRAKE)
    assert (office.state, office.campaign.paused.subject) == (life.PAUSED, life.BY_BRAKE)
    office.do(resume="the carrier is back")
    office.share(2, life.BRAKE, revision=before)
    assert office.state == life.RUNNING


@pytest.mark.parametrize("deed", ["rehearse", "start", "resume", "approve"])
def test_nothing_begins_after_its_end(deed: str) -> None:
    office = Office().rehearsed()
    actions: dict[str, dict[str, object]] = {
        "rehearse": {"rehearse": Rehearse()},
        "approve": {"approve": office.campaign.rehearsal.hash},
        "start": {"start": Start()},
        "resume": {"resume": ""},
    }
    if deed in ("start", "resume"):
        office.do(OTHER, approve=office.campaign.rehearsal.hash)
    if deed == "resume":
        office.do(start=Start())
        office.do(pause="")
    before = office.state
    refused = office.do(OTHER, LATER, **actions[deed])
    assert (refused.code, office.state) == (9, before)
    assert "expires_ms" in refused.message


def test_without_a_correction_nothing_is_approved() -> None:
    office = Office()
    office.do(create=plan(corrections=[]))
    office.do(rehearse=Rehearse())
    office.shares()
    assert office.do(OTHER, approve=office.campaign.rehearsal.hash).code == 9
    assert office.state == life.REHEARSED


def test_another_agencys_campaign_is_not_there() -> None:
    office = Office()
    office.do(create=plan(agency="moi"))
    assert office.do(pause="", agency="moe").code == 5
    assert office.do(update=plan(agency="moe"), agency="moi").code == 3


def test_another_campaign_of_the_same_request_is_refused() -> None:
    office = Office()
    office.do(create=plan())
    assert office.do(create=plan(name="other")).code == 6


def test_the_same_file_again_is_the_same_audience() -> None:
    office = Office()
    audience_id = CAMPAIGN_ID
    first = office.do(audience=AudienceFile(audience_id=audience_id, sha256=b"1", recipients=5))
    same = AudienceFile(audience_id=audience_id, sha256=b"1", recipients=5, attempt=b"2")
    assert office.do(audience=same).audience == first.audience
    # The same octets, read otherwise.
    same.drill = True
    assert office.do(audience=same).code == 6
    assert office.do(audience=AudienceFile(audience_id=audience_id, sha256=b"2")).code == 6


def test_a_late_share_takes_nothing_away_from_what_the_others_stated() -> None:
    """Each partition states its share once, so what is lost would be waited for for ever."""
    office = Office()
    office.do(create=plan())
    office.do(rehearse=Rehearse())
    earlier = office.campaign.revision
    office.do(update=plan(name="other"))
    office.do(rehearse=Rehearse())
    office.share(0)
    office.share(1)
    office.share(2, revision=earlier)
    assert office.state == life.REHEARSING
    office.share(2)
    assert office.state == life.REHEARSED
    folded = Register(PARTITIONS, TERMS)
    for decision in office.log[:-1]:
        folded.fold(decision)
    last = office.log[-1]
    command = CampaignCommand(
        campaign_id=CAMPAIGN_ID,
        envelope=common_pb2.CommandEnvelope(command_id=last.command_id),
        share=last.share,
    )
    assert folded.decide(command, last.input, NOW).campaign.state == life.REHEARSED
