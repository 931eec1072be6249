"""Lists of people: brought as a file, or found among who called, wrote or subscribed."""

from collections.abc import AsyncIterator, Mapping
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from mawja.broadcast.v1 import campaigns_pb2 as pb
from mawja.broadcast.v1.audiences_pb2 import AudienceQuery, MakeAudienceRequest
from mawja.broadcast.v1.campaigns_pb2 import (
    AudienceFile,
    UploadAudienceRequest,
    UploadAudienceResponse,
    UploadAudienceStart,
)

from services.console import desk, naming
from services.console.admission import check_form
from services.console.calls import Calls, Refused
from services.console.campaigns import finding, views
from services.console.campaigns.faults import Faults
from services.console.campaigns.saying import shared
from services.console.campaigns.sentences import translated
from services.console.campaigns.streaming import BadForm, FileForm
from services.console.rendering import render, translate
from services.console.rights import FILE_BYTES
from services.console.who import Person, signed_in
from services.console.words import N_

router = APIRouter()
Who = Annotated[Person, Depends(signed_in)]
_PAGE = 50
_UPLOAD_S = 600.0
_FIND_S = 120.0
_USES = {
    pb.COLUMN_USE_NUMBER: "number",
    pb.COLUMN_USE_LANGUAGE: "language",
    pb.COLUMN_USE_FIELD: "field",
}


@router.get("/campaigns/lists")
async def lists(request: Request, who: Who, page: str = "") -> Response:
    """Lists of people, the latest first."""
    calls: Calls = request.app.state.calls
    asked = pb.ListAudiencesRequest(page_size=_PAGE, page_token=page)
    answer = await calls.ask(who, calls.campaigns.ListAudiences, asked)
    token = answer.next_page_token
    return render(
        request,
        "campaigns/lists.html",
        names=await desk.names(request),
        lists=[views.listed(one) for one in answer.audiences],
        older="/campaigns/lists?" + urlencode({"page": token}) if token else "",
        **shared(translate(request)),
    )


@router.get("/campaigns/lists/new")
async def new(request: Request, who: Who, incident: UUID | None = None) -> Response:
    """The ways to make a list; of the people of an `incident`, when its page led here."""
    if incident is None:
        return await _page(request)
    given = {"incident_id": str(incident), "owner": who.agency}
    return await _page(request, "callers", given)


@router.post("/campaigns/lists/callers")
async def callers(request: Request, who: Who) -> Response:
    """Makes a list of people who reached out."""
    given, faults = await _given(request), Faults()
    name = finding.name_of(given, faults)
    query = finding.callers(given, _zone(request), faults)
    return await _found(request, who, "callers", given, name, query, faults)


@router.post("/campaigns/lists/subscribers")
async def subscribers(request: Request, who: Who) -> Response:
    """Makes a list of people who want to hear from an agency."""
    given, faults = await _given(request), Faults()
    name = finding.name_of(given, faults)
    query = finding.subscribers(given, faults)
    return await _found(request, who, "subscribers", given, name, query, faults)


@router.post("/campaigns/lists/upload")
async def upload(request: Request, who: Who) -> Response:
    """Hands a file on as it comes, and tells its bad rows by line and rule."""
    calls: Calls = request.app.state.calls
    faults, given = Faults(), dict[str, str]()
    try:
        form = FileForm(request.headers.get("content-type", ""), request.stream(), FILE_BYTES)
        given = form.given
        await form.fields()
        check_form(request, given.get("csrf", ""))
        start = _start(given, form.filename, faults)
        if faults:
            return await _page(request, "upload", given, faults)
        answer: UploadAudienceResponse = await calls.send(
            who, calls.campaigns.UploadAudience, _requests(start, form), _UPLOAD_S
        )
    except BadForm as bad:
        check_form(request, given.get("csrf", ""))
        faults.add("file", _BAD.get(str(bad), N_("The file could not be read: bring it again.")))
        return await _page(request, "upload", given, faults)
    except Refused as refused:
        _take(refused, faults)
        return await _page(request, "upload", given, faults)
    said = translate(request)
    return render(
        request,
        "campaigns/uploaded.html",
        id=answer.audience_id,
        people=answer.recipients,
        bad=answer.bad,
        rows=[
            {"line": row.line, "field": row.field, "rule": translated(row.rule, said.gettext)}
            for row in answer.bad_rows
        ],
        **shared(said),
    )


