"""Signing in: the file of users, and how often somebody may try.

Whether a name exists can't be told from outside: an unknown one costs the same hash and gets the
same answer. Who fails waits, longer each time: by name and address first, so that nobody can keep
a colleague out from elsewhere, and more patiently by each of them alone. A code of an authenticator
is taken once.
"""

import asyncio
import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyotp
import redis.asyncio as redis
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from fastapi import Request, Response
from mawja.audit.v1 import service_pb2 as audit
from redis.exceptions import RedisError

from services.console.book import Book
from services.console.calls import Refused
from services.console.sessions import Session, Sessions
from services.console.users import User, read
from services.runtime import log, metrics
from services.runtime.clock import Millis, monotonic_s, now_ms
from services.runtime.errors import Away, ConfigError

HASHER = PasswordHasher()
STEP_S = 30
_AT_ONCE = 4
_KEPT_S = 3600
_LONGEST_S = 900
_FREE = {"both": 5, "address": 30, "user": 50}
"""How often one may fail within an hour before one waits."""
_log = log.get("console.sign-in")


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt that signed nobody in. `wait_s`: for how long nobody may try (0: it was wrong);
    `event`: what the audit says of it, UNSPECIFIED where it says so already; `user`: whose name it
    was, None when it is nobody's."""

    wait_s: int
    event: audit.SessionEvent.ValueType
    user: User | None

    def note(self) -> audit.NoteSessionRequest:
        """What the audit is told."""
        return noted(self.event, self.user, "password")


@dataclass(frozen=True, slots=True)
class Cookies:
    """The console's cookies. By https their names begin with __Host-, which keeps other hosts of
    the domain from setting them."""

    secure: bool

    @property
    def session(self) -> str:
        """The session's."""
        return "__Host-mawja" if self.secure else "mawja"

    @property
    def coming(self) -> str:
        """Of who is on the way to the provider and back."""
        return "__Host-mawja-coming" if self.secure else "mawja-coming"

    def set(self, response: Response, name: str, value: str, max_age: int | None = None) -> None:
        """Gives the browser `value`; for as long as it is open, or `max_age` seconds. Lax, since a
        provider sends people back from its own pages; forms have a token besides."""
        response.set_cookie(
            name,
            value,
            path="/",
            max_age=max_age,
            secure=self.secure,
            httponly=True,
            samesite="lax",
        )

    def forget(self, response: Response, name: str) -> None:
        """Takes it away."""
        response.delete_cookie(name, path="/", secure=self.secure, httponly=True, samesite="lax")


