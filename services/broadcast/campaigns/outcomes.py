"""What became of each recipient of one campaign in one partition, as the status log says. Pure.

Some 250 bytes a recipient, a quarter of what the partition's owner keeps of them.
"""

from typing import NamedTuple

from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.events_pb2 import MessageChange, StatusRecord

from services.broadcast.campaigns.counts import Bucket
from services.broadcast.campaigns.tally import key_of
from services.broadcast.messages import QUEUED, State, follows

WAITING = campaigns_pb2.BUCKET_WAITING


class Stand(NamedTuple):
    """Where a recipient is. Few differ, so each is kept once."""

    state: State
    attempts: int
    resend: int
    bucket: Bucket
    reason: str
    language: str
    carrier: str
    parts: int


NONE = Stand(QUEUED, 0, 0, WAITING, "", "", "", 0)


class Outcomes:
    """By person; `correction`: of the correction instead."""

    def __init__(self, campaign_id: str) -> None:
        self._campaign_id = campaign_id
        self._last: dict[tuple[bytes, bool], tuple[Stand, int]] = {}
        self._stands: dict[Stand, Stand] = {}

    def take(self, record: StatusRecord) -> None:
        """Takes up a record of the status log, in the order of the log."""
        for change in record.changes:
            if change.campaign_id == self._campaign_id:
                self._take(change, record.decided_ms)

    def of(self, person: bytes, correction: bool = False) -> tuple[Stand, int]:
        """Where a person is, and when that was decided (Unix ms; 0 when nothing was)."""
        return self._last.get((person, correction), (NONE, 0))

    def _take(self, change: MessageChange, decided_ms: int) -> None:
        key = change.person, change.correction
        before = self._last.get(key, (NONE, 0))[0]
        if not follows(before.state, before.attempts, before.resend, change):
            return
        bucket, reason, language, carrier = key_of(change)
        found = Stand(
            change.state,
            change.attempt,
            change.resend,
            bucket,
            reason,
            language,
            carrier,
            change.parts,
        )
        self._last[key] = self._stands.setdefault(found, found), decided_ms
