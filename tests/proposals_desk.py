"""A partition's proposals, what they hear and what people do with them."""

from collections.abc import Sequence

from mawja.common.v1 import common_pb2
from mawja.outreach.v1.proposals_pb2 import Proposal, ProposalCommand
from mawja.wave.v1.events_pb2 import Burst

from services.outreach.proposals import assumptions_file
from services.outreach.proposals.book import (
    Proposals,
)
from services.outreach.rules import Rule
from services.runtime.knowledge import Knowledge
from tests.outreach_answers import knowledge as small
from tests.proposals_told import NOW, Town, burst

ASSUMED = assumptions_file.read(None)


class Desk:
    """One partition's proposals, and the log that they would be in."""

    def __init__(self, knowledge: Knowledge | None = None, rules: Sequence[Rule] = ()) -> None:
        self.knowledge = knowledge or small_now()
        self.rules = rules
        self.book = Proposals(self.knowledge, ASSUMED, rules)
        self.log: list[bytes] = []
        self.offset = 0

    def cause(self) -> common_pb2.Input:
        self.offset += 1
        return common_pb2.Input(topic="t", offset=self.offset)

    def put(self, proposal: Proposal | None) -> Proposal | None:
        if proposal is not None:
            self.book.take(proposal)
            self.log.append(proposal.SerializeToString())
        return proposal

    def hears(self, stated: Burst, town: Town, now_ms: int = NOW) -> Proposal | None:
        if self.book.wanted(stated, now_ms):
            facts = town.facts().since(stated)
            return self.put(self.book.proposed(stated, facts, self.cause(), now_ms))
        return self.put(self.book.heard(stated, self.cause(), now_ms))

    def asks(self, proposal: Proposal, now_ms: int = NOW, **action: object) -> Proposal | None:
        command = ProposalCommand(proposal_id=proposal.proposal_id, **action)  # type: ignore[arg-type]
        if not command.envelope.command_id:
            command.envelope.command_id = f"c{self.offset}"
            command.envelope.subject = "coordinator-1"
        return self.put(self.book.obey(command, self.cause(), now_ms))

    def again(self) -> "Desk":
        """A new owner, who folds the log."""
        after = Desk(self.knowledge, self.rules)
        for value in self.log:
            after.book.take(Proposal.FromString(value))
        after.log, after.offset = list(self.log), self.offset
        return after


def small_now(**given: object) -> Knowledge:
    times = {"valid_from_ms": NOW - 86_400_000, "valid_until_ms": NOW + 86_400_000}
    return small(**(times | given))  # type: ignore[arg-type]


def flood(count: int = 12) -> Town:
    town = Town()
    town.opens(count, question="roads")
    return town


def made(desk: Desk, town: Town | None = None, stated: Burst | None = None) -> Proposal:
    found = desk.hears(stated or burst(), town or flood())
    assert found is not None
    return found
