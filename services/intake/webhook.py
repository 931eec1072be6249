"""The HTTP door: signed webhooks, and what lines play (`lines`).

A connector posts a contact as JSON; the pattern for every later connector.

    POST /v1/webhooks/{source}
    webhook-id: unique id of the delivery; the idempotency key when the body has none

It is signed as `services/runtime/webhooks.py` says. A source's secret is `webhooks/<source>.secret`
in the key ring's folder (base64, optionally with the prefix whsec_).
"""

import re
from pathlib import Path

from aiohttp import web
from google.protobuf import json_format
from mawja.intake.v1 import service_pb2

from services.intake.lines import Lines
from services.intake.server import refusal
from services.intake.submit import Submitter
from services.runtime import log, rpc, webhooks
from services.runtime.announced import Announced
from services.runtime.clock import Millis, now_ms
from services.runtime.errors import Conflict, Invalid, MawjaError, Violation
from services.runtime.identity import Caller, Role, Unauthenticated
from services.runtime.service import cannot_listen

_log = log.get("intake.webhook")
_LARGEST = 64 * 1024
_SOURCE = re.compile(r"^[a-z0-9][a-z0-9._-]{0,63}$")
_HTTP = {3: 400, 6: 409, 7: 403, 8: 429, 14: 503, 16: 401}


class Webhook:
    """The HTTP door; one for each process."""

    def __init__(
        self, submitter: Submitter, keys: Path, announced: Announced, clock: Millis = now_ms
    ) -> None:
        self._submitter = submitter
        self._lines = Lines(announced, clock)
        self._secrets = keys / "webhooks"
        self._clock = clock
        self._runner: web.AppRunner | None = None

    async def start(self, address: str) -> int:
        """Listens at host:port and returns the port that was bound. Raises ConfigError."""
        app = web.Application(client_max_size=_LARGEST)
        app.router.add_post("/v1/webhooks/{source}", self._take)
        app.router.add_get("/v1/lines/{line}/announcements", self._lines.answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        host, _, port = address.rpartition(":")
        try:
            await web.TCPSite(self._runner, host, int(port)).start()
        except (OSError, ValueError) as error:
            raise cannot_listen("MAWJA_WEBHOOK", address) from error
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Finishes what is under way and closes."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        try:
            source = request.match_info["source"]
            body = await request.read()
            self._authenticate(source, request, body)
            contact = self._parse(source, request.headers["webhook-id"], body)
            caller = Caller(source, frozenset({Role.GATEWAY}), "", 0)
            try:
                answer = await self._submitter.submit(
                    contact, caller, request.headers.get("traceparent")
                )
            except Conflict as error:
                raise await self._submitter.explain_conflict(contact, error) from None
        except MawjaError as error:
            return _refused(error)
        except web.HTTPException:
            raise
        except Exception as error:
            # Left to itself the framework logs the exception's words, which may be a person's.
            _log.error("a delivery failed in a way that nobody foresaw", error=type(error).__name__)
            return web.json_response(
                {"code": 13, "message": "intake failed on this delivery; see its log"}, status=500
            )
        return web.json_response({"contactId": answer.contact_id, "acceptedMs": answer.accepted_ms})

    def _authenticate(self, source: str, request: web.Request, body: bytes) -> None:
        # One sentence for every reason: nothing is told of which sources exist.
        wrong = Unauthenticated("the webhook's signature does not verify (Standard Webhooks, v1)")
        if not _SOURCE.fullmatch(source):
            raise wrong
        try:
            text = (self._secrets / f"{source}.secret").read_text()
            delivery = request.headers["webhook-id"]
            timestamp = request.headers["webhook-timestamp"]
            signatures = request.headers["webhook-signature"]
        except (OSError, KeyError, UnicodeDecodeError):
            raise wrong from None
        try:
            secret = webhooks.secret_of(text)
        except ValueError:
            _log.error("a webhook's secret is too short and is not used", source=source)
            raise wrong from None
        if not webhooks.fresh(timestamp, self._clock()) or not webhooks.verify(
            secret, delivery, timestamp, body, signatures
        ):
            raise wrong

    def _parse(self, source: str, delivery: str, body: bytes) -> service_pb2.Contact:
        contact = service_pb2.Contact()
        try:
            json_format.Parse(body, contact)
        except (json_format.ParseError, ValueError, RecursionError):
            # The parser's own words quote the body, which is personal.
            raise Invalid(
                [Violation("(body)", "must be the JSON of mawja.intake.v1.Contact")]
            ) from None
        if contact.source and contact.source != source:
            raise Invalid(
                [Violation("contact.source", "must be the source in the path, or absent")]
            )
        contact.source = source
        contact.idempotency_key = contact.idempotency_key or delivery
        return contact


def _refused(error: MawjaError) -> web.Response:
    shown = refusal(error)
    headers = {}
    if shown.retry_after_ms:
        headers["Retry-After"] = str(-(-shown.retry_after_ms // 1000))
    return web.json_response(
        {
            "code": rpc.code_of(error),
            "message": shown.message,
            "violations": [{"field": v.field, "rule": v.rule} for v in shown.violations],
        },
        status=_HTTP[shown.code],
        headers=headers,
    )
