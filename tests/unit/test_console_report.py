"""Reports in the console: what is asked for, how far it is, and files of what was counted."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import grpc
import pytest
from mawja.reports.v1 import service_pb2 as pb
from mawja.reports.v1 import service_pb2_grpc

from services.console.calls import Refused
from services.console.report.asked import asked
from services.console.report.cards import as_csv
from services.console.report.jobs import Job, Jobs
from services.runtime import rpc
from services.runtime.errors import NotFound
from services.runtime.identity import Role
from tests.console_rig import desk

NOW = 1_790_000_000_000
ZONE = ZoneInfo("Asia/Dubai")
CAMPAIGN = "01f7ea56-0000-5000-8000-000000000000"
PAGE = "<!doctype html><html><head><style>p{color:red}</style></head><body><p>x</p></body></html>"


class Told(service_pb2_grpc.ReportServiceServicer):
    """A room that has one card and one paper, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def GetScorecard(
        self, request: pb.GetScorecardRequest, context: Any
    ) -> AsyncIterator[pb.GetScorecardResponse]:
        self.asked.append((request, rpc.CALLER.get()))
        yield pb.GetScorecardResponse(progress=pb.Progress(read=2000, total=80_000))
        await self.goes_on.wait()
        figures = pb.Figures(
            contacts=7, dialled=5, people=6, needs=6, answered=4, answered_share=0.8
        )
        yield pb.GetScorecardResponse(
            scorecard=pb.Scorecard(
                whole=figures,
                groups=[
                    pb.Group(code="+16000", figures=figures),
                    pb.Group(code="<b>109</b>", figures=pb.Figures(contacts=1)),
                ],
                targets=[pb.Target(figure="answered_share", least=0.9)],
                made_ms=NOW,
            )
        )

    async def MakeReport(
        self, request: pb.MakeReportRequest, context: Any
    ) -> AsyncIterator[pb.MakeReportResponse]:
        self.asked.append((request, rpc.CALLER.get()))
        if request.campaign_id.startswith("0000"):
            raise NotFound("the log has no campaign of that id")
        yield pb.MakeReportResponse(progress=pb.Progress(waiting=True))
        media = "text/html; charset=utf-8"
        yield pb.MakeReportResponse(
            file=pb.File(name="surge-en.html", media_type=media, size=len(PAGE), made_ms=NOW)
        )
        yield pb.MakeReportResponse(piece=PAGE[:20].encode())
        yield pb.MakeReportResponse(piece=PAGE[20:].encode())


def adds(told: Told) -> Any:
    return partial(service_pb2_grpc.add_ReportServiceServicer_to_server, told)


async def test_a_card_is_shown_in_words_and_hostile_codes_as_text(tmp_path: Path) -> None:
    told = Told()
    async with desk(tmp_path, adds(told)) as on:
        page = await on.get("/report?span=4h&by=line", Role.COORDINATOR)
        assert page.status_code == 200
        assert "&lt;b&gt;109&lt;/b&gt;" in page.text
        assert "<b>109</b>" not in page.text
        assert "80.0%" in page.text
        request, caller = told.asked[0]
        assert (request.by, request.drill) == (pb.GROUPING_LINE, False)
        assert caller.roles == {Role.COORDINATOR}
        # The same address again is the same job.
        await on.get("/report?span=4h&by=line", Role.COORDINATOR)
        assert len(told.asked) <= 2


async def test_what_takes_long_says_how_far_it_is_and_asks_again(tmp_path: Path) -> None:
    told = Told()
    told.goes_on.clear()
    async with desk(tmp_path, adds(told)) as on:
        page = await on.get("/report?span=from&since_ms=5&by=hour", Role.AUDITOR)
        assert "2,000 of 80,000" in page.text
        assert 'hx-get="/report/card?span=from&amp;since_ms=5' in page.text
        told.goes_on.set()
        again = await on.get("/report/card?span=from&since_ms=5&until_ms=0&by=hour", Role.AUDITOR)
        assert "80.0%" in again.text
        assert len(told.asked) == 1


