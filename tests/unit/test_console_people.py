"""The page People: what one sees of others, and whose sessions one may end."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.console.rendering import sort_key
from services.runtime.identity import STAFF, Role
from tests.console_rig import Desk, desk


@pytest_asyncio.fixture
async def on(tmp_path: Path) -> AsyncIterator[Desk]:
    """A console where one of each role is signed in."""
    async with desk(tmp_path) as running:
        for role in STAFF:
            await running.token(role)
        yield running


def count(on: Desk, sub: str) -> int:
    """How many sessions `sub` has."""
    return sum(session.sub == sub for session in on.sessions.held.values())


@pytest.mark.parametrize("role", sorted(STAFF))
async def test_others_are_seen_by_who_answers_for_them(on: Desk, role: Role) -> None:
    page = (await on.get("/people", role)).text
    sees = role in {Role.AUDITOR, Role.ADMINISTRATOR}
    assert ("Who is signed in" in page) is sees
    assert ("Who may sign in by password" in page) is sees
    ends = page.count('name="session"')
    assert ends == (len(STAFF) - 1 if role is Role.ADMINISTRATOR else 0)
    assert "argon2" not in page
    for token in on.sessions.held:
        assert token not in page


@pytest.mark.parametrize("role", sorted(STAFF))
async def test_sessions_of_others_are_ended_by_administrators(on: Desk, role: Role) -> None:
    other = "approver" if role is not Role.APPROVER else "agent"
    answer = await on.post("/people/revoke", role, sub=other)
    if role is Role.ADMINISTRATOR:
        assert answer.headers["location"] == "/people?ended=1"
        assert count(on, other) == 0
    else:
        assert answer.status_code == 403
        assert count(on, other) == 1


async def test_ones_own_others_are_ended_and_this_one_stays(on: Desk) -> None:
    for _ in range(2):
        await on.sessions.begin(
            sub="agent", name="A", roles=frozenset({Role.AGENT}), agency="", language="en"
        )
    assert count(on, "agent") == 3
    page = (await on.get("/people", Role.AGENT)).text
    assert "End all but this one" in page
    await on.post("/people/revoke", Role.AGENT, sub="agent", but_this="1")
    assert count(on, "agent") == 1
    assert (await on.get("/people?ended=2", Role.AGENT)).text.count("2 sessions were ended.") == 1


async def test_one_session_is_ended_by_its_name(on: Desk) -> None:
    _, session = await on.sessions.begin(
        sub="agent", name="A", roles=frozenset({Role.AGENT}), agency="", language="en"
    )
    await on.post("/people/revoke", Role.AGENT, sub="agent", session=session.id)
    assert count(on, "agent") == 1


@pytest.mark.parametrize("ended", ["x", "-1", "1e9", "99999999", "<b>", "٣"])
async def test_what_is_said_of_the_end_is_a_number(on: Desk, ended: str) -> None:
    page = await on.client.get(
        "/people",
        params={"ended": ended},
        headers={"cookie": f"mawja={await on.token(Role.AGENT)}"},
    )
    assert page.status_code == 200
    assert "ended." not in page.text


@pytest.mark.parametrize(
    ("form", "lang", "theme"),
    [
        ({"language": "ar"}, "ar", ""),
        ({"theme": "dark"}, "en", "dark"),
        ({"language": "fr", "theme": "pink"}, "en", ""),
        ({"sub": "administrator", "roles": "administrator"}, "en", ""),
    ],
)
async def test_settings_are_of_the_list(
    on: Desk, form: dict[str, str], lang: str, theme: str
) -> None:
    token = await on.token(Role.AGENT)
    before = on.sessions.held[token]
    answer = await on.post("/people/settings", Role.AGENT, **form, back="//elsewhere.example")
    assert answer.headers["location"] == "/people"
    after = on.sessions.held[token]
    assert (after.language, after.theme) == (lang, theme)
    assert (after.sub, after.roles) == (before.sub, before.roles)


def test_names_stand_in_the_order_of_their_language() -> None:
    names = ["Omar", "فاطمة", "الكواري", "أحمد", "آمنة", "zaid", "Árni", "بدر"]
    assert sorted(names, key=lambda name: sort_key(name, "ar")) == [
        "أحمد",
        "آمنة",
        "بدر",
        "فاطمة",
        "الكواري",
        "Árni",
        "Omar",
        "zaid",
    ]
    assert sorted(names, key=lambda name: sort_key(name, "en"))[:3] == ["Árni", "Omar", "zaid"]
