"""Broadcast as a process, on real Kafka, Valkey and SMS centres, and a stand-in for outreach's log.

What the tests believe is the SMS centre's own record, and the status log read from outside.
"""

import json
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from kafka import KafkaProducer
from mawja.broadcast.v1 import events_pb2
from mawja.common.v1 import common_pb2
from mawja.outreach.v1 import events_pb2 as outreach_pb2

from services.broadcast import wording
from services.local.parts import Parts
from services.local.smsc.record import Message, Submit, duplicates, read_record, reassemble
from services.local.system import Replica, System
from services.runtime import ids, topics
from services.runtime.clock import now_ms
from services.runtime.own import EPOCH, MARKER
from services.runtime.privacy import Keyring
from services.runtime.scan import Scan
from services.runtime.smpp_text import Alphabet

PARTITIONS = 4
State = events_pb2.MessageState
LONG_ARABIC = (
    "تم استلام بلاغكم عن انقطاع المياه في المنطقة الصناعية، وتعمل الفرق الآن على إصلاحه. "
    "سنرسل إليكم رسالة عند عودة المياه. رقم الحالة MW-7KQ2M-4XW9D 💧"
)


def wait_until(what: Callable[[], bool], timeout_s: float = 30, every_s: float = 0.05) -> None:
    """Waits for something to become true."""
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(every_s)


def drilled(text: str) -> str:
    """The text of a rehearsal as a phone shows it."""
    return wording.shown(text, True, Alphabet.GSM7)


def numbers(prefix: str, count: int) -> list[str]:
    """`count` synthetic mobiles: the prefix tells the carrier."""
    return [f"+9995{prefix}{index:06d}" for index in range(count)]


def digits(number: str) -> str:
    """A number as SMPP carries it."""
    return number.removeprefix("+")


@dataclass(slots=True)
class Smsc:
    """An SMS centre as a process of its own."""

    folder: Path
    profile: Mapping[str, object]
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None
    control_port: int = 0

    @property
    def record(self) -> Path:
        return self.folder / "record.jsonl"

    @property
    def _ready(self) -> Path:
        return self.folder / "ready.json"

    def start(self) -> None:
        self.begin()
        self.serve()

    def begin(self) -> None:
        """Starts it, without waiting: several begin at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        profile = self.folder / "profile.yaml"
        profile.write_text(yaml.safe_dump(dict(self.profile)))
        self._ready.unlink(missing_ok=True)
        with (self.folder / "smsc.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "services.local.smsc",
                    f"--port={self.port}",
                    f"--record={self.record}",
                    f"--profile={profile}",
                    f"--port-file={self._ready}",
                ],
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def serve(self) -> None:
        """Waits until it serves."""
        wait_until(self._ready.exists)
        ports = json.loads(self._ready.read_text())
        self.port, self.control_port = ports["smpp_port"], ports["control_port"]

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)

    def ask(self, **request: object) -> dict[str, object]:
        with socket.create_connection(("127.0.0.1", self.control_port), timeout=10) as connection:
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer: dict[str, object] = json.loads(connection.makefile().readline())
        assert answer["ok"], answer
        return answer

    def set(self, **profile: object) -> None:
        self.ask(op="set", profile=profile)

    def submits(self) -> list[Submit]:
        return list(read_record(self.record)) if self.record.exists() else []

    def messages(self) -> list[Message]:
        return reassemble(self.submits())


class Outreach:
    """Writes outreach's log as its owner would: a marker, then records with its epoch."""

    def __init__(self, bootstrap: str, keyring: Keyring) -> None:
        self._keyring = keyring
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5)
        self._epochs = {
            partition: self._producer.send(
                topics.MESSAGE_REQUESTED.name,
                partition=partition,
                value=b"",
                headers=[(MARKER, b"test")],
            )
            .get(10)
            .offset
            for partition in range(PARTITIONS)
        }

    def request(
        self,
        number: str,
        text: str,
        *,
        drill: bool = True,
        lane: common_pb2.Lane.ValueType = common_pb2.LANE_NORMAL,
        valid_ms: int = 600_000,
        name: str = "",
        language: str = "",
    ) -> str:
        """Asks for one message and gives its id; `name` makes two requests one message."""
        now = now_ms()
        person = self._keyring.person(number)
        message_id = ids.derive("test", name or f"{number}/{text}")
        request = outreach_pb2.MessageRequested(
            message_id=message_id,
            step="test",
            person=person,
            lane=lane,
            language=language or ("ar" if text > "\u0600" else "en"),
            drill=drill,
            requested_ms=now,
            expires_ms=now + valid_ms,
            accepted_ms=now,
            sealed_number=self._keyring.seal("number", number, now, person),
            sealed_text=self._keyring.seal("text", text, now, person),
        )
        partition = topics.partition_of(person, PARTITIONS)
        self._producer.send(
            topics.MESSAGE_REQUESTED.name,
            partition=partition,
            key=person,
            value=request.SerializeToString(),
            headers=[(EPOCH, self._epochs[partition].to_bytes(8, "big"))],
        )
        return message_id

    def raw(self, topic: topics.Topic, partition: int, value: bytes, key: bytes = b"") -> None:
        """Appends any bytes to a topic."""
        headers = [(EPOCH, (2**40).to_bytes(8, "big"))] if topic.log else []
        self._producer.send(
            topic.name, partition=partition, value=value, key=key or None, headers=headers
        )

    def flush(self) -> None:
        self._producer.flush(30)

    def close(self) -> None:
        self._producer.close()


