"""The door that carriers call: receipts, and messages from people.

    POST /carriers/{name}    a delivery: 200 when Kafka has what is in it
    GET  /carriers/{name}    a carrier that asks whether this is its webhook

It stands behind the same port as the opt-out page: both are for the outside. Whatever is not
answered with 200 the carrier brings again, so nothing is lost by refusing; what comes twice changes
nothing. Nothing of a delivery is logged.
"""

import asyncio
from collections.abc import Mapping

from aiohttp import web

from services.broadcast.carriers.whole import BadDelivery, Hooked, NotSigned
from services.runtime import log, metrics
from services.runtime.errors import Away

PATH = "/carriers/{name}"
AT_ONCE = 64
"""Deliveries that are taken at once; more are asked to come again."""
_READ_WITHIN_S = 10.0
_log = log.get("broadcast.carriers")


class Hooks:
    """The webhooks of the carriers by name; one for each process."""

    def __init__(self, carriers: Mapping[str, Hooked]) -> None:
        self._carriers = carriers
        self._under_way = 0

    @property
    def routes(self) -> list[web.RouteDef]:
        """What the HTTP server is to be given."""
        return [web.post(PATH, self._take), web.get(PATH, self._asked, allow_head=False)]

    async def _asked(self, request: web.Request) -> web.Response:
        carrier = self._carriers.get(request.match_info["name"])
        answer = None if carrier is None else carrier.challenge(request.query)
        if answer is None:
            return _said(403, "not here")
        return _said(200, answer)

    async def _take(self, request: web.Request) -> web.Response:
        carrier = self._carriers.get(request.match_info["name"])
        if carrier is None:
            # As for a wrong signature: nothing is told of which carriers there are.
            return _said(401, "the signature does not verify")
        if self._under_way >= AT_ONCE:
            return self._counted(carrier, "busy", 503, "too much at once")
        self._under_way += 1
        try:
            return await self._taken(carrier, request)
        finally:
            self._under_way -= 1

    async def _taken(self, carrier: Hooked, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(_READ_WITHIN_S):
                body = await _body(request, carrier.largest)
            if body is None:
                return self._counted(carrier, "too-large", 413, "too large")
            await carrier.take(request.headers, body)
        except NotSigned:
            return self._counted(carrier, "not-signed", 401, "the signature does not verify")
        except BadDelivery as error:
            return self._counted(carrier, "unreadable", 400, str(error))
        except TimeoutError:
            return self._counted(carrier, "slow", 408, "it did not come in time")
        except Away:
            return self._counted(carrier, "away", 503, "it can't be kept now; bring it again")
        except Exception as error:
            # Left to itself the framework logs the exception's words, which may be a person's.
            _log.error(
                "a delivery failed that nobody foresaw",
                carrier=carrier.name,
                error=type(error).__name__,
            )
            return self._counted(carrier, "failed", 500, "it can't be kept; bring it again")
        return self._counted(carrier, "taken", 200, "taken")

    def _counted(self, carrier: Hooked, outcome: str, status: int, said: str) -> web.Response:
        metrics.CARRIER_DELIVERIES.labels(carrier.name, outcome).inc()
        return _said(status, said)


async def _body(request: web.Request, largest: int) -> bytes | None:
    """The body; None when it is larger."""
    octets = bytearray()
    async for piece in request.content.iter_chunked(64 * 1024):
        octets += piece
        if len(octets) > largest:
            return None
    return bytes(octets)


def _said(status: int, said: str) -> web.Response:
    headers = {"Retry-After": "5"} if status == 503 else {}
    return web.Response(text=said, status=status, headers=headers)
