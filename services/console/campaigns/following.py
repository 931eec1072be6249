"""The campaigns that somebody looks at: one stream from broadcast for each, whoever many look.

The streams are the console's own (`Calls.itself`): whether a person may see a campaign is asked in
their name before they are let in. Broadcast says nothing while nothing changes, so it is asked
whether it is still there: a page must not call old what is true, nor true what is old.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Hashable
from typing import cast

from mawja.broadcast.v1 import campaigns_pb2 as pb
from mawja.broadcast.v1.campaigns_pb2 import WatchCampaignResponse

from services.console.calls import Calls
from services.console.campaigns import views
from services.console.campaigns.saying import shared
from services.console.live import Feed, Feeds, Parts
from services.console.rendering import Pages

_QUIET_S = 4.0
_VERSIONS = 6
"""A page waits for the version after its own; so many are told, should it have missed some."""


def feeds(calls: Calls, pages: Pages) -> Feeds[WatchCampaignResponse]:
    """A feed for each campaign, by its id."""

    def parts(told: WatchCampaignResponse, lang: str) -> Parts:
        version = told.campaign.version
        found = {
            f"version-{one}": "" for one in range(max(1, version - _VERSIONS + 1), version + 1)
        }
        if told.campaign.HasField("started"):
            said = pages.words[lang]
            found["progress"] = pages.part(
                lang,
                "campaigns/progress.html",
                **views.progress(told, said.gettext),
                **shared(said),
            )
        return found

    def make(campaign_id: Hashable) -> Feed[WatchCampaignResponse]:
        return Feed(lambda: watched(calls, cast(str, campaign_id)), parts)

    return Feeds(make)


async def watched(
    calls: Calls, campaign_id: str, quiet_s: float = _QUIET_S
) -> AsyncIterator[WatchCampaignResponse]:
    """The campaign now and whenever it changes; every `quiet_s` seconds the last one again, once
    broadcast has said that it is there. Raises Refused."""
    stream = calls.follow(
        calls.itself(),
        calls.campaigns.WatchCampaign,
        pb.WatchCampaignRequest(campaign_id=campaign_id),
    )
    last: WatchCampaignResponse | None = None
    coming = asyncio.ensure_future(anext(stream, None))
    try:
        while True:
            await asyncio.wait({coming}, timeout=quiet_s)
            if coming.done():
                told = coming.result()
                if told is None:
                    return
                last = told
                coming = asyncio.ensure_future(anext(stream, None))
            else:
                asked = pb.GetCampaignRequest(campaign_id=campaign_id)
                await calls.ask(calls.itself(), calls.campaigns.GetCampaign, asked)
            if last is not None:
                yield last
    finally:
        coming.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await coming
        with contextlib.suppress(RuntimeError):
            await stream.aclose()  # type: ignore[attr-defined]
