"""A marked number and text go through the whole system, and are then hunted for everywhere.

Outside of sealed bodies they may stand nowhere: not in a Kafka segment, a Redis key or value, a
log, a metric, an error or a file of the run. The SMS centre is the outside world and has them.
"""

import asyncio
import base64
import json
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import redis
from mawja.broadcast.v1 import campaigns_pb2
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import service_pb2, service_pb2_grpc
from mawja.outreach.v1 import playbooks_pb2, playbooks_pb2_grpc
from mawja.wave.v1 import contracts_pb2, contracts_pb2_grpc

from services.local.progress import Silent
from services.local.smsc.record import read_record
from services.local.system import System, token
from services.runtime import ids, rpc
from services.runtime.identity import Role
from services.tools.local import make_parts, make_system, smsc_record
from tests.campaigns_rig import MAKER, OTHER, Office, plan, started

NUMBER = "+999573916428"
INBOUND_NUMBER = "+999573916429"
STOPPING_NUMBER = "+999573916430"
LISTED_NUMBER = "+999573916431"
TEXT = "علامةسرية marked-needle-4711"
PLACE = "marked-place-4711"
HANDLE = "marked-handle-4711"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    home = tmp_path_factory.mktemp("hunt")
    with make_parts(home, brokers=1, profile="default", progress=Silent()) as parts:
        made = make_system(parts)
        try:
            made.start(partitions=2)
            yield made
        finally:
            made.stop()


def needles() -> list[bytes]:
    """Every shape in which a careless writer would leave them."""
    words = [
        NUMBER,
        NUMBER[1:],
        NUMBER[4:],
        INBOUND_NUMBER[1:],
        INBOUND_NUMBER[4:],
        STOPPING_NUMBER[1:],
        LISTED_NUMBER[1:],
        LISTED_NUMBER[4:],
        TEXT,
        TEXT.split()[0],
        TEXT.split()[1],
        PLACE,
        HANDLE,
    ]
    found: list[bytes] = []
    for word in words:
        utf8, utf16 = word.encode(), word.encode("utf-16-be")
        found += [utf8, utf16, utf8.hex().encode(), utf16.hex().encode()]
        found += [base64.b64encode(utf8).rstrip(b"="), json.dumps(word)[1:-1].encode()]
    return [needle for needle in set(found) if len(needle) >= 8]


def contact(**changes: object) -> service_pb2.Contact:
    fields: dict[str, object] = {
        "source": "hunt",
        "idempotency_key": "1",
        "channel": common_pb2.CHANNEL_SMS,
        "agency": "moh",
        "number": NUMBER,
        "text": TEXT,
        "place": PLACE,
        "event_ms": int(time.time() * 1000),
        "drill": True,
    }
    return service_pb2.Contact(**(fields | changes))  # type: ignore[arg-type]


async def act(system: System) -> list[str]:
    """Everything that carries personal data; returns what errors said."""
    said: list[str] = []
    metadata = rpc.bearer(token(system.keys, "hunt", Role.LOAD_TESTER))
    async with rpc.channel(system.target("intake")) as channel:
        intake = service_pb2_grpc.IntakeServiceStub(channel)

        async def submit(one: service_pb2.Contact) -> None:
            try:
                await intake.SubmitContact(
                    service_pb2.SubmitContactRequest(contact=one), metadata=metadata, timeout=20
                )
            except grpc.aio.AioRpcError as error:
                said.append(f"{error.details()} {error.trailing_metadata()}")

        await submit(contact())
        await submit(contact(text=TEXT + " another body"))
        await submit(contact(idempotency_key="2", number=NUMBER + "9999999"))
        await submit(contact(idempotency_key="3", text=TEXT * 2000))
        await submit(contact(idempotency_key="4", number="", handle=HANDLE))
        await submit(contact(idempotency_key="5", drill=False))
        await submit(contact(idempotency_key="6", life_safety=True))
        reveal = service_pb2.RevealContactRequest(
            contact_id=ids.contact_id("hunt", "1"), reason=f"said {TEXT}", request_id="1"
        )
        agent = rpc.bearer(token(system.keys, "hunt", Role.AGENT))
        words = await intake.RevealContact(reveal, metadata=agent, timeout=20)
        assert (words.text, words.place) == (TEXT, PLACE)
    async with rpc.channel(system.target("wave")) as channel:
        contracts = contracts_pb2_grpc.ContractServiceStub(channel)
        asked = contracts_pb2.RouteCallRequest(
            source="hunt", contact_key=NUMBER, agency="moh", drill=True
        )
        told = await contracts.RouteCall(asked, metadata=metadata, timeout=20)
        assert told.stated
        asked.agency = PLACE + "/" + HANDLE
        try:
            await contracts.RouteCall(asked, metadata=metadata, timeout=20)
        except grpc.aio.AioRpcError as error:
            said.append(f"{error.details()} {error.trailing_metadata()}")
    return said


