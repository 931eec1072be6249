"""Which case a contact joins, or that it is the first of another, and why. Pure.

`match` scores a contact against a case; here is what it is held against, and what becomes of that.
"""

from collections.abc import Sequence
from math import exp

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.dedup import case as cases
from services.dedup import match, words
from services.dedup.case import Case
from services.dedup.known import Known
from services.dedup.match import Rules, Side
from services.dedup.need import Seen, seen_of, signs_of
from services.dedup.reading import Reading
from services.dedup.signs import CaseSigns
from services.dedup.signs import unpack_case as signs_unpacked
from services.dedup.trees import Trees


class Linking:
    """Decides on the place of contacts. `shared`: hashes of numbers that are known to be shared.
    Without `trees` texts are compared by their words alone."""

    def __init__(
        self, rules: Rules, known: Known, shared: frozenset[bytes], trees: Trees | None
    ) -> None:
        self._rules = rules
        self._trees = trees
        self._known = known
        self._shared = shared

    def place(
        self, contact: intake_pb2.ContactAccepted, reading: Reading, language: str
    ) -> tuple[int, events_pb2.Link]:
        """The case that the contact joins, or the number of the next one, and why."""
        found, why = None, "no number: a case of its own"
        candidates = self._known.candidates(contact.person)
        if contact.person:
            why = "first contact of this number"
        if candidates:
            sides = [self._side(number) for number in candidates]
            side = Side(
                agency=contact.agency,
                topic=contact.topic,
                line=contact.line,
                language=language,
                feedback=_feedback(contact.kind),
                organisation=contact.party == common_pb2.PARTY_ORGANISATION,
                life_safety=contact.life_safety,
                drill=contact.drill,
                recorded=contact.recorded,
                open=True,
                first_ms=contact.event_ms,
                last_ms=contact.event_ms,
                shape=frozenset(reading.shape),
            )
            standing = [
                case
                for number, case in zip(candidates, sides, strict=True)
                if self._known.stays(number) == number
            ]
            shared = contact.person in self._shared or self._looks_shared(
                standing, contact.event_ms
            )
            likely = self._likely(side, reading, candidates, sides)
            found, refusal = match.best(side, sides, self._rules, shared, likely)
            why = f"a need of its own: {refusal}"
        link = events_pb2.Link(
            contact_id=contact.contact_id,
            level=events_pb2.LINK_LEVEL_SAME_NEED if found else events_pb2.LINK_LEVEL_FIRST,
            score=found.score if found else 1.0,
            reason=found.reason if found else why,
            event_ms=contact.event_ms,
            channel=contact.channel,
        )
        joined = self._known.stays(candidates[found.index]) if found else len(self._known)
        return joined, link

    def _likely(
        self, side: Side, reading: Reading, candidates: Sequence[int], sides: Sequence[Side]
    ) -> list[float | None]:
        """How likely the text is about each case; None where one of them has no text."""
        found: list[float | None] = [None] * len(sides)
        if self._trees is None or not reading.signs.services:
            return found
        latest = max(case.last_ms for case in sides)
        told: list[int] = []
        held: list[tuple[CaseSigns, Seen]] = []
        for place, (number, case) in enumerate(zip(candidates, sides, strict=True)):
            signs = signs_unpacked(self._known.signs[number])
            if not signs.texts:
                continue
            seen = seen_of(
                reading.rarity,
                side.shape,
                case.shape,
                gap_ms=side.first_ms - case.last_ms,
                since_first_ms=side.first_ms - case.first_ms,
                latest=case.last_ms == latest,
                cases=len(sides),
            )
            told.append(place)
            held.append((signs, seen))
        if held:
            log_odds = self._trees.log_odds(signs_of(reading.signs, held))
            for place, logit in zip(told, log_odds, strict=True):
                found[place] = 1 / (1 + exp(-logit))
        return found

    def _looks_shared(self, sides: Sequence[Side], event_ms: int) -> bool:
        rules = self._rules
        near = sum(abs(event_ms - side.first_ms) <= rules.shared_window for side in sides)
        return near >= rules.shared_cases

    def _side(self, number: int) -> Side:
        case = Case.FromString(self._known.serialised(number))
        stays = self._known.stays(number)
        # What a person merged is still looked for, and is as open and as old as where it went.
        now = case if stays == number else Case.FromString(self._known.serialised(stays))
        return Side(
            agency=case.agency,
            topic=case.topic,
            line=case.line,
            language=case.language,
            feedback=_feedback(case.kind),
            organisation=case.party == common_pb2.PARTY_ORGANISATION,
            life_safety=case.life_safety,
            drill=case.drill,
            recorded=case.recorded,
            open=now.state != cases.RESOLVED,
            first_ms=case.first_arrival_ms,
            last_ms=now.last_contact_ms,
            shape=frozenset(words.unpack(self._known.shapes[number])),
        )


def _feedback(kind: common_pb2.ContactKind.ValueType) -> bool | None:
    return kind == common_pb2.CONTACT_KIND_FEEDBACK if kind else None
