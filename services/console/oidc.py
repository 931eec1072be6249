"""Signing in by OpenID Connect: any provider that tells where its parts are (Discovery 1.0).

The authorization code flow with PKCE (RFC 7636), `state` bound to the browser by a cookie and used
once, and `nonce`; the ID token's signature, issuer, audience and times are checked, and its claims
give roles by a file. A person without a role in that file is not let in.

    subject: preferred_username      # who they are in the rooms' logs; `sub` where it is not said
    name: name
    claim: groups
    roles:
      mawja-coordinators: [coordinator]
      mawja-municipality: [liaison]
    agencies:
      mawja-municipality: MUNICIPALITY
"""

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import redis.asyncio as redis
import yaml
from authlib.common.errors import AuthlibBaseError
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from services.console.settings import Oidc
from services.console.signing import answered
from services.console.users import User
from services.runtime import log
from services.runtime.clock import Millis, monotonic_s, now_ms
from services.runtime.errors import Away, ConfigError, Forbidden
from services.runtime.identity import STAFF, Role, together

WITHIN_S = 600
"""How long somebody may take at the provider."""
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
_LEEWAY_S = 60
_KEPT_S = 3600.0
_AGAIN_S = 10.0
_LARGEST = 1024 * 1024
_log = log.get("console.oidc")


class NoRole(Forbidden):
    """Whom the provider knows and the file of roles does not. `sub`: their user's id, empty when
    their claims make none; `first`: whether this is new within ten minutes."""

    def __init__(self, sub: str) -> None:
        super().__init__("the provider's claims give no role here")
        self.sub = sub
        self.first = False


@dataclass(frozen=True, slots=True)
class Mapped:
    """What claims mean: `claim` holds one value or a list, of which each may give roles and an
    agency; `subject` and `name` are the claims that say who it is."""

    subject: str
    name: str
    claim: str
    roles: Mapping[str, frozenset[Role]]
    agencies: Mapping[str, str]

    def user(self, claims: Mapping[str, Any]) -> User:
        """Whom `claims` describe. Raises NoRole when they give none here."""
        said = claims.get(self.claim, [])
        values = {str(one) for one in (said if isinstance(said, list) else [said])}
        given = (self.roles.get(value, frozenset()) for value in values)
        roles = together(frozenset().union(*given))
        agencies = {self.agencies[value] for value in values if value in self.agencies}
        if Role.LIAISON in roles and len(agencies) != 1:
            # Of no agency, or of two: they would see none or too much.
            roles = frozenset()
        subject = str(claims.get(self.subject, ""))
        named = re.fullmatch(r"[\w.@+-]{1,120}", subject)
        if not roles or not named:
            raise NoRole(f"oidc:{subject}" if named else "")
        return User(
            sub=f"oidc:{subject}",
            name=str(claims.get(self.name) or subject)[:120],
            roles=roles,
            agency=agencies.pop() if Role.LIAISON in roles else "",
        )