async def handed_over(system: System) -> str:
    """What is said of cases with a life in danger that somebody is to take; "" while none is."""
    metadata = rpc.bearer(token(system.keys, "hunt", Role.AGENT))
    async with rpc.channel(system.target("outreach")) as channel:
        playbooks = playbooks_pb2_grpc.PlaybookServiceStub(channel)
        answer = await playbooks.ListHandOvers(
            playbooks_pb2.ListHandOversRequest(), metadata=metadata, timeout=20
        )
    return str(answer) if answer.hand_overs else ""


def campaign(system: System) -> str:
    """A list of people, and a campaign that is rehearsed and sent; gives what is said of it."""
    maker, other = Office(system, MAKER), Office(system, OTHER)
    content = f"number,language,place\n{LISTED_NUMBER},en,{PLACE}\n{PLACE},en,{TEXT}\n".encode()
    taken = maker.upload(content)
    assert (taken.recipients, taken.bad) == (1, 1)
    campaign_id = started(maker, other, plan(taken.audience_id))
    done = maker.until(campaign_id, campaigns_pb2.CAMPAIGN_STATE_COMPLETED)
    return f"{taken} {done}"


def inbound(system: System, number: str, text: str) -> None:
    """A person's SMS comes in at the SMS centre."""
    ports = json.loads(smsc_record(system.parts.home).with_name("ports.json").read_text())
    with socket.create_connection(("127.0.0.1", ports["control_port"])) as connection:
        order = {"op": "inbound", "from": number, "to": "Mawja", "text": text}
        connection.sendall(json.dumps(order).encode() + b"\n")
        connection.recv(4096)


def delivered_to(home: Path, number: str) -> bool:
    record = smsc_record(home)
    return record.exists() and any(
        submit.destination == number[1:] for submit in read_record(record)
    )


def haystacks(system: System) -> Iterator[tuple[str, bytes]]:
    home = system.parts.home
    carrier = smsc_record(home).parent
    for path in home.rglob("*"):
        if path.is_file() and carrier not in path.parents:
            # Kafka makes its index files 10 MB long before anything stands in them.
            yield str(path.relative_to(home)), path.read_bytes().rstrip(b"\0")
    with redis.Redis.from_url(system.parts.redis_url) as client:
        for key in client.scan_iter(count=1000):
            kind = client.type(key)
            value: object = client.zrange(key, 0, -1) if kind == b"zset" else client.get(key)
            yield (
                f"redis {key!r}",
                key
                + b"\n"
                + (
                    b"\n".join(value) if isinstance(value, list) else bytes(value or b"")  # type: ignore[call-overload]
                ),
            )
    for name, url in system.metrics_urls().items():
        with urllib.request.urlopen(url) as answer:
            yield f"metrics of {name}", answer.read()


@pytest.mark.timeout(180)
def test_marked_data_stands_nowhere_outside_sealed_bodies(system: System) -> None:
    home = system.parts.home
    said = asyncio.run(act(system))
    inbound(system, INBOUND_NUMBER, TEXT)
    inbound(system, STOPPING_NUMBER, "STOP")
    assert len(said) == 5, said
    said.append(campaign(system))
    deadline = time.monotonic() + 60
    while not (delivered_to(home, NUMBER) and delivered_to(home, INBOUND_NUMBER)):
        assert time.monotonic() < deadline, "the acknowledgement never reached the SMS centre"
        time.sleep(0.2)
    while not (handed := asyncio.run(handed_over(system))):
        assert time.monotonic() < deadline, "the danger was handed over to nobody"
        time.sleep(0.2)
    said.append(handed)
    time.sleep(2)

    found = [
        (where, needle)
        for where, hay in [*haystacks(system), ("errors", "\n".join(said).encode())]
        for needle in needles()
        if needle in hay
    ]
    assert found == []


def test_the_hunt_can_find(system: System) -> None:
    planted = system.parts.home / "logs" / "planted.log"
    try:
        for needle in needles():
            planted.write_bytes(b"before " + needle + b" after")
            assert any(needle in hay for where, hay in haystacks(system) if "planted" in where)
    finally:
        planted.unlink()
    record = smsc_record(system.parts.home).read_bytes()
    assert NUMBER[1:].encode() in record, "the SMS centre, the outside world, must have the number"
