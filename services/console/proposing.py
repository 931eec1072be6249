"""What a proposal says, for who decides on it. Pure."""

from collections.abc import Iterable, Mapping

from mawja.broadcast.v1.audiences_pb2 import AudienceQuery
from mawja.broadcast.v1.campaigns_pb2 import CostRange
from mawja.outreach.v1 import proposals_pb2
from mawja.outreach.v1.proposals_pb2 import Proposal, ProposalEdit
from mawja.wave.v1.events_pb2 import Dimension

from services.console.words import N_

_OPEN = proposals_pb2.PROPOSAL_STATE_OPEN
ABOUT: Mapping[int, str] = {
    Dimension.DIMENSION_LINE: N_("Line %(what)s"),
    Dimension.DIMENSION_AGENCY: N_("Agency %(what)s"),
    Dimension.DIMENSION_TOPIC: N_("Service %(what)s"),
    Dimension.DIMENSION_LANGUAGE: N_("Language %(what)s"),
    Dimension.DIMENSION_INCIDENT: N_("Incident %(what)s"),
}
QUERY: Mapping[str, str] = {
    "agency": N_("agency"),
    "topic": N_("service"),
    "incident_id": N_("incident"),
    "line": N_("line"),
    "place": N_("place"),
    "language": N_("language"),
    "life_safety": N_("a life in danger"),
    "since_ms": N_("since"),
    "until_ms": N_("until"),
    "state": N_("how the need stands"),
    "kind": N_("kind"),
}
NARROWER = ("place", "language", "line", "topic")
"""What of a query a coordinator narrows or widens here."""


def in_order(proposals: Iterable[Proposal]) -> list[Proposal]:
    """Those to be decided first, as they come otherwise."""
    return sorted(proposals, key=lambda one: one.state != _OPEN)


def query(asked: AudienceQuery) -> list[tuple[str, str]]:
    """(field, value) of whom a query means, without times."""
    of = asked.WhichOneof("of")
    if of is None:
        return []
    told = getattr(asked, of)
    found = []
    for field, value in told.ListFields():
        if field.name.endswith("_ms"):
            continue
        if field.enum_type is not None:
            name = field.enum_type.values_by_number[value].name
            value = name.rpartition("_")[2].lower()
        found.append((field.name, "" if value is True else str(value)))
    return found


def query_since_ms(asked: AudienceQuery) -> int:
    """From when on people are meant: Unix ms; 0: always."""
    return asked.callers.since_ms if asked.WhichOneof("of") == "callers" else 0


def money(cost: CostRange) -> tuple[float, float]:
    """The least and the most that it may cost, in whole units of its currency."""
    return cost.least_milli / 1000, cost.most_milli / 1000


def edited(known: Proposal, said: Mapping[str, str]) -> ProposalEdit:
    """What a form changes in a suggestion: all of its texts (fields `text-ar`, …, one may be new)
    and its audience, narrowed or widened."""
    edit = ProposalEdit(name=said.get("name", ""))
    for name, value in sorted(said.items()):
        language = name.removeprefix("text-")
        if language != name and value:
            edit.texts.add(language=language, template=value.replace("\r\n", "\n"))
    audience = known.suggestion.audience
    if audience.WhichOneof("of") == "callers":
        edit.audience.CopyFrom(audience)
        for field in NARROWER:
            if field in said:
                setattr(edit.audience.callers, field, said[field])
        if edit.audience == audience:
            edit.ClearField("audience")
    return edit
