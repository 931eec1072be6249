"""All proposals, in each process, as their log tells them: they are few."""

import asyncio

from mawja.outreach.v1.proposals_pb2 import Proposal

from services.runtime import log
from services.runtime.config import Settings
from services.runtime.errors import Away
from services.runtime.tail import whole
from services.runtime.topics import PROPOSAL

_log = log.get("proposals")
_PAUSE_S = 1.0


class Board:
    """Run `run` as a task of the service."""

    def __init__(self, settings: Settings, client_id: str) -> None:
        self._settings = settings
        self._client_id = client_id
        self._proposals: dict[str, Proposal] = {}
        self._partitions: dict[str, int] = {}
        self._whole = False

    async def run(self) -> None:
        """Follows the log until cancelled."""
        while True:
            try:
                async for records, all_there in whole(self._settings, PROPOSAL, self._client_id):
                    for record in records:
                        self.take(Proposal.FromString(record.value or b""), record.partition)
                    self._whole = all_there
            except Away as error:
                self._whole = False
                _log.warning("proposals can't be followed", why=str(error))
                await asyncio.sleep(_PAUSE_S)

    async def whole(self) -> bool:
        """Whether all that was decided before this process began is known, and Kafka answers."""
        return self._whole

    def take(self, proposal: Proposal, partition: int) -> None:
        """Takes up a proposal as it stands after a decision."""
        before = self._proposals.get(proposal.proposal_id)
        if before is None or before.version < proposal.version:
            self._proposals[proposal.proposal_id] = proposal
            self._partitions.setdefault(proposal.proposal_id, partition)

    def get(self, proposal_id: str) -> tuple[Proposal, int] | None:
        """A proposal and its partition. Raises Away while not all are known."""
        self._check()
        found = self._proposals.get(proposal_id)
        return None if found is None else (found, self._partitions[proposal_id])

    def all(self) -> list[Proposal]:
        """The latest first. Raises Away while not all are known."""
        self._check()
        return sorted(self._proposals.values(), key=lambda one: (-one.proposed_ms, one.proposal_id))

    def _check(self) -> None:
        if not self._whole:
            raise Away("the proposals are being read; try again in a moment")
