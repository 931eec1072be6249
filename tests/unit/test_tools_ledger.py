"""Where `mawja ledger` takes the account from, and what a person reads."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from loadtests.ledger import Account, Bucket, Standing
from services.local.lock import locked
from services.local.smsc.record import RecordFile, RecordReader, line_of
from services.runtime.errors import ConfigError
from services.tools import balance
from services.tools.account import Balance, source
from services.tools.local import smsc_record
from tests.ledger_world import START_MS, submits

SMPP_PORT = 2775


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """The folder of a local run that goes on, with a Kafka and an SMS centre of its own."""
    place = {
        "pid": 1,
        "kafka": "127.0.0.1:9092",
        "redis_url": "-",
        "smpp": f"127.0.0.1:{SMPP_PORT}",
    }
    (tmp_path / "parts.json").write_text(json.dumps(place))
    record = smsc_record(tmp_path)
    record.parent.mkdir()
    record.touch()
    record.with_name("ports.json").write_text(json.dumps({"smpp_port": SMPP_PORT}))
    (tmp_path / "kafka" / "node-1" / "data").mkdir(parents=True)
    (tmp_path / "kafka" / "node-1" / "data" / "meta.properties").touch()
    with locked(tmp_path / "lock"):
        yield tmp_path


def test_a_local_run_is_found_with_its_witness(home: Path) -> None:
    found = source(home, {"MAWJA_KAFKA": "kafka.example:9092"})
    assert (found.kafka, found.record) == ("127.0.0.1:9092", smsc_record(home))
    assert source(None, {"MAWJA_KAFKA": "kafka.example:9092"}).kafka == "kafka.example:9092"
    assert source(None, {"MAWJA_KAFKA": "kafka.example:9092"}).record is None


def test_a_record_of_other_messages_is_no_witness(home: Path) -> None:
    ports = smsc_record(home).with_name("ports.json")
    ports.write_text(json.dumps({"smpp_port": SMPP_PORT + 1}))
    assert source(home, {}).record is None, "another SMS centre takes the messages"
    ports.write_text(json.dumps({"smpp_port": SMPP_PORT}))
    assert source(home, {}).record is not None
    (home / "kafka" / "node-1" / "data" / "meta.properties").unlink()
    assert source(home, {}).record is None, "a Kafka that was there before"


def test_nothing_runs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing runs in"):
        source(tmp_path, {})


def test_a_record_is_read_on_from_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    file = RecordFile(path)
    reader = RecordReader(path)
    first, second = submits("First.", first_id=1), submits("Second.", first_id=2)
    assert list(reader.more()) == []
    file.append([line_of(one) for one in first])
    assert list(reader.more()) == first
    line = line_of(second[0])
    file.append([line[:20]])
    assert list(reader.more()) == [], "a line that is being written"
    file.append([line[20:]])
    assert list(reader.more()) == second
    file.append([b"{}\n"])
    with pytest.raises(ValueError, match="line 3: not a submit record"):
        list(reader.more())
    file.close()


def shown(taken: Balance) -> str:
    console = Console(width=120, force_terminal=False)
    with console.capture() as captured:
        console.print(balance.render(taken))
    return captured.get()


def taken(**buckets: Bucket) -> Balance:
    contacts = {"opened": Bucket(2), "linked": Bucket(1), "waiting": Bucket(1, 125_000)}
    messages = {
        "waiting": Bucket(),
        "queued": Bucket(),
        "claimed": Bucket(),
        "submitted": Bucket(1, 1_000),
        "unknown": Bucket(1, 7_500_000, {"timeout": 1}),
        "delivered": Bucket(5),
        **buckets,
    }
    return Balance(
        at_ms=START_MS,
        read_s=0.5,
        records=12,
        smsc=True,
        account=Account(cases=2, carrier_messages=4),
        standing=Standing(
            accepted=4,
            contacts=contacts,
            by_outreach=4,
            by_hand=1,
            for_campaigns=2,
            messages=messages,
            unknown_for={"up to a day": 1, "longer than a day": 0},
            callbacks={"due": 1, "withdrawn": 0},
            dead_letters={"dedup": 2},
        ),
    )


def test_a_person_reads_that_it_adds_up() -> None:
    text = shown(taken())
    assert "It adds up." in text
    for part in (
        "the oldest for 2 min",
        "the oldest for 2 h, 1 timeout",
        "1 up to a day",
        "4 by outreach, 1 by hand, 2 for campaigns",
        "2 of dedup",
        "1 due, 0 withdrawn",
    ):
        assert part in text
    assert balance.line(taken()).endswith("2 dead letters · adds up")
    assert taken().as_dict()["good"] is True
    json.dumps(taken().as_dict())


def test_a_person_reads_what_does_not_add_up() -> None:
    off = taken(expired=Bucket(1))
    assert not off.good
    assert "not 7" in shown(off)
    assert "It adds up." not in shown(off)
    assert "the buckets do not add up" in shown(off)
    broken = taken()
    broken.account.problems.append("1 contacts are in two cases")
    assert not broken.good
    assert "1 contacts are in two cases" in shown(broken)
    assert balance.line(broken).endswith("DOES NOT ADD UP: 1 contacts are in two cases")


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "less than a second"), (59_999, "59 s"), (3_600_000, "1 h"), (200_000_000, "2 d")],
)
def test_durations(ms: int, text: str) -> None:
    assert balance.duration(ms) == text
