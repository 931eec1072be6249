"""Audiences of people who reached out: found in dedup's log, kept as lists, sent to."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from mawja.broadcast.v1 import audiences_pb2, campaigns_pb2, service_pb2, service_pb2_grpc
from mawja.broadcast.v1.audiences_pb2 import Callers
from mawja.broadcast.v1.campaigns_pb2 import Audience, AudienceFile, AudienceSet, CampaignText
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2
from mawja.dedup.v1.events_pb2 import CaseDecision

from services.local.parts import Parts
from services.local.system import token
from services.runtime import ids, rpc, topics
from services.runtime.clock import now_ms
from services.runtime.identity import Role
from tests.audiences_rig import Dedup, Finder, people_of
from tests.broadcast_rig import PARTITIONS, Rig, digits, drilled, numbers, running
from tests.campaigns_rig import MAKER, Office, listed, plan, refusal, started

HOUR = 3_600_000
P = numbers("31", 40)
TEXTS = [
    CampaignText(language="ar", template="عاد الماء"),
    CampaignText(language="en", template="Water is back"),
]


@pytest.fixture(scope="module")
def rig(parts: Parts) -> Iterator[Rig]:
    with running(parts, "audiences", {"fast": ({}, {})}, [{"prefix": "+", "carrier": "fast"}]) as r:
        yield r
        assert r.replica.process.exits == ()
        assert "Traceback" not in r.log()
        assert "+9995" not in r.log()


@pytest.fixture(scope="module")
def dedup(rig: Rig) -> Iterator[Dedup]:
    made = Dedup(rig.parts.kafka, rig.keyring, PARTITIONS)
    day_ago = now_ms() - topics.DAY_MS
    opened = events_pb2.CASE_CHANGE_OPENED
    old = made.case("old", P[5], agency="roads", language="hi", accepted_ms=day_ago)
    said = events_pb2.Link(contact_id=old.case_id, event_ms=day_ago, line="155")
    first = CaseDecision(change=opened, case=old, link=said)
    made.decide(first, place="Hawalli", at_ms=day_ago)
    yield made
    made.close()


@pytest.fixture(scope="module")
def finder(rig: Rig) -> Finder:
    return Finder(rig.system, MAKER)


@pytest.fixture(scope="module")
def known(dedup: Dedup) -> int:
    """Some who reached out, and when that was."""
    now = now_ms()
    complaint, request = common_pb2.CONTACT_KIND_COMPLAINT, common_pb2.CONTACT_KIND_REQUEST
    dedup.contact("a", P[0], "16000", now - 3 * HOUR, agency="water", topic="leaks", kind=complaint)
    dedup.contact("b", P[1], "109", now - HOUR, agency="water", topic="bills", kind=request)
    dedup.contact("b2", P[1], "109", now - HOUR, agency="water", topic="bills", language="en")
    dedup.contact("c", P[2], "109", now - HOUR, agency="health", language="en", life_safety=True)
    resolved = events_pb2.CASE_STATE_RESOLVED
    dedup.contact("d", P[3], "109", now - HOUR, agency="water", topic="leaks", state=resolved)
    dedup.contact("e", "", "109", now - HOUR, agency="water", topic="leaks")
    dedup.contact("live", "+971501234567", "109", now - HOUR, agency="water", drill=False)
    said = dedup.case("f", P[4], agency="roads")
    link = events_pb2.Link(contact_id=said.case_id, event_ms=now - HOUR, line="109")
    dedup.decide(
        CaseDecision(change=events_pb2.CASE_CHANGE_OPENED, case=said, link=link), place="Jahra"
    )
    dedup.flush()
    return now


def test_a_place_that_was_named_before_the_time_asked_for(
    rig: Rig, dedup: Dedup, finder: Finder, known: int
) -> None:
    asked = Callers(place="Hawalli", since_ms=known - HOUR)
    assert finder.make(asked).recipients == 0
    link = events_pb2.Link(contact_id=ids.derive("contact", "redial"), event_ms=known, line="155")
    old = dedup.case("old", P[5], agency="roads", language="hi", accepted_ms=known - 24 * HOUR)
    dedup.decide(CaseDecision(change=events_pb2.CASE_CHANGE_LINKED, case=old, link=link))
    dedup.flush()
    made = finder.make(asked)
    assert people_of(rig.parts.kafka, made, rig.keyring) == [P[5]]


@pytest.mark.parametrize(
    ("asked", "people"),
    [
        ({"agency": "water"}, [*P[:2], P[3]]),
        ({"topic": "leaks"}, [P[0], P[3]]),
        ({"agency": "water", "line": "16000"}, [P[0]]),
        ({"line": "109"}, P[1:5]),
        ({"place": "jahra"}, [P[4]]),
        ({"language": "en"}, P[1:3]),
        ({"life_safety": True}, [P[2]]),
        ({"kind": common_pb2.CONTACT_KIND_COMPLAINT}, [P[0]]),
        ({"state": audiences_pb2.CALLER_STATE_RESOLVED}, [P[3]]),
        ({"agency": "water", "since_ms": -2 * HOUR}, [P[1], P[3]]),
        ({"agency": "water", "until_ms": -2 * HOUR}, [P[0]]),
        ({"agency": "nobody"}, []),
    ],
)
def test_each_field(
    rig: Rig, finder: Finder, known: int, asked: dict[str, Any], people: list[str]
) -> None:
    times = {k: known + v for k, v in asked.items() if k.endswith("_ms")}
    made = finder.make(Callers(**{**asked, **times}))
    assert people_of(rig.parts.kafka, made, rig.keyring) == people
    assert made.query.startswith("callers(")


def test_who_is_left_out_is_counted(finder: Finder, known: int) -> None:
    made = finder.make(Callers(agency="water"))
    assert dict(made.exclusions) == {"withheld": 1, "duplicate": 1}
    assert made.languages == {"ar": 2, "en": 1}
    assert {one.masked_number for one in made.samples} == {
        f"+999{'•' * 7}{number[-2:]}" for number in (P[0], P[1], P[3])
    }
    live = finder.make(Callers(agency="water"), drill=False)
    assert live.recipients == 1
    assert not live.drill


def test_an_agency_finds_its_own_callers_only(rig: Rig, known: int) -> None:
    theirs = Finder(rig.system, "water-author", agency="water")
    made = theirs.make(Callers(line="109"))
    assert people_of(rig.parts.kafka, made, rig.keyring) == [P[1], P[3]]
    assert made.exclusions["other-agency"] == 2
    assert made.agency == "water"
    code, _ = refusal(lambda: theirs.make(Callers(agency="health")))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    # Of others not even how many there are.
    assert not Finder(rig.system, "x", agency="nobody").make(Callers(line="109")).exclusions
    central = Finder(rig.system, "agent", Role.AGENT)
    assert (
        refusal(lambda: central.make(Callers(line="109")))[0] is grpc.StatusCode.PERMISSION_DENIED
    )


def test_a_list_is_of_its_moment_and_the_same_request_is_the_same_list(
    rig: Rig, dedup: Dedup, finder: Finder
) -> None:
    asked = Callers(agency="transport")
    dedup.contact("t1", P[10], agency="transport")
    dedup.flush()
    first = finder.make(asked, request_id="once")
    dedup.contact("t2", P[11], agency="transport")
    dedup.flush()
    assert finder.make(asked, request_id="once") == first
    assert people_of(rig.parts.kafka, first, rig.keyring) == [P[10]]
    anew = finder.make(asked, request_id="again")
    assert people_of(rig.parts.kafka, anew, rig.keyring) == P[10:12]
    code, _ = refusal(lambda: finder.make(Callers(agency="roads"), request_id="once"))
    assert code is grpc.StatusCode.ALREADY_EXISTS


def test_callers_and_a_file_to_every_telephone(
    rig: Rig, dedup: Dedup, finder: Finder, maker: Office, other: Office
) -> None:
    """(callers or file) without those whose need was met, and without who opted out."""
    people = numbers("32", 600)
    for place, number in enumerate(people[:500]):
        state = events_pb2.CASE_STATE_RESOLVED if place < 100 else events_pb2.CASE_STATE_OPEN
        dedup.contact(f"w{place}", number, agency="power", state=state, language="en")
    dedup.flush()
    callers = finder.make(Callers(agency="power"))
    met = finder.make(Callers(agency="power", state=audiences_pb2.CALLER_STATE_RESOLVED))
    assert (callers.recipients, met.recipients) == (500, 100)
    file = maker.upload(listed(people[450:]))
    metadata = rpc.bearer(token(rig.system.keys, "agent", Role.AGENT))
    with grpc.insecure_channel(rig.system.target("broadcast")) as channel:
        stub: Any = service_pb2_grpc.BroadcastServiceStub(channel)
        for number in people[590:]:
            stub.OptOut(service_pb2.OptOutRequest(number=number), metadata=metadata, timeout=20)
    leaves = [Audience(upload=callers.audience_id), Audience(upload=file.audience_id)]
    less: dict[str, Any] = {
        "except": AudienceSet(
            audiences=[
                Audience(any_of=AudienceSet(audiences=leaves)),
                Audience(upload=met.audience_id),
            ]
        )
    }
    audience = Audience(**less)
    seen = finder.preview(audience)
    assert (seen.people, seen.opted_out) == (500, 10)
    assert seen.exclusions["duplicate"] == 50
    assert seen.languages == {"en": 400, "ar": 100}
    assert {one.language for one in seen.samples} == {"ar", "en"}
    assert "callers(agency=power, state=resolved)" in seen.query
    assert "file(list.csv)" in seen.query
    assert len(seen.lists) == 3
    campaign_id = started(maker, other, plan(audience, texts=TEXTS))
    done = maker.until(campaign_id, campaigns_pb2.CAMPAIGN_STATE_COMPLETED)
    got = {m.destination: m.text for m in rig.smsc["fast"].messages() if m.complete}
    for number in people[100:500]:
        assert got[digits(number)] == drilled("Water is back")
    for number in people[500:590]:
        assert got[digits(number)] == drilled("عاد الماء")
    assert not {digits(one) for one in (*people[:100], *people[590:])} & set(got)
    assert done.recipients == 550


def test_what_is_wrong_is_said(finder: Finder, known: int) -> None:
    code, _ = refusal(lambda: finder.make(Callers()))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    nowhere = "3f0c5a52-7c1e-5d0e-9a53-0d6f3c1b2a44"
    code, said = refusal(lambda: finder.make(Callers(incident_id=nowhere)))
    assert code is grpc.StatusCode.NOT_FOUND
    assert "incident" in said
    code, _ = refusal(lambda: finder.preview(Audience(upload=nowhere)))
    assert code is grpc.StatusCode.NOT_FOUND


def test_a_time_that_the_log_no_longer_holds_is_refused(
    rig: Rig, dedup: Dedup, finder: Finder, known: int
) -> None:
    admin = KafkaAdminClient(bootstrap_servers=rig.parts.kafka)
    admin.delete_records({TopicPartition(topics.CASE.name, 1): 2})
    admin.close()
    code, said = refusal(lambda: finder.make(Callers(agency="water", since_ms=known - 4 * HOUR)))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "it begins at" in said
    # All that there is can be asked for.
    made: AudienceFile = finder.make(Callers(agency="transport"))
    assert made.recipients <= 2
