"""Who is signed in: sessions in Redis, under the hash of what the browser holds.

Whoever reads Redis can take over no session, and whoever writes there can make none: each is signed
with a secret that Redis never has. A session ends when it was not used for a while, after
a longest time in any case, and when it is revoked. Redis away: nobody signs in anew, and nobody is
taken for signed in.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import redis.asyncio as redis
from redis.exceptions import RedisError

from services.console.who import Person
from services.runtime import token_keys
from services.runtime.clock import Millis, now_ms
from services.runtime.errors import Away
from services.runtime.identity import Role

_SIGNED = 32
_TOUCH_MS = 30_000
"""A session in use is written back so often at most."""


def secret_of(keys: Path, kid: str) -> bytes:
    """What sessions are signed with, derived from the token key `kid` (else the newest) of the key
    ring's folder, so that every replica of the console has it. Raises ConfigError."""
    return hmac.digest(
        token_keys.signing(keys, kid)[1].read_bytes(), b"mawja console sessions", "sha256"
    )


@dataclass(frozen=True, slots=True)
class Session:
    """One session. Times are Unix ms. `id` names it to people; `csrf` is what its forms bring."""

    id: str
    sub: str
    name: str
    roles: tuple[str, ...]
    agency: str
    language: str
    theme: str
    csrf: str
    began_ms: int
    seen_ms: int
    way: str
    """"password" or "oidc"."""
    browser: str
    """What the browser calls itself, cut short: by which people know their own sessions."""

    def person(self) -> Person:
        """Whose it is."""
        return Person(
            sub=self.sub,
            name=self.name,
            roles=frozenset(Role(role) for role in self.roles),
            agency=self.agency,
            language=self.language,
            session_id=self.id,
            csrf=self.csrf,
            theme=self.theme,
        )


