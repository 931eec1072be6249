"""Garbage at every door of the whole system: nobody dies of it, no partition stands still, and each
record that was given is found again, done or set aside.

Every room runs on real parts. What is thrown: any bytes and broken copies of real records into
every topic that a worker reads, wild requests and tokens at every method, noise at every port,
spoilt entries in Redis, people's messages of any octets, and an SMS centre that has gone mad.
"""

import contextlib
import json
import random
import socket
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import redis
from google.protobuf.message_factory import GetMessageClass
from kafka import KafkaProducer
from mawja.broadcast.v1 import audiences_pb2 as audiences
from mawja.broadcast.v1 import audiences_pb2_grpc
from mawja.common.v1 import common_pb2 as common

from services.local.system import ROOMS, token
from services.runtime import rpc, topics
from services.runtime.identity import Role
from services.runtime.own import EPOCH
from services.runtime.topics import Topic
from services.tools.local import smsc_record
from tests.broadcast_rig import wait_until
from tests.doors_calls import asked, call, methods
from tests.doors_records import campaigns_of, crafted, real_records
from tests.doors_rig import ALSO, DEAD, PARTITIONS, READ, Doors, Given, account, all_read, standing
from tests.garbage import SEED, noise, spoilt, wild, wild_event

pytestmark = pytest.mark.timeout(600)
EACH = 12
"""Of each kind of garbage, for each topic and partition, or each method."""


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with standing(tmp_path_factory.mktemp("doors")) as started:
        yield started


def test_any_record_is_done_or_set_aside(doors: Doors) -> None:
    draw = random.Random(SEED)
    wanted = (*(topic for read in READ.values() for topic in read), *ALSO)
    real = real_records(doors, wanted)
    producer = KafkaProducer(bootstrap_servers=doors.system.parts.kafka, acks="all")
    futures = []
    for topic in wanted:
        for partition in range(PARTITIONS):
            kinds: list[tuple[bytes | None, bool]] = []
            # Wire type 7 does not exist: no version can read it.
            kinds += [
                (b"\xff\xff" + draw.randbytes(draw.randrange(300)), True) for _ in range(EACH)
            ]
            kinds += [(draw.randbytes(draw.randrange(60)), False) for _ in range(EACH)]
            kinds += [(spoilt(draw, draw.choice(real[topic.name])), False) for _ in range(3 * EACH)]
            kinds += [(wild_event(draw, topic), False) for _ in range(EACH)]
            kinds += [(value, True) for value in crafted(topic, real)]
            if topic is topics.CAMPAIGN_COMMAND:
                kinds += [(value, False) for value in campaigns_of(draw, partition)]
            kinds += [(b"", False), (None, False), (draw.choice(real[topic.name]), False)]
            draw.shuffle(kinds)
            for value, certain in kinds:
                # Nobody but its owner carries a log's epoch; what has none counts for nobody.
                headers = [("traceparent", draw.randbytes(9))] if draw.random() < 0.5 else []
                if topic.log and draw.random() < 0.3:
                    headers.append((EPOCH, b""))
                key = draw.choice([None, b"", draw.randbytes(16)])
                if topic in (topics.OPT_OUT, topics.SUBSCRIPTION) or value is None:
                    key = draw.randbytes(16)
                sent = producer.send(
                    topic.name, partition=partition, value=value, key=key, headers=headers
                )
                futures.append((sent, value or b"", certain or topic.log))
    producer.flush(30)
    for future, value, certain in futures:
        at = future.get(10)
        doors.given.append(Given(at.topic, at.partition, at.offset, value, certain))
    producer.close()

    doors.whole_way()
    for group, read in READ.items():
        wait_until(lambda group=group, read=read: all_read(doors, group, read), 120, 0.2)  # type: ignore[misc]
    account(doors)
    doors.nobody_died()


