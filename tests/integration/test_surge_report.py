"""`mawja report surge` on a real Kafka: what it reads, what it writes, and that it is the same when
it is made again."""

import contextlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.runtime.topics import CASE
from services.tools.afteraction.command import app
from tests.integration.test_campaign_report import Owners
from tests.report_log import Written
from tests.surge_log import surge


@pytest.fixture(scope="module")
def log(kafka: str) -> None:
    """A rehearsal, and after it something else."""
    with contextlib.closing(Owners(kafka)) as owners:
        owners.write(surge().all())


def reported(kafka: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["surge", *arguments], env={"MAWJA_KAFKA": kafka})


def test_the_booklet_is_written_and_can_be_made_again(
    kafka: str, log: None, tmp_path: Path
) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    done = reported(kafka, "--drill", "--name", "Flood drill", "--to", str(first))
    assert done.exit_code == 0, done.output
    files = {path.name: path.read_bytes() for path in first.iterdir()}
    stem = "drill-20261122"
    assert set(files) == {
        f"{stem}.json",
        *(f"{stem}-{code}.{kind}" for code in ("ar", "en") for kind in ("html", "pdf")),
    }
    page = files[f"{stem}-en.html"].decode()
    assert "13 people reached out: 15 contacts, about 13 needs" in page
    # The campaign is read from its beginning, its messages from theirs.
    assert "ملاجئ الشمال (North)" in page
    told = json.loads(files[f"{stem}.json"])
    assert set(told["through"]) >= {
        "broadcast.campaign.v1",
        "broadcast.message-status.v1",
        "dedup.case.v1",
        "outreach.callback.v1",
        "wave.burst.v1",
    }
    # Life goes on: another surge comes.
    more = surge()
    more.contact("later", 20, 4_000)
    with contextlib.closing(Owners(kafka)) as owners:
        owners.write([Written(CASE, 0, more.desk.log[-1])])
    repeated = reported(kafka, "--to", str(again), "--again", str(first / f"{stem}.json"))
    assert repeated.exit_code == 0, repeated.output
    assert {path.name: path.read_bytes() for path in again.iterdir()} == files


def test_a_rehearsal_is_in_no_report_of_real_calls(kafka: str, log: None, tmp_path: Path) -> None:
    done = reported(kafka, "--lang", "en", "--no-pdf", "--to", str(tmp_path))
    assert done.exit_code == 0, done.output
    (page,) = tmp_path.glob("surge-*-en.html")
    assert "Nobody reached out in this time" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--zone", "Asia/Nowhere"], "time zone"),
        (["--since", "yesterday"], "--since must be"),
        (["--since", "1h", "--until", "2h"], "--until must be after --since"),
        (["--again", "missing.json"], "missing.json"),
        (["--again", "missing.json", "--drill"], "says itself"),
    ],
)
def test_what_a_person_can_mend_is_told_in_one_line(
    kafka: str, arguments: list[str], said: str
) -> None:
    done = reported(kafka, *arguments)
    assert done.exit_code == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
