"""A campaign's page follows the campaign: whoever looks hears what changes, and nothing false."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mawja.broadcast.v1 import campaigns_pb2 as pb
from mawja.broadcast.v1 import campaigns_pb2_grpc

from services.broadcast.campaigns import life
from services.console.calls import Calls, Refused, issuer
from services.console.campaigns.following import feeds, watched
from services.console.rendering import Pages
from services.console.settings import ROOMS
from services.console.static import Static
from services.runtime import ids, rpc
from services.runtime.errors import NotFound
from services.runtime.identity import Verifier, create_token_key
from tests.console_campaigns_rig import Broadcast

ID = ids.derive("campaign", "live")


@pytest.fixture
def broadcast() -> Broadcast:
    found = Broadcast()  # type: ignore[abstract]
    found.campaigns[ID] = pb.Campaign(campaign_id=ID, version=7, state=life.APPROVED)
    return found


@pytest.fixture
async def calls(tmp_path: Path, broadcast: Broadcast) -> AsyncIterator[Calls]:
    create_token_key(tmp_path)
    server = rpc.server(Verifier(tmp_path))
    campaigns_pb2_grpc.add_CampaignServiceServicer_to_server(broadcast, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    opened = Calls(dict.fromkeys(ROOMS, f"127.0.0.1:{port}"), issuer(tmp_path, "local"))
    yield opened
    await opened.close()
    await server.stop(None)


async def until(stream: AsyncIterator[bytes], wanted: str) -> str:
    """All events up to the one that has `wanted`."""
    heard = ""
    async with asyncio.timeout(8):
        async for one in stream:
            heard += one.decode()
            if wanted in heard:
                return heard
    raise AssertionError(heard)


async def test_a_page_hears_of_the_next_version_and_of_every_count(
    calls: Calls, broadcast: Broadcast
) -> None:
    all_of_them = feeds(calls, Pages(Static(), "ar", "Asia/Qatar", local=False, provider=False))
    feed = await all_of_them.of(ID)
    arabic, english = feed.stream("ar"), feed.stream("en")
    try:
        first = await until(english, "event: version-7")
        assert "event: version-8" not in first
        assert "event: progress" not in first
        broadcast.buckets = [pb.BucketCount(bucket=pb.BUCKET_DELIVERED, recipients=1_234)]
        after = broadcast.campaigns[ID]
        after.version, after.state = 9, life.RUNNING
        after.started.subject = "amal"
        heard = await until(english, "1,234")
        assert "event: version-8" in heard
        assert "Delivered" in heard
        assert "وصلت" in await until(arabic, "1,234")
    finally:
        await english.aclose()  # type: ignore[attr-defined]
        await arabic.aclose()  # type: ignore[attr-defined]
        await all_of_them.close()


async def test_silence_is_asked_about_and_an_end_is_told(
    calls: Calls, broadcast: Broadcast
) -> None:
    told = watched(calls, ID, quiet_s=0.1)
    async with asyncio.timeout(8):
        first = await anext(told)
        again = await anext(told)
        assert first == again
        broadcast.hides = NotFound("gone")
        with pytest.raises(Refused, match="gone"):
            await anext(told)
