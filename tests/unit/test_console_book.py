"""What the audit is told of sessions: who began one, who failed to, and how each ended."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from mawja.audit.v1 import service_pb2 as audit

from services.console.masking import masked
from services.runtime.identity import Role
from tests.console_rig import Desk, desk


@pytest_asyncio.fixture
async def on(tmp_path: Path) -> AsyncIterator[Desk]:
    """A console at which nobody is signed in."""
    async with desk(tmp_path) as running:
        yield running


def told(on: Desk) -> list[tuple[str, str, str]]:
    """What happened, whose session it was, and who did it to them."""
    name = audit.SessionEvent.Name
    return [
        (name(one.event).removeprefix("SESSION_EVENT_"), one.user, one.by) for one in on.audit.told
    ]


async def tries(on: Desk, user: str, password: str = "right") -> int:
    """The status of an attempt to sign in."""
    answer = await on.post("/sign-in", csrf=None, user=user, password=password)
    return answer.status_code


async def test_who_signs_in_and_out_is_told_with_session_and_way(on: Desk) -> None:
    assert await tries(on, "liaison") == 303
    [(token, session)] = on.sessions.held.items()
    await on.client.post(
        "/sign-out", data={"csrf": masked(session.csrf)}, headers={"cookie": f"mawja={token}"}
    )
    assert told(on) == [("SIGNED_IN", "liaison", ""), ("SIGNED_OUT", "liaison", "")]
    for one in on.audit.told:
        assert (one.session_id, one.way, one.agency) == (session.id, "password", "MUNICIPALITY")
        assert list(one.roles) == ["liaison"]


async def test_of_who_fails_nothing_is_told_that_they_typed(on: Desk) -> None:
    assert await tries(on, "agent", "hunter2") == 403
    assert await tries(on, "my password is hunter2", "hunter2") == 403
    assert told(on) == [("WRONG_PASSWORD", "agent", ""), ("WRONG_PASSWORD", "", "")]
    assert "hunter2" not in str(on.audit.told)


async def test_nobody_is_signed_in_unnoted(on: Desk) -> None:
    on.audit.away = True
    assert await tries(on, "agent") == 503
    assert on.sessions.held == {}


async def test_an_end_does_not_wait_for_its_note(on: Desk) -> None:
    await on.token(Role.AGENT)
    on.audit.away = True
    answer = await on.post("/sign-out", Role.AGENT)
    assert answer.status_code == 303
    assert on.sessions.held == {}


async def test_who_signs_in_anew_leaves_what_was_before(on: Desk) -> None:
    await on.token(Role.AGENT)
    await on.post("/sign-in", Role.AGENT, user="auditor", password="right")
    assert told(on) == [("SIGNED_IN", "auditor", ""), ("SIGNED_OUT", "agent", "")]


@pytest.mark.parametrize("by", [Role.AGENT, Role.ADMINISTRATOR])
async def test_who_ended_whose_session_is_told(on: Desk, by: Role) -> None:
    await on.token(Role.AGENT)
    await on.post("/people/revoke", by, sub="agent")
    assert told(on) == [("REVOKED", "agent", by.value)]


async def test_who_lost_their_rights_is_told(on: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.console_rig.LocalUsers.holds", lambda self, session: False)
    assert (await on.get("/wave", Role.AGENT)).status_code == 303
    assert told(on) == [("RIGHTS_CHANGED", "agent", "")]
