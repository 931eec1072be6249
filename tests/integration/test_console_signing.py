"""Sessions, attempts and codes of the console, in a real Valkey."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyotp
import pytest
import pytest_asyncio

from services.console import users
from services.console.sessions import Sessions, secret_of
from services.console.signing import HASHER, STEP_S, Failed, Local, Tries
from services.console.users import User
from services.local.valkey import LocalValkey
from services.runtime import store
from services.runtime.errors import Away, ConfigError
from services.runtime.identity import Role

IDLE_S, LONGEST_S = 600, 3600
SECRET = b"s" * 32
AT_MS = 1_800_000_000_000
TOTP = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
PASSWORD = "correct horse battery"


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = AT_MS

    def __call__(self) -> int:
        return self.now

    def add(self, seconds: float) -> None:
        """Lets time pass."""
        self.now += int(1000 * seconds)


@pytest_asyncio.fixture
async def client(valkey: LocalValkey) -> AsyncIterator[Any]:
    """A connection to an empty one."""
    connected = store.connect(valkey.url)
    await connected.flushall()
    yield connected
    await connected.aclose()


@pytest.fixture
def clock() -> Clock:
    """Time that stands still."""
    return Clock()


@pytest.fixture
def sessions(client: Any, clock: Clock) -> Sessions:
    """The store of sessions."""
    return Sessions(client, SECRET, IDLE_S, LONGEST_S, clock)


async def begun(sessions: Sessions, sub: str = "fatima") -> str:
    """The token of a new session of `sub`."""
    token, _ = await sessions.begin(
        sub=sub, name=sub, roles=frozenset({Role.AGENT}), agency="", language="ar"
    )
    return token


async def test_a_session_is_found_by_its_token_alone(sessions: Sessions, client: Any) -> None:
    token = await begun(sessions)
    found = await sessions.find(token)
    assert found is not None
    assert found.person().roles == {Role.AGENT}
    for other in ("", "x" * 43, token[:-1], token + "x", "x" * 200):
        assert await sessions.find(other) is None
    # Whoever reads Redis has nothing that a browser could show.
    for key in await client.keys():
        assert token.encode() not in key
        if key.startswith(b"console:session:"):
            assert token.encode() not in await client.get(key)


async def test_a_session_ends_when_it_was_not_used(sessions: Sessions, clock: Clock) -> None:
    token = await begun(sessions)
    for _ in range(3):
        clock.add(IDLE_S - 1)
        assert await sessions.find(token) is not None
    clock.add(IDLE_S)
    assert await sessions.find(token) is None


async def test_a_session_ends_after_the_longest_time(sessions: Sessions, clock: Clock) -> None:
    token = await begun(sessions)
    for _ in range(LONGEST_S // 300 - 1):
        clock.add(300)
        assert await sessions.find(token) is not None
    clock.add(300)
    assert await sessions.find(token) is None


async def test_redis_forgets_by_itself(sessions: Sessions, client: Any) -> None:
    await begun(sessions)
    for key in await client.keys():
        # A day longer while no room could be told that it ended.
        untold_s = 24 * 3600 if key == b"console:sessions-began" else 60
        assert 0 < await client.ttl(key) <= LONGEST_S + untold_s


async def test_revoked_is_over_at_once_and_stays_over(sessions: Sessions, clock: Clock) -> None:
    one, two = await begun(sessions), await begun(sessions)
    other = await begun(sessions, "omar")
    found = await sessions.find(two)
    assert found is not None
    assert await sessions.there(two)
    assert await sessions.revoke("fatima", found.id) == [found]
    assert await sessions.find(two) is None
    assert not await sessions.there(two)
    kept = await sessions.find(one)
    assert kept is not None
    clock.add(60)
    await sessions.change(two, language="en")
    assert await sessions.find(two) is None
    assert [s.id for s in await sessions.revoke("fatima")] == [kept.id]
    assert [s.sub for s in await sessions.all()] == ["omar"]
    await sessions.end(other)
    assert await sessions.all() == []


async def test_language_and_theme_are_the_sessions(sessions: Sessions) -> None:
    token = await begun(sessions)
    await sessions.change(token, language="en", theme="dark")
    found = await sessions.find(token)
    assert found is not None
    assert (found.language, found.theme) == ("en", "dark")


async def test_whoever_writes_redis_makes_no_session(
    sessions: Sessions, client: Any, clock: Clock
) -> None:
    agent = await begun(sessions)
    (key,) = await client.keys("console:session:*")
    value = await client.get(key)
    token = await begun(sessions, "admin")
    (other,) = [k for k in await client.keys("console:session:*") if k != key]
    for forged in (
        value.replace(b'"agent"', b'"administrator"'),
        value[32:],
        b"",
        await client.get(other),
    ):
        await client.set(key, forged)
        assert await sessions.find(agent) is None
    await client.set(key, value)
    assert await sessions.find(agent) is not None
    elsewhere = Sessions(client, b"t" * 32, IDLE_S, LONGEST_S, clock)
    assert await elsewhere.find(token) is None


async def test_whose_time_ended_is_told_once_and_who_left_is_not(client: Any, clock: Clock) -> None:
    short = Sessions(client, SECRET, 1, LONGEST_S, clock)
    stays = Sessions(client, SECRET, IDLE_S, LONGEST_S, clock)
    await begun(short)
    left = await begun(short, "omar")
    await begun(stays, "sara")
    assert await stays.lapsed() == []
    await stays.end(left)
    await asyncio.sleep(1.2)
    [(name, session)] = await stays.lapsed()
    assert session.sub == "fatima"
    assert await stays.lapsed() == [], "another replica has it"
    # Who took it did not come to tell it.
    await client.delete(f"{name}:lapsed")
    assert [s.sub for _, s in await short.lapsed()] == ["fatima"]
    await short.told(name)
    await client.delete(f"{name}:lapsed")
    assert await short.lapsed() == []


async def test_the_secret_follows_from_the_token_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"local\.private\.pem is missing"):
        secret_of(tmp_path, "local")
    (tmp_path / "tokens").mkdir()
    for name in ("a", "b"):
        (tmp_path / "tokens" / f"{name}.private.pem").write_text(name)
    assert secret_of(tmp_path, "a") == secret_of(tmp_path, "a") != secret_of(tmp_path, "b")


async def test_redis_away_is_said(clock: Clock) -> None:
    away = store.connect("redis://127.0.0.1:1/0")
    sessions = Sessions(away, SECRET, IDLE_S, LONGEST_S, clock)
    with pytest.raises(Away):
        await begun(sessions)
    with pytest.raises(Away):
        await sessions.find("x" * 43)
    with pytest.raises(Away):
        await Tries(away, clock).wait_s("fatima", "192.0.2.1")
    await away.aclose()


@pytest.fixture(scope="module")
def hashed() -> str:
    """The hash of PASSWORD."""
    return HASHER.hash(PASSWORD)


@pytest.fixture
def file(tmp_path: Path, hashed: str) -> Path:
    """A file of users: fatima has an authenticator, omar has none, aisha is disabled."""
    path = tmp_path / "users.yaml"
    agent = frozenset({Role.AGENT})
    known = (
        User("fatima", "فاطمة", frozenset({Role.COORDINATOR}), password=hashed, totp=TOTP),
        User("omar", "Omar", agent, password=hashed),
        User("aisha", "Aisha", agent, password=hashed, disabled=True),
    )
    users.write(path, {user.sub: user for user in known})
    return path


@pytest.fixture
def local(file: Path, client: Any, clock: Clock) -> Local:
    """Sign-in by that file."""
    return Local(file, Tries(client, clock), clock)


def code(clock: Clock, steps: int = 0) -> str:
    """What the authenticator shows, `steps` of 30 s from now."""
    return pyotp.TOTP(TOTP).at(clock.now // 1000 + steps * STEP_S)


@pytest.mark.parametrize(
    ("user", "password", "steps", "right"),
    [
        ("fatima", PASSWORD, 0, True),
        (" Fatima ", PASSWORD, 0, True),
        ("fatima", PASSWORD, -1, True),
        ("fatima", PASSWORD, 1, True),
        ("fatima", PASSWORD, -2, False),
        ("fatima", PASSWORD, 2, False),
        ("fatima", PASSWORD, None, False),
        ("fatima", "wrong", 0, False),
        ("fatima", "", 0, False),
        ("omar", PASSWORD, None, True),
        ("omar", PASSWORD, 0, True),
        ("aisha", PASSWORD, None, False),
        ("nobody", PASSWORD, None, False),
        ("", "", None, False),
        ("fatima\0", PASSWORD, 0, False),
    ],
)
async def test_who_is_signed_in(
    local: Local, clock: Clock, user: str, password: str, steps: int | None, right: bool
) -> None:
    shown = "" if steps is None else code(clock, steps)
    found = await local.check(user, password, shown, "192.0.2.1")
    assert isinstance(found, User) is right
    assert isinstance(found, Failed) is not right


async def test_a_code_is_good_once(local: Local, clock: Clock) -> None:
    shown = code(clock)
    asked = [local.check("fatima", PASSWORD, shown, f"192.0.2.{n}") for n in range(3)]
    found = await asyncio.gather(*asked)
    assert sum(isinstance(one, User) for one in found) == 1
    clock.add(STEP_S)
    assert isinstance(await local.check("fatima", PASSWORD, shown, "192.0.2.9"), Failed)
    assert isinstance(await local.check("fatima", PASSWORD, code(clock), "192.0.2.9"), User)


async def test_who_guesses_waits_and_ever_longer(client: Any, clock: Clock) -> None:
    tries = Tries(client, clock)
    waits = []
    for _ in range(9):
        waited = await tries.wait_s("fatima", "192.0.2.1")
        if waited:
            clock.add(waited)
            assert await tries.wait_s("fatima", "192.0.2.1") == 0
        waits.append(waited)
    assert waits == [0, 0, 0, 0, 0, 15, 30, 60, 120]
    # A colleague elsewhere is not kept out by it, nor is the name from there.
    assert await tries.wait_s("fatima", "192.0.2.2") == 0
    assert await tries.wait_s("omar", "192.0.2.1") == 0


async def test_of_each_while_one_is_told(client: Any, clock: Clock) -> None:
    tries = Tries(client, clock)
    for _ in range(5):
        assert await tries.wait_s("fatima", "192.0.2.1") == 0
    for first in (True, False, False):
        assert await tries.wait_s("fatima", "192.0.2.1") == 15
        assert await tries.first("fatima", "192.0.2.1") is first


async def test_right_in_the_end_is_forgiven(local: Local, clock: Clock) -> None:
    for _ in range(4):
        assert isinstance(await local.check("omar", "wrong", "", "192.0.2.1"), Failed)
    for _ in range(7):
        assert isinstance(await local.check("omar", PASSWORD, "", "192.0.2.1"), User)


async def test_who_is_right_never_waits_and_forgives_nobody_else(client: Any, clock: Clock) -> None:
    tries = Tries(client, clock)
    for n in range(29):
        assert await tries.wait_s(f"user{n}", "192.0.2.1") == 0
    for _ in range(60):
        assert await tries.wait_s("fatima", "192.0.2.1") == 0
        await tries.forget("fatima", "192.0.2.1")
    assert await tries.wait_s("user30", "192.0.2.1") == 0
    assert await tries.wait_s("user31", "192.0.2.1") == 15
    for key in await client.keys():
        assert await client.ttl(key) > 0


async def test_many_names_from_one_address_wait(client: Any, clock: Clock) -> None:
    tries = Tries(client, clock)
    waits = [await tries.wait_s(f"user{n}", "192.0.2.1") for n in range(32)]
    assert waits[:30] == [0] * 30
    assert waits[30] == 15


async def test_one_name_from_many_addresses_waits(client: Any, clock: Clock) -> None:
    tries = Tries(client, clock)
    waits = [await tries.wait_s("fatima", f"192.0.2.{n}") for n in range(52)]
    assert waits[:50] == [0] * 50
    assert waits[50] == 15


async def test_what_redis_holds_of_attempts_names_nobody(client: Any, local: Local) -> None:
    await local.check("fatima", "wrong", "", "192.0.2.1")
    keys = b" ".join(await client.keys())
    assert b"fatima" not in keys
    assert b"192.0.2.1" not in keys


def write(path: Path, text: str) -> None:
    """Somebody's editor."""
    path.write_text(text)


async def test_the_file_is_read_again(
    local: Local, file: Path, monkeypatch: pytest.MonkeyPatch, sessions: Sessions
) -> None:
    _, session = await sessions.begin(
        sub="omar", name="Omar", roles=frozenset({Role.AGENT}), agency="", language="ar"
    )
    assert local.holds(session)
    known = users.read(file)
    later = iter(range(10**6, 2 * 10**6, 10))
    monkeypatch.setattr("services.console.signing.monotonic_s", lambda: float(next(later)))
    changed = dict(known)
    changed["omar"] = User("omar", "Omar", frozenset({Role.AUDITOR}), password="$argon2id$x")
    users.write(file, changed)
    assert not local.holds(session)
    users.write(file, {k: v for k, v in known.items() if k != "omar"})
    assert not local.holds(session)
    users.write(file, known)
    assert local.holds(session)
    # Half a file keeps nobody out and lets nobody in.
    write(file, "users: {omar: {roles: [king]}}")
    assert local.holds(session)
