"""The carrier that fetches files: real folders, read as the carrier would read them."""

import asyncio
import csv
import hashlib
import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.broadcast.carriers.base import (
    Accepted,
    OutMessage,
    Receipt,
    ReceiptState,
    Refused,
    SubmitOutcome,
)
from services.broadcast.carriers.drops import Drop
from services.broadcast.carriers.errors import SendError
from services.broadcast.carriers.filedrop import FileCarrier
from services.broadcast.carriers.specs import FilesAccount, Format
from services.runtime.clock import now_ms
from services.runtime.errors import Away
from tests.smpp_rig import Got, until

ODD = 'قطع "المياه"\u2028, ثلاثاء\r\n=1+1; 💧'


def message(number: int = 0, **changes: Any) -> OutMessage:
    values: dict[str, Any] = {
        "key": f"key-{number}-1",
        "destination": f"+9995{number:08d}",
        "sender": "MAWJA",
        "text": ODD,
        "language": "ar",
        "parts": 1,
        "reference": number + 1,
        "drill": True,
        "not_after": 1_763_800_000.9,
    }
    return OutMessage(**values | changes)


class Bureau:
    """A carrier that fetches and brings files."""

    def __init__(self, home: Path) -> None:
        self.outbox, self.inbox = home / "out", home / "in"
        self.outbox.mkdir()
        self.inbox.mkdir()

    def carrier(self, **changes: Any) -> FileCarrier:
        values: dict[str, Any] = {"batch_s": 0.05, "format": "jsonl"}
        declared = changes.pop("declared", "test")
        account = FilesAccount(str(self.outbox), str(self.inbox), **values | changes)
        return FileCarrier(
            name="bureau",
            declared=declared,
            outbox=self.outbox,
            inbox=self.inbox,
            account=account,
            clock=now_ms,
        )

    def fetch(self, form: Format = "jsonl") -> Iterator[list[dict[str, Any]]]:
        """The batches that count, held against their manifests, oldest name first; deleted."""
        for manifest in sorted(self.outbox.glob("*.manifest.json")):
            said = json.loads(manifest.read_text())
            octets = (self.outbox / said["file"]).read_bytes()
            assert hashlib.sha256(octets).hexdigest() == said["sha256"]
            if form == "csv":
                rows = list(csv.DictReader(io.StringIO(octets.decode(), newline="")))
            else:
                rows = [json.loads(line) for line in octets.decode().split("\n") if line]
            assert len(rows) == said["messages"]
            yield rows
            (self.outbox / said["file"]).unlink()
            manifest.unlink()

    def bring(self, name: str, text: str) -> None:
        hidden = self.inbox / f".{name}.part"
        hidden.write_text(text, newline="")
        hidden.rename(self.inbox / name)


@pytest.fixture
def bureau(tmp_path: Path) -> Bureau:
    return Bureau(tmp_path)


async def begun(carrier: FileCarrier, got: Got | None = None) -> FileCarrier:
    got = got or Got()
    await carrier.start(got.on_receipts, got.on_inbound, got.on_late)
    await until(lambda: carrier.bound)
    return carrier


async def sent(carrier: FileCarrier, one: OutMessage, within_s: float = 5.0) -> SubmitOutcome:
    return await carrier.submit(one, write_by=time.monotonic() + within_s)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
async def test_batches_arrive_letter_for_letter_and_are_accepted_under_their_keys(
    bureau: Bureau, form: Format
) -> None:
    carrier = await begun(bureau.carrier(format=form, batch_messages=10))
    outcomes = await asyncio.gather(*(sent(carrier, message(n)) for n in range(25)))
    await carrier.stop()
    assert outcomes == [Accepted(f"key-{n}-1") for n in range(25)]
    batches = list(bureau.fetch(form))
    assert sorted(len(one) for one in batches) == [5, 10, 10]
    rows = {row["id"]: row for batch in batches for row in batch}
    assert len(rows) == 25
    assert {key: str(value) for key, value in rows["key-3-1"].items()} == {
        "id": "key-3-1",
        "to": "+999500000003",
        "from": "MAWJA",
        "text": ODD,
        "parts": "1",
        "reference": "4",
        "not_after": "2025-11-22T08:26:40Z",
    }
    assert not list(bureau.outbox.iterdir()), "nothing else is left"


async def test_files_are_for_nobody_else(bureau: Bureau) -> None:
    carrier = await begun(bureau.carrier())
    await sent(carrier, message())
    await carrier.stop()
    assert {path.stat().st_mode & 0o007 for path in bureau.outbox.iterdir()} == {0}


