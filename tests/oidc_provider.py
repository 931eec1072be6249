"""A provider of OpenID Connect on loopback, with keys of its own, that can be told to lie."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "mawja", "the client's secret"


@dataclass(slots=True)
class Provider:
    """One provider. `claims` go into the next ID token over those that belong there; what is None
    is left out. `signs` is the key it signs with, `shown` are those it publishes."""

    url: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    signs: RSAKey = field(default_factory=lambda: key("one"))
    shown: list[RSAKey] = field(default_factory=list)
    algorithm: str = "RS256"
    issuer: str = ""
    asked: list[str] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def approve(self, way: str) -> tuple[str, str]:
        """What the person's browser brings back: the state and a code, having been sent `way`."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(way).query).items()}
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = f"code{len(self._codes)}"
        self._codes[code] = query
        return query["state"], code

    async def places(self, _: web.Request) -> web.Response:
        """Discovery."""
        self.asked.append("places")
        return web.json_response(
            {
                "issuer": self.issuer or self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
            }
        )

    async def keys(self, _: web.Request) -> web.Response:
        """The keys."""
        self.asked.append("keys")
        shown = self.shown or [self.signs]
        return web.json_response({"keys": [one.as_dict(private=False) for one in shown]})

    async def token(self, request: web.Request) -> web.Response:
        """A token for a code, once, to who has the verifier."""
        form = await request.post()
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        kept = self._codes.pop(str(form["code"]), None)
        verifier = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        if (
            kept is None
            or request.headers.get("authorization") != f"Basic {basic}"
            or form["redirect_uri"] != kept["redirect_uri"]
            or base64.urlsafe_b64encode(verifier).decode().rstrip("=") != kept["code_challenge"]
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": "f81d4fae",
            "aud": CLIENT,
            "exp": now + 300,
            "iat": now,
            "nonce": kept["nonce"],
            "preferred_username": "fatima",
            "name": "فاطمة الكواري",
            "groups": ["coordinators", "chess"],
            **self.claims,
        }
        token = self._signed({k: v for k, v in claims.items() if v is not None})
        return web.json_response(
            {"access_token": "opaque", "token_type": "Bearer", "id_token": token}
        )

    def _signed(self, claims: dict[str, Any]) -> str:
        header = {"alg": self.algorithm, "kid": self.signs.kid}
        if self.algorithm != "HS256":
            return jwt.encode(header, claims, self.signs, algorithms=[self.algorithm])
        # What libraries refuse to make: a public key used as a shared secret.
        said = ".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
        mac = hmac.digest(self.signs.as_pem(private=False), said.encode(), "sha256")
        return f"{said}.{_base64(mac)}"


def _base64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def key(kid: str) -> RSAKey:
    """A new key."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"}, private=True)


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    """A provider that serves."""
    made = Provider()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", made.places)
    app.router.add_get("/keys", made.keys)
    app.router.add_post("/token", made.token)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}"
    try:
        yield made
    finally:
        await runner.cleanup()
