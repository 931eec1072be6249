"""Dedup's pure decision alone, in this process: what the rest of dedup is held against."""

from time import process_time

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup_pb2
from mawja.intake.v1 import events_pb2

from services.dedup import data, learnt
from services.dedup.cases import Cases
from services.dedup.reading import Reading
from services.dedup.signs import unpack
from services.dedup.words import CODE
from services.runtime.clock import now_ms
from services.runtime.own import Record
from services.runtime.scan import Scan
from services.runtime.topics import CASE, CONTACT_ACCEPTED
from services.tools.bench.figures import ROUNDS, Run

_PURE_CONTACTS = 10_000


def decide(done: Run) -> None:
    """The pure decision on contacts that are read already, in this process."""
    done.progress.update("deciding alone …")
    contacts: dict[tuple[int, int], events_pb2.ContactAccepted] = {}
    prepared: list[tuple[events_pb2.ContactAccepted, Reading]] = []

    def read(record: Record) -> None:
        contacts[record.partition, record.offset] = events_pb2.ContactAccepted.FromString(
            record.value or b""
        )

    def shown(record: Record) -> None:
        # What the texts show stands in the log; it is not what is measured here.
        decision = dedup_pb2.CaseDecision.FromString(record.value or b"")
        found = contacts.get((record.partition, decision.input.offset))
        if found is not None and decision.HasField("link") and len(prepared) < _PURE_CONTACTS:
            shape = list(decision.shape)
            known = Reading(
                language=decision.link.language,
                shape=shape,
                rarity=dict.fromkeys((one for one in shape if not one & CODE), 1.0),
                signs=unpack(decision.signs),
            )
            prepared.append((found, known))

    for topic, take in ((CONTACT_ACCEPTED, read), (CASE, shown)):
        with Scan(done.parts.kafka, (topic,)) as scan:
            scan.advance(take)
    if not prepared:
        return
    now, trees = now_ms(), learnt.trees()
    for _ in range(ROUNDS):
        cases = Cases(data.rules(), trees=trees)
        before_s = process_time()
        for offset, (one, reading) in enumerate(prepared):
            at = common_pb2.Input(topic=CONTACT_ACCEPTED.name, offset=offset)
            cases.contact(one, reading, at, now)
        done.note("dedup.decide_per_s_per_core", len(prepared) / (process_time() - before_s))
