"""Reads what dedup decided since a burst began: what its cases say; and follows incidents."""

import asyncio
import contextlib

from google.protobuf.message import DecodeError
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.dedup.v1.incidents_pb2 import IncidentDecision

from services.outreach.proposals.evidence import Facts
from services.outreach.proposals.growing import KEPT_MS, Growing
from services.runtime import log
from services.runtime.clock import now_ms
from services.runtime.config import Settings
from services.runtime.errors import Away
from services.runtime.own import Epochs, LogReader, Record, counted_from_here
from services.runtime.tail import tail
from services.runtime.topics import CASE, INCIDENT

LONGEST_MS = 30 * 60_000
"""So far back at most: more would not tell more, and a wave's log is long."""
_log = log.get("proposals")
_PAUSE_S = 1.0
_EARLY_MS = 60_000
"""A decision stands in the log at most so long before what it tells of: clocks differ."""


class Reading:
    """Of all `partitions`. `sure`: see Facts."""

    def __init__(self, reader: LogReader, partitions: int, sure: float) -> None:
        self._reader = reader
        self._partitions = range(partitions)
        self._sure = sure

    async def facts(self, since_ms: int, now_ms: int) -> Facts:
        """The cases opened since (Unix ms, event time), as they stand now. Raises Away."""
        since_ms = max(since_ms, now_ms - LONGEST_MS)
        facts, epochs = Facts(since_ms, self._sure), Epochs()
        starts = await self._reader.offsets_at(CASE, self._partitions, since_ms - _EARLY_MS)
        ends = await self._reader.end(CASE, self._partitions)

        def each(record: Record) -> None:
            if counted_from_here(epochs, record):
                with contextlib.suppress(DecodeError):
                    facts.take(dedup.CaseDecision.FromString(record.value or b""))

        await self._reader.read_many({(CASE, p): (starts[p], ends[p]) for p in starts}, each)
        return facts


async def follow(growing: Growing, settings: Settings, client_id: str) -> None:
    """Tells `growing` what dedup decides on incidents, from half an hour ago on, until cancelled.
    What is told twice after Kafka was away changes nothing."""
    while True:
        try:
            async for records in tail(settings, INCIDENT, client_id, now_ms() - KEPT_MS):
                for record in records:
                    # What is damaged is for its own room to tell.
                    with contextlib.suppress(DecodeError):
                        growing.take(IncidentDecision.FromString(record.value or b""))
        except Away as error:
            _log.warning("incidents can't be followed", why=str(error))
            await asyncio.sleep(_PAUSE_S)
