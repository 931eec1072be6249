"""Reads every chain from its beginning and looks whether it is whole."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError
from mawja.audit.v1 import events_pb2

from services.runtime import offsets
from services.runtime.audit.chain import Check, Finding, Head
from services.runtime.config import Settings
from services.runtime.letters import Letters
from services.runtime.own import Record
from services.runtime.scan import Scan
from services.runtime.topics import AUDITS
from services.tools.audit.heads import Exported, Place


@dataclass(slots=True)
class Checked:
    """What was found. `findings` by topic, in the order of the log."""

    heads: dict[Place, Head] = field(default_factory=dict)
    last_ms: dict[Place, int] = field(default_factory=dict)
    findings: list[tuple[str, Finding]] = field(default_factory=list)

    @property
    def records(self) -> int:
        """How many records all chains have."""
        return sum(head.count for head in self.heads.values())


def check(settings: Settings, rooms: Sequence[str], exported: Exported | None = None) -> Checked:
    """Checks the chains of `rooms`, against `exported` where that is given. Raises Away."""
    audits = [AUDITS[room] for room in rooms]
    partitions = range(settings.partitions)
    # Before the logs are read: a note is committed when it stands in the chain.
    committed = {
        audit.chain.name: offsets.committed(settings.kafka, f"{room}-audit", partitions)
        for room, audit in zip(rooms, audits, strict=True)
    }
    heads = exported.heads if exported else {}
    checks = {
        (audit.chain.name, p): Check(audit.chain.name, p, heads.get((audit.chain.name, p)))
        for audit in audits
        for p in partitions
    }
    found = Checked()
    aside: set[tuple[str, int, int]] = set()

    def take(record: Record) -> None:
        place, value = (record.topic, record.partition), record.value or b""
        if place not in checks:
            letter = Letters.read(record)
            if letter is not None:
                aside.add((letter.topic, letter.partition, letter.offset))
            return
        found.findings += ((record.topic, one) for one in checks[place].take(value))
        found.last_ms[place] = _chained_ms(value)

    dead = dict.fromkeys(audit.dead for audit in audits)
    with Scan(settings.kafka, [*(audit.chain for audit in audits), *dead]) as scan:
        scan.advance(take)
    for audit in audits:
        topic, notes = audit.chain.name, audit.notes.name
        for p in partitions:
            through = committed[topic][p].get(notes, (0, 0))[0] - 1
            # What was set aside is in no chain.
            while (notes, p, through) in aside:
                through -= 1
            found.findings += ((topic, one) for one in checks[topic, p].end(notes, through))
            found.heads[topic, p] = checks[topic, p].head
    return found


def _chained_ms(value: bytes) -> int:
    try:
        return events_pb2.AuditRecord.FromString(value).chained_ms
    except DecodeError:
        return 0
