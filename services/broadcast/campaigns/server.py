"""CampaignService over gRPC: deeds go to the owner of the campaign's partition; looks are answered
from what every process knows. Any replica serves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import TYPE_CHECKING, Any, TypeVar

from mawja.broadcast.v1 import campaigns_pb2, campaigns_pb2_grpc
from mawja.broadcast.v1.campaigns_pb2 import (
    BUCKET_UNKNOWN,
    CampaignCommand,
    CampaignDeed,
    CampaignPlan,
    Rehearse,
    Resend,
    Start,
)

from services.broadcast.campaigns import saying
from services.broadcast.campaigns.asking import Asking
from services.broadcast.campaigns.counts import Pace, recipients_of
from services.broadcast.campaigns.exporting import Exporting
from services.broadcast.campaigns.looking import EVERY_S, Look, Looking
from services.broadcast.campaigns.permits import override_problem
from services.broadcast.campaigns.plans import problems
from services.broadcast.campaigns.pricing import costs
from services.broadcast.campaigns.saying import Wording
from services.broadcast.campaigns.upload import Upload
from services.runtime import ids, rpc
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.errors import Away, Forbidden, Invalid, NotInState, Violation

if TYPE_CHECKING:
    import grpc

    from services.broadcast.carriers.specs import CarrierSpec
    from services.broadcast.rules.book import Rules
    from services.runtime.privacy import Keyring
    from services.runtime.produce import Producer

    Context = grpc.aio.ServicerContext[Any, Any]

_Answer = TypeVar("_Answer")


class CampaignServicer(campaigns_pb2_grpc.CampaignServiceServicer):
    """See protos/mawja/broadcast/v1/campaigns.proto."""

    def __init__(
        self,
        keyring: Keyring,
        producer: Producer,
        asking: Asking,
        looking: Looking,
        rules: Rules,
        exporting: Exporting,
        partitions: int,
        carriers: Collection[CarrierSpec] = (),
    ) -> None:
        self._keyring = keyring
        self._producer = producer
        self._asking = asking
        self._looking = looking
        self._rules = rules
        self._exporting = exporting
        self._partitions = partitions
        self._carriers = carriers

    async def CreateCampaign(
        self, request: campaigns_pb2.CreateCampaignRequest, context: Context
    ) -> campaigns_pb2.CreateCampaignResponse:
        """Makes a draft; its id is derived from caller and request."""
        self._check(request.plan)
        asked = ids.command_id(rpc.CALLER.get().subject, "CreateCampaign", request.request_id)
        command = CampaignCommand(campaign_id=ids.derive("campaign", asked), create=request.plan)
        decision = await self._asking.deed(command, "CreateCampaign", request.request_id)
        return campaigns_pb2.CreateCampaignResponse(campaign=self._looking.told(decision.campaign))

    async def EstimateCost(
        self, request: campaigns_pb2.EstimateCostRequest, context: Context
    ) -> campaigns_pb2.EstimateCostResponse:
        """What texts would cost."""
        if found := saying.problems(request.texts, request.language, "texts"):
            raise Invalid(found)
        try:
            told = costs(
                request.texts, request.language, request.people, request.drill, self._carriers
            )
        except ValueError:
            rule = "must have no placeholders: what they make of it is known with the recipients"
            raise Invalid([Violation("texts", rule)]) from None
        return campaigns_pb2.EstimateCostResponse(costs=told)

    async def UpdateCampaign(
        self, request: campaigns_pb2.UpdateCampaignRequest, context: Context
    ) -> campaigns_pb2.UpdateCampaignResponse:
        """Replaces a plan."""
        self._check(request.plan)
        return await self._done(
            request,
            campaigns_pb2.UpdateCampaignResponse,
            version=request.version,
            update=request.plan,
        )

    async def RehearseCampaign(
        self, request: campaigns_pb2.RehearseCampaignRequest, context: Context
    ) -> campaigns_pb2.RehearseCampaignResponse:
        """Begins a rehearsal; watch the campaign to see it end."""
        seen = await self._looking.campaign(request.campaign_id.lower())
        await self._check_languages(seen.plan)
        self._check_override(seen.plan)
        return await self._done(
            request,
            campaigns_pb2.RehearseCampaignResponse,
            checked=seen.version,
            rehearse=Rehearse(),
        )

    async def ApproveCampaign(
        self, request: campaigns_pb2.ApproveCampaignRequest, context: Context
    ) -> campaigns_pb2.ApproveCampaignResponse:
        """Approves a rehearsal."""
        return await self._done(
            request, campaigns_pb2.ApproveCampaignResponse, approve=request.rehearsal_hash
        )

    async def StartCampaign(
        self, request: campaigns_pb2.StartCampaignRequest, context: Context
    ) -> campaigns_pb2.StartCampaignResponse:
        """Begins to send."""
        return await self._done(request, campaigns_pb2.StartCampaignResponse, start=Start())

    async def PauseCampaign(
        self, request: campaigns_pb2.PauseCampaignRequest, context: Context
    ) -> campaigns_pb2.PauseCampaignResponse:
        """Holds a campaign."""
        return await self._done(request, campaigns_pb2.PauseCampaignResponse, pause=request.reason)

    async def ResumeCampaign(
        self, request: campaigns_pb2.ResumeCampaignRequest, context: Context
    ) -> campaigns_pb2.ResumeCampaignResponse:
        """Goes on with a campaign."""
        return await self._done(
            request, campaigns_pb2.ResumeCampaignResponse, resume=request.reason
        )

    async def CancelCampaign(
        self, request: campaigns_pb2.CancelCampaignRequest, context: Context
    ) -> campaigns_pb2.CancelCampaignResponse:
        """Ends a campaign."""
        return await self._done(
            request, campaigns_pb2.CancelCampaignResponse, cancel=request.reason
        )

    async def RecallCampaign(
        self, request: campaigns_pb2.RecallCampaignRequest, context: Context
    ) -> campaigns_pb2.RecallCampaignResponse:
        """Ends a campaign and sends its correction."""
        return await self._done(
            request, campaigns_pb2.RecallCampaignResponse, recall=request.reason
        )

    async def ResendUnknown(
        self, request: campaigns_pb2.ResendUnknownRequest, context: Context
    ) -> campaigns_pb2.ResendUnknownResponse:
        """Sends once more to those of whom nobody knows."""
        again = Resend(by=CampaignDeed(reason=request.reason), recipients=request.recipients)
        command = CampaignCommand(campaign_id=request.campaign_id.lower(), resend=again)
        command_id = self._asking.deed_id(command, "ResendUnknown", request.request_id)
        campaign = await self._looking.campaign(command.campaign_id)
        if all(one.command_id != command_id for one in campaign.resends):
            # Not of the same request again: by then it has made the unknown others than it was for.
            await self._check_unknown(command)
            campaign = (await self._asking.decided(command, command_id)).campaign
        return campaigns_pb2.ResendUnknownResponse(campaign=self._looking.told(campaign))

    async def GetCampaign(
        self, request: campaigns_pb2.GetCampaignRequest, context: Context
    ) -> campaigns_pb2.GetCampaignResponse:
        """One campaign and its buckets."""
        look = await self._looking.look(request.campaign_id.lower())
        return campaigns_pb2.GetCampaignResponse(
            campaign=look.campaign,
            buckets=look.buckets,
            recipients=recipients_of(look.buckets),
            corrections=look.corrections,
            counted_ms=look.counted_ms,
        )

    async def WatchCampaign(
        self, request: campaigns_pb2.WatchCampaignRequest, context: Context
    ) -> AsyncIterator[campaigns_pb2.WatchCampaignResponse]:
        """The campaign now, and whenever it or its buckets change."""
        pace, last = Pace(), b""
        while True:
            look = await self._looking.shared_look(request.campaign_id.lower())
            rate, eta_ms = 0.0, -1
            if not look.counted_ms:
                rate, eta_ms = pace.take(look.buckets, monotonic_s())
            response = _watched(look)
            now = response.SerializeToString(deterministic=True)
            if now != last:
                last = now
                response.recipients_per_second, response.eta_ms = rate, eta_ms
                yield response
            await asyncio.sleep(EVERY_S)

    async def ExportCampaign(
        self, request: campaigns_pb2.ExportCampaignRequest, context: Context
    ) -> AsyncIterator[campaigns_pb2.ExportCampaignResponse]:
        """Who got what, when."""
        campaign = await self._looking.campaign(request.campaign_id.lower())
        files = {one.audience_id: one for one in await self._looking.files(campaign.plan)}
        async for piece in self._exporting.export(campaign, files, request, rpc.CALLER.get()):
            yield piece

    async def UploadAudience(
        self,
        requests: AsyncIterator[campaigns_pb2.UploadAudienceRequest],
        context: Context,
    ) -> campaigns_pb2.UploadAudienceResponse:
        """Takes a file."""
        first = await anext(requests, campaigns_pb2.UploadAudienceRequest())
        if first.WhichOneof("piece") != "start":
            raise Invalid([Violation("start", "the first piece says what file comes")])
        caller, start, now = rpc.CALLER.get(), first.start, now_ms()
        if not caller.sees(start.agency):
            raise Forbidden("the caller may bring files of their own agency only")
        asked = ids.command_id(caller.subject, "UploadAudience", start.request_id)
        upload = Upload(
            ids.derive("audience", asked),
            start,
            self._keyring,
            self._producer,
            self._partitions,
            now,
        )
        async for request in requests:
            if request.WhichOneof("piece") != "data":
                raise Invalid([Violation("data", "after the first piece come bytes")])
            await upload.take(request.data)
        file = await upload.end(CampaignDeed(subject=caller.subject, done_ms=now))
        command = CampaignCommand(campaign_id=upload.audience_id, audience=file)
        command_id = ids.derive("command", asked, file.sha256.hex())
        taken = (await self._asking.decided(command, command_id)).audience
        return campaigns_pb2.UploadAudienceResponse(
            audience_id=taken.audience_id,
            recipients=taken.recipients,
            bad=sum(taken.bad_rows.values()),
            bad_rows=upload.bad,
        )

    async def ListCampaigns(
        self, request: campaigns_pb2.ListCampaignsRequest, context: Context
    ) -> campaigns_pb2.ListCampaignsResponse:
        """A page of campaigns."""
        page, token = await self._looking.page(
            request.agency, request.page_size, request.page_token
        )
        return campaigns_pb2.ListCampaignsResponse(campaigns=page, next_page_token=token)

    async def ListAudiences(
        self, request: campaigns_pb2.ListAudiencesRequest, context: Context
    ) -> campaigns_pb2.ListAudiencesResponse:
        """A page of files of recipients."""
        page, token = await self._looking.audience_page(
            request.agency, request.page_size, request.page_token
        )
        return campaigns_pb2.ListAudiencesResponse(audiences=page, next_page_token=token)

    async def GetAudience(
        self, request: campaigns_pb2.GetAudienceRequest, context: Context
    ) -> campaigns_pb2.GetAudienceResponse:
        """What is known of a file of recipients."""
        audience = await self._looking.audience(request.audience_id.lower())
        return campaigns_pb2.GetAudienceResponse(audience=audience)

    async def _done(
        self,
        request: Any,
        answer: type[_Answer],
        checked: int = 0,
        **action: Any,
    ) -> _Answer:
        """Has what a request asks for done. `action`: of the command, by its field."""
        method = request.DESCRIPTOR.name.removesuffix("Request")
        command = CampaignCommand(campaign_id=request.campaign_id.lower(), **action)
        decision = await self._asking.deed(command, method, request.request_id, checked)
        return answer(campaign=self._looking.told(decision.campaign))  # type: ignore[call-arg]

    async def _check_unknown(self, command: CampaignCommand) -> None:
        """Raises NotInState when more are unknown than the command is for, Away."""
        seen = await self._looking.look(command.campaign_id)
        if seen.counted_ms:
            raise Away("how many are unknown by now can't be told: Redis does not answer")
        unknown = sum(one.recipients for one in seen.buckets if one.bucket == BUCKET_UNKNOWN)
        if unknown > command.resend.recipients:
            raise NotInState(f"{unknown:,} are unknown by now: look at it again")

    def _check(self, plan: CampaignPlan) -> None:
        if not rpc.CALLER.get().sees(plan.agency):
            raise Forbidden("the caller may send in the name of their own agency only")
        if found := problems(plan, now_ms()):
            raise Invalid(found)
        self._check_override(plan)

    def _check_override(self, plan: CampaignPlan) -> None:
        """Raises Invalid when the plan names a legal basis that the rules don't know."""
        if rule := override_problem(self._rules, plan):
            raise Invalid([Violation("plan.override.legal_basis", rule)])

    async def _check_languages(self, plan: CampaignPlan) -> None:
        """Raises Invalid when the audience needs a language that is not written, and nobody
        accepted that. Who is in a set of lists the rehearsal finds, and its approval asks."""
        if plan.audience.WhichOneof("of") != "upload":
            return
        languages = {one for file in await self._looking.files(plan) for one in file.languages}
        missing = Wording(plan.texts, plan.language).missing(languages)
        if missing and not plan.accept_missing:
            rule = f"write {', '.join(missing)}, or set accept_missing"
            raise Invalid([Violation("plan.texts", rule)])


def _watched(look: Look) -> campaigns_pb2.WatchCampaignResponse:
    return campaigns_pb2.WatchCampaignResponse(
        campaign=look.campaign,
        buckets=look.buckets,
        recipients=recipients_of(look.buckets),
        corrections=look.corrections,
        carriers=look.carriers,
        counted_ms=look.counted_ms,
    )
