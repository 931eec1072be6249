"""AlertService over gRPC: alerts of CAP 1.2 into plans, campaigns into alerts. Keeps nothing; any
replica serves.

An alert of 1 MiB takes a fraction of a second to read, so it is read beside the loop, one at a
time: the schema's findings belong to one reading.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from cryptography.hazmat.primitives.hashes import SHA256
from mawja.broadcast.v1 import alerts_pb2, alerts_pb2_grpc
from mawja.broadcast.v1.campaigns_pb2 import CampaignPlan

from services.broadcast.campaigns.alerts import EVENTS, LONGEST_TEXT, Event, alert_from, plan_of
from services.broadcast.campaigns.plans import problems
from services.broadcast.cap.drafts import Draft, draft_of
from services.broadcast.cap.model import (
    Alert,
    CapError,
    Category,
    Certainty,
    MsgType,
    Problem,
    Reference,
    Severity,
    Signature,
    Urgency,
)
from services.broadcast.cap.reading import SIGNED, parse
from services.broadcast.cap.writing import write
from services.runtime import rpc
from services.runtime.clock import now_ms
from services.runtime.errors import NotInState, Violation

if TYPE_CHECKING:
    import grpc
    from cryptography import x509

    from services.broadcast.campaigns.looking import Looking
    from services.broadcast.cap.sealing import Seal

    Context = grpc.aio.ServicerContext[Any, Any]

_T = TypeVar("_T")
_SIGNATURES = {
    Signature.NONE: alerts_pb2.ALERT_SIGNATURE_NONE,
    Signature.UNCHECKED: alerts_pb2.ALERT_SIGNATURE_UNCHECKED,
    Signature.VERIFIED: alerts_pb2.ALERT_SIGNATURE_VALID,
}
_KINDS = {
    MsgType.ALERT: alerts_pb2.ALERT_KIND_ALERT,
    MsgType.UPDATE: alerts_pb2.ALERT_KIND_UPDATE,
    MsgType.CANCEL: alerts_pb2.ALERT_KIND_CANCEL,
}
_NO_CORRECTIONS = "say what a recall would say: without it nobody can approve the campaign"


class AlertServicer(alerts_pb2_grpc.AlertServiceServicer):
    """See protos/mawja/broadcast/v1/alerts.proto. `sender`: how this centre is named among those
    that exchange alerts, empty when it was not told; `trusted`: whose signatures count; `seal`:
    signs what is exported."""

    def __init__(
        self,
        looking: Looking,
        sender: str,
        trusted: Sequence[x509.Certificate],
        seal: Seal | None,
    ) -> None:
        self._looking = looking
        self._sender = sender
        self._trusted = tuple(trusted)
        self._seal = seal
        self._one = asyncio.Lock()

    async def ReadAlert(
        self, request: alerts_pb2.ReadAlertRequest, context: Context
    ) -> alerts_pb2.ReadAlertResponse:
        """What a campaign would be that says what an alert says."""
        agency, now = rpc.CALLER.get().agency, now_ms()
        return await self._beside(lambda: told(request.alert, self._trusted, agency, now))

    async def ExportAlert(
        self, request: alerts_pb2.ExportAlertRequest, context: Context
    ) -> alerts_pb2.ExportAlertResponse:
        """A campaign as an alert."""
        if not self._sender:
            raise NotInState(
                "this service was not told how it is named among those that exchange alerts; set "
                "MAWJA_CAP_SENDER"
            )
        campaign = await self._looking.campaign(request.campaign_id.lower())
        event = Event(
            request.events or EVENTS[campaign.plan.kind],
            Category(request.category or Category.SAFETY),
            Urgency(request.urgency or Urgency.UNKNOWN),
            Severity(request.severity or Severity.UNKNOWN),
            Certainty(request.certainty or Certainty.UNKNOWN),
        )
        try:
            alert = alert_from(campaign, self._sender, event, request.first)
            written = await self._beside(lambda: self._written(alert))
        except CapError as error:
            raise NotInState(f"this campaign can't be an alert: {error}") from None
        return alerts_pb2.ExportAlertResponse(
            alert=written,
            name=_name(alert.reference()),
            kind=_KINDS[alert.msg_type],
            references=map(_name, alert.references),
            signed=self._seal is not None,
        )

    def _written(self, alert: Alert) -> bytes:
        written = write(alert)
        return written if self._seal is None else self._seal.signed(written)

    async def _beside(self, work: Callable[[], _T]) -> _T:
        async with self._one:
            return await asyncio.to_thread(work)


def told(
    data: bytes, trusted: Sequence[x509.Certificate], agency: str, at_ms: int
) -> alerts_pb2.ReadAlertResponse:
    """What an alert says to who speaks for `agency` (empty: the centre). `at_ms`: now, Unix ms."""
    try:
        alert = parse(data, trusted)
    except CapError as error:
        broken = alerts_pb2.ReadAlertResponse(problems=map(_problem, error.problems))
        if any(one.path == SIGNED for one in error.problems):
            broken.signature = alerts_pb2.ALERT_SIGNATURE_REFUSED
        return broken
    said = alerts_pb2.ReadAlertResponse(
        signature=_SIGNATURES[alert.signature],
        name=_name(alert.reference()),
        references=map(_name, alert.references),
    )
    for one in trusted:
        if one.fingerprint(SHA256()).hex() == alert.signed_by:
            said.signed_by = one.subject.rfc4514_string()
            said.certificate_sha256 = one.fingerprint(SHA256())
    try:
        draft = draft_of(alert)
    except CapError as error:
        said.problems.extend(map(_problem, error.problems))
        return said
    plan = plan_of(draft, at_ms)
    plan.agency = agency
    said.kind = _KINDS[draft.kind]
    said.agency = draft.agency
    said.places.extend(alerts_pb2.AlertPlace(names=place.names) for place in draft.places)
    said.remarks.extend(_remarks(draft))
    said.plan.CopyFrom(plan)
    said.gaps.extend(
        alerts_pb2.PlanGap(field=gap.field, rule=gap.rule) for gap in _gaps(plan, at_ms)
    )
    return said


def _gaps(plan: CampaignPlan, at_ms: int) -> list[Violation]:
    """What is left to fill in, once a field: in our own words where there are any."""
    found = {one.field: one for one in rpc.violations(plan, "plan")}
    if any(len(text.template) > LONGEST_TEXT for text in plan.texts):
        # Refused for that alone: an alert's text may be a thousand times as long as it is read for.
        short = CampaignPlan()
        short.CopyFrom(plan)
        short.ClearField("texts")
        plan = short
    found.update((one.field, one) for one in problems(plan, at_ms))
    if not plan.corrections:
        found["plan.corrections"] = Violation("plan.corrections", _NO_CORRECTIONS)
    return list(found.values())


def _remarks(draft: Draft) -> Iterator[alerts_pb2.AlertRemark]:
    for remark in draft.remarks:
        yield alerts_pb2.AlertRemark(remark=remark)
    for text in draft.texts:
        for remark in text.remarks:
            yield alerts_pb2.AlertRemark(language=text.language, remark=remark)


def _problem(problem: Problem) -> alerts_pb2.AlertProblem:
    return alerts_pb2.AlertProblem(path=problem.path, line=problem.line or 0, rule=problem.rule)


def _name(reference: Reference) -> alerts_pb2.AlertName:
    return alerts_pb2.AlertName(
        sender=reference.sender, identifier=reference.identifier, sent_ms=reference.sent_ms
    )
