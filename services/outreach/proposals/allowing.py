"""Which bursts are proposed, and how long coordinators have: what the playbooks say. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from mawja.dedup.v1.incidents_pb2 import CaseCount
from mawja.outreach.v1.proposals_pb2 import Evidence

from services.outreach.proposals.evidence import HALF
from services.outreach.rules import Event, Facts, Rule
from services.outreach.switches.state import every, off


@dataclass(frozen=True, slots=True)
class Allowed:
    """By which playbook, "" where none says; `lasts_ms` 0: as long as the burst."""

    rule: str = ""
    lasts_ms: int = 0


def allowed(rules: Sequence[Rule], evidence: Evidence) -> Allowed | None:
    """The first playbook that proposes such a burst; None when those that propose bursts want
    others. Where no playbook is about it, every burst is proposed."""
    # Where the only playbook about it is off, nothing is proposed.
    known = every(rules)
    proposing = [rule for rule in known if rule.event is Event.BURST and rule.proposal is not None]
    if not proposing:
        return Allowed()
    facts = Facts(
        agency=_shared(evidence.agencies, evidence.cases),
        line=_shared(evidence.lines, evidence.cases),
        life_safety=evidence.life_safety > 0,
        people=evidence.people,
    )
    for rule in proposing:
        if off(rules, rule.name) is not None:
            continue
        if rule.asked(Event.BURST, facts) and rule.proposal is not None:
            return Allowed(rule.label, rule.proposal.lasts_ms)
    return None


def _shared(counts: Sequence[CaseCount], cases: int) -> str:
    """What half of the cases have in common; "" when nothing is."""
    return counts[0].value if counts and counts[0].cases >= HALF * cases else ""
