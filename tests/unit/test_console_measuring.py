"""What the console's metrics say of its pages: by template and class, never by what was typed."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi import Request
from prometheus_client import REGISTRY, generate_latest

from services.console import streams
from services.console.oidc import Provider
from services.runtime.errors import Away, Forbidden
from services.runtime.identity import Role
from tests.console_rig import Desk, desk

CASE = "00000000-0000-0000-0000-00000000c0de"


class Elsewhere:
    """A provider that lets nobody in, or does not answer."""

    def __init__(self) -> None:
        self.error: Exception = Forbidden("not here")

    async def arrived(self, state: str, code: str, binding: str) -> Any:
        raise self.error


PROVIDER = Elsewhere()


@pytest.fixture
async def on(tmp_path: Path) -> AsyncIterator[Desk]:
    """A console whose rooms answer nothing."""
    async with desk(tmp_path, provider=cast(Provider, PROVIDER)) as running:
        yield running


def answers(route: str, method: str, status: str) -> float:
    labels = {"route": route, "method": method, "status": status}
    return REGISTRY.get_sample_value("mawja_console_request_seconds_count", labels) or 0


def sign_ins(way: str, outcome: str) -> float:
    labels = {"way": way, "outcome": outcome}
    return REGISTRY.get_sample_value("mawja_console_sign_ins_total", labels) or 0


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/live", "/live", "2xx"),
        ("GET", "/sign-in", "/sign-in", "2xx"),
        ("GET", f"/campaigns/{CASE}", "/campaigns/{campaign_id:uuid}", "3xx"),
        ("GET", "/static/base.css", "/static/", "2xx"),
        ("GET", "/somebody/0501234567", "other", "4xx"),
        ("POST", "/live", "/live", "4xx"),
        ("BREW", "/live", "/live", "4xx"),
    ],
)
async def test_an_answer_is_counted_by_its_template(
    on: Desk, method: str, path: str, route: str, status: str
) -> None:
    said = method if method in {"GET", "POST"} else "other"
    before = answers(route, said, status)
    await on.client.request(method, path)
    assert answers(route, said, status) == before + 1


async def test_a_page_that_its_room_does_not_give_counts_as_failed(on: Desk) -> None:
    before = answers("/cases/{case}", "GET", "5xx")
    answer = await on.get(f"/cases/{CASE}", Role.AGENT)
    assert answer.status_code >= 500
    assert answers("/cases/{case}", "GET", "5xx") == before + 1


async def test_a_host_that_is_not_ours_is_counted_without_its_path(on: Desk) -> None:
    before = answers("other", "GET", "4xx")
    await on.client.get("/typed-by-somebody", headers={"host": "elsewhere.test"})
    assert answers("other", "GET", "4xx") == before + 1
    told = generate_latest(REGISTRY)
    assert b"typed-by-somebody" not in told
    assert b"elsewhere.test" not in told


async def test_live_pages_that_are_open_are_counted(on: Desk) -> None:
    async def told() -> AsyncIterator[bytes]:
        while True:
            yield b": here\n\n"

    token = await on.token(Role.AGENT)
    state = SimpleNamespace(token=token)
    app = SimpleNamespace(state=SimpleNamespace(sessions=on.sessions))
    request = cast(Request, SimpleNamespace(app=app, state=state))
    stream = cast(Any, streams.events(request, told()).body_iterator)
    before = REGISTRY.get_sample_value("mawja_console_streams_open") or 0
    await anext(stream)
    assert REGISTRY.get_sample_value("mawja_console_streams_open") == before + 1
    await stream.aclose()
    assert REGISTRY.get_sample_value("mawja_console_streams_open") == before


async def test_sign_ins_are_counted_by_what_came_of_them(on: Desk) -> None:
    before = {what: sign_ins("password", what) for what in ("signed-in", "refused", "away")}
    await on.post("/sign-in", user="agent", password="right", csrf=None)
    on.client.cookies.clear()
    await on.post("/sign-in", user="agent", password="wrong", csrf=None)
    await on.post("/sign-in", user="agent", password="wrong", csrf=None)
    on.sessions.away = True
    await on.post("/sign-in", user="agent", password="right", csrf=None)
    after = {what: sign_ins("password", what) - count for what, count in before.items()}
    assert after == {"signed-in": 1, "refused": 2, "away": 1}


async def test_a_provider_that_refuses_is_told_from_one_that_is_away(on: Desk) -> None:
    before = {what: sign_ins("oidc", what) for what in ("refused", "away")}
    PROVIDER.error = Forbidden("not here")
    await on.get("/sign-in/provider/back?state=a&code=b")
    PROVIDER.error = Away("not now")
    await on.get("/sign-in/provider/back?state=a&code=b")
    assert {what: sign_ins("oidc", what) - n for what, n in before.items()} == {
        "refused": 1,
        "away": 1,
    }
