"""A small campaign beside a surge: a file, a rehearsal, a second person, and off it goes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from mawja.broadcast.v1 import campaigns_pb2, events_pb2
from mawja.broadcast.v1 import campaigns_pb2_grpc as campaigns_grpc

from services.broadcast.campaigns.people import message_id
from services.local.system import System
from services.runtime import rpc
from services.runtime.clock import now_ms
from services.runtime.privacy import Keyring

CAMPAIGNS = (
    "marker-of-campaigns",
    "audience-kept",
    "campaign-command",
    "campaign-decided",
    "campaigns-committed",
)
"""The points that a campaign comes by."""
_AGAIN_S = 0.1


async def campaign(
    system: System, answered: Callable[..., Awaitable[Any]], index: int
) -> dict[str, str]:
    """Its messages, id to number. `answered(method, request, who)` asks until it is answered."""
    people = [f"+9995900{index:03d}{place:02d}" for place in range(10)]
    async with rpc.channel(system.target("broadcast")) as channel:
        stub: Any = campaigns_grpc.CampaignServiceStub(channel)

        async def ask(method: str, who: str = "someone", **fields: Any) -> campaigns_pb2.Campaign:
            request = getattr(campaigns_pb2, f"{method}CampaignRequest")(
                request_id=f"{method}/{index}", **fields
            )
            answer = await answered(getattr(stub, f"{method}Campaign"), request, who)
            made: campaigns_pb2.Campaign = answer.campaign
            return made

        start = campaigns_pb2.UploadAudienceStart(
            request_id=f"file/{index}", name="people.csv", country="AE", drill=True
        )
        pieces = [
            campaigns_pb2.UploadAudienceRequest(start=start),
            campaigns_pb2.UploadAudienceRequest(data="\n".join(["number", *people]).encode()),
        ]

        def upload(_: object, **more: Any) -> Awaitable[Any]:
            file: Awaitable[Any] = stub.UploadAudience(iter(pieces), **more)
            return file

        file = await answered(upload, None)
        made = await ask(
            "Create",
            plan=campaigns_pb2.CampaignPlan(
                name="a campaign",
                kind=events_pb2.CAMPAIGN_KIND_INFORMATION,
                drill=True,
                audience=campaigns_pb2.Audience(upload=file.audience_id),
                texts=[campaigns_pb2.CampaignText(language="en", template=f"campaign {index}")],
                corrections=[campaigns_pb2.CampaignText(language="en", template="a mistake")],
                language="en",
                expires_ms=now_ms() + 600_000,
            ),
        )
        name = made.campaign_id
        await ask("Rehearse", campaign_id=name)
        get = campaigns_pb2.GetCampaignRequest(campaign_id=name)
        while made.state != campaigns_pb2.CAMPAIGN_STATE_REHEARSED:
            await asyncio.sleep(_AGAIN_S)
            made = (await answered(stub.GetCampaign, get)).campaign
        await ask("Approve", "another", campaign_id=name, rehearsal_hash=made.rehearsal.hash)
        await ask("Start", campaign_id=name)
    keyring = Keyring(system.keys)
    return {message_id(name, keyring.person(number), correction=False): number for number in people}
