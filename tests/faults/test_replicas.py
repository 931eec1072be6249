"""Workers that become many and one again while a surge goes through them."""

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, repeat
from pathlib import Path

import pytest
from mawja.dedup.v1 import events_pb2 as dedup_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.runtime.own import Record
from services.runtime.scan import Scan
from services.runtime.topics import CASE, CONTACT_ACCEPTED
from tests.faults.stage import Size, stage
from tests.faults.table import Row

pytestmark = pytest.mark.faults
ROOMS = ("intake", "dedup", "outreach", "broadcast")


def out_of_order(kafka: str) -> int:
    """Contacts of a person that were decided on before an earlier one of the same person."""
    person_at: dict[tuple[int, int], bytes] = {}
    decided: defaultdict[bytes, list[int]] = defaultdict(list)

    def accepted(record: Record) -> None:
        contact = intake_pb2.ContactAccepted.FromString(record.value or b"")
        person_at[record.partition, record.offset] = contact.person

    def decision(record: Record) -> None:
        made = dedup_pb2.CaseDecision.FromString(record.value or b"")
        if made.input.topic == CONTACT_ACCEPTED.name:
            person = person_at[record.partition, made.input.offset]
            if person:
                decided[person].append(made.input.offset)

    for topic, take in ((CONTACT_ACCEPTED, accepted), (CASE, decision)):
        with Scan(kafka, [topic]) as scan:
            scan.advance(take)
    assert any(len(offsets) > 1 for offsets in decided.values())
    return sum(
        later < earlier for offsets in decided.values() for earlier, later in pairwise(offsets)
    )


@pytest.mark.timeout(600)
@pytest.mark.row(
    "replicas of intake, dedup, outreach and broadcast 1 → 4 → 1, during the surge",
    must="0/0/0; order per person kept",
)
def test_replicas(row: Row, size: Size, seed: int, tmp_path: Path) -> None:
    rounds = int(size.of(5, 1))
    with stage(tmp_path, calls=size.calls, over_s=size.of(150, 20), seed=seed) as on:
        # A channel knows its list of addresses for good.
        on.system.most = {"intake": 4}

        def scale() -> None:
            for _ in range(rounds):
                on.sleep_until(on.elapsed_s + on.rng.uniform(1, 4))
                with ThreadPoolExecutor(len(ROOMS)) as pool:
                    list(pool.map(on.system.scale, ROOMS, repeat(4)))
                on.sleep_until(on.elapsed_s + on.rng.uniform(3, 8))
                with ThreadPoolExecutor(len(ROOMS)) as pool:
                    list(pool.map(on.system.scale, ROOMS, repeat(1)))

        report = on.surge(scale)
        row.figure("rounds", rounds)
        row.same("crashes", report["crashes"], [])
        row.same("out of order", out_of_order(on.parts.kafka), 0)
        row.account(report)
        messages = report["messages"]
        assert isinstance(messages, dict)
        row.same("unknown", messages["unknown"], 0)
