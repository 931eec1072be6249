"""The wave page in parts, in one language, from a picture. Pure but for the templates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mawja.dedup.v1.events_pb2 import LinkLevel
from mawja.dedup.v1.service_pb2 import ShownIncident
from mawja.wave.v1 import contracts_pb2 as contracts
from mawja.wave.v1.events_pb2 import Burst, Dimension

from services.console.catalogue import Catalogue
from services.console.wave import figures, naming
from services.console.wave.naming import Say
from services.console.wave.picture import Health, Picture

PARTS = (
    "now",
    "levels",
    "chart",
    "bursts",
    "incidents",
    "topics",
    "lines",
    "agencies",
    "mix",
    "health",
)
"""In the order of the page; each is a template of wave/parts and an event of the stream."""
_INCIDENTS, _TOPICS, _LINES, _AGENCIES, _LANGUAGES = 6, 8, 12, 40, 8


class Renderer(Protocol):
    """What `rendering.Pages` does for parts."""

    def part(self, lang: str, template: str, **context: Any) -> str:
        """The fragment as HTML."""


@dataclass(frozen=True, slots=True)
class Incident:
    """An event that many people reach out about, or a question that many ask. `growth`: how many
    times as many came in the last 10 minutes as in the 10 before, 0 when none came then."""

    id: str
    title: str
    place: str
    agency: str
    question: bool
    cases: int
    people: int
    open: int
    danger: int
    recent: int
    growth: float


@dataclass(frozen=True, slots=True)
class Happening:
    """A burst. `times`: the last minute against what is usual, None where nothing is usual."""

    kind: str
    name: str
    cases: int
    last_minute: int
    usual: float
    known: bool
    start_ms: int

    @property
    def times(self) -> float | None:
        """How many times the usual came in the last minute."""
        return self.last_minute / self.usual if self.usual else None


@dataclass(frozen=True, slots=True)
class Agency:
    """An agency: what came for it, how it is served, and how full it is by its own word (`length`
    None where it tells nothing, `told_s` ago)."""

    name: str
    row: figures.Row | None
    model: str
    route: str
    why: str
    state: str
    length: int | None
    limit: int
    told_s: int | None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the house. `how` one of Health."""

    name: str
    how: str
    felt: str


def parts(pages: Renderer, picture: Picture, language: str, say: Say) -> Mapping[str, str]:
    """The HTML of every part."""
    held = context(picture, language, say)
    return {name: pages.part(language, f"wave/parts/{name}.html", **held) for name in PARTS}


def context(picture: Picture, language: str, say: Say) -> dict[str, Any]:
    """What the templates of the parts show."""
    names = Catalogue(picture.catalogue, language)
    whole = figures.whole(picture)
    return {
        "at_ms": picture.at_ms,
        "counted_ms": picture.counted_ms,
        "in_danger": picture.in_danger,
        "to_decide": picture.to_decide,
        "drill": picture.scope.drill,
        "own": picture.scope.agency,
        "missing": picture.missing,
        "rate": figures.rate(picture),
        "waiting": figures.waiting(picture),
        "quarter": whole.counts if whole is not None else None,
        "gauges": [(naming.level(gauge.name, say), gauge) for gauge in figures.gauges(whole)],
        "points": figures.chart(picture),
        "bursts": [
            _happening(burst, names, say)
            for burst in sorted(picture.bursts, key=lambda one: (-one.last_minute, -one.cases))
        ],
        "incidents": _incidents(picture, names),
        "topics": [
            (names.topic(topic.subject), topic) for topic in figures.topics(picture, _TOPICS)
        ],
        "lines": figures.rows(picture, Dimension.DIMENSION_LINE)[:_LINES],
        "agencies": _agencies(picture, names, say),
        "languages": [
            (names.language(share.subject, say), share)
            for share in figures.shares(picture, Dimension.DIMENSION_LANGUAGE)[:_LANGUAGES]
        ],
        "channels": [
            (naming.channel(share.subject, say), share)
            for share in figures.shares(picture, Dimension.DIMENSION_CHANNEL)
        ],
        "house": [
            Part(naming.part(room, say), how.value, naming.felt(room, say))
            for room, how in picture.health.items()
        ],
        "well": all(how is Health.SERVING for how in picture.health.values()),
    }


def _happening(burst: Burst, names: Catalogue, _: Say) -> Happening:
    kinds = {
        Dimension.DIMENSION_ALL: (_("Whole centre"), ""),
        Dimension.DIMENSION_LINE: (_("Line"), burst.subject),
        Dimension.DIMENSION_AGENCY: (_("Agency"), names.agency(burst.subject)),
        Dimension.DIMENSION_TOPIC: (_("Topic"), names.topic(burst.subject)),
        Dimension.DIMENSION_LANGUAGE: (_("Language"), names.language(burst.subject, _)),
    }
    kind, name = kinds.get(burst.dimension, ("", burst.subject))
    return Happening(
        kind, name, burst.cases, burst.last_minute, burst.usual, burst.known, burst.start_ms
    )


def _incidents(picture: Picture, names: Catalogue) -> list[Incident]:
    """Those that grow now before those that are large."""
    since = picture.at_ms - 60 * 60_000
    found = [one for one in picture.incidents if one.incident.last_ms >= since]
    found.sort(key=lambda one: (-one.incident.recent, -one.incident.cases))
    return [_incident(one, names) for one in found[:_INCIDENTS]]


def _incident(one: ShownIncident, names: Catalogue) -> Incident:
    incident = one.incident
    return Incident(
        id=incident.incident_id,
        title=names.topic(incident.topic),
        place=names.place(incident.places[0].value) if incident.places else "",
        agency=names.agency(incident.agency),
        question=incident.level == LinkLevel.LINK_LEVEL_SAME_QUESTION,
        cases=incident.cases,
        people=incident.people,
        open=incident.open,
        danger=incident.life_safety,
        recent=incident.recent,
        growth=one.growth,
    )


def _agencies(picture: Picture, names: Catalogue, say: Say) -> list[Agency]:
    counted = {row.subject: row for row in figures.rows(picture, Dimension.DIMENSION_AGENCY)}
    standings = {one.agency: one for one in picture.standings}
    codes = [*counted, *(code for code in standings if code not in counted)]
    models, routes = naming.models(say), naming.routes(say)
    states, reasons = naming.states(say), naming.reasons(say)
    found = []
    for code in codes[:_AGENCIES]:
        standing = standings.get(code, contracts.Standing(agency_told_ms_ago=-1))
        queue = figures.of_agency(picture.queues, code)
        told = standing.agency_told_ms_ago
        found.append(
            Agency(
                name=names.agency(code),
                row=counted.get(code),
                model=models.get(standing.model, ""),
                route=routes.get(standing.route, ""),
                why=reasons.get(standing.reason, ""),
                state=states.get(queue.state, "") if queue is not None else "",
                length=queue.queue_length if queue is not None else None,
                limit=queue.queue_max_length if queue is not None else 0,
                told_s=told // 1000 if told >= 0 else None,
            )
        )
    return found
