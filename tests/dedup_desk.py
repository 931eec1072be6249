"""A partition's cases with their log, and what a test says to them."""

from collections.abc import Mapping, Sequence
from typing import Any

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.dedup import data
from services.dedup.cases import Cases, Decision
from services.dedup.reading import Reading
from services.runtime import ids

RULES = data.rules()
NOW = 1_800_000_000_000
S, MIN, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
ALI, MONA = b"a" * 16, b"m" * 16
OFFERED, QUEUED, ANSWERED, ABANDONED, ENDED = (
    intake_pb2.CALL_STATE_OFFERED,
    intake_pb2.CALL_STATE_QUEUED,
    intake_pb2.CALL_STATE_ANSWERED,
    intake_pb2.CALL_STATE_ABANDONED,
    intake_pb2.CALL_STATE_ENDED,
)
RESOLVED = intake_pb2.DISPOSITION_RESOLVED


class Desk:
    """A partition's cases with a log, as the worker keeps them."""

    def __init__(self, shared: frozenset[bytes] = frozenset()) -> None:
        self.cases = Cases(RULES, shared)
        self.log: list[Decision] = []
        self.offsets: dict[str, int] = {}

    def _at(self, topic: str) -> common_pb2.Input:
        self.offsets[topic] = self.offsets.get(topic, -1) + 1
        return common_pb2.Input(topic=topic, offset=self.offsets[topic])

    def _took(self, decision: Decision) -> Decision:
        self.log.append(Decision.FromString(decision.SerializeToString()))
        self.cases.through = len(self.log) - 1
        return decision

    def _contact(
        self, name: str, at_ms: int, given: Mapping[str, Any]
    ) -> intake_pb2.ContactAccepted:
        fields: dict[str, Any] = {
            "contact_id": ids.contact_id("test", name),
            "channel": common_pb2.CHANNEL_VOICE,
            "agency": "health",
            "line": "109",
            "event_ms": NOW + at_ms,
            "accepted_ms": NOW + at_ms + 5,
            "sealed_number": b"sealed",
            **given,
        }
        return intake_pb2.ContactAccepted(**fields)

    def contact(
        self,
        name: str,
        at_ms: int = 0,
        person: bytes = ALI,
        shape: Sequence[int] = (),
        language: str = "",
        triage: events_pb2.Triage | None = None,
        **given: Any,
    ) -> Decision:
        contact = self._contact(name, at_ms, {"person": person, **given})
        reading = Reading(language=language, shape=shape, triage=triage)
        return self._took(self.cases.contact(contact, reading, self._at("contact"), NOW))

    def call(
        self,
        name: str,
        state: intake_pb2.CallState.ValueType,
        at_ms: int = 0,
        disposition: intake_pb2.Disposition.ValueType = intake_pb2.DISPOSITION_UNSPECIFIED,
        **given: Any,
    ) -> Decision:
        call = intake_pb2.CallEvent(
            contact_id=ids.contact_id("test", name),
            state=state,
            event_ms=NOW + at_ms,
            disposition=disposition,
            **given,
        )
        return self._took(self.cases.call(call, self._at("call"), NOW))

    def answered(self, name: str, at_ms: int, until_ms: int, resolved: bool = True) -> None:
        self.call(name, ANSWERED, at_ms)
        ended = RESOLVED if resolved else intake_pb2.DISPOSITION_UNRESOLVED
        self.call(name, ENDED, until_ms, ended)

    def command(self, name: str, case_id: str, at_ms: int = 0, **action: Any) -> Decision:
        command = events_pb2.CaseCommand(
            envelope=common_pb2.CommandEnvelope(
                command_id=ids.command_id("agent", "x", name), subject="agent", asked_ms=NOW + at_ms
            ),
            case_id=case_id,
            **action,
        )
        return self._took(self.cases.command(command, self._at("command"), NOW))

    def total(self, field: str) -> int:
        return sum(getattr(row, field) for t in self.cases.tallies.every(0, 0) for row in t.rows)

    def folded(self) -> Cases:
        cases = Cases(RULES)
        for offset, decision in enumerate(self.log):
            cases.fold(decision, offset)
        return cases


def snapshot(cases: Cases) -> dict[str, Any]:
    columns = cases.contacts
    return {
        "cases": [cases.case(n).SerializeToString(deterministic=True) for n in range(len(cases))],
        "links": [cases.link(n).SerializeToString() for n in range(len(columns.id))],
        "steps": columns.steps.tolist(),
        "ended": columns.ended_ms.tolist(),
        "outcome": columns.outcome_ms.tolist(),
        "chains": [list(columns.of_case(n)) for n in range(len(cases))],
        "been": columns.been,
        "went": cases.known.went,
        "apart": list(cases.apart.pairs()),
        "notes": cases.notes,
        "waiting": cases.calls.waiting,
        "told": cases.memory.told,
        "shapes": cases.known.shapes,
        "first": (
            cases.calls.first_call.tolist(),
            cases.calls.first_resolved,
        ),
        "reopened": cases.calls.reopened_ms,
        "people": cases.known.of_person,
        "decided": cases.decided,
        "through": cases.through,
        "tallies": [t.SerializeToString() for t in cases.tallies.every(0, 0)],
    }


def merge(
    desk: Desk, name: str, source: events_pb2.Case, into: events_pb2.Case, at_ms: int = 0
) -> Decision:
    """What becomes of a command that merges `source` into another case."""
    asked = events_pb2.Merge(
        source=events_pb2.CaseRef(case_id=source.case_id, partition=0),
        sealed_reason=b"why",
        seen=source,
    )
    return desk.command(name, into.case_id, at_ms, merge=asked)


def split(desk: Desk, name: str, case: events_pb2.Case, *contacts: str) -> Decision:
    """What becomes of a command that splits contacts off, by their names."""
    contact_ids = [ids.contact_id("test", contact) for contact in contacts]
    asked = events_pb2.Split(contact_ids=contact_ids, sealed_reason=b"why")
    return desk.command(name, case.case_id, split=asked)


def two(desk: Desk, at_ms: int = MIN) -> tuple[events_pb2.Case, events_pb2.Case]:
    """A case, and another one of the same person that began `at_ms` later."""
    return desk.contact("a").case, desk.contact("b", at_ms, agency="interior").case


def contact_id(name: str) -> str:
    return ids.contact_id("test", name)


def of(desk: Desk, case_id: str) -> list[str]:
    """Ids of the contacts of a case, the last decided first."""
    number = desk.cases.number_of(case_id)
    assert number is not None
    chain = desk.cases.contacts.of_case(number)
    return [desk.cases.link(contact).contact_id for contact in chain]
