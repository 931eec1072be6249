"""Which cases are in an incident, as dedup's decisions tell it. Pure, of one partition.

A decision says its outcome, so that following needs none of dedup's rules. Cases that dedup has
forgotten since (nothing was heard of them for days) stay: they reached out about it.
"""

from dataclasses import dataclass

from mawja.dedup.v1 import incidents_pb2
from mawja.dedup.v1.incidents_pb2 import IncidentDecision

_MOST_NAMES = 64
"""How often an incident is looked for under the name of what it became part of."""
_LEAVES = (incidents_pb2.INCIDENT_CHANGE_PARTED, incidents_pb2.INCIDENT_CHANGE_UNLINKED)


@dataclass(frozen=True, slots=True)
class Members:
    """The cases of an incident, as UUID bytes; when the first came (Unix ms, event time); whether
    the log holds fewer than dedup says there are."""

    cases: frozenset[bytes]
    first_ms: int
    lacking: bool


class Membership:
    """The incidents of one partition."""

    def __init__(self) -> None:
        self._in: dict[bytes, str] = {}
        self._cases: dict[str, set[bytes]] = {}
        self._gone: dict[str, str] = {}
        self._stated: dict[str, tuple[int, int]] = {}

    def take(self, decision: IncidentDecision) -> None:
        """Takes up a decision, in the order of the log."""
        if decision.change == incidents_pb2.INCIDENT_CHANGE_JOINED:
            name = decision.incident_id
            self._gone.pop(name, None)
            for case in (*decision.alone, decision.case_id):
                self._move(_key(case), name)
            for other in decision.joined:
                if other != name:
                    for one in list(self._cases.get(other, ())):
                        self._move(one, name)
                    self._gone[other] = name
        elif decision.change in _LEAVES and (
            decision.change == incidents_pb2.INCIDENT_CHANGE_PARTED or decision.unlinked.incident
        ):
            self._move(_key(decision.case_id), "")
            for part in decision.parts:
                for case in part.case_ids:
                    self._move(_key(case), part.incident_id)
        for stated in decision.incidents:
            if stated.cases:
                self._stated[stated.incident_id] = stated.cases, stated.first_ms
            else:
                self._stated.pop(stated.incident_id, None)

    def members(self, incident_id: str) -> Members | None:
        """The cases of an incident, also by the name of one that became part of it; None when
        there is none here."""
        name = incident_id
        for _ in range(_MOST_NAMES):
            if name in self._cases or not self._gone.get(name):
                break
            name = self._gone[name]
        cases = self._cases.get(name)
        if not cases:
            return None
        stated, first_ms = self._stated.get(name, (0, 0))
        return Members(frozenset(cases), first_ms, lacking=len(cases) < stated or not stated)

    def _move(self, case: bytes, to: str) -> None:
        at = self._in.pop(case, "")
        if at:
            self._cases[at].discard(case)
            if not self._cases[at]:
                del self._cases[at]
        if to:
            self._in[case] = to
            self._cases.setdefault(to, set()).add(case)


def _key(uuid: str) -> bytes:
    return bytes.fromhex(uuid.replace("-", ""))
