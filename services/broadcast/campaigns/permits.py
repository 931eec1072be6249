"""Whether a campaign's message may go to a person now: the sending rules, asked with what is known
of the person. Pure but for the memory of what people got.
"""

from collections.abc import Mapping, Sequence

from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.campaigns_pb2 import CampaignPlan
from mawja.broadcast.v1.events_pb2 import MessageChange
from mawja.common.v1 import common_pb2

from services.broadcast.campaigns.plans import lane_of
from services.broadcast.messages import CLAIMED
from services.broadcast.rules.book import Kind, Lane, Rules
from services.broadcast.rules.frequency import Recent
from services.broadcast.rules.judge import (
    Earlier,
    MessageFacts,
    Override,
    PersonFacts,
    Verdict,
    judge,
)
from services.broadcast.rules.zones import digits_of, place_of

KINDS: Mapping[events_pb2.CampaignKind.ValueType, Kind] = {
    events_pb2.CAMPAIGN_KIND_INFORMATION: Kind.INFORMATIONAL,
    events_pb2.CAMPAIGN_KIND_MARKETING: Kind.MARKETING,
    events_pb2.CAMPAIGN_KIND_EMERGENCY: Kind.WARNING,
}
_LANES = {
    common_pb2.LANE_URGENT: Lane.URGENT,
    common_pb2.LANE_NORMAL: Lane.NORMAL,
    common_pb2.LANE_BULK: Lane.BULK,
}
_REMEMBERED = 1_000


def override_problem(rules: Rules, plan: CampaignPlan) -> str:
    """The rule that a plan's legal basis breaks, to say to who wrote it; empty when none."""
    kind = KINDS[plan.kind]
    usable = sorted(code for code, basis in rules.bases.items() if kind in basis.kinds)
    if not plan.HasField("override") or plan.override.legal_basis in usable:
        return ""
    if not usable:
        return "the sending rules know no legal basis for such a campaign"
    return f"must be a legal basis of the sending rules: {', '.join(usable)}"


class Asked:
    """What the rules are asked of the people of one campaign, or of its correction. It is made once
    for each country and sender's name, and who got nothing lately and never opted out is answered
    as the one before, at the same moment.

    `recorded_by`: who stands for the override; `expires_ms`: nothing is sent after, Unix ms.
    """

    def __init__(self, rules: Rules, plan: CampaignPlan, recorded_by: str, expires_ms: int) -> None:
        self._rules = rules
        self._kind, self._lane = KINDS[plan.kind], _LANES[lane_of(plan)]
        self._agency, self._expires_ms = plan.agency, expires_ms
        self._override: Override | None = None
        if plan.HasField("override"):
            self._override = Override(plan.override.legal_basis, recorded_by)
        # By the digits that say where a number belongs, and the name.
        self._facts: dict[tuple[str, str], MessageFacts] = {}
        self._digits = digits_of(rules)
        self._before: tuple[MessageFacts, int, Verdict] | None = None

    def verdict(
        self, number: str, sender: str, opted_out: bool, earlier: Sequence[Earlier], now_ms: int
    ) -> Verdict:
        """`number` is E.164, `sender` the name that people see; `earlier`: what the person got."""
        facts = self._about(number, sender)
        if opted_out or earlier:
            return judge(self._rules, facts, PersonFacts(opted_out, earlier), now_ms)
        before = self._before
        if before is not None and before[0] is facts and before[1] == now_ms:
            return before[2]
        found = judge(self._rules, facts, PersonFacts(), now_ms)
        self._before = facts, now_ms, found
        return found

    def _about(self, number: str, sender: str) -> MessageFacts:
        key = number[: self._digits], sender
        known = self._facts.get(key)
        if known is not None:
            return known
        place = place_of(self._rules, number)
        facts = MessageFacts(
            place=place,
            kind=self._kind,
            lane=self._lane,
            agency=self._agency,
            sender=sender,
            expires_ms=self._expires_ms,
            override=self._override,
        )
        # Of a country that is not listed every digit may tell the zone.
        if place.country is not self._rules.abroad and len(self._facts) < _REMEMBERED:
            self._facts[key] = facts
        return facts


class Permits:
    """Of one partition. What people got is folded from its status log."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._recent = Recent(rules.caps)

    def take(self, change: MessageChange, decided_ms: int) -> None:
        """Takes up a change of a message, in the order of the log: who is being written to counts
        as written to, whatever becomes of it."""
        if change.state == CLAIMED and change.attempt == 1 and change.campaign_kind:
            kind, lane = KINDS[change.campaign_kind], _LANES[change.lane]
            self._recent.add(change.person, kind, lane, change.agency, decided_ms)

    def asked(self, plan: CampaignPlan, recorded_by: str, expires_ms: int) -> Asked:
        """What is asked of a campaign's people; see there."""
        return Asked(self._rules, plan, recorded_by, expires_ms)

    def verdict(
        self,
        asked: Asked,
        number: str,
        sender: str,
        person: bytes,
        *,
        opted_out: bool,
        begun: bool,
        now_ms: int,
    ) -> Verdict:
        """`number` is E.164, `sender` the name that people see. `begun`: the message was given to a
        carrier before, and counts among what the person got."""
        earlier = () if begun else self._recent.of(person)
        return asked.verdict(number, sender, opted_out, earlier, now_ms)
