"""A partition's incidents with their log, and what people say to them."""

from typing import Any

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import incidents_pb2, needs_pb2

from services.dedup import languages, levels
from services.dedup.incidents import data as incident_data
from services.dedup.incidents.evidence import Evidence
from services.dedup.incidents.heard import Ear
from services.dedup.incidents.state import Decision, Incidents
from services.dedup.language import meanings, stop_stems
from services.dedup.words import Shaper, tokens
from services.runtime import ids
from tests.quality.scenes import plain_hash

NOW = 1_800_000_000_000
MINUTE = 60_000
LEVELS = levels.read()
GAZETTEER = incident_data.places()
_SPOKEN = languages.read()


SHAPER = Shaper(plain_hash, stop_stems(_SPOKEN), meanings(_SPOKEN))
EAR = Ear(plain_hash, stop_stems(_SPOKEN), GAZETTEER)
USUAL = incident_data.ordinary(plain_hash)


def case_of(name: str) -> str:
    return ids.derive("case", name)


class Desk:
    """Decides, and keeps what was decided."""

    def __init__(self, thresholds: Any = LEVELS) -> None:
        self.thresholds = thresholds
        self.state = self._fresh()
        self.log: list[Decision] = []
        self.versions: dict[str, int] = {}

    def _fresh(self) -> Incidents:
        return Incidents(Evidence(USUAL.fresh(), GAZETTEER), self.thresholds)

    def _took(self, decision: Decision) -> Decision:
        self.log.append(Decision.FromString(decision.SerializeToString()))
        self.state.through = len(self.log) - 1
        return decision

    def need(self, name: str, text: str, minute: float = 0, **given: Any) -> needs_pb2.NeedStated:
        heard = EAR.hear(tokens(text))
        self.versions[name] = self.versions.get(name, 0) + 1
        fields: dict[str, Any] = {
            "case_id": case_of(name),
            "case_version": self.versions[name],
            "person": plain_hash(name).to_bytes(16, "big"),
            "language": "ar",
            "event_ms": NOW + int(minute * MINUTE),
            "shape": SHAPER.shape(text),
            "sounds": heard.sounds,
            "places": heard.places,
            "sealed_text": text.encode(),
            **given,
        }
        return needs_pb2.NeedStated(**fields)

    def tell(self, need: needs_pb2.NeedStated) -> Decision:
        at = common_pb2.Input(topic="need", offset=len(self.log))
        return self._took(self.state.stated(need, at, NOW))

    def say(self, name: str, text: str, minute: float = 0, **given: Any) -> Decision:
        return self.tell(self.need(name, text, minute, **given))

    def unlink(self, name: str, other: str, incident: bool = True, key: str = "1") -> Decision:
        command = incidents_pb2.IncidentCommand(
            envelope=common_pb2.CommandEnvelope(
                command_id=ids.command_id("agent", "Unlink", f"{name}/{other}/{key}"),
                subject="agent",
                asked_ms=NOW,
            ),
            case_id=case_of(name),
            unlink=incidents_pb2.Unlink(other_id=other, incident=incident, sealed_reason=b"why"),
        )
        at = common_pb2.Input(topic="command", offset=len(self.log))
        return self._took(self.state.command(command, at, NOW))

    def together(self) -> set[frozenset[str]]:
        names = {case_of(name): name for name in self.versions}
        return {frozenset(names[case] for case in group.needs) for group in self.state.everything()}

    def folded(self) -> Incidents:
        state = self._fresh()
        for offset, decision in enumerate(self.log):
            state.fold(decision, offset)
        return state


def snapshot(state: Incidents) -> dict[str, Any]:
    return {
        "needs": state.needs,
        "groups": {name: sorted(group.needs) for name, group in state.groups.items()},
        "stated": {name: state.statement(name) for name in state.groups},
        "links": state.links,
        "linked by": {case: list(by) for case, by in state.linked_by.items()},
        "gone": state.gone,
        "parted": state.partings.of_case,
        "told": state.partings.told,
        "decided": state.decided,
        "through": state.through,
    }
