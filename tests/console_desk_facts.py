"""What stands in the rooms of `console_desk_rig.py`: a case and its story, an incident, a proposal,
a callback, with hostile texts in them."""

from typing import Any

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as cases
from mawja.dedup.v1 import incidents_pb2
from mawja.dedup.v1 import service_pb2 as dedup
from mawja.intake.v1 import events_pb2
from mawja.intake.v1 import service_pb2 as intake
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.outreach.v1 import proposals_pb2
from mawja.wave.v1.events_pb2 import Burst, Dimension

from services.runtime import ids
from services.runtime.clock import now_ms

MIN = 60_000
NUMBER = "+97150123456"
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
CASE = ids.case_id("one")
OTHER = ids.case_id("two")
CONTACTS = [ids.contact_id("test", name) for name in ("call", "sms", "web")]
CALLBACK = ids.callback_id(CASE, CONTACTS[0])
INCIDENT, PROPOSAL = ids.derive("incident", "x"), ids.derive("proposal", "x")
ANNOUNCEMENT = ids.derive("announcement", "x")
MOH = "moh"


def case_of(case_id: str = CASE, **given: Any) -> cases.Case:
    """A case of a real caller of the health ministry."""
    now = now_ms()
    fields: dict[str, Any] = {
        "case_id": case_id,
        "case_number": ids.case_number(case_id),
        "person": b"p" * 16,
        "state": cases.CASE_STATE_OPEN,
        "first_arrival_ms": now - 90 * MIN,
        "last_contact_ms": now - 5 * MIN,
        "channel": common_pb2.CHANNEL_VOICE,
        "number_line": common_pb2.LINE_MOBILE,
        "line": "109",
        "agency": MOH,
        "topic": "vaccination",
        "language": "ar",
        "contacts": 3,
        "dialled": 1,
        "abandoned": 1,
        **given,
    }
    return cases.Case(**fields)


def links() -> list[cases.Link]:
    """Three contacts of one case: a call, an SMS and a form."""
    now = now_ms()
    told = (
        (common_pb2.CHANNEL_VOICE, cases.LINK_LEVEL_FIRST, 1.0, "first contact", 90),
        (
            common_pb2.CHANNEL_SMS,
            cases.LINK_LEVEL_SAME_NEED,
            0.95,
            "same number, same topic, 4 min later",
            86,
        ),
        (common_pb2.CHANNEL_WEB, cases.LINK_LEVEL_SAME_NEED, 0.71, HOSTILE, 5),
    )
    return [
        cases.Link(
            contact_id=contact,
            channel=channel,
            level=level,
            score=score,
            reason=reason,
            event_ms=now - minutes * MIN,
            line="109",
            topic="vaccination",
            language="ar",
        )
        for contact, (channel, level, score, reason, minutes) in zip(CONTACTS, told, strict=True)
    ]


def said() -> list[intake.RevealContactResponse | Exception]:
    """What intake tells of their words: of a call nothing, of an SMS what came of it in Arabic, of
    the form what is hostile."""
    return [
        intake.RevealContactResponse(),
        intake.RevealContactResponse(
            text="لا ماء منذ … الصباح", parts=events_pb2.HeldParts(total=3, held=[1, 3])
        ),
        intake.RevealContactResponse(text=f"second line\n{HOSTILE}", place=HOSTILE),
    ]


def incident() -> dedup.ShownIncident:
    """A flood in one place that grows."""
    now = now_ms()
    return dedup.ShownIncident(
        incident=incidents_pb2.Incident(
            incident_id=INCIDENT,
            level=cases.LINK_LEVEL_SAME_INCIDENT,
            agency=MOH,
            topic="vaccination",
            cases=40,
            people=38,
            life_safety=1,
            open=30,
            first_ms=now - 60 * MIN,
            last_ms=now - MIN,
            recent=20,
            before=8,
            languages=[incidents_pb2.CaseCount(value="ar", cases=30)],
            agencies=[incidents_pb2.CaseCount(value=MOH, cases=40)],
            places=[incidents_pb2.CaseCount(value="Jahra", cases=25)],
        ),
        samples=[dedup.IncidentSample(language="ar", text=f"الماء في الشارع {HOSTILE}")],
        hourly=120,
        growth=2.5,
    )


def proposal() -> proposals_pb2.Proposal:
    """A burst about closed schools, with texts."""
    now = now_ms()
    made = proposals_pb2.Proposal(
        proposal_id=PROPOSAL,
        state=proposals_pb2.PROPOSAL_STATE_OPEN,
        dimension=Dimension.DIMENSION_TOPIC,
        subject="vaccination",
        proposed_ms=now - 4 * MIN,
        bursts=[Burst(start_ms=now - 8 * MIN, last_minute=42, usual=2.5, peak=50, known=True)],
        revision=3,
        until_ms=now + 60 * MIN,
    )
    count = incidents_pb2.CaseCount
    made.evidence.MergeFrom(
        proposals_pb2.Evidence(
            cases=310,
            people=290,
            writable=250,
            recent=180,
            before=60,
            questions=[count(value="schools-tomorrow", cases=200)],
            languages=[count(value="ar", cases=200), count(value="ur", cases=110)],
            places=[count(value=HOSTILE, cases=40)],
        )
    )
    suggested = made.suggestion
    suggested.name, suggested.language, suggested.entry = "Schools", "ar", "schools-tomorrow@2"
    suggested.audience.callers.topic = "vaccination"
    suggested.audience.callers.since_ms = now - 8 * MIN
    suggested.texts.add(language="ar", template="المدارس مغلقة غداً")
    suggested.texts.add(language="en", template=f"Schools are closed {HOSTILE}")
    suggested.languages_missing.append("ur")
    made.estimate.people, made.estimate.calls_avoided = 250, 87.5
    made.estimate.formula = "250 people x 0.35"
    return made


def callback(**given: Any) -> outreach.Callback:
    """The callback owed to the first contact of CASE."""
    now = now_ms()
    fields: dict[str, Any] = {
        "callback_id": CALLBACK,
        "case_id": CASE,
        "case_number": ids.case_number(CASE),
        "state": outreach.CALLBACK_STATE_DUE,
        "place_ms": now - 90 * MIN,
        "abandoned_ms": now - 88 * MIN,
        "agency": MOH,
        "line": "109",
        "language": "ar",
        "tried_ms": [now - 30 * MIN],
        "decided_ms": now - 88 * MIN,
        **given,
    }
    return outreach.Callback(**fields)
