"""Wave: what is happening now, on a page and on a wall."""

from collections.abc import Hashable
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request, Response

from services.console.live import Feed, Feeds
from services.console.rendering import Pages, packed, render
from services.console.settings import ROOMS
from services.console.streams import events
from services.console.wave import view
from services.console.wave.gather import Reader
from services.console.wave.picture import Picture, Scope
from services.console.who import Person, signed_in

router = APIRouter()
_FIRST_S = 1.5
Signed = Annotated[Person, Depends(signed_in)]


@router.get("/wave")
async def home(request: Request, person: Signed, drill: bool = False) -> Response:
    """The area's first page: whole without any script, live with it."""
    return await _page(request, person, "wave/home.html", drill)


@router.get("/wall")
async def wall(request: Request, person: Signed, drill: bool = False) -> Response:
    """The same for a wall: large, dark, and with nothing to press."""
    return await _page(request, person, "wave/wall.html", drill)


@router.get("/wave/live")
async def live(request: Request, person: Signed, drill: bool = False, seen: str = "") -> Response:
    """The parts as they change, as server-sent events; `seen`: what the page has already."""
    feed = await _feeds(request.app).of(_scope(person, drill))
    return events(request, feed.stream(_pages(request.app).language_of(request), seen))


async def _page(request: Request, person: Person, template: str, drill: bool) -> Response:
    feed = await _feeds(request.app).of(_scope(person, drill))
    await feed.first(_FIRST_S)
    parts, seen = feed.shown(_pages(request.app).language_of(request))
    zone = request.app.state.settings.zone
    page = render(request, template, drill=drill, parts=parts, seen=seen, zone=zone)
    return packed(request, page)


def _scope(person: Person, drill: bool) -> Scope:
    """Somebody of an agency sees that agency, whatever else they are: the rooms hold it so."""
    return Scope(person.agency, drill)


def _pages(app: FastAPI) -> Pages:
    pages: Pages = app.state.pages
    return pages


def _feeds(app: FastAPI) -> Feeds[Picture]:
    """One feed for each scope that is looked at, begun with the first who looks."""
    held: Feeds[Picture] | None = getattr(app.state, "wave_feeds", None)
    if held is not None:
        return held
    pages, calls = _pages(app), app.state.calls

    def make(key: Hashable) -> Feed[Picture]:
        assert isinstance(key, Scope)
        reader = Reader(calls, key, ROOMS)
        return Feed(
            reader.pictures,
            lambda picture, lang: view.parts(pages, picture, lang, pages.words[lang].gettext),
        )

    made: Feeds[Picture] = Feeds(make)
    app.state.wave_feeds = made
    return made