_BAD = {
    "the file is too long": N_("The file is too long: bring it in several."),
    "it has no file": N_("Choose a file."),
    "it broke off": N_("The file did not come whole: bring it again."),
}


@router.get("/campaigns/lists/{list_id:uuid}")
async def one(request: Request, who: Who, list_id: UUID) -> Response:
    """One list."""
    calls: Calls = request.app.state.calls
    asked = pb.GetAudienceRequest(audience_id=str(list_id))
    file: AudienceFile = (await calls.ask(who, calls.campaigns.GetAudience, asked)).audience
    return render(
        request,
        "campaigns/list.html",
        names=await desk.names(request),
        one=views.listed(file),
        drill=file.drill,
        languages=_ranked(file.languages),
        out=_ranked({**file.bad_rows, **file.exclusions}),
        samples=file.samples,
        columns=[
            {"name": column.name, "use": _USES[column.use]}
            for column in file.columns
            if column.use in _USES
        ],
        **shared(translate(request)),
    )


async def _found(
    request: Request,
    who: Person,
    of: str,
    given: Mapping[str, str],
    name: str,
    query: AudienceQuery,
    faults: Faults,
) -> Response:
    if faults:
        return await _page(request, of, given, faults)
    calls: Calls = request.app.state.calls
    wanted = MakeAudienceRequest(
        request_id=given.get("request_id", "")[:64],
        name=name,
        agency=given.get("owner", "").strip().lower(),
        drill="drill" in given,
        query=query,
    )
    made: AudienceFile | None = None
    try:
        stream = calls.follow(who, calls.audiences.MakeAudience, wanted, _FIND_S)
        async for told in stream:
            if told.HasField("audience"):
                made = told.audience
    except Refused as refused:
        _take(refused, faults)
    if made is None:
        if not faults:
            faults.add("", N_("The service ended before the list was made: ask again."))
        return await _page(request, of, given, faults)
    return RedirectResponse(f"/campaigns/lists/{made.audience_id}", 303)


async def _requests(
    start: UploadAudienceStart, form: FileForm
) -> AsyncIterator[UploadAudienceRequest]:
    yield UploadAudienceRequest(start=start)
    async for piece in form.pieces():
        yield UploadAudienceRequest(data=piece)


def _start(given: Mapping[str, str], name: str, faults: Faults) -> UploadAudienceStart:
    country = given.get("country", "").strip().upper()
    if len(country) != 2 or not (country.isascii() and country.isalpha()):
        faults.add("country", N_("Give the country's two letters, e.g. AE."))
    if not name:
        faults.add("file", N_("Choose a file."))
    return UploadAudienceStart(
        request_id=given.get("request_id", "")[:64],
        # Browsers give a name only; whatever gives a path, its folders are nobody's business.
        name=name.replace("\\", "/").rpartition("/")[2][:100],
        country=country,
        number_column=given.get("number_column", "").strip(),
        language_column=given.get("language_column", "").strip(),
        sheet=given.get("sheet", "").strip(),
        drill="drill" in given,
        agency=given.get("owner", "").strip().lower(),
    )


def _take(refused: Refused, faults: Faults) -> None:
    if refused.away:
        faults.add("", N_("The service can't be reached now: ask again."))
    elif refused.violations:
        pairs = [(one.field, one.rule) for one in refused.violations]
        faults.take(pairs, lambda field: _field_of(field))
    else:
        faults.add("", refused.message)


def _field_of(field: str) -> str:
    if field in ("country", "start.country"):
        return "country"
    if field in ("agency", "start.agency"):
        return "owner"
    return finding.field_of(field)


async def _page(
    request: Request,
    of: str = "",
    given: Mapping[str, str] | None = None,
    faults: Faults | None = None,
) -> Response:
    """`of`: the form that was sent, shown again with its `faults`."""
    said = translate(request)
    return render(
        request,
        "campaigns/list_new.html",
        422 if faults else 200,
        names=await desk.names(request),
        languages=naming.LANGUAGES,
        open=of,
        given=given or {},
        faults=faults.said(said.gettext) if faults else {},
        most_mb=FILE_BYTES // 1_000_000,
        **shared(said),
    )


async def _given(request: Request) -> dict[str, str]:
    form = await request.form()
    return {key: value for key, value in form.items() if isinstance(value, str)}


def _ranked(some: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(some.items(), key=lambda one: (-one[1], one[0]))


def _zone(request: Request) -> ZoneInfo:
    return ZoneInfo(request.app.state.settings.zone)
