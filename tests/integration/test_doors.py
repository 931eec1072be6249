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
import socketserver
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import grpc
import pytest
import redis
import yaml
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from mawja.broadcast.v1 import events_pb2 as broadcast
from mawja.common.v1 import common_pb2 as common
from mawja.intake.v1 import service_pb2 as intake
from mawja.intake.v1 import service_pb2_grpc as intake_grpc
from mawja.outreach.v1 import events_pb2 as outreach
from smpp34 import DeliverSm

from services.local.progress import Silent
from services.local.system import ROOMS, System, token
from services.runtime import ids, rpc, smpp, topics
from services.runtime.errors import Poison
from services.runtime.identity import Role
from services.runtime.own import EPOCH, Record
from services.runtime.privacy import Keyring
from services.runtime.scan import Scan
from services.runtime.topics import Topic, partition_of
from services.tools.local import make_parts, make_system, smsc_record
from tests.broadcast_rig import wait_until
from tests.fixtures.events_v1.make import EVENTS, examples

pytestmark = pytest.mark.timeout(600)
PARTITIONS = 2
SEED = 4711
EACH = 12
"""Of each kind of garbage, for each topic and partition, or each method."""
READ: dict[str, tuple[Topic, ...]] = {
    "intake": (topics.INBOUND_MESSAGE,),
    "dedup": (topics.CONTACT_ACCEPTED, topics.CALL_EVENT, topics.DEDUP_COMMAND),
    "outreach": (topics.CASE,),
    "broadcast": (
        topics.MESSAGE_REQUESTED,
        topics.BROADCAST_COMMAND,
        topics.QUEUED_URGENT,
        topics.QUEUED_NORMAL,
        topics.QUEUED_BULK,
        topics.RECEIPT,
    ),
}
"""What the workers read, record by record."""
DEAD = {
    "intake": topics.INTAKE_DEAD,
    "dedup": topics.DEDUP_DEAD,
    "outreach": topics.OUTREACH_DEAD,
    "broadcast": topics.BROADCAST_DEAD,
}
ALSO = (topics.TALLY, topics.OPT_OUT, topics.CALLBACK, topics.MESSAGE_STATUS)
"""What else somebody reads: wave, and broadcast its table, outside of the accounts; logs when their
owners take over, and those who watch."""


# What is thrown.


def spoilt(draw: random.Random, whole: bytes) -> bytes:
    """A broken copy: an octet changed, cut off, put in, or a piece of it twice."""
    at = draw.randrange(len(whole) + 1)
    kind = draw.randrange(4)
    if kind == 0:
        return whole[:at] + draw.randbytes(1) + whole[at + 1 :]
    if kind == 1:
        return whole[:at]
    if kind == 2:
        return whole[:at] + draw.randbytes(draw.randrange(1, 9)) + whole[at:]
    return whole[:at] + whole[at // 2 :]


WORDS = (
    "",
    "\0",
    "a" * 70_000,
    "'; DROP",
    "../../etc",
    "+",
    "+999",
    "مرحبا\u202e",
    "{}",
    "%s%n",
    "-1",
)
NUMBERS = (0, -1, 1, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63), 2**64 - 1, 999)


def wild(draw: random.Random, message: Message, depth: int = 0) -> None:
    """Sets some fields of `message` to what nobody would."""
    for one in message.DESCRIPTOR.fields:
        if draw.random() < 0.3:
            continue
        for _ in range(draw.randrange(1, 4) if one.is_repeated else 1):
            with contextlib.suppress(ValueError, TypeError):
                _set(draw, message, one, depth)


def _set(draw: random.Random, message: Message, one: Any, depth: int) -> None:
    if one.message_type is not None:
        if depth < 3:
            held = getattr(message, one.name)
            element = held.add() if one.is_repeated else held
            element.SetInParent()
            wild(draw, element, depth + 1)
        return
    value: object = draw.choice(NUMBERS)
    if one.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        value = draw.choice(WORDS)
        if one.type == FieldDescriptor.TYPE_BYTES:
            value = draw.randbytes(draw.randrange(40))
    elif one.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        value = draw.random() < 0.5
    if one.is_repeated:
        getattr(message, one.name).append(value)
    else:
        setattr(message, one.name, value)


