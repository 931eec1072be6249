"""`mawja campaign report` on a real Kafka: what it reads, what it writes, and that it is the same
when it is made again."""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from kafka import KafkaProducer
from typer.testing import CliRunner, Result

from services.broadcast import messages
from services.runtime.clock import now_ms
from services.runtime.own import EPOCH, MARKER
from services.tools.campaigns.commands import app
from services.tools.reports.words import LANGUAGES
from tests.report_log import CAMPAIGN_ID, T0, Log, Written, change, comparing, eventful, rings


class Owners:
    """Writes a made-up log to Kafka as the services do: markers, and records under their epochs."""

    def __init__(self, kafka: str) -> None:
        self._producer = KafkaProducer(bootstrap_servers=kafka, acks="all")
        self._epochs: dict[tuple[str, int], tuple[int, int]] = {}

    def write(self, records: Sequence[Written]) -> None:
        for one in records:
            headers = []
            if one.topic.log:
                headers = [(EPOCH, self._epoch(one).to_bytes(8, "big"))]
            self._send(one.topic.name, one.partition, one.message.SerializeToString(), headers)

    def late(self, one: Written) -> None:
        """A record of an owner that another has taken over from: it counts for nothing."""
        headers = [(EPOCH, (0).to_bytes(8, "big"))]
        self._send(one.topic.name, one.partition, one.message.SerializeToString(), headers)

    def _epoch(self, one: Written) -> int:
        """The offset of the marker of the record's owner; a new owner's is written first."""
        key = (one.topic.name, one.partition)
        owner, marker = self._epochs.get(key, (-1, 0))
        if owner != one.epoch:
            marker = self._send(*key, b"", [(MARKER, b"owner")])
            self._epochs[key] = one.epoch, marker
        return marker

    def _send(
        self, topic: str, partition: int, value: bytes, headers: list[tuple[str, bytes]]
    ) -> int:
        sent = self._producer.send(topic, value, partition=partition, headers=headers)
        return int(sent.get(30).offset)

    def close(self) -> None:
        self._producer.close()


@pytest.fixture(scope="module")
def log(kafka: str) -> Log:
    made = eventful()
    with contextlib.closing(Owners(kafka)) as owners:
        owners.write(made.records)
        late = Log()
        late.status(T0 + 130_000, [change(11, messages.CLAIMED)])
        owners.late(late.records[0])
    return made


def reported(kafka: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["report", *arguments], env={"MAWJA_KAFKA": kafka})


def test_the_report_is_written_and_can_be_made_again(kafka: str, log: Log, tmp_path: Path) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    done = reported(kafka, CAMPAIGN_ID, "--out", str(first))
    assert done.exit_code == 0, done.output
    files = {path.name: path.read_bytes() for path in first.iterdir()}
    stem = f"campaign-{CAMPAIGN_ID[:8]}"
    assert set(files) == {
        f"{stem}.json",
        *(f"{stem}-{code}.{kind}" for code in ("ar", "en") for kind in ("html", "pdf")),
    }
    page = files[f"{stem}-en.html"].decode()
    assert "4 + 1 + 1 + 1 + 3 + 1 + 1 + 1 + 2 = 15" in page
    assert files[f"{stem}-ar.pdf"].startswith(b"%PDF")
    told = json.loads(files[f"{stem}.json"])
    assert told["campaign"] == CAMPAIGN_ID
    # Life goes on: somebody who waited is claimed.
    more = Log()
    more.status(T0 + 300_000, [change(9, messages.EXPIRED, 0, "expired", "")], epoch=40)
    with contextlib.closing(Owners(kafka)) as owners:
        owners.write(more.records)
    repeated = reported(
        kafka, CAMPAIGN_ID, "--out", str(again), "--again", str(first / f"{stem}.json")
    )
    assert repeated.exit_code == 0, repeated.output
    assert {path.name: path.read_bytes() for path in again.iterdir()} == files


def test_what_a_campaign_did_to_calls_is_told_and_told_again(kafka: str, tmp_path: Path) -> None:
    # Cases are read by when they were written: so this one began just now.
    began = now_ms() - 60_000
    name, log = comparing(began)
    log.records += [rings(1, began + 1), rings(7, began + 2), rings(8, began + 3)]
    with contextlib.closing(Owners(kafka)) as owners:
        owners.write(log.records)
        first, again = tmp_path / "first", tmp_path / "again"
        done = reported(kafka, name, "--out", str(first))
        assert done.exit_code == 0, done.output
        # Who calls later is none of it.
        owners.write([rings(2, began + 4, epoch=9)])
    made = first / f"campaign-{name[:8]}.json"
    assert json.loads(made.read_text())["through"]["dedup.case.v1"]
    page = made.with_name(f"{made.stem}-en.html").read_text()
    assert "What it did to calls" in page
    assert "Fewer callers because of it: 2" in page
    done = reported(kafka, name, "--out", str(again), "--again", str(made))
    assert done.exit_code == 0, done.output
    for path in first.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes()
    assert len(list(first.iterdir())) == 1 + 2 * len(LANGUAGES)
    # The command measures the same, up to now: one more has called.
    measured = CliRunner().invoke(app, ["effect", name, "--json"], env={"MAWJA_KAFKA": kafka})
    assert measured.exit_code == 0, measured.output
    found = json.loads(measured.stdout)
    assert (found["sent"]["callers"], found["held_back"]["callers"]) == (2, 2)
    assert found["avoided"][0] == pytest.approx(6 * (2 / 4 - 2 / 6))


def test_one_language_without_pdf(kafka: str, log: Log, tmp_path: Path) -> None:
    done = reported(
        kafka, CAMPAIGN_ID[:6].upper(), "--out", str(tmp_path), "--language", "ar", "--no-pdf"
    )
    assert done.exit_code == 0, done.output
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".html", ".json"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["00000000-0000-5000-8000-000000000000"], CAMPAIGN_ID),
        (["abcd"], "no campaign abcd"),
        (["shelters"], "no id of a campaign"),
        ([CAMPAIGN_ID, "--zone", "Asia/Nowhere"], "time zone"),
        ([CAMPAIGN_ID, "--again", "missing.json"], "missing.json"),
    ],
)
def test_what_a_person_can_mend_is_told_in_one_line(
    kafka: str, log: Log, arguments: list[str], said: str
) -> None:
    done = reported(kafka, *arguments)
    assert done.exit_code == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
