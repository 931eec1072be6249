"""One key at every door of two replicas at once: one contact and one answer, whatever breaks."""

import asyncio
import base64
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from google.protobuf import json_format
from mawja.intake.v1 import events_pb2, service_pb2

from loadtests.ledger import Ledger
from services.intake.client import ContactStream
from services.local.system import token
from services.runtime import ids, rpc, store
from services.runtime.config import Settings
from services.runtime.identity import Role
from tests.faults.stage import Size
from tests.faults.table import Row
from tests.intake_rig import Intake, contact, shown, signed, stored, stub

pytestmark = pytest.mark.faults

SUBMITS = 1_000
SECRET = b"a secret of at least 24 bytes"
PATIENCE_S = 25.0
AGENCIES = ("moh", "moi")


@dataclass(frozen=True, slots=True)
class Told:
    """What one caller was told in the end: `contact_id` and `accepted_ms`, or why not."""

    agency: str
    contact_id: str = ""
    accepted_ms: int = 0
    code: int = 0
    message: str = ""


@pytest.fixture(scope="module")
def doors(
    settings: Settings, keys: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Intake, Intake]]:
    (keys / "webhooks").mkdir()
    (keys / "webhooks" / "gw.secret").write_text("whsec_" + base64.b64encode(SECRET).decode())
    folder = tmp_path_factory.mktemp("one-key")
    both = (
        Intake(settings, folder, "one").start(),
        Intake(settings, folder, "two").start(),
    )
    try:
        for each in both:
            each.ready()
        yield both
    finally:
        for each in both:
            each.end()