def mad_pdus(draw: random.Random) -> bytes:
    """What no SMS centre should send to a client."""
    kind = draw.randrange(5)
    if kind == 0:
        return draw.randbytes(draw.randrange(1, 100))
    if kind == 1:
        text = draw.choice([b"id:1 stat:DELIVRD", draw.randbytes(60), b""])
        whole = DeliverSm("999512345678", "2", text, esm_class=draw.choice([0, 4, 64])).encode()
        return spoilt(draw, whole)
    if kind == 2:
        command = draw.choice([*range(0x10), 0x15, 0x102, *range(0x80000000, 0x80000016)])
        return smpp.pdu(command, draw.randrange(256), draw.randrange(300), draw.randbytes(30))
    if kind == 3:
        return smpp.pdu(smpp.SUBMIT_SM_RESP, 0, draw.randrange(300), draw.randbytes(5))
    payload = draw.randbytes(draw.randrange(140))
    number = f"9995{draw.randrange(10**8):08}"
    return DeliverSm(
        number,
        draw.choice(["Mawja", "", "1099"]),
        payload,
        esm_class=draw.choice([0, 0x40, 4, 0x20, 0xFF]),
        data_coding=draw.choice([0, 4, 8, 0xF5, 255]),
        source_addr_ton=1,
        sequence_number=draw.randrange(1, 2**31),
    ).encode()