async def test_files_hold_every_group_and_no_formula(tmp_path: Path) -> None:
    async with desk(tmp_path, adds(Told())) as on:
        table = await on.get("/report/card.csv?by=line", Role.LIAISON)
        rows = list(csv.reader(io.StringIO(table.text.removeprefix("\ufeff"))))
        assert [row[0] for row in rows] == ["line", "'+16000", "<b>109</b>", "*"]
        assert rows[1][rows[0].index("answered_share")] == "0.8"
        assert rows[2][rows[0].index("answered_share")] == ""
        told = (await on.get("/report/card.json?by=line", Role.LIAISON)).json()
        assert told["whole"]["contacts"] == "7"
        assert told["targets"] == [{"figure": "answered_share", "least": 0.9}]


async def test_a_paper_is_made_and_read_without_any_script(tmp_path: Path) -> None:
    told = Told()
    async with desk(tmp_path, adds(told)) as on:
        sent = await on.get("/report/surge?span=24h&name=Flood&drill=1", Role.COORDINATOR)
        assert sent.status_code == 303
        made = await on.get(sent.headers["location"], Role.COORDINATOR)
        assert "/report/paper?span=from" in made.text
        assert told.asked[0][0].surge.name == "Flood"
        assert told.asked[0][0].surge.drill
        paper = await on.get(f"/report/paper?campaign={CAMPAIGN}&language=ar", Role.COORDINATOR)
        assert paper.text == PAGE
        assert told.asked[-1][0].language == "ar"
        policy = paper.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "'sha256-" in policy
        assert "script-src" not in policy
        assert "'self'" not in policy


@pytest.mark.parametrize(
    ("path", "role", "status"),
    [
        ("/report", Role.AGENT, 403),
        ("/report/card.csv", Role.AGENT, 403),
        ("/report/surge", Role.LIAISON, 403),
        ("/report/paper", Role.LIAISON, 403),
        (f"/report/paper?campaign={'0' * 8}-0000-5000-8000-{'0' * 12}", Role.AUDITOR, 404),
        (
            "/report/surge?span=from&since=2026-11-22T10:00&until=2026-11-22T09:00",
            Role.AUDITOR,
            422,
        ),
        ("/report?span=from&since=yesterday", Role.AUDITOR, 200),
    ],
)
async def test_who_may_not_and_what_can_not_be(
    tmp_path: Path, path: str, role: Role, status: int
) -> None:
    async with desk(tmp_path, adds(Told())) as on:
        page = await on.get(path, role)
        assert page.status_code == status
        if "yesterday" in path:
            assert 'aria-invalid="true"' in page.text


def test_times_are_those_of_the_house_and_whole_minutes() -> None:
    of = asked(
        {"span": "from", "since": "2026-11-22T10:00", "until": "2026-11-22T11:00"}, NOW, ZONE
    )
    assert of.until_ms - of.since_ms == 3_600_000
    assert of.since_ms == 1_795_327_200_000
    assert asked({"span": "1h"}, NOW + 999, ZONE).since_ms == asked({}, NOW, ZONE).since_ms + (
        23 * 3_600_000
    )
    again = dict(part.split("=") for part in of.address("/x").partition("?")[2].split("&"))
    assert asked(again, NOW, ZONE).since_ms == of.since_ms
    assert asked(again, NOW, ZONE).since == "2026-11-22T10:00"
    assert asked({"span": "from", "since_ms": "-5"}, NOW, ZONE).since_ms == 0


def test_an_empty_card_is_a_file_too() -> None:
    rows = list(csv.reader(io.StringIO(as_csv(pb.Scorecard(), "agency").removeprefix("\ufeff"))))
    assert len(rows) == 2
    assert json.loads(json.dumps(rows[1]))[0] == "*"


async def test_a_job_that_failed_for_now_is_begun_again_and_one_that_was_refused_is_not() -> None:
    jobs, begun = Jobs(), []

    def fails(away: bool) -> Any:
        async def do(job: Job) -> None:
            begun.append(away)
            raise Refused(grpc.StatusCode.UNAVAILABLE.name, "no", away=away)

        return do

    for away in (True, True, False, False):
        await jobs.of(away, fails(away)).wait(1)
    assert begun == [True, True, False]