class Ledger:
    """What the status log says, read from outside: the last change of every message."""

    UNKNOWN = events_pb2.MESSAGE_STATE_UNKNOWN

    def __init__(self, bootstrap: str) -> None:
        self._scan = Scan(bootstrap, [topics.MESSAGE_STATUS])
        self.last: dict[str, events_pb2.MessageChange] = {}
        self.history: dict[str, list[events_pb2.MessageChange]] = {}

    def read(self) -> dict[str, events_pb2.MessageChange]:
        self._scan.advance(self._take)
        return self.last

    def _take(self, record: object) -> None:
        value = getattr(record, "value", b"")
        for change in events_pb2.StatusRecord.FromString(value).changes:
            self.last[change.message_id] = change
            self.history.setdefault(change.message_id, []).append(change)

    def states(self, message_ids: Sequence[str]) -> "Counter[str]":
        """How many of `message_ids` are in which state; "NONE" where the log is silent."""
        last = self.read()
        return Counter(
            State.Name(last[one].state).removeprefix("MESSAGE_STATE_") if one in last else "NONE"
            for one in message_ids
        )

    def claimed(self) -> set[str]:
        """Messages whose claim stands in the log without a result."""
        return {
            message_id
            for message_id, change in self.read().items()
            if change.state == events_pb2.MESSAGE_STATE_CLAIMED
        }

    def wait_for(
        self, message_ids: Sequence[str], *states: str, timeout_s: float = 60
    ) -> "Counter[str]":
        """Waits until all of `message_ids` are in one of `states`."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = self.states(message_ids)
            if set(found) <= set(states):
                return found
            assert time.monotonic() < deadline, f"after {timeout_s} s: {dict(found)}"
            time.sleep(0.1)

    def close(self) -> None:
        self._scan.close()


@dataclass(slots=True)
class Rig:
    """Broadcast and everything around it."""

    parts: Parts
    system: System
    smsc: dict[str, Smsc]
    keyring: Keyring
    outreach: Outreach
    ledger: Ledger

    def claims_outstanding(self) -> int:
        """Claims that stand in the log without a result."""
        return len(self.ledger.claimed())

    def check_account(self, asked: Mapping[str, str], centre: str) -> "Counter[str]":
        """Waits until every message (id to number) has come to rest, then holds the status log
        against the SMS centre's record: nobody got anything twice, what was delivered was accepted,
        and what stays unknown was not (the SMS centre sends a receipt for all that it accepts)."""
        found = self.ledger.wait_for(list(asked), "DELIVERED", "UNKNOWN", timeout_s=90)
        submits = self.smsc[centre].submits()
        assert duplicates(submits) == []
        whole = {one.destination for one in reassemble(submits) if one.complete}
        begun = {submit.destination for submit in submits if submit.accepted}
        for message_id, number in asked.items():
            digits = number.removeprefix("+")
            if self.ledger.last[message_id].state == events_pb2.MESSAGE_STATE_DELIVERED:
                assert digits in whole
            else:
                assert digits not in whole
        assert begun <= {number.removeprefix("+") for number in asked.values()}
        return found

    @property
    def replica(self) -> Replica:
        return self.system.running[0]

    def log(self) -> str:
        return self.replica.process.child.log.read_text()


def inbound(rig: Rig) -> list[events_pb2.InboundMessage]:
    """What people have written, as the topic has it."""
    found: list[events_pb2.InboundMessage] = []
    scan = Scan(rig.parts.kafka, [topics.INBOUND_MESSAGE])
    scan.advance(
        lambda record: found.append(events_pb2.InboundMessage.FromString(record.value or b""))
    )
    scan.close()
    return found


Carrier = Mapping[str, object]


def carriers_file(
    folder: Path,
    smsc: Mapping[str, Smsc],
    specs: Mapping[str, Carrier],
    routes: Sequence[Mapping[str, str]],
    others: Sequence[Carrier] = (),
) -> Path:
    """Writes MAWJA_CARRIERS for SMS centres that run. `specs`: what it says of each beyond the
    address; `others`: carriers of other kinds, as they stand there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "password").write_text("secret\n")
    path = folder / "carriers.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "carriers": [
                    {
                        "name": name,
                        "kind": "smpp",
                        "declared": "test",
                        "host": "127.0.0.1",
                        "port": centre.port,
                        "system_id": name,
                        "password_file": "password",
                        "sender": "Mawja",
                        "parts_per_second": 5000,
                        **specs[name],
                    }
                    for name, centre in smsc.items()
                ]
                + [dict(other) for other in others],
                "routes": [dict(route) for route in routes],
            }
        )
    )
    return path


