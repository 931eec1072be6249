"""The board of callbacks by server-sent events: one question for all who look, of what they may
see."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from mawja.dedup.v1 import service_pb2_grpc as dedup_grpc
from mawja.outreach.v1 import events_pb2
from mawja.outreach.v1 import service_pb2 as callbacks
from mawja.outreach.v1 import service_pb2_grpc as callbacks_grpc

from services.console import queueing
from services.console.calls import Calls, Refused, issuer
from services.console.queueing import Queue
from services.console.rendering import Pages
from services.console.settings import ROOMS
from services.console.static import Static
from services.runtime import rpc
from services.runtime.errors import NotFound
from services.runtime.identity import Caller, Role, Verifier, create_token_key
from tests.console_desk_facts import callback
from tests.console_desk_rig import Rooms
from tests.console_rig import desk

REAL = Queue("", "", events_pb2.WORK_UNSPECIFIED)


class Seeing(Rooms):
    """Rooms that keep who asked for the queue."""

    def __init__(self) -> None:
        super().__init__()
        self.callers: list[Caller] = []

    async def ListCallbacks(self, request: Any, context: Any) -> Any:
        self.callers.append(rpc.CALLER.get())
        return await super().ListCallbacks(request, context)


@pytest.fixture
def rooms() -> Seeing:
    """Where one callback is due."""
    found = Seeing()  # type: ignore[abstract]
    found.due = [callback()]
    return found


@pytest_asyncio.fixture
async def calls(tmp_path: Path, rooms: Rooms) -> AsyncIterator[Calls]:
    """Calls to those rooms."""
    create_token_key(tmp_path)
    server = rpc.server(Verifier(tmp_path))
    dedup_grpc.add_DedupServiceServicer_to_server(rooms, server)
    callbacks_grpc.add_OutreachServiceServicer_to_server(rooms, server)
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


async def test_who_comes_and_goes_is_heard_in_the_readers_language(
    calls: Calls, rooms: Rooms
) -> None:
    all_of_them = queueing.feeds(calls, Pages(Static(), "ar", "Asia/Qatar", False, False))
    feed = await all_of_them.of(REAL)
    english = [feed.stream("en") for _ in range(20)]
    arabic = feed.stream("ar")
    try:
        for stream in english:
            assert callback().case_number in await until(stream, "event: queue")
        rooms.due.clear()
        for stream in english:
            await until(stream, "Nobody waits to be called.")
        await until(arabic, "لا أحد")
        assert len(rooms.kept(callbacks.WatchCallbacksRequest)) == 1
        assert len(rooms.kept(callbacks.ListCallbacksRequest)) <= 6
    finally:
        for stream in (*english, arabic):
            await stream.aclose()  # type: ignore[attr-defined]
        await all_of_them.close()


async def test_who_takes_anothers_place_is_seen_though_the_number_is_the_same(
    calls: Calls, rooms: Rooms
) -> None:
    stream = queueing.waiting(calls, REAL, quiet_s=0.05)
    first = await anext(stream)
    assert [one.case_number for one in first.queue.callbacks] == [callback().case_number]
    other = callback()
    other.case_number = "MW-OTHER"
    rooms.due[:] = [other]
    async with asyncio.timeout(8):
        async for told in stream:
            if [one.case_number for one in told.queue.callbacks] == ["MW-OTHER"]:
                break
    await stream.aclose()  # type: ignore[attr-defined]
    rooms.fails = NotFound("gone")
    with pytest.raises(Refused):
        await anext(queueing.waiting(calls, REAL))


async def test_a_liaisons_queue_is_asked_for_as_a_liaison(calls: Calls, rooms: Seeing) -> None:
    for agency, role in (("MUNICIPALITY", Role.LIAISON), ("", Role.AUDITOR)):
        stream = queueing.waiting(calls, Queue(agency, "", events_pb2.WORK_UNSPECIFIED))
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        caller = rooms.callers[-1]
        assert (caller.agency, caller.roles) == (agency, frozenset({role}))


async def test_everybody_follows_what_they_may_see_and_practice_nobody(
    tmp_path: Path, rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Queue] = []

    async def of(self: object, key: Queue) -> Any:
        asked.append(key)
        raise NotFound("streams have no end")

    monkeypatch.setattr("services.console.live.Feeds.of", of)
    adds = [
        partial(dedup_grpc.add_DedupServiceServicer_to_server, rooms),
        partial(callbacks_grpc.add_OutreachServiceServicer_to_server, rooms),
    ]
    async with desk(tmp_path, *adds) as on:
        live = "/outreach/callbacks/live"
        for role in (Role.LIAISON, Role.AGENT):
            await on.get(f"{live}?work=drill", role)
        drill = events_pb2.WORK_DRILL
        assert asked == [Queue("MUNICIPALITY", "drill", drill), Queue("", "drill", drill)]
        page = await on.get("/outreach/callbacks", Role.AGENT)
        assert f'sse-connect="{live}"' in page.text
        assert "every 3s" not in page.text
        practice = await on.get("/outreach/callbacks?work=practice", Role.AGENT)
        assert "sse-connect" not in practice.text
        assert "every 3s" in practice.text
        assert (await on.get(f"{live}?work=practice", Role.AGENT)).status_code == 404
