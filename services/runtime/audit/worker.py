"""The owner of a partition of the audit: each note into the chain once, whatever dies meanwhile.

The log tells where the chain stands and which notes it has: who takes over goes on from there
(CONTRIBUTING, Effectively once, rules 1 to 6).
"""

from collections.abc import Sequence

from google.protobuf.message import DecodeError
from mawja.audit.v1 import events_pb2
from mawja.common.v1 import common_pb2

from services.runtime import rpc
from services.runtime.audit.chain import Head, link
from services.runtime.clock import now_ms
from services.runtime.config import Settings
from services.runtime.consume import Worker
from services.runtime.own import NO_EPOCH, Entry, Record
from services.runtime.produce import Producer
from services.runtime.topics import AUDITS, Audit
from services.runtime.work import Context, Plan


def plan(audit: Audit) -> Plan:
    """The topics of an audit's worker."""
    return Plan(f"{audit.chain.owner}-audit", (audit.notes,), (audit.chain,), audit.dead)


def worker(room: str, settings: Settings, producer: Producer, replica: str) -> Worker:
    """The worker of a room's audit."""
    audit = AUDITS[room]
    return Worker(
        settings, plan(audit), producer, lambda context: Chaining(audit, context), replica
    )


class Chaining:
    """The work of one partition (a `PartitionWork`)."""

    def __init__(self, audit: Audit, context: Context) -> None:
        self._context = context
        self._log = context.logs[audit.chain.name]
        self._head = Head()
        self._next: dict[str, int] = {}

    def fold(self, record: Record) -> None:
        """Takes up one record of the chain."""
        read = events_pb2.AuditRecord.FromString(record.value or b"")
        self._take(read)

    def resume(self, topic: str) -> tuple[int, int]:
        """One after the last note that the chain has."""
        return self._next.get(topic, 0), NO_EPOCH

    async def start(self) -> None:
        """Nothing is left to settle: a chain is what its log says."""

    async def work(self, records: Sequence[Record]) -> None:
        """Chains `records`."""
        entries, now = [], now_ms()
        for record in records:
            if record.offset < self._next.get(record.topic, 0):
                continue
            why = _wrong(record.value or b"")
            if why:
                await self._context.dead(record, why)
                continue
            made = link(
                self._log.topic.name,
                self._context.partition,
                self._head,
                record.value or b"",
                common_pb2.Input(topic=record.topic, offset=record.offset),
                now,
            )
            self._take(made)
            entries.append(Entry(made.SerializeToString()))
        # When this fails the process ends: nobody sees a chain that is not in the log.
        await self._log.append(entries)

    def committable(self, topic: str, offset: int) -> int:
        """All that was chained."""
        return offset

    def wants(self, topic: str) -> bool:
        """Always: nothing waits in memory."""
        return True

    async def stop(self) -> None:
        """Nothing is held."""

    def _take(self, record: events_pb2.AuditRecord) -> None:
        self._head = Head(record.sequence + 1, record.hash)
        following = record.input.offset + 1
        self._next[record.input.topic] = max(following, self._next.get(record.input.topic, 0))


def _wrong(value: bytes) -> str:
    try:
        note = events_pb2.AuditNote.FromString(value)
    except DecodeError:
        return "not an AuditNote"
    return next((f"{v.field} {v.rule}" for v in rpc.violations(note)), "")
