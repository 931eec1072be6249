"""ReportService on a real Kafka: progress, cards and files, and who gets what."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from mawja.reports.v1 import service_pb2 as pb
from mawja.reports.v1 import service_pb2_grpc

from services.reports.server import ReportServicer
from services.runtime import rpc
from services.runtime.config import Settings
from services.runtime.identity import Role, Verifier
from tests.intake_rig import shown
from tests.integration.test_campaign_report import Owners
from tests.surge_log import surge

if TYPE_CHECKING:
    Stub = service_pb2_grpc.ReportServiceAsyncStub


@pytest.fixture(scope="module")
async def stub(settings: Settings) -> AsyncIterator["Stub"]:
    """The service, on a log in which a rehearsal took place."""
    with contextlib.closing(Owners(settings.kafka)) as owners:
        await asyncio.to_thread(owners.write, surge().all())
    server = rpc.server(Verifier(settings.keys))
    service_pb2_grpc.add_ReportServiceServicer_to_server(
        ReportServicer(settings.kafka, None), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with rpc.channel(f"ipv4:127.0.0.1:{port}") as channel:
        made: Stub = service_pb2_grpc.ReportServiceStub(channel)
        yield made
    await server.stop(0)


async def card(stub: "Stub", who: Any, **asked: Any) -> pb.Scorecard:
    request = pb.GetScorecardRequest(**asked)
    *progress, last = [told async for told in stub.GetScorecard(request, metadata=who)]
    assert all(told.HasField("progress") for told in progress)
    return last.scorecard


async def report(stub: "Stub", who: Any, request: pb.MakeReportRequest) -> tuple[pb.File, bytes]:
    told = [told async for told in stub.MakeReport(request, metadata=who)]
    (file,) = [one.file for one in told if one.HasField("file")]
    return file, b"".join(one.piece for one in told)


async def test_a_scorecard_adds_up_and_a_liaison_gets_their_own(
    stub: "Stub", settings: Settings
) -> None:
    lead = shown(settings, "lead", Role.COORDINATOR)
    by_agency = await card(stub, lead, by=pb.GROUPING_AGENCY, drill=True)
    assert by_agency.whole.contacts == 15
    assert sum(group.figures.contacts for group in by_agency.groups) == 15
    assert {target.figure for target in by_agency.targets} >= {"answered_share", "mean_wait_s"}
    code = next(group.code for group in by_agency.groups if group.code)
    own = next(group.figures for group in by_agency.groups if group.code == code)

    liaison = shown(settings, "li", Role.LIAISON, agency=code)
    theirs = await card(stub, liaison, by=pb.GROUPING_HOUR, drill=True, zone="Asia/Dubai")
    assert theirs.whole == own
    assert all(group.hour_ms for group in theirs.groups)
    assert not theirs.others

    real = await card(stub, lead, by=pb.GROUPING_LINE)
    assert (real.whole.contacts, real.others) == (0, 15)


async def test_a_report_is_a_file_in_either_language_and_format(
    stub: "Stub", settings: Settings
) -> None:
    auditor = shown(settings, "aud", Role.AUDITOR)
    of = pb.Surge(drill=True, name="Flood drill")
    file, page = await report(
        stub, auditor, pb.MakeReportRequest(surge=of, language="en", format=pb.FORMAT_HTML)
    )
    assert file.name == "drill-20261122-en.html"
    assert file.size == len(page)
    assert "13 people reached out" in page.decode()
    again, paper = await report(
        stub, auditor, pb.MakeReportRequest(surge=of, language="ar", format=pb.FORMAT_PDF)
    )
    assert paper.startswith(b"%PDF")
    # Read once: told in another language it is of the same moment.
    assert again.made_ms == file.made_ms


@pytest.mark.parametrize(
    ("role", "request_", "code"),
    [
        (Role.COORDINATOR, {"campaign_id": "0" * 8 + "-0000-5000-8000-" + "0" * 12}, "NOT_FOUND"),
        (Role.COORDINATOR, {"surge": pb.Surge(since_ms=9, until_ms=9)}, "INVALID_ARGUMENT"),
        (Role.COORDINATOR, {"surge": pb.Surge(), "zone": "Asia/Nowhere"}, "INVALID_ARGUMENT"),
        (Role.COORDINATOR, {}, "INVALID_ARGUMENT"),
        (Role.LIAISON, {"surge": pb.Surge()}, "PERMISSION_DENIED"),
        (Role.AGENT, {"surge": pb.Surge()}, "PERMISSION_DENIED"),
    ],
)
async def test_what_can_not_be_made_is_refused_with_its_reason(
    stub: "Stub", settings: Settings, role: Role, request_: dict[str, Any], code: str
) -> None:
    request = pb.MakeReportRequest(language="en", format=pb.FORMAT_HTML, **request_)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await report(stub, shown(settings, "x", role, agency="moh"), request)
    assert refused.value.code().name == code
