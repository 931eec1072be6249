"""What an aggregator puts before its Kannel: the JSON API of `services/broadcast/carriers/http.py`.

It plainly belongs to the other side, so it shares no code with ours: it knows a message by its
idempotency key, asks Kannel's `sendsms` once for it, and brings Kannel's delivery reports and
people's messages as signed webhooks, again and again until they are taken.
"""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes, urlencode

from aiohttp import ClientConnectorError, ClientError, ClientSession, ClientTimeout, web

from tests.peers.kannel import PASSWORD, USER

AUTHORIZATION = "Bearer of-the-gateway"
SECRET = b"the gateway's secret, 24 bytes or more"
SECRET_TEXT = f"whsec_{base64.b64encode(SECRET).decode()}"
_REPORTS = {1: "delivered", 2: "undelivered", 4: "queued", 8: "sent", 16: "rejected"}
"""Kannel's delivery report types (user's guide, "Delivery reports")."""
_GSM7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ÄÖÑÜ§¿äöñüà"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz^{}\\[~]|€"
)


@dataclass(slots=True)
class Gateway:
    """A server on loopback. `sendsms`: Kannel's address; `webhook`: whom it brings reports to.
    Both are set before the first message. `keys`: the id of every message that Kannel has ("" while
    it is asked). `asked` counts requests."""

    sendsms: str = ""
    webhook: str = ""
    port: int = 0
    keys: dict[str, str] = field(default_factory=dict)
    asked: int = 0
    _ids: "itertools.count[int]" = field(default_factory=itertools.count)
    _bring: "asyncio.Queue[tuple[str, dict[str, Any]]]" = field(default_factory=asyncio.Queue)
    _runner: web.AppRunner | None = None
    _session: ClientSession | None = None
    _bringing: "asyncio.Task[None] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/messages", self._take)
        app.router.add_get("/report", self._report)
        app.router.add_get("/people", self._people)
        self._session = ClientSession(timeout=ClientTimeout(total=5))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = int(self._runner.addresses[0][1])
        self._bringing = asyncio.create_task(self._bring_all())

    async def stop(self) -> None:
        if self._bringing is not None:
            self._bringing.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _take(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != AUTHORIZATION:
            return web.json_response({"error": "unauthorized"}, status=401)
        self.asked += 1
        key, body = request.headers["Idempotency-Key"], await request.json()
        if key in self.keys:
            known = self.keys[key]
            return web.json_response({"id": known}, status=200 if known else 409)
        self.keys[key] = ""
        message_id = f"g{next(self._ids)}"
        status, error = await self._send(message_id, body)
        if error:
            del self.keys[key]
            return web.json_response({"error": error}, status=status)
        self.keys[key] = message_id
        return web.json_response({"id": message_id}, status=status)

    async def _send(self, message_id: str, body: dict[str, Any]) -> tuple[int, str]:
        """Asks Kannel; the status to answer with, and why it has not the message ("": it has)."""
        assert self._session is not None
        about = {
            "id": message_id,
            "to": body["to"].removeprefix("+"),
            "reference": body["reference"],
        }
        fields = {
            "username": USER,
            "password": PASSWORD,
            "from": body["from"],
            "to": body["to"],
            "text": body["text"],
            "charset": "UTF-8",
            "coding": "0" if _GSM7.issuperset(body["text"]) else "2",
            "dlr-mask": "31",
            # Kannel fills in what begins with a per cent sign.
            "dlr-url": f"{self.url}/report?{urlencode(about)}&type=%d",
        }
        if "validity_s" in body:
            fields["validity"] = str(max(1, body["validity_s"] // 60))
        try:
            async with self._session.get(self.sendsms, params=fields) as answer:
                said = await answer.text()
        except ClientConnectorError:
            return 503, "unavailable"
        except (ClientError, TimeoutError):
            # Nobody knows whether Kannel has it; the key stays.
            return 500, ""
        if answer.status == 202:
            return 202, ""
        return (503, "unavailable") if answer.status == 503 else (422, said and "rejected")

    async def _report(self, request: web.Request) -> web.Response:
        query = request.query
        kind = int(query["type"])
        receipt = {
            "id": query["id"],
            "to": f"+{query['to']}",
            "reference": query["reference"],
            "status": _REPORTS.get(kind, "unknown"),
            "at": int(time.time()),
        }
        self._bring.put_nowait(("receipts", receipt))
        return web.Response(status=202)

    async def _people(self, request: web.Request) -> web.Response:
        fields = dict(
            pair.partition("=")[::2] for pair in request.rel_url.raw_query_string.split("&")
        )
        held = {name: _octets(value) for name, value in fields.items()}
        message = {
            "id": held["id"].decode(),
            "from": held["from"].decode(),
            "to": held["to"].decode(),
            "text": held["text"].decode(held["charset"].decode()),
        }
        self._bring.put_nowait(("messages", message))
        return web.Response(status=200)

    async def _bring_all(self) -> None:
        for number in itertools.count():
            which, one = await self._bring.get()
            held: dict[str, list[dict[str, Any]]] = {"receipts": [], "messages": []}
            held[which].append(one)
            while len(held["receipts"]) < 50 and not self._bring.empty():
                which, one = self._bring.get_nowait()
                held[which].append(one)
            body = json.dumps(held).encode()
            while True:
                if await self._taken(f"delivery-{number}", body):
                    break
                await asyncio.sleep(0.2)

    async def _taken(self, delivery: str, body: bytes) -> bool:
        assert self._session is not None
        timestamp = str(int(time.time()))
        signed = f"{delivery}.{timestamp}.".encode() + body
        digest = hmac.new(SECRET, signed, hashlib.sha256).digest()
        headers = {
            "webhook-id": delivery,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }
        try:
            async with self._session.post(self.webhook, data=body, headers=headers) as answer:
                return answer.status == 200
        except (ClientError, TimeoutError):
            return False


def _octets(value: str) -> bytes:
    return unquote_to_bytes(value.replace("+", " "))
