"""The board of callbacks: one page is all that an agent needs, at the desk or far from it.

A number is shown to who has claimed its callback and to nobody else; outreach keeps who that was.
The queue is followed once for all who look at it (`queueing.py`); exercises are one's own.
"""

from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import service_pb2 as dedup
from mawja.outreach.v1 import events_pb2, playbooks_pb2, service_pb2

from services.console import desk, naming, queueing
from services.console.live import Feeds
from services.console.rendering import Pages, render
from services.console.rights import may
from services.console.streams import events
from services.console.who import signed_in
from services.console.words import N_
from services.runtime.clock import now_ms

router = APIRouter()
_KEEP_MS = 1_000
WORKS = {
    "": (events_pb2.WORK_UNSPECIFIED, N_("Real callers")),
    "drill": (events_pb2.WORK_DRILL, N_("Callers of a rehearsal")),
    "practice": (events_pb2.WORK_PRACTICE, N_("Practice")),
}
_PRACTICE = events_pb2.WORK_PRACTICE


@router.get("/outreach/callbacks")
async def board(request: Request) -> Response:
    """Mine, and who waits."""
    person = signed_in(request)
    work = _work(request.query_params.get("work", ""))
    mine, number, case = await _mine(request)
    practising = mine is not None and mine.HasField("exercise")
    return render(
        request,
        "outreach/callbacks.html",
        work=work,
        works=WORKS,
        mine=mine,
        number=number,
        case=case,
        left_s=max(0, mine.lease_until_ms - now_ms()) // 1000 if mine else 0,
        practising=practising,
        drill=bool(mine and mine.drill) or work == "drill",
        queue=await _queue(request, work),
        states=naming.CALLBACKS,
        languages=naming.LANGUAGES,
        names=await desk.names(request),
        hand_overs=await desk.hand_overs(request, person),
        may_take=desk.may_take(person),
        may_claim=may(person.roles, "POST", "/outreach/callbacks/claim"),
        did=request.query_params.get("did", ""),
    )


@router.get("/outreach/callbacks/queue")
async def queue(request: Request) -> Response:
    """Who waits, as a part of the page."""
    person = signed_in(request)
    work = _work(request.query_params.get("work", ""))
    return render(
        request,
        "outreach/queue.html",
        work=work,
        queue=await _queue(request, work),
        languages=naming.LANGUAGES,
        names=await desk.names(request),
        may_claim=may(person.roles, "POST", "/outreach/callbacks/claim"),
    )


@router.get("/outreach/callbacks/live")
async def live(request: Request) -> Response:
    """Who waits, as server-sent events; of exercises, which are one's own, no more than their
    page has."""
    person = signed_in(request)
    work = _work(request.query_params.get("work", ""))
    if WORKS[work][0] == _PRACTICE:
        raise HTTPException(404)
    feed = await _feeds(request).of(queueing.Queue(person.agency, work, WORKS[work][0]))
    pages: Pages = request.app.state.pages
    return events(request, feed.stream(pages.language_of(request)))


@router.get("/outreach/hand-overs")
async def hand_overs(request: Request) -> Response:
    """Lives in danger that nobody has confirmed, as a part of a page."""
    person = signed_in(request)
    return render(
        request,
        "outreach/hand-overs.html",
        hand_overs=await desk.hand_overs(request, person),
        names=await desk.names(request),
        may_take=desk.may_take(person),
    )


@router.post("/outreach/hand-overs/{case_id}/confirm")
async def confirm(request: Request, case_id: str) -> Response:
    """The person has the case: nobody else is told."""
    said = await desk.fields(request)
    calls = desk.calls_of(request)
    asked = playbooks_pb2.ConfirmHandOverRequest(
        request_id=said.get("request_id", ""), case_id=case_id
    )
    answer = await calls.ask(signed_in(request), calls.playbooks.ConfirmHandOver, asked)
    desk.lately_of(request).forget("queue", "hand-overs")
    return RedirectResponse(f"/cases/{answer.hand_over.case_number}?did=confirmed", 303)


@router.post("/outreach/callbacks/claim")
async def claim(request: Request) -> Response:
    """Takes the one that comes first, or this one."""
    said = await desk.fields(request)
    work = _work(said.get("work", ""))
    asked = service_pb2.ClaimCallbackRequest(
        callback_id=said.get("callback_id", ""),
        languages=await desk.several(request, "language"),
        work=WORKS[work][0],
    )
    answer = await _ask(request, "ClaimCallback", asked)
    desk.lately_of(request).forget("queue", "hand-overs")
    return _back(work, "claimed" if answer.HasField("callback") else "none")


@router.post("/outreach/callbacks/{callback_id}/extend")
async def extend(request: Request, callback_id: str) -> Response:
    """The call lasts longer."""
    return await _done(request, "ExtendClaim", callback_id, "extended")


@router.post("/outreach/callbacks/{callback_id}/no-answer")
async def no_answer(request: Request, callback_id: str) -> Response:
    """Nobody answered."""
    return await _done(request, "ReportNoAnswer", callback_id, "no-answer")


