"""What people said: the words of a case's contacts, for a reason that intake records of each before
it tells it. They stand in no address and are kept by no browser."""

import asyncio
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response
from mawja.dedup.v1 import events_pb2
from mawja.dedup.v1 import service_pb2 as dedup
from mawja.intake.v1 import service_pb2 as intake

from services.console import desk
from services.console.calls import Refused
from services.console.pages.cases import MOST_WORDS, page
from services.console.who import signed_in

router = APIRouter()
# Why there is nothing to tell, by what intake answers.
_WITHOUT = {"NOT_FOUND": "past", "FAILED_PRECONDITION": "erased"}


@dataclass(frozen=True, slots=True)
class Said:
    """The words of one contact. `without`: why there are none to show, "past" when intake keeps
    them no longer, "erased" when nobody may read them any more, "away" when it could not be asked;
    empty when they are here."""

    link: events_pb2.Link
    words: intake.RevealContactResponse
    without: str = ""

    @property
    def cut(self) -> bool:
        """Whether parts of a message did not come."""
        return len(self.words.parts.held) < self.words.parts.total


@router.post("/cases/{case_id}/words")
async def words(request: Request, case_id: str) -> Response:
    """Shows what was said in one contact of a case, or in the latest of it."""
    said = await desk.fields(request)
    person, calls = signed_in(request), desk.calls_of(request)
    answer = await calls.ask(person, calls.dedup.GetCase, dedup.GetCaseRequest(case=case_id))
    wanted = said.get("contact", "")
    meant = [link for link in answer.links if wanted in ("", link.contact_id)]
    chosen = meant[-MOST_WORDS:]

    async def one(link: events_pb2.Link) -> Said:
        asked = intake.RevealContactRequest(
            contact_id=link.contact_id,
            reason=said.get("reason", ""),
            request_id=said.get("request_id", ""),
        )
        try:
            return Said(link, await calls.ask(person, calls.intake.RevealContact, asked))
        except Refused as error:
            without = "away" if error.away else _WITHOUT.get(error.code, "")
            # What the others told is recorded as shown: it must be, whatever became of this one.
            if not without or (error.away and len(chosen) == 1):
                raise
            return Said(link, intake.RevealContactResponse(), without)

    found: list[Said] = await asyncio.gather(*(one(link) for link in chosen))
    return await page(
        request,
        "cases/words.html",
        case=answer.case,
        said=found[::-1],
        earlier=len(meant) - len(chosen),
    )