class MadCentre(socketserver.ThreadingTCPServer):
    """An SMS centre that lets a client bind and then says anything."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), MadSession)
        self.draw = random.Random(SEED)
        self.sessions = 0
        self.thread = threading.Thread(target=self.serve_forever, args=(0.1,))
        self.thread.start()

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()


class MadSession(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, MadCentre)
        draw = self.server.draw
        self.server.sessions += 1
        with contextlib.suppress(OSError):
            self.request.settimeout(2)
            self.request.recv(4096)
            self.request.sendall(smpp.pdu(smpp.BIND_TRANSCEIVER_RESP, 0, 1, b"mad\0"))
            for _ in range(draw.randrange(1, 30)):
                self.request.sendall(mad_pdus(draw))
                time.sleep(0.002)


# The system, and what was given to it.


@dataclass(frozen=True, slots=True)
class Given:
    """A record of garbage. `certain`: no version can read it."""

    topic: str
    partition: int
    offset: int
    value: bytes
    certain: bool


@dataclass(slots=True)
class Doors:
    """The whole system, with everything that was thrown at it."""

    system: System
    mad: MadCentre
    keyring: Keyring
    given: list[Given] = field(default_factory=list)
    sent: int = 0

    def numbers(self) -> list[str]:
        """A synthetic mobile in each partition, not used before."""
        found: dict[int, str] = {}
        while len(found) < PARTITIONS:
            self.sent += 1
            number = f"+9995{self.sent:08}"
            found.setdefault(partition_of(self.keyring.person(number), PARTITIONS), number)
        return list(found.values())

    def contact(self, number: str) -> None:
        """A person writes; intake must take it."""
        metadata = rpc.bearer(token(self.system.keys, "door", Role.LOAD_TESTER))
        request = intake.SubmitContactRequest(
            contact=intake.Contact(
                source="door",
                idempotency_key=number,
                channel=common.CHANNEL_SMS,
                agency="moh",
                number=number,
                text="help",
                event_ms=int(time.time() * 1000),
                drill=True,
            )
        )
        with grpc.insecure_channel(self.system.target("intake")) as channel:
            stub = intake_grpc.IntakeServiceStub(channel)

            def taken() -> bool:
                try:
                    stub.SubmitContact(request, metadata=metadata, timeout=30, wait_for_ready=True)
                except grpc.RpcError as error:
                    # Told to come again, as after a flush.
                    if error.code() is grpc.StatusCode.UNAVAILABLE:
                        return False
                    raise
                return True

            wait_until(taken, 60, 0.2)

    def whole_way(self) -> None:
        """In each partition somebody writes, and the answer is on their phone."""
        people = {self.keyring.person(number) for number in self._write()}
        delivered: set[bytes] = set()

        def take(record: Record) -> None:
            for change in broadcast.StatusRecord.FromString(record.value or b"").changes:
                if change.state == broadcast.MESSAGE_STATE_DELIVERED:
                    delivered.add(change.person)

        with Scan(self.system.parts.kafka, [topics.MESSAGE_STATUS]) as scan:

            def all_delivered() -> bool:
                scan.advance(take)
                return people <= delivered

            wait_until(all_delivered, 120, 0.2)

    def _write(self) -> list[str]:
        numbers = self.numbers()
        for number in numbers:
            self.contact(number)
        return numbers

    def exits(self) -> dict[str, list[int]]:
        """The exit codes of every process that has ended."""
        return {
            replica.name: [ended.code for ended in replica.process.exits]
            for replica in self.system.running
            if replica.process.exits
        }

    def nobody_died(self) -> None:
        assert self.exits() == {}
        assert self.system.crashes == []
        for replica in self.system.running:
            said = replica.process.child.log.read_text()
            for sign in ("Traceback", "nobody foresaw", "was destroyed but it is pending"):
                assert sign not in said, f"{replica.name}:\n{said[-3000:]}"


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    mad = MadCentre()
    home = tmp_path_factory.mktemp("doors")
    try:
        with make_parts(home, brokers=1, profile="default", progress=Silent()) as parts:
            system = make_system(parts)
            carriers = home / "carriers.yaml"
            file = yaml.safe_load(carriers.read_text())
            second = {**file["carriers"][0], "name": "mad", "port": mad.server_address[1]}
            carriers.write_text(yaml.safe_dump({**file, "carriers": [*file["carriers"], second]}))
            system.env = {**system.env, "MAWJA_DEAD_LETTER_LIMIT": "100000"}
            try:
                system.start(partitions=PARTITIONS)
                made = Doors(system, mad, Keyring(system.keys))
                made.whole_way()
                yield made
            finally:
                system.stop()
    finally:
        mad.end()


def real_records(doors: Doors, wanted: Sequence[Topic]) -> dict[str, list[bytes]]:
    """What stands in each topic; examples where nothing does."""
    found: dict[str, list[bytes]] = {topic.name: [] for topic in wanted}

    def take(record: Record) -> None:
        found[record.topic].append(record.value or b"")

    with Scan(doors.system.parts.kafka, wanted) as scan:
        scan.advance(take)
    for name, values in found.items():
        if not values:
            event = EVENTS[name].DESCRIPTOR
            values += [example.SerializeToString() for _, example in examples(event)]
    return found


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
            kinds += [(b"", False), (None, False), (draw.choice(real[topic.name]), False)]
            draw.shuffle(kinds)
            for value, certain in kinds:
                # Nobody but its owner carries a log's epoch; what has none counts for nobody.
                headers = [("traceparent", draw.randbytes(9))] if draw.random() < 0.5 else []
                if topic.log and draw.random() < 0.3:
                    headers.append((EPOCH, b""))
                key = draw.choice([None, b"", draw.randbytes(16)])
                if topic is topics.OPT_OUT or value is None:
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


def crafted(topic: Topic, real: dict[str, list[bytes]]) -> Iterator[bytes]:
    """Whole records with right seals, and one thing in them that cannot be."""
    if topic is topics.QUEUED_NORMAL:
        for change in (
            {"lane": 0},
            {"lane": 9},
            {"lane": common.LANE_BULK},
            {"parts": 0},
            {"parts": 2**31},
            {"person": b"short"},
            {"expires_ms": 2**63 - 1},
            {"message_id": "not-hex-" + "0" * 28},
        ):
            queued = broadcast.QueuedMessage.FromString(real[topic.name][0])
            queued.message_id = ids.derive("doors", str(change))
            queued.expires_ms += 3_600_000
            for name, value in change.items():
                setattr(queued, name, value)
            yield queued.SerializeToString()
    elif topic is topics.RECEIPT:
        yield broadcast.Receipt(
            carrier="local",
            person=b"p" * 16,
            reference=2**31,
            state=broadcast.RECEIPT_STATE_DELIVERED,
        ).SerializeToString()


def wild_event(draw: random.Random, topic: Topic) -> bytes:
    """An event that decodes, of fields that no owner would write."""
    event = EVENTS[topic.name]()
    wild(draw, event)
    return event.SerializeToString()


def said(doors: Doors, room: str) -> dict[str, float]:
    """What a room's metrics say now."""
    text = urllib.request.urlopen(doors.system.metrics_urls()[f"{room}-0"]).read().decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def all_read(doors: Doors, group: str, read: Sequence[Topic]) -> bool:
    """Whether the worker has been through all that its topics hold."""
    counted = said(doors, group)
    consumer = KafkaConsumer(bootstrap_servers=doors.system.parts.kafka)
    try:
        for topic in read:
            places = [TopicPartition(topic.name, p) for p in range(PARTITIONS)]
            held = sum(consumer.end_offsets(places).values())
            done = f'mawja_worker_records_total{{group="{group}",topic="{topic.name}"}}'
            if counted.get(done, 0) < held:
                return False
        return True
    finally:
        consumer.close()


