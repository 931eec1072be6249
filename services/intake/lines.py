"""What a line plays, for telephone systems that fetch a page.

    GET /v1/lines/{line}/announcements

    {"announcements": [{"id": …, "urgent": false, "untilMs": …, "texts": {"ar": …, "en": …}}],
     "askAgainMs": …}

Asked for without a token: it is what everybody hears who dials the line. `ETag` and `If-None-Match`
spare the body, `Cache-Control` says how long it holds. Rehearsals have no page: what they play is
asked for with a token (`GetAnnouncements`).
"""

import re

from aiohttp import web

from services.runtime.announced import Announced
from services.runtime.announcements import etag, played
from services.runtime.clock import Millis
from services.runtime.errors import Away

_LINE = re.compile(r"[0-9+*#A-Za-z._-]{1,32}")
_AWAY_S = 5


class Lines:
    """The page of every line."""

    def __init__(self, announced: Announced, clock: Millis) -> None:
        self._announced = announced
        self._clock = clock

    async def answer(self, request: web.Request) -> web.Response:
        """What the line plays now; of a line that nobody has announced anything on, nothing."""
        line = request.match_info["line"]
        if not _LINE.fullmatch(line):
            return web.json_response({"message": "no line is called so"}, status=404)
        try:
            known = self._announced.known()
        except Away as error:
            again = {"Retry-After": str(_AWAY_S)}
            return web.json_response({"message": str(error)}, status=503, headers=again)
        now = self._clock()
        given = played(known.on_air(line, False, now))
        ask_again_ms = known.ask_again_ms(line, False, now)
        name = f'"{etag(line, given)}"'
        headers = {
            "ETag": name,
            "Cache-Control": f"max-age={max(0, ask_again_ms - now) // 1000}",
        }
        wanted = request.headers.get("If-None-Match", "")
        if name in (one.strip().removeprefix("W/") for one in wanted.split(",")):
            return web.Response(status=304, headers=headers)
        return web.json_response(
            {
                "announcements": [
                    {
                        "id": one.announcement_id,
                        "urgent": one.urgent,
                        "untilMs": one.until_ms,
                        "texts": {text.language: text.text for text in one.texts},
                    }
                    for one in given
                ],
                "askAgainMs": ask_again_ms,
            },
            headers=headers,
        )
