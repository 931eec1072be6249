"""Reads the log of a surge: from where it can tell of it up to where it ends, or up to where an
earlier report of the same surge had read.

Campaigns are read from the beginning, since who made one did so before the surge; all else from
ten minutes before it, or from when a campaign began that went on in it. What is in the log after
the end of the surge is read too: it tells what became of those who came.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError
from mawja.broadcast.v1.campaigns_pb2 import CampaignDecision

from services.runtime.errors import ConfigError, Poison
from services.runtime.own import Record
from services.runtime.scan import Progress, Scan
from services.runtime.topics import (
    ANNOUNCEMENT,
    BURST,
    BY_NAME,
    CALL_DECISION,
    CALLBACK,
    CAMPAIGN,
    CAMPAIGN_COMMAND,
    CASE,
    DEAD_LETTERS,
    INCIDENT,
    MESSAGE_REQUESTED,
    MESSAGE_STATUS,
    PROPOSAL,
)
from services.tools.afteraction.facts import Facts
from services.tools.afteraction.folding import Fold
from services.tools.reports.facts import Made

PEOPLES = (CAMPAIGN, CAMPAIGN_COMMAND)
"""What people decided: small, and read whole."""
TOPICS = (
    *DEAD_LETTERS.values(),
    MESSAGE_STATUS,
    CALLBACK,
    MESSAGE_REQUESTED,
    ANNOUNCEMENT,
    CALL_DECISION,
    PROPOSAL,
    BURST,
    INCIDENT,
    CASE,
)
"""Effects before their causes: what is read of a message has its case among what is read."""
_EARLY_MS = 10 * 60_000
"""A source's clock may be 5 minutes ahead, so a contact can be decided on before it came."""
Through = Mapping[str, Mapping[int, int]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is of. `since_ms`, `until_ms`: Unix ms, 0 for no limit; `name`: what people
    call the surge, "" for nothing."""

    since_ms: int
    until_ms: int
    drill: bool
    name: str = ""


class Taking:
    """Folds records, and notes how far. `limit`: where an earlier report ended, by topic and
    partition; nothing beyond it counts."""

    def __init__(self, asked: Asked, limit: Through | None = None) -> None:
        self._asked = asked
        self._fold = Fold(asked.drill, asked.since_ms, asked.until_ms)
        self._limit = limit
        self._through: dict[str, dict[int, int]] = defaultdict(dict)
        self._records = 0
        self.begins_ms = asked.since_ms
        """From where all else must be read, once the campaigns are: Unix ms."""
        self._began: dict[str, int] = {}

    def take(self, record: Record) -> None:
        """Takes up one record that counts."""
        if self._limit is not None:
            end = self._limit.get(record.topic, {}).get(record.partition, 0)
            if record.offset >= end:
                return
        self._through[record.topic][record.partition] = record.offset + 1
        self._records += 1
        # What is no record of its topic nobody wrote who may: it says nothing of a surge.
        with suppress(DecodeError, Poison):
            self._fold.take(record, BY_NAME[record.topic])
            if record.topic == CAMPAIGN.name:
                self._campaign(CampaignDecision.FromString(record.value or b""))

    def _campaign(self, decision: CampaignDecision) -> None:
        began_ms = self._began.setdefault(decision.campaign.campaign_id, decision.decided_ms)
        if decision.decided_ms >= self._asked.since_ms:
            self.begins_ms = min(self.begins_ms, began_ms)

    def facts(self, at_ms: int) -> Facts:
        """What it comes to at `at_ms` (Unix ms)."""
        through = {
            topic: dict(sorted(partitions.items()))
            for topic, partitions in sorted(self._through.items())
        }
        return self._fold.facts(Made(at_ms, through, self._records), self._asked.name)


def read(
    bootstrap: str, asked: Asked, at_ms: int, again: Made | None, progress: Progress | None
) -> Facts:
    """The facts of a surge from Kafka at `bootstrap`, as of `at_ms` (Unix ms); as of `again` when
    that is given. A broker that restarts meanwhile only delays it.

    Raises Away, ConfigError.
    """
    taking = Taking(asked, None if again is None else again.through)
    with Scan(bootstrap, PEOPLES) as scan:
        if not scan.beginnings():
            raise ConfigError(f"Kafka at {bootstrap} has no topics of Mawja: none runs there")
        scan.advance(taking.take)
    with Scan(bootstrap, TOPICS, max(0, taking.begins_ms - _EARLY_MS)) as scan:
        scan.advance(taking.take, progress)
    facts = taking.facts(at_ms if again is None else again.at_ms)
    if again is not None and facts.made != again:
        raise ConfigError(
            "the log no longer has all that the earlier report was made from: it can't be made "
            "again"
        )
    return facts


def made_json(facts: Facts, asked: Asked) -> str:
    """What a report can be made again from."""
    told = {
        "surge": {
            "name": asked.name,
            "since_ms": asked.since_ms,
            "until_ms": asked.until_ms,
            "drill": asked.drill,
        },
        "at_ms": facts.made.at_ms,
        "records": facts.made.records,
        "through": facts.made.through,
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def made_of(path: Path) -> tuple[Asked, Made]:
    """What an earlier report was of, and what it was made from. Raises ConfigError."""
    try:
        told = json.loads(path.read_text())
        surge = told["surge"]
        asked = Asked(
            int(surge["since_ms"]), int(surge["until_ms"]), bool(surge["drill"]), str(surge["name"])
        )
        through = {
            str(topic): {int(partition): int(end) for partition, end in ends.items()}
            for topic, ends in told["through"].items()
        }
        return asked, Made(int(told["at_ms"]), through, int(told["records"]))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"{path} is not what a report of a surge writes beside itself: {type(error).__name__}"
        ) from error
