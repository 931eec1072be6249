"""Follows the list of erased persons, in every process that holds the key ring.

`dedup.erased.v1` is a table of facts that any replica of dedup appends to. It is compacted and kept
for ever, as what it hides may be kept anywhere. No service begins before it has read the list, and
while Kafka is away what is known holds: an erasure is never forgotten.
"""

import asyncio
from contextlib import aclosing

from google.protobuf.message import DecodeError
from mawja.dedup.v1.erasures_pb2 import PersonErased

from services.runtime import log
from services.runtime.config import Settings
from services.runtime.erased import ErasedPersons
from services.runtime.errors import Away
from services.runtime.follow import Following
from services.runtime.own import Record
from services.runtime.scan import Scan
from services.runtime.tail import whole
from services.runtime.topics import ERASED

_PAUSE_S = 1.0
_log = log.get("erasures")


class Erasures:
    """Tells `erased` what the list says. `begin`, then run `follow` as a task of the service."""

    def __init__(self, settings: Settings, erased: ErasedPersons, client_id: str) -> None:
        self._settings = settings
        self._client_id = f"{client_id}-erased"
        self.erased = erased
        self._following = Following(settings, ERASED, self._client_id, self.take)

    async def begin(self) -> None:
        """Returns when every erasure of before is known. Raises Away."""
        async with aclosing(whole(self._settings, ERASED, self._client_id)) as batches:
            async for records, read in batches:
                for record in records:
                    self.take(record)
                if read:
                    return

    async def follow(self) -> None:
        """Follows the list until cancelled."""
        while True:
            try:
                await self._following.run()
            except Away as error:
                _log.warning("erased persons can't be followed", why=str(error))
            await asyncio.sleep(_PAUSE_S)

    async def current(self) -> None:
        """Returns when all is known that anybody had been told of before. Raises Away."""
        await self._following.current()

    async def known(self) -> bool:
        """Whether all is known now that anybody had been told of."""
        try:
            await self.current()
        except Away:
            return False
        return True

    def take(self, record: Record) -> None:
        """Takes up a record of the list."""
        take(self.erased, record)


def read(bootstrap: str, erased: ErasedPersons) -> None:
    """Reads the whole list into `erased`, for a command that opens what is sealed. Raises Away."""
    with Scan(bootstrap, [ERASED]) as scan:
        scan.advance(lambda record: take(erased, record))


def take(erased: ErasedPersons, record: Record) -> None:
    """Takes up a record of the list, if it is one."""
    try:
        erased.take(PersonErased.FromString(record.value or b""))
    except DecodeError:
        _log.warning("a record is no erasure", offset=record.offset)
