"""The console's door: who may open what, what every answer carries, and what is turned away."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import pytest_asyncio
from fastapi import Request
from fastapi.routing import APIRoute

from services.console import door, rights, streams
from services.console.calls import Refused
from services.console.masking import masked
from services.console.pages import AREAS
from services.console.rendering import TEMPLATES
from services.console.static import Static
from services.runtime.errors import Violation
from services.runtime.identity import STAFF, Role
from tests.console_rig import CSRF, FORM_CSRF, Desk, desk

ROUTES = sorted(
    (method, route.path)
    for router in AREAS
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in route.methods or ()
)
ROLES = (None, *Role)
SCRIPTS = ("arabic", "latin")


@pytest_asyncio.fixture(scope="module")
async def on(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    """A console whose rooms answer nothing."""
    async with desk(tmp_path_factory.mktemp("console")) as running:
        yield running


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert set(ROUTES) == set(rights.RIGHTS)


def test_nobody_but_staff_gets_in() -> None:
    for key, roles in rights.RIGHTS.items():
        assert roles == rights.ANYBODY or roles <= STAFF, key
        assert roles, key


def _filled(path: str) -> str:
    return "/".join(_some(part) if part.startswith("{") else part for part in path.split("/"))


def _some(part: str) -> str:
    return "00000000-0000-0000-0000-000000000000" if part.endswith(":uuid}") else "x"


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_route_answers_the_roles_of_its_row_only(on: Desk, method: str, path: str) -> None:
    allowed = rights.RIGHTS[method, path]
    for role in ROLES:
        if allowed == rights.ANYBODY or (role is not None and role in allowed):
            continue
        at = _filled(path)
        answer = await (on.get(at, role) if method == "GET" else on.post(at, role))
        if role is None:
            assert answer.status_code == 303, (role, answer.text)
            assert answer.headers["location"].startswith("/sign-in")
        else:
            assert answer.status_code == 403, role
            assert "Your roles do not allow this" in answer.text


@pytest.mark.parametrize(("method", "path"), [r for r in ROUTES if r[0] == "POST"])
async def test_no_form_is_taken_without_its_sessions_token(
    on: Desk, method: str, path: str
) -> None:
    role = next(r for r in Role if r in rights.RIGHTS[method, path])
    at = _filled(path)
    for csrf in (None, "", "x", CSRF, FORM_CSRF + "x", masked(CSRF + "x"), "ت"):
        answer = await on.post(at, role, csrf=csrf)
        assert answer.status_code == 403, csrf
    token = await on.token(role)
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://elsewhere.example"},
        {"origin": "null"},
    ):
        answer = await on.client.post(
            at, data={"csrf": FORM_CSRF}, headers={"cookie": f"mawja={token}", **headers}
        )
        assert answer.status_code == 403, headers
    assert token in on.sessions.held


@pytest.mark.parametrize(
    "path", ["/", "/sign-in", "/wave", "/nothing", "/static/base.css", "/static/none", "/live"]
)
@pytest.mark.parametrize("role", [None, Role.COORDINATOR])
async def test_every_answer_has_the_headers(on: Desk, path: str, role: Role | None) -> None:
    answer = await on.get(path, role)
    for name, value in door.HEADERS.items():
        assert answer.headers[name] == value
    assert "unsafe" not in answer.headers["content-security-policy"]
    if not path.startswith("/static"):
        assert answer.headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in answer.headers


async def test_by_https_the_cookie_is_the_hosts_alone(tmp_path: Path) -> None:
    async with desk(tmp_path, MAWJA_CONSOLE_URL="https://console.example") as running:
        answer = await running.get("/sign-in")
        assert answer.headers["strict-transport-security"].startswith("max-age=31536000")
        token = await running.token(Role.AGENT)
        plain = await running.client.get("/wave", headers={"cookie": f"mawja={token}"})
        assert plain.status_code == 303
        held = await running.client.get("/wave", headers={"cookie": f"__Host-mawja={token}"})
        assert held.status_code == 200
        left = await running.client.post(
            "/sign-out", data={"csrf": FORM_CSRF}, headers={"cookie": f"__Host-mawja={token}"}
        )
        cookie = left.headers["set-cookie"]
        assert cookie.startswith('__Host-mawja="";')
        for word in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
            assert word in cookie


@pytest.mark.parametrize(
    "host", ["elsewhere.example", "127.0.0.1.elsewhere.example", "", "elsewhere.example:80"]
)
async def test_another_host_is_not_answered(on: Desk, host: str) -> None:
    answer = await on.client.get("/sign-in", headers={"host": host})
    assert answer.status_code == 400
    assert (await on.client.get("/live", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("said", [True, False])
@pytest.mark.parametrize(
    ("role", "longest"), [(None, door.STRANGER_BYTES), (Role.AGENT, door.USUAL_BYTES)]
)
async def test_what_is_too_long_is_not_read(
    on: Desk, role: Role | None, longest: int, said: bool
) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(longest // 1000 + 2):
            yield b"x" * 1000

    token = await on.token(role)
    headers = {
        "cookie": f"mawja={token}",
        "content-type": "application/x-www-form-urlencoded",
        **({"content-length": str(longest + 1)} if said else {}),
    }
    path = "/sign-in" if role is None else "/people/settings"
    answer = await on.client.post(path, content=body(), headers=headers)
    assert answer.status_code == 413


async def test_sessions_away_signs_nobody_in_or_out(tmp_path: Path) -> None:
    async with desk(tmp_path) as running:
        token = await running.token(Role.AGENT)
        running.sessions.away = True
        cookie = {"cookie": f"mawja={token}"}
        answer = await running.client.get("/wave", headers=cookie)
        assert answer.status_code == 503
        assert (await running.client.get("/ready")).status_code == 503
        assert "mawja=" not in answer.headers.get("set-cookie", "")
        running.sessions.away = False
        assert (await running.client.get("/wave", headers=cookie)).status_code == 200


@pytest.mark.parametrize(
    "where",
    [
        "//elsewhere.example",
        "https://elsewhere.example",
        "/\\elsewhere.example",
        "javascript:alert(1)",
        "/x\r\nset-cookie: a=b",
        "wave",
    ],
)
async def test_signing_in_leads_nowhere_else(on: Desk, where: str) -> None:
    answer = await on.client.get("/sign-in", params={"next": where})
    assert 'name="next" value=""' in answer.text


async def test_names_are_text(on: Desk) -> None:
    hostile = '"><script>alert(1)</script>{{ 7*7 }}\u202e'
    token, _ = await on.sessions.begin(
        sub="x", name=hostile, roles=frozenset({Role.AGENT}), agency="", language="en"
    )
    page = (await on.client.get("/wave", headers={"cookie": f"mawja={token}"})).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{ 7*7 }}" in page


async def test_areas_are_those_that_one_may_open(on: Desk) -> None:
    page = (await on.get("/wave", Role.AGENT)).text
    assert 'href="/cases"' in page
    assert 'href="/report"' not in page
    assert 'href="/report"' in (await on.get("/wave", Role.AUDITOR)).text


async def test_a_page_has_its_language_and_direction(on: Desk) -> None:
    assert '<html lang="ar" dir="rtl"' in (await on.get("/wave", Role.AGENT, lang="ar")).text
    assert '<html lang="en" dir="ltr"' in (await on.get("/wave", Role.AGENT)).text
    stranger = await on.client.get("/sign-in", headers={"cookie": "lang=en"})
    assert '<html lang="en"' in stranger.text
    assert '<html lang="ar"' in (await on.client.get("/sign-in")).text


async def test_a_stream_ends_with_its_session(on: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    token = await on.token(Role.AUDITOR)
    monkeypatch.setattr(streams, "LOOKS_S", 0.0)

    async def told() -> AsyncIterator[bytes]:
        for n in range(6):
            if n == 1:
                on.sessions.away = True
            if n == 2:
                on.sessions.away = False
            if n == 3:
                await on.sessions.end(token)
            yield b"%d" % n

    request = SimpleNamespace(
        app=SimpleNamespace(state=SimpleNamespace(sessions=on.sessions)),
        state=SimpleNamespace(token=token),
    )
    answer = streams.events(cast(Request, request), told())
    assert [data async for data in answer.body_iterator] == [b"0", b"1", b"2", streams.SIGNED_OUT]


async def test_a_stream_of_nobody_says_so_and_is_no_redirection(on: Desk) -> None:
    for path in ("/wave/live", "/outreach/callbacks/live"):
        answer = await on.get(path, accept="text/event-stream")
        assert (answer.status_code, answer.content) == (200, streams.SIGNED_OUT)
        assert answer.headers["content-type"].startswith("text/event-stream")


async def test_what_fails_tells_nothing_of_itself(
    on: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(_: object = None) -> None:
        raise RuntimeError("+999512345678 <b>")

    monkeypatch.setattr(on.sessions, "all", broken)
    answer = await on.get("/people", Role.AGENT)
    assert answer.status_code == 500
    assert "Something failed here" in answer.text
    assert answer.headers["content-security-policy"] == door.CSP
    for said in (answer.text, "".join(capsys.readouterr())):
        assert "99951234" not in said
        assert "Traceback" not in said


@pytest.mark.parametrize(
    ("code", "status", "away"),
    [("NOT_FOUND", 404, False), ("UNAVAILABLE", 503, True), ("INVALID_ARGUMENT", 422, False)],
)
@pytest.mark.parametrize("htmx", [False, True])
async def test_what_a_room_refused_is_told_in_its_words_as_text(
    on: Desk, monkeypatch: pytest.MonkeyPatch, code: str, status: int, away: bool, htmx: bool
) -> None:
    async def refuses(_: object = None) -> None:
        raise Refused(code, "no <script>x</script>", (Violation("a<b>", "must<i>"),), away)

    monkeypatch.setattr(on.sessions, "all", refuses)
    token = await on.token(Role.AGENT)
    headers = {"cookie": f"mawja={token}", **({"hx-request": "true"} if htmx else {})}
    answer = await on.client.get("/people", headers=headers)
    assert answer.status_code == status
    assert "<script>x" not in answer.text
    assert ("no &lt;script&gt;" in answer.text) is not away
    assert ("This part can't be reached now" in answer.text) is away
    assert "a&lt;b&gt;" in answer.text
    assert ("<html" in answer.text) is not htmx


def test_the_first_view_fits_a_slow_phone() -> None:
    built = Static()
    for area in ("", "wave", "campaigns", "outreach", "cases", "report", "people"):
        names = ["base.css", "base.js", "icons.svg", "icon.svg"]
        names += [f"plex-{script}-{weight}.woff2" for script in SCRIPTS for weight in (400, 600)]
        names += [f"{area}.css", f"{area}.js"]
        sent = sum(built.bytes_sent(name) for name in names if built.has(name))
        # What is left of 200 kB is for the page itself.
        assert sent <= 185_000, area


async def test_built_files_are_kept_for_good_and_asked_for_once(on: Desk) -> None:
    page = (await on.get("/people", Role.AGENT)).text
    found = re.findall(r'(?:href|src)="(/static/[^"#]+)', page)
    assert len(found) > 5
    for url in set(found):
        answer = await on.client.get(url)
        assert answer.status_code == 200, url
        assert "immutable" in answer.headers["cache-control"]
        again = await on.client.get(url, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    old = await on.client.get("/static/base.css?v=old")
    assert old.headers["cache-control"] == "no-cache"
    packed = await on.client.get("/static/base.js", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"


@pytest.mark.parametrize("path", ["../app.py", "%2e%2e/app.py", "..%2fapp.py", "/etc/passwd", ""])
async def test_nothing_else_is_served_as_a_file(on: Desk, path: str) -> None:
    assert (await on.client.get(f"/static/{path}")).status_code == 404


def test_no_template_has_script_or_style_of_its_own() -> None:
    for path in TEMPLATES.rglob("*.html"):
        text = path.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), path.name
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|hx-on", text), path.name
        # Parts that were rendered, and so escaped, before; attributes that a template itself says.
        rendered = re.sub(r"parts\.get\([^)]*\) \| safe|\{\{ attrs\|safe \}\}", "", text)
        assert not re.search(r"\|\s*safe\b|autoescape", rendered), path.name
