"""The books of a running system, counted beside it on a real Kafka: they balance until a contact is
passed over, and again when it is not; a past owner's late record counts for nothing."""

import asyncio
import contextlib
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2
from prometheus_client import REGISTRY

from services.reports.balance import CONTACTS, KINDS, PASSED_OVER, TWICE, Kind
from services.reports.counting import Ledger
from services.runtime import clock
from services.runtime.config import Settings
from services.runtime.topics import CASE, CONTACT_ACCEPTED
from tests.integration.test_campaign_report import Owners
from tests.report_log import Written
from tests.room_process import room
from tests.worker_rig import until

PARTITION = 1


def wrong() -> dict[Kind, float]:
    """What the metrics say does not balance."""
    found = {
        (thing, kind): REGISTRY.get_sample_value(
            "mawja_ledger_imbalance", {"thing": thing, "kind": kind}
        )
        for thing, kind in KINDS
    }
    return {kind: count for kind, count in found.items() if count}


def stands(bucket: str) -> float | None:
    labels = {"thing": CONTACTS, "bucket": bucket}
    return REGISTRY.get_sample_value("mawja_ledger_standing", labels)


def behind_s() -> float:
    found = REGISTRY.get_sample_value("mawja_ledger_behind_seconds")
    assert found is not None
    return found


def accepted(number: int) -> Written:
    message = intake_pb2.ContactAccepted(contact_id=f"contact-{number}")
    return Written(CONTACT_ACCEPTED, PARTITION, message)


def decided(offset: int, epoch: int = 0) -> Written:
    at = common_pb2.Input(topic=CONTACT_ACCEPTED.name, offset=offset)
    message = dedup_pb2.CaseDecision(input=at, change=dedup_pb2.CASE_CHANGE_OPENED)
    return Written(CASE, PARTITION, message, epoch)


@pytest.fixture(scope="module")
def owners(settings: Settings) -> Iterator[Owners]:
    with contextlib.closing(Owners(settings.kafka)) as made:
        yield made


@pytest.fixture
async def counting(settings: Settings) -> AsyncIterator[None]:
    task = asyncio.create_task(Ledger(settings.kafka, every_s=0.1).run())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_contact_that_is_passed_over_is_told_until_it_is_decided(
    owners: Owners, counting: None
) -> None:
    await asyncio.to_thread(owners.write, [accepted(n) for n in range(4)])
    await until(lambda: stands("waiting") == 4)
    assert wrong() == {}
    await asyncio.to_thread(owners.write, [decided(0), decided(1), decided(3)])
    await until(lambda: wrong() == {(CONTACTS, PASSED_OVER): 1})
    assert (stands("waiting"), stands("decided")) == (1, 3)
    await asyncio.to_thread(owners.write, [decided(2)])
    await until(lambda: stands("decided") == 4)
    assert wrong() == {}
    assert behind_s() < 10
    # A new owner takes over; what the past one says then is void.
    await asyncio.to_thread(owners.write, [accepted(4), decided(4, epoch=1)])
    await asyncio.to_thread(owners.late, decided(0))
    await until(lambda: stands("decided") == 5)
    assert wrong() == {}
    await asyncio.to_thread(owners.write, [decided(0, epoch=1)])
    await until(lambda: wrong() == {(CONTACTS, TWICE): 1})


def test_the_process_counts_and_ends_in_order(settings: Settings, tmp_path: Path) -> None:
    with room("reports", settings, tmp_path) as running:
        running.target()
        deadline = time.monotonic() + 30
        told = ""
        while "mawja_ledger_imbalance{" not in told:
            assert time.monotonic() < deadline, running.said
            time.sleep(0.2)
            told = urllib.request.urlopen(running.metrics(), timeout=10).read().decode()
        assert all(f'kind="{kind}",thing="{thing}"' in told for thing, kind in KINDS)
        began = time.monotonic()
        running.process.terminate()
        assert running.process.wait(timeout=20) == 0, running.said
        assert time.monotonic() - began < 10


async def test_while_kafka_does_not_answer_the_balance_grows_old() -> None:
    task = asyncio.create_task(Ledger("127.0.0.1:1", every_s=0.1).run())
    began_ms = clock.now_ms()
    await asyncio.sleep(1)
    assert not task.done()
    assert behind_s() == pytest.approx((clock.now_ms() - began_ms) / 1000, abs=0.5)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
