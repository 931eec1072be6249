"""The console in this process, with sessions in memory and one real gRPC server as all rooms.

The server stands behind the rooms' own guard: it verifies tokens and refuses what a role may not
call, so that a test of a page meets what the page will meet.

    async with desk(tmp_path, partial(add_WaveServiceServicer_to_server, Told())) as on:
        page = await on.get("/wave", Role.AGENT)
        answer = await on.post("/cases/find", Role.AGENT, number="+999512345678")
"""

import dataclasses
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import httpx
from mawja.audit.v1 import service_pb2 as audits
from mawja.audit.v1 import service_pb2_grpc

from services.console.app import build
from services.console.calls import Calls, issuer
from services.console.masking import masked
from services.console.sessions import Session, Sessions
from services.console.settings import ROOMS, Settings
from services.console.signing import Failed
from services.console.users import User
from services.runtime import clock, rpc
from services.runtime.errors import Away
from services.runtime.identity import STAFF, Role, Verifier, create_token_key

CSRF = "the-token-of-this-session"
FORM_CSRF = masked(CSRF)
Adds = Callable[[grpc.aio.Server], None]


class HeldSessions:
    """Sessions in memory, as `Sessions` has them in Redis. `away`: Redis does not answer."""

    def __init__(self) -> None:
        self.held: dict[str, Session] = {}
        self.away = False

    def _here(self) -> None:
        if self.away:
            raise Away("sessions are not to be had")

    async def begin(self, **said: Any) -> tuple[str, Session]:
        """As `Sessions.begin`."""
        self._here()
        token = secrets.token_urlsafe(32)
        said["roles"] = tuple(sorted(said["roles"]))
        now = clock.now_ms()
        session = Session(
            id=token[:12],
            csrf=said.pop("csrf", CSRF),
            began_ms=now,
            seen_ms=now,
            **{"theme": "", "way": "password", "browser": "", **said},
        )
        self.held[token] = session
        return token, session

    async def find(self, token: str) -> Session | None:
        """As `Sessions.find`."""
        self._here()
        return self.held.get(token)

    async def there(self, token: str) -> bool:
        """As `Sessions.there`."""
        self._here()
        return token in self.held

    async def change(self, token: str, **changes: Any) -> None:
        """As `Sessions.change`."""
        self._here()
        self.held[token] = dataclasses.replace(self.held[token], **changes)

    async def end(self, token: str) -> Session | None:
        """As `Sessions.end`."""
        self._here()
        return self.held.pop(token, None)

    async def all(self, sub: str | None = None) -> Sequence[Session]:
        """As `Sessions.all`."""
        self._here()
        return [s for s in self.held.values() if sub in {None, s.sub}]

    async def revoke(self, sub: str, session_id: str = "") -> Sequence[Session]:
        """As `Sessions.revoke`."""
        self._here()
        ending = [
            token for token, s in self.held.items() if s.sub == sub and session_id in {"", s.id}
        ]
        return [self.held.pop(token) for token in ending]


class LocalUsers:
    """Everybody's password is "right"; their names are roles. What the shipped one does is held
    by tests with a real Redis."""

    def users(self) -> dict[str, User]:
        """As `Local.users`."""
        return {
            role.value: User(
                role.value,
                role.value.capitalize(),
                frozenset({role}),
                "MUNICIPALITY" if role is Role.LIAISON else "",
            )
            for role in STAFF
        }

    def holds(self, session: Session) -> bool:
        """As `Local.holds`."""
        return True

    async def check(self, sub: str, password: str, code: str, address: str) -> User | Failed:
        """As `Local.check`."""
        found = self.users().get(sub)
        if found and password == "right":
            return found
        return Failed(0, audits.SESSION_EVENT_WRONG_PASSWORD, found)


