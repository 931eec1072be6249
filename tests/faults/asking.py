"""What people, agents and connectors ask of every room beside a surge, each again until answered.

Also stops and messages by SMS, and beside it all what `damaging.py` breaks. What was asked is kept,
to be held against what became of it.
"""

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from uuid import UUID

import aiohttp
import grpc
import redis.asyncio as redis
from mawja.broadcast.v1 import audiences_pb2, audiences_pb2_grpc
from mawja.broadcast.v1 import service_pb2 as broadcast_pb2
from mawja.broadcast.v1 import service_pb2_grpc as broadcast_grpc
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import service_pb2 as dedup_pb2
from mawja.dedup.v1 import service_pb2_grpc as dedup_grpc
from mawja.intake.v1 import events_pb2 as intake_events
from mawja.intake.v1 import service_pb2 as intake_pb2
from mawja.outreach.v1 import service_pb2 as outreach_pb2
from mawja.outreach.v1 import service_pb2_grpc as outreach_grpc
from mawja.outreach.v1.events_pb2 import WORK_DRILL

from loadtests.ledger import Truth
from services.intake.client import CallReporter, ContactStream
from services.intake.entries import Entry
from services.local.system import token
from services.runtime import ids, rpc
from services.runtime.clock import now_ms
from services.runtime.identity import Role
from services.tools.surge import SOURCE
from tests.faults.campaigning import CAMPAIGNS, campaign
from tests.faults.damaging import Damaging
from tests.faults.erasing import erase
from tests.faults.lines import announce, route
from tests.faults.parting import part
from tests.faults.proposing import decline
from tests.faults.revealing import reveal
from tests.faults.stage import Stage
from tests.intake_rig import signed

PORTAL = "portal"
_SECRET = b"a secret of at least 24 bytes"
_ATTEMPT_S = 4.0
_AGAIN_S = 0.1
_BURST = 40
_CALLS = (
    (
        intake_events.CALL_STATE_OFFERED,
        intake_events.CALL_STATE_ANSWERED,
        intake_events.CALL_STATE_ENDED,
    ),
    (intake_events.CALL_STATE_OFFERED, intake_events.CALL_STATE_ABANDONED),
)
_AGAIN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
_LANES = (common_pb2.LANE_URGENT, common_pb2.LANE_NORMAL, common_pb2.LANE_BULK)