async def submit_everywhere(
    doors: Sequence[Intake], settings: Settings, bodies: Sequence[service_pb2.Contact]
) -> list[Told]:
    """All of them at once: two fifths one by one, two fifths in streams, a fifth as deliveries of
    the webhook, over both replicas. A caller who is told to come again does."""
    metadata = shown(settings, "gw", Role.GATEWAY)
    async with AsyncExitStack() as stack:
        stubs = [await stack.enter_async_context(stub(door.target)) for door in doors]
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        )
        streams = []
        for door in doors:
            channel = await stack.enter_async_context(rpc.channel(door.target))
            bearer = token(settings.keys, "gw", Role.GATEWAY)
            streams += [ContactStream(channel, bearer), ContactStream(channel, bearer)]
        calls: list[Awaitable[Told]] = []
        for index, body in enumerate(bodies):
            # The same replica is asked by every kind of caller, with every body.
            at = index // 10 % len(doors)
            if index % 5 < 2:
                calls.append(_one(stubs[at], metadata, body))
            elif index % 5 < 4:
                calls.append(_streamed(streams[index // 10 % len(streams)], body))
            else:
                calls.append(_delivered(session, doors[at], body, index))
        told = await asyncio.gather(*calls)
        for stream in streams:
            stream.abort()
        return told


async def _one(intake_stub: Any, metadata: Any, body: service_pb2.Contact) -> Told:
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            answer = await intake_stub.SubmitContact(
                service_pb2.SubmitContactRequest(contact=body), metadata=metadata, timeout=10
            )
            return Told(body.agency, answer.contact_id, answer.accepted_ms)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > until:
                return Told(body.agency, code=error.code().value[0], message=error.details() or "")
            await asyncio.sleep(0.2)


async def _streamed(stream: ContactStream, body: service_pb2.Contact) -> Told:
    done: asyncio.Future[service_pb2.SubmitContactsResponse] = (
        asyncio.get_running_loop().create_future()
    )
    await stream.submit(body, done.set_result)
    async with asyncio.timeout(PATIENCE_S):
        answer = await done
    if answer.HasField("accepted"):
        return Told(body.agency, answer.accepted.contact_id, answer.accepted.accepted_ms)
    return Told(body.agency, code=answer.refused.code, message=answer.refused.message)


async def _delivered(
    session: aiohttp.ClientSession, door: Intake, body: service_pb2.Contact, index: int
) -> Told:
    data = json_format.MessageToJson(body).encode()
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            async with session.post(
                f"http://127.0.0.1:{door.webhook}/v1/webhooks/gw",
                data=data,
                headers=signed(SECRET, f"d{index}", data),
            ) as response:
                said = await response.json()
                if response.status == 200:
                    return Told(body.agency, said["contactId"], int(said["acceptedMs"]))
                if response.status != 503 or time.monotonic() > until:
                    return Told(body.agency, code=said["code"], message=said["message"])
        except aiohttp.ClientConnectionError:
            if time.monotonic() > until:
                raise
        await asyncio.sleep(0.2)


def judge(row: Row, settings: Settings, key: str, told: Sequence[Told], bodies: int) -> str:
    """One contact, one answer; every other body refused. Gives the agency that was taken."""
    contact_id = ids.contact_id("gw", key)
    taken = {(one.contact_id, one.accepted_ms) for one in told if one.contact_id}
    row.same("different answers to the body that was taken", len(taken), 1)
    [(answered_id, accepted_ms)] = taken
    assert answered_id == contact_id
    [agency] = {one.agency for one in told if one.contact_id}
    codes = Counter(one.code for one in told if one.agency == agency)
    assert codes == {0: SUBMITS // bodies}, codes
    others = [one for one in told if one.agency != agency]
    row.same("callers with another body", len(others), SUBMITS - SUBMITS // bodies)
    row.same(
        "of them refused, naming what differs",
        sum(
            one.code == grpc.StatusCode.ALREADY_EXISTS.value[0]
            and one.message.endswith("different: agency")
            for one in others
        ),
        len(others),
    )
    ledger = Ledger()
    records = []
    for record in stored(settings):
        event = events_pb2.ContactAccepted.FromString(record.value or b"")
        if event.contact_id == contact_id:
            records.append(event)
            ledger.take(record)
    ledger.acknowledge(contact_id)
    row.same("contacts in the ledger", ledger.account().accepted, 1)
    row.figure("records of it", len(records))
    assert {(event.agency, event.accepted_ms) for event in records} == {(agency, accepted_ms)}
    return agency


def mixed(key: str, bodies: int) -> list[service_pb2.Contact]:
    return [contact(key, agency=AGENCIES[index % bodies]) for index in range(SUBMITS)]


MUST = "one contact, one answer; another body refused"


@pytest.mark.parametrize("bodies", [1, 2], ids=["one body", "two bodies"])
@pytest.mark.row("1,000 concurrent submits of one key at every door of two replicas", must=MUST)
async def test_one_key_at_every_door_is_one_contact(
    row: Row, settings: Settings, doors: tuple[Intake, Intake], bodies: int
) -> None:
    told = await submit_everywhere(doors, settings, mixed(f"quiet-{bodies}", bodies))
    row.figure("submits", len(told))
    judge(row, settings, f"quiet-{bodies}", told, bodies)


@pytest.mark.row(
    "1,000 concurrent submits of one key, Redis flushed and an intake killed -9 meanwhile",
    must=MUST,
)
async def test_one_key_is_one_contact_when_redis_is_flushed_and_an_intake_killed(
    row: Row, size: Size, rng: random.Random, settings: Settings, doors: tuple[Intake, Intake]
) -> None:
    client = store.connect(settings.redis_url)
    try:
        for number in range(int(size.of(5, 2))):
            key = f"broken-{number}"
            hurt: list[tuple[float, Callable[[], Awaitable[Any]]]] = [
                (rng.uniform(0.0, 0.4), client.flushall),
                (rng.uniform(0.0, 0.4), lambda: _killed_and_started(doors[1])),
            ]
            hurting = asyncio.gather(*(_later(after_s, what) for after_s, what in hurt))
            told = await submit_everywhere(doors, settings, mixed(key, 2))
            await hurting
            row.figure(
                f"round {number}: flushed and killed after, s", [f"{h[0]:.2f}" for h in hurt]
            )
            judge(row, settings, key, told, 2)
            # Asked again when all is well, the answer is still the same.
            again = await submit_everywhere(doors, settings, mixed(key, 2)[:20])
            assert {(one.agency, one.contact_id, one.accepted_ms, one.code) for one in again} == {
                (one.agency, one.contact_id, one.accepted_ms, one.code) for one in told
            }
    finally:
        await client.aclose()


async def _later(after_s: float, what: Callable[[], Awaitable[Any]]) -> None:
    await asyncio.sleep(after_s)
    await what()


async def _killed_and_started(door: Intake) -> None:
    door.process.kill()
    await asyncio.to_thread(door.process.wait)
    door.start()
    await asyncio.to_thread(door.ready)
