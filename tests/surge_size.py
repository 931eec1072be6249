"""How long `mawja report surge` takes and how much memory, for a made-up surge of some contacts.

    python -m tests.surge_size 78000

Starts a Kafka of its own, writes the surge into it (three calls for each need: two hang up, are
told and are called back, one is answered), then reads it with the command, in a process of its own.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from uuid import UUID

from google.protobuf.message import Message
from kafka import KafkaProducer
from mawja.broadcast.v1.events_pb2 import MessageChange, StatusRecord
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.dedup.v1.events_pb2 import Case, CaseDecision, Link
from mawja.intake.v1 import events_pb2 as intake
from mawja.intake.v1.events_pb2 import CallEvent
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.outreach.v1.events_pb2 import Callback, MessageRequested

from services.broadcast import messages as m
from services.local.parts import Parts
from services.local.progress import Silent
from services.runtime import topics
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.own import EPOCH
from services.runtime.topics import CALLBACK, CASE, MESSAGE_REQUESTED, MESSAGE_STATUS, Topic

_PARTITIONS = 8
_OVER_MS = 12 * 3_600_000
_CALLS_A_NEED = 3
_LINES = ("109", "16000", "155")
_AGENCIES = ("health", "interior", "education", "labour")
_LANGUAGES = ("ar", "en", "ur", "hi")


def main() -> None:
    """The first argument is how many contacts; 78,000 without it."""
    contacts = int(sys.argv[1]) if len(sys.argv) > 1 else 78_000
    with tempfile.TemporaryDirectory() as home, Parts(Path(home), progress=Silent()) as parts:
        topics.ensure(parts.kafka, _PARTITIONS, 1)
        count = _write(parts.kafka, contacts)
        command = [sys.executable, "-m", "services.tools", "report", "surge", "--to", home]
        began_s = monotonic_s()
        report = subprocess.Popen(command, env={**os.environ, "MAWJA_KAFKA": parts.kafka})
        # Of this child alone: Kafka is one too.
        _, report.returncode, used = os.wait4(report.pid, 0)
        took_s = monotonic_s() - began_s
        if report.returncode:
            raise SystemExit(1)
        print(
            f"{contacts:,} contacts, {count:,} records: {took_s:.0f} s, "
            f"{used.ru_utime + used.ru_stime:.0f} s of processor, {used.ru_maxrss / 1024:,.0f} MB"
        )


def _write(kafka: str, contacts: int) -> int:
    producer = KafkaProducer(bootstrap_servers=kafka, linger_ms=20, batch_size=256 * 1024)
    epoch, count = [(EPOCH, (0).to_bytes(8, "big"))], 0
    for topic, partition, message in _surge(contacts, now_ms() - _OVER_MS):
        value = message.SerializeToString()
        producer.send(topic.name, value, partition=partition, headers=epoch)
        count += 1
    producer.flush()
    producer.close()
    return count


def _id(kind: str, number: int) -> str:
    return str(UUID(bytes=blake2b(f"{kind}{number}".encode(), digest_size=16).digest()))


def _surge(contacts: int, begins_ms: int) -> Iterator[tuple[Topic, int, Message]]:
    for number in range(contacts):
        need, attempt = divmod(number, _CALLS_A_NEED)
        at_ms = begins_ms + _OVER_MS * number // contacts
        person = blake2b(str(need).encode(), digest_size=16).digest()
        partition = topics.partition_of(person, _PARTITIONS)
        language, last = _LANGUAGES[need % 4], attempt == _CALLS_A_NEED - 1
        case = Case(
            case_id=_id("case", need), person=person, accepted_ms=at_ms + 50, contacts=attempt + 1
        )
        link = Link(
            contact_id=_id("contact", number),
            event_ms=at_ms,
            channel=common_pb2.CHANNEL_VOICE,
            line=_LINES[need % 3],
            agency=_AGENCIES[need % 4],
            language=language,
        )
        change = dedup.CASE_CHANGE_LINKED if attempt else dedup.CASE_CHANGE_OPENED
        yield CASE, partition, CaseDecision(change=change, case=case, link=link)
        states = [intake.CALL_STATE_ANSWERED, intake.CALL_STATE_ENDED]
        for state in states if last else [intake.CALL_STATE_ABANDONED]:
            call = CallEvent(
                contact_id=link.contact_id,
                state=state,
                queue_wait_ms=30_000,
                handling_ms=200_000,
                disposition=intake.DISPOSITION_RESOLVED,
                event_ms=at_ms + 30_000,
            )
            change = dedup.CASE_CHANGE_CALL
            yield CASE, partition, CaseDecision(change=change, case=case, call=call)
        if attempt == 0:
            for topic, message in _told(need, person, case.case_id, language, at_ms):
                yield topic, partition, message


def _told(
    need: int, person: bytes, case: str, language: str, at_ms: int
) -> Iterator[tuple[Topic, Message]]:
    """Somebody is told that they are called back, and is."""
    name = _id("message", need)
    asked = MessageRequested(
        message_id=name,
        case_id=case,
        step="callback-offer",
        language=language,
        requested_ms=at_ms + 31_000,
        accepted_ms=at_ms + 50,
    )
    yield MESSAGE_REQUESTED, asked
    for number, state in enumerate((m.CLAIMED, m.SUBMITTED, m.DELIVERED)):
        change = MessageChange(message_id=name, state=state, carrier="local", person=person)
        when_ms = at_ms + 31_000 + 300 * number
        yield MESSAGE_STATUS, StatusRecord(decided_ms=when_ms, changes=[change])
    states = (outreach.CALLBACK_STATE_DUE, outreach.CALLBACK_STATE_COMPLETED)
    for version, became in enumerate(states, start=1):
        callback = Callback(
            callback_id=_id("callback", need),
            case_id=case,
            state=became,
            place_ms=at_ms,
            abandoned_ms=at_ms + 30_000,
            decided_ms=at_ms + 30_000 * version,
            version=version,
        )
        yield CALLBACK, callback


if __name__ == "__main__":
    main()