def test_who_subscribed_is_found_among_garbage(doors: Doors) -> None:
    metadata = rpc.bearer(token(doors.system.keys, "door", Role.COORDINATOR))
    numbers = doors.numbers()
    with grpc.insecure_channel(doors.system.target("broadcast")) as channel:
        stub: Any = audiences_pb2_grpc.AudienceServiceStub(channel)
        for number in numbers:
            consent = audiences.Consent(agency="doors", topic="news", source="call")
            request = audiences.SubscribeRequest(number=number, language="ar", consent=consent)
            stub.Subscribe(request, metadata=metadata, timeout=30)
        query = audiences.AudienceQuery(subscribers=audiences.Subscribers(agency="doors"))
        wanted = audiences.MakeAudienceRequest(
            request_id="doors", name="doors", drill=True, query=query
        )
        *_, last = stub.MakeAudience(wanted, metadata=metadata, timeout=60)
    assert last.audience.recipients == len(numbers)
    assert dict(last.audience.languages) == {"ar": len(numbers)}
    doors.nobody_died()


# Methods, tokens and ports.


ANSWERS = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.PERMISSION_DENIED,
}
"""How a wild request may end. Not among them: that the service failed on it."""


@pytest.mark.parametrize("room", ROOMS)
def test_any_request_is_answered(doors: Doors, room: str) -> None:
    draw = random.Random(f"{SEED}{room}")
    metadata = rpc.bearer(token(doors.system.keys, "door", *Role))
    wrong: list[tuple[str, Any]] = []
    with grpc.insecure_channel(doors.system.target(room)) as channel:
        for method in methods(room):
            request = GetMessageClass(method.input_type)
            allowed = ANSWERS | (
                {grpc.StatusCode.DEADLINE_EXCEEDED} if method.server_streaming else set()
            )
            for turn in range(EACH if method.server_streaming else 4 * EACH):
                sent = []
                for _ in range(3):
                    message = request()
                    wild(draw, message)
                    whole = message.SerializeToString()
                    kind = draw.randrange(3)
                    sent.append(
                        whole
                        if kind == 0
                        else spoilt(draw, whole)
                        if kind == 1
                        else draw.randbytes(draw.randrange(80))
                    )
                code = call(channel, method, sent, metadata)
                if code not in allowed:
                    wrong.append((f"{method.name} {turn}", code))
    assert wrong == []
    doors.nobody_died()


@pytest.mark.parametrize("room", ROOMS)
def test_any_token_is_refused(doors: Doors, room: str) -> None:
    draw = random.Random(f"{SEED}{room}")
    right = token(doors.system.keys, "door", *Role)
    printable = [chr(code) for code in range(33, 127)]
    with grpc.insecure_channel(doors.system.target(room)) as channel:
        for method in methods(room):
            for _ in range(EACH):
                # Not its last octet: some of its bits mean nothing.
                at = draw.randrange(len(right) - 2)
                other = draw.choice([one for one in printable if one != right[at]])
                for wrong in (
                    right[:at] + other + right[at + 1 :],
                    right[:at],
                    "".join(draw.choices(printable, k=draw.randrange(200))),
                    ".".join("".join(draw.choices("eyJ0-_A", k=9)) for _ in range(3)),
                ):
                    metadata = (
                        ("authorization", draw.choice(["Bearer ", "bearer ", ""]) + wrong),
                        ("traceparent", "".join(draw.choices(printable, k=55))),
                        ("x-bin", draw.randbytes(20)),
                    )
                    code = call(channel, method, [b""], metadata)
                    assert code is grpc.StatusCode.UNAUTHENTICATED, (method.name, wrong)
    doors.nobody_died()


def test_any_noise_at_any_port_is_let_go(doors: Doors) -> None:
    draw = random.Random(SEED)
    for replica in doors.system.running:
        ports = [replica.address.grpc, replica.address.metrics]
        if replica.room == "intake":
            ports.append(replica.address.webhook)
        for port in ports:
            for _ in range(3 * EACH):
                with (
                    contextlib.suppress(OSError),
                    socket.create_connection(("127.0.0.1", port), 5) as connection,
                ):
                    connection.sendall(noise(draw))
                    connection.shutdown(socket.SHUT_WR)
    doors.whole_way()
    doors.nobody_died()


