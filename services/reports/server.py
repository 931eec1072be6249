"""ReportService over gRPC; see protos/mawja/reports/v1/service.proto."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mawja.reports.v1 import service_pb2 as pb
from mawja.reports.v1 import service_pb2_grpc

from services.broadcast.rules.zones import zone as zone_of
from services.reports.cards import BY, of_agency, scorecard
from services.reports.papers import Made, Paper, campaign, surge
from services.reports.work import Tell, Work
from services.runtime import rpc
from services.runtime.clock import Millis, now_ms
from services.runtime.errors import ConfigError, Forbidden, Invalid, NotFound, NotInState, Violation
from services.tools.afteraction.reading import Asked
from services.tools.scorecards.figures import Card, card
from services.tools.scorecards.grouping import grouping
from services.tools.scorecards.reading import read

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]

_KEPT_MS = 10 * 60_000
_MOST_KEPT = 6
_PIECE = 1 << 20
_MEDIA = {
    pb.Format.FORMAT_HTML: "text/html; charset=utf-8",
    pb.Format.FORMAT_PDF: "application/pdf",
}


@dataclass(frozen=True, slots=True)
class _Card:
    card: Card
    others: int


class ReportServicer(service_pb2_grpc.ReportServiceServicer):
    """Reads Kafka at `kafka`; `catalogue` is the folder of agencies, None for the shipped ones."""

    def __init__(self, kafka: str, catalogue: Path | None, clock: Millis = now_ms) -> None:
        self._kafka = kafka
        self._catalogue = catalogue
        self._clock = clock
        self._turn = asyncio.Lock()
        self._papers: OrderedDict[bytes, Paper] = OrderedDict()

    async def GetScorecard(
        self, request: pb.GetScorecardRequest, context: "Context"
    ) -> AsyncIterator[pb.GetScorecardResponse]:
        """How well people were served."""
        caller = rpc.CALLER.get()
        if not caller.agency and not caller.sees(""):
            raise Forbidden("a liaison sees their own agency only, and this token names none")
        in_zone, _ = _zone(request.zone)
        _check_span(request.since_ms, request.until_ms)
        by, agency = grouping(BY[request.by], in_zone), caller.agency

        def make(tell: Tell) -> _Card:
            calls = read(self._kafka, request.drill, request.since_ms, tell)
            made = card(
                calls,
                by,
                request.since_ms,
                request.until_ms,
                lambda counted: of_agency(agency, counted),
            )
            return _Card(made, 0 if agency else calls.of_other_kind)

        work = Work(self._turn, make)
        async for progress in _told(work):
            yield pb.GetScorecardResponse(progress=progress)
        assert work.done is not None
        made = scorecard(work.done.card, work.done.others, self._clock())
        yield pb.GetScorecardResponse(scorecard=made)

    async def MakeReport(
        self, request: pb.MakeReportRequest, context: "Context"
    ) -> AsyncIterator[pb.MakeReportResponse]:
        """What became of a campaign, or what happened in a surge."""
        in_zone, zone_name = _zone(request.zone)
        if request.HasField("surge"):
            _check_span(request.surge.since_ms, request.surge.until_ms, "surge.")
        paper = self._held(request)
        if paper is None:
            work = Work(self._turn, self._reading(request))
            async for progress in _told(work):
                yield pb.MakeReportResponse(progress=progress)
            assert work.done is not None
            paper = work.done
            self._keep(request, paper)
        setting = Work(
            self._turn, lambda _: paper.file(request.language, request.format, in_zone, zone_name)
        )
        async for progress in _told(setting):
            yield pb.MakeReportResponse(progress=progress)
        made: Made | None = setting.done
        assert made is not None
        yield pb.MakeReportResponse(
            file=pb.File(
                name=made.name,
                media_type=_MEDIA[request.format],
                size=len(made.content),
                made_ms=paper.made_ms,
            )
        )
        for at in range(0, len(made.content), _PIECE):
            yield pb.MakeReportResponse(piece=made.content[at : at + _PIECE])

    def _reading(self, request: pb.MakeReportRequest) -> Callable[[Tell], Paper]:
        now = self._clock()
        if request.HasField("surge"):
            of = request.surge
            asked = Asked(of.since_ms, of.until_ms, of.drill, of.name)
            return lambda tell: surge(self._kafka, asked, self._catalogue, now, tell)
        campaign_id = request.campaign_id.lower()
        return lambda tell: campaign(self._kafka, campaign_id, now, tell)

    def _held(self, request: pb.MakeReportRequest) -> Paper | None:
        now = self._clock()
        for key, paper in list(self._papers.items()):
            if paper.made_ms < now - _KEPT_MS:
                del self._papers[key]
        return self._papers.get(_key(request))

    def _keep(self, request: pb.MakeReportRequest, paper: Paper) -> None:
        self._papers[_key(request)] = paper
        while len(self._papers) > _MOST_KEPT:
            self._papers.popitem(last=False)


def _key(request: pb.MakeReportRequest) -> bytes:
    """What it is of; language, format and zone are how it is told."""
    of = pb.MakeReportRequest()
    if request.HasField("surge"):
        of.surge.CopyFrom(request.surge)
    else:
        of.campaign_id = request.campaign_id.lower()
    return of.SerializeToString(deterministic=True)


async def _told(work: Work[Any]) -> AsyncIterator[pb.Progress]:
    """Its progress, with what can be mended as an error that a caller understands."""
    try:
        async for progress in work.progress():
            yield progress
    except ConfigError as error:
        said = str(error)
        if "has no campaign" in said:
            raise NotFound(said) from error
        raise NotInState(said) from error


def _zone(name: str) -> tuple[tzinfo, str]:
    if not name:
        return UTC, "UTC"
    try:
        return zone_of(name), name
    except KeyError:
        raise Invalid([Violation("zone", "no such time zone: one such as Asia/Dubai")]) from None


def _check_span(since_ms: int, until_ms: int, prefix: str = "") -> None:
    if until_ms and until_ms <= since_ms:
        raise Invalid([Violation(f"{prefix}until_ms", "must be after since_ms, or 0")])
