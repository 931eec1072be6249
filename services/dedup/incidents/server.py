"""What DedupService shows of incidents, and how a person parts what does not belong together.

Any replica serves. A liaison sees the incidents that have cases of their agency; the counts are of
the whole incident, which names nobody, and the samples those of their agency's cases. Texts leave
here only as samples, with what is personal struck out.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import incidents_pb2, service_pb2

from services.dedup.incidents import views
from services.dedup.incidents.group import RECENT_MS
from services.dedup.incidents.redact import redacted
from services.dedup.known import uuid_of
from services.dedup.server import DedupServicer, asked_agency, parse_token
from services.runtime import ids, rpc
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.errors import NotFound, Poison
from services.runtime.identity import Caller
from services.runtime.own import Record
from services.runtime.privacy import Erased
from services.runtime.tail import Tail
from services.runtime.topics import INCIDENT_COMMAND
from services.runtime.views import Views

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]

_PAGE = 50
_MOST_CASES = 500
_HOUR_MS = 3_600_000
_ERASED = "[erased]"
_HIDDEN_S = 60.0
_MOST_HIDDEN = 1_000
_MOST_NAMES = 64
"""How often an incident is looked for under the name of what it became part of."""
Decision = incidents_pb2.IncidentDecision


def decision_of(record: Record) -> Decision | None:
    """What watchers may want to hear of; None for what changed no incident."""
    decision = Decision.FromString(record.value or b"")
    return decision if decision.incidents else None


class IncidentServicer(DedupServicer):
    """All RPCs of the service: cases from the base, incidents from here."""

    def watch_incidents(self, view: Views, changes: Tail[Decision]) -> "IncidentServicer":
        """Where incidents are shown, and where their changes come from."""
        self._incidents = view
        self._incident_changes = changes
        self._hidden: dict[bytes, tuple[str, float]] = {}
        return self

    async def GetCase(
        self, request: service_pb2.GetCaseRequest, context: "Context"
    ) -> service_pb2.GetCaseResponse:
        """One case, with its incident and the cases it is linked with."""
        response = await super().GetCase(request, context)
        place = await self._place(response.case.case_id)
        if place.incident_id:
            # One that is empty by now, or not the caller's to see, does not hide the case.
            with suppress(NotFound):
                shown = self._shown(await self._incident(place.incident_id))
                response.incident.CopyFrom(shown)
        response.linked.extend(place.links)
        response.unlinked.extend(self._unlink_shown(unlinked) for unlinked in place.unlinked)
        return response

    async def ListIncidents(
        self, request: service_pb2.ListIncidentsRequest, context: "Context"
    ) -> service_pb2.ListIncidentsResponse:
        """A page of incidents."""
        agency = asked_agency(request.agency)
        count = request.page_size or _PAGE
        at = parse_token(request.page_token) if request.page_token else None
        page = await self._incidents.after(views.list_index(agency or views.ANY), at, count)
        keys = [views.incident_key(uuid_of(member)) for _, member in page]
        found = await self._incidents.get(*keys) if keys else []
        incidents = [incidents_pb2.Incident.FromString(payload) for payload in found if payload]
        least = max(1, request.at_least or 2)
        token = f"{int(page[-1][0])}.{page[-1][1].hex()}" if len(page) == count else ""
        return service_pb2.ListIncidentsResponse(
            incidents=[
                self._shown(one)
                for one in incidents
                if one.cases >= least and (not agency or _concerns(one, agency))
            ],
            next_page_token=token,
        )

    async def GetIncident(
        self, request: service_pb2.GetIncidentRequest, context: "Context"
    ) -> service_pb2.GetIncidentResponse:
        """One incident, also by the name of one that became part of it."""
        incident = await self._incident(request.incident_id.lower())
        index = views.cases_index(incident.incident_id)
        members = await self._incidents.range(index, 0, _MOST_CASES)
        return service_pb2.GetIncidentResponse(
            incident=self._shown(incident), case_ids=[uuid_of(member) for member in members]
        )

    async def WatchIncidents(
        self, request: service_pb2.WatchIncidentsRequest, context: "Context"
    ) -> AsyncIterator[service_pb2.WatchIncidentsResponse]:
        """Changes from now on."""
        agency = asked_agency(request.agency)
        with self._incident_changes.watch() as changes:
            async for decision in changes:
                for incident in decision.incidents:
                    if not agency or _concerns(incident, agency):
                        yield service_pb2.WatchIncidentsResponse(
                            change=decision.change, incident=self._shown(incident)
                        )

    async def Unlink(
        self, request: service_pb2.UnlinkRequest, context: "Context"
    ) -> service_pb2.UnlinkResponse:
        """Parts a case from an incident or from another case, for good."""
        case = (await self._find(request.case_id)).case
        other = (request.incident_id or request.other_case_id).lower()
        place = await self._place(case.case_id)
        subject = rpc.CALLER.get().subject
        # With what it is about: a request_id used again for another is another request.
        about = f"{case.case_id}/{other}/{request.request_id}"
        command_id = ids.command_id(subject, "Unlink", about)
        at = now_ms()
        command = incidents_pb2.IncidentCommand(
            envelope=common_pb2.CommandEnvelope(
                command_id=command_id,
                reply_to=self._replies.channel,
                subject=subject,
                asked_ms=at,
            ),
            case_id=case.case_id,
            unlink=incidents_pb2.Unlink(
                other_id=other,
                incident=bool(request.incident_id),
                sealed_reason=self._keyring.seal("reason", request.reason, at, case.person),
            ),
        )
        told = Decision.FromString(
            await self._replies.ask(
                self._producer,
                INCIDENT_COMMAND,
                place.partition,
                command_id,
                command.SerializeToString(),
            )
        )
        rpc.raise_refusal(told.outcome.code, told.outcome.message)
        return service_pb2.UnlinkResponse(incident_id=told.incident_id, linked=told.links)

    async def _place(self, case_id: str) -> incidents_pb2.CasePlaceView:
        [payload] = await self._incidents.get(views.case_key(case_id))
        return incidents_pb2.CasePlaceView.FromString(payload or b"")

    async def _incident(self, incident_id: str) -> incidents_pb2.Incident:
        """The incident of this name, or what it became part of. Raises NotFound."""
        asked = incident_id
        for _ in range(_MOST_NAMES):
            [payload] = await self._incidents.get(views.incident_key(asked))
            incident = incidents_pb2.Incident.FromString(payload or b"")
            if incident.joined_into:
                asked = incident.joined_into
                continue
            if not incident.cases or not _may_see(rpc.CALLER.get(), incident):
                break
            return incident
        raise NotFound("there is no such incident")

    def _shown(self, incident: incidents_pb2.Incident) -> service_pb2.ShownIncident:
        shown = service_pb2.ShownIncident(incident=incident)
        del shown.incident.samples[:]
        shown.samples.extend(self._samples(incident.samples))
        shown.hourly = incident.recent * _HOUR_MS / RECENT_MS
        shown.growth = incident.recent / incident.before if incident.before else 0.0
        return shown

    def _samples(
        self, sealed: Iterable[incidents_pb2.SealedSample]
    ) -> Iterable[service_pb2.IncidentSample]:
        caller = rpc.CALLER.get()
        for sample in sealed:
            if not caller.sees(sample.agency):
                continue
            try:
                text = self._text(sample.sealed_text)
            except (Erased, Poison):
                continue
            yield service_pb2.IncidentSample(language=sample.language, text=text)

    def _text(self, sealed: bytes) -> str:
        """A sample without what is personal. Everybody who watches sees the same ones with every
        change; remembered for a minute, because the key of its month may be destroyed."""
        if self._keyring.erased.gone(sealed):
            raise Erased("text: the person was erased")
        now = monotonic_s()
        text, since = self._hidden.get(sealed, ("", now - _HIDDEN_S))
        if now - since >= _HIDDEN_S:
            text = redacted(self._keyring.unseal("text", sealed))
            if len(self._hidden) >= _MOST_HIDDEN:
                self._hidden.clear()
            self._hidden[sealed] = (text, now)
        return text

    def _unlink_shown(self, unlinked: incidents_pb2.Unlinked) -> service_pb2.ShownUnlink:
        try:
            reason = self._keyring.unseal("reason", unlinked.sealed_reason)
        except Erased:
            reason = _ERASED
        return service_pb2.ShownUnlink(
            other_id=unlinked.other_id,
            incident=unlinked.incident,
            author=unlinked.author,
            unlinked_ms=unlinked.unlinked_ms,
            reason=reason,
        )


def _concerns(incident: incidents_pb2.Incident, agency: str) -> bool:
    return any(counted.value == agency for counted in incident.agencies)


def _may_see(caller: Caller, incident: incidents_pb2.Incident) -> bool:
    return caller.sees("") or any(caller.sees(counted.value) for counted in incident.agencies)
