"""Reads the log for a report: whole topics, up to where they end, or up to where an earlier report
of the same campaign had read them.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from google.protobuf.message import DecodeError
from mawja.broadcast.v1.campaigns_pb2 import AudienceSlice, CampaignCommand, CampaignDecision
from mawja.broadcast.v1.events_pb2 import StatusRecord

from services.runtime.errors import ConfigError
from services.runtime.own import Record, epoch_of
from services.runtime.scan import Progress, Scan
from services.runtime.topics import AUDIENCE, CAMPAIGN, CAMPAIGN_COMMAND, CASE, MESSAGE_STATUS
from services.tools.effects import reading as effects
from services.tools.reports.facts import Facts, Made, Measured
from services.tools.reports.folding import Fold
from services.tools.reports.words import plain

TOPICS = (MESSAGE_STATUS, CAMPAIGN, CAMPAIGN_COMMAND, AUDIENCE)
"""Effects before their causes: what is read of a message has its campaign among what is read."""
Through = Mapping[str, Mapping[int, int]]
_DAY_MS = 24 * 3_600_000
_SHOWN = 5
_SHORTEST_ID = 4


class Taking:
    """Folds records, and notes how far. `limit`: where an earlier report ended, by topic and
    partition; nothing beyond it counts."""

    def __init__(self, campaign_id: str, limit: Through | None = None) -> None:
        self.fold = Fold(campaign_id)
        self._limit = limit
        self._through: dict[str, dict[int, int]] = defaultdict(dict)
        self._records = 0
        self._take: dict[str, Callable[[Record, bytes], None]] = {
            MESSAGE_STATUS.name: lambda record, value: self.fold.status(
                StatusRecord.FromString(value), record.partition, epoch_of(record)
            ),
            CAMPAIGN.name: lambda _, value: self.fold.decision(CampaignDecision.FromString(value)),
            CAMPAIGN_COMMAND.name: lambda _, value: self.fold.command(
                CampaignCommand.FromString(value)
            ),
            AUDIENCE.name: lambda record, value: self.fold.audience(
                AudienceSlice.FromString(value), record.partition
            ),
        }

    def take(self, record: Record) -> None:
        """Takes up one record that counts."""
        if self._limit is not None:
            end = self._limit.get(record.topic, {}).get(record.partition, 0)
            if record.offset >= end:
                return
        self._through[record.topic][record.partition] = record.offset + 1
        self._records += 1
        # What is no record of its topic nobody wrote who may: it says nothing of a campaign.
        with suppress(DecodeError):
            self._take[record.topic](record, record.value or b"")

    def facts(self, at_ms: int) -> Facts:
        """What it comes to at `at_ms` (Unix ms). Raises ConfigError when the log does not have the
        campaign."""
        if not self.fold.known:
            raise ConfigError(f"the log has no campaign {self.fold.campaign_id}")
        through = {
            topic: dict(sorted(partitions.items()))
            for topic, partitions in sorted(self._through.items())
        }
        return self.fold.facts(Made(at_ms, through, self._records))


def read(
    bootstrap: str, campaign_id: str, at_ms: int, again: Made | None, progress: Progress | None
) -> Facts:
    """The facts of a campaign from Kafka at `bootstrap`, as of `at_ms` (Unix ms); as of `again`
    when that is given. Raises Away, ConfigError."""
    taking = Taking(campaign_id, None if again is None else again.through)
    with Scan(bootstrap, TOPICS) as scan:
        scan.advance(taking.take, progress)
    facts = taking.facts(at_ms if again is None else again.at_ms)
    # What was made before this was told is made again as it was.
    held = facts.sending.totals()["held_back"] if again is None else CASE.name in again.through
    if held:
        facts = _measured(bootstrap, facts, {} if again is None else again.through)
    if again is not None and facts.made != again:
        raise ConfigError(
            "the log no longer has all that the earlier report was made from: it can't be made "
            "again"
        )
    return facts


def _measured(bootstrap: str, facts: Facts, earlier: Through) -> Facts:
    """With what the campaign did to calls. `earlier`: where decisions on cases end, if they are to
    end where they did. Raises Away."""
    made = facts.made
    limit = {name: made.through.get(name, {}) for name in (CAMPAIGN.name, MESSAGE_STATUS.name)} | (
        {CASE.name: earlier[CASE.name]} if CASE.name in earlier else {}
    )
    read = effects.read(bootstrap, facts.campaign_id, _DAY_MS, limit)
    found = read.measured
    if not found.started_ms:
        return facts
    through = dict(sorted({**made.through, CASE.name: read.through}.items()))
    return replace(
        facts,
        made=Made(made.at_ms, through, made.records + read.records),
        measured=Measured(found.effect(), found.started_ms + _DAY_MS),
    )


def campaign_of(bootstrap: str, given: str) -> str:
    """The id of the campaign that a person means by its id, or by as much of its beginning as no
    other has. Raises Away, ConfigError."""
    wanted = given.lower()
    if len(wanted) < _SHORTEST_ID or set(wanted) - set("0123456789abcdef-"):
        raise ConfigError(
            f"{given!r} is no id of a campaign, nor its first {_SHORTEST_ID} letters: "
            "see `mawja campaign list`"
        )
    met: dict[str, str] = {}

    def take(record: Record) -> None:
        campaign = CampaignDecision.FromString(record.value or b"").campaign
        if campaign.campaign_id:
            met[campaign.campaign_id] = campaign.plan.name

    with Scan(bootstrap, (CAMPAIGN,)) as scan:
        if not scan.beginnings():
            raise ConfigError(f"Kafka at {bootstrap} has no topics of Mawja: none runs there")
        scan.advance(take)
    found = [name for name in met if name.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f"{len(found)} campaigns begin with {given}; give more of the id")
    latest = "; ".join(f"{name} ({plain(met[name])})" for name in list(met)[-_SHOWN:])
    raise ConfigError(
        f"the log has no campaign {given}" + (f"; it has, e.g., {latest}" if latest else " at all")
    )


def made_json(facts: Facts) -> str:
    """What a report can be made again from."""
    made = facts.made
    return (
        json.dumps(
            {
                "campaign": facts.campaign_id,
                "at_ms": made.at_ms,
                "records": made.records,
                "through": made.through,
            },
            indent=2,
        )
        + "\n"
    )


def made_of(path: Path, campaign_id: str) -> Made:
    """What an earlier report of the campaign was made from. Raises ConfigError."""
    try:
        told = json.loads(path.read_text())
        if told["campaign"] != campaign_id:
            raise ConfigError(f"{path} is of another campaign: {told['campaign']}")
        through = {
            str(topic): {int(partition): int(end) for partition, end in ends.items()}
            for topic, ends in told["through"].items()
        }
        return Made(int(told["at_ms"]), through, int(told["records"]))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"{path} is not what a report writes beside itself: {type(error).__name__}"
        ) from error