def mapped(path: Path) -> Mapped:
    """The file of claims and roles. Raises ConfigError."""
    try:
        said = yaml.safe_load(path.read_text())
        roles = {
            str(value): frozenset(Role(role) for role in roles)
            for value, roles in said["roles"].items()
        }
        found = Mapped(
            subject=str(said.get("subject", "sub")),
            name=str(said.get("name", "name")),
            claim=str(said["claim"]),
            roles=roles,
            agencies={str(k): str(v) for k, v in (said.get("agencies") or {}).items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        raise ConfigError(
            f"{path} must have claim and roles by the claim's values, of {', '.join(sorted(STAFF))}"
        ) from None
    if any(not roles or not roles <= STAFF for roles in found.roles.values()):
        raise ConfigError(f"{path}: roles are of {', '.join(sorted(STAFF))}")
    return found


class Coming:
    """Who is on the way to the provider: in Redis for ten minutes, taken out once."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client

    async def keep(self, state: str, what: Mapping[str, str]) -> None:
        """Remembers `what` under `state`. Raises Away."""
        await answered(self._client.set(_key(state), json.dumps(what), ex=WITHIN_S))

    async def first(self, sub: str) -> bool:
        """Whether `sub` is new within ten minutes. Raises Away."""
        key = f"console:no-role:{_digest(sub)}"
        return bool(await answered(self._client.set(key, "1", nx=True, ex=WITHIN_S)))

    async def take(self, state: str) -> Mapping[str, str] | None:
        """What was kept under `state`, once. Raises Away."""
        value = await answered(self._client.getdel(_key(state)))
        try:
            return dict(json.loads(value)) if value else None
        except ValueError:
            return None


class Provider:
    """One provider. Its places and keys are fetched when they are needed and kept for an hour; a
    key that is not among them has them fetched again, at most every 10 s."""

    def __init__(
        self,
        settings: Oidc,
        coming: Coming,
        clock: Millis = now_ms,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._coming = coming
        self._clock = clock
        self._mapped = mapped(settings.roles)
        try:
            self._secret = settings.secret.read_text().strip()
        except OSError:
            raise ConfigError("MAWJA_CONSOLE_OIDC_SECRET can't be read") from None
        self._http = httpx.AsyncClient(timeout=5, follow_redirects=False, transport=transport)
        self._places: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    async def way(self, back: str, where: str) -> tuple[str, str]:
        """Where to send a browser that shall come back to `back` and then go to `where`, and the
        cookie that binds it. Raises Away."""
        places = await self._discovered()
        state, binding = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
        await self._coming.keep(
            state,
            {
                "binding": _digest(binding),
                "verifier": verifier,
                "nonce": nonce,
                "back": back,
                "where": where,
            },
        )
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self._settings.client,
                "redirect_uri": back,
                "scope": "openid profile email",
                "state": state,
                "nonce": nonce,
                "code_challenge": _digest(verifier),
                "code_challenge_method": "S256",
            }
        )
        start = places["authorization_endpoint"]
        return f"{start}{'&' if urlsplit(start).query else '?'}{query}", binding

    async def arrived(self, state: str, code: str, binding: str) -> tuple[User, str]:
        """Who came back with `state` and `code`, and where they wanted to. Raises Forbidden when
        anything about it is not right, Away when the provider can't be asked."""
        kept = await self._coming.take(state) if state else None
        if kept is None or not code:
            raise Forbidden("this way in was used or took too long")
        if not secrets.compare_digest(kept["binding"], _digest(binding)):
            raise Forbidden("this way in belongs to another browser")
        places = await self._discovered()
        said = await self._asked(
            "POST",
            places["token_endpoint"],
            data={
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": kept["back"],
                "code_verifier": kept["verifier"],
            },
            auth=httpx.BasicAuth(self._settings.client, self._secret),
        )
        claims = await self._claims(said, kept["nonce"])
        try:
            return self._mapped.user(claims), kept["where"]
        except NoRole as refused:
            refused.first = await self._coming.first(refused.sub)
            raise

    async def close(self) -> None:
        """Lets connections go."""
        await self._http.aclose()

    async def _claims(self, said: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        token = str(said.get("id_token", ""))
        for fresh in (False, True):
            keys = await self._key_set(fresh)
            try:
                read = jwt.decode(token, keys, algorithms=list(_ALGORITHMS))
            except (JoseError, ValueError, TypeError, KeyError):
                continue
            checked = CodeIDToken(
                read.claims,
                read.header,
                {
                    "iss": {"essential": True, "value": self._settings.issuer},
                    "aud": {"essential": True, "value": self._settings.client},
                },
                {
                    "nonce": nonce,
                    "client_id": self._settings.client,
                    "access_token": said.get("access_token"),
                },
            )
            try:
                checked.validate(now=self._clock() // 1000, leeway=_LEEWAY_S)
            except (AuthlibBaseError, JoseError, ValueError, TypeError) as error:
                _log.warning("an ID token was not taken", why=type(error).__name__)
                raise Forbidden("the provider's token does not hold") from None
            return dict(read.claims)
        _log.warning("an ID token was not taken", why="signature")
        raise Forbidden("the provider's token does not verify")

    async def _discovered(self) -> dict[str, Any]:
        if self._places is None or monotonic_s() - self._places[0] > _KEPT_S:
            issuer = self._settings.issuer
            said = await self._asked(
                "GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration"
            )
            if str(said.get("issuer", "")) != self._settings.issuer:
                raise Away("the provider calls itself otherwise than MAWJA_CONSOLE_OIDC_ISSUER")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                place = urlsplit(str(said.get(name, "")))
                # In clear only where the provider itself is asked so, on this machine.
                if place.scheme != "https" and place.scheme != urlsplit(issuer).scheme:
                    raise Away(f"the provider's {name} is not to be used")
            self._places = monotonic_s(), said
        return self._places[1]

    async def _key_set(self, fresh: bool) -> KeySet:
        kept_s = _AGAIN_S if fresh else _KEPT_S
        if self._keys is None or monotonic_s() - self._keys[0] > kept_s:
            said = await self._asked("GET", (await self._discovered())["jwks_uri"])
            try:
                self._keys = monotonic_s(), KeySet.import_key_set(said)  # type: ignore[arg-type]
            except (JoseError, ValueError, TypeError, KeyError) as error:
                raise Away("the provider's keys can't be read") from error
        return self._keys[1]

    async def _asked(self, method: str, url: str, **how: Any) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, url, **how)
            if 400 <= answer.status_code < 500 and method == "POST":
                raise Forbidden("the provider does not take the code")
            answer.raise_for_status()
            if len(answer.content) > _LARGEST:
                raise ValueError("too long")
            said = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            _log.warning("the provider can't be asked", why=type(error).__name__)
            raise Away("the provider can't be asked now") from error
        if not isinstance(said, dict):
            raise Away("the provider's answer can't be read")
        return said


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _key(state: str) -> str:
    return f"console:coming:{hashlib.sha256(state.encode()).hexdigest()}"
