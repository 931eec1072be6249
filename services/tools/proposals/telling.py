"""How proposals are told in a terminal. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from mawja.broadcast.v1.audiences_pb2 import AudienceQuery
from mawja.broadcast.v1.campaigns_pb2 import Campaign, CostRange
from mawja.dedup.v1.incidents_pb2 import CaseCount
from mawja.outreach.v1 import proposals_pb2
from mawja.outreach.v1.proposals_pb2 import Proposal
from mawja.wave.v1.events_pb2 import Dimension
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from services.runtime.kinds import STATES
from services.runtime.proposed import fastest, place, since_ms
from services.tools.campaigns.words import name_of, said, when
from services.tools.proposals.replay import Replayed

_NEW = proposals_pb2.PROPOSAL_STATE_OPEN
_ACCEPTED = proposals_pb2.PROPOSAL_STATE_ACCEPTED
_MOST = 4
_FIELDS = {"incident_id": "incident", "since_ms": "since", "until_ms": "until"}


def about(proposal: Proposal) -> str:
    """What it is about, e.g. "topic school-closure" or "incident in Jahra"."""
    if proposal.dimension == Dimension.DIMENSION_INCIDENT:
        shared = place(proposal)
        return f"incident in {said(shared)}" if shared else f"incident {proposal.subject[:8]}"
    dimension = Dimension.Name(proposal.dimension).removeprefix("DIMENSION_").lower()
    return "all lines" if dimension == "all" else f"{dimension} {proposal.subject or 'not known'}"


def growth(proposal: Proposal) -> str:
    """How fast: cases of the last minute beside what is usual."""
    most = fastest(proposal)
    usual = f"{most.usual:.1f}" if most.known else f"{most.usual:.1f} assumed"
    return f"{most.last_minute} a minute, usual {usual}, peak {most.peak}"


def listed(proposals: Iterable[Proposal]) -> Table:
    """One line each."""
    table = Table(
        "proposal", "since", "about", "people", "now", "state", "", box=None, pad_edge=False
    )
    for one in proposals:
        remarks = ["drill"] if one.drill else []
        remarks += [] if one.suggestion.texts else ["no text"]
        remarks += [f"campaign {one.campaign_id[:8]}"] if one.campaign_id else []
        table.add_row(
            one.proposal_id[:8],
            when(since_ms(one)),
            about(one),
            f"{one.evidence.people:,}",
            growth(one),
            name_of(one, "state"),
            ", ".join(remarks),
        )
    return table


def whole(
    proposal: Proposal, campaign: Campaign | None, costs: Sequence[CostRange] = ()
) -> Iterator[RenderableType]:
    """All that a coordinator needs. `campaign`: the draft made of it, where it can be seen;
    `costs`: what its texts would cost, where broadcast tells."""
    found, suggested = proposal.evidence, proposal.suggestion
    mark = "DRILL: " if proposal.drill else ""
    yield Text(f"{mark}{about(proposal)} ({name_of(proposal, 'state')})", style="bold")
    until = f", to be decided until {when(proposal.until_ms)}" if proposal.until_ms else ""
    yield f"proposal {proposal.proposal_id}, revision {proposal.revision}{until}"
    yield _rows(
        ("since", when(since_ms(proposal))),
        ("how fast", growth(proposal)),
        ("by whom", _people(proposal)),
        ("growth", f"{found.recent:,} cases in 5 minutes, {found.before:,} in the 5 before"),
        ("asked", _counts(found.questions)),
        ("topics", _counts(found.topics)),
        ("where", _counts(found.places)),
        ("lines", _counts(found.lines)),
        ("languages", _counts(found.languages)),
        ("life in danger", f"{found.life_safety} cases" if found.life_safety else ""),
    )
    yield Text("suggested", style="bold")
    yield _rows(
        ("name", said(suggested.name)),
        ("agency", suggested.agency or "the centre itself"),
        ("to", asked(suggested.audience)),
        ("text", suggested.entry or ("written by hand" if suggested.texts else "")),
        ("no text", suggested.text_missing),
        ("not written in", ", ".join(suggested.languages_missing)),
        *((text.language, said(text.template)) for text in suggested.texts),
    )
    yield Text("expected", style="bold")
    yield _rows(("calls avoided", _avoided(proposal)), ("cost", _cost(campaign, costs)))
    for one in proposal.estimate.assumptions:
        yield Text(f"  {one.name} {one.value:g}: {one.source}", style="dim")
    if proposal.HasField("ended"):
        reason = f": {said(proposal.ended.reason)}" if proposal.ended.reason else ""
        done = when(proposal.ended.done_ms)
        yield f"{name_of(proposal, 'state')} by {said(proposal.ended.subject)}, {done}{reason}"
    if proposal.state == _ACCEPTED:
        yield f"next: mawja campaign show {proposal.campaign_id[:8]}"
    elif proposal.state == _NEW:
        yield f"next: mawja proposal accept|edit|decline {proposal.proposal_id[:8]}"


def asked(query: AudienceQuery) -> str:
    """Whom a query means, as it is given to `--callers` or `--subscribers`."""
    of = query.WhichOneof("of")
    if of is None:
        return "nobody yet"
    told = []
    for field, value in getattr(query, of).ListFields():
        name = _FIELDS.get(field.name, field.name)
        if field.name.endswith("_ms"):
            value = when(value)
        elif field.name == "state":
            value = next(word for word, number in STATES.items() if number == value)
        elif field.enum_type is not None:
            value = name_of(getattr(query, of), field.name)
        told.append(f"{name}={str(value).lower() if value is True else value}")
    return f"{of} {' '.join(told)}"


def replayed(found: Replayed) -> Iterator[RenderableType]:
    """What a replay came to."""
    table = Table("begins", "raised after", "usual", "peak", "cases", box=None, pad_edge=False)
    for one in found.proposals:
        first = one.bursts[0]
        table.add_row(
            when(first.start_ms),
            f"{(first.raised_ms - first.start_ms) // 1000} s",
            f"{first.usual:.1f}" if first.known else f"{first.usual:.1f} assumed",
            str(first.peak),
            f"{first.cases:,}",
        )
    if found.proposals:
        yield table
    yield (
        f"{len(found.proposals)} proposals in {found.weeks:.1f} weeks of {found.calls:,} calls: "
        f"{found.per_week:.2f} a week"
    )


def _people(proposal: Proposal) -> str:
    found = proposal.evidence
    return f"{found.people:,} people, {found.cases:,} cases; an SMS reaches {found.writable:,}"


def _avoided(proposal: Proposal) -> str:
    if not proposal.HasField("estimate"):
        return "not known: the audience was edited; look at who is in it"
    return f"about {proposal.estimate.calls_avoided:,.0f} ({proposal.estimate.formula})"


def _range(cost: CostRange) -> str:
    least, most = cost.least_milli / 1000, cost.most_milli / 1000
    return (
        f"{least:,.2f} {cost.currency}"
        if least == most
        else (f"{least:,.2f} to {most:,.2f} {cost.currency}")
    )


def _cost(campaign: Campaign | None, costs: Sequence[CostRange]) -> str:
    if campaign is not None and campaign.rehearsal.cost_milli:
        sums = sorted(campaign.rehearsal.cost_milli.items())
        return ", ".join(f"{milli / 1000:,.2f} {currency}" for currency, milli in sums)
    if campaign is not None and campaign.HasField("rehearsal"):
        return "no carrier has a price"
    if costs:
        return f"about {', '.join(map(_range, costs))}; the rehearsal of the draft says it exactly"
    return "told by the rehearsal of the draft: carriers have the prices"


def _counts(counts: Iterable[CaseCount]) -> str:
    some = list(counts)
    more = f", {len(some) - _MOST} more" if len(some) > _MOST else ""
    return ", ".join(f"{said(one.value)} {one.cases:,}" for one in some[:_MOST]) + more


def _rows(*rows: tuple[str, str]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in rows:
        if value:
            table.add_row(f"  {name}", Text(value))
    return table