def account(doors: Doors) -> None:
    """What was set aside is what was given, each once; and all of it that cannot be read."""
    given = {(one.topic, one.partition, one.offset): one for one in doors.given}
    for group, read in READ.items():
        letters: list[common.DeadLetter] = []

        def take(record: Record, letters: list[common.DeadLetter] = letters) -> None:
            letters.append(common.DeadLetter.FromString(record.value or b""))

        with Scan(doors.system.parts.kafka, [DEAD[group]]) as scan:
            scan.advance(take)
        aside = Counter((one.topic, one.partition, one.offset) for one in letters)
        assert max(aside.values()) == 1, "set aside twice"
        for letter in letters:
            one = given.get((letter.topic, letter.partition, letter.offset))
            if one is None:
                follows_from_garbage(doors, letter)
            else:
                assert one.value == letter.value
        names = {topic.name for topic in read}
        certain = {at for at, one in given.items() if one.certain and one.topic in names}
        assert certain <= aside.keys(), f"{group} lost {len(certain - aside.keys())}"
        told = said(doors, group)[f'mawja_worker_dead_letters_total{{group="{group}"}}']
        assert told == len(letters)
    damaged = [one for one in doors.given if one.certain and one.topic == topics.TALLY.name]
    assert said(doors, "wave")['mawja_wave_tallies_total{outcome="damaged"}'] >= len(damaged)


def follows_from_garbage(doors: Doors, letter: common.DeadLetter) -> None:
    """A spoilt number goes through rooms that cannot open it, up to the one that must; and a mad
    centre brings messages from what is no number."""
    if letter.topic == topics.INBOUND_MESSAGE.name:
        assert broadcast.InboundMessage.FromString(letter.value).carrier == "mad"
        return
    assert letter.topic == topics.MESSAGE_REQUESTED.name, f"set aside what was right: {letter}"
    request = outreach.MessageRequested.FromString(letter.value)
    with pytest.raises(Poison):
        doors.keyring.unseal("number", request.sealed_number)


# Methods, tokens and ports.


def methods(room: str) -> Iterator[Any]:
    module = import_module(f"mawja.{room}.v1.service_pb2")
    [service] = module.DESCRIPTOR.services_by_name.values()
    yield from service.methods


def call(channel: Any, method: Any, sent: Sequence[bytes], metadata: Any) -> Any:
    """The status code of one call with any bytes."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    if method.client_streaming:
        answers: Any = channel.stream_stream(path)(iter(sent), metadata=metadata, timeout=2)
    elif method.server_streaming:
        answers = channel.unary_stream(path)(sent[0], metadata=metadata, timeout=0.3)
    else:
        answers = channel.unary_unary(path).future(sent[0], metadata=metadata, timeout=5)
    with contextlib.suppress(grpc.RpcError):
        for _ in answers if method.client_streaming or method.server_streaming else ():
            pass
    return answers.code()


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


def noise(draw: random.Random) -> bytes:
    """What is no call: any bytes, the beginning of HTTP/2, half a request."""
    return draw.choice(
        [
            draw.randbytes(draw.randrange(300)),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + draw.randbytes(200),
            b"POST /v1/webhooks/door HTTP/1.1\r\ncontent-length: 99999\r\n\r\n{",
            b"POST /v1/webhooks/\xff HTTP/1.1\r\nhost: \x00\r\n\r\n",
            b"POST /v1/webhooks/door HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            b"GET /metrics HTTP/9.9\r\n" + draw.randbytes(50) + b"\r\n\r\n",
            b"GET " + b"/" * 70_000,
        ]
    )


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


def asked(method: Any, keys: Sequence[bytes]) -> Iterator[bytes]:
    """Requests for what stands in Redis."""
    request = GetMessageClass(method.input_type)
    yield request().SerializeToString()
    [identifier, *_] = method.input_type.fields
    if identifier.type == FieldDescriptor.TYPE_STRING:
        for key in keys:
            with contextlib.suppress(UnicodeDecodeError):
                message = request()
                setattr(message, identifier.name, key.decode().rsplit(":", 1)[-1])
                yield message.SerializeToString()


# And again.


def test_who_starts_again_reads_it_all_once_more(doors: Doors) -> None:
    for replica in doors.system.running:
        replica.process.kill9()
    wait_until(lambda: len(doors.exits()) == len(doors.system.running), 60)
    doors.system.wait_ready(120)
    doors.whole_way()
    assert {code for codes in doors.exits().values() for code in codes} == {-9}
    assert {len(codes) for codes in doors.exits().values()} == {1}
