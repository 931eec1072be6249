"""HTTP servers as carriers run them: an aggregator, and WhatsApp's Cloud API.

Each keeps what it took, by its own id, and does what its `plan` says with the requests to come: it
takes them and fails, takes them and never answers, refuses, or says something that is no answer.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from aiohttp import web

SECRET = b"the aggregator's secret, shared"
SECRET_TEXT = f"whsec_{base64.b64encode(SECRET).decode()}"
AUTHORIZATION = "Bearer of-the-tests"
APP_SECRET = "app-secret-of-the-tests"
VERIFY_TOKEN = "verify-token-of-the-tests"
PHONE = "106540352242922"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, and whether the server has its message."""

    headers: Mapping[str, str]
    body: dict[str, Any]
    taken: bool


@dataclass(slots=True)
class Act:
    """What the server does with one request: whether it takes the message, and what it says.

    `status` 0: it never answers; -1: it closes the connection instead.
    """

    take: bool = True
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    after_s: float = 0.0


class Peer:
    """A server on loopback. `plan`: what it does with the next requests; then `usual`."""

    path = "/messages"

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.plan: deque[Act] = deque()
        self.usual = Act()
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._released = asyncio.Event()

    @property
    def taken(self) -> list[Asked]:
        return [one for one in self.asked if one.taken]

    async def start(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        app = web.Application()
        app.router.add_post(self.path, self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, ssl_context=tls).start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        self._released.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        act = self.plan.popleft() if self.plan else self.usual
        body = await request.json()
        self.asked.append(Asked(dict(request.headers), body, act.take))
        number = len(self.asked)
        if act.status == 0:
            await self._released.wait()
        if act.after_s:
            await asyncio.sleep(act.after_s)
        if act.status == -1:
            assert request.transport is not None
            request.transport.abort()
        said = act.body if act.body is not None else self.answer(number, body)
        if isinstance(said, str):
            return web.Response(text=said, status=max(act.status, 200), headers=act.headers)
        return web.json_response(said, status=max(act.status, 200), headers=act.headers)

    def answer(self, number: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """What it says of a message that it took."""
        return {"id": f"a{number}"}


class CloudApi(Peer):
    """WhatsApp's Cloud API, as far as sending goes."""

    path = f"/v24.0/{PHONE}/messages"

    def answer(self, number: int, body: Mapping[str, Any]) -> dict[str, Any]:
        to = body["to"].removeprefix("+")
        return {
            "messaging_product": "whatsapp",
            "contacts": [{"input": body["to"], "wa_id": to}],
            "messages": [{"id": f"wamid.{number}"}],
        }


class Served(Protocol):
    """What can be started and stopped on a loop."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


_S = TypeVar("_S", bound=Served)


@contextmanager
def in_a_thread(peer: _S) -> Iterator[_S]:
    """A peer beside a test that is not asynchronous."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(peer.start(), loop).result(10)
    try:
        yield peer
    finally:
        asyncio.run_coroutine_threadsafe(peer.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def signed(body: bytes, *, secret: bytes = SECRET, at: float | None = None) -> dict[str, str]:
    """The headers of an aggregator's delivery, signed as Standard Webhooks 1.0 says."""
    delivery, timestamp = "d1", str(int(time.time() if at is None else at))
    digest = hmac.digest(secret, f"{delivery}.{timestamp}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": delivery,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def brought(
    receipts: Sequence[Mapping[str, Any]] = (), messages: Sequence[Mapping[str, Any]] = ()
) -> bytes:
    """The body of an aggregator's delivery."""
    return json.dumps({"receipts": list(receipts), "messages": list(messages)}).encode()


def hub_signed(body: bytes, secret: str = APP_SECRET) -> dict[str, str]:
    """The headers of a delivery of Meta's."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}"}


def changed(phone: str = PHONE, **value: Any) -> bytes:
    """The body of a delivery of Meta's: `statuses` or `messages`."""
    metadata = {"display_phone_number": "97143211234", "phone_number_id": phone}
    change = {
        "field": "messages",
        "value": {"messaging_product": "whatsapp", "metadata": metadata, **value},
    }
    return json.dumps(
        {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}
    ).encode()