@router.post("/outreach/callbacks/{callback_id}/release")
async def release(request: Request, callback_id: str) -> Response:
    """Gives it back, for now or for when the person asked to be called."""
    said = await desk.fields(request)
    zone = desk.zone_of(request)
    return await _done(
        request,
        "ReleaseCallback",
        callback_id,
        "released",
        promised_from_ms=desk.at_ms(said.get("from", ""), zone),
        promised_until_ms=desk.at_ms(said.get("until", ""), zone),
    )


@router.post("/outreach/callbacks/{callback_id}/give-up")
async def give_up(request: Request, callback_id: str) -> Response:
    """Ends it without a call."""
    said = await desk.fields(request)
    return await _done(
        request, "GiveUpCallback", callback_id, "given-up", reason=said.get("reason", "")
    )


@router.post("/outreach/callbacks/{callback_id}/complete")
async def complete(request: Request, callback_id: str) -> Response:
    """The agent spoke with the person; of an exercise, what they take it for."""
    said = await desk.fields(request)
    asked = service_pb2.CompleteCallbackRequest(
        request_id=said.get("request_id", ""),
        callback_id=callback_id,
        outcome=(
            events_pb2.CALLBACK_OUTCOME_RESOLVED
            if said.get("outcome") == "resolved"
            else events_pb2.CALLBACK_OUTCOME_NEEDS_MORE
        ),
        note=said.get("note", ""),
    )
    if "service" in said:
        agency, _, topic = said["service"].partition("/")
        asked.answer.CopyFrom(
            common_pb2.Solution(
                agency=agency, topic=topic, life_safety=said.get("life_safety") == "yes"
            )
        )
    answer = await _ask(request, "CompleteCallback", asked)
    desk.lately_of(request).forget("queue", "hand-overs")
    if not answer.HasField("feedback"):
        return _back(_work(said.get("work", "")), "completed")
    return render(
        request,
        "outreach/feedback.html",
        feedback=answer.feedback,
        names=await desk.names(request),
        drill=True,
    )


def _feeds(request: Request) -> Feeds[queueing.Waiting]:
    """One feed for each queue that is looked at, begun with the first who looks."""
    state = request.app.state
    if not hasattr(state, "callback_feeds"):
        state.callback_feeds = queueing.feeds(state.calls, state.pages)
    held: Feeds[queueing.Waiting] = state.callback_feeds
    return held


async def _mine(
    request: Request,
) -> tuple[events_pb2.Callback | None, str, dedup.GetCaseResponse | None]:
    """What the person has claimed, with its number and its case."""
    person = signed_in(request)
    calls = desk.calls_of(request)
    asked = service_pb2.ListCallbacksRequest(mine=True)
    if not may(person.roles, "POST", "/outreach/callbacks/claim"):
        return None, "", None
    held = (await calls.ask(person, calls.outreach.ListCallbacks, asked)).callbacks
    if not held or held[0].lease_until_ms <= now_ms():
        return None, "", None
    mine = held[0]
    again = service_pb2.ClaimCallbackRequest(callback_id=mine.callback_id, work=_of(mine))
    number = (await calls.ask(person, calls.outreach.ClaimCallback, again)).number
    case = await desk.allowed(
        calls.ask(person, calls.dedup.GetCase, dedup.GetCaseRequest(case=mine.case_id)), None
    )
    return mine, number, case


async def _queue(request: Request, work: str) -> Any:
    person = signed_in(request)
    calls = desk.calls_of(request)

    async def ask() -> Any:
        asked = service_pb2.ListCallbacksRequest(page_size=queueing.SHOWN, work=WORKS[work][0])
        return await calls.ask(person, calls.outreach.ListCallbacks, asked)

    # Exercises are one's own.
    whose = person.sub if WORKS[work][0] == _PRACTICE else desk.whose(person)
    return await desk.lately_of(request).get(("queue", work, whose), _KEEP_MS, ask)


def _of(callback: events_pb2.Callback) -> "events_pb2.Work.ValueType":
    if callback.HasField("exercise"):
        return _PRACTICE
    return events_pb2.WORK_DRILL if callback.drill else events_pb2.WORK_UNSPECIFIED


async def _done(
    request: Request, method: str, callback_id: str, did: str, **given: Any
) -> Response:
    said = await desk.fields(request)
    kind = getattr(service_pb2, f"{method}Request")
    asked = kind(request_id=said.get("request_id", ""), callback_id=callback_id, **given)
    await _ask(request, method, asked)
    desk.lately_of(request).forget("queue", "hand-overs")
    return _back(_work(said.get("work", "")), did)


async def _ask(request: Request, method: str, asked: Any) -> Any:
    calls = desk.calls_of(request)
    return await calls.ask(signed_in(request), getattr(calls.outreach, method), asked)


def _work(said: str) -> str:
    return said if said in WORKS else ""


def _back(work: str, did: str) -> Response:
    of = f"&work={work}" if work else ""
    return RedirectResponse(f"/outreach/callbacks?did={did}{of}", 303)
