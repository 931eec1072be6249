"""A made-up log of a surge, for the tests of its booklet: small, and the same every time.

Twelve people call one line within six minutes. Three are answered; nine hang up, of whom seven are
told within a minute that they are called back, one is told too late and one has no mobile number.
One of those that were told dials again, as does the one without a message. A thirteenth writes and
is answered by the system. A campaign (`report_log.eventful`) goes on beside it. All is a rehearsal.
"""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from mawja.broadcast.v1.events_pb2 import MessageChange, StatusRecord
from mawja.common.v1 import common_pb2
from mawja.common.v1.common_pb2 import DeadLetter
from mawja.dedup.v1.incidents_pb2 import CaseCount, Incident, IncidentDecision
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.outreach.v1.announcements_pb2 import Announcement
from mawja.outreach.v1.events_pb2 import Callback, MessageRequested
from mawja.outreach.v1.proposals_pb2 import (
    Estimate,
    Proposal,
    ProposalDeed,
    ProposalState,
    Suggestion,
)
from mawja.wave.v1 import events_pb2 as wave
from mawja.wave.v1.contracts_pb2 import CallDecision, Route
from mawja.wave.v1.events_pb2 import Burst

from services.broadcast import messages as m
from services.runtime import ids
from services.runtime.own import EPOCH, Record
from services.runtime.topics import (
    ANNOUNCEMENT,
    AUDIENCE,
    BURST,
    BY_NAME,
    CALL_DECISION,
    CALLBACK,
    CASE,
    DEDUP_DEAD,
    INCIDENT,
    MESSAGE_REQUESTED,
    MESSAGE_STATUS,
    PROPOSAL,
)
from services.tools.afteraction.facts import Facts
from services.tools.afteraction.folding import Fold
from services.tools.reports.facts import Made
from tests.dedup_desk import ABANDONED, ANSWERED, ENDED, NOW, OFFERED, RESOLVED, Desk, S
from tests.report_log import T0, Written, eventful

OPEN, ACCEPTED = ProposalState.PROPOSAL_STATE_OPEN, ProposalState.PROPOSAL_STATE_ACCEPTED
ANSWERED_CALLS, HUNG_UP, PEOPLE = 3, 9, 12
TOLD = 7
ASKER = PEOPLE


def person(number: int) -> bytes:
    """The keyed hash of somebody's number."""
    return bytes([number + 1]) * 16


