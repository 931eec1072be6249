"""What a row of an export says, and that no cell of it is a formula."""

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    AudienceFile,
    ExportCampaignResponse,
    ExportedCorrection,
    ExportedRecipient,
    ExportEnd,
    ExportRows,
    ExportStart,
)

from services.local.progress import Silent
from services.runtime.errors import Away, ConfigError
from services.tools.campaigns.export import HEADINGS, cell, cells, file_at, written

DUBAI = ZoneInfo("Asia/Dubai")
ROW = ExportedRecipient(
    file=0,
    line=7,
    number="+971501234567",
    language="ar+en",
    bucket=campaigns_pb2.BUCKET_OPTED_OUT,
    reason="opt-out",
    carrier="one",
    parts=2,
    attempts=1,
    decided_ms=1_795_000_000_000,
)


def pieces(rows: int, said: int, end: bool = True) -> Iterator[ExportCampaignResponse]:
    file = AudienceFile(name='=HYPERLINK("x")', recipients=rows)
    yield ExportCampaignResponse(start=ExportStart(files=[file]))
    for _ in range(rows):
        yield ExportCampaignResponse(rows=ExportRows(recipients=[ROW]))
    if end:
        yield ExportCampaignResponse(end=ExportEnd(rows=said))


@pytest.mark.parametrize("language", ["ar", "en"])
def test_a_spreadsheet_reads_it(language: str) -> None:
    file = io.StringIO(newline="")
    written(pieces(2, 2), file, language, DUBAI, Silent())  # type: ignore[arg-type]
    text = file.getvalue()
    # Without it a spreadsheet takes Arabic for something else.
    assert text.encode().startswith(b"\xef\xbb\xbf")
    head, *rows = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
    assert tuple(head) == HEADINGS[language]  # type: ignore[index]
    assert rows[0] == rows[1]
    assert rows[0][:10] == [
        '\'=HYPERLINK("x")',
        "7",
        "'+971501234567",
        "ar+en",
        "opted out",
        "opt-out",
        "one",
        "2",
        "1",
        "2026-11-18 15:06:40+04:00",
    ]
    assert rows[0][10:] == [""] * 5


@pytest.mark.parametrize(
    "broken", [pieces(2, 3), pieces(2, 2, end=False), iter(())], ids=["short", "cut", "nothing"]
)
def test_what_is_not_whole_is_no_export(broken: Iterator[ExportCampaignResponse]) -> None:
    with pytest.raises(Away):
        written(broken, io.StringIO(), "en", DUBAI, Silent())


def test_a_correction_has_its_own_columns() -> None:
    row = ExportedRecipient()
    row.CopyFrom(ROW)
    row.correction.CopyFrom(
        ExportedCorrection(bucket=campaigns_pb2.BUCKET_DELIVERED, carrier="two", parts=3)
    )
    assert cells(row, "list.csv", DUBAI)[10:] == ("delivered", "", "two", 3, "")
    assert len(HEADINGS["ar"]) == len(HEADINGS["en"]) == len(cells(row, "list.csv", DUBAI))


@given(st.text(st.characters(codec="utf-8")))
def test_no_cell_begins_like_a_formula(text: str) -> None:
    assert not cell(text).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cell(text).endswith(text)


def test_what_is_no_file_is_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for to in (pipe, tmp_path):
        with pytest.raises(ConfigError, match="it is no file"), file_at(to):
            pass
    assert pipe.is_fifo()


def test_a_link_stays_and_leads_to_the_new_file(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    with file_at(tmp_path / "link.csv") as file:
        file.write("rows")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text("utf-8") == "rows"