@contextmanager
def running(
    parts: Parts,
    name: str,
    centres: Mapping[str, tuple[Carrier, Mapping[str, object]]],
    routes: Sequence[Mapping[str, str]],
    replicas: int = 1,
    command: Sequence[str] = (),
    others: Sequence[Carrier] = (),
    env: Mapping[str, str] | None = None,
) -> Iterator[Rig]:
    """Starts SMS centres and broadcast, on `parts`; ends them. `centres`: name to (what the
    carriers file says beyond the address, profile). `command` runs in broadcast's place. `others`:
    carriers of other kinds, whose files are in the folder called `name` beside the parts' own.
    `env`: settings beyond the usual ones."""
    folder = parts.home / name
    smsc = {one: Smsc(folder / one, profile) for one, (_, profile) in centres.items()}
    ledger = None
    outreach = None
    try:
        for centre in smsc.values():
            centre.begin()
        for centre in smsc.values():
            centre.serve()
        carriers = carriers_file(
            folder, smsc, {one: spec for one, (spec, _) in centres.items()}, routes, others
        )
        system = System(
            parts,
            env={"MAWJA_CARRIERS": str(carriers), **(env or {})},
            rooms=("broadcast",),
            replicas={"broadcast": replicas},
            wrap=lambda _, usual: list(command) or usual,
        )
        system.start(PARTITIONS)
        try:
            keyring = Keyring(system.keys)
            outreach = Outreach(parts.kafka, keyring)
            ledger = Ledger(parts.kafka)
            yield Rig(parts, system, smsc, keyring, outreach, ledger)
        finally:
            system.stop()
    finally:
        if outreach is not None:
            outreach.close()
        if ledger is not None:
            ledger.close()
        for centre in smsc.values():
            centre.stop()
