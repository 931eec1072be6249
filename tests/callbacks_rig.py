"""Agents as callers of outreach, each with a name, and people who wait for them."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
from mawja.common.v1 import common_pb2
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.outreach.v1 import service_pb2, service_pb2_grpc

from services.runtime import clock, rpc
from services.runtime.config import Settings
from services.runtime.identity import Role, issue
from tests.outreach_rig import Case, Dedup, until

RULES = """
centre: {ar: م, en: c}
callbacks: {lease: 60s, tries: 2, gap: 1m}
rules:
  - name: call
    version: 1
    when: {event: call-abandoned}
    callback: true
  - name: again
    version: 1
    when: {event: callback-promised}
    message:
      expires: 7d
      texts:
        ar: "{centre} {case_number} {window}"
        en: "{centre} {case_number} {window}"
  - name: ended
    version: 1
    when: {event: callback-given-up}
    message:
      expires: 1d
      texts: {ar: "{centre} {case_number}", en: "{centre} {case_number}"}
"""
"""A promise is told, and the end; two tries, and claims as short as can be."""


class Agent:
    """One agent with a name, at one replica; asks again while it is told to."""

    def __init__(
        self, settings: Settings, channel: grpc.aio.Channel, name: str, role: Role = Role.AGENT
    ) -> None:
        self.name = name
        self._stub: Any = service_pb2_grpc.OutreachServiceStub(channel)
        token = issue(settings.keys, name, frozenset({role}), now=clock.now_ms())
        self._bearer = rpc.bearer(token)

    async def ask(self, method: str, request: Any, timeout_s: float = 20) -> Any:
        return await getattr(self._stub, method)(request, metadata=self._bearer, timeout=timeout_s)

    async def claim(self, **wanted: Any) -> service_pb2.ClaimCallbackResponse:
        wanted.setdefault("work", outreach.WORK_DRILL)
        request = service_pb2.ClaimCallbackRequest(**wanted)
        answer: service_pb2.ClaimCallbackResponse = await self.ask("ClaimCallback", request)
        return answer

    async def watch(self, agencies: list[str]) -> AsyncIterator[list[tuple[str, int]]]:
        """Counts by agency, each time that they change."""
        request = service_pb2.WatchCallbacksRequest(agencies=agencies, work=outreach.WORK_DRILL)
        stream = self._stub.WatchCallbacks(request, metadata=self._bearer, timeout=60)
        async for answer in stream:
            yield [(one.agency, one.count) for one in answer.due]

    async def does(
        self, method: str, callback: outreach.Callback, request_id: str = "1", **given: Any
    ) -> outreach.Callback:
        request = getattr(service_pb2, f"{method}Request")(
            request_id=request_id, callback_id=callback.callback_id, **given
        )
        after: outreach.Callback = (await self.ask(method, request)).callback
        return after


async def owed(
    told: Dedup, name: str, count: int, agency: str, language: str = "ar", line: str = "109"
) -> list[Case]:
    """People who abandoned their call, the first one earliest."""
    cases = [
        told.case(f"{name} {i}", channel=common_pb2.CHANNEL_VOICE, agency=agency, language=language)
        for i in range(count)
    ]
    for i, case in enumerate(cases):
        case.case.first_arrival_ms += (i - count) * 1000
        case.case.line = line
        await case.tell(case.opened(), case.abandoned(30))
    return cases


async def waiting(agent: Agent, agency: str, count: int) -> None:
    async def shown() -> bool:
        request = service_pb2.ListCallbacksRequest(
            agency=agency, page_size=500, work=outreach.WORK_DRILL
        )
        try:
            return len((await agent.ask("ListCallbacks", request)).callbacks) == count
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return False

    await until(shown, 60)