class Asking:
    """Everything that was asked, by what was answered. `wanted(room.point)`: whether what leads to
    that effect is still to be made."""

    def __init__(self, on: Stage, wanted: Callable[[str], bool]) -> None:
        self._on = on
        self._wanted = wanted
        self._over = False
        self._begun_ms = now_ms()
        self.contacts = 0
        """Contacts that the webhook and the telephone system were told are safe."""
        self.messages: dict[str, str] = {}
        """Message id to number, of what was queued."""
        self.opted_out: list[str] = []
        self.subscribed: list[str] = []
        self.erased: list[str] = []
        self.stopped: list[str] = []
        self.texted: list[str] = []
        self.words: dict[str, str] = {}
        """What was said in each contact of the webhook."""
        self.notes: dict[str, list[str]] = {}
        """The notes of each case."""
        self.damaging = Damaging(on, wanted)

    async def until(self, done: Callable[[], bool], timeout_s: float) -> None:
        """Asks until `done`, then until everything begun is answered."""
        deadline = time.monotonic() + timeout_s
        secrets = self._on.system.keys / "webhooks"
        secrets.mkdir(exist_ok=True)
        (secrets / f"{PORTAL}.secret").write_text(base64.b64encode(_SECRET).decode())
        await self.damaging.carrier(op="set", profile={"deliver_timeout_ms": 1_000})
        async with asyncio.TaskGroup() as group:
            group.create_task(self._desk())
            for series in (
                self._each(0.2, self._contacts),
                self._each(0.5, self._reveal),
                self._each(0.1, self._message),
                self._each(0.5, self._opt_out),
                self._each(0.5, self._subscribe),
                self._each(0.3, self._command),
                self._each(0.5, self._erase),
                self._each(0.3, self._callback),
                self._each(0.2, self._text),
                self._each(0.3, self._route),
                self._each(0.5, self._announce),
                self._each(1.0, self._decline),
                self._each(1.0, self._part),
                self._each(1.0, self.damaging.damage),
                self._each(2.0, self._campaign),
            ):
                group.create_task(series)
            while not done() and time.monotonic() < deadline:  # noqa: ASYNC110 - files tell
                await asyncio.sleep(0.1)
            self._over = True
        await self.damaging.carrier(op="set", profile={"refuse": {}})

    async def _each(
        self, pause_s: float, ask: Callable[[int], Coroutine[object, object, None]]
    ) -> None:
        number = 0
        while not self._over:
            await ask(number)
            number += 1
            await asyncio.sleep(pause_s)

    # Intake.

    async def _desk(self) -> None:
        """A telephone system with the shipped clients: calls that are answered, or given up."""
        source = f"{SOURCE}/desk"
        proof = token(self._on.system.keys, SOURCE, Role.LOAD_TESTER)
        async with rpc.channel(self._on.system.target("intake")) as channel:
            contacts, calls = ContactStream(channel, proof), CallReporter(channel, proof)

            async def dial(index: int) -> None:
                key, number, at_ms = f"{index}", f"+9995800{index:05d}", now_ms()

                def answered(answer: intake_pb2.SubmitContactsResponse) -> None:
                    assert answer.HasField("accepted"), answer.refused.message
                    self._taken(answer.accepted.contact_id, number, f"{source}/{index}")

                contact = intake_pb2.Contact(
                    source=source,
                    idempotency_key=key,
                    kind=common_pb2.CONTACT_KIND_ENQUIRY,
                    channel=common_pb2.CHANNEL_VOICE,
                    number=number,
                    event_ms=at_ms,
                    drill=True,
                )
                await contacts.submit(contact, answered)
                for place, state in enumerate(_CALLS[index % len(_CALLS)]):
                    calls.report(
                        intake_pb2.ReportedCall(
                            source=source,
                            contact_key=key,
                            state=state,
                            number=number,
                            event_ms=at_ms + place,
                            drill=True,
                        )
                    )

            await self._each(0.3, dial)
            await asyncio.gather(contacts.close(), calls.close())

    def _taken(self, contact_id: str, number: str, need: str) -> None:
        assert self._on.run is not None
        self._on.run.ledger.expect(contact_id, Truth(number, need, need))
        self._on.run.ledger.acknowledge(contact_id)
        self.contacts += 1

    async def _contacts(self, index: int) -> None:
        # Some are on their way to Kafka while Redis loses their claims.
        burst = index % 10 == 0 and self._wanted("intake.claim-renewed")
        async with asyncio.TaskGroup() as group:
            for place in range(_BURST if burst else 1):
                group.create_task(self._contact(_BURST * index + place))
                await asyncio.sleep(0.003)
                if place == _BURST // 2:
                    group.create_task(self.damaging.lose("intake"))

    async def _contact(self, index: int) -> None:
        number, text = f"+9995700{index:05d}", f"water in street {index}"
        body = json.dumps(
            {
                "channel": "CHANNEL_WEB",
                "kind": "CONTACT_KIND_REQUEST",
                "number": number,
                "text": text,
                "eventMs": str(now_ms()),
                "drill": True,
            }
        ).encode()
        identity = f"{PORTAL}/{index}"
        [replica] = self._on.replicas("intake")
        url = f"http://127.0.0.1:{replica.address.webhook}/v1/webhooks/{PORTAL}"
        if self._wanted("intake.claim-settled"):
            await self._abandon(identity)
        contact_id = ""
        while not contact_id:
            headers = signed(_SECRET, identity, body)
            try:
                timeout = aiohttp.ClientTimeout(_ATTEMPT_S)
                async with (
                    aiohttp.ClientSession(timeout=timeout) as session,
                    session.post(url, data=body, headers=headers) as response,
                ):
                    if response.status == 200:
                        contact_id = (await response.json())["contactId"]
                    else:
                        assert response.status in (429, 503), await response.text()
                        await asyncio.sleep(_AGAIN_S)
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(_AGAIN_S)
        self._taken(contact_id, number, identity)
        self.words[contact_id] = text

    async def _reveal(self, index: int) -> None:
        for contact_id, text in list(self.words.items())[-1:]:
            told = await reveal(self._on.system, self._answered, contact_id, index)
            assert told == text, "other words than were sent"

    async def _abandon(self, key: str) -> None:
        """Somebody claimed the key with another body more than a minute ago, and died."""
        claim = Entry(mac=bytes(16), accepted_ms=now_ms(), partition=0, offset=None)
        client = redis.Redis.from_url(self._on.parts.redis_url)
        index_key = UUID(ids.contact_id(PORTAL, key)).bytes
        await client.set(b"i:" + index_key, claim.pack(), ex=3600, nx=True)
        await client.aclose()

    async def _text(self, index: int) -> None:
        stopping = index % 2 == 0
        number = f"+9995{300 if stopping else 310:03d}{index:05d}"
        (self.stopped if stopping else self.texted).append(number)
        text = "STOP" if stopping else f"no water in street {index}"
        await self.damaging.carrier(op="inbound", **{"from": number, "to": "Mawja", "text": text})

    # Broadcast.

    async def _message(self, index: int) -> None:
        await self._queue(f"+9995600{index:05d}", index, "long " * 40 if index % 4 == 0 else "")

    async def _opt_out(self, index: int) -> None:
        number = f"+9995500{index:05d}"
        request = broadcast_pb2.OptOutRequest(number=number)
        await self._broadcast("OptOut", request)
        self.opted_out.append(number)
        await asyncio.sleep(0.5)
        await self._queue(number, index, "to one who wants none ")

    async def _subscribe(self, index: int) -> None:
        number = f"+9995510{index:05d}"
        consent = audiences_pb2.Consent(agency="health", topic="vaccines", source="call")
        async with rpc.channel(self._on.system.target("broadcast")) as channel:
            stub = audiences_pb2_grpc.AudienceServiceStub(channel)
            request = audiences_pb2.SubscribeRequest(number=number, consent=consent)
            await self._answered(stub.Subscribe, request)
        self.subscribed.append(number)

    async def _queue(self, number: str, index: int, text: str) -> None:
        request = broadcast_pb2.QueueMessageRequest(
            request_id=f"{number}/{index}",
            number=number,
            text=f"{text}message {index}",
            lane=_LANES[index % len(_LANES)],
            drill=True,
        )
        answer: broadcast_pb2.QueueMessageResponse = await self._broadcast("QueueMessage", request)
        self.messages[answer.message_id] = number

    async def _campaign(self, index: int) -> None:
        if any(self._wanted(f"broadcast.{name}") for name in CAMPAIGNS):
            self.messages |= await campaign(self._on.system, self._answered, index)

    async def _broadcast(self, method: str, request: object) -> Any:
        async with rpc.channel(self._on.system.target("broadcast")) as channel:
            stub = broadcast_grpc.BroadcastServiceStub(channel)
            return await self._answered(getattr(stub, method), request)

    # Dedup.

    async def _command(self, index: int) -> None:
        async with rpc.channel(self._on.system.target("dedup")) as channel:
            stub = dedup_grpc.DedupServiceStub(channel)
            listed: dedup_pb2.ListCasesResponse = await self._answered(
                stub.ListCases, dedup_pb2.ListCasesRequest(page_size=100)
            )
            if not listed.cases:
                return
            case_id = listed.cases[index % len(listed.cases)].case_id
            note = f"note {index}"
            request = dedup_pb2.AddCaseNoteRequest(
                case_id=case_id, text=note, request_id=f"note/{index}"
            )
            await self._answered(stub.AddCaseNote, request)
            self.notes.setdefault(case_id, []).append(note)

    async def _erase(self, index: int) -> None:
        self.erased.append(await erase(self._on.system, self._answered, index))

    async def notes_kept(self) -> dict[str, list[str]]:
        """The notes that dedup shows of the cases that got some."""
        async with rpc.channel(self._on.system.target("dedup")) as channel:
            stub = dedup_grpc.DedupServiceStub(channel)
            kept = {}
            for case_id in self.notes:
                shown: dedup_pb2.GetCaseResponse = await self._answered(
                    stub.GetCase, dedup_pb2.GetCaseRequest(case=case_id)
                )
                kept[case_id] = [note.text for note in shown.notes]
            return kept

    # Outreach.

    async def _callback(self, index: int) -> None:
        """An agent claims a callback, tries once in vain, and gives some of them back."""
        async with rpc.channel(self._on.system.target("outreach")) as channel:
            stub = outreach_grpc.OutreachServiceStub(channel)
            claimed: outreach_pb2.ClaimCallbackResponse = await self._answered(
                stub.ClaimCallback,
                outreach_pb2.ClaimCallbackRequest(work=WORK_DRILL),
                role=Role.AGENT,
            )
            if not claimed.HasField("callback"):
                return
            ended: dict[str, Any] = {
                "request_id": f"callback/{index}",
                "callback_id": claimed.callback.callback_id,
            }
            try:
                if index % 2:
                    no_answer = outreach_pb2.ReportNoAnswerRequest(**ended)
                    await self._answered(stub.ReportNoAnswer, no_answer, role=Role.AGENT)
                else:
                    release = outreach_pb2.ReleaseCallbackRequest(**ended)
                    await self._answered(stub.ReleaseCallback, release, role=Role.AGENT)
            except grpc.aio.AioRpcError as error:
                # Withdrawn meanwhile: the person was answered.
                if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                    raise

    async def _decline(self, index: int) -> None:
        # What is declined is gone from the board, so only while it is waited for.
        if self._wanted("outreach.proposal-command"):
            await decline(self._on.system, self._answered, index)

    async def _part(self, index: int) -> None:
        # A case that was parted is never put back, so only while it is waited for.
        if self._wanted("dedup.incident-command"):
            await part(self._on.system, self._answered, index)

    async def _announce(self, index: int) -> None:
        until_ms = self._begun_ms + 3600_000
        await announce(self._on.system, self._answered, until_ms, index)

    async def _route(self, index: int) -> None:
        await route(self._on.system, self._answered, index)

    async def _answered(
        self,
        method: Callable[..., Awaitable[Any]],
        request: object,
        who: str = "someone",
        role: Role = Role.COORDINATOR,
    ) -> Any:
        metadata = rpc.bearer(token(self._on.system.keys, who, role))
        while True:
            try:
                return await method(request, metadata=metadata, timeout=_ATTEMPT_S)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _AGAIN:
                    raise
                await asyncio.sleep(_AGAIN_S)