class Tries:
    """Counts of failed attempts, in Redis for an hour. Raises Away when it does not answer."""

    def __init__(self, client: "redis.Redis", clock: Millis = now_ms) -> None:
        self._client = client
        self._clock = clock

    async def wait_s(self, user: str, address: str) -> int:
        """Seconds until `user` may try (again) from `address`; 0: now. Counts the attempt that
        follows, before it is made, so that many at once are counted too."""
        names = self._names(user, address)
        now = self._clock()
        until = [int(at or 0) for at in await answered(self._client.mget(_until(n) for n in names))]
        left = max(until) - now
        if left > 0:
            return -(-left // 1000)
        async with self._client.pipeline(transaction=True) as pipe:
            for name in names:
                pipe.incr(name)
                pipe.expire(name, _KEPT_S)
            counts = (await answered(pipe.execute()))[::2]
        async with self._client.pipeline(transaction=True) as pipe:
            for name, count, free in zip(names, counts, _FREE.values(), strict=True):
                if count >= free:
                    pause = min(_LONGEST_S, 15 * 2 ** min(count - free, 10))
                    pipe.set(_until(name), now + 1000 * pause, ex=pause)
            await answered(pipe.execute())
        return 0

    async def first(self, user: str, address: str) -> bool:
        """Whether nobody asked yet in the while in which they must wait: of each, one is told."""
        names = self._names(user, address)
        until = [int(at or 0) for at in await answered(self._client.mget(_until(n) for n in names))]
        last, name = max(zip(until, names, strict=True))
        left_ms = max(1, last - self._clock())
        return bool(await answered(self._client.set(f"{name}:told", "1", nx=True, px=left_ms)))

    async def forget(self, user: str, address: str) -> None:
        """It was them: this attempt, and those by them from there, no longer count."""
        names = self._names(user, address)
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.delete(names[0], *(_until(name) for name in names))
            # Of what others failed at there, or by that name, nothing is forgiven.
            for name in names[1:]:
                pipe.decr(name)
                pipe.expire(name, _KEPT_S)
            await answered(pipe.execute())

    async def fresh(self, user: str, step: int) -> bool:
        """Whether the code of `step` was not used yet; from now on it was."""
        key = f"console:code:{_digest(user)}:{step}"
        return bool(await answered(self._client.set(key, "1", nx=True, ex=4 * STEP_S)))

    def _names(self, user: str, address: str) -> list[str]:
        return [
            f"console:tries:both:{_digest(user + chr(31) + address)}",
            f"console:tries:address:{_digest(address)}",
            f"console:tries:user:{_digest(user)}",
        ]


class Local:
    """Sign-in by the file of users. Raises ConfigError when the file can't be read at the start; a
    file that gets wrong later is told in the log, and the last good one counts."""

    def __init__(self, path: Path, tries: Tries, clock: Millis = now_ms) -> None:
        self._path = path
        self._tries = tries
        self._clock = clock
        self._nobody = HASHER.hash("nobody has this password")
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._users = read(path)
        self._stamp = self._stamped()
        self._looked_s = monotonic_s()

    def users(self) -> dict[str, User]:
        """Every user by name, as the file says now (looked at once a second)."""
        if monotonic_s() - self._looked_s >= 1:
            self._looked_s = monotonic_s()
            stamp = self._stamped()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._users = read(self._path)
                except ConfigError as error:
                    _log.error("the last good file of users counts", why=str(error))
        return self._users

    def _stamped(self) -> Any:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def holds(self, session: Session) -> bool:
        """Whether a session that began by password is still what the file says."""
        user = self.users().get(session.sub)
        return (
            user is not None
            and not user.disabled
            and user.roles == frozenset(session.roles)
            and user.agency == session.agency
        )

    async def check(self, sub: str, password: str, code: str, address: str) -> User | Failed:
        """The user, or why it is none. Raises Away."""
        sub = sub.strip().lower()
        wait_s = await self._tries.wait_s(sub, address)
        user = self.users().get(sub)
        if wait_s:
            first = await self._tries.first(sub, address)
            locked = audit.SESSION_EVENT_LOCKED if first else audit.SESSION_EVENT_UNSPECIFIED
            return Failed(wait_s, locked, user)
        async with self._at_once:
            right = await asyncio.to_thread(
                _verified, user.password if user else self._nobody, password
            )
        step = _step_of(user.totp, code, self._clock() // 1000) if user and user.totp else 0
        if user is None or user.disabled or not right:
            _log.warning("nobody was signed in", known=user is not None)
            return Failed(0, audit.SESSION_EVENT_WRONG_PASSWORD, user)
        if step is None or (user.totp and not await self._tries.fresh(sub, step)):
            _log.warning("a code was wrong or used again")
            return Failed(0, audit.SESSION_EVENT_WRONG_CODE, user)
        await self._tries.forget(sub, address)
        return user


def noted(
    event: audit.SessionEvent.ValueType, user: User | None, way: str
) -> audit.NoteSessionRequest:
    """What the audit is told of who wanted a session and got none."""
    if user is None:
        return audit.NoteSessionRequest(event=event, way=way)
    return audit.NoteSessionRequest(
        event=event, way=way, user=user.sub, roles=sorted(user.roles), agency=user.agency
    )


async def begin(
    request: Request, response: Response, user: User, way: str, language: str = ""
) -> None:
    """Signs `user` in: a new session, whatever the browser had before. Raises Away, and Refused
    when no room notes it."""
    old = request.state.token
    sessions: Sessions = request.app.state.sessions
    book: Book = request.app.state.book
    cookies: Cookies = request.app.state.cookies
    token, session = await sessions.begin(
        sub=user.sub,
        name=user.name,
        roles=user.roles,
        agency=user.agency,
        language=language or request.app.state.pages.language_of(request),
        way=way,
        browser=request.headers.get("user-agent", ""),
    )
    try:
        await book.tell_of(session, audit.SESSION_EVENT_SIGNED_IN)
    except Refused:
        await sessions.end(token)
        raise
    ended = await sessions.end(old) if old else None
    if ended is not None:
        await book.ended(ended, audit.SESSION_EVENT_SIGNED_OUT)
    cookies.set(response, cookies.session, token)
    metrics.SIGN_INS.labels(way, "signed-in").inc()


def _verified(hash_: str, password: str) -> bool:
    try:
        return HASHER.verify(hash_, password)
    except (VerificationError, InvalidHashError):
        return False


def _step_of(secret: str, code: str, now_s: int) -> int | None:
    """The step of `code`, of this one and its neighbours (RFC 6238: clocks differ), or None."""
    totp = pyotp.TOTP(secret, interval=STEP_S)
    plain = "".join(str(int(c)) for c in code if c.isdecimal())
    now = now_s // STEP_S
    steps = (now - 1, now, now + 1)
    fits = [step for step in steps if hmac.compare_digest(totp.at(step * STEP_S), plain)]
    return fits[0] if fits else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _until(name: str) -> str:
    return f"{name}:until"


async def answered(asked: Any) -> Any:
    """What Redis answers. Raises Away when it does not."""
    try:
        return await asked
    except (RedisError, OSError, TimeoutError) as error:
        raise Away("nobody can sign in: Redis does not answer") from error
