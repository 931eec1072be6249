"""The console's pages before a broadcast in this process: a real gRPC server behind the house's
guard, whose campaigns live by the real rules (`campaigns.life`), without Kafka and carriers."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from mawja.broadcast.v1 import audiences_pb2, audiences_pb2_grpc, campaigns_pb2_grpc
from mawja.broadcast.v1 import campaigns_pb2 as pb
from mawja.broadcast.v1.events_pb2 import CAMPAIGN_KIND_INFORMATION

from services.broadcast.campaigns import life
from services.broadcast.campaigns.plans import problems
from services.broadcast.campaigns.returning import Share
from services.broadcast.campaigns.terms import Terms
from services.runtime import ids, rpc
from services.runtime.clock import now_ms
from services.runtime.errors import Forbidden, Invalid, NotFound, Violation
from services.runtime.identity import Role
from tests.console_rig import FORM_CSRF, Desk, desk

LIST, OTHER_LIST = ids.derive("audience", "one"), ids.derive("audience", "two")
HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'
SURVEY = f"our own survey {HOSTILE}"
TERMS = Terms(b"t" * 32, {}, {}, {(CAMPAIGN_KIND_INFORMATION, None): Share(0.04, SURVEY)})


class Broadcast(
    campaigns_pb2_grpc.CampaignServiceServicer, audiences_pb2_grpc.AudienceServiceServicer
):
    """Campaigns in memory. `asked`: the requests that changed something, in order; `buckets`: what
    GetCampaign counts; `uploaded`: bytes that came. With `fails` every change ends so, with `hides`
    every look."""

    def __init__(self) -> None:
        self.campaigns: dict[str, pb.Campaign] = {}
        self.shares: dict[str, life.Shares] = {}
        self.asked: list[Any] = []
        self.buckets: list[pb.BucketCount] = []
        self.uploaded = bytearray()
        self.start = pb.UploadAudienceStart()
        self.bad: list[pb.BadRow] = []
        self.queries: list[audiences_pb2.MakeAudienceRequest] = []
        self.fails: Exception | None = None
        self.hides: Exception | None = None
        self.lists = {
            one.audience_id: one
            for one in (
                _list(LIST, "Residents of the north", 1_200, {"ar": 900, "en": 300}),
                _list(OTHER_LIST, HOSTILE, 40, {"ar": 40}),
            )
        }

    def done(self, request: Any, **action: Any) -> pb.Campaign:
        """Has a deed decided by the real rules."""
        if self.fails is not None:
            raise self.fails
        caller = rpc.CALLER.get()
        command = pb.CampaignCommand(
            campaign_id=getattr(request, "campaign_id", "") or ids.derive("c", request.request_id),
            agency=caller.agency,
            version=getattr(request, "version", 0),
            **action,
        )
        command.envelope.subject = caller.subject
        before = self.campaigns.get(command.campaign_id)
        if before is not None and "create" in action and before.plan == request.plan:
            return before
        self.asked.append(request)
        shares = self.shares.setdefault(command.campaign_id, life.Shares())
        try:
            after = life.done(before, command, shares, 1, TERMS, now_ms())
        except life.Refused as refused:
            rpc.raise_refusal(refused.code, str(refused))
            raise
        self.campaigns[command.campaign_id] = after
        return after

    def rehearsed(self, campaign_id: str) -> None:
        """The only partition states what it rehearsed."""
        campaign = self.campaigns[campaign_id]
        share = pb.CampaignShare(
            revision=campaign.revision,
            stage=life.REHEARSAL,
            digest=b"d" * 32,
            terms=TERMS.digest,
            cost_milli={"AED": 61_500},
            buckets=[
                pb.BucketCount(
                    bucket=pb.BUCKET_WAITING,
                    language="ar",
                    carrier="one",
                    recipients=880,
                    parts=1760,
                ),
                pb.BucketCount(
                    bucket=pb.BUCKET_WAITING,
                    language="en",
                    carrier="one",
                    recipients=290,
                    parts=290,
                ),
                pb.BucketCount(bucket=pb.BUCKET_OPTED_OUT, reason="opt-out", recipients=30),
            ],
            samples=[pb.RecipientSample(masked_number="+999 ••• ••12", language="ar", parts=2)],
        )
        shares = self.shares.setdefault(campaign_id, life.Shares())
        shares.take(share, campaign.revision)
        command = pb.CampaignCommand(campaign_id=campaign_id, share=share)
        self.campaigns[campaign_id] = life.done(campaign, command, shares, 1, TERMS, now_ms())

    def seen(self, campaign_id: str) -> pb.Campaign:
        """One that the caller may see."""
        found = self.campaigns.get(campaign_id)
        if found is None or not rpc.CALLER.get().sees(found.plan.agency):
            raise NotFound("no campaign has this id")
        return found

    async def CreateCampaign(self, request: Any, context: Any) -> Any:
        self._check(request.plan)
        return pb.CreateCampaignResponse(campaign=self.done(request, create=request.plan))

    async def UpdateCampaign(self, request: Any, context: Any) -> Any:
        self._check(request.plan)
        return pb.UpdateCampaignResponse(campaign=self.done(request, update=request.plan))

    async def RehearseCampaign(self, request: Any, context: Any) -> Any:
        return pb.RehearseCampaignResponse(campaign=self.done(request, rehearse=pb.Rehearse()))

    async def ApproveCampaign(self, request: Any, context: Any) -> Any:
        done = self.done(request, approve=request.rehearsal_hash)
        return pb.ApproveCampaignResponse(campaign=done)

    async def StartCampaign(self, request: Any, context: Any) -> Any:
        return pb.StartCampaignResponse(campaign=self.done(request, start=pb.Start()))

    async def PauseCampaign(self, request: Any, context: Any) -> Any:
        return pb.PauseCampaignResponse(campaign=self.done(request, pause=request.reason))

    async def ResumeCampaign(self, request: Any, context: Any) -> Any:
        return pb.ResumeCampaignResponse(campaign=self.done(request, resume=request.reason))

    async def CancelCampaign(self, request: Any, context: Any) -> Any:
        return pb.CancelCampaignResponse(campaign=self.done(request, cancel=request.reason))

    async def RecallCampaign(self, request: Any, context: Any) -> Any:
        return pb.RecallCampaignResponse(campaign=self.done(request, recall=request.reason))

    async def ResendUnknown(self, request: Any, context: Any) -> Any:
        again = pb.Resend(by=pb.CampaignDeed(reason=request.reason), recipients=request.recipients)
        return pb.ResendUnknownResponse(campaign=self.done(request, resend=again))

    async def GetCampaign(self, request: Any, context: Any) -> Any:
        if self.hides is not None:
            raise self.hides
        found = self.seen(request.campaign_id)
        total = sum(one.recipients for one in self.buckets)
        return pb.GetCampaignResponse(campaign=found, buckets=self.buckets, recipients=total)

    async def WatchCampaign(self, request: Any, context: Any) -> Any:
        last = b""
        while True:
            found = self.seen(request.campaign_id)
            told = pb.WatchCampaignResponse(campaign=found, buckets=self.buckets, eta_ms=-1)
            if (now := told.SerializeToString(deterministic=True)) != last:
                last = now
                yield told
            await asyncio.sleep(0.02)

    async def ListCampaigns(self, request: Any, context: Any) -> Any:
        caller = rpc.CALLER.get()
        return pb.ListCampaignsResponse(
            campaigns=[
                one
                for one in self.campaigns.values()
                if caller.sees(one.plan.agency) and request.agency in ("", one.plan.agency)
            ]
        )

    async def EstimateCost(self, request: Any, context: Any) -> Any:
        self.asked.append(request)
        cost = pb.CostRange(currency="AED", least_milli=48_000, most_milli=61_500)
        return pb.EstimateCostResponse(costs=[cost])

    async def ListAudiences(self, request: Any, context: Any) -> Any:
        return pb.ListAudiencesResponse(audiences=self.lists.values())

    async def GetAudience(self, request: Any, context: Any) -> Any:
        if request.audience_id not in self.lists:
            raise NotFound("no list has this id")
        return pb.GetAudienceResponse(audience=self.lists[request.audience_id])

    async def UploadAudience(self, requests: Any, context: Any) -> Any:
        async for one in requests:
            if one.HasField("start"):
                self.start = one.start
            self.uploaded += one.data
        return pb.UploadAudienceResponse(
            audience_id=LIST, recipients=2, bad=len(self.bad), bad_rows=self.bad
        )

    async def MakeAudience(self, request: Any, context: Any) -> Any:
        self.queries.append(request)
        yield audiences_pb2.MakeAudienceResponse(read=1, of=2)
        yield audiences_pb2.MakeAudienceResponse(audience=self.lists[LIST])

    async def PreviewAudience(self, request: Any, context: Any) -> Any:
        self.asked.append(request)
        seen = audiences_pb2.AudiencePreview(
            people=1_160,
            opted_out=30,
            exclusions={"duplicate": 4},
            languages={"ar": 860, "en": 300},
        )
        yield audiences_pb2.PreviewAudienceResponse(preview=seen)

    def _check(self, plan: pb.CampaignPlan) -> None:
        if not rpc.CALLER.get().sees(plan.agency):
            raise Forbidden("the caller may send in the name of their own agency only")
        if found := problems(plan, now_ms()):
            raise Invalid(found)
        if plan.HasField("override") and plan.override.legal_basis != "ae-ncema":
            raise Invalid([Violation("plan.override.legal_basis", "is not known")])


def _list(name: str, called: str, people: int, languages: dict[str, int]) -> pb.AudienceFile:
    return pb.AudienceFile(
        audience_id=name,
        name=called,
        recipients=people,
        languages=languages,
        drill=True,
        uploaded=pb.CampaignDeed(subject="amal", done_ms=now_ms()),
    )


class Browser:
    """One person's browser."""

    def __init__(self, on: Desk, **who: Any) -> None:
        self._on = on
        self._who = who
        self._token = ""

    async def headers(self) -> dict[str, str]:
        """What it sends along; signs in the first time."""
        if not self._token:
            self._token, _ = await self._on.sessions.begin(**self._who)
        return {"cookie": f"mawja={self._token}"}

    async def get(self, path: str) -> httpx.Response:
        """A page."""
        return await self._on.client.get(path, headers=await self.headers())

    async def post(
        self, path: str, data: dict[str, Any] | None = None, files: Any = None
    ) -> httpx.Response:
        """A form of one of our pages."""
        sent = {"csrf": FORM_CSRF, "request_id": "r1", **(data or {})}
        headers = await self.headers()
        return await self._on.client.post(path, data=sent, files=files, headers=headers)


class Console:
    """The console and its broadcast."""

    def __init__(self, on: Desk, broadcast: Broadcast) -> None:
        self.on = on
        self.broadcast = broadcast

    def browser(self, sub: str, *roles: Role, agency: str = "", language: str = "en") -> Browser:
        """That of somebody who is signed in."""
        return Browser(
            self.on,
            sub=sub,
            name=sub.title(),
            roles=frozenset(roles),
            agency=agency,
            language=language,
        )


@contextlib.asynccontextmanager
async def console(folder: Path) -> AsyncIterator[Console]:
    """A console before a broadcast. `folder`: for its keys."""
    broadcast = Broadcast()  # type: ignore[abstract]
    async with desk(
        folder,
        partial(campaigns_pb2_grpc.add_CampaignServiceServicer_to_server, broadcast),
        partial(audiences_pb2_grpc.add_AudienceServiceServicer_to_server, broadcast),
    ) as on:
        yield Console(on, broadcast)


def hidden(page: str, name: str) -> str:
    """What a hidden field of a page holds."""
    found = re.search(rf'name="{name}"[^>]*value="([^"]*)"', page)
    assert found is not None, name
    return found[1]