class Noted(service_pb2_grpc.AuditServiceServicer):
    """A room that keeps what it is told of sessions in memory."""

    def __init__(self) -> None:
        self.told: list[audits.NoteSessionRequest] = []
        self.away = False

    async def ListAudit(
        self, request: audits.ListAuditRequest, context: Any
    ) -> audits.ListAuditResponse:
        """Shows nothing."""
        return audits.ListAuditResponse()

    async def NoteSession(
        self, request: audits.NoteSessionRequest, context: Any
    ) -> audits.NoteSessionResponse:
        """As the rooms'."""
        if self.away:
            raise Away("Kafka does not take it")
        self.told.append(request)
        return audits.NoteSessionResponse()


@dataclasses.dataclass(slots=True)
class Desk:
    """A browser of each role at a console. `client` keeps no cookies of its own."""

    client: httpx.AsyncClient
    sessions: HeldSessions
    tokens: dict[tuple[Role | None, str, str], str]
    audit: Noted

    async def token(self, role: Role | None, lang: str = "en", agency: str = "") -> str:
        """The cookie of somebody signed in with `role`; a liaison's agency is MUNICIPALITY."""
        if role is None:
            return ""
        if role is Role.LIAISON and not agency:
            agency = "MUNICIPALITY"
        key = (role, lang, agency)
        if self.tokens.get(key) not in self.sessions.held:
            self.tokens[key], _ = await self.sessions.begin(
                sub=role.value,
                name=role.value.capitalize(),
                roles=frozenset({role}),
                agency=agency,
                language=lang,
            )
        return self.tokens[key]

    async def get(
        self, path: str, role: Role | None = None, lang: str = "en", **headers: str
    ) -> httpx.Response:
        """A page as somebody with `role` sees it."""
        token = await self.token(role, lang)
        return await self.client.get(path, headers={**_cookie(token), **_names(headers)})

    async def post(
        self,
        path: str,
        role: Role | None = None,
        lang: str = "en",
        csrf: str | None = FORM_CSRF,
        files: Any = None,
        **form: Any,
    ) -> httpx.Response:
        """A form sent by somebody with `role`; without `csrf` where it is None."""
        token = await self.token(role, lang)
        data = {**form, **({"csrf": csrf} if csrf is not None else {})}
        return await self.client.post(path, data=data, files=files, headers=_cookie(token))


def _cookie(token: str) -> dict[str, str]:
    return {"cookie": f"mawja={token}"} if token else {}


def _names(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def settings(tmp_path: Path, **env: str) -> Settings:
    """Settings of a console at loopback."""
    return Settings.from_env(
        {
            "MAWJA_REDIS_URL": "redis://127.0.0.1:1/0",
            "MAWJA_KEYS": str(tmp_path / "keys"),
            **{f"MAWJA_{room.upper()}": "127.0.0.1:1" for room in ROOMS},
            **env,
        }
    )


@asynccontextmanager
async def desk(
    tmp_path: Path, *adds: Adds, provider: Any = None, **env: str
) -> AsyncIterator[Desk]:
    """A console whose rooms are one server with the servicers that `adds` put there."""
    create_token_key(tmp_path / "keys")
    server = rpc.server(Verifier(tmp_path / "keys"))
    noted = Noted()
    service_pb2_grpc.add_AuditServiceServicer_to_server(noted, server)
    for add in adds:
        add(server)
    port = server.add_insecure_port("127.0.0.1:0")
    said = settings(tmp_path, **{f"MAWJA_{r.upper()}": f"127.0.0.1:{port}" for r in ROOMS}, **env)
    calls = Calls(said.rooms, issuer(said.keys, said.kid))
    sessions = HeldSessions()

    async def ready() -> bool:
        return not sessions.away

    app = build(said, calls, cast(Sessions, sessions), cast(Any, LocalUsers()), provider, ready)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    base = said.url or "http://127.0.0.1"
    await server.start()
    try:
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            yield Desk(client, sessions, {}, noted)
    finally:
        await calls.close()
        await server.stop(None)