@dataclass(slots=True)
class Surge:
    """Its records, in the order of each partition. `lag_ms`: how much later the system took what
    people did."""

    drill: bool = True
    lag_ms: int = 0
    records: list[Written] = field(default_factory=list)
    desk: Desk = field(default_factory=Desk)

    def at(self, after_s: float) -> int:
        """So many seconds after it began, for Desk."""
        return int(T0 - NOW + after_s * S)

    def contact(self, name: str, who: int, after_s: float, **given: Any) -> None:
        """Somebody reaches out."""
        at_ms = self.at(after_s)
        given = {
            "language": "en" if who % 2 else "ar",
            "accepted_ms": NOW + at_ms + self.lag_ms,
            **given,
        }
        self.desk.contact(name, at_ms, person(who), drill=self.drill, **given)

    def case_of(self, name: str) -> str:
        """The case that a contact is in."""
        contact = ids.contact_id("test", name)
        return next(d.case.case_id for d in self.desk.log if d.link.contact_id == contact)

    def requested(self, name: str, case: str, step: str, after_s: float, language: str) -> str:
        """Outreach asks for a message. Its id."""
        at_ms = T0 + int(after_s * S)
        message_id = ids.derive("surge-message", name)
        asked = MessageRequested(
            message_id=message_id,
            case_id=case,
            step=step,
            language=language,
            drill=self.drill,
            requested_ms=at_ms,
            accepted_ms=at_ms - 500,
        )
        self.records.append(Written(MESSAGE_REQUESTED, 0, asked))
        return message_id

    def became(
        self,
        message_id: str,
        after_s: float,
        *states: m.State,
        who: int = 0,
        reason: str = "",
        epoch: int = 0,
    ) -> None:
        """A message goes through states, half a second each."""
        for number, state in enumerate(states):
            change = MessageChange(
                message_id=message_id,
                state=state,
                carrier="" if state == m.SUPPRESSED else "north",
                reason=reason if number == len(states) - 1 else "",
                person=person(who),
                drill=self.drill,
            )
            at_ms = T0 + int((after_s + number / 2) * S)
            record = StatusRecord(changes=[change], decided_ms=at_ms)
            self.records.append(Written(MESSAGE_STATUS, 1, record, epoch))

    def callback(self, who: int, case: str, abandoned_s: float, **given: Any) -> None:
        """Somebody is to be called back."""
        fields = {
            "callback_id": ids.derive("surge-callback", str(who)),
            "case_id": case,
            "state": outreach.CALLBACK_STATE_DUE,
            "place_ms": T0 + who * 30 * S,
            "abandoned_ms": T0 + int(abandoned_s * S),
            "decided_ms": T0 + int(abandoned_s * S),
            "version": 1,
            "drill": self.drill,
            **given,
        }
        self.records.append(Written(CALLBACK, 0, Callback(**fields)))

    def all(self) -> list[Written]:
        """Every record."""
        cases = [Written(CASE, 0, one) for one in self.desk.log]
        return [*cases, *self.records]

    def fold(self, drill: bool | None = None, span: tuple[int, int] = (0, 0)) -> Fold:
        """All of it, folded."""
        fold = Fold(self.drill if drill is None else drill, *span)
        for offset, one in enumerate(self.all()):
            fold.take(as_record(one, offset), one.topic)
        return fold

    def facts(self, name: str = "", drill: bool | None = None, **span: int) -> Facts:
        """What it comes to an hour later."""
        made = Made(T0 + 3_600_000, {CASE.name: {0: 99}}, len(self.records))
        limits = span.get("since_ms", 0), span.get("until_ms", 0)
        return self.fold(drill, limits).facts(made, name)


def as_record(one: Written, offset: int) -> Record:
    """As it was read from Kafka."""
    headers = [(EPOCH, one.epoch.to_bytes(8, "big"))] if BY_NAME[one.topic.name].log else []
    record = SimpleNamespace(
        topic=one.topic.name,
        partition=one.partition,
        offset=offset,
        timestamp=T0 + offset,
        key=b"",
        value=one.message.SerializeToString(),
        headers=headers,
    )
    return cast(Record, record)


