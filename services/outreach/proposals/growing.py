"""Incidents that grow, as bursts: of which event more people than usual reach out. Pure.

Dedup states an incident again with each of its cases. It grows when what is no burst by chance is
true of it: of a minute, while it is no older than that, else of ten minutes held against the ten
before (`runtime/unusual.py`, with the limits that bursts have). So what comes too slowly for any
line or topic to show a burst is seen too. A question that many ask every day, wherever they are, is
no event: whether it is asked more than usual is known of its topic only, by earlier days.

What became part of an incident that was proposed goes on under the name that the proposal has.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import sqrt

from mawja.dedup.v1 import events_pb2, incidents_pb2
from mawja.dedup.v1.incidents_pb2 import Incident, IncidentDecision
from mawja.wave.v1.events_pb2 import Burst

from services.outreach.proposals.evidence import HALF, INCIDENT
from services.runtime.unusual import unusual, weighed

KEPT_MS = 30 * 60_000
"""An incident of which nothing came for so long is forgotten."""
_MINUTE_MS, _SPAN_MINUTES = 60_000, 10
_SPAN_MS = _SPAN_MINUTES * _MINUTE_MS
_SLOT_MS = 10_000
_LEAVES = (incidents_pb2.INCIDENT_CHANGE_PARTED, incidents_pb2.INCIDENT_CHANGE_UNLINKED)


def burst_of(incident: Incident) -> Burst | None:
    """The burst that an incident is as it stands; None when it is none."""
    # Who calls again is no burst.
    recent = min(incident.recent, incident.people)
    young = incident.last_ms - incident.first_ms < _MINUTE_MS
    minutes = 1 if young else _SPAN_MINUTES
    usual = weighed(0, 0)
    if not young:
        # So few minutes tell little: by chance as many as this were usual (two deviations).
        before = incident.before + 2 * sqrt(incident.before)
        usual = max(before / _SPAN_MINUTES, weighed(0, _SPAN_MINUTES))
    if not incident.open or not unusual(recent, usual * minutes) or not _somewhere(incident):
        return None
    start_ms = max(incident.first_ms, incident.last_ms - _SPAN_MS)
    made = Burst(
        dimension=INCIDENT,
        subject=incident.incident_id,
        start_ms=start_ms - start_ms % _SLOT_MS,
        raised_ms=incident.last_ms,
        usual=usual,
        known=not young,
        drill=incident.drill,
    )
    return _follow(made, incident)


def _follow(before: Burst, incident: Incident) -> Burst:
    after = Burst()
    after.CopyFrom(before)
    young = incident.last_ms - incident.first_ms < _MINUTE_MS
    after.last_minute = incident.recent if young else incident.recent // _SPAN_MINUTES
    after.peak = max(after.peak, after.last_minute)
    after.cases = max(after.cases, incident.recent)
    after.until_ms = max(after.until_ms, incident.last_ms)
    return after


def _somewhere(incident: Incident) -> bool:
    """Whether it is an event, or a question about one place."""
    if incident.level != events_pb2.LINK_LEVEL_SAME_QUESTION:
        return True
    return bool(incident.places) and incident.places[0].cases >= HALF * incident.cases


@dataclass(slots=True)
class Growing:
    """The incidents of late, of all partitions, each in the order of its log."""

    _stated: dict[str, Incident] = field(default_factory=dict)
    _cases: dict[str, set[str]] = field(default_factory=dict)
    _in: dict[str, str] = field(default_factory=dict)
    _gone: dict[str, str] = field(default_factory=dict)
    _raised: dict[str, Burst] = field(default_factory=dict)

    def take(self, decision: IncidentDecision) -> None:
        """Takes up a decision."""
        name = decision.incident_id
        if decision.change == incidents_pb2.INCIDENT_CHANGE_JOINED:
            self._gone.pop(name, None)
            for other in decision.joined:
                if other != name:
                    for case in list(self._cases.get(other, ())):
                        self._move(case, name)
                    self._gone[other] = name
            for case in (*decision.alone, decision.case_id):
                self._move(case, name)
        elif decision.change in _LEAVES and (
            decision.change == incidents_pb2.INCIDENT_CHANGE_PARTED or decision.unlinked.incident
        ):
            self._move(decision.case_id, "")
            for part in decision.parts:
                for case in part.case_ids:
                    self._move(case, part.incident_id)
        for incident in decision.incidents:
            if incident.cases:
                self._take(incident)
            else:
                self._stated.pop(incident.incident_id, None)
                self._raised.pop(incident.incident_id, None)

    def _take(self, incident: Incident) -> None:
        name = incident.incident_id
        kept = Incident()
        kept.CopyFrom(incident)
        # Nobody's words are kept here.
        del kept.samples[:]
        self._stated[name] = kept
        if (raised := self._raised.get(name)) is not None:
            self._raised[name] = _follow(raised, kept)
        elif (burst := burst_of(kept)) is not None:
            self._raised[name] = burst

    def bursts(self, proposed: Mapping[str, Burst], now_ms: int) -> Iterator[Burst]:
        """What is to be heard at `now_ms` (Unix ms). `proposed`: the bursts of incidents whose
        proposals are not over, as they were heard last, by incident. Of those what is new; and each
        that nothing is proposed of yet."""
        self._forget(now_ms, proposed)
        under = self._names(proposed)
        for name, before in proposed.items():
            now = self._now(name)
            incident = self._stated.get(now)
            if under[now] != name:
                # Two that were proposed turned out to be one event: the first one stays.
                if not before.ended:
                    after = Burst()
                    after.CopyFrom(before)
                    after.ended = True
                    yield after
            elif incident is not None and incident.last_ms > before.until_ms:
                yield _follow(before, incident)
        for name, burst in self._raised.items():
            if name not in under:
                yield burst

    def incident_of(self, proposed: Mapping[str, Burst]) -> dict[str, str]:
        """In which incident each case is, under the name that is proposed where one is."""
        under = self._names(proposed)
        return {case: under.get(name, name) for case, name in self._in.items()}

    def _names(self, proposed: Mapping[str, Burst]) -> dict[str, str]:
        """Under which name what stands was proposed: the first one."""
        found: dict[str, str] = {}
        for name, _ in sorted(proposed.items(), key=lambda one: (one[1].start_ms, one[0])):
            found.setdefault(self._now(name), name)
        return found

    def _now(self, name: str) -> str:
        seen = {name}
        while (into := self._gone.get(name, "")) and into not in seen:
            name = into
            seen.add(name)
        return name

    def _forget(self, now_ms: int, proposed: Mapping[str, Burst]) -> None:
        going = {self._now(name) for name in proposed}
        old = [
            name
            for name, one in self._stated.items()
            if one.last_ms <= now_ms - KEPT_MS and name not in going
        ]
        for name in old:
            del self._stated[name]
            self._raised.pop(name, None)
            for case in self._cases.pop(name, ()):
                del self._in[case]
        for name in [one for one in self._cases if one not in self._stated and one not in going]:
            for case in self._cases.pop(name):
                del self._in[case]
        for name, burst in list(self._raised.items()):
            # It grew once: to be seen again it has to grow anew.
            if burst.until_ms <= now_ms - _SPAN_MS:
                del self._raised[name]
        left = {name for name in self._gone if self._now(name) not in self._stated}
        for name in left - set(proposed):
            del self._gone[name]

    def _move(self, case: str, to: str) -> None:
        at = self._in.pop(case, "")
        if at:
            self._cases[at].discard(case)
            if not self._cases[at]:
                del self._cases[at]
        if to:
            self._in[case] = to
            self._cases.setdefault(to, set()).add(case)
