"""Opting out by the link in a message and by a file, on a real broadcast: before what is queued,
without Redis, and after a restart."""

import asyncio
import http.client
import time
from collections.abc import Iterable, Iterator
from typing import Any

import grpc
import pytest
import redis
from mawja.broadcast.v1 import events_pb2, service_pb2, service_pb2_grpc
from mawja.common.v1 import common_pb2

from services.broadcast.rules.links import Links
from services.local.parts import Parts
from services.local.system import token
from services.runtime import rpc, topics
from services.runtime.clock import now_ms
from services.runtime.identity import Role
from services.runtime.scan import Scan
from tests.broadcast_rig import Rig, digits, numbers, running

BULK = common_pb2.LANE_BULK
DAY_MS = 24 * 3600 * 1000


@pytest.fixture(scope="module")
def rig(parts: Parts) -> Iterator[Rig]:
    """One broadcast whose SMS centre lets messages queue."""
    with running(
        parts,
        "links",
        {"slow": ({"parts_per_second": 20}, {})},
        [{"prefix": "+", "carrier": "slow"}],
    ) as started:
        yield started


def ask(rig: Rig, method: str, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", rig.replica.address.webhook, timeout=15)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def link(rig: Rig, number: str) -> str:
    return "/o/" + Links(rig.keyring).make(number, now_ms() + DAY_MS)


def opt_outs(rig: Rig) -> dict[bytes, events_pb2.OptOut]:
    found: dict[bytes, events_pb2.OptOut] = {}
    scan = Scan(rig.parts.kafka, [topics.OPT_OUT])

    def take(record: object) -> None:
        one = events_pb2.OptOut.FromString(getattr(record, "value", b""))
        found[one.person] = one

    scan.advance(take)
    scan.close()
    return found


def queued(rig: Rig, prefix: str) -> tuple[list[str], list[str]]:
    """200 people and the ids of the messages that wait for them: 10 seconds of work."""
    people = numbers(prefix, 200)
    asked = [rig.outreach.request(number, "bulk", lane=BULK) for number in people]
    rig.outreach.flush()
    return people, asked


async def test_a_link_stops_what_is_queued_within_five_seconds(rig: Rig) -> None:
    people, asked = queued(rig, "21")
    path = link(rig, people[-1])
    assert ask(rig, "GET", path)[0] == 200
    assert rig.keyring.person(people[-1]) not in opt_outs(rig)
    started = time.monotonic()
    status, shown = ask(rig, "POST", path)
    assert status == 200
    assert "تم إيقاف الرسائل" in shown
    await asyncio.to_thread(rig.ledger.wait_for, asked[-1:], "SUPPRESSED", timeout_s=5)
    assert time.monotonic() - started < 5
    assert rig.ledger.last[asked[-1]].reason == "opt-out"
    kept = opt_outs(rig)[rig.keyring.person(people[-1])]
    assert (kept.opted_out, kept.subject) == (True, "")
    assert kept.source == events_pb2.OPT_OUT_SOURCE_LINK
    await asyncio.to_thread(rig.ledger.wait_for, asked[:-1], "DELIVERED")
    reached = {message.destination for message in rig.smsc["slow"].messages()}
    assert digits(people[-1]) not in reached


async def test_it_holds_when_redis_has_lost_everything_and_after_a_restart(rig: Rig) -> None:
    people, asked = queued(rig, "22")
    redis.Redis.from_url(rig.parts.redis_url).flushall()
    started = time.monotonic()
    assert ask(rig, "POST", link(rig, people[-1]))[0] == 200
    await asyncio.to_thread(rig.ledger.wait_for, asked[-1:], "SUPPRESSED", timeout_s=5)
    assert time.monotonic() - started < 5
    redis.Redis.from_url(rig.parts.redis_url).flushall()
    rig.replica.end()
    rig.replica.process.start()
    rig.system.wait_ready()
    again = rig.outreach.request(people[-1], "still there?", name="after the restart")
    rig.outreach.flush()
    await asyncio.to_thread(rig.ledger.wait_for, [again], "SUPPRESSED")
    assert rig.ledger.last[again].reason == "opt-out"


def test_nothing_of_a_link_is_told_to_the_log(rig: Rig) -> None:
    number = numbers("23", 1)[0]
    path = link(rig, number)
    token = path.removeprefix("/o/")
    ask(rig, "POST", path)
    ask(rig, "GET", f"{path}x")
    for garbage in (
        f"GET {path} HTTP/9.9\r\n\r\n",
        f"\0 {path}\r\n\r\n",
        f"POST {path} HTTP/1.1\r\nContent-Length: {token}\r\n\r\n",
    ):
        connection = http.client.HTTPConnection("127.0.0.1", rig.replica.address.webhook, timeout=5)
        connection.connect()
        connection.sock.sendall(garbage.encode())
        connection.sock.recv(4096)
        connection.close()
    assert ask(rig, "GET", path)[0] == 200
    told = rig.log()
    assert token not in told
    assert digits(number) not in told


Piece = service_pb2.ImportOptOutsRequest


def start(**given: Any) -> Piece:
    return Piece(start=service_pb2.ImportOptOutsStart(**{"request_id": "list-7", **given}))


async def imported(
    rig: Rig, pieces: Iterable[Piece], role: Role = Role.COORDINATOR
) -> list[service_pb2.ImportOptOutsResponse]:
    channel = rpc.channel(rig.system.target("broadcast"))
    try:
        stub: Any = service_pb2_grpc.BroadcastServiceStub(channel)
        metadata = rpc.bearer(token(rig.system.keys, "coordinator-3", role))
        call = stub.ImportOptOuts(iter(pieces), metadata=metadata, timeout=60)
        try:
            return [told async for told in call]
        except grpc.aio.AioRpcError as error:
            # Whose piece was on its way when the server refused is told of the piece, not of why.
            raise grpc.aio.AioRpcError(
                await call.code(),
                error.initial_metadata(),
                error.trailing_metadata(),
                details=await call.details(),
            ) from None
    finally:
        await channel.close()


async def test_a_file_stops_everybody_in_it_and_names_bad_rows_by_line(rig: Rig) -> None:
    people, asked = queued(rig, "24")
    leaving = people[150:]
    rows = ["number,name", *(f"{number},Somebody" for number in leaving), "hello,Nobody", ",None"]
    file = "\n".join(rows).encode()
    pieces = [start(), *(Piece(chunk=file[at : at + 100]) for at in range(0, len(file), 100))]
    told = await imported(rig, pieces)
    assert (told[-1].taken, told[-1].bad, told[-1].done) == (50, 2, True)
    bad = [row for answer in told for row in answer.bad_rows]
    assert [(row.line, row.field, row.rule) for row in bad] == [
        (52, "number", "number-characters"),
        (53, "number", "number-missing"),
    ]
    assert all(row.english and row.arabic for row in bad)
    await asyncio.to_thread(rig.ledger.wait_for, asked[150:], "SUPPRESSED", timeout_s=5)
    assert {rig.ledger.last[one].reason for one in asked[150:]} == {"opt-out"}
    kept = opt_outs(rig)
    for number in leaving:
        one = kept[rig.keyring.person(number)]
        assert (one.source, one.subject) == (events_pb2.OPT_OUT_SOURCE_IMPORT, "coordinator-3")
        assert (one.opted_out, one.import_id) == (True, "list-7")
    assert not {rig.keyring.person(number) for number in people[:150]} & kept.keys()


async def test_a_long_list_of_bad_rows_comes_in_pieces(rig: Rig) -> None:
    file = ("number\n" + "hello\n" * 1200).encode()
    told = await imported(rig, [start(), Piece(chunk=file)])
    assert (told[-1].taken, told[-1].bad, told[-1].done) == (0, 1200, True)
    assert max(len(answer.bad_rows) for answer in told) <= 500
    assert [row.line for answer in told for row in answer.bad_rows] == list(range(2, 1202))


@pytest.mark.parametrize(
    ("pieces", "field"),
    [
        ([], "start"),
        ([Piece(chunk=b"number\n")], "start"),
        ([start(), start()], "start"),
        ([Piece()], "piece"),
        ([start(request_id="")], "start.request_id"),
        ([start(country="UAE")], "start.country"),
        ([start(), Piece(chunk=b"x" * 65_537)], "chunk"),
        ([start(), Piece(chunk=b"\x1f\x8b" + b"x" * 100)], "file"),
    ],
    ids=["none", "no start", "two starts", "empty", "no id", "country", "too large", "packed"],
)
async def test_what_is_no_import_is_refused(rig: Rig, pieces: list[Piece], field: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await imported(rig, pieces)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert field in (refused.value.details() or "")


async def test_an_agent_gives_no_files(rig: Rig) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await imported(rig, [start()], Role.AGENT)
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
