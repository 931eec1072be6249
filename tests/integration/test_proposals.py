"""A burst becomes a proposal, and an accepted one a draft, in rooms that die meanwhile: outreach
and broadcast as processes on real Kafka and Valkey.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from kafka import KafkaProducer
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import CampaignDecision, CampaignText
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import incidents_pb2
from mawja.dedup.v1.incidents_pb2 import Incident, IncidentDecision
from mawja.outreach.v1 import (
    announcements_pb2,
    announcements_pb2_grpc,
    proposals_pb2,
    service_pb2_grpc,
)
from mawja.outreach.v1.proposals_pb2 import Proposal, ProposalEdit
from mawja.wave.v1.events_pb2 import Burst, Dimension

from services.local.parts import Parts
from services.local.system import token
from services.runtime import ids, topics
from services.runtime.clock import now_ms
from services.runtime.config import Settings
from services.runtime.identity import Role, issue
from services.runtime.own import EPOCH, MARKER, Record
from services.runtime.scan import Scan
from tests import burying
from tests.audiences_rig import Dedup, people_of
from tests.broadcast_rig import Rig, numbers, running, wait_until
from tests.campaigns_rig import Office, Shown, again, code_of, refusal
from tests.room_process import Room, environment

MAWJA = Path(sys.executable).with_name("mawja")
ROUTES = [{"prefix": "+", "carrier": "fast"}]
PRICE = {"price": {"currency": "AED", "milli": 45}}
ANSWERED = "schools-tomorrow"
REHEARSED = campaigns_pb2.CAMPAIGN_STATE_REHEARSED
OPEN = proposals_pb2.PROPOSAL_STATE_OPEN
TOPIC, ALL = Dimension.DIMENSION_TOPIC, Dimension.DIMENSION_ALL
INCIDENT = Dimension.DIMENSION_INCIDENT
_OF_INCIDENTS = 3
"""A partition of incidents: another one than that of bursts."""


@dataclass
class Place:
    """The rooms, dedup's log, and bursts as wave states them."""

    rig: Rig
    settings: Settings
    folder: Path
    dedup: Dedup
    producer: KafkaProducer
    outreach: Room
    people: list[str] = field(default_factory=lambda: numbers("07", 200))

    def called(self, topic: str, count: int, start_ms: int, question: str = "") -> list[str]:
        """So many people reach out, one case each."""
        called = [self.people.pop() for _ in range(count)]
        for number in called:
            given = {
                "topic": topic,
                "agency": f"{topic}-agency",
                "number_line": common_pb2.LINE_MOBILE,
                "language": "en" if number == called[-1] else "ar",
            }
            case = self.dedup.case(number, number, **given)
            decision = self.dedup.opened(case, start_ms + 1_000)
            decision.triage.question = question
            decision.triage.question_confidence = 0.9 if question else 0.0
            self.dedup.decide(decision, place="Jahra")
        self.dedup.flush()
        return called

    def states(self, topic: str, start_ms: int, **given: Any) -> None:
        """A burst of a topic, as wave states it; of the whole centre when it is empty."""
        burst = Burst(
            dimension=TOPIC if topic else ALL,
            subject=topic,
            start_ms=start_ms,
            raised_ms=start_ms + 20_000,
            usual=1.5,
            known=True,
            drill=True,
            until_ms=now_ms(),
        )
        burst.MergeFrom(Burst(**given))
        self.producer.send(topics.BURST.name, partition=0, value=burst.SerializeToString())
        self.producer.flush(30)

    def grows(self, incident: str, cases: list[str], start_ms: int) -> None:
        """An incident, as dedup's owner of another partition than that of bursts decides."""
        log, at = topics.INCIDENT.name, _OF_INCIDENTS
        marked = self.producer.send(log, partition=at, value=b"", headers=[(MARKER, b"test")])
        epoch = marked.get(10).offset.to_bytes(8, "big")
        for number, case in enumerate(cases[1:], 2):
            stated = Incident(
                incident_id=incident,
                cases=number,
                people=number,
                open=number,
                recent=number,
                drill=True,
                first_ms=start_ms + 1_000,
                last_ms=start_ms + 1_000 + number,
            )
            decision = IncidentDecision(
                change=incidents_pb2.INCIDENT_CHANGE_JOINED,
                case_id=case,
                incident_id=incident,
                alone=cases[:1] if number == 2 else [],
                incidents=[stated],
            )
            value = decision.SerializeToString()
            self.producer.send(log, partition=at, value=value, headers=[(EPOCH, epoch)])
        self.producer.flush(30)

    def stub(self, role: Role = Role.COORDINATOR, agency: str = "") -> Any:
        """Somebody with a token."""
        keys = self.settings.keys
        shown = token(keys, "maryam", role)
        if agency:
            shown = issue(keys, "sara", frozenset({role}), now=now_ms(), agency=agency)
        plain = grpc.insecure_channel(self.outreach.target())
        return service_pb2_grpc.OutreachServiceStub(grpc.intercept_channel(plain, Shown(shown)))

    def played(self, line: str) -> list[announcements_pb2.Played]:
        """What a rehearsing line plays."""
        request = announcements_pb2.GetAnnouncementsRequest(line=line, drill=True)
        shown = token(self.settings.keys, "avaya", Role.GATEWAY)
        plain = grpc.insecure_channel(self.outreach.target())
        stub = announcements_pb2_grpc.AnnouncementServiceStub(
            grpc.intercept_channel(plain, Shown(shown))
        )
        return list(again(lambda: stub.GetAnnouncements(request, timeout=5)).played)

    def proposals(self) -> list[Proposal]:
        """As the service has them."""
        request = proposals_pb2.ListProposalsRequest()
        return list(again(lambda: self.stub().ListProposals(request, timeout=5).proposals))

    def about(self, topic: str) -> Proposal:
        """The one about a topic, once it is there."""
        found: list[Proposal] = []

        def there() -> bool:
            found[:] = [one for one in self.proposals() if one.subject == topic]
            return bool(found)

        wait_until(there, 30, 0.1)
        [one] = found
        return one

    def die(self) -> None:
        """Outreach is killed and comes back."""
        self.outreach.kill()
        self.outreach = Room("outreach", self.settings, self.folder)

    def mawja(self, *said: str) -> str:
        env = environment(self.settings, self.folder / "unused.json")
        env["MAWJA_OUTREACH"] = self.outreach.target()
        env["MAWJA_BROADCAST"] = self.rig.system.target("broadcast")
        done = subprocess.run(
            [MAWJA, "proposal", *said, "--as", "maryam"],
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def place(
    parts: Parts, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("proposals")
    with running(parts, "proposals", {"fast": (PRICE, {})}, ROUTES) as rig:
        dedup = Dedup(parts.kafka, rig.keyring, settings.partitions)
        producer = KafkaProducer(bootstrap_servers=parts.kafka, acks="all")
        made = Place(rig, settings, folder, dedup, producer, Room("outreach", settings, folder))
        try:
            yield made
            made.outreach.stop()
        finally:
            if made.outreach.process.poll() is None:
                made.outreach.kill()
            dedup.close()
            producer.close()
    assert "+9995" not in made.outreach.said
    assert "Traceback" not in made.outreach.said


def decisions(kafka: str, campaign_id: str) -> list[CampaignDecision]:
    """On one campaign, those that were done."""
    found: list[CampaignDecision] = []

    def take(record: Record) -> None:
        decision = CampaignDecision.FromString(record.value or b"")
        if decision.campaign.campaign_id == campaign_id and not decision.code:
            found.append(decision)

    with Scan(kafka, [topics.CAMPAIGN]) as scan:
        scan.advance(take)
    return found


def test_a_burst_is_proposed_once_and_accepted_makes_one_draft(place: Place, parts: Parts) -> None:
    start_ms = now_ms() - 20_000
    called = place.called("schools", 12, start_ms, ANSWERED)
    place.outreach.target()
    stated_s = time.monotonic()
    place.states("schools", start_ms, last_minute=12)
    found = place.about("schools")
    assert time.monotonic() - stated_s < 30
    assert found.proposed_ms - found.bursts[0].start_ms <= 60_000
    assert (found.state, found.drill) == (OPEN, True)
    assert (found.evidence.people, found.evidence.writable) == (12, 12)
    assert [(one.value, one.cases) for one in found.evidence.places] == [("Jahra", 12)]
    assert found.suggestion.entry.startswith(ANSWERED)
    assert {text.language for text in found.suggestion.texts} >= {"ar", "en"}
    assert "AED; the rehearsal of the draft" in place.mawja("show", found.proposal_id[:8])
    # The whole centre shows it too, and the owner dies.
    place.states("", start_ms, last_minute=14)
    place.states("schools", start_ms, last_minute=30)
    place.die()
    place.states("", start_ms, last_minute=40)
    wait_until(lambda: len(place.about("schools").bursts) == 2)
    assert [one.proposal_id for one in place.proposals()] == [found.proposal_id]
    # A coordinator accepts what they saw; broadcast dies while it makes the draft.
    request = proposals_pb2.AcceptProposalRequest(
        request_id="once",
        proposal_id=found.proposal_id,
        revision=found.revision,
        reason="go",
        announce=proposals_pb2.ProposalAnnouncement(lines=["109"], lasts_ms=3600_000),
    )
    accepted = again(lambda: place.stub().AcceptProposal(request, timeout=10)).proposal
    burying.kill(parts.kafka, place.rig.replica)
    again_ = again(lambda: place.stub().AcceptProposal(request, timeout=10)).proposal
    assert (again_.version, again_.campaign_id) == (accepted.version, accepted.campaign_id)
    # Its line plays the same words, as a rehearsal and once, also for who comes after a kill.
    place.die()
    wait_until(lambda: bool(place.played("109")), 30, 0.1)
    [played] = place.played("109")
    said = [text.text for text in played.texts]
    by_language = {text.language: text.template for text in found.suggestion.texts}
    assert said[:2] == [f"تمرين. {by_language['ar']}", f"DRILL. {by_language['en']}"]
    office = Office(place.rig.system, "khalid")

    def rehearsed() -> bool:
        try:
            return office.get(accepted.campaign_id).campaign.state == REHEARSED
        except grpc.RpcError:
            return False

    wait_until(rehearsed, 60, 0.2)
    campaign = office.get(accepted.campaign_id).campaign
    assert campaign.made.subject == "maryam"
    assert campaign.plan.drill
    assert campaign.plan.texts == found.suggestion.texts
    assert campaign.rehearsal.cost_milli["AED"] > 0
    file = office.stub.GetAudience(
        campaigns_pb2.GetAudienceRequest(audience_id=accepted.audience_id)
    ).audience
    assert sorted(people_of(parts.kafka, file, place.rig.keyring)) == sorted(called)
    assert [one.campaign.version for one in decisions(parts.kafka, accepted.campaign_id)][:2] == [
        1,
        2,
    ]
    told = place.mawja("show", found.proposal_id[:8])
    assert "AED" in told
    assert "12 people" in told


def test_without_words_a_coordinator_writes_them_and_others_may_not(place: Place) -> None:
    start_ms = now_ms() - 20_000
    place.called("water", 9, start_ms)
    place.states("water", start_ms, last_minute=9)
    found = place.about("water")
    assert not found.suggestion.texts
    assert "no entry" in found.suggestion.text_missing
    accept = proposals_pb2.AcceptProposalRequest(request_id="a", proposal_id=found.proposal_id)
    code, said = refusal(lambda: place.stub().AcceptProposal(accept, timeout=10))
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert "no text" in said
    for stub in (place.stub(Role.AGENT), place.stub(Role.APPROVER)):
        asked = partial(stub.AcceptProposal, accept, timeout=10)
        assert code_of(asked) == grpc.StatusCode.PERMISSION_DENIED
    other = place.stub(Role.LIAISON, "schools-agency")
    seen = other.ListProposals(proposals_pb2.ListProposalsRequest(), timeout=10).proposals
    assert found.proposal_id not in {one.proposal_id for one in seen}
    edit = ProposalEdit(texts=[CampaignText(language="en", template="Boil the water.")])
    request = proposals_pb2.EditProposalRequest(
        request_id="e", proposal_id=found.proposal_id, edit=edit
    )
    edited = place.stub().EditProposal(request, timeout=10).proposal
    assert edited.revision == found.revision + 1
    wrong = proposals_pb2.EditProposalRequest(
        request_id="f", proposal_id=found.proposal_id, edit=ProposalEdit()
    )
    assert (
        code_of(lambda: place.stub().EditProposal(wrong, timeout=10))
        == grpc.StatusCode.INVALID_ARGUMENT
    )
    assert "declined" in place.mawja("decline", found.proposal_id[:8], "--reason", "not now")
    listed = json.loads(place.mawja("list", "--state", "declined", "--json"))
    assert [one["proposal_id"] for one in listed["proposals"]] == [found.proposal_id]
    # The decline holds while the burst lasts.
    place.states("water", start_ms, last_minute=90)
    place.states("water", start_ms, last_minute=2, ended=True)
    wait_until(lambda: place.about("water").over, 30, 0.2)
    assert place.about("water").state == proposals_pb2.PROPOSAL_STATE_DECLINED


def test_an_incident_that_grows_is_proposed_to_who_is_in_it_and_once(
    place: Place, parts: Parts
) -> None:
    start_ms = now_ms() - 20_000
    called = place.called("flood", 12, start_ms, ANSWERED)
    cases = [ids.derive("case", number) for number in called]
    incident = ids.derive("incident", cases[0])
    place.outreach.target()
    place.grows(incident, cases, start_ms)
    found = place.about(incident)
    assert found.proposed_ms - found.bursts[0].start_ms <= 60_000
    assert (found.dimension, found.drill, found.evidence.people) == (INCIDENT, True, 12)
    assert "incident in Jahra" in place.mawja("show", found.proposal_id[:8])
    # Its owner dies; wave states the same event, and the incident goes on.
    place.die()
    place.states("flood", start_ms, last_minute=12, cases=12)
    wait_until(lambda: len(place.about(incident).bursts) == 2, 30, 0.1)
    assert not [one for one in place.proposals() if one.subject == "flood"]
    request = proposals_pb2.AcceptProposalRequest(request_id="i", proposal_id=found.proposal_id)
    accepted = again(lambda: place.stub().AcceptProposal(request, timeout=10)).proposal
    office, files = Office(place.rig.system, "khalid"), []

    def listed() -> bool:
        asked = campaigns_pb2.GetAudienceRequest(audience_id=accepted.audience_id)
        try:
            files.append(office.stub.GetAudience(asked, timeout=5).audience)
        except grpc.RpcError:
            return False
        return True

    wait_until(listed, 30, 0.2)
    assert sorted(people_of(parts.kafka, files[0], place.rig.keyring)) == sorted(called)
