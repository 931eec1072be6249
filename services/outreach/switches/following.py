"""Follows which playbooks are on, and appends what a coordinator says of one.

`outreach.playbook-switch.v1` is a table of facts that any replica appends to: the last one of a
playbook holds, in the order of its partition, so that all replicas agree whoever appended. No
replica begins before it has read what was said before.
"""

import asyncio
import zlib
from collections.abc import Iterable
from contextlib import aclosing

from google.protobuf.message import DecodeError
from mawja.outreach.v1.playbooks_pb2 import PlaybookSwitch

from services.outreach.switches.state import Switches
from services.runtime import log
from services.runtime.config import Settings
from services.runtime.errors import Away, Conflict
from services.runtime.own import Record
from services.runtime.produce import Producer, acknowledged
from services.runtime.tail import whole
from services.runtime.topics import PLAYBOOK_SWITCH

_PAUSE_S = 1.0
_SAME = ("playbook", "on", "reason")
_log = log.get("outreach.switches")


class Switching:
    """The switches as they stand. `begin`, then run `follow` as a task of the service."""

    def __init__(self, settings: Settings, producer: Producer, client_id: str) -> None:
        self._settings = settings
        self._producer = producer
        self._client_id = client_id
        self.switches = Switches()

    async def begin(self) -> None:
        """Returns when everything that was said before is known. Raises Away."""
        async with aclosing(whole(self._settings, PLAYBOOK_SWITCH, self._client_id)) as batches:
            async for records, read in batches:
                self._take(records)
                if read:
                    return

    async def follow(self) -> None:
        """Follows the topic until cancelled. While Kafka is away, what is known holds."""
        while True:
            try:
                async for records, _ in whole(self._settings, PLAYBOOK_SWITCH, self._client_id):
                    self._take(records)
            except Away as error:
                _log.warning("switches of playbooks can't be followed", why=str(error))
            await asyncio.sleep(_PAUSE_S)

    def _take(self, records: Iterable[Record]) -> None:
        for record in records:
            try:
                switch = PlaybookSwitch.FromString(record.value or b"")
            except DecodeError:
                _log.warning("a record is no switch", offset=record.offset)
                continue
            self.switches.take(switch, record.offset)

    async def throw(self, switch: PlaybookSwitch) -> None:
        """Switches, unless this very request did before. Raises Conflict when it said something
        else then, Away when Kafka may not have it."""
        before = self.switches.get(switch.switch_id)
        if before is not None:
            if differing := [n for n in _SAME if getattr(before, n) != getattr(switch, n)]:
                raise Conflict(f"this request said something else: {', '.join(differing)} differ")
            return
        sent = await self._producer.send(
            PLAYBOOK_SWITCH,
            zlib.crc32(switch.playbook.encode()) % self._settings.partitions,
            switch.SerializeToString(),
            key=switch.switch_id.encode(),
        )
        [written] = await acknowledged([sent])
        self.switches.take(switch, written.offset)
        _log.info("a playbook is switched", playbook=switch.playbook, on=switch.on)
