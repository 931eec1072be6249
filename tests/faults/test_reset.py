"""Every consumer group forgets where it was, and reads everything again."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient

from loadtests.ledger import TOPICS, Account, Ledger
from services.local.smsc.record import read_record
from services.runtime.scan import Lag, Scan
from services.runtime.topics import CALL_EVENT, CASE, CONTACT_ACCEPTED, MESSAGE_REQUESTED
from services.tools.local import smsc_record
from tests.faults.stage import Size, Stage, stage
from tests.faults.table import Row

pytestmark = pytest.mark.faults
READ = {
    "dedup": (CONTACT_ACCEPTED, CALL_EVENT),
    "outreach": (CASE,),
    "broadcast": (MESSAGE_REQUESTED,),
}


def account(on: Stage) -> Account:
    """What the topics say now."""
    ledger = Ledger()
    with Scan(on.parts.kafka, TOPICS) as scan:
        scan.advance(ledger.take)
    return ledger.account()


def forget(on: Stage) -> int:
    """Stops every service in order, deletes every consumer group (its members read from the
    earliest record on then), starts them again; says how many groups there were."""
    for replica in reversed(on.system.running):
        replica.end()
    admin = KafkaAdminClient(bootstrap_servers=on.parts.kafka)
    try:
        groups = [group["group_id"] for group in admin.list_groups()]
        admin.delete_groups(groups)
        assert admin.list_groups() == []
    finally:
        admin.close()
    for replica in on.system.running:
        replica.process.start()
    on.system.wait_ready()
    return len(groups)


@pytest.mark.timeout(400)
@pytest.mark.row(
    "every consumer group reset to earliest",
    must="0 new SMS, the same cases",
)
def test_reset(row: Row, size: Size, seed: int, tmp_path: Path) -> None:
    with stage(tmp_path, calls=size.calls, over_s=size.over_s, seed=seed) as on:
        report = on.surge()
        row.account(report)
        before = account(on)
        submits = len(list(read_record(smsc_record(tmp_path))))
        row.at_least("groups reset", forget(on), len(READ))
        lag = Lag(on.parts.kafka)
        on.wait(
            lambda: all(lag.of(group, topics) == 0 for group, topics in READ.items()),
            60,
            "everything is read again",
        )
        lag.close()
        # Time for a carrier to be called, if anybody wanted to.
        time.sleep(3)
        after = account(on)
        row.same("new cases", after.cases - before.cases, 0)
        row.same("new messages", after.messages.requested - before.messages.requested, 0)
        row.same("new SMS", len(list(read_record(smsc_record(tmp_path)))) - submits, 0)
        # Whoever has lost its place can't know what it had asked dedup for already: it asks again,
        # by the same ids, and dedup says that it was done.
        row.figure("asked of dedup again", after.repeated - before.repeated)
        assert replace(after, repeated=before.repeated) == before
