"""Whatever people and partitions ask in any order: nobody sends alone, and the log says it all."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from mawja.broadcast.v1.campaigns_pb2 import Rehearse, Resend, Start

from services.broadcast.campaigns import life
from services.broadcast.campaigns.register import Register
from tests.campaign_office import (
    CAMPAIGN_ID,
    MAKER,
    OTHER,
    PARTITIONS,
    TERMS,
    THIRD,
    Office,
    plan,
)


class Life(RuleBasedStateMachine):
    """Anybody does anything at any time; a copy is folded from the log."""

    def __init__(self) -> None:
        super().__init__()
        self.office = Office()
        self.office.do(create=plan())
        self.approved_by: str | None = None

    people = st.sampled_from([MAKER, OTHER, THIRD])

    @rule(who=people, name=st.sampled_from(["a", "b"]))
    def change(self, who: str, name: str) -> None:
        self.office.do(who, update=plan(name=name))

    @rule(who=people)
    def rehearse(self, who: str) -> None:
        self.office.do(who, rehearse=Rehearse())

    @rule(
        partition=st.integers(0, PARTITIONS - 1),
        stage=st.sampled_from([life.REHEARSAL, life.DONE, life.BRAKE, life.CORRECTED]),
        behind=st.integers(0, 2),
    )
    def share(self, partition: int, stage: life.Stage, behind: int) -> None:
        revision = max(1, self.office.campaign.revision - behind)
        self.office.share(partition, stage, revision)

    @rule(who=people)
    def approve(self, who: str) -> None:
        self.office.do(who, approve=self.office.campaign.rehearsal.hash)

    @rule(
        who=people,
        deed=st.sampled_from(["start", "pause", "resume", "cancel", "recall", "resend", "export"]),
    )
    def deed(self, who: str, deed: str) -> None:
        actions: dict[str, Any] = {"start": Start(), "resend": Resend(recipients=1)}
        self.office.do(who, **{deed: actions.get(deed, "why")})

    @precondition(lambda self: len(self.office.log) > 1)
    @rule(place=st.integers(0, 50))
    def again(self, place: int) -> None:
        decision = self.office.log[place % len(self.office.log)]
        before = self.office.campaign.SerializeToString(deterministic=True)
        self.office.do(command_id=decision.command_id, cancel="again")
        assert self.office.campaign.SerializeToString(deterministic=True) == before

    @invariant()
    def nobody_sends_alone(self) -> None:
        campaign = self.office.campaign
        if campaign.state in (life.APPROVED, life.RUNNING, life.PAUSED, life.COMPLETED):
            authors = {campaign.made.subject, campaign.changed.subject}
            assert campaign.approved.subject not in authors
            assert campaign.approved.subject
            assert campaign.HasField("rehearsal")

    @invariant()
    def what_ended_stays_ended(self) -> None:
        states: Sequence[life.State] = [
            one.campaign.state for one in self.office.log if not one.code
        ]
        for before, after in pairwise(states):
            if before in life.FINAL and before != after:
                assert (before, after) == (life.CANCELLED, life.RECALLED)

    @invariant()
    def the_log_alone_gives_the_same(self) -> None:
        folded = Register(PARTITIONS, TERMS)
        for decision in self.office.log:
            folded.fold(decision)
        assert folded.get(CAMPAIGN_ID) == self.office.campaign
        assert folded.decided == self.office.register.decided


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestLife = Life.TestCase
