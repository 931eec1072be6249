"""What else the logs tell: bursts, incidents, dead letters, takeovers, announcements. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mawja.common.v1.common_pb2 import DeadLetter
from mawja.dedup.v1.incidents_pb2 import Incident, IncidentDecision
from mawja.outreach.v1.announcements_pb2 import Announcement
from mawja.outreach.v1.proposals_pb2 import Proposal, ProposalState
from mawja.wave.v1 import events_pb2 as wave
from mawja.wave.v1.events_pb2 import Burst

from services.runtime.own import Record, epoch_of
from services.runtime.topics import BY_NAME

_DIMENSIONS = {
    wave.DIMENSION_ALL: "all",
    wave.DIMENSION_LINE: "line",
    wave.DIMENSION_AGENCY: "agency",
    wave.DIMENSION_TOPIC: "topic",
    wave.DIMENSION_LANGUAGE: "language",
}
_TOGETHER_MS = 60_000


@dataclass(frozen=True, slots=True)
class Surge:
    """A burst: more cases than usual of one `dimension` ("all", "line", …) and `subject`. Times are
    Unix ms; `peak`, `usual`: cases a minute."""

    dimension: str
    subject: str
    start_ms: int
    raised_ms: int
    until_ms: int
    ended: bool
    peak: int
    usual: float
    cases: int


@dataclass(frozen=True, slots=True)
class Event:
    """An incident, as it stood in the end: `people` told of it in `languages` languages."""

    incident_id: str
    agency: str
    topic: str
    place: str
    first_ms: int
    last_ms: int
    people: int
    cases: int
    open: int
    life_safety: int
    languages: int


class Bursts:
    """Each as last stated, of rehearsals if `drill`, else real ones."""

    def __init__(self, drill: bool = False) -> None:
        self._drill = drill
        self._all: dict[tuple[int, str, int], Burst] = {}

    def take(self, burst: Burst) -> None:
        """A record of wave.burst.v1."""
        if burst.drill == self._drill:
            self._all[burst.dimension, burst.subject, burst.start_ms] = burst

    def all(self, since_ms: int, until_ms: int) -> list[Surge]:
        """Those that began in [since_ms, until_ms), or had begun and lasted, in order of time."""
        found = [
            Surge(
                _DIMENSIONS.get(one.dimension, ""),
                one.subject,
                one.start_ms,
                one.raised_ms,
                one.until_ms,
                one.ended,
                int(one.peak),
                one.usual,
                int(one.cases),
            )
            for one in self._all.values()
            if one.until_ms >= since_ms
            if not until_ms or one.start_ms < until_ms
        ]
        return sorted(found, key=lambda one: (one.start_ms, -one.peak, one.subject))


class Incidents:
    """Each as last stated, of rehearsals if `drill`, else real ones."""

    def __init__(self, drill: bool = False) -> None:
        self._drill = drill
        self._all: dict[str, Event | None] = {}

    def take(self, decision: IncidentDecision) -> None:
        """A record of dedup.incident.v1."""
        for one in decision.incidents:
            if one.drill == self._drill:
                self._all[one.incident_id] = None if one.joined_into else _event(one)

    def all(self, since_ms: int, until_ms: int) -> list[Event]:
        """Those of which people told in [since_ms, until_ms), the largest first."""
        found = [
            one
            for one in self._all.values()
            if one is not None
            if one.last_ms >= since_ms
            if not until_ms or one.first_ms < until_ms
        ]
        return sorted(found, key=lambda one: (-one.people, one.first_ms, one.incident_id))


def _event(one: Incident) -> Event:
    return Event(
        one.incident_id,
        one.agency,
        one.topic,
        one.places[0].value if one.places else "",
        one.first_ms,
        one.last_ms,
        one.people,
        one.cases,
        one.open,
        one.life_safety,
        len(one.languages),
    )


class Letter(NamedTuple):
    """`records` that a room set aside for one reason. `again`: of them, given to it again."""

    room: str
    reason: str
    records: int
    again: int
    first_ms: int


class Letters:
    """What the rooms set aside, and what of it was given to them again."""

    def __init__(self) -> None:
        self._dead: dict[tuple[str, int, int], tuple[str, int]] = {}
        self._again: set[tuple[str, int, int]] = set()

    def take(self, letter: DeadLetter, record: Record) -> None:
        """A record of one of the topics of dead letters."""
        deed = letter.WhichOneof("deed")
        if deed == "replay":
            self._again.add((record.topic, record.partition, letter.replay.letter_offset))
        elif deed is None:
            place = (record.topic, record.partition, record.offset)
            self._dead[place] = (letter.reason, letter.dead_ms)

    def all(self, since_ms: int, until_ms: int) -> list[Letter]:
        """Those of [since_ms, until_ms), by room and reason."""
        found: dict[tuple[str, str], Letter] = {}
        for place, (reason, dead_ms) in self._dead.items():
            if dead_ms < since_ms or (until_ms and dead_ms >= until_ms):
                continue
            key = (BY_NAME[place[0]].owner, reason)
            held = found.get(key, Letter(*key, 0, 0, dead_ms))
            found[key] = held._replace(
                records=held.records + 1,
                again=held.again + (place in self._again),
                first_ms=min(held.first_ms, dead_ms),
            )
        return [found[key] for key in sorted(found)]


class Takeover(NamedTuple):
    """Other processes went on with `partitions` logs of a room, from `at_ms`."""

    at_ms: int
    room: str
    partitions: int


class Owners:
    """Who wrote the decision logs: each record says in whose time it was written."""

    def __init__(self) -> None:
        self._epoch: dict[tuple[str, int], int] = {}
        self._changes: list[tuple[int, str]] = []

    def take(self, record: Record) -> None:
        """A record of a decision log that counts. Raises Poison for one without an owner."""
        place, epoch = (record.topic, record.partition), epoch_of(record)
        before = self._epoch.setdefault(place, epoch)
        if epoch > before:
            self._epoch[place] = epoch
            self._changes.append((record.timestamp, BY_NAME[record.topic].owner))

    def all(self, since_ms: int, until_ms: int) -> list[Takeover]:
        """Those of [since_ms, until_ms): of one room and within a minute of each other as one."""
        found: list[Takeover] = []
        ends: dict[str, tuple[int, int]] = {}
        for at_ms, room in sorted(self._changes):
            if at_ms < since_ms or (until_ms and at_ms >= until_ms):
                continue
            place, last_ms = ends.get(room, (-1, 0))
            if place >= 0 and at_ms - last_ms <= _TOGETHER_MS:
                found[place] = found[place]._replace(partitions=found[place].partitions + 1)
            else:
                place = len(found)
                found.append(Takeover(at_ms, room, 1))
            ends[room] = (place, at_ms)
        return found


def overlapping(
    shaded: Sequence[tuple[int, int]], since_ms: int, until_ms: int
) -> list[tuple[float, float]]:
    """Spans of time as shares of [since_ms, until_ms], cut to it."""
    whole = max(1, until_ms - since_ms)
    cut = [(max(a, since_ms), min(b, until_ms)) for a, b in shaded]
    return [((a - since_ms) / whole, (b - since_ms) / whole) for a, b in cut if a < b]


class Played(NamedTuple):
    """What lines played, as it was set or ended: `by` whom, until when (`until_ms`, Unix ms)."""

    at_ms: int
    lines: tuple[str, ...]
    ended: bool
    by: str
    until_ms: int


class Announcements:
    """Those of rehearsals if `drill`, else real ones."""

    def __init__(self, drill: bool = False) -> None:
        self._drill = drill
        self._all: dict[str, list[Played]] = {}

    def take(self, one: Announcement) -> None:
        """A record of outreach.announcement.v1."""
        before = self._all.get(one.announcement_id, [])
        if not before and one.drill == self._drill and one.set_ms:
            lines = tuple(one.lines)
            self._all[one.announcement_id] = [
                Played(one.set_ms, lines, False, one.set_by, one.until_ms)
            ]
        elif len(before) == 1 and one.ended_ms:
            before.append(before[0]._replace(at_ms=one.ended_ms, ended=True, by=one.ended_by))

    def all(self, since_ms: int, until_ms: int) -> list[Played]:
        """What was set or ended in [since_ms, until_ms), in order."""
        return sorted(
            one
            for deeds in self._all.values()
            for one in deeds
            if since_ms <= one.at_ms and (not until_ms or one.at_ms < until_ms)
        )


class Offer(NamedTuple):
    """A proposal, as it stood in the end. `state`: "open", "accepted", "declined" or "expired", at
    `decided_ms`, by `subject`; `burst_ms`: when its first burst began. `people`: who would get it;
    `avoided`: calls that it was expected to spare; `languages_missing`: without a text; `texts`:
    whether it has any."""

    proposed_ms: int
    burst_ms: int
    dimension: str
    about: str
    state: str
    decided_ms: int
    subject: str
    people: int
    avoided: float
    texts: bool
    languages_missing: tuple[str, ...]


class Proposals:
    """Those of rehearsals if `drill`, else real ones, each as last stated."""

    def __init__(self, drill: bool = False) -> None:
        self._drill = drill
        self._all: dict[str, Proposal] = {}

    def take(self, one: Proposal) -> None:
        """A record of outreach.proposal.v1."""
        before = self._all.get(one.proposal_id)
        if one.drill == self._drill and (before is None or one.version > before.version):
            self._all[one.proposal_id] = one

    def all(self, since_ms: int, until_ms: int) -> list[Offer]:
        """What was proposed in [since_ms, until_ms), in order."""
        return sorted(
            _offer(one)
            for one in self._all.values()
            if since_ms <= one.proposed_ms and (not until_ms or one.proposed_ms < until_ms)
        )


def _offer(one: Proposal) -> Offer:
    state = ProposalState.Name(one.state).removeprefix("PROPOSAL_STATE_").lower()
    return Offer(
        proposed_ms=one.proposed_ms,
        burst_ms=min((burst.start_ms for burst in one.bursts), default=0),
        dimension=_DIMENSIONS.get(one.dimension, "all"),
        about=one.subject,
        state=state,
        decided_ms=one.ended.done_ms or one.decided_ms,
        subject=one.ended.subject,
        people=one.estimate.people,
        avoided=one.estimate.calls_avoided,
        texts=bool(one.suggestion.texts),
        languages_missing=tuple(one.suggestion.languages_missing),
    )
