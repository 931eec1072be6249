"""What playbooks have lines play when something happens to many people. Pure.

Replicas that see the same burst ask for the same announcement by the same id, so that however many
there are, and however often it is stated, one is set. What a playbook had a line play plays there
once at a time: a wave of one line, agency and language is three bursts, and their callers hear the
text of a playbook once. One that a person ended stays ended for as long as it would have played.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mawja.dedup.v1.incidents_pb2 import Incident
from mawja.outreach.v1.announcements_pb2 import Announcement, AnnouncementText
from mawja.wave.v1.events_pb2 import Burst, Dimension

from services.outreach.rules import Event, Facts, Rule
from services.runtime import ids
from services.runtime.announcements import Announcements, in_order

LATE_MS = 10 * 60_000
"""What happened so long ago is nothing to tell callers of."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happens to many. `name` tells it from any other; `line`: where, "" when it is
    of no line; `last_ms`: until when it is known to go on, Unix ms."""

    event: Event
    name: str
    facts: Facts
    drill: bool
    last_ms: int

    @property
    def line(self) -> str:
        """The line that it happens on; "" when it is of none."""
        return self.facts.line


def of_burst(burst: Burst) -> Happening | None:
    """What a burst is to playbooks; None for one that is over."""
    if burst.ended:
        return None
    subject = burst.subject
    of = {
        Dimension.DIMENSION_LINE: Facts(line=subject, people=burst.cases),
        Dimension.DIMENSION_AGENCY: Facts(agency=subject, people=burst.cases),
        Dimension.DIMENSION_LANGUAGE: Facts(language=subject, people=burst.cases),
    }
    facts = of.get(burst.dimension, Facts(people=burst.cases))
    name = f"burst|{burst.dimension}|{subject}|{burst.start_ms}"
    return Happening(Event.BURST, name, facts, burst.drill, burst.until_ms)


def of_incident(incident: Incident) -> Happening | None:
    """What an incident is to playbooks; None for one that is part of another, or dealt with."""
    if incident.joined_into or not incident.open:
        return None
    facts = Facts(
        agency=incident.agency,
        life_safety=incident.life_safety > 0,
        people=incident.people,
    )
    name = f"incident|{incident.incident_id}"
    return Happening(Event.INCIDENT, name, facts, incident.drill, incident.last_ms)


def asked(
    rules: Sequence[Rule], happening: Happening, known: Announcements, now_ms: int
) -> Iterator[Announcement]:
    """The announcements that are to be set because of what happens, at `now_ms` (Unix ms)."""
    if happening.last_ms < now_ms - LATE_MS:
        return
    for rule in rules:
        says = rule.announcement
        if says is None or not rule.asked(happening.event, happening.facts):
            continue
        if not says.may_play(happening.drill, now_ms):
            continue
        lines = sorted(says.lines) or ([happening.line] if happening.line else [])
        drill = str(int(happening.drill))
        announcement_id = ids.derive("announcement", rule.label, happening.name, drill)
        if not lines or known.get(announcement_id) is not None:
            continue
        announcement = Announcement(
            announcement_id=announcement_id,
            lines=lines,
            agency=happening.facts.agency,
            texts=in_order(
                AnnouncementText(language=language, text=text)
                for language, text in says.texts.items()
            ),
            from_ms=now_ms,
            until_ms=now_ms + says.lasts_ms,
            urgent=happening.facts.life_safety,
            set_by=f"playbook {rule.label}",
            set_ms=now_ms,
            drill=happening.drill,
        )
        if not _plays(announcement, known, now_ms):
            yield announcement


def _plays(announcement: Announcement, known: Announcements, now_ms: int) -> bool:
    # By when it was to end: what a person ended is not begun again.
    return any(
        one.set_by == announcement.set_by
        and one.lines == announcement.lines
        and one.drill == announcement.drill
        and one.until_ms > now_ms
        for one in known.all(announcement.lines[0], True, now_ms)
    )
