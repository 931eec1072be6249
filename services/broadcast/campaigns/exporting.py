"""Who got what, when: every recipient of a campaign as one row, for who has to account for it.

Rows come from the audience as it was frozen and from the status log, which keeps longest, so that
any replica exports and any campaign whose records are kept. A partition is read at a time, and one
campaign: memory depends on the largest partition alone. Rows are placed as the counts are, so when
nothing moves they add up to them.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping

from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    AudienceFile,
    Campaign,
    CampaignCommand,
    ExportCampaignRequest,
    ExportCampaignResponse,
    ExportedCorrection,
    ExportedRecipient,
    ExportEnd,
    ExportRows,
    ExportStart,
    Recipient,
)
from mawja.broadcast.v1.events_pb2 import StatusRecord

from services.broadcast import numbers
from services.broadcast.campaigns.asking import Asking
from services.broadcast.campaigns.counts import Key, counted
from services.broadcast.campaigns.feed import NO_MESSAGE
from services.broadcast.campaigns.life import FINAL
from services.broadcast.campaigns.outcomes import WAITING, Outcomes
from services.broadcast.campaigns.saying import Wording, name_of, texts_of
from services.broadcast.campaigns.walk import Gone, Walk
from services.runtime import log
from services.runtime.clock import now_ms
from services.runtime.errors import Invalid, NotInState, Overloaded, Poison, Violation
from services.runtime.identity import Caller, may
from services.runtime.own import Epochs, LogReader, Record, counted_from_here
from services.runtime.privacy import Keyring, mask
from services.runtime.topics import MESSAGE_STATUS

_log = log.get("campaigns")
NUMBERS = "campaign export --numbers"
"""The deed of taking whole numbers out (`identity.DEEDS`)."""
_BEFORE_MS = 10 * 60_000
"""So long before its start the log is read: clocks of machines differ."""
_ROWS = 500
"""Rows of a piece: some 40 kB."""
_AGAIN_MS = 5_000


class Exporting:
    """Exports one campaign at a time."""

    def __init__(
        self, keyring: Keyring, reader: LogReader, asking: Asking, partitions: int
    ) -> None:
        self._asking = asking
        self._keyring = keyring
        self._reader = reader
        self._partitions = partitions
        self._busy = False

    async def export(
        self,
        campaign: Campaign,
        files: Mapping[str, AudienceFile],
        request: ExportCampaignRequest,
        caller: Caller,
    ) -> AsyncIterator[ExportCampaignResponse]:
        """`campaign`, which `caller` may see, piece by piece. `files`: those of its audience.

        Raises Forbidden and Invalid for numbers that may not be taken out, NotInState for what was
        not rehearsed or is not kept any more, Overloaded, Away.
        """
        if request.numbers:
            may(NUMBERS, caller)
            if not request.reason.strip():
                rule = "whole numbers need a reason: it is kept with your name"
                raise Invalid([Violation("reason", rule)])
        if not campaign.HasField("rehearsal"):
            raise NotInState("it has no recipients yet: rehearse it first")
        if self._busy:
            raise Overloaded("another export is under way here; try again", _AGAIN_MS)
        self._busy = True
        try:
            async for piece in self._pieces(campaign, files, request, caller):
                yield piece
        finally:
            self._busy = False

    async def _pieces(
        self,
        campaign: Campaign,
        files: Mapping[str, AudienceFile],
        request: ExportCampaignRequest,
        caller: Caller,
    ) -> AsyncIterator[ExportCampaignResponse]:
        at_ms = now_ms()
        spans = await self._spans(campaign)
        _log.info(
            "who got a campaign is exported",
            campaign=campaign.campaign_id,
            by=caller.subject,
            numbers=request.numbers,
        )
        if request.numbers:
            # Before the first of them leaves.
            command = CampaignCommand(campaign_id=campaign.campaign_id, export=request.reason)
            await self._asking.deed(command, "ExportCampaign", str(at_ms))
        told = [_shown(file) for file in files.values()]
        yield ExportCampaignResponse(
            start=ExportStart(campaign=campaign, files=told, exported_ms=at_ms)
        )
        rows = _Rows(campaign, list(files), self._keyring, request.numbers)
        for partition in range(self._partitions):
            outcomes = await self._outcomes(campaign.campaign_id, partition, spans)
            walk = Walk(campaign.plan.audience, files, partition, self._reader)
            met = set[bytes]()
            try:
                async for file, some in walk.by_file():
                    for begin in range(0, len(some), _ROWS):
                        found = [
                            rows.row(file, one, outcomes, met)
                            for one in some[begin : begin + _ROWS]
                        ]
                        yield ExportCampaignResponse(rows=ExportRows(recipients=found))
                        # Others of this process have their turn.
                        await asyncio.sleep(0)
            except Gone:
                raise NotInState(
                    "its recipients are not kept any more: only its report can still be made"
                ) from None
        yield ExportCampaignResponse(end=rows.end(files))

    async def _spans(self, campaign: Campaign) -> dict[int, tuple[int, int]]:
        """From where to where the status log speaks of a campaign, by partition. Raises Away;
        NotInState when some of that is gone."""
        if not campaign.HasField("started"):
            return {}
        every = range(self._partitions)
        since_ms = campaign.started.done_ms - _BEFORE_MS
        begins = await self._reader.offsets_at(MESSAGE_STATUS, every, since_ms)
        ends = await self._reader.end(MESSAGE_STATUS, every)
        depths = await self._reader.depth(MESSAGE_STATUS, every)
        if any(0 < ends[one] - depths[one] >= begins[one] for one in every):
            raise NotInState(
                f"the log keeps {MESSAGE_STATUS.retention_days} days, and no longer has all that "
                "became of this campaign"
            )
        return {one: (begins[one], ends[one]) for one in every}

    async def _outcomes(
        self, campaign_id: str, partition: int, spans: Mapping[int, tuple[int, int]]
    ) -> Outcomes:
        found, epochs = Outcomes(campaign_id), Epochs()

        async def take(record: Record) -> None:
            if counted_from_here(epochs, record):
                found.take(StatusRecord.FromString(record.value or b""))
                await asyncio.sleep(0)

        if span := spans.get(partition):
            await self._reader.read(MESSAGE_STATUS, partition, *span, take)
        return found


class _Rows:
    """Makes the rows of one export, and counts them."""

    def __init__(
        self, campaign: Campaign, files: list[str], keyring: Keyring, whole_numbers: bool
    ) -> None:
        self._wording = Wording(texts_of(campaign, correction=False), campaign.plan.language)
        self._place = {name: place for place, name in enumerate(files)}
        self._keyring = keyring
        self._whole = whole_numbers
        self._ended = campaign.state in FINAL
        self._count = 0
        self._recipients, self._parts = Counter[Key](), Counter[Key]()
        self._corrected, self._corrected_parts = Counter[Key](), Counter[Key]()

    def row(
        self, file: str, one: Recipient, outcomes: Outcomes, met: set[bytes]
    ) -> ExportedRecipient:
        """One recipient's. `met`: who has had a row, and gets this one."""
        row = ExportedRecipient(file=self._place[file], line=one.line)
        try:
            number = self._keyring.unseal("number", one.sealed_number)
        except Poison:
            # Erased on purpose, or damaged: the row is there all the same.
            number = ""
        row.number = number if self._whole else mask(number)
        if one.person in met:
            row.bucket = campaigns_pb2.BUCKET_DUPLICATE
        else:
            met.add(one.person)
            self._fill(row, one, number, outcomes)
        self._count += 1
        key = row.bucket, row.reason, row.language, row.carrier
        self._recipients[key] += 1
        self._parts[key] += row.parts
        return row

    def _fill(
        self, row: ExportedRecipient, one: Recipient, number: str, outcomes: Outcomes
    ) -> None:
        stand, row.decided_ms = outcomes.of(one.person)
        row.attempts = stand.attempts
        if stand.bucket != WAITING:
            row.bucket, row.reason, row.language = stand.bucket, stand.reason, stand.language
            row.carrier, row.parts = stand.carrier, stand.parts
            self._correct(row, one, outcomes)
            return
        row.language = name_of(self._wording.choice(one.language))
        obstacle = numbers.obstacle(number) if number else ""
        if obstacle in NO_MESSAGE:
            row.bucket, row.reason = campaigns_pb2.BUCKET_INVALID, obstacle
        else:
            row.bucket = campaigns_pb2.BUCKET_CANCELLED if self._ended else WAITING

    def _correct(self, row: ExportedRecipient, one: Recipient, outcomes: Outcomes) -> None:
        stand, decided_ms = outcomes.of(one.person, correction=True)
        if stand.bucket == WAITING:
            return
        row.correction.CopyFrom(
            ExportedCorrection(
                bucket=stand.bucket,
                reason=stand.reason,
                carrier=stand.carrier,
                parts=stand.parts,
                decided_ms=decided_ms,
            )
        )
        key = stand.bucket, stand.reason, stand.language, stand.carrier
        self._corrected[key] += 1
        self._corrected_parts[key] += stand.parts

    def end(self, files: Mapping[str, AudienceFile]) -> ExportEnd:
        """What all rows add up to, with those of `files` that could not be read."""
        bad = Counter[Key]()
        for file in files.values():
            for rule, count in file.bad_rows.items():
                bad[campaigns_pb2.BUCKET_INVALID, rule, "", ""] += count
        return ExportEnd(
            buckets=[*counted(self._recipients, self._parts), *counted(bad, Counter())],
            corrections=counted(self._corrected, self._corrected_parts),
            rows=self._count,
        )


def _shown(file: AudienceFile) -> AudienceFile:
    shown = AudienceFile()
    shown.CopyFrom(file)
    # Where it stands concerns nobody outside.
    for name in ("spans", "attempt"):
        shown.ClearField(name)
    return shown
