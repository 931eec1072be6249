"""The chain of one partition: each record has the SHA-256 of itself, in which that of the one
before is contained. Pure.

What is hashed, so that whoever wants to check it needs none of our code: the ASCII text
"mawja.audit.v1", the topic's name and the input's topic, each ended by a zero byte; then as 8 bytes
each, big-endian: partition, sequence, the input's offset, the time of chaining; the hash before (32
bytes, zeros in the first record); the note's bytes.

Who can write to the log could make a whole chain anew: against that stands only a head that was
exported before (`mawja audit head`), kept where they can't write.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from mawja.audit.v1 import events_pb2
from mawja.common.v1 import common_pb2

GENESIS = bytes(32)


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain stands: how many records it has, and the last one's hash."""

    count: int = 0
    hash: bytes = GENESIS


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a chain: at which sequence number, in words."""

    partition: int
    sequence: int
    what: str


def digest(topic: str, partition: int, record: events_pb2.AuditRecord) -> bytes:
    """The hash that `record` must have where it stands."""
    numbers = (partition, record.sequence, record.input.offset, record.chained_ms)
    return hashlib.sha256(
        b"mawja.audit.v1\0"
        + topic.encode()
        + b"\0"
        + record.input.topic.encode()
        + b"\0"
        + b"".join((number & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "big") for number in numbers)
        + record.previous
        + record.note
    ).digest()


def link(
    topic: str, partition: int, head: Head, note: bytes, at: common_pb2.Input, now_ms: int
) -> events_pb2.AuditRecord:
    """The next record of a chain that stands at `head`."""
    record = events_pb2.AuditRecord(
        input=at, sequence=head.count, previous=head.hash, note=note, chained_ms=now_ms
    )
    record.hash = digest(topic, partition, record)
    return record


class Check:
    """Looks through the chain of one partition, record by record, in the log's order. `exported`: a
    head that it had at some time before."""

    def __init__(self, topic: str, partition: int, exported: Head | None = None) -> None:
        self._topic = topic
        self._partition = partition
        self._exported = exported
        self._inputs: dict[str, int] = {}
        self.head = Head()

    def take(self, value: bytes) -> Iterator[Finding]:
        """What is wrong with the next record; nothing when it is right."""
        expected = self.head.count
        try:
            record = events_pb2.AuditRecord.FromString(value)
        except DecodeError:
            yield self._found(expected, "in its place stands what is no audit record")
            return
        at = record.sequence
        if record.hash != digest(self._topic, self._partition, record):
            yield self._found(at, "was changed: its hash is another's")
        if at < expected:
            yield self._found(at, f"stands again, or out of its place: after {expected - 1}")
            return
        if at > expected:
            gone = f"to {at - 1} are" if at - 1 > expected else "is"
            yield self._found(expected, f"{gone} missing: {at} comes in its place")
        elif record.previous != self.head.hash:
            yield self._found(at, "does not follow from the record that stands before it")
        if record.input.offset <= self._inputs.get(record.input.topic, -1):
            yield self._found(at, "keeps a note that an earlier one keeps")
        self._inputs[record.input.topic] = record.input.offset
        if self._exported and at == self._exported.count - 1 and record.hash != self._exported.hash:
            yield self._found(at, "is another than when the head was exported")
        self.head = Head(at + 1, record.hash)

    def end(self, notes: str = "", through: int = -1) -> Iterator[Finding]:
        """What is wrong with where the chain ends. `through`: the offset in the topic `notes` up to
        which its owner has said that all is chained."""
        now = self.head.count
        if self._exported and now < self._exported.count:
            last = self._exported.count - 1
            whole = f"to {last} were cut off: the exported head has them"
            yield self._found(now, whole if last > now else "was cut off: the exported head has it")
        elif through > self._inputs.get(notes, -1):
            yield self._found(now, "was cut off: a note of it had been chained")

    def _found(self, sequence: int, what: str) -> Finding:
        return Finding(self._partition, sequence, what)
