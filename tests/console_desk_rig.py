"""Rooms in memory for the console's pages of outreach and cases: real gRPC servers behind the
house's guard that answer what a test gave them, and keep what they were asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from mawja.broadcast.v1 import campaigns_pb2, campaigns_pb2_grpc
from mawja.broadcast.v1 import events_pb2 as broadcast_events
from mawja.broadcast.v1 import service_pb2 as broadcast
from mawja.broadcast.v1 import service_pb2_grpc as broadcast_grpc
from mawja.dedup.v1 import events_pb2 as cases
from mawja.dedup.v1 import incidents_pb2
from mawja.dedup.v1 import service_pb2 as dedup
from mawja.dedup.v1 import service_pb2_grpc as dedup_grpc
from mawja.intake.v1 import service_pb2 as intake
from mawja.intake.v1 import service_pb2_grpc as intake_grpc
from mawja.outreach.v1 import announcements_pb2, announcements_pb2_grpc, proposals_pb2
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.outreach.v1 import playbooks_pb2 as playbooks
from mawja.outreach.v1 import playbooks_pb2_grpc as playbooks_grpc
from mawja.outreach.v1 import service_pb2 as callbacks
from mawja.outreach.v1 import service_pb2_grpc as callbacks_grpc

from services.runtime import ids, rpc
from services.runtime.clock import now_ms
from services.runtime.errors import NotFound
from tests.console_desk_facts import (
    ANNOUNCEMENT,
    CALLBACK,
    CASE,
    CONTACTS,
    HOSTILE,
    MIN,
    MOH,
    NUMBER,
    OTHER,
    callback,
    case_of,
    incident,
    links,
    proposal,
    said,
)
from tests.console_rig import Desk, desk


class Rooms(
    dedup_grpc.DedupServiceServicer,
    intake_grpc.IntakeServiceServicer,
    callbacks_grpc.OutreachServiceServicer,
    playbooks_grpc.PlaybookServiceServicer,
    announcements_pb2_grpc.AnnouncementServiceServicer,
    broadcast_grpc.BroadcastServiceServicer,
    campaigns_pb2_grpc.CampaignServiceServicer,
):
    """All rooms. `asked`: every request, in order; `drafted`: whether a campaign is there; `fails`:
    raised by every call instead."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.drafted = False
        self.fails: Exception | None = None
        self.case = case_of()
        self.notes = [
            dedup.CaseNote(author="badr", noted_ms=now_ms() - 3 * MIN, text=f"called {HOSTILE}"),
            dedup.CaseNote(
                author="omar",
                noted_ms=now_ms() - 2 * MIN,
                text="it is dark again",
                about=cases.CASE_CHANGE_REOPENED,
            ),
        ]
        self.mine: outreach.Callback | None = None
        self.due = [callback()]
        self.danger: list[playbooks.WatchedHandOver] = []
        self.playbook = playbooks.ShownPlaybook(
            name="acknowledge", version=1, event="case-opened", does=["message"], on=True
        )
        self.announcement = announcements_pb2.Announcement(
            announcement_id=ANNOUNCEMENT,
            lines=["109"],
            texts=[
                announcements_pb2.AnnouncementText(language="ar", text="الخطوط مشغولة"),
                announcements_pb2.AnnouncementText(language="en", text=HOSTILE),
            ],
            from_ms=now_ms() - MIN,
            until_ms=now_ms() + 60 * MIN,
            set_by="playbook busy-line@2",
            urgent=True,
        )
        self.proposal = proposal()
        self.incident = incident()
        self.said = said()

    def kept(self, kind: type) -> list[Any]:
        """The requests of one kind."""
        return [one for one in self.asked if isinstance(one, kind)]

    def _take(self, request: Any) -> None:
        self.asked.append(request)
        if self.fails is not None:
            raise self.fails

    def _seen(self) -> cases.Case:
        if not rpc.CALLER.get().sees(self.case.agency):
            raise NotFound("there is no such case")
        return self.case

    async def GetCase(self, request: Any, context: Any) -> Any:
        self._take(request)
        if request.case in (OTHER, ids.case_number(OTHER)):
            return dedup.GetCaseResponse(case=case_of(OTHER))
        if request.case not in (CASE, ids.case_number(CASE)):
            raise NotFound("there is no such case")
        return dedup.GetCaseResponse(
            case=self._seen(),
            links=links(),
            notes=self.notes,
            incident=self.incident,
            linked=[
                incidents_pb2.CaseLink(
                    case_id=OTHER,
                    level=cases.LINK_LEVEL_SAME_INCIDENT,
                    score=0.8,
                    reason="same place (Jahra), 6 words, 4 min apart",
                )
            ],
        )

    async def ListCases(self, request: Any, context: Any) -> Any:
        self._take(request)
        return dedup.ListCasesResponse(cases=[self.case], next_page_token="7.aa")

    async def FindCases(self, request: Any, context: Any) -> Any:
        self._take(request)
        found = [self.case] if request.number == NUMBER else []
        return dedup.FindCasesResponse(cases=found)

    async def RevealPerson(self, request: Any, context: Any) -> Any:
        self._take(request)
        return dedup.RevealPersonResponse(number=NUMBER)

    async def GetCatalogue(self, request: Any, context: Any) -> Any:
        self._take(request)
        step = dedup.CatalogueStep(texts={"ar": "اسأل عن العمر", "en": "Ask for the age"})
        service = dedup.CatalogueService(
            topic="vaccination",
            names={"ar": "التطعيم", "en": "Vaccination"},
            steps=[step],
            first_step_limit_ms=30 * MIN,
            resolve_limit_ms=600 * MIN,
        )
        health = dedup.CatalogueAgency(
            agency=MOH, names={"ar": "وزارة الصحة", "en": "Health"}, services=[service]
        )
        jahra = dedup.CataloguePlace(place="Jahra", names={"ar": "الجهراء", "en": "Jahra"})
        return dedup.GetCatalogueResponse(agencies=[health], places=[jahra])

    async def ListIncidents(self, request: Any, context: Any) -> Any:
        self._take(request)
        return dedup.ListIncidentsResponse(incidents=[self.incident])

    async def GetIncident(self, request: Any, context: Any) -> Any:
        self._take(request)
        return dedup.GetIncidentResponse(incident=self.incident, case_ids=[CASE, OTHER])

    async def Unlink(self, request: Any, context: Any) -> Any:
        self._take(request)
        return dedup.UnlinkResponse()

    async def SplitCase(self, request: Any, context: Any) -> Any:
        self._take(request)
        return dedup.SplitCaseResponse(case=self.case, split=case_of(OTHER))

    async def MergeCases(self, request: Any, context: Any) -> Any:
        self._take(request)
        return dedup.MergeCasesResponse(case=case_of(OTHER))

    async def GetContact(self, request: Any, context: Any) -> Any:
        self._take(request)
        return intake.GetContactResponse(masked_number="+971•••••56")

    async def RevealContact(self, request: Any, context: Any) -> Any:
        self._take(request)
        said = self.said[CONTACTS.index(request.contact_id)]
        if isinstance(said, Exception):
            raise said
        return said

    async def GetCallback(self, request: Any, context: Any) -> Any:
        self._take(request)
        if request.callback_id != CALLBACK:
            raise NotFound("there is no such callback")
        return callbacks.GetCallbackResponse(callback=callback())

    async def ListCallbacks(self, request: Any, context: Any) -> Any:
        self._take(request)
        if request.mine:
            return callbacks.ListCallbacksResponse(callbacks=[self.mine] if self.mine else [])
        return callbacks.ListCallbacksResponse(callbacks=self.due)

    async def WatchCallbacks(self, request: Any, context: Any) -> Any:
        self._take(request)
        told = -1
        while True:
            if len(self.due) != told:
                told = len(self.due)
                yield callbacks.WatchCallbacksResponse(due=[callbacks.DueCallbacks(count=told)])
            await asyncio.sleep(0.02)

    async def ClaimCallback(self, request: Any, context: Any) -> Any:
        self._take(request)
        subject = rpc.CALLER.get().subject
        if self.mine is None and self.due:
            self.mine = self.due.pop()
            self.mine.state, self.mine.claimed_by = outreach.CALLBACK_STATE_CLAIMED, subject
            self.mine.lease_until_ms = now_ms() + 10 * MIN
        return callbacks.ClaimCallbackResponse(callback=self.mine, number=NUMBER)

    async def CompleteCallback(self, request: Any, context: Any) -> Any:
        self._take(request)
        held, self.mine = self.mine, None
        answer = callbacks.CompleteCallbackResponse(callback=held)
        if request.HasField("answer"):
            answer.feedback.score = 80
            answer.feedback.solution.CopyFrom(request.answer)
            answer.feedback.judged.add(what="topic", points=30, most=50)
        return answer

    async def ListProposals(self, request: Any, context: Any) -> Any:
        self._take(request)
        return proposals_pb2.ListProposalsResponse(proposals=[self.proposal])

    async def GetProposal(self, request: Any, context: Any) -> Any:
        self._take(request)
        return proposals_pb2.GetProposalResponse(proposal=self.proposal)

    async def AcceptProposal(self, request: Any, context: Any) -> Any:
        self._take(request)
        self.proposal.state = proposals_pb2.PROPOSAL_STATE_ACCEPTED
        self.proposal.campaign_id = ids.derive("campaign", "x")
        return proposals_pb2.AcceptProposalResponse(proposal=self.proposal)

    async def EditProposal(self, request: Any, context: Any) -> Any:
        self._take(request)
        return proposals_pb2.EditProposalResponse(proposal=self.proposal)

    async def GetCampaign(self, request: Any, context: Any) -> Any:
        self._take(request)
        if not self.drafted:
            raise NotFound("there is no such campaign that you may see")
        return campaigns_pb2.GetCampaignResponse()

    async def EstimateCost(self, request: Any, context: Any) -> Any:
        self._take(request)
        cost = campaigns_pb2.CostRange(currency="QAR", least_milli=12_500, most_milli=20_000)
        return campaigns_pb2.EstimateCostResponse(costs=[cost])

    async def ListHandOvers(self, request: Any, context: Any) -> Any:
        self._take(request)
        return playbooks.ListHandOversResponse(hand_overs=self.danger)

    async def ConfirmHandOver(self, request: Any, context: Any) -> Any:
        self._take(request)
        [held] = self.danger
        self.danger = []
        return playbooks.ConfirmHandOverResponse(hand_over=held)

    async def ExplainCase(self, request: Any, context: Any) -> Any:
        self._take(request)
        done = playbooks.Explanation(playbook="callback-offer@1", event="call-abandoned")
        done.deeds.add(what="message", step="callback-offer", at_ms=now_ms() - 87 * MIN)
        why = playbooks.Explanation(
            playbook="acknowledge@1",
            event="case-opened",
            unmet=["they came by voice, not sms", "it is outside 08:00-20:00 (Asia/Qatar)"],
        )
        return playbooks.ExplainCaseResponse(explanations=[done, why])

    async def ListPlaybooks(self, request: Any, context: Any) -> Any:
        self._take(request)
        return playbooks.ListPlaybooksResponse(playbooks=[self.playbook])

    async def SwitchPlaybook(self, request: Any, context: Any) -> Any:
        self._take(request)
        self.playbook.on = request.on
        self.playbook.switches.add(
            on=request.on, subject="badr", switched_ms=now_ms(), reason=request.reason
        )
        return playbooks.SwitchPlaybookResponse(playbook=self.playbook)

    async def ListAnnouncements(self, request: Any, context: Any) -> Any:
        self._take(request)
        return announcements_pb2.ListAnnouncementsResponse(announcements=[self.announcement])

    async def SetAnnouncement(self, request: Any, context: Any) -> Any:
        self._take(request)
        return announcements_pb2.SetAnnouncementResponse(announcement=self.announcement)

    async def GetMessage(self, request: Any, context: Any) -> Any:
        self._take(request)
        change = broadcast_events.MessageChange(state=broadcast_events.MESSAGE_STATE_DELIVERED)
        return broadcast.GetMessageResponse(message=change)


@asynccontextmanager
async def pages(tmp_path: Path) -> AsyncIterator[tuple[Desk, Rooms]]:
    """A console before these rooms."""
    rooms = Rooms()  # type: ignore[abstract]
    adders = (
        dedup_grpc.add_DedupServiceServicer_to_server,
        intake_grpc.add_IntakeServiceServicer_to_server,
        callbacks_grpc.add_OutreachServiceServicer_to_server,
        playbooks_grpc.add_PlaybookServiceServicer_to_server,
        announcements_pb2_grpc.add_AnnouncementServiceServicer_to_server,
        broadcast_grpc.add_BroadcastServiceServicer_to_server,
        campaigns_pb2_grpc.add_CampaignServiceServicer_to_server,
    )
    async with desk(tmp_path, *(partial(add, rooms) for add in adders)) as on:
        yield on, rooms
