"""DedupService: shows cases from the view, and carries people's decisions to the partition's owner.

Any replica serves. A liaison sees the cases of their agency and no others: to them another's case
does not exist. A number leaves here by `RevealPerson` alone; notes are shown to staff who may see
the case.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2, service_pb2, service_pb2_grpc

from services.dedup import views
from services.dedup.case import Case
from services.dedup.catalogue import Agency, Catalogue, Service
from services.dedup.erasing import Erasing
from services.dedup.incidents.places import Gazetteer
from services.dedup.known import key_of, uuid_of
from services.runtime import ids, rpc
from services.runtime.clock import now_ms
from services.runtime.errors import Forbidden, Invalid, NotFound, NotInState, Violation
from services.runtime.identity import Caller
from services.runtime.own import Record
from services.runtime.privacy import Erased, Keyring
from services.runtime.produce import Producer
from services.runtime.replies import Replies
from services.runtime.tail import Tail
from services.runtime.topics import DEDUP_COMMAND
from services.runtime.views import Views

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]

_PAGE = 50
_MOST_LINKS = 1_000
_MOST_FOUND = 100
_ERASED = "[erased]"


def decision_of(record: Record) -> events_pb2.CaseDecision | None:
    """What watchers may want to hear of; None for what changed nothing."""
    decision = events_pb2.CaseDecision.FromString(record.value or b"")
    if not decision.HasField("case") or decision.change in (
        events_pb2.CASE_CHANGE_REPEATED,
        events_pb2.CASE_CHANGE_REFUSED,
        events_pb2.CASE_CHANGE_SHOWN,
    ):
        return None
    return decision


class DedupServicer(service_pb2_grpc.DedupServiceServicer):
    """The RPCs. Errors are those of the closed list; `Guard` turns them into status codes."""

    def __init__(
        self,
        view: Views,
        replies: Replies,
        producer: Producer,
        keyring: Keyring,
        changes: Tail[events_pb2.CaseDecision],
        catalogue: Catalogue,
        erasing: Erasing,
        gazetteer: Gazetteer,
    ) -> None:
        self._view = view
        self._replies = replies
        self._producer = producer
        self._keyring = keyring
        self._changes = changes
        self._erasing = erasing
        self._agency_of = catalogue.agency_of
        self._catalogue = {one: _agency_shown(it) for one, it in catalogue.agencies.items()}
        self._places = [
            service_pb2.CataloguePlace(place=one, names={"en": one, "ar": arabic})
            for one, arabic in gazetteer.arabic.items()
        ]

    async def GetCase(
        self, request: service_pb2.GetCaseRequest, context: "Context"
    ) -> service_pb2.GetCaseResponse:
        """One case, by id or number."""
        found = await self._find(await self._id_of(request.case))
        case_id = found.case.case_id
        members = await self._view.range(views.links_index(case_id), 0, _MOST_LINKS)
        [notes, *links] = await self._view.get(
            views.notes_key(case_id), *(views.contact_key(uuid_of(member)) for member in members)
        )
        return service_pb2.GetCaseResponse(
            case=_shown(found.case),
            links=[events_pb2.Link.FromString(link) for link in links if link],
            notes=[
                self._note(note) for note in events_pb2.NotesView.FromString(notes or b"").notes
            ],
        )

    async def ListCases(
        self, request: service_pb2.ListCasesRequest, context: "Context"
    ) -> service_pb2.ListCasesResponse:
        """A page of cases."""
        agency = asked_agency(request.agency)
        listed = views.unsure_index if request.unsure else views.list_index
        index = listed(request.state or views.ANY, agency or views.ANY)
        count = request.page_size or _PAGE
        place = parse_token(request.page_token) if request.page_token else None
        page = await self._view.after(index, place, count)
        keys = [views.case_key(uuid_of(member)) for _, member in page]
        found = await self._view.get(*keys) if keys else []
        cases = [events_pb2.CaseView.FromString(payload).case for payload in found if payload]
        token = f"{int(page[-1][0])}.{page[-1][1].hex()}" if len(page) == count else ""
        return service_pb2.ListCasesResponse(
            cases=[_shown(case) for case in cases], next_page_token=token
        )

    async def FindCases(
        self, request: service_pb2.FindCasesRequest, context: "Context"
    ) -> service_pb2.FindCasesResponse:
        """The cases of one person."""
        index = views.person_index(self._keyring.person(request.number))
        [count] = await self._view.count(index)
        members = await self._view.range(index, max(0, count - _MOST_FOUND), _MOST_FOUND)
        keys = [views.case_key(uuid_of(member)) for member in members]
        found = await self._view.get(*keys) if keys else []
        cases = [events_pb2.CaseView.FromString(payload).case for payload in found if payload]
        seen = [_shown(case) for case in cases if _caller().sees(case.agency)]
        seen.sort(key=lambda case: (-case.last_contact_ms, case.case_id))
        return service_pb2.FindCasesResponse(cases=seen)

    async def WatchCases(
        self, request: service_pb2.WatchCasesRequest, context: "Context"
    ) -> AsyncIterator[service_pb2.WatchCasesResponse]:
        """Changes from now on."""
        agency = asked_agency(request.agency)
        with self._changes.watch() as changes:
            async for decision in changes:
                both = (decision.case, decision.other)
                for case in both if decision.HasField("other") else both[:1]:
                    if not agency or case.agency == agency:
                        yield service_pb2.WatchCasesResponse(
                            change=decision.change, case=_shown(case)
                        )

    async def GetCatalogue(
        self, request: service_pb2.GetCatalogueRequest, context: "Context"
    ) -> service_pb2.GetCatalogueResponse:
        """Agencies, services and places; nothing in it is about a person, so liaisons see all."""
        agencies = (
            shown for code, shown in self._catalogue.items() if request.agency in ("", code)
        )
        return service_pb2.GetCatalogueResponse(agencies=agencies, places=self._places)

    async def AssignCase(
        self, request: service_pb2.AssignCaseRequest, context: "Context"
    ) -> service_pb2.AssignCaseResponse:
        """Makes an agent the owner."""
        command = events_pb2.CaseCommand(assign=events_pb2.Assign(assignee=request.assignee))
        case = await self._command("AssignCase", request.case_id, request.request_id, command)
        return service_pb2.AssignCaseResponse(case=case)

    async def TriageCase(
        self, request: service_pb2.TriageCaseRequest, context: "Context"
    ) -> service_pb2.TriageCaseResponse:
        """Says which service a case is about."""
        if not (agency := self._agency_of(request.topic)):
            raise Invalid([Violation("topic", "must be a service of the catalogue")])
        said = events_pb2.SetTopic(agency=agency, topic=request.topic)
        command = events_pb2.CaseCommand(set_topic=said)
        case = await self._command("TriageCase", request.case_id, request.request_id, command)
        return service_pb2.TriageCaseResponse(case=case)

    async def ResolveCase(
        self, request: service_pb2.ResolveCaseRequest, context: "Context"
    ) -> service_pb2.ResolveCaseResponse:
        """Marks the need as met."""
        command = events_pb2.CaseCommand(resolve=events_pb2.Resolve())
        case = await self._command("ResolveCase", request.case_id, request.request_id, command)
        return service_pb2.ResolveCaseResponse(case=case)

    async def ReopenCase(
        self, request: service_pb2.ReopenCaseRequest, context: "Context"
    ) -> service_pb2.ReopenCaseResponse:
        """Opens a resolved case again."""
        found = await self._find(request.case_id)
        sealed = self._sealed("reason", request.reason, found)
        command = events_pb2.CaseCommand(reopen=events_pb2.Reopen(sealed_reason=sealed))
        decision = await self._decided("ReopenCase", found, request.request_id, command)
        return service_pb2.ReopenCaseResponse(case=_shown(decision.case))

    async def AddCaseNote(
        self, request: service_pb2.AddCaseNoteRequest, context: "Context"
    ) -> service_pb2.AddCaseNoteResponse:
        """Adds a note."""
        found = await self._find(request.case_id)
        sealed = self._sealed("note", request.text, found)
        command = events_pb2.CaseCommand(add_note=events_pb2.AddNote(sealed_text=sealed))
        decision = await self._decided("AddCaseNote", found, request.request_id, command)
        return service_pb2.AddCaseNoteResponse(case=_shown(decision.case))

    async def RevealPerson(
        self, request: service_pb2.RevealPersonRequest, context: "Context"
    ) -> service_pb2.RevealPersonResponse:
        """The person's number. That it was asked for, and why, stands in the audit before."""
        found = await self._find(request.case_id)
        command = events_pb2.CaseCommand(tell_number=events_pb2.TellNumber())
        decision = await self._decided("RevealPerson", found, request.request_id, command)
        try:
            number = self._keyring.unseal("number", decision.case.sealed_number)
        except Erased:
            raise NotInState("the person's number was erased") from None
        return service_pb2.RevealPersonResponse(number=number)

    async def ErasePerson(
        self, request: service_pb2.ErasePersonRequest, context: "Context"
    ) -> service_pb2.ErasePersonResponse:
        """The person is erased. Why stands in the audit before."""
        person, subject = self._keyring.person(request.number), rpc.CALLER.get().subject
        erased_ms = await self._erasing.erase(person, subject, request.request_id)
        return service_pb2.ErasePersonResponse(erased_ms=erased_ms)

    async def MergeCases(
        self, request: service_pb2.MergeCasesRequest, context: "Context"
    ) -> service_pb2.MergeCasesResponse:
        """Merges a case into another; the owner of the one that stays decides."""
        source, into = await self._find(request.case_id), await self._find(request.into)
        command = events_pb2.CaseCommand(
            merge=events_pb2.Merge(
                source=events_pb2.CaseRef(case_id=source.case.case_id, partition=source.partition),
                partition=into.partition,
                sealed_reason=self._sealed("reason", request.reason, source),
                seen=source.case,
            )
        )
        request_id = f"{source.case.case_id}/{request.request_id}"
        decision = await self._decided("MergeCases", into, request_id, command)
        merged = _shown(decision.other) if decision.HasField("other") else None
        return service_pb2.MergeCasesResponse(case=_shown(decision.case), merged=merged)

    async def SplitCase(
        self, request: service_pb2.SplitCaseRequest, context: "Context"
    ) -> service_pb2.SplitCaseResponse:
        """Splits contacts off a case, or parts it from another person's."""
        found = await self._find(request.case_id)
        command = events_pb2.CaseCommand(
            split=events_pb2.Split(
                contact_ids=request.contact_ids,
                sealed_reason=self._sealed("reason", request.reason, found),
            )
        )
        decision = await self._decided("SplitCase", found, request.request_id, command)
        split = _shown(decision.other) if decision.HasField("other") else None
        return service_pb2.SplitCaseResponse(case=_shown(decision.case), split=split)

    def _sealed(self, field: str, text: str, found: events_pb2.CaseView) -> bytes:
        """What staff wrote of a case: it is erased with the person."""
        return self._keyring.seal(field, text, now_ms(), found.case.person)

    async def _command(
        self, method: str, case_id: str, request_id: str, command: events_pb2.CaseCommand
    ) -> Case:
        """The case after a command."""
        found = await self._find(case_id)
        return _shown((await self._decided(method, found, request_id, command)).case)

    async def _decided(
        self,
        method: str,
        found: events_pb2.CaseView,
        request_id: str,
        command: events_pb2.CaseCommand,
    ) -> events_pb2.CaseDecision:
        """Appends a command for the owner and waits for what became of it."""
        subject = rpc.CALLER.get().subject
        # With the case: a request_id used again for another case is another request.
        command_id = ids.command_id(subject, method, f"{found.case.case_id}/{request_id}")
        command.case_id = found.case.case_id
        command.envelope.CopyFrom(
            common_pb2.CommandEnvelope(
                command_id=command_id,
                reply_to=self._replies.channel,
                subject=subject,
                asked_ms=now_ms(),
            )
        )
        told = await self._replies.ask(
            self._producer,
            DEDUP_COMMAND,
            found.partition,
            command_id,
            command.SerializeToString(),
            found.case.person,
        )
        decision = events_pb2.CaseDecision.FromString(told)
        rpc.raise_refusal(decision.outcome.code, decision.outcome.message)
        return decision

    async def _id_of(self, asked: str) -> str:
        try:
            key_of(asked)
            return asked.lower()
        except ValueError:
            number = ids.parse_case_number(asked)
        if number is None:
            rule = 'a UUID, or a case number such as "MW-4T7QX-2K9BD"; this one is mistyped'
            raise Invalid([Violation("case", rule)])
        [found] = await self._view.get(views.number_key(number))
        if found is None:
            raise NotFound("there is no such case")
        return found.decode()

    async def _find(self, case_id: str) -> events_pb2.CaseView:
        [payload] = await self._view.get(views.case_key(case_id.lower()))
        found = events_pb2.CaseView.FromString(payload or b"")
        if payload is None or not _caller().sees(found.case.agency):
            raise NotFound("there is no such case")
        return found

    def _note(self, note: events_pb2.Note) -> service_pb2.CaseNote:
        field = "reason" if note.reopens or note.about else "note"
        try:
            text = self._keyring.unseal(field, note.sealed_text) if note.sealed_text else ""
        except Erased:
            text = _ERASED
        return service_pb2.CaseNote(
            author=note.author,
            noted_ms=note.noted_ms,
            text=text,
            about=events_pb2.CASE_CHANGE_REOPENED if note.reopens else note.about,
            other_number=note.other_number,
        )


