"""AnnouncementService over gRPC."""

from collections import Counter
from typing import Any

import grpc
from mawja.outreach.v1 import announcements_pb2, announcements_pb2_grpc
from mawja.outreach.v1.announcements_pb2 import Announcement

from services.outreach.announcements.setting import Setting
from services.runtime import ids, rpc
from services.runtime.announced import Announced
from services.runtime.announcements import LONGEST_MS, NEEDED, etag, played
from services.runtime.clock import Millis, now_ms
from services.runtime.errors import Forbidden, Invalid, Violation

_Context = grpc.aio.ServicerContext


class AnnouncementServicer(announcements_pb2_grpc.AnnouncementServiceServicer):
    """See protos/mawja/outreach/v1/announcements.proto."""

    def __init__(self, announced: Announced, setting: Setting, clock: Millis = now_ms) -> None:
        self._announced = announced
        self._setting = setting
        self._clock = clock

    async def SetAnnouncement(
        self, request: announcements_pb2.SetAnnouncementRequest, context: "_Context[Any, Any]"
    ) -> announcements_pb2.SetAnnouncementResponse:
        """Sets one."""
        subject, now = rpc.CALLER.get().subject, self._clock()
        _check(request, now)
        announcement = await self._setting.set(
            Announcement(
                announcement_id=ids.derive("announcement", subject, request.request_id),
                lines=request.lines,
                agency=request.agency,
                texts=request.texts,
                from_ms=request.from_ms or now,
                until_ms=request.until_ms,
                urgent=request.urgent,
                set_by=subject,
                set_ms=now,
                drill=request.drill,
            )
        )
        return announcements_pb2.SetAnnouncementResponse(announcement=announcement)

    async def EndAnnouncement(
        self, request: announcements_pb2.EndAnnouncementRequest, context: "_Context[Any, Any]"
    ) -> announcements_pb2.EndAnnouncementResponse:
        """Ends one."""
        ended = await self._setting.end(
            request.announcement_id.lower(), rpc.CALLER.get().subject, self._clock()
        )
        return announcements_pb2.EndAnnouncementResponse(announcement=ended)

    async def ListAnnouncements(
        self, request: announcements_pb2.ListAnnouncementsRequest, context: "_Context[Any, Any]"
    ) -> announcements_pb2.ListAnnouncementsResponse:
        """Those that play or will."""
        caller = rpc.CALLER.get()
        found = (await self._announced.read()).all(request.line, request.over, self._clock())
        return announcements_pb2.ListAnnouncementsResponse(
            announcements=[one for one in found if caller.sees(one.agency)]
        )

    async def GetAnnouncements(
        self, request: announcements_pb2.GetAnnouncementsRequest, context: "_Context[Any, Any]"
    ) -> announcements_pb2.GetAnnouncementsResponse:
        """What a line plays now."""
        if rpc.CALLER.get().must_drill and not request.drill:
            raise Forbidden("drill must be set: the caller is a load tester")
        known, now = await self._announced.read(), self._clock()
        given = played(known.on_air(request.line, request.drill, now))
        name = etag(request.line, given)
        again = known.ask_again_ms(request.line, request.drill, now)
        if request.etag == name:
            return announcements_pb2.GetAnnouncementsResponse(
                etag=name, not_modified=True, ask_again_ms=again
            )
        return announcements_pb2.GetAnnouncementsResponse(
            etag=name, played=given, ask_again_ms=again
        )


def _check(request: announcements_pb2.SetAnnouncementRequest, now: int) -> None:
    found = []
    languages = Counter(text.language for text in request.texts)
    found += [Violation("texts", f"{one} is missing") for one in NEEDED if one not in languages]
    found += [
        Violation("texts", f"{language} stands twice")
        for language, count in languages.items()
        if count > 1
    ]
    if any(not text.text.strip() for text in request.texts):
        found.append(Violation("texts", "must say something"))
    if request.until_ms <= max(now, request.from_ms):
        found.append(Violation("until_ms", "must be after now and after from_ms"))
    elif request.until_ms > now + LONGEST_MS:
        found.append(Violation("until_ms", "must be within 31 days: set it again then"))
    if found:
        raise Invalid(found)
