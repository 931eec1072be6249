"""What follows from a proposal for who shows it: since when, how fast, where, how many. Pure."""

from mawja.broadcast.v1.campaigns_pb2 import EstimateCostRequest
from mawja.outreach.v1.proposals_pb2 import Proposal
from mawja.wave.v1.events_pb2 import Burst


def fastest(proposal: Proposal) -> Burst:
    """The burst of which most come now."""
    return max(proposal.bursts, key=lambda burst: burst.last_minute, default=Burst())


def since_ms(proposal: Proposal) -> int:
    """When it began: Unix ms."""
    return min((burst.start_ms for burst in proposal.bursts), default=proposal.proposed_ms)


def place(proposal: Proposal) -> str:
    """The place that half of the cases name; empty when they do not share one."""
    found = proposal.evidence
    shared = found.places and 2 * found.places[0].cases >= found.cases
    return found.places[0].value if shared else ""


def people_by_language(proposal: Proposal) -> dict[str, int]:
    """Those who would get it, divided as the cases are; "" for languages that are not known."""
    found, people = proposal.evidence, proposal.estimate.people
    by_language = {
        one.value: round(people * one.cases / found.cases) for one in found.languages if found.cases
    }
    rest = people - sum(by_language.values())
    return by_language | ({"": rest} if rest > 0 else {})


def cost_asked(proposal: Proposal) -> EstimateCostRequest | None:
    """What broadcast is asked of the cost of its texts; None where there is nothing to ask: it has
    no texts, it is not known for how many, or its draft tells."""
    suggested = proposal.suggestion
    if proposal.campaign_id or not suggested.texts or not proposal.estimate.people:
        return None
    return EstimateCostRequest(
        texts=suggested.texts,
        language=suggested.language,
        drill=proposal.drill,
        people=people_by_language(proposal),
    )
