"""Who signed in, who failed to and how sessions ended, from the console to `mawja audit list`: real
Redis, real Kafka, and one room, the first of those that could note it being away."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio
from typer.testing import CliRunner

from services.console import users
from services.console.app import build
from services.console.book import Book
from services.console.calls import Calls, issuer
from services.console.masking import masked
from services.console.sessions import Sessions
from services.console.settings import ROOMS
from services.console.settings import Settings as ConsoleSettings
from services.console.signing import HASHER, Local, Tries
from services.console.users import User
from services.runtime import clock, store
from services.runtime.config import Settings
from services.runtime.identity import Role, issue
from services.tools.__main__ import app as mawja
from tests.dedup_rig import seen
from tests.room_process import room

PASSWORD = "correct horse battery"
TOTP = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
TYPED = "mistyped-by-fatima"
SECRET = b"s" * 32


@pytest_asyncio.fixture
async def redis(settings: Settings) -> AsyncIterator[Any]:
    """A connection to Redis."""
    client = store.connect(settings.redis_url)
    yield client
    await client.aclose()


def people(path: Path) -> Path:
    """A file of users; fatima has an authenticator."""
    hashed = HASHER.hash(PASSWORD)
    of = {
        "fatima": User(
            "fatima", "فاطمة", frozenset({Role.COORDINATOR}), password=hashed, totp=TOTP
        ),
        "omar": User("omar", "Omar", frozenset({Role.AGENT}), password=hashed),
        "sara": User("sara", "Sara", frozenset({Role.ADMINISTRATOR}), password=hashed),
    }
    users.write(path, of)
    return path


async def enters(client: httpx.AsyncClient, user: str, password: str = PASSWORD) -> int:
    """The status of an attempt; who gets in has their cookie in `client`."""
    answer = await client.post("/sign-in", data={"user": user, "password": password})
    return answer.status_code


def audited(settings: Settings) -> list[dict[str, Any]]:
    """What `mawja audit list` tells of sessions."""
    env = {
        "MAWJA_KAFKA": settings.kafka,
        "MAWJA_REDIS_URL": settings.redis_url,
        "MAWJA_KEYS": str(settings.keys),
        "MAWJA_TOKEN": issue(settings.keys, "au", frozenset({Role.AUDITOR}), now=clock.now_ms()),
    }
    words = ["audit", "list", "--json", "--what", "Console/"]
    done = CliRunner().invoke(mawja, words, env=env)
    assert done.exit_code == 0, (done.output, done.exception)
    return [json.loads(line) for line in done.output.splitlines()]


async def test_the_audit_tells_who_signed_in_who_failed_and_how_it_ended(
    settings: Settings, tmp_path: Path, redis: Any
) -> None:
    with room("outreach", settings, tmp_path) as running:
        said = ConsoleSettings.from_env(
            {
                "MAWJA_REDIS_URL": settings.redis_url,
                "MAWJA_KEYS": str(settings.keys),
                **{f"MAWJA_{name.upper()}": "127.0.0.1:1" for name in ROOMS},
                "MAWJA_OUTREACH": await asyncio.to_thread(running.target),
            }
        )
        calls = Calls(said.rooms, issuer(said.keys, said.kid))
        sessions = Sessions(redis, SECRET, 600, 3600)
        local = Local(people(tmp_path / "users.yaml"), Tries(redis))

        async def ready() -> bool:
            return True

        app = build(said, calls, sessions, local, None, ready)
        transport = httpx.ASGITransport(app)

        def browser() -> httpx.AsyncClient:
            return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

        async with browser() as sara, browser() as omar, browser() as strange:
            assert await enters(sara, "sara") == 303
            assert await enters(omar, "omar") == 303
            [of_omar] = await sessions.all("omar")
            # Of ten attempts five are wrong, and of those that must wait one is told.
            for _ in range(10):
                assert await enters(strange, "omar", TYPED) == 403
            assert await enters(strange, "fatima") == 403
            assert await enters(strange, TYPED, TYPED) == 403
            [of_sara] = await sessions.all("sara")
            form = {"csrf": masked(of_sara.csrf)}
            ended = await sara.post("/people/revoke", data={"sub": "omar", **form})
            assert ended.headers["location"] == "/people?ended=1"
            await sara.post("/sign-out", data=form)
        await Sessions(redis, SECRET, 1, 3600).begin(
            sub="omar", name="Omar", roles=frozenset({Role.AGENT}), agency="", language="ar"
        )
        await asyncio.sleep(1.2)
        for _ in range(2):
            await Book(calls).tell_lapsed(sessions)

        async def listed() -> list[dict[str, Any]]:
            return await asyncio.to_thread(audited, settings)

        told = await seen(listed, lambda found: len(found) >= 13)
        await calls.close()
    assert [(one["deed"], one.get("subject", ""), one["outcome"]) for one in told] == [
        ("Console/SignedIn", "sara", "done"),
        ("Console/SignedIn", "omar", "done"),
        *[("Console/WrongPassword", "omar", "unauthenticated")] * 5,
        ("Console/Locked", "omar", "resource_exhausted"),
        ("Console/WrongCode", "fatima", "unauthenticated"),
        ("Console/WrongPassword", "", "unauthenticated"),
        ("Console/Revoked", "sara", "done"),
        ("Console/SignedOut", "sara", "done"),
        ("Console/Expired", "omar", "done"),
    ]
    revoked = told[10]
    assert (revoked["about"], revoked["session_id"]) == ("omar", of_omar.id)
    assert {one["way"] for one in told} == {"password"}
    text = json.dumps(told, ensure_ascii=False) + running.said
    for private in (TYPED, PASSWORD, TOTP, "فاطمة", "127.0.0.1", of_omar.csrf):
        assert private not in text
