"""Cases: found by their number or by a person's whole number, and the story of one across all ways
in which people reached out.

A number that is typed goes to dedup in the body of a request and stands in no address. Nothing
lists numbers: a page shows them masked, as intake does.
"""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from mawja.broadcast.v1 import service_pb2 as broadcast
from mawja.dedup.v1 import events_pb2
from mawja.dedup.v1 import service_pb2 as dedup
from mawja.intake.v1 import service_pb2 as intake
from mawja.outreach.v1 import playbooks_pb2
from mawja.outreach.v1 import service_pb2 as outreach

from services.console import desk, finding, naming, phrases, story
from services.console.calls import Refused
from services.console.rendering import translate
from services.console.rights import may
from services.console.who import Person, signed_in
from services.runtime import ids
from services.runtime.privacy import mask

router = APIRouter()
_PAGE = 25
_STATES = {
    "open": events_pb2.CASE_STATE_OPEN,
    "assigned": events_pb2.CASE_STATE_ASSIGNED,
    "resolved": events_pb2.CASE_STATE_RESOLVED,
}
_MOST_MESSAGES = 30


@router.get("/cases")
async def home(request: Request) -> Response:
    """The search, and a list of what waits."""
    person = signed_in(request)
    calls = desk.calls_of(request)
    chosen = request.query_params.get("show", "unsure")
    chosen = chosen if chosen in _STATES else "unsure"
    asked = dedup.ListCasesRequest(
        page_size=_PAGE,
        page_token=request.query_params.get("after", ""),
        unsure=chosen == "unsure",
        state=_STATES.get(chosen, events_pb2.CASE_STATE_UNSPECIFIED),
    )
    answer = await calls.ask(person, calls.dedup.ListCases, asked)
    return await page(
        request,
        "cases/home.html",
        cases=list(answer.cases),
        after=answer.next_page_token,
        show=chosen,
        typed_wrong=request.query_params.get("did", "") == "mistyped",
        nobody=False,
        found_of="",
    )


@router.post("/cases/find")
async def find(request: Request) -> Response:
    """A case by its number, or the cases of a whole telephone number."""
    said = (await desk.fields(request)).get("find", "")
    if number := finding.case_number(said):
        return RedirectResponse(f"/cases/{number}", 303)
    telephone = finding.telephone(said)
    if not telephone:
        return RedirectResponse("/cases?did=mistyped", 303)
    calls = desk.calls_of(request)
    asked = dedup.FindCasesRequest(number=telephone)
    answer = await calls.ask(signed_in(request), calls.dedup.FindCases, asked)
    return await page(
        request,
        "cases/home.html",
        cases=list(answer.cases),
        after="",
        show="",
        typed_wrong=False,
        nobody=not answer.cases,
        found_of=mask(telephone),
    )


@router.get("/cases/{case}")
async def one(request: Request, case: str) -> Response:
    """A case: how it stands, its story, why its contacts are in it, and what to do next."""
    person = signed_in(request)
    calls = desk.calls_of(request)
    answer = await calls.ask(person, calls.dedup.GetCase, dedup.GetCaseRequest(case=case))
    explained, callbacks, number = await asyncio.gather(
        _explained(request, person, answer),
        _callbacks(request, person, answer),
        _number(request, person, answer),
    )
    messages = await _messages(request, person, answer.case.case_id, explained)
    say, language = translate(request), translate(request).language
    names = await desk.names(request)
    return await page(
        request,
        "cases/case.html",
        answer=answer,
        case=answer.case,
        number=number,
        steps=story.story(answer, explained, messages, callbacks),
        parted=story.parted(answer.links),
        explained=explained,
        levels=naming.LEVELS,
        messages=naming.MESSAGES,
        case_number=ids.case_number,
        titles=naming.PLAYBOOKS,
        events=naming.EVENTS,
        drill=answer.case.drill,
        reason=lambda text: phrases.reason(text, say.gettext, language, names.place),
        sentence=lambda text: phrases.sentence(text, say.gettext, language),
        can={deed: may(person.roles, "POST", f"/cases/{{case_id}}/{deed}") for deed in DEEDS},
        did=request.query_params.get("did", ""),
        most_words=MOST_WORDS,
    )


MOST_WORDS = 20
"""The words of so many contacts are shown for one reason, the latest."""
DEEDS = (
    "assign",
    "triage",
    "resolve",
    "reopen",
    "note",
    "merge",
    "split",
    "unlink",
    "reveal",
    "words",
)
"""What may be done with a case, each at its own address."""


async def page(request: Request, template: str, **context: Any) -> Response:
    """A page of this area, with what all of them show."""
    return await desk.page(
        request,
        template,
        states=naming.CASES,
        channels=naming.CHANNELS,
        icons=naming.ICONS,
        languages=naming.LANGUAGES,
        kinds=naming.KINDS,
        **context,
    )


async def _explained(
    request: Request, person: Person, answer: dedup.GetCaseResponse
) -> list[playbooks_pb2.Explanation]:
    """Why the person heard from us, or did not; nothing for whom outreach does not tell."""
    calls = desk.calls_of(request)
    asked = playbooks_pb2.ExplainCaseRequest(case=answer.case)
    if answer.links:
        asked.contact_id = answer.links[0].contact_id
    told = await desk.allowed(
        calls.ask(person, calls.playbooks.ExplainCase, asked), playbooks_pb2.ExplainCaseResponse()
    )
    return list(told.explanations)


async def _callbacks(request: Request, person: Person, answer: dedup.GetCaseResponse) -> list[Any]:
    calls = desk.calls_of(request)

    async def one(callback_id: str) -> Any:
        asked = outreach.GetCallbackRequest(callback_id=callback_id)
        got = await desk.allowed(calls.ask(person, calls.outreach.GetCallback, asked), None)
        return None if got is None else got.callback

    found = await asyncio.gather(*(one(each) for each in story.callback_ids(answer)))
    return [each for each in found if each is not None]


async def _number(request: Request, person: Person, answer: dedup.GetCaseResponse) -> str:
    """The person's number, masked; empty when it is withheld or not known any more."""
    if not answer.case.person or not answer.links:
        return ""
    calls = desk.calls_of(request)
    asked = intake.GetContactRequest(contact_id=answer.links[-1].contact_id)
    got = await desk.allowed(calls.ask(person, calls.intake.GetContact, asked), None)
    return "" if got is None else got.masked_number


async def _messages(
    request: Request,
    person: Person,
    case_id: str,
    explained: list[playbooks_pb2.Explanation],
) -> dict[str, broadcast.GetMessageResponse]:
    calls = desk.calls_of(request)

    async def one(message_id: str) -> Any:
        asked = broadcast.GetMessageRequest(message_id=message_id)
        try:
            return await calls.ask(person, calls.broadcast.GetMessage, asked)
        except Refused:
            return None

    wanted = story.message_ids(case_id, explained)[-_MOST_MESSAGES:]
    found = await asyncio.gather(*(one(message_id) for _, message_id in wanted))
    return {step: got for (step, _), got in zip(wanted, found, strict=True) if got is not None}