def surge(drill: bool = True, lag_ms: int = 0, campaign: bool = True) -> Surge:
    """The surge told of above."""
    made = Surge(drill, lag_ms)
    for who in range(PEOPLE):
        name, began_s = f"c{who}", who * 30
        made.contact(name, who, began_s, agency="" if who == 5 else "health")
        made.desk.call(name, OFFERED, made.at(began_s))
        if who < ANSWERED_CALLS:
            waited = (who + 1) * 10 * S
            made.desk.call(name, ANSWERED, made.at(began_s) + waited, queue_wait_ms=waited)
            ended = made.at(began_s) + waited + 200 * S
            made.desk.call(name, ENDED, ended, RESOLVED, handling_ms=200 * S)
            continue
        hung_s = began_s + 45
        made.desk.call(name, ABANDONED, made.at(hung_s), queue_wait_ms=45 * S)
        case = made.case_of(name)
        ended_ups: dict[int, dict[str, Any]] = {
            3: {"state": outreach.CALLBACK_STATE_COMPLETED, "decided_ms": T0 + 900 * S},
            4: {"state": outreach.CALLBACK_STATE_GIVEN_UP, "moved": True},
            5: {"life_safety": True},
        }
        ended_up = ended_ups.get(who, {})
        made.callback(who, case, hung_s)
        if ended_up:
            made.callback(who, case, hung_s, version=2, **ended_up)
        language = "mul" if who == 6 else "ar"
        told = made.requested(name, case, "callback-offer", hung_s + 1, language)
        if who == 11:
            made.became(told, hung_s + 2, m.SUPPRESSED, who=who, reason="landline")
        else:
            late = 70 if who == 10 else 2
            made.became(told, hung_s + late, m.CLAIMED, m.SUBMITTED, m.DELIVERED, who=who)
    # Two dial again: one who was told and one who was not.
    for who in (7, 11):
        made.contact(f"again{who}", who, 600 + who, agency="health")
        made.desk.call(f"again{who}", OFFERED, made.at(600 + who))
    written = {"channel": common_pb2.CHANNEL_SMS, "agency": "education", "line": ""}
    made.contact("ask", ASKER, 700, **written)
    answer = made.requested("ask", made.case_of("ask"), "answer:schools", 701, "ar")
    made.became(answer, 702, m.CLAIMED, m.SUBMITTED, m.DELIVERED, who=ASKER)
    lost = made.requested("lost", made.case_of("ask"), "clarify", 710, "ar")
    # Another process; what the first had claimed may be with the carrier.
    made.became(lost, 711, m.CLAIMED, who=ASKER)
    made.became(lost, 740, m.UNKNOWN, who=ASKER, reason="takeover", epoch=7)
    made.records += [
        Written(
            BURST,
            0,
            Burst(
                dimension=wave.DIMENSION_ALL,
                drill=drill,
                start_ms=T0 + 60 * S,
                raised_ms=T0 + 120 * S,
                usual=1.0,
                peak=2,
                cases=9,
                until_ms=T0 + 400 * S,
                ended=True,
            ),
        ),
        Written(
            INCIDENT,
            0,
            IncidentDecision(
                incidents=[
                    Incident(
                        incident_id="i",
                        agency="health",
                        drill=drill,
                        people=8,
                        cases=8,
                        first_ms=T0 + 90 * S,
                        last_ms=T0 + 330 * S,
                        languages=[CaseCount(value="ar", cases=5), CaseCount(value="en", cases=3)],
                    )
                ]
            ),
        ),
        Written(
            DEDUP_DEAD,
            0,
            DeadLetter(topic=CASE.name, reason="too long", dead_ms=T0 + 100 * S),
        ),
    ]
    set_ms = T0 + 150 * S
    announcement = Announcement(
        announcement_id="a",
        lines=["109"],
        drill=drill,
        set_by="maryam",
        set_ms=set_ms,
        from_ms=set_ms,
        until_ms=set_ms + 3_600 * S,
    )
    over = Announcement(announcement_id="a", ended_by="khalid", ended_ms=T0 + 900 * S)
    made.records += [Written(ANNOUNCEMENT, 0, announcement), Written(ANNOUNCEMENT, 0, over)]
    for number, route in enumerate((Route.ROUTE_OURS, Route.ROUTE_AGENCY, Route.ROUTE_OURS)):
        # The first call is asked for twice: the last answer is where it went.
        call = CallDecision(
            contact_id=f"call{number % 2}",
            agency="health",
            route=route,
            drill=drill,
            decided_ms=T0 + number * S,
        )
        made.records.append(Written(CALL_DECISION, 0, call))
    for version, state in enumerate((OPEN, ACCEPTED), start=1):
        proposal = Proposal(
            proposal_id="p",
            version=version,
            state=state,
            dimension=wave.DIMENSION_TOPIC,
            subject="power-cut",
            drill=drill,
            proposed_ms=T0 + 85 * S,
            decided_ms=T0 + 85 * S,
            bursts=[Burst(start_ms=T0 + 60 * S)],
            suggestion=Suggestion(languages_missing=["ne"]),
            estimate=Estimate(people=9, calls_avoided=4.2),
        )
        if state == ACCEPTED:
            proposal.ended.CopyFrom(ProposalDeed(subject="maryam", done_ms=T0 + 200 * S))
        made.records.append(Written(PROPOSAL, 0, proposal))
    if campaign:
        made.records += [one for one in eventful().records if one.topic != AUDIENCE]
    return made


__all__ = ["HUNG_UP", "PEOPLE", "T0", "TOLD", "S", "Surge", "as_record", "person", "surge"]