# The carriers.


def test_people_may_send_any_octets(doors: Doors) -> None:
    draw = random.Random(SEED)
    ports = json.loads(smsc_record(doors.system.parts.home).with_name("ports.json").read_text())
    with socket.create_connection(("127.0.0.1", ports["control_port"])) as connection:
        answers = connection.makefile()
        for _ in range(10 * EACH):
            order = {
                "op": "inbound",
                "from": draw.choice(
                    ["", "+", "STOP", f"+9995{draw.randrange(10**8):08}", "1" * 20]
                ),
                "to": draw.choice(["Mawja", "1099", "x"]),
                "hex": draw.randbytes(draw.randrange(140)).hex(),
                "data_coding": draw.randrange(256),
                "udhi": draw.random() < 0.5,
            }
            connection.sendall(json.dumps(order).encode() + b"\n")
            assert answers.readline()
    doors.whole_way()
    doors.nobody_died()


def test_a_mad_sms_centre_holds_nothing_up(doors: Doors) -> None:
    wait_until(lambda: doors.mad.sessions >= 10, 120)
    doors.whole_way()
    doors.nobody_died()


# Dead letters are an input too: a replay brings the record of a letter once more.


def test_any_letter_and_any_replay_is_survived(doors: Doors) -> None:
    draw = random.Random(SEED)
    producer = KafkaProducer(bootstrap_servers=doors.system.parts.kafka, acks="all")

    def put(dead: Topic, value: bytes) -> int:
        offset: int = producer.send(dead.name, partition=1, value=value).get(30).offset
        return offset

    for group, dead in DEAD.items():
        for _ in range(EACH):
            put(dead, draw.randbytes(draw.randrange(60)))
            put(dead, wild_event(draw, dead))
        for name in (READ[group][0].name, dead.name, topics.LEVEL.name, "nobody.knows.v1", ""):
            letter = common.DeadLetter(
                topic=name, partition=1, offset=10**9 + len(name), value=draw.randbytes(40)
            )
            at = put(dead, letter.SerializeToString())
            letter.replay.letter_offset = at
            put(dead, letter.SerializeToString())
            put(dead, letter.SerializeToString())
    producer.close()
    doors.whole_way()
    doors.nobody_died()


# Redis.


def test_spoilt_entries_of_a_view_are_survived(doors: Doors) -> None:
    draw = random.Random(SEED)
    metadata = rpc.bearer(token(doors.system.keys, "door", *Role))
    with redis.Redis.from_url(doors.system.parts.redis_url) as client:
        keys = sorted(key for key in client.scan_iter(count=1000) if client.type(key) == b"string")
        assert keys
        for key in keys:
            held = client.get(key)
            assert isinstance(held, bytes)
            # Sentinels and marks are read as numbers; all else is the payload of somebody's.
            if len(held) > 34:
                client.set(key, spoilt(draw, held), keepttl=True)
        for room in ROOMS:
            with grpc.insecure_channel(doors.system.target(room)) as channel:
                for method in methods(room):
                    if method.name.startswith(("Get", "List")):
                        for request in asked(method, draw.sample(keys, min(40, len(keys)))):
                            call(channel, method, [request], metadata)
        doors.whole_way()
        assert doors.exits() == {}
        client.flushall()
    doors.whole_way()
    assert doors.exits() == {}


# And again.


def test_who_starts_again_reads_it_all_once_more(doors: Doors) -> None:
    for replica in doors.system.running:
        replica.process.kill9()
    wait_until(lambda: len(doors.exits()) == len(doors.system.running), 60)
    doors.system.wait_ready(120)
    doors.whole_way()
    assert {code for codes in doors.exits().values() for code in codes} == {-9}
    assert {len(codes) for codes in doors.exits().values()} == {1}
