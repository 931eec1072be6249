"""Reads the log for what a campaign did to calls, up to where it ends or to where somebody else had
read it.
"""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from mawja.broadcast.v1.campaigns_pb2 import CampaignDecision
from mawja.broadcast.v1.events_pb2 import StatusRecord
from mawja.dedup.v1.events_pb2 import CaseDecision

from services.runtime.own import Record
from services.runtime.scan import Scan
from services.runtime.topics import CAMPAIGN, CASE, MESSAGE_STATUS
from services.tools.effects.measuring import Measuring

_EARLY_MS = 10 * 60_000
Through = Mapping[str, Mapping[int, int]]
"""By topic and partition, one past the offset of the last record that counts."""


@dataclass(frozen=True, slots=True)
class Read:
    """What was `measured`, and from which decisions on cases: how far, by partition; how many."""

    measured: Measuring
    through: Mapping[int, int]
    records: int


def read(bootstrap: str, campaign_id: str, within_ms: int, limit: Through | None = None) -> Read:
    """What the log at `bootstrap` says of a campaign and of its people's calls within `within_ms`
    of its start; nothing where it was not started. A topic that `limit` names is read up to there,
    others as far as they go. Raises Away."""
    found = Measuring(campaign_id, within_ms)
    limit = limit or {}
    through: dict[int, int] = {}
    counts: dict[str, int] = defaultdict(int)

    def take(record: Record) -> None:
        ends = limit.get(record.topic)
        if ends is not None and record.offset >= ends.get(record.partition, 0):
            return
        counts[record.topic] += 1
        if record.topic == CASE.name:
            through[record.partition] = record.offset + 1
        # What is no record of its topic nobody wrote who may.
        with suppress(DecodeError):
            value = record.value or b""
            if record.topic == CAMPAIGN.name:
                found.decided(CampaignDecision.FromString(value).campaign)
            elif record.topic == MESSAGE_STATUS.name:
                for change in StatusRecord.FromString(value).changes:
                    found.change(change)
            else:
                found.case(CaseDecision.FromString(value))

    with Scan(bootstrap, (CAMPAIGN, MESSAGE_STATUS)) as scan:
        scan.advance(take)
    if found.started_ms:
        with Scan(bootstrap, (CASE,), max(1, found.started_ms - _EARLY_MS)) as scan:
            scan.advance(take)
    return Read(found, dict(sorted(through.items())), counts[CASE.name])
