"""What a campaign did to calls: those whom it was sent to beside those who were held back. Pure.

Who is held back was drawn by a hash, so both parts would call alike without the message: the
difference is the campaign's. Everybody whom it was sent to counts, also where it did not arrive:
whoever can be reached differs from others in more than the message.
"""

from collections import Counter
from dataclasses import dataclass, field

from mawja.broadcast.v1.campaigns_pb2 import Campaign
from mawja.broadcast.v1.events_pb2 import MessageChange, MessageState
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup

from services.broadcast.campaigns.holding import HELD_BACK
from services.runtime import shares

_CLAIMED = MessageState.MESSAGE_STATE_CLAIMED
_DELIVERED = MessageState.MESSAGE_STATE_DELIVERED
_SUPPRESSED = MessageState.MESSAGE_STATE_SUPPRESSED
_LINKS = (dedup.CASE_CHANGE_OPENED, dedup.CASE_CHANGE_LINKED)


@dataclass(frozen=True, slots=True)
class Part:
    """People, of whom `callers` called, together `calls` times."""

    people: int
    callers: int
    calls: int

    @property
    def share(self) -> float:
        """Of callers, 0 to 1; 0 of nobody."""
        return self.callers / self.people if self.people else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Of the share, 95 %."""
        _, low, high = shares.share(self.callers, self.people)
        return low, high


@dataclass(frozen=True, slots=True)
class Effect:
    """`sent`: whom it was sent to, of whom `delivered` have it; `held`: who was held back."""

    sent: Part
    held: Part
    delivered: int

    @property
    def fewer(self) -> tuple[float, float, float]:
        """By how much the share of callers is lower among those whom it was sent to, and 95 % of
        it."""
        return shares.difference(
            shares.share(self.held.callers, self.held.people),
            shares.share(self.sent.callers, self.sent.people),
        )

    @property
    def avoided(self) -> tuple[float, float, float]:
        """Callers fewer because of it, and 95 % of that; below 0: it brought so many."""
        found, least, most = self.fewer
        return found * self.sent.people, least * self.sent.people, most * self.sent.people

    @property
    def known(self) -> bool:
        """Whether there is anybody to compare."""
        return bool(self.sent.people and self.held.people)


@dataclass(slots=True)
class Measuring:
    """Folds the log. `within_ms`: calls from the start of the campaign on so long."""

    campaign_id: str
    within_ms: int
    campaign: Campaign = field(default_factory=Campaign)
    _sent: set[bytes] = field(default_factory=set)
    _held: set[bytes] = field(default_factory=set)
    _delivered: set[bytes] = field(default_factory=set)
    _calls: Counter[bytes] = field(default_factory=Counter)
    _met: set[str] = field(default_factory=set)

    @property
    def started_ms(self) -> int:
        """When it began to be sent: Unix ms; 0 when it did not."""
        return max(self.campaign.started.done_ms, self.campaign.plan.starts_ms) * bool(
            self.campaign.started.done_ms
        )

    def decided(self, campaign: Campaign) -> None:
        """A decision on a campaign: as it stands then."""
        if campaign.campaign_id == self.campaign_id:
            self.campaign = campaign

    def change(self, change: MessageChange) -> None:
        """A change of a message."""
        if change.campaign_id != self.campaign_id or change.correction:
            return
        if change.state == _CLAIMED:
            self._sent.add(change.person)
        elif change.state == _DELIVERED:
            self._delivered.add(change.person)
        elif change.state == _SUPPRESSED and change.reason == HELD_BACK:
            self._held.add(change.person)

    def case(self, decision: dedup.CaseDecision) -> None:
        """A decision on a case, once all of the campaign is folded: whether it is one of its
        people's calls. A contact counts once."""
        link, case = decision.link, decision.case
        begun = self.started_ms
        if decision.change not in _LINKS or link.channel != common_pb2.CHANNEL_VOICE:
            return
        if not begun <= link.event_ms < begun + self.within_ms or link.contact_id in self._met:
            return
        if case.person in self._sent or case.person in self._held:
            self._met.add(link.contact_id)
            self._calls[case.person] += 1

    def effect(self) -> Effect:
        """What it comes to."""
        return Effect(self._part(self._sent), self._part(self._held), len(self._delivered))

    def _part(self, people: set[bytes]) -> Part:
        called = [self._calls[person] for person in people if person in self._calls]
        return Part(len(people), len(called), sum(called))
