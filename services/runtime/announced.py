"""Follows what was announced, in whatever room hands it out."""

import asyncio
import contextlib

from google.protobuf.message import DecodeError
from mawja.outreach.v1.announcements_pb2 import Announcement

from services.runtime import log
from services.runtime.announcements import LONGEST_MS, Announcements
from services.runtime.clock import Millis, now_ms
from services.runtime.config import Settings
from services.runtime.errors import Away
from services.runtime.tail import whole
from services.runtime.topics import ANNOUNCEMENT

_PAUSE_S = 1.0
_PATIENCE_S = 3.0
_log = log.get("announced")


class Announced:
    """The announcements of the last 31 days and longer. Run `follow` as a task of the service."""

    def __init__(self, settings: Settings, client_id: str, clock: Millis = now_ms) -> None:
        self._settings = settings
        self._client_id = client_id
        self._clock = clock
        self._read = asyncio.Event()
        self._known = Announcements()

    def known(self) -> Announcements:
        """What is known. Raises Away until all that was set before is."""
        if not self._read.is_set():
            raise Away("what was announced before is being read; try again in a moment")
        return self._known

    async def read(self) -> Announcements:
        """What is known, waited for a moment by who asks a service that has just begun. Raises
        Away."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._read.wait(), _PATIENCE_S)
        return self.known()

    async def follow(self) -> None:
        """Follows the topic until cancelled."""
        while True:
            try:
                # An announcement is over 31 days after it was set, so nothing older can play.
                async for records, read in whole(
                    self._settings, ANNOUNCEMENT, self._client_id, self._clock() - LONGEST_MS
                ):
                    for record in records:
                        try:
                            self._known.take(Announcement.FromString(record.value or b""))
                        except DecodeError:
                            _log.warning("a record is no announcement", offset=record.offset)
                    if read:
                        self._read.set()
            except Away as error:
                # What is known goes on playing, and ends by itself.
                _log.warning("announcements can't be followed", why=str(error))
            await asyncio.sleep(_PAUSE_S)