class Sessions:
    """Sessions by the browser's token. Every method raises Away when Redis does not answer."""

    def __init__(
        self,
        client: "redis.Redis",
        secret: bytes,
        idle_s: int,
        longest_s: int,
        clock: Millis = now_ms,
    ) -> None:
        self._client = client
        self._secret = secret
        self._idle_s = idle_s
        self._longest_s = longest_s
        self._clock = clock

    async def begin(
        self,
        *,
        sub: str,
        name: str,
        roles: frozenset[Role],
        agency: str,
        language: str,
        theme: str = "",
        way: str = "password",
        browser: str = "",
    ) -> tuple[str, Session]:
        """A new session: the browser's token, and the session."""
        token = secrets.token_urlsafe(32)
        now = self._clock()
        session = Session(
            id=_name(token),
            sub=sub,
            name=name,
            roles=tuple(sorted(roles)),
            agency=agency,
            language=language,
            theme=theme,
            csrf=secrets.token_urlsafe(24),
            began_ms=now,
            seen_ms=now,
            way=way,
            browser=browser[:120],
        )
        await self._write(_key(token), session, new=True)
        return token, session

    async def find(self, token: str) -> Session | None:
        """The session of a browser's token, or None when there is none (any more)."""
        if not 20 <= len(token) <= 100:
            return None
        key = _key(token)
        session = self._read(key, await _answered(self._client.get(key)))
        if session is None:
            return None
        now = self._clock()
        if now >= session.began_ms + 1000 * self._longest_s:
            await self._end(key, session, told=False)
            return None
        if now - session.seen_ms >= 1000 * self._idle_s:
            await self._end(key, session, told=False)
            return None
        if now - session.seen_ms >= min(_TOUCH_MS, 250 * self._idle_s):
            session = replace(session, seen_ms=now)
            await self._write(key, session, new=False)
        return session

    async def there(self, token: str) -> bool:
        """Whether a session has not ended; looking is no use of it."""
        return bool(await _answered(self._client.exists(_key(token))))

    async def change(self, token: str, **changes: str) -> None:
        """Another `language` or `theme` for a session."""
        key = _key(token)
        session = self._read(key, await _answered(self._client.get(key)))
        if session is not None:
            await self._write(key, replace(session, **cast(Any, changes)), new=False)

    async def end(self, token: str) -> Session | None:
        """Ends a session: what ended; None when there was none."""
        key = _key(token)
        session = self._read(key, await _answered(self._client.get(key)))
        if session is not None:
            await self._end(key, session)
        return session

    async def lapsed(self) -> Sequence[tuple[str, Session]]:
        """Sessions whose time ended, and by what name they are `told`; until then each is handed
        out once a minute, to one replica."""
        held = await _answered(self._client.hgetall(_BEGAN))
        names, gone = list(held), []
        for start in range(0, len(names), 500):
            part = names[start : start + 500]
            values = await _answered(self._client.mget(part))
            gone += [key for key, value in zip(part, values, strict=True) if value is None]
        found = []
        for name in gone:
            key = _text(name)
            session = self._read(key, held[name])
            mine = await _answered(self._client.set(f"{key}:lapsed", "1", nx=True, ex=_AGAIN_S))
            # Who ended it meanwhile took it out with it.
            if session and mine and await _answered(self._client.hexists(_BEGAN, key)):
                found.append((key, session))
        return found

    async def told(self, name: str) -> None:
        """Of whom `lapsed` gave under `name` everybody has heard."""
        await _answered(self._client.hdel(_BEGAN, name))

    async def all(self, sub: str | None = None) -> Sequence[Session]:
        """Every session that has not ended, or those of `sub`; the one used last comes first."""
        index = _ALL if sub is None else _of(sub)
        names = list(await _answered(self._client.smembers(index)))
        found = []
        for start in range(0, len(names), 500):
            part = names[start : start + 500]
            values = await _answered(self._client.mget(part))
            read = [self._read(_text(key), of) for key, of in zip(part, values, strict=True)]
            gone = [key for key, session in zip(part, read, strict=True) if session is None]
            if gone:
                await _answered(self._client.srem(index, *gone))
            found += [session for session in read if session is not None]
        now = self._clock()
        alive = [
            s
            for s in found
            if now - s.seen_ms < 1000 * self._idle_s and now < s.began_ms + 1000 * self._longest_s
        ]
        return sorted(alive, key=lambda s: s.seen_ms, reverse=True)

    async def revoke(self, sub: str, session_id: str = "") -> Sequence[Session]:
        """Ends the sessions of `sub`, or the one that is called `session_id`; those that ended."""
        ended = []
        for key in await _answered(self._client.smembers(_of(sub))):
            session = self._read(_text(key), await _answered(self._client.get(key)))
            if session is not None and session_id in {"", session.id}:
                await self._end(_text(key), session)
                ended.append(session)
        return ended

    async def _write(self, key: str, session: Session, *, new: bool) -> None:
        left_s = self._longest_s - (self._clock() - session.began_ms) // 1000
        signed = self._signed(key, json.dumps(asdict(session)).encode())
        async with self._client.pipeline(transaction=True) as pipe:
            # Of one that was revoked meanwhile nothing comes back.
            pipe.set(
                key,
                signed,
                ex=max(1, min(self._idle_s, left_s)),
                nx=new,
                xx=not new,
            )
            if new:
                for index in (_ALL, _of(session.sub)):
                    pipe.sadd(index, key)
                    pipe.expire(index, self._longest_s + 60)
                pipe.hset(_BEGAN, key, signed)
                pipe.expire(_BEGAN, self._longest_s + _UNTOLD_S)
            await _answered(pipe.execute())

    def _signed(self, key: str, body: bytes) -> bytes:
        # With its key: no session stands for another.
        return hmac.digest(self._secret, key.encode() + b"\n" + body, "sha256") + body

    def _read(self, key: str, value: bytes | None) -> Session | None:
        if value is None or len(value) < _SIGNED:
            return None
        body = value[_SIGNED:]
        if not hmac.compare_digest(self._signed(key, body), value):
            return None
        try:
            said = json.loads(body)
            said["roles"] = tuple(Role(role) for role in said["roles"])
            return Session(**said)
        except (ValueError, TypeError, KeyError):
            # Of another version: its person signs in again.
            return None

    async def _end(self, key: str, session: Session, *, told: bool = True) -> None:
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.delete(key)
            pipe.srem(_ALL, key)
            pipe.srem(_of(session.sub), key)
            if told:
                pipe.hdel(_BEGAN, key)
            await _answered(pipe.execute())


_ALL = "console:sessions"
_BEGAN = "console:sessions-began"
_AGAIN_S = 60
_UNTOLD_S = 24 * 3600


def _key(token: str) -> str:
    return f"console:session:{hashlib.sha256(token.encode()).hexdigest()}"


def _name(token: str) -> str:
    return hashlib.sha256(b"name" + token.encode()).hexdigest()[:12]


def _of(sub: str) -> str:
    return f"console:sessions-of:{hashlib.sha256(sub.encode()).hexdigest()[:32]}"


def _text(key: bytes | str) -> str:
    return key.decode() if isinstance(key, bytes) else key


async def _answered(asked: Any) -> Any:
    try:
        return await asked
    except (RedisError, OSError, TimeoutError) as error:
        raise Away("sessions are not to be had: Redis does not answer") from error
