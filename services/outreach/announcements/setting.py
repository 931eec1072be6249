"""Sets and ends announcements: appends them to `outreach.announcement.v1`.

It is a table of facts that any replica appends to: an announcement depends on nothing, so it needs
no owner, and plays as soon as Kafka has it. Its id is derived from what set it, so that setting it
twice sets one.
"""

import zlib

from mawja.outreach.v1.announcements_pb2 import Announcement

from services.runtime import log
from services.runtime.announced import Announced
from services.runtime.announcements import ends_ms, in_order
from services.runtime.errors import Conflict, NotFound
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import ANNOUNCEMENT

_SAME = ("lines", "agency", "texts", "urgent", "drill", "until_ms")
_log = log.get("outreach.announcements")


class Setting:
    """What is announced, and changes of it."""

    def __init__(self, announced: Announced, producer: Producer, partitions: int) -> None:
        self._announced = announced
        self._producer = producer
        self._partitions = partitions

    async def set(self, announcement: Announcement) -> Announcement:
        """Sets it, unless it was set before; gives it as it stands. Raises Conflict when it was set
        and says something else, Away when Kafka may not have it."""
        ordered = in_order(announcement.texts)
        del announcement.texts[:]
        announcement.texts.extend(ordered)
        known = await self._announced.read()
        before = known.get(announcement.announcement_id)
        if before is not None:
            differing = [
                name for name in _SAME if getattr(before, name) != getattr(announcement, name)
            ]
            if differing:
                raise Conflict(f"this request set another one: {', '.join(differing)} differ")
            return before
        await self._append(announcement)
        known.take(announcement)
        _log.info(
            "an announcement is set",
            announcement=announcement.announcement_id,
            lines=len(announcement.lines),
            drill=announcement.drill,
        )
        return announcement

    async def end(self, announcement_id: str, subject: str, now_ms: int) -> Announcement:
        """Ends it at `now_ms` (Unix ms); gives it as it stands. Raises NotFound, Away."""
        known = await self._announced.read()
        found = known.get(announcement_id)
        if found is None:
            raise NotFound("there is no such announcement")
        if ends_ms(found) > now_ms:
            ended = Announcement()
            ended.CopyFrom(found)
            ended.ended_by, ended.ended_ms = subject, now_ms
            await self._append(ended)
            known.take(ended)
            _log.info("an announcement is ended", announcement=announcement_id)
        return found

    async def _append(self, announcement: Announcement) -> None:
        key = announcement.announcement_id.encode()
        sent = await self._producer.send(
            ANNOUNCEMENT,
            zlib.crc32(key) % self._partitions,
            announcement.SerializeToString(),
            key=key,
        )
        await acknowledged([sent])