def _caller() -> Caller:
    return rpc.CALLER.get()


def asked_agency(asked: str) -> str:
    """The agency to show: the one asked for, or the caller's own; "" for all. Raises Forbidden."""
    caller = _caller()
    agency = asked or caller.agency
    if not caller.sees(agency):
        raise Forbidden("a liaison sees the cases of their own agency only")
    return agency


def _shown(case: Case) -> Case:
    shown = Case()
    shown.CopyFrom(case)
    shown.ClearField("sealed_number")
    # Who practises would look here.
    if shown.HasField("exercise"):
        shown.exercise.ClearField("solution")
    return shown


def parse_token(token: str) -> tuple[float, bytes]:
    """Where the last page ended: score and member. Raises Invalid."""
    score, _, member = token.partition(".")
    try:
        return float(int(score)), bytes.fromhex(member)
    except ValueError:
        raise Invalid([Violation("page_token", "must be one that the last page gave")]) from None


def _agency_shown(agency: Agency) -> service_pb2.CatalogueAgency:
    return service_pb2.CatalogueAgency(
        agency=agency.code,
        names=agency.name,
        services=(_service_shown(service) for service in agency.services),
    )


def _service_shown(service: Service) -> service_pb2.CatalogueService:
    steps = zip(*service.steps.values(), strict=True)
    return service_pb2.CatalogueService(
        topic=service.code,
        names=service.name,
        kind=service.kind,
        life_safety=service.life_safety,
        first_step_limit_ms=service.first_step_ms,
        resolve_limit_ms=service.resolve_ms,
        steps=(
            service_pb2.CatalogueStep(texts=dict(zip(service.steps, texts, strict=True)))
            for texts in steps
        ),
    )
