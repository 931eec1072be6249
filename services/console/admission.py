"""Before every route: may this person, and does the form come from our own page?

One dependency of the whole application, so that no route can forget it.
"""

import hmac
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import UploadFile

from services.console import rights
from services.console.masking import unmasked
from services.console.who import NotAllowed, SignIn, person_of

_READS = frozenset({"GET", "HEAD"})


class Forged(Exception):
    """The form does not come from a page that this session was given."""


class Closed(Exception):
    """Sessions can't be read now, so nobody is known."""


async def admitted(request: Request) -> None:
    """Raises SignIn, NotAllowed, Forged or Closed."""
    allowed = rights.roles_for(request.method, request.scope["route"].path)
    if allowed is None:
        raise NotAllowed
    person = person_of(request)
    if allowed != rights.ANYBODY:
        if person is None:
            raise Closed if request.state.away else SignIn
        if not allowed & person.roles:
            raise NotAllowed
    if request.method in _READS:
        return
    _same_origin(request)
    if person is not None:
        said = request.headers.get("x-csrf-token", "")
        if not said and (request.method, request.scope["route"].path) in rights.STREAMED:
            return
        if not said:
            field = (await request.form()).get("csrf", "")
            said = "" if isinstance(field, UploadFile) else field
        check_form(request, said)


def check_form(request: Request, said: str) -> None:
    """Raises Forged unless `said` is what the forms of this session bring along. A header that was
    right already counts for a form that is read while it comes in."""
    person = person_of(request)
    if person is None:
        raise SignIn
    known = request.headers.get("x-csrf-token", "") or said
    if not hmac.compare_digest(unmasked(known).encode(), person.csrf.encode()):
        raise Forged


def _same_origin(request: Request) -> None:
    """Browsers say where a form stands; who says nothing is no browser, and has no cookie."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin", "")
    if site not in {"same-origin", "none"}:
        raise Forged
    # Behind a proxy the scheme is not ours to know; the host is checked at the door.
    if origin and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
        raise Forged