async def test_a_batch_that_cannot_be_written_was_not_sent(
    bureau: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier = await begun(bureau.carrier())
    real, calls = os.fsync, 0

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            # The messages have their name and the manifest has none.
            raise OSError(28, "no space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    assert await sent(carrier, message(1)) == Refused(SendError.NOT_SENT)
    assert not list(bureau.outbox.iterdir())
    assert await sent(carrier, message(1)) == Accepted("key-1-1")
    await carrier.stop()


async def test_an_aged_claim_is_not_written(bureau: Bureau) -> None:
    carrier = await begun(bureau.carrier(batch_s=0.3))
    aged, fresh = await asyncio.gather(
        sent(carrier, message(1), within_s=0.01), sent(carrier, message(2))
    )
    await carrier.stop()
    assert (aged, fresh) == (Refused(SendError.NOT_SENT), Accepted("key-2-1"))
    assert [row["id"] for batch in bureau.fetch() for row in batch] == ["key-2-1"]


def test_a_batch_that_aged_while_it_was_written_leaves_nothing(bureau: Bureau) -> None:
    drop = Drop(bureau.outbox, "late", "jsonl")
    assert not drop.write([message()], time.monotonic() - 1)
    assert not list(bureau.outbox.iterdir())


async def test_a_cancelled_message_is_not_written(bureau: Bureau) -> None:
    carrier = await begun(bureau.carrier(batch_s=0.2))
    gone = asyncio.create_task(sent(carrier, message(1)))
    kept = asyncio.create_task(sent(carrier, message(2)))
    await asyncio.sleep(0.01)
    gone.cancel()
    assert await kept == Accepted("key-2-1")
    await carrier.stop()
    assert [row["id"] for batch in bureau.fetch() for row in batch] == ["key-2-1"]


async def test_what_nobody_fetches_holds_up_the_rest(bureau: Bureau) -> None:
    carrier = await begun(bureau.carrier(unfetched=1))
    assert await sent(carrier, message(1)) == Accepted("key-1-1")
    await until(lambda: not carrier.bound)
    assert await sent(carrier, message(2)) == Refused(SendError.NOT_SENT)
    assert len(list(bureau.fetch())) == 1
    await until(lambda: carrier.bound)
    await carrier.stop()


async def test_a_drill_reaches_no_live_carrier(bureau: Bureau) -> None:
    carrier = await begun(bureau.carrier(declared="live"))
    assert await sent(carrier, message()) == Refused(SendError.DRILL_ON_LIVE)
    await carrier.stop()
    assert not list(bureau.outbox.iterdir())


async def test_a_stop_writes_what_was_claimed(bureau: Bureau) -> None:
    carrier = await begun(bureau.carrier(batch_s=2.0))
    asked = asyncio.create_task(sent(carrier, message(1)))
    await asyncio.sleep(0.01)
    await carrier.stop()
    assert await asked == Accepted("key-1-1")
    assert await sent(carrier, message(2)) == Refused(SendError.NOT_SENT)


def line(**fields: Any) -> str:
    given = {"id": "key-1-1", "to": "+999500000001", "status": "delivered"} | fields
    return json.dumps(given)


async def test_receipts_are_taken_moved_and_what_is_none_left(bureau: Bureau) -> None:
    got = Got()
    carrier = await begun(bureau.carrier(), got)
    bureau.bring("a.jsonl", "\n".join([line(), "5", line(to="x"), line(reference=8), ""]))
    bureau.bring("b.txt", "not ours")
    await until(lambda: len(got.receipts) == 2 and not (bureau.inbox / "a.jsonl").exists())
    assert [(one.carrier_id, one.state, one.reference, one.whole) for one in got.receipts] == [
        ("key-1-1", ReceiptState.DELIVERED, None, True),
        ("key-1-1", ReceiptState.DELIVERED, 8, True),
    ]
    assert carrier.counters.unreadable == 2
    assert len(list((bureau.inbox / "done").iterdir())) == 1
    assert (bureau.inbox / "b.txt").exists()
    (bureau.inbox / ".c.part").write_bytes(b"\xff\xfe")
    (bureau.inbox / ".c.part").rename(bureau.inbox / "c.jsonl")
    await until(lambda: (bureau.inbox / "bad").exists())
    assert not (bureau.inbox / "c.jsonl").exists()
    await carrier.stop()


async def test_receipts_come_as_csv_too(bureau: Bureau) -> None:
    got = Got()
    carrier = await begun(bureau.carrier(format="csv"), got)
    bureau.bring(
        "a.csv",
        "\ufeffid,to,status,error,at,reference\r\n"
        "key-1-1,+999500000001,failed,21,1763800000,8\r\nkey-2-1,,failed\r\n",
    )
    bureau.bring("b.csv", "number;state\r\n")
    await until(lambda: bool(got.receipts) and (bureau.inbox / "bad").exists())
    await carrier.stop()
    [receipt] = got.receipts
    assert (receipt.state, receipt.error, receipt.done_at, receipt.reference) == (
        ReceiptState.UNDELIVERABLE, "21", 1_763_800_000, 8,
    )  # fmt: skip


async def test_a_file_stays_until_kafka_has_it(bureau: Bureau) -> None:
    carrier = bureau.carrier()
    got: list[Receipt] = []
    away = True

    async def on_receipts(batch: list[Receipt]) -> None:
        if away:
            raise Away("Kafka is away")
        got.extend(batch)

    await carrier.start(on_receipts, Got().on_inbound)
    bureau.bring("a.jsonl", line() + "\n")
    await asyncio.sleep(0.8)
    assert (bureau.inbox / "a.jsonl").exists()
    away = False
    await until(lambda: not (bureau.inbox / "a.jsonl").exists())
    assert len(got) == 1
    await carrier.stop()
